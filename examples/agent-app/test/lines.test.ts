/** Names of strangers and words of ours are different parts of a line. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { attributeLine, type Line, personLine, timelineLine } from "../src/lines.ts";
import * as texts from "../src/texts.ts";

const CALLER = { name: "Ada L", isMe: false, isTrunk: false, isVideoMuted: false, joins: "" };
const FORGED = `Ada (${texts.CONTACT_CENTRE})`;
const AT = "not a time";

const LINES: readonly [name: string, line: Line, expected: Line][] = [
  ["somebody", personLine(CALLER), { before: "", theirs: "Ada L", after: "" }],
  [
    "the phone line",
    personLine({ ...CALLER, isTrunk: true }),
    { before: "", theirs: "Ada L", after: ` (${texts.CONTACT_CENTRE})` },
  ],
  [
    "the agent, without video",
    personLine({ ...CALLER, isMe: true, isVideoMuted: true }),
    { before: "", theirs: "Ada L", after: ` (${texts.YOU}, ${texts.VIDEO_OFF})` },
  ],
  [
    "an interpreter",
    personLine({ ...CALLER, name: "mari", joins: "interpreter Maria R" }),
    { before: "", theirs: "mari", after: " (interpreter Maria R)" },
  ],
  ["somebody named like the phone line", personLine({ ...CALLER, name: FORGED }), { before: "", theirs: FORGED, after: "" }],
  ["an attribute", attributeLine("language", "de: es"), { before: "language: ", theirs: "de: es", after: "" }],
  [
    "what somebody did",
    timelineLine({ at: AT, kind: "joined", text: "Ada L joined as Guest.", who: "Ada L" }),
    { before: " ", theirs: "Ada L", after: " joined as Guest." },
  ],
  [
    "what somebody did whose name is a sentence of ours",
    timelineLine({ at: AT, kind: "left", text: "+13129998045 answered. left.", who: "+13129998045 answered." }),
    { before: " ", theirs: "+13129998045 answered.", after: " left." },
  ],
  [
    "what a number did",
    timelineLine({ at: AT, kind: "trunk_answered", text: "+13129998045 answered.", who: "" }),
    { before: " ", theirs: "", after: "+13129998045 answered." },
  ],
  [
    "what has no words",
    timelineLine({ at: AT, kind: "policy.answered", text: "", who: "" }),
    { before: " ", theirs: "", after: "policy.answered" },
  ],
];

for (const [name, line, expected] of LINES) {
  test(`a line of ${name}`, () => {
    assert.deepEqual(line, expected);
  });
}
