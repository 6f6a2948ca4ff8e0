import assert from "node:assert/strict";
import { test } from "node:test";
import { callState, overFor, parseConversation, parseNotification, type CallState } from "../src/call-state.ts";
import { agent, CALL_ID, customer, left, ME, notification, OTHER, type Party, rest } from "./conversations.ts";

const CONSULT = { consultParticipantId: "agent other" };
const EARLIER = { startTime: "2026-01-15T10:00:00Z" };
const LATER = { startTime: "2026-01-15T10:30:00Z" };

/** What each conversation means to the agent ME, however it is told. */
const STATES: readonly [name: string, parties: readonly Party[], expected: Partial<CallState>][] = [
  ["a call that rings", [customer(), agent(ME, { state: "alerting" })], { leg: "ringing", held: false }],
  ["a call that is offered", [customer(), agent(ME, { state: "offering" })], { leg: "ringing" }],
  ["a call that is answered", [customer(), agent(ME)], { leg: "connected", held: false, customer: "present" }],
  ["an id in capitals", [customer(), agent(ME.toUpperCase())], { leg: "connected" }],
  ["a call of another agent", [customer(), agent(OTHER)], { leg: "absent", others: 1 }],
  ["a state that is new", [customer(), agent(ME, { state: "parked" })], { leg: "unknown" }],
  ["a leg held by the agent", [customer(), agent(ME, { held: true })], { leg: "connected", held: true }],
  ["a customer that is held", [customer({ held: true }), agent(ME)], { held: true }],
  ["a customer that is confined", [customer({ confined: true }), agent(ME)], { held: true }],
  ["an agent that is confined", [customer(), agent(ME, { confined: true })], { held: true }],
  ["a microphone that is off", [customer(), agent(ME, { muted: true })], { held: false, muted: true }],
  [
    "a consultation of mine",
    [customer(), agent(ME, { ...CONSULT, attributes: { consultInitiator: "true" } }), agent(OTHER, CONSULT)],
    { leg: "connected", held: true, others: 1 },
  ],
  [
    "a consultation while I speak with the customer",
    [
      customer(),
      agent(ME, { ...CONSULT, attributes: { consultInitiator: "true" } }),
      agent(OTHER, { ...CONSULT, confined: true }),
    ],
    { leg: "connected", held: false },
  ],
  ["being consulted", [customer(), agent(OTHER), agent(ME, CONSULT)], { leg: "consulted", others: 1 }],
  [
    "a consultation that became a transfer",
    [customer(), left(OTHER, "transfer.consult"), agent(ME)],
    { leg: "connected", held: false, others: 0 },
  ],
  ["a leg that I hung up", [customer(), left(ME, "client")], { leg: "ended", ending: "client", others: 0 }],
  ["a customer that hung up", [customer({ state: "disconnected" }), agent(ME)], { leg: "connected", customer: "gone" }],
  ["a customer whose leg was cut off", [customer({ state: "terminated" }), agent(ME)], { customer: "gone" }],
  [
    "a second customer that is still there",
    [customer({ state: "disconnected" }), customer({ id: "second" }), agent(ME)],
    { customer: "present" },
  ],
  ["no customer", [agent(ME)], { customer: "absent", leg: "connected" }],
  ["a caller that is called external", [customer({ purpose: "external" }), agent(ME)], { customer: "present" }],
  [
    "a call that came back after a transfer",
    [customer(), left(ME, "transfer", EARLIER), left(OTHER, "transfer"), agent(ME, LATER)],
    { leg: "connected", ending: "", others: 0 },
  ],
  [
    "a call that came back, told in another order",
    [agent(ME, LATER), left(OTHER, "transfer"), left(ME, "client", EARLIER), customer()],
    { leg: "connected", ending: "" },
  ],
  [
    "a call that came back and was hung up",
    [customer(), left(ME, "client", LATER), left(ME, "transfer", EARLIER)],
    { leg: "ended", ending: "client" },
  ],
  [
    "a call that came back and rings",
    [customer(), left(ME, "transfer", EARLIER), agent(ME, { ...LATER, state: "alerting" })],
    { leg: "ringing" },
  ],
];

for (const [name, parties, expected] of STATES) {
  for (const [shape, conversation] of [
    ["REST", parseConversation(rest(...parties))],
    ["notification", parseNotification(notification(...parties))],
  ] as const) {
    test(`${name} means the same by ${shape}`, () => {
      assert(conversation);
      const state = callState(conversation, ME);
      assert.deepEqual({ ...state, ...expected }, state);
    });
  }
}

const ENDINGS: readonly [name: string, parties: readonly Party[], over: ReturnType<typeof overFor>][] = [
  ["the call goes on", [customer(), agent(ME)], "nobody"],
  ["it is not answered yet", [customer(), agent(ME, { state: "alerting" })], "nobody"],
  ["the last agent hangs up", [customer(), left(ME, "client")], "everybody"],
  ["the last agent hangs up the telephone", [customer(), left(ME, "endpoint")], "everybody"],
  ["an agent hangs up and another stays", [customer(), left(ME, "client"), agent(OTHER)], "me"],
  ["an agent hangs up and another is rung", [customer(), left(ME, "client"), agent(OTHER, { state: "alerting" })], "me"],
  ["a blind transfer", [customer(), left(ME, "transfer")], "me"],
  ["a consult transfer", [customer(), left(ME, "transfer.consult"), agent(OTHER)], "me"],
  ["a transfer that got no answer", [customer(), left(ME, "transfer.noanswer")], "me"],
  ["a forwarded call", [customer(), left(ME, "transfer.forward")], "me"],
  ["the other side ends the agent's leg", [customer(), left(ME, "peer")], "me"],
  ["the agent's telephone fails", [customer(), left(ME, "transport.failure")], "me"],
  ["Genesys Cloud ends the leg", [customer(), left(ME, "system")], "me"],
  ["a word that is new", [customer(), left(ME, "client2")], "me"],
  ["a leg that ended without a word", [customer(), left(ME, "")], "me"],
  ["the customer hangs up", [customer({ state: "disconnected" }), agent(ME)], "everybody"],
  ["the customer hangs up while two agents are there", [customer({ state: "disconnected" }), agent(ME), agent(OTHER)], "everybody"],
  ["the customer leaves after a transfer", [customer({ state: "disconnected" }), left(ME, "transfer")], "everybody"],
  ["a stale leg of mine that hung up", [customer(), left(ME, "client", EARLIER), agent(ME, LATER)], "nobody"],
  ["no customer is listed", [agent(ME)], "nobody"],
];

for (const [name, parties, over] of ENDINGS) {
  test(`over for ${over}: ${name}`, () => {
    const conversation = parseConversation(rest(...parties));
    assert(conversation);
    assert.equal(overFor(callState(conversation, ME)), over);
  });
}

test("The call id is the name of the first customer that has one.", () => {
  const conversation = parseConversation(rest(customer({ aniName: " " }), customer({ aniName: ` ${CALL_ID} ` }), agent(ME)));
  assert(conversation);
  assert.equal(callState(conversation, ME).callId, CALL_ID);
});

const ADDRESS = `sip:hcp${CALL_ID}@video.example.com`;
const CALLERS: readonly [name: string, caller: Party, callId: string][] = [
  ["in quotation marks", { aniName: `"${CALL_ID}"` }, CALL_ID],
  ["in capitals", { aniName: CALL_ID.toUpperCase() }, CALL_ID.toUpperCase()],
  ["as an address", { aniName: ADDRESS }, `hcp${CALL_ID}`],
  ["as name and address in one", { aniName: `"hcp${CALL_ID}" <${ADDRESS}>` }, `hcp${CALL_ID}`],
  ["percent-encoded", { aniName: encodeURIComponent(ADDRESS) }, `hcp${CALL_ID}`],
  ["not to be decoded", { aniName: `100% ${CALL_ID}` }, CALL_ID],
  ["in the address alone", { aniName: undefined, ani: `sip:${CALL_ID}@10.0.0.5;transport=tls` }, CALL_ID],
  ["in the address, the name being a carrier's", { aniName: "WIRELESS CALLER", ani: ADDRESS }, `hcp${CALL_ID}`],
  ["in the address, the name being a person's", { aniName: "Ada L", ani: `sip:${CALL_ID}@video.example.com` }, CALL_ID],
  [
    "in the address, the name being a long word",
    { aniName: "Donaudampfschiffahrtsgesellschaft", ani: `sip:${CALL_ID}@video.example.com` },
    CALL_ID,
  ],
  ["in the name, the address being the trunk's", { aniName: CALL_ID, ani: "sip:99@10.0.0.5" }, CALL_ID],
  ["in the name, the address being hidden", { aniName: CALL_ID, ani: "sip:anonymous@anonymous.invalid" }, CALL_ID],
  ["of a kiosk", { aniName: "Branch Zürich", ani: "sip:Kiosk%20kiosk-007@video.example.com" }, "Kiosk%20kiosk-007"],

  ["of a kiosk whose address is a number", { aniName: "Kiosk 7", ani: "sip:+13175551234@x" }, "Kiosk 7"],
  ["of an external", { purpose: "external", aniName: CALL_ID }, CALL_ID],
  ["of an ordinary call", { aniName: "Ada L", ani: "tel:+13175551234" }, "Ada L"],
  ["of a call without a name", { aniName: undefined, ani: "tel:+13175551234" }, ""],
];

for (const [name, caller, callId] of CALLERS) {
  test(`the call id ${name} is ${callId || "none"}`, () => {
    const conversation = parseConversation(rest(customer(caller), agent(ME)));
    assert(conversation);
    assert.equal(callState(conversation, ME).callId, callId);
  });
}

test("A participant without calls has a state of its own.", () => {
  const own = { purpose: "user", userId: ME, state: "connected", calls: [] };
  const conversation = parseConversation({ id: "x", participants: [own] });
  assert(conversation);
  assert.equal(callState(conversation, ME).leg, "connected");
});

test("Of several calls of a participant the one that is up counts.", () => {
  const calls = [{ state: "connected" }, { state: "disconnected", disconnectType: "client" }];
  const conversation = parseConversation({ id: "x", participants: [{ purpose: "agent", userId: ME, calls }] });
  assert(conversation);
  assert.equal(callState(conversation, ME).leg, "connected");
});

for (const [name, body] of Object.entries({
  nothing: null,
  text: "conversation",
  "no participants": { id: "x" },
  "no id": { participants: [] },
})) {
  test(`${name} is no conversation`, () => {
    assert.equal(parseConversation(body), null);
    assert.equal(parseNotification(body), null);
  });
}

test("Participants without any of the known fields are nobody.", () => {
  const conversation = parseConversation({ id: "x", participants: [null, 1, {}, { purpose: "agent", calls: "no" }] });
  assert(conversation);
  assert.deepEqual(callState(conversation, ME), {
    leg: "absent",
    held: false,
    muted: false,
    ending: "",
    customer: "absent",
    others: 0,
    callId: "",
  });
});
