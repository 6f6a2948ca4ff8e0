/** What is told to the agent when something goes wrong. */
import { ConfigError } from "./config.ts";
import { GenesysError, SignInError } from "./genesys.ts";
import { LookupError } from "./lookup.ts";
import type { Trouble } from "./texts.ts";

export interface Failure {
  readonly trouble: Trouble;
  /** For an administrator; holds no secrets. */
  readonly detail: string;
}

/** Stops the start of the page. */
export class StartError extends Error {
  readonly trouble: Trouble;

  constructor(trouble: Trouble) {
    super(trouble);
    this.trouble = trouble;
  }
}

/** The failure that an error stands for. */
export function failureOf(error: unknown): Failure {
  if (error instanceof StartError) {
    return { trouble: error.trouble, detail: "" };
  }
  if (error instanceof ConfigError) {
    return { trouble: "config", detail: error.message };
  }
  if (error instanceof GenesysError) {
    return { trouble: error.fault === "not-found" ? "not-on-call" : error.fault, detail: "" };
  }
  if (error instanceof SignInError || error instanceof LookupError) {
    return { trouble: error.fault, detail: error.message };
  }
  return { trouble: "unexpected", detail: error instanceof Error ? error.message : "" };
}
