/** The agent's leg in the video room: video only, through Pexip's client API. */
import {
  ClientCallType,
  createCallSignals,
  createInfinityClient,
  createInfinityClientSignals,
  type InfinityClient,
  type Participant,
  setLogger as setInfinityLogger,
} from "@pexip/infinity";
import { setLogger as setPeerConnectionLogger } from "@pexip/peer-connection";
import { setLogger as setSignalLogger } from "@pexip/signal";
import { olderLegs, type RosterEntry } from "./decide.ts";

export type RoomFault =
  | "pin"
  | "no-conference"
  | "room-refused"
  | "node-busy"
  | "node-unreachable"
  | "no-media"
  | "removed"
  | "conference-over";

export interface Entrance {
  /** The origin of the Conferencing Node. */
  readonly node: string;
  readonly alias: string;
  readonly pin: string | null;
  readonly displayName: string;
  readonly callTag: string;
}

export interface Person {
  readonly uuid: string;
  readonly name: string;
  readonly isMe: boolean;
  readonly isTrunk: boolean;
  readonly isVideoMuted: boolean;
}

export interface RoomEvents {
  readonly onChange: () => void;
  /** The leg is over without our doing. `reason` is in Pexip's words. */
  readonly onOver: (fault: RoomFault, reason: string) => void;
}

const JOIN_LIMIT = 12_000;
const MEDIA_LIMIT = 15_000;
/** A node refuses what only Hosts may do for a moment after the join. */
const AGAIN = 1_500;
const AUTOMATIC_BANDWIDTH = 0;

// These libraries would log tokens.
const nothing = (): void => {};
const silence = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  fatal: nothing,
  silent: nothing,
  addRedactPattern: nothing,
  redact: (): string => "",
};
for (const setLogger of [setInfinityLogger, setPeerConnectionLogger, setSignalLogger]) {
  setLogger(silence);
}

export class Room {
  readonly #entrance: Entrance;
  readonly #events: RoomEvents;
  readonly #client: InfinityClient;
  /** Always this stream, so that another track in it needs no negotiation. */
  readonly #sent = new MediaStream();
  readonly #removed = new Set<string>();
  readonly #media = Promise.withResolvers<null>();
  readonly #lost = Promise.withResolvers<RoomFault>();
  /** What the customer shall see. */
  #camera: MediaStreamTrack | null = null;
  /** What the node was last told, `null` before it was told anything. */
  #nodeShows: boolean | null = null;
  #isTelling = false;
  #isAdmitted = false;
  #isJoined = false;
  #isOver = false;
  stream: MediaStream | null = null;
  people: readonly Person[] = [];
  roster: readonly RosterEntry[] = [];

  constructor(entrance: Entrance, events: RoomEvents) {
    this.#entrance = entrance;
    this.#events = events;
    this.#client = this.#createClient();
  }

  /** Whether the picture really goes out. */
  get isSeen(): boolean {
    return this.#nodeShows === true && this.#sent.getVideoTracks().some((track) => track.readyState === "live");
  }

  /** Joins, unseen. `null` when in, or else why not; then the leg is gone. */
  async join(): Promise<RoomFault | null> {
    const fault =
      (await Promise.race([this.#enter(), this.#lost.promise])) ??
      (await Promise.race([this.#media.promise, this.#lost.promise, after(MEDIA_LIMIT, "no-media" as const)]));
    if (fault !== null) {
      await this.leave();
    } else if (!this.#isOver) {
      this.#isJoined = true;
      this.#send();
    }
    return fault;
  }

  /** Shows a camera, or nothing. Hiding takes effect before this returns. */
  show(camera: MediaStreamTrack | null): void {
    if (camera !== this.#camera && !this.#isOver) {
      this.#camera = camera;
      this.#send();
      void this.#tellNode();
    }
  }

  /** This agent's leg goes; everybody else stays. */
  async leave(): Promise<void> {
    this.#end();
    await this.#client.disconnect({ reason: "User initiated disconnect" }).catch(nothing);
  }

  /** The call is over for everybody. */
  async endForAll(): Promise<void> {
    this.#end();
    await this.#client.disconnectAll({}).catch(nothing);
    await this.#client.disconnect({ reason: "User initiated disconnect" }).catch(nothing);
  }

  /** The page goes away: what can still be sent, is. */
  abandon(): void {
    this.#end();
    this.#client.disconnect({ reason: "Browser closed" }).catch(nothing);
  }

  #createClient(): InfinityClient {
    const signals = createInfinityClientSignals([], { batchScheduleTimeoutMS: 100, batchBufferSize: 50 });
    const callSignals = createCallSignals([]);
    const onRoster = (): void => this.#readRoster();
    signals.onParticipants.add(onRoster);
    signals.onParticipantJoined.add(onRoster);
    signals.onParticipantUpdated.add(onRoster);
    signals.onParticipantLeft.add(onRoster);
    signals.onMe.add(onRoster);
    signals.onDisconnected.add(({ error }) => this.#lose(faultOf(error), error));
    signals.onError.add(({ error, errorCode }) => {
      if (errorCode === "#pex128" && !this.#isOver) {
        this.#client.disconnect({}).catch(nothing);
        this.#lose("no-media", error);
      }
    });
    callSignals.onCallConnected.add(() => this.#media.resolve(null));
    callSignals.onRemoteStream.add((stream) => {
      this.stream = stream;
      this.#events.onChange();
    });
    return createInfinityClient(signals, callSignals);
  }

  async #enter(): Promise<RoomFault | null> {
    const { node, alias, pin, displayName, callTag } = this.#entrance;
    const asked = this.#client
      .call({
        host: node,
        node: new URL(node).host,
        conferenceAlias: alias,
        displayName,
        callTag,
        callType: ClientCallType.Video,
        bandwidth: AUTOMATIC_BANDWIDTH,
        directMedia: false,
        mediaStream: this.#sent,
        ...(pin === null ? {} : { pin }),
      })
      .catch(() => undefined);
    const answer = await Promise.race([asked, after(JOIN_LIMIT, undefined)]);
    if (answer?.status === 200 && !this.#isOver) {
      this.#isAdmitted = true;
      void this.#tellNode();
      return null;
    }
    // Whoever comes in after all, goes.
    void asked.then(() => this.#client.disconnect({}).catch(nothing));
    switch (answer?.status) {
      case 403:
        return isPinRefused(answer.data.result) ? "pin" : "room-refused";
      case 404:
        return "no-conference";
      case 415:
        return "room-refused";
      case 200:
      case undefined:
        return "node-unreachable";
      default:
        return "node-busy";
    }
  }

  /** Sends the camera, or nothing. */
  #send(): void {
    for (const track of this.#sent.getTracks()) {
      // A copy of the camera's: once it has stopped, no frame goes out, whatever else is under way.
      track.stop();
      this.#sent.removeTrack(track);
    }
    if (this.#camera !== null && this.#isJoined) {
      this.#sent.addTrack(this.#camera.clone());
      this.#client.setStream(this.#sent);
    }
  }

  /** Tells the node to pass the picture on or not, until it agrees. */
  async #tellNode(): Promise<void> {
    if (this.#isTelling || !this.#isAdmitted) {
      return;
    }
    this.#isTelling = true;
    while (!this.#isOver && this.#nodeShows !== (this.#camera !== null)) {
      const shows = this.#camera !== null;
      const answer = await this.#client.muteVideo({ muteVideo: !shows }).catch(() => undefined);
      if (answer?.status === 200) {
        this.#nodeShows = shows;
        this.#events.onChange();
      } else {
        await after(AGAIN, undefined);
      }
    }
    this.#isTelling = false;
  }

  #readRoster(): void {
    if (this.#isOver) {
      return;
    }
    const roster = this.#client.getParticipants("main");
    const me = this.#client.getMe("main")?.uuid ?? "";
    this.people = roster.filter((one) => !one.isStreaming).map((one) => person(one, me));
    this.roster = roster.map(({ uuid, startTime, rawData }) => ({
      uuid,
      startTime,
      callTag: rawData.call_tag ?? "",
      isCalled: rawData.call_direction === "out",
    }));
    for (const uuid of olderLegs(this.roster, me)) {
      void this.#remove(uuid);
    }
    this.#events.onChange();
  }

  async #remove(uuid: string): Promise<void> {
    if (this.#removed.has(uuid)) {
      return;
    }
    this.#removed.add(uuid);
    const participantUuid = uuid as Participant["uuid"];
    const answer = await this.#client.kick({ participantUuid }).catch(() => undefined);
    if (answer?.status !== 200) {
      await after(AGAIN, undefined);
      this.#removed.delete(uuid);
      this.#readRoster();
    }
  }

  #lose(fault: RoomFault, reason: string): void {
    if (this.#isOver) {
      return;
    }
    const wasJoined = this.#isJoined;
    this.#lost.resolve(fault);
    this.#end();
    if (wasJoined) {
      this.#events.onOver(fault, reason);
    }
  }

  #end(): void {
    this.#camera = null;
    this.#isJoined = false;
    this.#isOver = true;
    this.#nodeShows = false;
    this.#lost.resolve("node-unreachable");
    this.#send();
    this.stream = null;
    this.people = [];
  }
}

/** What a disconnect reason of Pexip means to the agent. */
export function faultOf(reason: string): RoomFault {
  if (/^timeout waiting/i.test(reason)) {
    return "room-refused";
  }
  if (/^disconnected by|participant disconnect$/i.test(reason)) {
    return "removed";
  }
  return /conference (termin|host)|ended the conference|^no participants|^last remaining/i.test(reason)
    ? "conference-over"
    : "node-unreachable";
}

function isPinRefused(result: unknown): boolean {
  return typeof result === "string" ? /^invalid pin/i.test(result) : Object.hasOwn(Object(result) as object, "pin");
}

function person(participant: Participant, me: string): Person {
  return {
    uuid: participant.uuid,
    name: participant.displayName ?? "",
    isMe: participant.uuid === me,
    isTrunk: participant.rawData.call_direction === "out",
    isVideoMuted: participant.isCameraMuted,
  };
}

function after<T>(time: number, value: T): Promise<T> {
  return new Promise((done) => setTimeout(done, time, value));
}
