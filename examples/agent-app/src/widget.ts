/** One agent's video leg in one call: brings together what is known and what is to be done. */
import { CallWatch } from "./call-watch.ts";
import { Camera } from "./camera.ts";
import { type Config, nodeOrigin } from "./config.ts";
import { attend, callTag, decide, isKnown, NOBODY_YET, type Plan } from "./decide.ts";
import { describe } from "./describe.ts";
import { type Failure, failureOf } from "./failure.ts";
import { type Genesys, GenesysError, type Me } from "./genesys.ts";
import { claim, type Claim, lockName } from "./lock.ts";
import { type Conference, hasRoom, Lookup, LookupError, pause } from "./lookup.ts";
import { Room, type RoomFault } from "./room.ts";
import * as texts from "./texts.ts";
import type { Model, View } from "./view.ts";

/** The server may hear of an answered call later than the widget. */
const LOOKUP_TRIES = 4;
const LOOKUP_PAUSE = 1_000;
const LONGEST_PAUSE = 5_000;

export class Widget {
  readonly #config: Config;
  readonly #me: Me;
  readonly #conversationId: string;
  readonly #view: View;
  readonly #signInAgain: () => void;
  readonly #lookup: Lookup;
  readonly #camera = new Camera(() => this.#step());
  readonly #watch: CallWatch;
  /** Aborted when this window stops: it gave the call up, or never had it. */
  #life = new AbortController();
  #following = new AbortController();
  #claim: Claim | null = null;
  #timer = 0;
  /** What to join, and what to show of it; the latter outlives the former. */
  #conference: Conference | null = null;
  #shown: Conference | null = null;
  #room: Room | null = null;
  #isJoined = false;
  #attendance = NOBODY_YET;
  #callId = "";
  #isSearching = false;
  /** What is wrong with this window, and with the room. */
  #windowFailure: Failure | null = null;
  #roomFailure: Failure | null = null;

  constructor(
    config: Config,
    genesys: Genesys,
    me: Me,
    conversationId: string,
    view: View,
    signInAgain: () => void,
  ) {
    this.#config = config;
    this.#me = me;
    this.#conversationId = conversationId;
    this.#view = view;
    this.#signInAgain = signInAgain;
    this.#lookup = new Lookup(config.policyServer, genesys.token, conversationId);
    this.#watch = new CallWatch(genesys, me.id, conversationId, () => this.#step());
  }

  /** Begins, if need be by taking the call from another window. */
  start(steal = false): void {
    this.#life.abort();
    this.#life = new AbortController();
    this.#windowFailure = null;
    const { signal } = this.#life;
    this.#run(steal, signal).catch((error: unknown) => {
      if (!signal.aborted) {
        this.#windowFailure = failureOf(error);
        this.#step();
      }
    });
    this.#step();
  }

  /** What Retry does depends on what went wrong. */
  retry(): void {
    if (this.#failure?.trouble === "expired") {
      this.#signInAgain();
      return;
    }
    if (this.#windowFailure !== null) {
      this.start(true);
      return;
    }
    if (this.#room === null) {
      this.#forgetRoom();
    }
    this.#camera.trouble = null;
    this.#watch.readNow();
    this.#step();
  }

  toggleCamera(): void {
    this.#camera.isWanted = !this.#camera.isWanted;
    this.#camera.trouble = null;
    if (!this.#camera.isWanted) {
      this.#room?.show(null);
      this.#camera.close();
    }
    this.#step();
  }

  /** The page goes away. */
  abandon(): void {
    this.#room?.abandon();
    this.#life.abort();
  }

  async #run(steal: boolean, signal: AbortSignal): Promise<void> {
    const onTaken = (): void => this.#giveUp("elsewhere");
    const claimed = await claim(lockName(this.#me.id, this.#conversationId), steal, onTaken, signal);
    if (signal.aborted) {
      claimed.release();
      return;
    }
    this.#claim = claimed;
    this.#windowFailure = null;
    void claimed.lost.then(() => {
      if (this.#claim === claimed) {
        this.#stop();
        this.#giveUp("taken-over");
      }
    });
    await this.#watch.run(signal);
  }

  /** Does what follows from everything that is known. Privacy comes first. */
  #step(): void {
    const now = performance.now();
    const plan = this.#decide(now);
    this.#room?.show(plan.show ? this.#camera.track : null);
    clearTimeout(this.#timer);
    if (plan.wakeAt !== null) {
      this.#timer = window.setTimeout(() => this.#step(), Math.max(0, plan.wakeAt - now));
    }
    if (this.#windowFailure === null) {
      this.#act(plan);
    }
    this.#render(this.#decide(now));
  }

  #decide(now: number): Plan {
    return decide(this.#watch.belief, this.#room !== null, now, this.#attendance);
  }

  #act(plan: Plan): void {
    switch (plan.room) {
      case "end":
        this.#part((room) => room.endForAll());
        if (this.#decide(performance.now()).room === "in") {
          // Until the call is over in Genesys Cloud too.
          this.#roomFailure = { trouble: "conference-over", detail: "" };
        }
        break;
      case "leave":
        this.#part((room) => room.leave());
        break;
      case "out":
        this.#forgetRoom();
        break;
      case "in":
        if (this.#room !== null) {
          void this.#camera.open();
        } else {
          this.#approach();
        }
        break;
    }
    if (plan.reason === "over" && this.#watch.belief.call?.customer === "gone") {
      // Nothing more can come.
      this.#life.abort();
    }
  }

  /** One step towards the room: the lookup, or the join. */
  #approach(): void {
    const callId = this.#watch.belief.call?.callId ?? "";
    if (callId !== this.#callId) {
      // What was found, or not found, was about another.
      this.#callId = callId;
      this.#forgetRoom();
    }
    if (this.#roomFailure !== null) {
      return;
    }
    if (this.#conference === null) {
      void this.#search(callId);
    } else if (this.#conference.state !== "ended" && hasRoom(this.#conference)) {
      void this.#join(this.#conference);
    }
  }

  async #search(callId: string): Promise<void> {
    if (this.#isSearching) {
      return;
    }
    this.#isSearching = true;
    const following = this.#following;
    try {
      const conference = await this.#find(callId, following.signal);
      if (!following.signal.aborted) {
        this.#take(conference);
        void this.#follow(callId, following.signal);
      }
    } catch (error) {
      if (!following.signal.aborted) {
        this.#roomFailure = failureOf(error);
      }
    }
    this.#isSearching = false;
    this.#step();
  }

  async #find(callId: string, signal: AbortSignal): Promise<Conference> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#lookup.find(callId);
      } catch (error) {
        const isPassing = error instanceof LookupError && /^policy-|^not-bound$/.test(error.fault);
        if (!isPassing || tries === LOOKUP_TRIES || error.retryAfter > LONGEST_PAUSE || signal.aborted) {
          throw error;
        }
        await pause(Math.max(LOOKUP_PAUSE, error.retryAfter), signal);
      }
    }
  }

  async #follow(callId: string, signal: AbortSignal): Promise<void> {
    const onChange = (conference: Conference): void => {
      this.#take(conference);
      this.#step();
    };
    try {
      await this.#lookup.follow(callId, onChange, signal);
    } catch (error) {
      if (failureOf(error).trouble === "expired") {
        this.#watch.fail(new GenesysError("expired"));
      }
    }
  }

  #take(conference: Conference): void {
    this.#conference = conference;
    this.#shown = conference;
    if (this.#room !== null) {
      this.#attend(this.#room);
    }
  }

  #attend(room: Room): void {
    const joining = new Set(this.#shown?.joining.keys());
    this.#attendance = attend(this.#attendance, room.roster, joining, performance.now());
  }

  async #join(conference: Conference): Promise<void> {
    const node = this.#config.pexipNode ?? (conference.node === null ? null : nodeOrigin(conference.node));
    if (node === null || conference.alias === null) {
      this.#roomFailure = { trouble: "no-node", detail: "" };
      return;
    }
    const entrance = {
      node,
      alias: conference.alias,
      pin: conference.pin,
      displayName: this.#me.name || "Agent",
      callTag: callTag(this.#me.id, this.#conversationId),
    };
    const fail = (trouble: RoomFault, detail: string): void => {
      if (this.#room === room) {
        this.#letGo();
        this.#roomFailure = { trouble, detail };
      }
    };
    const room = new Room(entrance, {
      onChange: () => {
        if (this.#room === room) {
          this.#attend(room);
          this.#step();
        }
      },
      onOver: (fault, reason) => {
        fail(fault, reason);
        this.#step();
      },
    });
    this.#room = room;
    void this.#camera.open();
    const fault = await room.join();
    if (fault !== null) {
      fail(fault, new URL(node).host);
    } else if (this.#room === room) {
      this.#isJoined = true;
    }
    this.#step();
  }

  #part(how: (room: Room) => Promise<void>): void {
    const room = this.#room;
    this.#letGo();
    this.#forgetRoom();
    if (room !== null) {
      void how(room);
    }
  }

  #letGo(): void {
    this.#room = null;
    this.#isJoined = false;
    this.#attendance = NOBODY_YET;
    this.#camera.close();
  }

  /** Another look is needed before another join. */
  #forgetRoom(): void {
    this.#following.abort();
    this.#following = new AbortController();
    this.#roomFailure = null;
    this.#conference = null;
  }

  #stop(): void {
    this.#life.abort();
    this.#claim = null;
    this.#part((room) => room.leave());
  }

  #giveUp(trouble: texts.Trouble): void {
    this.#windowFailure = { trouble, detail: "" };
    this.#step();
  }

  #inRoom(room: Room): Model["people"] {
    return room.people.map((person) => ({ ...person, joins: this.#shown?.joining.get(person.uuid) ?? "" }));
  }

  get #failure(): Failure | null {
    return this.#windowFailure ?? this.#watch.failure ?? this.#roomFailure ?? this.#watch.channelFailure;
  }

  #render(plan: Plan): void {
    const failure = this.#failure;
    const [status, message] = describe({
      reason: plan.reason,
      trouble: failure?.trouble ?? null,
      camera: this.#camera.trouble,
      room: this.#room === null ? "out" : this.#isJoined ? "joined" : "joining",
      isHeld: plan.held,
      hasCustomerLeft: this.#attendance.leftAt !== null,
      isKnown: isKnown(this.#watch.belief, performance.now()),
      conference: this.#conference,
    });
    const isFailed = status === "failed" || failure !== null || this.#conference?.state === "ended";
    const shown = this.#shown;
    this.#view.render({
      status,
      message,
      detail: failure?.detail ?? "",
      canRetry: isFailed || message === texts.NO_ROOM_YET || this.#camera.trouble !== null,
      customerVideo: this.#room?.stream ?? null,
      ownVideo: this.#camera.stream,
      isSeen: this.#room?.isSeen ?? false,
      isCameraWanted: this.#camera.isWanted,
      people: this.#isJoined && this.#room !== null ? this.#inRoom(this.#room) : absentRoom(this.#conference),
      customer: shown?.customer ?? "",
      foundBy: shown?.foundBy ?? "",
      attributes: shown?.attributes ?? {},
      timeline: shown?.timeline ?? [],
      hasTrouble: isFailed,
    });
  }
}

function absentRoom(conference: Conference | null): Model["people"] {
  const people = conference?.participants ?? [];
  return people.map(({ name, joins }) => ({ name, joins, isMe: false, isTrunk: false, isVideoMuted: false }));
}
