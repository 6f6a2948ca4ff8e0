/** One video leg for an agent's call among all windows and iframes of a browser (Web Locks). */

export interface Claim {
  /** Settles when another window took the lock away. */
  readonly lost: Promise<void>;
  readonly release: () => void;
}

/** The name of the lock of one agent's call. */
export function lockName(userId: string, conversationId: string): string {
  return `agent-app.${userId}.${conversationId}`;
}

/**
 * Claims the lock. If another window has it, `onTaken` is told, and the claim waits until that window closes. With
 * `steal` it is taken from the other window instead. Rejects only if aborted.
 */
export async function claim(name: string, steal: boolean, onTaken: () => void, signal: AbortSignal): Promise<Claim> {
  const now = await request(name, steal ? { steal } : { ifAvailable: true });
  if (now !== null) {
    return now;
  }
  onTaken();
  const later = await request(name, { signal });
  return later ?? Promise.reject(new Error("a lock that was waited for was not granted"));
}

function request(name: string, options: LockOptions): Promise<Claim | null> {
  return new Promise((done, refused) => {
    const lost = Promise.withResolvers<void>();
    const kept = Promise.withResolvers<void>();
    navigator.locks
      .request(name, options, (lock) => {
        done(lock && { lost: lost.promise, release: kept.resolve });
        return lock ? kept.promise : undefined;
      })
      .catch((error: unknown) => {
        lost.resolve();
        refused(error);
      });
  });
}
