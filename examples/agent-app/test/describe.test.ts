import assert from "node:assert/strict";
import { test } from "node:test";
import { describe, type Situation } from "../src/describe.ts";
import { parseConference } from "../src/lookup.ts";
import * as texts from "../src/texts.ts";

const NOTHING: Situation = {
  reason: null,
  trouble: null,
  camera: null,
  room: "out",
  isHeld: false,
  hasCustomerLeft: false,
  isKnown: true,
  conference: null,
};
const conference = (state: string): Situation["conference"] => parseConference({ state });

const PAGES: readonly [name: string, changes: Partial<Situation>, status: texts.Status, sentence: string][] = [
  ["at first", { reason: "unknown" }, "looking-up", ""],
  ["the lookup is under way", {}, "looking-up", ""],
  ["the room is not there yet", { conference: conference("waiting") }, "waiting", texts.NO_ROOM_YET],
  ["the room is there", { conference: conference("active") }, "joining", ""],
  ["the room has ended", { conference: conference("ended") }, "ended", texts.TROUBLE["conference-over"]],
  ["the call rings", { reason: "ringing" }, "waiting", texts.RINGING],
  ["the agent is consulted", { reason: "consulted" }, "waiting", texts.CONSULTED],
  ["the agent is not on the call", { reason: "absent" }, "failed", texts.TROUBLE["not-on-call"]],
  ["no aniName", { reason: "nameless" }, "failed", texts.TROUBLE["no-name"]],
  ["no conference", { trouble: "no-conference" }, "failed", texts.TROUBLE["no-conference"]],
  ["wrong division", { trouble: "wrong-division" }, "failed", texts.TROUBLE["wrong-division"]],
  ["expired token", { trouble: "expired", reason: "unknown" }, "failed", texts.TROUBLE.expired],
  ["expired token in the room", { trouble: "expired", room: "joined", isKnown: false }, "joined", texts.TROUBLE.expired],
  ["node unreachable", { trouble: "node-unreachable" }, "failed", texts.TROUBLE["node-unreachable"]],
  ["camera refused", { camera: "refused", room: "joined" }, "joined", texts.CAMERA.refused],
  ["joining", { room: "joining" }, "joining", ""],
  ["joined", { room: "joined" }, "joined", ""],
  ["joined, but the call is not known", { room: "joined", isKnown: false }, "joined", texts.CHECKING],
  ["held", { room: "joined", isHeld: true, isKnown: false }, "held", ""],
  ["the customer left the room", { room: "joined", hasCustomerLeft: true }, "joined", texts.CUSTOMER_LEFT],
  ["transferred away", { reason: "left" }, "ended", texts.LEFT],
  ["over", { reason: "over" }, "ended", texts.OVER],
  ["the room ended under the agent", { trouble: "conference-over" }, "ended", texts.TROUBLE["conference-over"]],
];

for (const [name, changes, status, sentence] of PAGES) {
  test(`${name}: ${status}`, () => {
    assert.deepEqual(describe({ ...NOTHING, ...changes }), [status, sentence]);
  });
}

test("Every trouble has a sentence that says what to do.", () => {
  for (const [trouble, sentence] of [...Object.entries(texts.TROUBLE), ...Object.entries(texts.CAMERA)]) {
    assert.match(sentence, /^[A-Z].*\..*(press Retry|Press Retry|Ask your administrator|ask your administrator)/, trouble);
  }
});
