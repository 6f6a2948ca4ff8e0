import assert from "node:assert/strict";
import { test } from "node:test";
import type { CallState } from "../src/call-state.ts";
import {
  attend,
  type Belief,
  callTag,
  CUSTOMER_GRACE,
  decide,
  IGNORANCE,
  isKnown,
  learn,
  type News,
  nextRead,
  NOBODY_YET,
  olderLegs,
  type RosterEntry,
  READ_LIMIT,
  STABLE,
  WATCH,
  WATCH_CLOSELY,
} from "../src/decide.ts";
import { CALL_ID } from "./conversations.ts";

const UP: CallState = {
  leg: "connected",
  held: false,
  muted: false,
  ending: "",
  customer: "present",
  others: 0,
  callId: CALL_ID,
};
const HELD: CallState = { ...UP, held: true };
/** Notifications do not tell the call id. */
const told = (call: CallState): CallState => ({ ...call, callId: "" });

const opened = (at: number): News => ({ kind: "opened", at });
const lost = (at: number): News => ({ kind: "lost", at });
const unread = (at: number): News => ({ kind: "unread", at });
const heard = (at: number, call: CallState): News => ({ kind: "heard", at, call: told(call) });
const read = (at: number, call: CallState, askedAt = at - 10): News => ({ kind: "read", at, askedAt, call });

function believe(...news: readonly News[]): Belief {
  return news.reduce(learn, IGNORANCE);
}

const KNOWN = [opened(1000), read(1100, UP)];

/** When the customer may see the agent: after some news, at some time. */
const SHOWN: readonly [name: string, news: readonly News[], now: number, shown: boolean][] = [
  ["nothing is known", [], 9000, false],
  ["the call was read, but no channel is open", [read(1000, UP)], 9000, false],
  ["a channel is open, but the call was not read", [opened(1000)], 9000, false],
  ["only a notification came", [opened(1000), heard(1100, UP)], 9000, false],
  ["the read was asked for before the channel opened", [opened(1000), read(1100, UP, 900)], 9000, false],
  ["the state was read just now", KNOWN, 1100 + STABLE - 1, false],
  ["the state was stable for long enough", KNOWN, 1100 + STABLE, true],
  ["the same notification came twice", [...KNOWN, heard(1200, UP), heard(1300, UP)], 1100 + STABLE, true],
  ["the agent holds", [...KNOWN, heard(3000, HELD)], 3000, false],
  ["the agent has held for long", [...KNOWN, heard(3000, HELD), read(8000, HELD)], 12_000, false],
  ["the agent resumed just now", [...KNOWN, heard(3000, HELD), heard(4000, UP)], 4000 + STABLE - 1, false],
  ["the agent resumed a while ago", [...KNOWN, heard(3000, HELD), heard(4000, UP)], 4000 + STABLE, true],
  [
    "the agent resumed, held and resumed again",
    [...KNOWN, heard(3000, HELD), heard(3500, UP), heard(4000, HELD), heard(4100, UP)],
    4000 + STABLE,
    false,
  ],
  ["the microphone was switched off", [...KNOWN, heard(3000, { ...UP, muted: true })], 3000, true],
  ["the channel is lost", [...KNOWN, lost(3000)], 3000, false],
  ["the channel is lost and the call was read", [...KNOWN, lost(3000), read(4000, UP)], 9000, false],
  ["the channel is back, but the call was not read", [...KNOWN, lost(3000), opened(4000)], 9000, false],
  ["the channel is back and the call was read", [...KNOWN, lost(3000), opened(4000), read(4100, UP)], 4100 + STABLE, true],
  ["the channel was lost during a hold", [...KNOWN, heard(3000, HELD), lost(3100), opened(4000), read(4100, HELD)], 9000, false],
  ["a hold was missed while the channel was lost", [...KNOWN, lost(3000), opened(4000), read(4100, HELD)], 9000, false],
  ["the watchdog says that the agent holds", [...KNOWN, read(6000, HELD)], 6000, false],
  ["the watchdog disagreed, with a new channel but no read", [...KNOWN, read(6000, HELD), opened(6500)], 9000, false],
  ["the watchdog disagreed, with a new channel and one read", [...KNOWN, read(6000, UP), read(7000, HELD), opened(7500), read(7600, UP)], 9500, false],
  [
    "the watchdog disagreed, and two reads over the new channel agree",
    [...KNOWN, read(6000, HELD), opened(6500), read(6600, UP), read(7600, UP), read(8600, UP)],
    8600 + STABLE,
    true,
  ],
  [
    "REST lags behind a hold",
    [...KNOWN, heard(3000, HELD), read(3500, UP), opened(4000), read(4100, HELD), read(5100, HELD), read(6100, HELD)],
    9000,
    false,
  ],
  ["a read from before the hold comes after it", [...KNOWN, heard(3000, HELD), read(3100, UP, 2900)], 9000, false],
  ["the call cannot be read any more", [...KNOWN, unread(3000)], 3000, false],
  ["the call can be read again", [...KNOWN, unread(3000), read(4000, UP)], 4000 + STABLE, true],
  ["the last good read is too old", KNOWN, 1100 + READ_LIMIT + 1, false],
  ["reads go on", [...KNOWN, read(6000, UP), read(11_000, UP)], 1100 + READ_LIMIT + 1, true],
  ["the customer has gone", [...KNOWN, heard(3000, { ...UP, customer: "gone" })], 9000, false],
  ["the agent's leg has ended", [...KNOWN, heard(3000, { ...UP, leg: "ended", ending: "transfer" })], 9000, false],
  ["the agent is being consulted", [opened(1000), read(1100, { ...UP, leg: "consulted" })], 9000, false],
];

for (const [name, news, now, shown] of SHOWN) {
  test(`${shown ? "shown" : "hidden"}: ${name}`, () => {
    assert.equal(decide(believe(...news), true, now).show, shown);
  });
}

/** What happens with the room, out of it and in it. */
const ROOMS: readonly [name: string, call: CallState | null, out: string, within: string, reason: string | null][] = [
  ["nothing is known", null, "out", "out", "unknown"],
  ["the call is up", UP, "in", "in", null],
  ["the call is held", HELD, "in", "in", null],
  ["the call rings", { ...UP, leg: "ringing" }, "out", "in", "ringing"],
  ["the agent is consulted", { ...UP, leg: "consulted" }, "out", "in", "consulted"],
  ["the agent is not on the call", { ...UP, leg: "absent" }, "out", "in", "absent"],
  ["the state is a new word", { ...UP, leg: "unknown" }, "out", "in", "unknown"],
  ["there is no call id", { ...UP, callId: "" }, "out", "in", "nameless"],
  ["there is no customer", { ...UP, customer: "absent" }, "out", "in", "nameless"],
  ["the agent transferred", { ...UP, leg: "ended", ending: "transfer" }, "out", "leave", "left"],
  ["the agent hung up, another stays", { ...UP, leg: "ended", ending: "client", others: 1 }, "out", "leave", "left"],
  ["the last agent hung up", { ...UP, leg: "ended", ending: "client" }, "out", "end", "over"],
  ["the customer hung up", { ...UP, customer: "gone" }, "out", "end", "over"],
];

for (const [name, call, out, within, reason] of ROOMS) {
  test(`room: ${name}`, () => {
    const belief = { ...IGNORANCE, call };
    assert.equal(decide(belief, false, 9000).room, out);
    assert.equal(decide(belief, true, 9000).room, within);
    assert.equal(decide(belief, false, 9000).reason, reason);
  });
}

test("A call that comes back is joined again.", () => {
  const away = believe(...KNOWN, heard(3000, { ...UP, leg: "ended", ending: "transfer" }));
  assert.equal(decide(away, true, 3000).room, "leave");
  const rings = learn(away, heard(4000, { ...UP, leg: "ringing" }));
  assert.equal(decide(rings, false, 4000).room, "out");
  assert.equal(decide(learn(rings, heard(5000, UP)), false, 5000).room, "in");
});

test("Notifications keep the call id that a read told.", () => {
  assert.equal(believe(...KNOWN, heard(3000, HELD)).call?.callId, CALL_ID);
});

test("A read that finds no call id any more says so.", () => {
  assert.equal(believe(...KNOWN, read(6000, { ...UP, callId: "" })).call?.callId, "");
});

test("A read that was asked for too early still tells the call id.", () => {
  const belief = believe(opened(1000), heard(1200, HELD), read(1300, UP, 1100));
  assert.equal(belief.call?.callId, CALL_ID);
  assert.equal(belief.call?.held, true);
});

test("A watchdog that disagrees wants a new channel.", () => {
  assert.equal(believe(...KNOWN, read(6000, HELD)).channel, "lost");
  assert.equal(believe(...KNOWN, read(6000, UP)).channel, "open");
});

test("The plan says when time alone changes it.", () => {
  const belief = believe(...KNOWN);
  assert.equal(decide(belief, true, 1200).wakeAt, 1100 + STABLE);
  assert.equal(decide(belief, true, 5000).wakeAt, 1100 + READ_LIMIT + 1);
  assert.equal(decide(believe(), true, 5000).wakeAt, null);
});

test("The watchdog looks closely only while the state is not known and a channel is open.", () => {
  assert.equal(nextRead(believe(), 1000, 1100), 1000 + WATCH);
  assert.equal(nextRead(believe(opened(900)), 1000, 1100), 1000 + WATCH_CLOSELY);
  assert.equal(nextRead(believe(...KNOWN), 1090, 1100), 1090 + WATCH);
  assert.equal(isKnown(believe(...KNOWN), 1100), true);
});

const TAG = callTag("me", "call");
const ROSTERS: readonly [name: string, roster: readonly [uuid: string, tag: string, start: number][], older: readonly string[]][] = [
  ["alone", [["b", TAG, 5]], []],
  ["an older leg", [["a", TAG, 1], ["b", TAG, 5]], ["a"]],
  ["two older legs", [["a", TAG, 1], ["b", TAG, 5], ["c", TAG, 2]], ["a", "c"]],
  ["a newer leg", [["b", TAG, 5], ["c", TAG, 9]], []],
  ["legs of the same moment, mine the later by name", [["a", TAG, 5], ["b", TAG, 5]], ["a"]],
  ["legs of the same moment, mine the earlier by name", [["b", TAG, 5], ["c", TAG, 5]], []],
  ["the customer and another agent", [["a", "", 1], ["b", TAG, 5], ["c", callTag("other", "call"), 2]], []],
  ["another call of mine", [["a", callTag("me", "other"), 1], ["b", TAG, 5]], []],
  ["before I am in the roster", [["a", TAG, 1]], []],
  ["a node that keeps no tags", [["a", "", 1], ["b", "", 5]], []],
];

for (const [name, roster, older] of ROSTERS) {
  test(`older legs of mine: ${name}`, () => {
    const entries = roster.map(([uuid, tag, startTime]) => ({ uuid, callTag: tag, startTime, isCalled: false }));
    assert.deepEqual(olderLegs(entries, "b"), older);
  });
}

const ME: RosterEntry = { uuid: "b", callTag: TAG, startTime: 5, isCalled: false };
const COLLEAGUE: RosterEntry = { ...ME, uuid: "c", callTag: callTag("other", "call") };
const CONTACT_CENTRE: RosterEntry = { ...ME, uuid: "d", callTag: "", isCalled: true };
const CUSTOMER: RosterEntry = { ...ME, uuid: "e", callTag: "" };

const INTERPRETER: RosterEntry = { ...CUSTOMER, uuid: "f" };

const ATTENDANCES: readonly [name: string, rosters: readonly (readonly RosterEntry[])[], leftAt: number | null][] = [
  ["before the customer came", [[ME, CONTACT_CENTRE], [ME, CONTACT_CENTRE]], null],
  ["an interpreter who comes first and leaves", [[ME, INTERPRETER], [ME]], null],
  ["an interpreter who stays when the customer left", [[ME, CUSTOMER, INTERPRETER], [ME, INTERPRETER]], 1],
  ["while the customer is there", [[ME, CONTACT_CENTRE, CUSTOMER]], null],
  ["after the customer left", [[ME, CUSTOMER], [ME, CONTACT_CENTRE, COLLEAGUE], [ME, CONTACT_CENTRE]], 1],
  ["after the customer came back", [[ME, CUSTOMER], [ME], [ME, CUSTOMER]], null],
];

for (const [name, rosters, leftAt] of ATTENDANCES) {
  test(`attendance: ${name}`, () => {
    const joining = new Set([INTERPRETER.uuid]);
    const attendance = rosters.reduce((before, roster, at) => attend(before, roster, joining, at), NOBODY_YET);
    assert.equal(attendance.leftAt, leftAt);
  });
}

test("An interpreter who is known for one only after coming was never the customer.", () => {
  const came = attend(NOBODY_YET, [ME, INTERPRETER], new Set(), 1);
  const left = attend(came, [ME], new Set(), 2);
  assert.equal(left.leftAt, 2);
  assert.equal(attend(left, [ME], new Set([INTERPRETER.uuid]), 3).leftAt, null);
});

test("A room that the customer left is ended for all, but not at once, and only by those in it.", () => {
  const belief = believe(...KNOWN);
  const attendance = { came: new Set(["e"]), leftAt: 3000 };
  const atLast = 3000 + CUSTOMER_GRACE;
  assert.equal(decide(belief, true, atLast - 1, attendance).room, "in");
  assert.equal(decide(belief, true, 3000, attendance).wakeAt, atLast);
  assert.equal(decide(belief, true, atLast, attendance).room, "end");
  assert.equal(decide(belief, false, atLast, attendance).room, "in");
});
