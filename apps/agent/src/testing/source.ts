import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SourceLayout } from "@mayfly/core/protocol";

/** A small pull request as a pack: one commit on a base whose own history is left out. */
export function packSource(folder: string): { pack: Buffer; layout: SourceLayout } {
  const origin = join(folder, "origin");
  const clone = join(folder, "clone");
  git(folder, "init", "--quiet", "--initial-branch=main", origin);
  for (const text of ["one", "two", "three"]) {
    writeFileSync(join(origin, "greeting.txt"), `${text}\n`);
    git(origin, "add", "greeting.txt");
    git(origin, "commit", "--quiet", `--message=${text}`);
  }
  git(folder, "clone", "--quiet", "--depth=2", `file://${origin}`, clone);
  const head = git(clone, "rev-parse", "HEAD").trim();
  const base = git(clone, "rev-parse", "HEAD^").trim();
  const pack = execFileSync("git", ["-C", clone, "pack-objects", "--all", "--stdout", "--quiet"], { input: "" });
  const layout = {
    head,
    base,
    merge_base: base,
    shallow: readFileSync(join(clone, ".git/shallow"), "utf8").trim().split("\n"),
    pack_bytes: pack.length,
    pack_sha256: createHash("sha256").update(pack).digest("hex"),
  };
  return { pack, layout };
}

function git(folder: string, ...args: string[]): string {
  const identity = ["-c", "user.name=Example", "-c", "user.email=example@example.com"];
  return execFileSync("git", ["-C", folder, ...identity, ...args], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
}
