import { describe, expect, it } from "vitest";
import { confinedCommand } from "./confinement.ts";
import { codexEnvironment } from "./environment.ts";
import { refCommands } from "./source.ts";

describe("confinedCommand", () => {
  const program = { path: "/usr/bin/git", args: ["log", "; rm -rf /", "$(id)"] };
  const where = { cgroup: "/sys/fs/cgroup/codex", network: "/run/codex.net", program };
  const command = confinedCommand({ ...where, user: "codex" });

  it("joins the cgroup, then the network, and only then gives up all rights", () => {
    const order = ["sh", "/sys/fs/cgroup/codex", "nsenter", "/usr/bin/setpriv", "/usr/bin/git"];
    const places = order.map((word) => command.indexOf(word));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(places).not.toContain(-1);
    expect(command).toEqual(expect.arrayContaining(["--no-new-privs", "--bounding-set=-all", "--clear-groups"]));
  });

  it("puts no argument into the shell's text", () => {
    expect(command.slice(-3)).toEqual(program.args);
    expect(command[3]).not.toContain("rm -rf");
  });

  it("leaves root its rights, in the same cgroup and network", () => {
    const asRoot = confinedCommand({ ...where, user: "root" });
    expect(asRoot.join(" ")).not.toContain("setpriv");
    const from = command.indexOf("/usr/bin/setpriv");
    expect(asRoot.slice(0, from)).toEqual(command.slice(0, from));
    expect(asRoot.slice(from)).toEqual([program.path, ...program.args]);
  });
});

describe("codexEnvironment", () => {
  it("holds nothing of our own", () => {
    const names = Object.keys(codexEnvironment()).filter((name) => !name.startsWith("GIT_"));
    expect(names).toEqual(["HOME", "CODEX_HOME", "TMPDIR", "PATH", "LANG"]);
    expect(codexEnvironment()).toMatchObject({ GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" });
  });

  it("keeps the CLI's home out of the temporary folder", () => {
    const { CODEX_HOME = "", TMPDIR = "" } = codexEnvironment();
    expect(CODEX_HOME.startsWith(TMPDIR)).toBe(false);
    expect(CODEX_HOME.startsWith("/tmp")).toBe(false);
  });
});

describe("refCommands", () => {
  it("names what there is", () => {
    const head = "a".repeat(40);
    const layout = { head, base: null, merge_base: null, shallow: [], pack_bytes: 1, pack_sha256: "" };
    expect(refCommands(layout)).toBe(`create refs/heads/pull-request ${head}\ncreate refs/mayfly/head ${head}\n`);
    const full = refCommands({ ...layout, base: "b".repeat(40), merge_base: "c".repeat(40) });
    expect(full.split("\n").map((line) => line.split(" ")[1])).toEqual([
      "refs/heads/pull-request",
      "refs/mayfly/head",
      "refs/mayfly/base",
      "refs/mayfly/merge-base",
      undefined,
    ]);
  });
});
