/** Genesys Cloud: signing in (Authorization Code with PKCE) and REST. */
import type { Config } from "./config.ts";

export type GenesysFault = "expired" | "not-permitted" | "not-found" | "genesys-busy" | "genesys-unreachable";

/** A request that Genesys Cloud did not answer as hoped. `retryAfter` is in milliseconds. */
export class GenesysError extends Error {
  readonly fault: GenesysFault;
  readonly retryAfter: number;

  constructor(fault: GenesysFault, retryAfter = 0) {
    super(fault);
    this.fault = fault;
    this.retryAfter = retryAfter;
  }
}

/** A sign-in that came back without a token. */
export class SignInError extends Error {
  readonly fault: "sign-in-refused" | "sign-in-failed";

  constructor(fault: SignInError["fault"], detail = "") {
    super(detail);
    this.fault = fault;
  }
}

export interface Me {
  readonly id: string;
  readonly name: string;
}

/** Where the page was opened, or where it came back from the sign-in. */
export interface Visit {
  /** `""` when it is none. */
  readonly conversationId: string;
  /** The address holds a placeholder that Genesys Cloud did not fill in, or what a script writes for nothing. */
  readonly isUnfilled: boolean;
  readonly state: string;
  readonly code: string;
  readonly error: string;
}

const REQUEST_LIMIT = 8_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const UNFILLED = /\{\{|\}\}|%7b|\$\{|pcConversationId|^(undefined|null|none|nan|\[object object\]|\s*)$/i;
const VERIFIER = "agent-app.verifier.";
const TOKEN = "agent-app.token";
/** A token that ends this soon is not worth starting with. */
const TOKEN_MARGIN = 60_000;

/** What the page's address says. The conversation id is in `state` after the sign-in. */
export function parseVisit(search: string): Visit {
  const query = new URLSearchParams(search);
  const state = query.get("state") ?? "";
  const given = query.get("conversationid");
  const id = given ?? state.split(".")[0] ?? "";
  return {
    conversationId: UUID.test(id) ? id.toLowerCase() : "",
    isUnfilled: given !== null && UNFILLED.test(given),
    state,
    code: query.get("code") ?? "",
    error: query.get("error_description") ?? query.get("error") ?? "",
  };
}

/** What is sent for a verifier (RFC 7636, S256). */
export async function challengeOf(verifier: string): Promise<string> {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

/** A token that an earlier load of this page left, `""` without. */
export function keptToken(config: Config, now: number): string {
  const kept = sessionStorage.getItem(TOKEN);
  if (!kept) {
    return "";
  }
  const [api, clientId, until, token] = kept.split(" ");
  return api === config.genesysApi && clientId === config.clientId && Number(until) > now + TOKEN_MARGIN
    ? (token ?? "")
    : "";
}

export function forgetToken(): void {
  sessionStorage.removeItem(TOKEN);
}

/** Leaves the page for the sign-in, inside the iframe; it comes back with a code. */
export async function leaveToSignIn(config: Config, conversationId: string, page: string): Promise<never> {
  const verifier = random(48);
  const state = `${conversationId}.${random(12)}`;
  sessionStorage.setItem(VERIFIER + state, verifier);
  const url = new URL("/oauth/authorize", config.genesysLogin);
  url.search = new URLSearchParams({
    response_type: "code",
    client_id: config.clientId,
    redirect_uri: page,
    state,
    code_challenge: await challengeOf(verifier),
    code_challenge_method: "S256",
  }).toString();
  location.assign(url);
  return new Promise<never>(() => {});
}

/** Turns the code that came back into a token, and keeps that for reloads. Throws SignInError and GenesysError. */
export async function finishSignIn(config: Config, visit: Visit, page: string, now: number): Promise<string> {
  const verifier = sessionStorage.getItem(VERIFIER + visit.state);
  sessionStorage.removeItem(VERIFIER + visit.state);
  if (visit.error) {
    throw new SignInError("sign-in-refused", visit.error);
  }
  if (!verifier) {
    throw new SignInError("sign-in-failed", "the sign-in was not begun in this window");
  }
  const form = new URLSearchParams({
    grant_type: "authorization_code",
    code: visit.code,
    redirect_uri: page,
    client_id: config.clientId,
    code_verifier: verifier,
  });
  const response = await send(new URL("/oauth/token", config.genesysLogin), { method: "POST", body: form });
  const body = (response.ok ? await json(response) : {}) as { access_token?: unknown; expires_in?: unknown };
  if (typeof body.access_token !== "string" || !body.access_token) {
    throw new SignInError("sign-in-failed", `the token request was answered with status ${response.status}`);
  }
  const until = now + (Number(body.expires_in) || 3600) * 1000;
  sessionStorage.setItem(TOKEN, [config.genesysApi, config.clientId, until, body.access_token].join(" "));
  return body.access_token;
}

/** REST with one agent's token. All methods throw GenesysError. */
export class Genesys {
  readonly token: string;
  readonly #api: string;

  constructor(config: Config, token: string) {
    this.#api = config.genesysApi;
    this.token = token;
  }

  async me(): Promise<Me> {
    const body = (await this.#ask("GET", "/api/v2/users/me")) as { id?: unknown; name?: unknown };
    if (typeof body.id !== "string") {
      throw new GenesysError("not-permitted");
    }
    return { id: body.id, name: typeof body.name === "string" ? body.name : "" };
  }

  /** The conversation as it comes. */
  conversation(id: string): Promise<unknown> {
    return this.#ask("GET", `/api/v2/conversations/${encodeURIComponent(id)}`);
  }

  /** A new channel that delivers one topic; the address of its web socket. */
  async channel(topic: string): Promise<string> {
    const made = (await this.#ask("POST", "/api/v2/notifications/channels")) as { id?: unknown; connectUri?: unknown };
    if (typeof made.id !== "string" || typeof made.connectUri !== "string") {
      throw new GenesysError("genesys-unreachable");
    }
    const path = `/api/v2/notifications/channels/${encodeURIComponent(made.id)}/subscriptions`;
    await this.#ask("POST", path, [{ id: topic }]);
    return made.connectUri;
  }

  async #ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.token}` };
    if (body !== undefined) {
      headers["content-type"] = "application/json";
    }
    const content = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await send(new URL(path, this.#api), { method, headers, ...content });
    if (response.ok) {
      return json(response);
    }
    throw new GenesysError(faultOf(response.status), retryAfter(response));
  }
}

/** What a status means. */
export function faultOf(status: number): GenesysFault {
  switch (status) {
    case 401:
      return "expired";
    case 403:
      return "not-permitted";
    case 400:
    case 404:
      return "not-found";
    default:
      return status === 429 || status >= 500 ? "genesys-busy" : "genesys-unreachable";
  }
}

/** `Retry-After` of an answer in milliseconds, 0 without. */
export function retryAfter(response: Response): number {
  return (Number(response.headers.get("retry-after")) || 0) * 1000;
}

async function send(url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...init, cache: "no-store", signal: AbortSignal.timeout(REQUEST_LIMIT) });
  } catch {
    throw new GenesysError("genesys-unreachable");
  }
}

async function json(response: Response): Promise<unknown> {
  try {
    return (await response.json()) ?? {};
  } catch {
    throw new GenesysError("genesys-unreachable");
  }
}

function random(bytes: number): string {
  return base64url(crypto.getRandomValues(new Uint8Array(bytes)));
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
