import { openSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError, faults } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Terminal } from "../cli/terminal.ts";
import { type Part, READY_FOR_OTHERS, supervise } from "./supervise.ts";

/** Processes that load next to nothing, on a busy host. */
const START_MS = 20_000;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-supervise-"));
  // Each process writes its name down, and ends with whoever started it.
  await writeFile(
    join(folder, "program.mjs"),
    `import { appendFileSync } from "node:fs";
     const name = process.argv.at(-1);
     process.once("SIGTERM", () => process.exit(0));
     process.once("disconnect", () => process.exit(1));
     appendFileSync(${JSON.stringify(join(folder, "started"))}, name + "\\n");
     if (name === "service") process.send(${JSON.stringify(READY_FOR_OTHERS)});`,
  );
});

afterEach(() => rm(folder, { recursive: true, force: true }));

function openNothing(): number {
  return openSync("/dev/null", "r");
}

/** Supervises a service and a signer whose file is opened so; programs are looked for in `path`. */
function superviseWith(openFile: () => number, path = process.env["PATH"]) {
  const { promise: stopAsked, resolve: stop } = Promise.withResolvers<void>();
  const told: string[] = [];
  const terminal: Terminal = {
    env: { PATH: path },
    stdout: () => undefined,
    stderr: (text) => void told.push(text),
    isRoot: false,
    isInteractive: false,
    onStop: (act) => void stopAsked.then(act),
    program: join(folder, "program.mjs"),
    stdin: () => process.stdin,
    tellParent: () => undefined,
    onOrphaned: () => undefined,
  };
  const part = { account: null, settings: {} };
  const signer: Part = { ...part, name: "signer", openFile };
  const ended = supervise({ terminal, main: { ...part, name: "service" }, others: [signer] });
  return { ended, stop, told };
}

async function started(): Promise<string[]> {
  return (await readFile(join(folder, "started"), "utf8").catch(() => "")).split("\n").slice(0, -1);
}

describe("a part whose start fails", () => {
  it("is started again, and the service stays", async () => {
    let tries = 0;
    const { ended, stop, told } = superviseWith(() => {
      tries += 1;
      if (tries < 3) {
        throw new Error("too many open files");
      }
      return openNothing();
    });
    await expect.poll(started, { timeout: START_MS }).toEqual(["service", "signer"]);
    expect(tries).toBe(3);
    expect(told.filter((text) => text.includes("could not be started: Error: too many open files"))).toHaveLength(2);
    stop();
    expect(await ended).toBe(0);
  });

  it("is started again when its program was not found", async () => {
    const bin = join(folder, "bin");
    await mkdir(bin);
    const { ended, stop, told } = superviseWith(openNothing, bin);
    await expect
      .poll(() => told.join(""), { timeout: START_MS })
      .toContain("could not be started: Error: spawn setpriv ENOENT");
    expect(await started()).toEqual(["service"]);
    await symlink("/usr/bin/setpriv", join(bin, "setpriv"));
    await expect.poll(started, { timeout: START_MS }).toEqual(["service", "signer"]);
    stop();
    expect(await ended).toBe(0);
  });

  it("ends the service where starting again would not help", async () => {
    const { ended } = superviseWith(() => {
      throw new AppError("CONFIG_INVALID", "there is no private key");
    });
    expect(await ended).toBe(faults.CONFIG_INVALID.exit);
    expect(await started()).toEqual(["service"]);
  });
});
