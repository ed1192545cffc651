import type { Instant } from "./ids.ts";
import type { Run } from "./run.ts";

/** Waiting runs in the order in which machines are given to them, and those that may have none at present. */
export interface Line {
  readonly next: readonly Run[];
  /** Their installation has as many machines as it may have, or will have with those before them in line. */
  readonly held: readonly Run[];
}

/** Who shares machines with whom: a GitHub installation, or everybody who typed a command on this host. */
export type Tenant = number | "local";

/**
 * Written with every claim of a tenant whose machines are limited, on the version read before its machines were counted:
 * so no two claims, in whatever processes, count the same ones.
 */
export interface TenantRecord {
  readonly schema: 1;
  readonly id: string;
  readonly createdAt: Instant;
  readonly claimedAt: Instant;
}

export function tenantOf({ request: { origin } }: Run): Tenant {
  return origin.kind === "pull_request" ? origin.installation : "local";
}

/** A run whose machine is at work, or not proved gone. */
export function holdsMachine({ phase }: Run): boolean {
  return phase === "running" || phase === "destroying";
}

/**
 * One line for all, fair between installations: the next machine goes to whoever has the fewest, and among those to the
 * run that has waited longest. So nobody's many runs take every machine while another's one waits. A run whose source is
 * not ready could not use a machine: it stands behind the others of its installation.
 *
 * @param runs All live runs, oldest first.
 * @param perTenantMax Machines of one installation at once; null for no limit.
 */
export function lineUp(runs: readonly Run[], perTenantMax: number | null): Line {
  const taken = new Map<Tenant, number>();
  const waiting = new Map<Tenant, Run[]>();
  for (const run of runs) {
    const tenant = tenantOf(run);
    if (holdsMachine(run)) {
      taken.set(tenant, (taken.get(tenant) ?? 0) + 1);
    } else if (run.phase === "queued") {
      const own = waiting.get(tenant) ?? [];
      own.push(run);
      waiting.set(tenant, own);
    }
  }
  // Where in the line each run of a tenant stands does not depend on the others': its place is how many machines the
  // tenant would have before it, and age settles the rest.
  const places = [...waiting].flatMap(([tenant, own]) =>
    own.toSorted(byReadiness).map((run, index) => ({ run, before: (taken.get(tenant) ?? 0) + index })),
  );
  const isHeld = ({ before }: { before: number }): boolean => perTenantMax !== null && before >= perTenantMax;
  const age = new Map(runs.map((run, index) => [run.id, index]));
  const inLine = places.toSorted((a, b) => a.before - b.before || (age.get(a.run.id) ?? 0) - (age.get(b.run.id) ?? 0));
  return {
    next: inLine.filter((place) => !isHeld(place)).map(({ run }) => run),
    held: inLine.filter(isHeld).map(({ run }) => run),
  };
}

function byReadiness(a: Run, b: Run): number {
  return Number(isUnready(a)) - Number(isUnready(b));
}

function isUnready(run: Run): boolean {
  return run.phase === "queued" && run.source === null;
}
