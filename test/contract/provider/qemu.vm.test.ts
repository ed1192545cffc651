import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Clock, formatId, intendLaunch, type LaunchId, type MachineId } from "@mayfly/core";
import { defaultCacheDir, ensureImage } from "@mayfly/image";
import { createConfine } from "../../../apps/orchestrator/src/confine/confine.ts";
import { detectAcceleration } from "../../../apps/orchestrator/src/fleet/providers/qemu/acceleration.ts";
import { listProcesses, machineOf } from "../../../apps/orchestrator/src/fleet/providers/qemu/processes.ts";
import { createQemuProvider } from "../../../apps/orchestrator/src/fleet/providers/qemu/qemu-provider.ts";
import { guestAgent } from "../../../apps/orchestrator/src/fleet/providers/qemu/test-guest.ts";
import { becomeServiceUser } from "../../support/become-service-user.ts";
import { describeProvider, type ProviderWorld } from "./provider-suite.ts";

const MEMORY_MIB = 384;
const LIFE_MS = 5 * 60_000;
/** A real machine needs no longer to show what became of it. */
const LOOK_AGAIN_MS = 50;
const clock: Clock = { now: () => Date.now() };

/** Built and found out once: the first test of the file waits for it. */
let host: ReturnType<typeof prepareHost> | null = null;

describeProvider("qemu", openQemuWorld);

async function prepareHost() {
  const cacheDir = defaultCacheDir({ uid: userInfo().uid, home: homedir() });
  const image = await ensureImage({ cacheDir, agentBundle: Buffer.from(guestAgent) });
  const user = await becomeServiceUser();
  const confine = createConfine(user);
  return { image, user, confine, acceleration: await detectAcceleration({ image, confine, allowEmulation: true }) };
}

async function openQemuWorld(): Promise<ProviderWorld> {
  host ??= prepareHost();
  const { image, user, confine, acceleration } = await host;
  const stateDir = await mkdtemp(join(tmpdir(), "mayfly-qemu-"));
  const log = { info: () => undefined };
  const create = () =>
    createQemuProvider({ stateDir, image, user, confine, clock, acceleration, log, memoryMib: MEMORY_MIB });
  const provider = create();
  return {
    provider,
    reopen: create,
    intend(count, lifeMs = LIFE_MS) {
      const planned = provider.planLaunch(count);
      assert("plan" in planned);
      const now = clock.now();
      const id = formatId("lch", now, randomBytes(10)) as LaunchId;
      return { ...intendLaunch({ id, provider, ...planned, now, runMsMax: 0 }), deadline: now + lifeMs };
    },
    async pass(ms) {
      await delay(Math.min(ms, LOOK_AGAIN_MS));
    },
    powerOff: (machine) => killKeepers(machine, user.uid),
    async close() {
      for (const { id } of await provider.list()) {
        await provider.ensureDestroyed(id);
      }
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

/** Ends the processes that keep the machine alive, and nothing else of it. */
async function killKeepers(machine: MachineId, uid: number): Promise<void> {
  for (const found of await listProcesses(uid)) {
    if (machineOf(found, uid) === machine) {
      process.kill(found.pid, "SIGKILL");
    }
  }
}
