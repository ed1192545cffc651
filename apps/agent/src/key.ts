import type { KeyGrant } from "@mayfly/core/protocol";

/** Borrows the key anew before it dies. */
export interface KeyRenewal {
  stop(): void;
}

// Half of its life is left for the broker to come back in.
const RENEW_AT = 0.5;
// A key that lives shorter than this is a mistake; asking more often than this would be another.
const RENEW_MS_MIN = 1_000;

/**
 * Renews at half of the key's life until it is stopped. A renewal that fails is not repeated: the key then dies by
 * itself, model calls are refused, and Codex ends with that error.
 */
export function startKeyRenewal(options: {
  grant: KeyGrant;
  borrow: () => Promise<KeyGrant>;
  setKey: (key: string) => void;
}): KeyRenewal {
  const { borrow, setKey } = options;
  let timer = schedule(options.grant);
  let isStopped = false;

  function schedule(grant: KeyGrant): NodeJS.Timeout {
    return setTimeout(() => void renew(), Math.max(grant.seconds * 1_000 * RENEW_AT, RENEW_MS_MIN));
  }

  async function renew(): Promise<void> {
    const grant = await borrow().catch(() => null);
    if (grant !== null && !isStopped) {
      setKey(grant.key);
      timer = schedule(grant);
    }
  }

  function stop(): void {
    isStopped = true;
    clearTimeout(timer);
  }

  return { stop };
}
