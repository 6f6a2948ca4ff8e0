/** What a line of a list says, ours apart from what strangers call themselves. No I/O. */
import type { TimelineLine } from "./lookup.ts";
import type { Person } from "./room.ts";
import * as texts from "./texts.ts";

/** The page shows `theirs` as a part of its own, so that a name cannot pass for a word of ours. */
export interface Line {
  readonly before: string;
  readonly theirs: string;
  readonly after: string;
}

/** `joins`: what somebody is who joins the call by a link of their own, and its name; "" for everybody else. */
export type Shown = Pick<Person, "name" | "isMe" | "isTrunk" | "isVideoMuted"> & { readonly joins: string };

export const NOBODY: Line = { before: texts.NOBODY, theirs: "", after: "" };

export function personLine(person: Shown): Line {
  const notes = [
    person.isMe ? texts.YOU : "",
    person.joins,
    person.isTrunk ? texts.CONTACT_CENTRE : "",
    person.isVideoMuted ? texts.VIDEO_OFF : "",
  ].filter(Boolean);
  return { before: "", theirs: person.name, after: notes.length > 0 ? ` (${notes.join(", ")})` : "" };
}

export function attributeLine(name: string, value: string): Line {
  return { before: `${name}: `, theirs: value, after: "" };
}

export function timelineLine({ at, kind, text, who }: TimelineLine): Line {
  const theirs = text.startsWith(who) ? who : "";
  return { before: `${clock(at)} `, theirs, after: text.slice(theirs.length) || kind };
}

function clock(at: string): string {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? "" : time.toLocaleTimeString([], { hour12: false });
}
