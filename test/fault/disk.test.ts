import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { say } from "../fakes/model/script.ts";
import { eventually } from "../support/service.ts";
import { startWorld } from "../support/world.ts";
import { expectEnd, RUN_MS, startRun } from "./support.ts";

const SPOOL_BYTES = 1024 * 1024;

// A disk of our own to fill can be had by root alone.
describe.runIf(process.getuid?.() === 0)("a disk that is full where the source is kept", () => {
  it("is named in the log, and the run goes on once there is room again", async () => {
    const world = await startWorld({ script: [say("It holds.")] });
    const spool = `${world.stateDir}/source`;
    const { uid, gid } = statSync(world.stateDir);
    mkdirSync(spool, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${SPOOL_BYTES},mode=700,uid=${uid},gid=${gid}`, "tmpfs", spool]);
    try {
      fill(`${spool}/ballast`);
      const started = await startRun(world, { prompt: "answers" });
      await eventually(
        async () => (/ENOSPC|no space left on device/i.test(world.service().log()) ? true : null),
        RUN_MS,
        async () => world.service().log().slice(-2_000),
      );
      expect((await world.control.view(started.id)).run.phase).toBe("queued");
      rmSync(`${spool}/ballast`);
      await expectEnd(world, started, { outcome: "succeeded", code: "answered", says: /It holds\./ });
    } finally {
      // The service has files of it open for as long as it runs.
      execFileSync("umount", ["--lazy", spool]);
      await world.close();
    }
  });
});

/** Takes all there is, to the last byte. */
function fill(path: string): void {
  for (let bytes = SPOOL_BYTES; bytes >= 1; bytes = Math.floor(bytes / 2)) {
    try {
      writeFileSync(path, Buffer.alloc(bytes), { flag: "a" });
    } catch {
      // It is full for so much; half of it may fit still.
    }
  }
}
