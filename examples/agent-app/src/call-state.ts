/**
 * What a Genesys Cloud conversation says about one agent's call. No I/O.
 *
 * The same call comes in two shapes: by REST each participant has `calls`, in notifications the state is on the
 * participant itself, ids are nested, and there is no `aniName`.
 */

/** A participant of a conversation, whichever way it came. */
export interface Party {
  readonly id: string;
  readonly purpose: string;
  readonly userId: string;
  readonly leg: "ringing" | "connected" | "ended" | "unknown";
  readonly held: boolean;
  readonly muted: boolean;
  readonly confined: boolean;
  /** The first word of `disconnectType`, `""` while the leg is up. */
  readonly ending: string;
  /** Is in a consultation before a transfer, having begun it or not. */
  readonly consulting: boolean;
  readonly consultInitiator: boolean;
  readonly startTime: string;
  /** What the server finds the conference by: the call id that the caller's address or name carries, or else one of them. */
  readonly caller: string;
}

export interface Conversation {
  readonly id: string;
  readonly parties: readonly Party[];
}

/** What matters of a call to one agent. */
export interface CallState {
  /** `consulted`: another agent asks this one, who is not yet on the customer's call. */
  readonly leg: "absent" | "ringing" | "consulted" | "connected" | "ended" | "unknown";
  /** The customer does not hear the agent, so that it must not see it either. */
  readonly held: boolean;
  /** The agent's microphone is off. The camera has a switch of its own. */
  readonly muted: boolean;
  readonly ending: string;
  readonly customer: "absent" | "present" | "gone";
  /** Other agents who are on the call or are being rung. */
  readonly others: number;
  /**
   * The call id, out of the user part of the customer's `ani` or out of its `aniName`; of a room that no link led to, such as
   * a kiosk's, the user part of its `ani`. Only REST says it.
   */
  readonly callId: string;
}

/** The caller's name of a customer is cut to what a call id or an alias could be; the server decides what it is. */
const CALL_ID_LIMIT = 250;
const CALLER_LIMIT = 1000;

/** What a call id looks like, alone or in an alias, and the alias around it; the domain is not part of it. */
const CALL_ID = /[a-z2-7]{32}/i;
const ALIAS = /[a-z0-9._-]*[a-z2-7]{32}[a-z0-9._-]*/i;

const SIP_USER = /^\W*sips?:([^@]+)@/i;
const NUMBER = /^\+?[0-9]+$/;

const RINGING = new Set(["alerting", "dialing", "contacting", "offering"]);
const ENDED = new Set(["disconnected", "terminated"]);
/** How an agent hangs up: in Genesys Cloud, or on the telephone itself. */
const HUNG_UP = new Set(["client", "endpoint"]);

type Fields = Readonly<Record<string, unknown>>;

/** A conversation as `GET /api/v2/conversations/{id}` answers it; `null` if it is none. */
export function parseConversation(body: unknown): Conversation | null {
  return parse(body, (party) => {
    const calls = list(party["calls"]).map(fields);
    const call = calls.findLast((one) => !ENDED.has(text(one["state"]))) ?? calls.at(-1) ?? party;
    return [call, text(party["userId"])];
  });
}

/** A conversation as an `eventBody` of `v2.users.{id}.conversations.calls`; `null` if it is none. */
export function parseNotification(body: unknown): Conversation | null {
  return parse(body, (party) => [party, text(fields(party["user"])["id"]) || text(party["userId"])]);
}

/** What a conversation means to one agent. Ids of users are compared without case. */
export function callState(conversation: Conversation, userId: string): CallState {
  const agents = conversation.parties.filter(({ purpose }) => purpose === "agent" || purpose === "user");
  const isMine = (party: Party): boolean => party.userId.toLowerCase() === userId.toLowerCase();
  const mine = currentLeg(agents.filter(isMine));
  const others = agents.filter((party) => !isMine(party) && isLive(party));
  const customers = customersOf(conversation);
  return {
    leg: legOf(mine),
    held: mine !== undefined && (isHeld(mine, others) || customers.some((party) => party.held || party.confined)),
    muted: mine?.muted ?? false,
    ending: mine?.leg === "ended" ? mine.ending : "",
    customer: presenceOf(customers),
    others: others.length,
    callId: customers.find((party) => party.caller)?.caller ?? "",
  };
}

/** Whom the end of a call concerns. The call is over for everybody only without the customer or the last agent. */
export function overFor(call: CallState): "nobody" | "me" | "everybody" {
  if (call.customer === "gone") {
    return "everybody";
  }
  if (call.leg !== "ended") {
    return "nobody";
  }
  return call.others === 0 && HUNG_UP.has(call.ending) ? "everybody" : "me";
}

/** Whether two states are the same as far as joining and showing go. */
export function isSameCall(one: CallState, other: CallState): boolean {
  return one.leg === other.leg && one.held === other.held && one.customer === other.customer;
}

function parse(body: unknown, callOf: (party: Fields) => [call: Fields, userId: string]): Conversation | null {
  const { id, participants } = fields(body);
  if (typeof id !== "string" || !Array.isArray(participants)) {
    return null;
  }
  return { id, parties: participants.map(fields).map((party) => parseParty(party, ...callOf(party))) };
}

function parseParty(party: Fields, call: Fields, userId: string): Party {
  const state = text(call["state"]);
  const hasEnded = Boolean(party["endTime"]) || ENDED.has(state);
  const leg = hasEnded ? "ended" : state === "connected" ? "connected" : RINGING.has(state) ? "ringing" : "unknown";
  const disconnectType = text(call["disconnectType"]) || text(party["disconnectType"]);
  const [ending = ""] = disconnectType.toLowerCase().split(/[^a-z0-9]/);
  return {
    id: text(party["id"]),
    purpose: text(party["purpose"]).toLowerCase(),
    userId,
    leg,
    held: call["held"] === true,
    muted: call["muted"] === true,
    confined: call["confined"] === true,
    ending: hasEnded ? ending : "",
    consulting: Boolean(party["consultParticipantId"]),
    consultInitiator: text(fields(party["attributes"])["consultInitiator"]) === "true",
    startTime: text(party["startTime"]),
    caller: callerOf(text(party["aniName"]).trim(), text(party["ani"])),
  };
}

/**
 * A carrier may put the name into quotation marks or a SIP address, or replace it and leave the address as it was. The address
 * comes first, for a name may be a person's, and long. A SIP address without a call id is that of a room without one.
 */
function callerOf(name: string, address: string): string {
  const carrier = [address, name].map((one) => decoded(one.slice(0, CALLER_LIMIT))).find((one) => CALL_ID.test(one));
  return (carrier?.match(ALIAS)?.[0] ?? (userOf(address) || name)).slice(0, CALL_ID_LIMIT);
}

/** The user part of a SIP address as it stands there, `""` for a telephone's. */
function userOf(address: string): string {
  const user = address.slice(0, CALLER_LIMIT).match(SIP_USER)?.[1] ?? "";
  return NUMBER.test(user) ? "" : user;
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** The leg that counts: the one that is up; of legs left over from earlier transfers, the latest. */
function currentLeg(legs: readonly Party[]): Party | undefined {
  const latest = (some: readonly Party[]): Party | undefined =>
    some.reduce<Party | undefined>((best, leg) => (best && best.startTime > leg.startTime ? best : leg), undefined);
  for (const state of ["connected", "ringing", "unknown"]) {
    const found = latest(legs.filter((leg) => leg.leg === state));
    if (found) {
      return found;
    }
  }
  return latest(legs);
}

function legOf(mine: Party | undefined): CallState["leg"] {
  if (mine === undefined) {
    return "absent";
  }
  const isConsulted = mine.consulting && !mine.consultInitiator;
  return mine.leg === "connected" && isConsulted ? "consulted" : mine.leg;
}

/** A consultation is a hold, unless the other agent is the one who is shut out. */
function isHeld(mine: Party, others: readonly Party[]): boolean {
  const isAway = mine.consulting && !others.some((party) => party.leg === "connected" && party.confined);
  return mine.held || mine.confined || isAway;
}

function presenceOf(customers: readonly Party[]): CallState["customer"] {
  if (customers.length === 0) {
    return "absent";
  }
  return customers.every((party) => party.leg === "ended") ? "gone" : "present";
}

function isLive(party: Party): boolean {
  return party.leg === "connected" || party.leg === "ringing";
}

function customersOf(conversation: Conversation): readonly Party[] {
  const of = (purpose: string): Party[] => conversation.parties.filter((party) => party.purpose === purpose);
  const customers = of("customer");
  return customers.length > 0 ? customers : of("external");
}

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
