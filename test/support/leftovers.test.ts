import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { expect, it } from "vitest";
import { findLeftovers, newSince } from "./leftovers.ts";

it("finds a folder and a process that were not there before, and nothing once they are gone", async () => {
  const before = await findLeftovers();
  const folder = await mkdtemp(`${tmpdir()}/mayfly-leftover-`);
  const child = spawn("sleep", ["60"], { argv0: "redis-server planted", stdio: "ignore" });
  await once(child, "spawn");
  const mine = (names: string[]) => names.filter((name) => name.includes(folder) || name.includes(String(child.pid)));
  expect(mine(newSince(before, await findLeftovers()))).toEqual([
    expect.stringContaining(`process ${child.pid}`),
    `folder ${folder}`,
  ]);
  child.kill("SIGKILL");
  await once(child, "exit");
  await rm(folder, { recursive: true });
  expect(mine(newSince(before, await findLeftovers()))).toEqual([]);
});
