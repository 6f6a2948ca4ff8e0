/**
 * What the widget believes about the call, and what follows from it. No I/O and no clock: times are arguments, in
 * milliseconds.
 *
 * Notifications are quick but may stop without a word; reads by REST are slow but certain. The agent is shown only
 * while both say the same.
 */
import { type CallState, isSameCall, overFor } from "./call-state.ts";

/** How long the state of the call must stay the same before the agent is shown. */
export const STABLE = 750;

/** How often the watchdog reads the conversation by REST, and how often while the state is not known. */
export const WATCH = 5_000;
export const WATCH_CLOSELY = 1_000;

/** How old the last good read may be for the agent to be shown. */
export const READ_LIMIT = 15_000;

/** How long a customer who left the room may take to come back, such as after a reload, before the call is over. */
export const CUSTOMER_GRACE = 10_000;

export interface Belief {
  readonly channel: "lost" | "open";
  readonly openedAt: number;
  /** When the last notification about this call came. */
  readonly heardAt: number;
  /** When the last good read came. */
  readonly readAt: number;
  readonly call: CallState | null;
  /** Reads in a row, after the channel opened, which must still agree before the state counts as known. */
  readonly missing: number;
  /** Since when the state is known and the same. */
  readonly since: number;
}

export type News =
  | { readonly kind: "opened" | "lost" | "unread"; readonly at: number }
  | { readonly kind: "heard"; readonly at: number; readonly call: CallState }
  | { readonly kind: "read"; readonly at: number; readonly askedAt: number; readonly call: CallState };

export const IGNORANCE: Belief = {
  channel: "lost",
  openedAt: 0,
  heardAt: -1,
  readAt: -1,
  call: null,
  missing: 1,
  since: 0,
};

/** What to believe after some news. `unread`: the conversation cannot be read any more, such as without a token. */
export function learn(belief: Belief, news: News): Belief {
  switch (news.kind) {
    case "opened":
      return { ...belief, channel: "open", openedAt: news.at, since: news.at };
    case "lost":
      return { ...belief, channel: "lost", missing: Math.max(belief.missing, 1), since: news.at };
    case "unread":
      return { ...belief, missing: Math.max(belief.missing, 1), since: news.at };
    case "heard":
      // Only reads know the call id.
      return { ...withCall(belief, { ...news.call, callId: belief.call?.callId ?? "" }, news.at), heardAt: news.at };
    case "read":
      return afterRead(belief, news.call, news.askedAt, news.at);
  }
}

/** Whether what is believed is known: told by an open channel and confirmed by a read since. */
export function isKnown(belief: Belief, now: number): boolean {
  return belief.channel === "open" && belief.missing === 0 && now - belief.readAt <= READ_LIMIT;
}

function afterRead(belief: Belief, call: CallState, askedAt: number, at: number): Belief {
  if (belief.heardAt >= askedAt && belief.call !== null) {
    // Asked before the latest notification, so it may be older; but the call id is news.
    return { ...belief, call: { ...belief.call, callId: call.callId }, readAt: at };
  }
  const read = { ...withCall(belief, call, at), readAt: at };
  if (belief.channel === "lost" || askedAt < belief.openedAt) {
    return read;
  }
  if (belief.missing === 0 && belief.call !== null && !isSameCall(belief.call, call)) {
    // The channel is deaf, or REST lags. A new channel is needed, and two reads that agree.
    return { ...read, channel: "lost", missing: 2 };
  }
  const isAgain = belief.call !== null && isSameCall(belief.call, call);
  const missing = belief.missing > 1 && !isAgain ? belief.missing : Math.max(0, belief.missing - 1);
  return { ...read, missing, since: missing < belief.missing ? at : read.since };
}

function withCall(belief: Belief, call: CallState, at: number): Belief {
  const isSame = belief.call !== null && isSameCall(belief.call, call);
  return { ...belief, call, since: isSame ? belief.since : at };
}

/** Why there is nothing to join. */
export type Reason = "unknown" | "absent" | "ringing" | "consulted" | "nameless" | "left" | "over";

export interface Plan {
  /** `end` is for everybody in the room, `leave` for this agent alone. */
  readonly room: "out" | "in" | "leave" | "end";
  readonly reason: Reason | null;
  /** Whether the customer may see the agent. */
  readonly show: boolean;
  readonly held: boolean;
  /** When time alone changes the plan; `null` for never. */
  readonly wakeAt: number | null;
}

/** What to do. `inRoom`: this agent is in the room or on the way. `attendance` is of that room. */
export function decide(belief: Belief, inRoom: boolean, now: number, attendance: Attendance = NOBODY_YET): Plan {
  const { call } = belief;
  const desertedAt = inRoom && attendance.leftAt !== null ? attendance.leftAt + CUSTOMER_GRACE : Infinity;
  const plan = now >= desertedAt ? DESERTED : decideByCall(call, belief, inRoom, now);
  const wakeAt = Math.min(plan.wakeAt ?? Infinity, now < desertedAt ? desertedAt : Infinity);
  return { ...plan, wakeAt: wakeAt === Infinity ? null : wakeAt };
}

const DESERTED: Plan = { room: "end", reason: "over", show: false, held: false, wakeAt: null };

function decideByCall(call: CallState | null, belief: Belief, inRoom: boolean, now: number): Plan {
  const quiet: Plan = { room: "out", reason: null, show: false, held: false, wakeAt: null };
  if (call === null) {
    return { ...quiet, reason: "unknown" };
  }
  const over = overFor(call);
  if (over === "everybody") {
    return { ...quiet, room: inRoom ? "end" : "out", reason: "over" };
  }
  if (over === "me") {
    return { ...quiet, room: inRoom ? "leave" : "out", reason: "left" };
  }
  if (call.leg !== "connected") {
    // In doubt stay, unseen: a join that is not wanted is worse than one that lasts.
    return { ...quiet, room: inRoom ? "in" : "out", reason: call.leg === "ended" ? "left" : call.leg, held: inRoom };
  }
  if (call.customer === "absent" || !call.callId) {
    return { ...quiet, room: inRoom ? "in" : "out", reason: "nameless", held: call.held };
  }
  const joined: Plan = { ...quiet, room: "in", held: call.held };
  if (call.held || !isKnown(belief, now)) {
    return joined;
  }
  const shownAt = belief.since + STABLE;
  return now < shownAt
    ? { ...joined, wakeAt: shownAt }
    : { ...joined, show: true, wakeAt: belief.readAt + READ_LIMIT + 1 };
}

/** When the watchdog reads next, after a read that began at `askedAt`. */
export function nextRead(belief: Belief, askedAt: number, now: number): number {
  return askedAt + (belief.channel === "open" && !isKnown(belief, now) ? WATCH_CLOSELY : WATCH);
}

/** What the roster tells of a participant. */
export interface RosterEntry {
  readonly uuid: string;
  readonly callTag: string;
  readonly startTime: number;
  /** The room called this one: the contact centre's leg. */
  readonly isCalled: boolean;
}

const AGENTS_TAG = "agent.";

/** The tag that all legs of one agent in one call share. */
export function callTag(userId: string, conversationId: string): string {
  return `${AGENTS_TAG}${userId}.${conversationId}`;
}

/** Whether the customer is in the room, or was. */
export interface Attendance {
  /** Who was taken for the customer. */
  readonly came: ReadonlySet<string>;
  /** When the customer left, `null` while there or before. */
  readonly leftAt: number | null;
}

export const NOBODY_YET: Attendance = { came: new Set(), leftAt: null };

/**
 * What a roster means for the customer: whoever is neither an agent nor the contact centre, and does not join the call by a
 * link of their own, such as an interpreter. `joining` are the ids of those, which may become known after they came.
 */
export function attend(
  before: Attendance,
  roster: readonly RosterEntry[],
  joining: ReadonlySet<string>,
  now: number,
): Attendance {
  const there = roster
    .filter(({ uuid, isCalled, callTag: tag }) => !isCalled && !tag.startsWith(AGENTS_TAG) && !joining.has(uuid))
    .map(({ uuid }) => uuid);
  const came = new Set([...before.came, ...there].filter((uuid) => !joining.has(uuid)));
  return { came, leftAt: there.length > 0 || came.size === 0 ? null : (before.leftAt ?? now) };
}

/** Which participants are older legs of mine. Of two that began together one counts as older, the same for both. */
export function olderLegs(roster: readonly RosterEntry[], me: string): readonly string[] {
  const mine = roster.find((entry) => entry.uuid === me);
  if (mine === undefined || !mine.callTag) {
    return [];
  }
  const isOlder = (entry: RosterEntry): boolean =>
    entry.startTime < mine.startTime || (entry.startTime === mine.startTime && entry.uuid < mine.uuid);
  return roster.filter((entry) => entry.callTag === mine.callTag && isOlder(entry)).map((entry) => entry.uuid);
}
