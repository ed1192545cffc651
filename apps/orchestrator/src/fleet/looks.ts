import type { Clock, FleetRecord, Instant, Launch, Store, Write } from "@mayfly/core";

/** A look that has not ended after so long never will: its service died. Longer than a provider takes to list its machines. */
const LOOK_MS_MAX = 30_000;

/** The right to plan launches, until somebody else has it. */
export interface Look {
  /** When the look before ended, or began where nobody wrote its end; 0 when there was none. */
  readonly previousAt: Instant;
  /** Writes the launch down, unless another look has begun since: false then, and nothing is written. */
  intend(launch: Launch): Promise<boolean>;
  /** Lets others look. Idempotent. */
  end(): Promise<void>;
}

/** Sees to it that of several services one looks at a time, whichever writes down first that it does. */
export interface Looks {
  /** Null while another service looks. The caller begins no second look before it has ended the first. */
  begin(): Promise<Look | null>;
}

export function createLooks({ store, clock }: { store: Store; clock: Clock }): Looks {
  /** What this process wrote last: a look of its own whose end it could not write is over. */
  let written = 0;

  return {
    async begin() {
      const now = clock.now();
      const before = await store.loadFleet();
      if (before !== null && before.version !== written && isAtWork(before.value, now)) {
        return null;
      }
      const createdAt = before?.value.createdAt ?? now;
      const value: FleetRecord = { schema: 1, id: "fleet", createdAt, lookedAt: now, endedAt: null };
      let version = before?.version ?? 0;

      async function write(next: FleetRecord, launches: readonly Write[]): Promise<boolean> {
        if ((await store.commit([...launches, { kind: "fleet", value: next, version }])) === "conflict") {
          return false;
        }
        version += 1;
        written = version;
        return true;
      }

      if (!(await write(value, []))) {
        return null;
      }
      return {
        previousAt: before === null ? 0 : (before.value.endedAt ?? before.value.lookedAt),
        intend: (launch) => write(value, [{ kind: "launch", value: launch, version: 0 }]),
        async end() {
          await write({ ...value, endedAt: clock.now() }, []);
        },
      };
    },
  };
}

/** Clocks of several services differ a little, and one may be set: a look from far ahead is not waited for either. */
function isAtWork({ lookedAt, endedAt }: FleetRecord, now: Instant): boolean {
  return endedAt === null && Math.abs(now - lookedAt) < LOOK_MS_MAX;
}
