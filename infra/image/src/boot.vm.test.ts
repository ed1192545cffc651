import { beforeAll, describe, expect, it } from "vitest";

import { type Boot, bootOnce } from "./testing/boot.ts";
import { ensureProbeImage } from "./testing/real-image.ts";
import { measureTscKhz } from "./tsc.ts";

/** A first build fetches 300 MB and takes a minute or more; the start itself takes seconds. */
const BUILD_AND_BOOT_MS = 15 * 60_000;

describe("a machine started from the image", () => {
  let boot: Boot;
  let answers: Map<string, unknown>;
  beforeAll(async () => {
    const image = await ensureProbeImage();
    const tscKhz = await measureTscKhz({ kernel: image.kernel });
    boot = await bootOnce({ image, tscKhz, parameters: ["mayfly.lifetime_s=100"] });
    answers = readAnswers(boot.console);
  }, BUILD_AND_BOOT_MS);

  it("powers itself off when the agent ends", () => {
    expect(boot.code).toBe(0);
    expect(boot.console).toContain("mayfly: the agent ended with status 0");
    expect(boot.console).toContain("reboot: Power down");
  });

  it("has a user for Codex with no other group and no password", () => {
    expect(answers.get("codex id")).toBe("uid=1001(codex) gid=1001(codex) groups=1001(codex)");
    expect(answers.get("account")).toContain(":/home/codex:/bin/bash");
    expect(answers.get("account")).toContain("/etc/shadow:codex:!:");
  });

  it("has no program that gives its caller more rights", () => {
    expect(answers.get("set-id files")).toBe("");
    expect(answers.get("unwanted programs")).toEqual([]);
  });

  it("runs the Codex CLI with all that it looks for beside it", () => {
    expect(answers.get("codex version")).toBe("codex-cli 0.169.0");
    expect(answers.get("codex files")).toEqual([
      "/opt/codex/bin/codex",
      "/opt/codex/bin/codex-code-mode-host",
      "/opt/codex/codex-package.json",
      "/opt/codex/codex-path/rg",
      "/opt/codex/codex-resources/bwrap",
    ]);
  });

  it("lets Codex build its own sandbox", () => {
    expect(answers.get("user namespace")).toBe("0");
    expect(answers.get("bwrap")).toBe("");
  });

  it("has the controllers that limit Codex", () => {
    expect(answers.get("controllers")).toBe("cpu memory pids");
  });

  it("hides every process of root from Codex", () => {
    expect(answers.get("processes seen by codex")).toEqual(["ps"]);
    expect(answers.get("process 1 as codex")).toContain("No such file or directory");
  });

  it("gives Codex a home and a workplace, and nothing of the agent", () => {
    expect(answers.get("owners")).toEqual({
      "/work": "1001:1001 755",
      "/home/codex": "1001:1001 700",
      "/home/codex/tmp": "1001:1001 700",
      "/opt/mayfly": "0:0 755",
      "/opt/mayfly/agent.mjs": "0:0 644",
      "/tmp": "0:0 1777",
    });
    expect(answers.get("work is writable")).toBe("yes");
    expect(answers.get("agent is writable")).toContain("Permission denied");
  });

  it("is sealed: no more modules, no tracing, no core dumps into programs", () => {
    expect(answers.get("sysctls")).toEqual({
      "kernel/modules_disabled": "1",
      "kernel/yama/ptrace_scope": "2",
      "kernel/kptr_restrict": "2",
      "kernel/dmesg_restrict": "1",
      "kernel/perf_event_paranoid": "3",
      "kernel/unprivileged_bpf_disabled": "1",
      "kernel/kexec_load_disabled": "1",
      "kernel/core_pattern": "|/bin/false",
      "fs/suid_dumpable": "0",
      "vm/unprivileged_userfaultfd": "0",
    });
  });

  it("mounts nothing that honours set-id bits, and device files in /dev alone", () => {
    const mounts = answers.get("mounts") as string[];
    expect(mounts.length).toBeGreaterThan(5);
    expect(mounts.filter((mount) => !mount.includes("nosuid"))).toEqual([]);
    const withDevices = mounts.filter((mount) => !mount.includes("nodev")).map((mount) => mount.split(" ")[1]);
    expect(new Set(withDevices)).toEqual(new Set(["/dev", "/dev/pts"]));
  });

  it("reaches its own link and has no route beyond it, and no name server", () => {
    expect(answers.get("addresses")).toEqual(["127.0.0.1/8", "10.0.2.15/24"]);
    expect(answers.get("gateways")).toEqual(["00000000"]);
    expect(answers.get("resolv.conf")).toBe("");
  });

  it("starts the agent with an environment of its own", () => {
    expect(answers.get("environment")).toEqual({
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: "/root",
      LANG: "C.UTF-8",
    });
    expect(answers.get("hostname")).toBe("machine");
  });
});

describe("a machine whose agent never ends", () => {
  it(
    "powers itself off when its lifetime is over",
    async () => {
      const image = await ensureProbeImage();
      const tscKhz = await measureTscKhz({ kernel: image.kernel });
      const boot = await bootOnce({ image, tscKhz, parameters: ["mayfly.lifetime_s=3", "mayfly.probe=hang"] });
      expect(boot.console).toContain("mayfly: the machine's lifetime is over");
      expect(boot.console).not.toContain("the agent ended");
    },
    BUILD_AND_BOOT_MS,
  );
});

function readAnswers(console: string): Map<string, unknown> {
  const lines = [...console.matchAll(/^probe (\{.*\})\r?$/gm)];
  return new Map(
    lines.map(([, json]) => {
      const { question, answer } = JSON.parse(json ?? "") as { question: string; answer: unknown };
      return [question, answer];
    }),
  );
}
