/** Conversations as Genesys Cloud tells of them, in both shapes. */

export const ME = "8f3c1c52-58a5-4b7d-9a6e-0d4e2f7b9c11";
export const OTHER = "aaaaaaaa-58a5-4b7d-9a6e-0d4e2f7b9c11";
export const CONVERSATION = "c3b1f6de-8f0b-4c5e-9a77-2f4f0c1d5e90";
export const CALL_ID = "abcdefghijklmnopqrstuvwxyz234567";

export type Party = Readonly<Record<string, unknown>>;

export function customer(changes: Party = {}): Party {
  return { id: "customer", purpose: "customer", aniName: CALL_ID, startTime: "2026-01-15T10:02:11Z", state: "connected", ...changes };
}

export function agent(userId: string, changes: Party = {}): Party {
  return { id: `agent ${userId}`, purpose: "agent", userId, startTime: "2026-01-15T10:03:00Z", state: "connected", ...changes };
}

/** A leg that is over, as it stays in the list. */
export function left(userId: string, disconnectType: string, changes: Party = {}): Party {
  return agent(userId, { state: "disconnected", disconnectType, endTime: "2026-01-15T10:05:00Z", ...changes });
}

/** As `GET /api/v2/conversations/{id}` answers: what is about the call is in `calls`. */
export function rest(...parties: readonly Party[]): unknown {
  return {
    id: CONVERSATION,
    participants: parties.map(({ state, held = false, muted = false, confined = false, disconnectType = null, ...party }) => ({
      ...party,
      calls: [{ id: "call", state, held, muted, confined, disconnectType }],
    })),
  };
}

/** As `v2.users.{id}.conversations.calls` tells: all on the participant, ids nested, no `aniName`. */
export function notification(...parties: readonly Party[]): unknown {
  return {
    id: CONVERSATION,
    participants: parties.map(({ userId, aniName, ...party }) => ({ ...party, ...(userId ? { user: { id: userId } } : {}) })),
  };
}
