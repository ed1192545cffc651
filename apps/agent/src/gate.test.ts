import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { failedChecks, gateChecks, gateChecksFor, readChecks } from "./gate.ts";
import type { ProbeOrders } from "./inside/probe.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mayfly-gate-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const probe = fileURLToPath(new URL("./inside/probe.ts", import.meta.url));
const run = promisify(execFile);

/** The probe as it is, in the test's own process environment: nothing here is confined. */
async function look(orders: Partial<ProbeOrders> = {}): Promise<ReturnType<typeof readChecks>> {
  const all: ProbeOrders = {
    checks: gateChecks,
    agentPid: process.pid,
    uid: 4_000_000,
    gid: 4_000_000,
    brokers: [{ host: "127.0.0.1", port: 1 }],
    relayPort: 1,
    cgroup: "codex",
    cgroups: "/sys/fs/cgroup",
    environment: [],
    root: folder,
    sealed: [],
    hidden: [],
    ...orders,
  };
  const { stdout } = await run(process.execPath, [probe, JSON.stringify(all)], { timeout: 50_000 });
  return readChecks(stdout, all.checks);
}

describe("the start gate", () => {
  it("fails a process that is not confined, and says what it saw", async () => {
    const checks = await look({ sealed: [fileURLToPath(import.meta.url)], hidden: [fileURLToPath(import.meta.url)] });
    const failed = (checks ?? []).filter(({ ok }) => !ok).map(({ name }) => name);
    const expected = [
      "identity",
      "no_new_privs",
      "processes",
      "listeners",
      "relay",
      "cgroup",
      "sealed",
      "hidden",
      "environment",
    ];
    expect(failed).toEqual(expect.arrayContaining(expected));
    expect(failedChecks({ safety_strategy: "drop-sudo", checks: checks ?? [] })).toContainEqual(
      expect.stringMatching(/^identity \(uid \d+/),
    );
  });

  it("fails when the broker can be reached past the relay, be it at its second address", async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const broker = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
    const checks = await look({ brokers: [{ host: "127.0.0.1", port: 1 }, broker] });
    server.close();
    expect(checks?.find(({ name }) => name === "channel")).toMatchObject({ ok: false });
  });

  it("fails when there is a set-id program, and names it", async () => {
    const program = join(folder, "program");
    writeFileSync(program, "");
    chmodSync(program, 0o4755);
    const checks = await look();
    expect(checks?.find(({ name }) => name === "setuid")).toEqual({
      name: "setuid",
      ok: false,
      seen: `set-id programs: ${program}`,
    });
  });

  it("takes no report that leaves anything out", () => {
    const full = gateChecks.map((name) => ({ name, ok: true, seen: "" }));
    const read = (text: string) => readChecks(text, gateChecks);
    expect(read(JSON.stringify(full))).toHaveLength(gateChecks.length);
    expect(read(JSON.stringify(full.slice(1)))).toBeNull();
    expect(read(JSON.stringify([...full, full[0]]))).toBeNull();
    expect(read(JSON.stringify(full.toReversed()))).toBeNull();
    expect(read(JSON.stringify(full).slice(0, -1))).toBeNull();
    expect(read("")).toBeNull();
  });

  it("asks of root what can be asked of root, and sees a start that stands elsewhere", async () => {
    const checks = gateChecksFor("root");
    expect(checks).not.toContain("capabilities");
    expect(checks.length).toBeGreaterThan(5);
    expect(gateChecksFor("codex")).toEqual(gateChecks);
    const seen = (await look({ checks, uid: 0, gid: 0 })) ?? [];
    expect(seen.map(({ name }) => name)).toEqual(checks);
    const failed = seen.filter(({ ok }) => !ok).map(({ name }) => name);
    expect(failed).toEqual(expect.arrayContaining(["listeners", "relay", "cgroup", "environment"]));
  });
});
