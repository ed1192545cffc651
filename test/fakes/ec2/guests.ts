/** What runs in the instances: a hook that is told of each, so that a real guest can be booted for it. */
import type { Tags } from "./world.ts";

interface NewGuest {
  readonly id: string;
  readonly privateIp: string;
  readonly tags: Readonly<Tags>;
  /** The launch template it came from; null for a RunInstances without one. */
  readonly template: { readonly id: string; readonly version: number } | null;
}

interface Guest {
  /** Called once, when the instance leaves `running`. */
  stop(): void | Promise<void>;
}

export type OnInstance = (instance: NewGuest) => Guest | Promise<Guest>;

export interface Guests {
  start(instance: NewGuest): void;
  stop(id: string): void;
  /** Stops all and waits; rejects with the first failure of a hook. */
  close(): Promise<void>;
}

/** Without a hook nothing runs anywhere. */
export function createGuests(onInstance: OnInstance | null): Guests {
  const running = new Map<string, Promise<Guest>>();
  const stopping: Promise<void>[] = [];

  function stop(id: string): void {
    const guest = running.get(id);
    if (guest !== undefined) {
      running.delete(id);
      const stopped = guest.then((started) => started.stop());
      // Its failure is met in close().
      stopped.catch(() => undefined);
      stopping.push(stopped);
    }
  }

  return {
    start(instance) {
      if (onInstance !== null) {
        const started = boot(onInstance, instance);
        started.catch(() => undefined);
        running.set(instance.id, started);
      }
    },
    stop,
    async close() {
      for (const id of running.keys()) {
        stop(id);
      }
      await Promise.all(stopping);
    },
  };
}

/** A hook that throws at once fails like one that rejects. */
async function boot(onInstance: OnInstance, instance: NewGuest): Promise<Guest> {
  return await onInstance(instance);
}
