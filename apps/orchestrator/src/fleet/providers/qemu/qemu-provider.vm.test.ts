import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { homedir, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import {
  type Clock,
  formatId,
  intendLaunch,
  isAppError,
  type Launch,
  type LaunchId,
  limits,
  type MachineId,
  type PresentMachine,
} from "@mayfly/core";
import { defaultCacheDir, ensureImage, type Image } from "@mayfly/image";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { becomeServiceUser } from "../../../../../../test/support/become-service-user.ts";
import { createConfine } from "../../../confine/confine.ts";
import type { Confine } from "../../../confine/confinement.ts";
import type { ServiceUser } from "../../../confine/service-user.ts";
import { detectAcceleration, probeBoot } from "./acceleration.ts";
import { readTscKhz } from "./host-clock.ts";
import { confineMachine } from "./machine-command.ts";
import { machineFolder } from "./machine-folder.ts";
import { listProcesses, machineOf } from "./processes.ts";
import { createQemuProvider, type QemuProvider } from "./qemu-provider.ts";
import { type Guest, guestAgent, listenToGuest } from "./test-guest.ts";

const MEMORY_MIB = 384;
const MINUTES = 60_000;
const clock: Clock = { now: () => Date.now() };

let image: Image;
let user: ServiceUser;
let confine: Confine;
let acceleration: "kvm" | "emulated";
let stateDir: string;
let provider: QemuProvider;

beforeAll(async () => {
  const cacheDir = defaultCacheDir({ uid: userInfo().uid, home: homedir() });
  image = await ensureImage({ cacheDir, agentBundle: Buffer.from(guestAgent) });
  user = await becomeServiceUser();
  confine = createConfine(user);
  acceleration = await detectAcceleration({ image, confine, allowEmulation: true });
  stateDir = await mkdtemp(join(tmpdir(), "mayfly-qemu-"));
  provider = create();
}, 15 * MINUTES);

afterAll(async () => {
  for (const { id } of await provider.list()) {
    await provider.ensureDestroyed(id);
  }
  await rm(stateDir, { recursive: true, force: true });
});

describe("a running machine", () => {
  const id = mintId();
  let guest: Guest;

  beforeAll(async () => {
    await provider.ensureLaunched(launchOf(id, clock.now() + 5 * MINUTES));
    guest = await listenToGuest(join(provider.channelFolder(id), "broker.sock"));
  });

  afterAll(async () => {
    await guest.close();
    await provider.ensureDestroyed(id);
  });

  it("is listed, and launching it again starts nothing and names the same machine", async () => {
    const before = await findQemu(id);
    const again = await Promise.all([1, 2].map(() => provider.ensureLaunched(launchOf(id, clock.now() + MINUTES))));
    expect(again).toEqual([1, 2].map(() => ({ machines: [id], missing: [] })));
    expect(await findQemu(id)).toEqual(before);
    expect(await provider.list()).toContainEqual(listed(id, true));
  });

  it("runs under its own uid with no capabilities, no new privileges and system call filters", async () => {
    const { pid, uid } = await findQemu(id);
    expect(uid).toBeGreaterThanOrEqual(user.subuids.first);
    expect(uid).not.toBe(user.uid);
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    expect(status).toMatch(new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t${uid}$`, "m"));
    expect(status).toMatch(/^CapPrm:\t0+$/m);
    expect(status).toMatch(/^CapEff:\t0+$/m);
    expect(status).toMatch(/^CapBnd:\t0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
  });

  it("has its state where only the service can go, and the broker's group to the channel alone", async () => {
    const { root, channel, qmp, dump } = machineFolder(stateDir, id);
    const found = await Promise.all([root, channel, qmp, dump].map((path) => stat(path)));
    expect(found.map(({ mode }) => (mode & 0o777).toString(8))).toEqual(["710", "771", "701", "701"]);
    expect(found.map(({ uid }) => uid)).toEqual([user.uid, user.uid, user.uid, user.uid]);
  });

  it("is reached through its channel, also by a broker that was restarted", async () => {
    expect(await guest.ask({ type: "run", argv: ["/bin/busybox", "id", "-u"] })).toBe("0\n");
    await guest.close();
    guest = await listenToGuest(join(provider.channelFolder(id), "broker.sock"));
    expect(await guest.ask({ type: "run", argv: ["/bin/busybox", "echo", "back"] })).toBe("back\n");
  });

  it("reaches nothing but its channel, even for root in the guest", async () => {
    const server = createServer((socket) => socket.end());
    await once(server.listen(0, "127.0.0.1"), "listening");
    const address = server.address();
    assert(address !== null && typeof address === "object");
    try {
      await guest.ask({ type: "run", argv: ["/bin/busybox", "ip", "route", "add", "default", "via", "10.0.2.2"] });
      expect(await guest.ask({ type: "connect", host: "10.0.2.2", port: 8080 })).toBe("connected");
      expect(await guest.ask({ type: "connect", host: "10.0.2.2", port: address.port })).toBe("ECONNREFUSED");
      for (const [host, port] of [
        ["192.0.2.1", 443],
        ["10.0.2.3", 53],
        ["169.254.169.254", 80],
      ] as const) {
        expect(await guest.ask({ type: "connect", host, port })).not.toBe("connected");
      }
    } finally {
      server.close();
    }
  });

  it("neither fills the host's disk nor stalls when it floods its console", async () => {
    const flood = `/bin/busybox head -c ${limits.consoleBytesMax + 200_000} /dev/zero > /dev/ttyS0`;
    expect(await guest.ask({ type: "run", argv: ["/bin/busybox", "sh", "-c", flood] })).toBe("done");
    expect((await stat(machineFolder(stateDir, id).console)).size).toBe(limits.consoleBytesMax);
  });

  it("cannot be reached by what is confined as another machine", async () => {
    const folder = machineFolder(stateDir, mintId());
    for (const shared of [folder.channel, folder.qmp]) {
      await mkdir(shared, { recursive: true });
    }
    const shape = { acceleration: "emulated", memoryMib: 64, cpus: 1, debugDump: false } as const;
    const confinement = confineMachine({ shape, image, folder, uidOffset: 5000, seconds: 10 });
    const socket = join(provider.channelFolder(id), "broker.sock");
    const { command, args } = confine(confinement, [
      "/bin/sh",
      "-c",
      'ls /channel; socat -u "UNIX-CONNECT:$1" -; ls "$2"; echo /proc/[0-9]*; true',
      "sh",
      socket,
      stateDir,
    ]);
    const child = spawn(command, args, { cwd: "/", stdio: ["ignore", "pipe", "pipe"] });
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    await rm(folder.root, { recursive: true });
    expect(stdout).toBe("/proc/1 /proc/2 /proc/3\n");
    expect(stderr).toContain(socket);
    expect(stderr.match(/No such file or directory/g)).toHaveLength(2);
  });

  it("shares its uid with no other machine", async () => {
    const other = mintId();
    await provider.ensureLaunched(launchOf(other, clock.now() + MINUTES));
    const [one, two] = await Promise.all([findQemu(id), findQemu(other)]);
    await provider.ensureDestroyed(other);
    expect(one.uid).not.toBe(two.uid);
  });
});

describe("ensureDestroyed", () => {
  it("leaves nothing of a running machine, and its evidence names each thing looked for", async () => {
    const id = mintId();
    await provider.ensureLaunched(launchOf(id, clock.now() + MINUTES));
    const { pid, uid } = await findQemu(id);
    const evidence = await provider.ensureDestroyed(id);
    expect(evidence.checks.map(({ absent }) => absent)).toEqual(evidence.checks.map(() => true));
    const { root } = machineFolder(stateDir, id);
    expect(evidence.checks.map(({ what }) => what)).toEqual([
      `processes of machine ${id}`,
      `processes under the machine's uid ${uid}`,
      `sockets in ${root}`,
      `channel socket ${root}/channel/broker.sock`,
      `state folder ${root}`,
    ]);
    // A dead one stays listed until its parent, which is dying too, has taken note.
    await expect.poll(() => stat(`/proc/${pid}`).then(() => "there", String)).toContain("ENOENT");
    await expect(stat(root)).rejects.toThrow("ENOENT");
    expect(await provider.list()).not.toContainEqual(expect.objectContaining({ id }));
    expect((await provider.ensureDestroyed(id)).checks.every(({ absent }) => absent)).toBe(true);
  });

  it("gives evidence for a machine nobody knows", async () => {
    const { checks } = await provider.ensureDestroyed(mintId());
    expect(checks.length).toBeGreaterThan(2);
    expect(checks.every(({ absent }) => absent)).toBe(true);
  });

  it("removes what a crash before the launch left", async () => {
    const id = mintId();
    const { root, record } = machineFolder(stateDir, id);
    await mkdir(root, { mode: 0o700 });
    await writeFile(`${record}.new`, "{");
    expect(await provider.list()).toContainEqual(listed(id, false));
    await provider.ensureDestroyed(id);
    await expect(stat(root)).rejects.toThrow("ENOENT");
  });

  it("refuses to call a machine gone while its channel is still open", async () => {
    const id = mintId();
    await mkdir(provider.channelFolder(id), { recursive: true });
    const guest = await listenToGuest(join(provider.channelFolder(id), "broker.sock"));
    await expect(provider.ensureDestroyed(id)).rejects.toMatchObject({ code: "MACHINE_NOT_GONE" });
    await guest.close();
    await provider.ensureDestroyed(id);
  });
});

describe("ensureLaunched", () => {
  it("refuses a machine whose deadline has passed", async () => {
    const id = mintId();
    const launch = provider.ensureLaunched(launchOf(id, clock.now() - 1));
    await expect(launch).rejects.toMatchObject({ code: "MACHINE_LAUNCH_FAILED" });
    await provider.ensureDestroyed(id);
  });

  it("says what QEMU said when it does not start, and leaves no process", async () => {
    const id = mintId();
    const launch = create({ cpus: 4000 }).ensureLaunched(launchOf(id, clock.now() + MINUTES));
    await expect(launch).rejects.toThrow(/Invalid SMP CPUs|maxcpus/);
    await provider.ensureDestroyed(id);
  });
});

describe("a machine whose launcher was killed", () => {
  it("goes on, is adopted without a second start, answers questions, and can be destroyed", async () => {
    const id = mintId();
    await launchAndDie(id, clock.now() + 2 * MINUTES);
    const heir = create({ debugDump: true });
    expect(await heir.list()).toContainEqual(listed(id, true));
    const qemu = await findQemu(id);
    await heir.ensureLaunched(launchOf(id, clock.now() + 2 * MINUTES));
    expect(await findQemu(id)).toEqual(qemu);

    const dump = join(stateDir, "memory.core");
    await heir.dumpMemory(id, dump);
    const memory = await readFile(dump);
    await rm(dump);
    expect(memory.length).toBeGreaterThan(MEMORY_MIB * 1024 * 1024);
    // The kernel's command line is in its memory.
    expect(memory.includes("mayfly.lifetime_s=")).toBe(true);

    await heir.ensureDestroyed(id);
    // Its parent is dead, so it stays in /proc until the host's first process has taken note of its end.
    await vi.waitFor(() => expect(stat(`/proc/${qemu.pid}`)).rejects.toThrow("ENOENT"), 10_000);
  });

  it("ends at its deadline by itself, and is not started a second time", async () => {
    const id = mintId();
    const deadline = clock.now() + 10_000;
    await launchAndDie(id, deadline);
    expect(await provider.list()).toContainEqual(listed(id, true));
    await vi.waitFor(async () => expect(await provider.list()).toContainEqual(listed(id, false)), 20_000);
    expect(clock.now()).toBeGreaterThanOrEqual(deadline - 1000);
    const again = provider.ensureLaunched(launchOf(id, clock.now() + MINUTES));
    await expect(again).rejects.toThrow("ran and has ended");
    await provider.ensureDestroyed(id);
  });
});

describe("acceleration", () => {
  it("is what a real boot proves", async () => {
    const tscKhz = await readTscKhz({ stateDir, image });
    expect(await probeBoot({ image, confine, acceleration, tscKhz, timeoutMs: 30_000 })).toBe(true);
  });

  it("is not believed when the kernel does not run", async () => {
    const dir = await mkdtemp(join(tmpdir(), "mayfly-broken-"));
    await writeFile(join(dir, "vmlinux"), randomBytes(4096));
    await writeFile(join(dir, "initrd.cpio"), "");
    const ran = await probeBoot({ image: { ...image, dir }, confine, acceleration, timeoutMs: 2_000 });
    await rm(dir, { recursive: true });
    expect(ran).toBe(false);
  });

  it("is refused when only emulation is there and it is not allowed", async () => {
    const detected = await detectAcceleration({ image, confine, allowEmulation: false }).catch((error: unknown) =>
      isAppError(error) ? error.code : error,
    );
    expect(detected).toBe(acceleration === "kvm" ? "kvm" : "ACCELERATION_MISSING");
  });
});

describe("createQemuProvider", () => {
  it("refuses a state folder whose sockets the kernel could not name", () => {
    expect(() => create({ stateDir: `/tmp/${"x".repeat(60)}` })).toThrow("too long for unix sockets");
  });
});

function create(overrides: Partial<Parameters<typeof createQemuProvider>[0]> = {}): QemuProvider {
  const log = { info: () => undefined };
  return createQemuProvider({
    stateDir,
    image,
    user,
    confine,
    clock,
    acceleration,
    log,
    memoryMib: MEMORY_MIB,
    ...overrides,
  });
}

/** The launch that makes this machine. */
function launchOf(id: MachineId, deadline: number): Launch {
  const launch = intendLaunch({
    id: id.replace("mch_", "lch_") as LaunchId,
    provider,
    count: 1,
    plan: {},
    now: clock.now(),
    runMsMax: limits.runMsMax,
  });
  return { ...launch, deadline };
}

function listed(id: MachineId, running: boolean): PresentMachine {
  return { id, launch: id.replace("mch_", "lch_") as LaunchId, running, address: null, spec: null };
}

function mintId(): MachineId {
  return formatId("mch", clock.now(), randomBytes(10)) as MachineId;
}

/** The one QEMU process of a machine: the child of the process that keeps its deadline. */
async function findQemu(id: MachineId): Promise<{ pid: number; uid: number }> {
  const processes = await listProcesses(user.uid);
  const keepers = new Set(processes.filter((process) => machineOf(process, user.uid) === id).map(({ pid }) => pid));
  const found = [];
  for (const { pid, uid } of processes) {
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    if (/^Name:\tqemu-system/m.test(status) && keepers.has(Number(/^PPid:\t([0-9]+)$/m.exec(status)?.[1]))) {
      found.push({ pid, uid });
    }
  }
  assert(found[0] !== undefined && found.length === 1, `machine ${id} has ${found.length} QEMU processes`);
  return found[0];
}

/** Launches a machine from a process of its own that is killed as soon as the launch has succeeded. */
async function launchAndDie(id: MachineId, deadline: number): Promise<void> {
  const here = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href);
  const settings = { stateDir, image: { digest: image.digest, dir: image.dir }, user, acceleration };
  const script = `
    const { createConfine } = await import(${here("../../../confine/confine.ts")});
    const { createQemuProvider } = await import(${here("./qemu-provider.ts")});
    const settings = ${JSON.stringify({ ...settings, memoryMib: MEMORY_MIB, debugDump: true })};
    const provider = createQemuProvider({
      ...settings, confine: createConfine(settings.user), clock: { now: () => Date.now() }, log: { info() {} },
    });
    await provider.ensureLaunched(${JSON.stringify(launchOf(id, deadline))});
    console.log("launched");
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    cwd: "/",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  expect(said.toString()).toBe("launched\n");
  child.kill("SIGKILL");
  await once(child, "exit");
}
