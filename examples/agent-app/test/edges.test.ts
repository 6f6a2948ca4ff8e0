/** What comes from outside: addresses, settings, answers, events. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cameraTrouble } from "../src/camera.ts";
import { ConfigError, nodeOrigin, parseConfig } from "../src/config.ts";
import { challengeOf, faultOf, parseVisit } from "../src/genesys.ts";
import { EventParser, hasRoom, parseConference, problem } from "../src/lookup.ts";
import { TROUBLE } from "../src/texts.ts";
import { CONVERSATION } from "./conversations.ts";

const CONFIG = {
  genesysLogin: "https://login.mypurecloud.de",
  genesysApi: "https://api.mypurecloud.de/",
  clientId: " 1234 ",
  policyServer: "https://policy.example.com",
};

test("Settings are origins without a slash; the node is left to the lookup.", () => {
  assert.deepEqual(parseConfig(CONFIG), {
    genesysLogin: "https://login.mypurecloud.de",
    genesysApi: "https://api.mypurecloud.de",
    clientId: "1234",
    policyServer: "https://policy.example.com",
    pexipNode: null,
  });
});

const NODES: readonly [node: string, origin: string | null][] = [
  ["pexip.example.com", "https://pexip.example.com"],
  ["pexip.example.com:8443", "https://pexip.example.com:8443"],
  ["https://pexip.example.com", "https://pexip.example.com"],
  ["http://127.0.0.1:8091", "http://127.0.0.1:8091"],
  ["http://[::1]:8091", "http://[::1]:8091"],
  ["http://pexip.example.com", null],
  ["https://pexip.example.com/webapp3", null],
  ["https://user:password@pexip.example.com", null],
  ["javascript://pexip.example.com", null],
  ["", null],
];

for (const [node, origin] of NODES) {
  test(`a node ${JSON.stringify(node)} is at ${origin}`, () => {
    assert.equal(nodeOrigin(node), origin);
  });
}

const FAULTS: readonly [name: string, config: unknown, message: RegExp][] = [
  ["no object", [], /must be an object/],
  ["nothing set", {}, /genesysLogin must be .*; genesysApi must be .*; policyServer must be .*; clientId must be/],
  ["plain http", { ...CONFIG, policyServer: "http://policy.example.com" }, /^policyServer must be an https address/],
  ["a path", { ...CONFIG, genesysApi: "https://api.mypurecloud.de/api/v2" }, /^genesysApi must be/],
  ["a slip of the pen", { ...CONFIG, pexipnode: "x" }, /^pexipnode is not a setting; the settings are .*pexipNode/],
  ["a bad node", { ...CONFIG, pexipNode: "http://pexip.example.com" }, /^pexipNode must be/],
];

for (const [name, config, message] of FAULTS) {
  test(`settings are refused: ${name}`, () => {
    assert.throws(() => parseConfig(config), (error) => error instanceof ConfigError && message.test(error.message));
  });
}

const VISITS: readonly [search: string, conversationId: string][] = [
  [`?conversationid=${CONVERSATION}`, CONVERSATION],
  [`?conversationid=${CONVERSATION.toUpperCase()}`, CONVERSATION],
  [`?code=x&state=${CONVERSATION}.nonce`, CONVERSATION],
  ["?conversationid={{pcConversationId}}", ""],
  ["?conversationid=../users/me", ""],
  ["?code=x&state=nonce", ""],
  ["", ""],
];

for (const [search, conversationId] of VISITS) {
  test(`the conversation of ${search || "no query"} is ${conversationId || "none"}`, () => {
    assert.equal(parseVisit(search).conversationId, conversationId);
  });
}

const PLACEHOLDERS: readonly [given: string, isUnfilled: boolean][] = [
  ["{{pcConversationId}}", true],
  ["%7B%7BpcConversationId%7D%7D", true],
  ["%257B%257BpcConversationID%257D%257D", true],
  ["undefined", true],
  ["null", true],
  ["[object Object]", true],
  ["", true],
  [CONVERSATION, false],
  ["../users/me", false],
];

for (const [given, isUnfilled] of PLACEHOLDERS) {
  test(`a conversation of ${given || "nothing"} is ${isUnfilled ? "a placeholder that was not filled in" : "none"}`, () => {
    assert.equal(parseVisit(`?conversationid=${given}`).isUnfilled, isUnfilled);
    assert.equal(parseVisit("?code=x&state=nonce").isUnfilled, false);
  });
}

test("The challenge is that of RFC 7636, appendix B.", async () => {
  assert.equal(
    await challengeOf("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
  );
});

for (const [status, fault] of [
  [401, "expired"],
  [403, "not-permitted"],
  [404, "not-found"],
  [429, "genesys-busy"],
  [503, "genesys-busy"],
  [418, "genesys-unreachable"],
] as const) {
  test(`Genesys Cloud answers ${status}: ${fault}`, () => {
    assert.equal(faultOf(status), fault);
  });
}

for (const [kind, status, fault] of [
  ["forbidden", 403, "wrong-division"],
  ["not-bound", 403, "not-bound"],
  ["unauthorized", 401, "expired"],
  ["unknown-conference", 404, "no-conference"],
  ["genesys-unavailable", 503, "policy-busy"],
  ["store-unavailable", 503, "policy-busy"],
  ["stopping", 503, "policy-busy"],
  ["too-many-streams", 429, "policy-busy"],
  ["method-not-allowed", 405, "policy-unreachable"],
] as const) {
  test(`the lookup refuses with ${kind}: ${fault}`, () => {
    const error = problem({ type: `urn:policy-server:problem:${kind}`, status, detail: "why" }, 2000);
    assert.equal(error.fault, fault);
    assert.equal(error.message, "why");
    assert.equal(error.retryAfter, 2000);
    assert(TROUBLE[error.fault].includes(" "));
  });
}

const CONFERENCE = {
  found_by: "ani",
  state: "active",
  name: "room",
  node: "pexip.example.com",
  join: { alias: "hcpabc", pin: "471920", role: "chair", call_type: "video-only" },
  customer: { name: "Ada L" },
  participants: [
    { display_name: "Ada L", role: "guest", is_present: true },
    { display_name: "Old", role: "guest", is_present: false },
    { uuids: ["m1", "m2"], display_name: "mari", role: "guest", is_present: true, link: { type: "interpreter", name: "Maria R" } },
    { uuids: ["l1"], display_name: "Lee", role: "guest", is_present: false, link: { type: "interpreter", name: "" } },
  ],
  attributes: { language: "es" },
  timeline: [{ at: "2026-11-23T16:05:02.000+00:00", kind: "joined", text: "Ada L joined as Guest.", data: { display_name: "Ada L" } }],
};

test("A conference is read with those who are present.", () => {
  assert.deepEqual(parseConference(CONFERENCE), {
    state: "active",
    name: "room",
    foundBy: "ani",
    node: "pexip.example.com",
    alias: "hcpabc",
    pin: "471920",
    customer: "Ada L",
    participants: [
      { name: "Ada L", role: "guest", joins: "" },
      { name: "mari", role: "guest", joins: "interpreter Maria R" },
    ],
    joining: new Map([
      ["m1", "interpreter Maria R"],
      ["m2", "interpreter Maria R"],
      ["l1", "interpreter"],
    ]),
    attributes: { language: "es" },
    timeline: [{ at: "2026-11-23T16:05:02.000+00:00", kind: "joined", text: "Ada L joined as Guest.", who: "Ada L" }],
  });
});

test("An answer without a state is no conference.", () => {
  assert.throws(() => parseConference({}), TypeError);
});

test("A room is there once nodes say so or have asked for it.", () => {
  const waiting = parseConference({ ...CONFERENCE, state: "waiting" });
  assert.equal(hasRoom(parseConference(CONFERENCE)), true);
  assert.equal(hasRoom(waiting), false);
  assert.equal(hasRoom({ ...waiting, timeline: [{ at: "", kind: "policy.answered", text: "", who: "" }] }), true);
});

test("Events are read however they are cut.", () => {
  const stream = 'retry: 2000\n\n: keep-alive\n\nevent: conference\nid: 3\ndata: {"a":\ndata: 1}\n\nevent: end\ndata: {}\n\n';
  for (const size of [1, 2, 7, stream.length]) {
    const parser = new EventParser();
    const found = stream.match(new RegExp(`[^]{1,${size}}`, "g"))?.flatMap((piece) => parser.feed(piece));
    assert.deepEqual(found, [
      { name: "conference", data: '{"a":\n1}' },
      { name: "end", data: "{}" },
    ]);
    assert.equal(parser.retry, 2000);
  }
});

for (const [name, trouble] of [
  ["NotAllowedError", "refused"],
  ["NotFoundError", "missing"],
  ["NotReadableError", "busy"],
] as const) {
  test(`a camera that fails with ${name} is ${trouble}`, () => {
    assert.equal(cameraTrouble(Object.assign(new Error(), { name })), trouble);
  });
}
