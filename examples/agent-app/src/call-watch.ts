/** What is known of the call: the notification channel and the REST watchdog, put together. */
import { callState, parseConversation, parseNotification, type CallState } from "./call-state.ts";
import { type Belief, IGNORANCE, learn, type News, nextRead } from "./decide.ts";
import { type Failure, failureOf } from "./failure.ts";
import { type Genesys, GenesysError } from "./genesys.ts";
import { pause } from "./lookup.ts";
import { Channel } from "./notifications.ts";

export class CallWatch {
  readonly #genesys: Genesys;
  readonly #userId: string;
  readonly #conversationId: string;
  readonly #onChange: () => void;
  #channel: Channel | null = null;
  #hurry: (() => void) | null = null;
  #isHurried = false;
  belief: Belief = IGNORANCE;
  /** Why the call cannot be read. */
  failure: Failure | null = null;
  /** Why there are no notifications. */
  channelFailure: Failure | null = null;

  constructor(genesys: Genesys, userId: string, conversationId: string, onChange: () => void) {
    this.#genesys = genesys;
    this.#userId = userId;
    this.#conversationId = conversationId;
    this.#onChange = onChange;
  }

  /** Watches from nothing known, until aborted or signed out. */
  async run(signal: AbortSignal): Promise<void> {
    this.belief = IGNORANCE;
    const channel = this.#createChannel();
    this.#channel = channel;
    signal.addEventListener("abort", () => channel.close());
    void channel.open();
    while (!signal.aborted && this.failure?.trouble !== "expired") {
      const askedAt = performance.now();
      this.#isHurried = false;
      const wait = await this.#look(askedAt, signal);
      const now = performance.now();
      await this.#pause(Math.max(nextRead(this.belief, askedAt, now) - now, wait), signal);
    }
  }

  /** Reads again without waiting for the watchdog's next turn. */
  readNow(): void {
    this.#isHurried = true;
    this.#hurry?.();
  }

  /** Takes note that the call could not be read. */
  fail(error: unknown): void {
    const failure = failureOf(error);
    const isPassing = failure.trouble === "genesys-busy" || failure.trouble === "genesys-unreachable";
    if (!isPassing || this.belief.call === null) {
      this.failure = failure;
    }
    if (isPassing) {
      this.#onChange();
    } else {
      this.#learn({ kind: "unread", at: performance.now() });
    }
  }

  #createChannel(): Channel {
    return new Channel(this.#genesys, `v2.users.${this.#userId}.conversations.calls`, {
      onOpen: () => {
        this.channelFailure = null;
        this.#learn({ kind: "opened", at: performance.now() });
        this.readNow();
      },
      onLost: () => this.#learn({ kind: "lost", at: performance.now() }),
      onNotification: (body) => {
        const conversation = parseNotification(body);
        if (conversation?.id.toLowerCase() === this.#conversationId) {
          this.#learn({ kind: "heard", at: performance.now(), call: callState(conversation, this.#userId) });
        }
      },
      onFault: (error) => {
        if (error.fault === "expired") {
          this.fail(error);
        } else if (error.fault === "not-permitted") {
          this.channelFailure = failureOf(error);
          this.#onChange();
        }
      },
    });
  }

  /** One read; how long to wait at least before the next, in milliseconds. */
  async #look(askedAt: number, signal: AbortSignal): Promise<number> {
    try {
      const call = await this.#read();
      if (!signal.aborted) {
        this.failure = null;
        this.#learn({ kind: "read", at: performance.now(), askedAt, call });
      }
      return 0;
    } catch (error) {
      if (!signal.aborted) {
        this.fail(error);
      }
      return error instanceof GenesysError ? error.retryAfter : 0;
    }
  }

  async #read(): Promise<CallState> {
    const conversation = parseConversation(await this.#genesys.conversation(this.#conversationId));
    if (conversation === null) {
      throw new GenesysError("genesys-unreachable");
    }
    return callState(conversation, this.#userId);
  }

  async #pause(time: number, signal: AbortSignal): Promise<void> {
    if (!this.#isHurried) {
      const hurry = new AbortController();
      this.#hurry = (): void => hurry.abort();
      await pause(time, AbortSignal.any([signal, hurry.signal]));
    }
  }

  #learn(news: News): void {
    const before = this.belief;
    this.belief = learn(before, news);
    if (news.kind === "read" && before.channel === "open" && this.belief.channel === "lost") {
      this.#channel?.replace();
    }
    this.#onChange();
  }
}
