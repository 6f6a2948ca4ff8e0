/** The settings, from `config.json` beside the page. */

export interface Config {
  readonly genesysLogin: string;
  readonly genesysApi: string;
  readonly clientId: string;
  readonly policyServer: string;
  /** Instead of the node that the lookup names; an origin. */
  readonly pexipNode: string | null;
}

/** `message` names each fault and what to write instead. */
export class ConfigError extends Error {}

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);
const ADDRESSES = ["genesysLogin", "genesysApi", "policyServer"] as const;
const NAMES: ReadonlySet<string> = new Set([...ADDRESSES, "clientId", "pexipNode"]);

/** Reads the settings. Throws ConfigError. */
export async function readConfig(url: URL): Promise<Config> {
  let body: unknown;
  try {
    const response = await fetch(url, { cache: "no-cache" });
    if (!response.ok) {
      throw new ConfigError(`${url.pathname} answers ${response.status}; put the file beside index.html`);
    }
    body = await response.json();
  } catch (error) {
    throw error instanceof ConfigError ? error : new ConfigError(`${url.pathname} cannot be read, or is not JSON`);
  }
  return parseConfig(body);
}

/** Checks the settings, all of them at once. Throws ConfigError. */
export function parseConfig(body: unknown): Config {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new ConfigError("config.json must be an object");
  }
  const given = body as Readonly<Record<string, unknown>>;
  const faults = Object.keys(given)
    .filter((name) => !NAMES.has(name))
    .map((name) => `${name} is not a setting; the settings are ${[...NAMES].join(", ")}`);
  const origin = (name: string, value: unknown): string => {
    const found = typeof value === "string" ? originOf(value) : null;
    if (found === null) {
      faults.push(`${name} must be an https address without a path, such as https://${name.toLowerCase()}.example.com`);
    }
    return found ?? "";
  };
  const [genesysLogin, genesysApi, policyServer] = ADDRESSES.map((name) => origin(name, given[name]));
  const clientId = given["clientId"];
  if (typeof clientId !== "string" || !clientId.trim()) {
    faults.push("clientId must be the id of the OAuth client (Code Authorization with PKCE) in Genesys Cloud");
  }
  const node = given["pexipNode"];
  const pexipNode = node === undefined || node === null ? null : origin("pexipNode", nodeAddress(node));
  if (faults.length > 0) {
    throw new ConfigError(faults.join("; "));
  }
  return {
    genesysLogin: genesysLogin ?? "",
    genesysApi: genesysApi ?? "",
    policyServer: policyServer ?? "",
    clientId: String(clientId).trim(),
    pexipNode,
  };
}

/** The origin of a Conferencing Node that is given as a host, perhaps with a port, or as an address. */
export function nodeOrigin(node: string): string | null {
  return originOf(String(nodeAddress(node)));
}

function nodeAddress(node: unknown): unknown {
  return typeof node === "string" && !node.includes("://") ? `https://${node}` : node;
}

/** Plain http is for loopback alone: tokens and PINs travel there. */
function originOf(text: string): string | null {
  if (!URL.canParse(text)) {
    return null;
  }
  const url = new URL(text);
  const isSafe = url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.has(url.hostname));
  const isBare = url.pathname === "/" && !url.search && !url.hash && !url.username && !url.password;
  return isSafe && isBare ? url.origin : null;
}
