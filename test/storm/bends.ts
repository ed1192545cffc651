import type { Assignment, FleetSettings, Provider } from "@mayfly/core";
import type { Dispatch } from "../../apps/orchestrator/src/runs/dispatch.ts";

/** A rule that does not hold, to see that the storm notices. */
export interface Bend {
  readonly provider?: (real: Provider) => Provider;
  readonly fleet?: (settings: FleetSettings) => FleetSettings;
  readonly dispatch?: (real: Dispatch) => Dispatch;
  /** Changes a command before it is sent. */
  readonly command?: (command: { input: object }) => void;
  /** GitHub does not show what was made there. */
  readonly isForgetful?: boolean;
}

/** By what is wrong with each. */
export const bends = {
  "no-tags": { command: withoutTags },
  "no-destroy": { provider: withoutDestroy },
  "claim-unchecked": { dispatch: givenTwice },
  "publish-unchecked": { isForgetful: true },
  "machines-uncapped": { fleet: (settings) => ({ ...settings, machinesMax: settings.machinesMax * 2 }) },
  "installation-uncapped": { fleet: (settings) => ({ ...settings, machinesPerInstallationMax: null }) },
  "hour-uncapped": { fleet: (settings) => ({ ...settings, launchesPerHourMax: 100_000 }) },
  "money-uncapped": { fleet: (settings) => ({ ...settings, money: null }) },
} as const satisfies Record<string, Bend>;

export type BendName = keyof typeof bends;

/** A launch whose volumes and interfaces do not say whose they are: a sweep that goes by tags never finds them. */
function withoutTags({ input }: { input: object }): void {
  if ("TagSpecifications" in input && Array.isArray(input.TagSpecifications)) {
    input.TagSpecifications = input.TagSpecifications.filter(
      ({ ResourceType: kind }: { ResourceType?: string }) => kind === "instance",
    );
  }
}

/** Says that a machine is gone without looking. */
function withoutDestroy(real: Provider): Provider {
  return {
    ...real,
    ensureDestroyed: async (id) => ({ at: 0, checks: [{ what: `instance of machine ${id}`, absent: true }] }),
  };
}

/** Gives each attempt to the next machine as well. */
function givenTwice(real: Dispatch): Dispatch {
  let last: Assignment | null = null;
  return {
    async claim(machine) {
      const again = last;
      last = null;
      if (again !== null) {
        return again;
      }
      last = await real.claim(machine);
      return last;
    },
  };
}
