/** The policy server's lookup: which conference a call belongs to, and what happens in it. */

export type LookupFault =
  | "expired"
  | "wrong-division"
  | "not-bound"
  | "no-conference"
  | "policy-busy"
  | "policy-unreachable";

/** A lookup that did not find. `retryAfter` is in milliseconds. */
export class LookupError extends Error {
  readonly fault: LookupFault;
  readonly retryAfter: number;

  constructor(fault: LookupFault, detail = "", retryAfter = 0) {
    super(detail);
    this.fault = fault;
    this.retryAfter = retryAfter;
  }
}

export interface TimelineLine {
  readonly at: string;
  readonly kind: string;
  readonly text: string;
  /** Whose name `text` begins with, `""` if no name of a participant does. */
  readonly who: string;
}

/** What the widget uses of a conference. */
export interface Conference {
  readonly name: string;
  /** What of the customer named the conference: `aniName` or `ani`. */
  readonly foundBy: string;
  readonly state: "waiting" | "active" | "ended";
  readonly node: string | null;
  readonly alias: string | null;
  readonly pin: string | null;
  readonly customer: string;
  readonly participants: readonly { readonly name: string; readonly role: string; readonly joins: string }[];
  /** By the ids of those who join the call by a link of their own, also of who left: what they are, and their name. */
  readonly joining: ReadonlyMap<string, string>;
  readonly attributes: Readonly<Record<string, string>>;
  readonly timeline: readonly TimelineLine[];
}

const REQUEST_LIMIT = 8_000;
/** The server says something every 15 s. */
const SILENCE_LIMIT = 40_000;
/** Before the server says when to come back after a break. */
const PAUSE = 2_000;

type Fields = Readonly<Record<string, unknown>>;

export class Lookup {
  readonly #server: string;
  readonly #token: string;
  readonly #conversationId: string;
  #reconnect = PAUSE;

  constructor(server: string, token: string, conversationId: string) {
    this.#server = server;
    this.#token = token;
    this.#conversationId = conversationId;
  }

  /** The conference of a call. Throws LookupError. */
  async find(callId: string): Promise<Conference> {
    const response = await this.#ask(callId, "", AbortSignal.timeout(REQUEST_LIMIT));
    try {
      return parseConference(await response.json());
    } catch {
      throw new LookupError("policy-unreachable", "the answer is no conference");
    }
  }

  /** Follows the conference until aborted or refused; reports each state. Throws LookupError when refused. */
  async follow(callId: string, onChange: (conference: Conference) => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let atLeast = 0;
      try {
        await this.#read(callId, onChange, signal);
      } catch (error) {
        const isFinal = error instanceof LookupError && !error.fault.startsWith("policy-");
        if (isFinal && !signal.aborted) {
          throw error;
        }
        if (error instanceof LookupError) {
          atLeast = error.retryAfter;
        }
      }
      await pause(Math.max(this.#reconnect, atLeast), signal);
    }
  }

  async #read(callId: string, onChange: (conference: Conference) => void, signal: AbortSignal): Promise<void> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_LIMIT);
    try {
      const response = await this.#ask(callId, "/events", AbortSignal.any([signal, silence.signal]));
      const events = new EventParser();
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_LIMIT);
        const told = events.feed(part.value);
        this.#reconnect = events.retry ?? this.#reconnect;
        for (const { name, data } of told) {
          if (name === "conference") {
            onChange(parseConference(JSON.parse(data)));
          } else if (name === "end") {
            throw problem(JSON.parse(data), 0);
          }
        }
      }
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  async #ask(callId: string, tail: string, signal: AbortSignal): Promise<Response> {
    const path = `/agent/v1/conferences/${encodeURIComponent(callId)}${tail}`;
    const url = new URL(path, this.#server);
    url.searchParams.set("conversation", this.#conversationId);
    let response: Response;
    try {
      response = await fetch(url, { headers: { authorization: `Bearer ${this.#token}` }, cache: "no-store", signal });
    } catch {
      throw new LookupError("policy-unreachable");
    }
    if (response.ok) {
      return response;
    }
    const body: unknown = await response.json().catch(() => ({}));
    throw problem(body, (Number(response.headers.get("retry-after")) || 0) * 1000, response.status);
  }
}

/** The error that a problem document (RFC 9457) stands for. */
export function problem(body: unknown, retryAfter: number, status = 0): LookupError {
  const { type, detail } = fields(body);
  const kind = text(type).split(":").at(-1) ?? "";
  return new LookupError(faultOf(kind, status || Number(fields(body)["status"])), text(detail), retryAfter);
}

function faultOf(kind: string, status: number): LookupFault {
  switch (kind) {
    case "forbidden":
      return "wrong-division";
    case "not-bound":
      return "not-bound";
    case "unauthorized":
      return "expired";
    case "unknown-conference":
    case "invalid-conversation":
      return "no-conference";
    default:
      return status === 429 || status === 503 ? "policy-busy" : "policy-unreachable";
  }
}

/** What the widget uses of an answer. Throws TypeError if it is no conference. */
export function parseConference(body: unknown): Conference {
  const given = fields(body);
  const people = list(given["participants"]).map(fields);
  const join = fields(given["join"]);
  const state = text(given["state"]);
  if (state !== "waiting" && state !== "active" && state !== "ended") {
    throw new TypeError(`state is ${state}`);
  }
  return {
    name: text(given["name"]),
    foundBy: text(given["found_by"]),
    state,
    node: text(given["node"]) || null,
    alias: text(join["alias"]) || null,
    pin: text(join["pin"]) || null,
    customer: text(fields(given["customer"])["name"]),
    participants: people
      .filter((person) => person["is_present"] === true)
      .map((person) => ({ name: text(person["display_name"]), role: text(person["role"]), joins: joinsAs(person) })),
    joining: new Map(
      people
        .filter((person) => joinsAs(person) !== "")
        .flatMap((person) => list(person["uuids"]).map((uuid): [string, string] => [text(uuid), joinsAs(person)])),
    ),
    attributes: Object.fromEntries(
      Object.entries(fields(given["attributes"])).map(([name, value]) => [name, String(value)]),
    ),
    timeline: list(given["timeline"])
      .map(fields)
      .map((line) => ({
        at: text(line["at"]),
        kind: text(line["kind"]),
        text: text(line["text"]),
        who: text(fields(line["data"])["display_name"]),
      })),
  };
}

/** What somebody is who joins the call by a link of their own, and the name of that link; "" for everybody else. */
function joinsAs(person: Fields): string {
  const link = fields(person["link"]);
  return [text(link["type"]), text(link["name"])].filter(Boolean).join(" ");
}

/** Whether the room is there, as far as the server can tell: its nodes said so, or at least one asked for it. */
export function hasRoom(conference: Conference): boolean {
  return conference.state === "active" || conference.timeline.some((line) => line.kind === "policy.answered");
}

/** Server-Sent Events out of pieces of text. */
export class EventParser {
  /** How long to wait before connecting again, in milliseconds; `undefined` until it was said. */
  retry: number | undefined;
  #rest = "";
  #name = "";
  #data: string[] = [];

  feed(piece: string): { name: string; data: string }[] {
    const found: { name: string; data: string }[] = [];
    const lines = (this.#rest + piece).split(/\r\n|\n/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (!line) {
        if (this.#data.length > 0) {
          found.push({ name: this.#name || "message", data: this.#data.join("\n") });
        }
        this.#name = "";
        this.#data = [];
      } else if (/^retry: ?\d+$/.test(line)) {
        this.retry = Number(line.slice(6));
      } else if (line.startsWith("event:")) {
        this.#name = line.slice(6).trimStart();
      } else if (line.startsWith("data:")) {
        this.#data.push(line.slice(5).replace(/^ /, ""));
      }
    }
    return found;
  }
}

/** Waits, or until aborted. */
export function pause(time: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, time);
    const stop = (): void => {
      clearTimeout(timer);
      done();
    };
    if (signal.aborted) {
      stop();
    } else {
      signal.addEventListener("abort", stop, { once: true });
    }
  });
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
