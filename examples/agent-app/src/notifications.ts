/** The notification channel of Genesys Cloud: opened, watched, and opened again whenever it is lost. */
import { type Genesys, GenesysError } from "./genesys.ts";

/** Genesys Cloud sends a heartbeat about every 30 s; a channel that is silent for longer than two is lost. */
export const SILENCE_LIMIT = 70_000;

const OPENING_LIMIT = 10_000;
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 10_000;
/** A channel that lasted this long was a good one. */
const GOOD_AFTER = 30_000;

export interface ChannelEvents {
  readonly onOpen: () => void;
  readonly onLost: () => void;
  readonly onNotification: (body: unknown) => void;
  readonly onFault: (error: GenesysError) => void;
}

export class Channel {
  readonly #genesys: Genesys;
  readonly #topic: string;
  readonly #events: ChannelEvents;
  #socket: WebSocket | null = null;
  #timer = 0;
  #pause = FIRST_PAUSE;
  #openedAt = 0;
  #isClosed = false;

  constructor(genesys: Genesys, topic: string, events: ChannelEvents) {
    this.#genesys = genesys;
    this.#topic = topic;
    this.#events = events;
  }

  /** Opens the channel and keeps it open until `close`. Reports, never throws. */
  async open(): Promise<void> {
    if (this.#isClosed) {
      return;
    }
    try {
      const socket = new WebSocket(await this.#genesys.channel(this.#topic));
      if (this.#isClosed) {
        socket.close();
        return;
      }
      this.#follow(socket);
    } catch (error) {
      const fault = error instanceof GenesysError ? error : new GenesysError("genesys-unreachable");
      this.#events.onFault(fault);
      if (fault.fault !== "expired") {
        this.#openLater(fault.retryAfter);
      }
    }
  }

  /** Gives the channel up for a new one: it does not deliver what it should. */
  replace(): void {
    this.#lose();
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
    clearTimeout(this.#timer);
  }

  #follow(socket: WebSocket): void {
    this.#socket = socket;
    const ifCurrent = (act: () => void) => (): void => {
      if (this.#socket === socket) {
        act();
      }
    };
    const lose = ifCurrent(() => this.#lose());
    const expect = (limit: number): void => {
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(lose, limit);
    };
    expect(OPENING_LIMIT);
    socket.onopen = ifCurrent(() => {
      this.#openedAt = performance.now();
      expect(SILENCE_LIMIT);
      this.#events.onOpen();
    });
    socket.onclose = lose;
    socket.onerror = lose;
    socket.onmessage = (message: MessageEvent<unknown>): void => {
      if (this.#socket === socket) {
        expect(SILENCE_LIMIT);
        this.#take(message.data);
      }
    };
  }

  #take(data: unknown): void {
    const { topicName, eventBody } = parseMessage(data);
    if (topicName === this.#topic) {
      this.#events.onNotification(eventBody);
    } else if (topicName === "v2.system.socket_closing") {
      this.#lose();
    }
  }

  #lose(): void {
    if (this.#socket === null || this.#isClosed) {
      return;
    }
    if (this.#openedAt > 0 && performance.now() - this.#openedAt > GOOD_AFTER) {
      this.#pause = FIRST_PAUSE;
    }
    this.#drop();
    this.#events.onLost();
    this.#openLater(0);
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#openedAt = 0;
    socket?.close();
  }

  #openLater(atLeast: number): void {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.open(), Math.max(this.#pause, atLeast));
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }
}

function parseMessage(data: unknown): { topicName?: unknown; eventBody?: unknown } {
  try {
    return (JSON.parse(String(data)) as { topicName?: unknown } | null) ?? {};
  } catch {
    return {};
  }
}
