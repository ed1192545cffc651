import { SafetyStrategy } from "@mayfly/core/protocol";
import type { Assignment } from "@mayfly/core/protocol";
import { describe, expect, it } from "vitest";
import { codexArguments, workingFolder } from "./invocation.ts";
import { strategyFor } from "./strategies.ts";

const codex: Assignment["codex"] = {
  prompt: "Look at it.",
  model: "gpt-5.5",
  effort: "high",
  sandbox: "workspace-write",
  safety_strategy: "unprivileged-user",
  working_directory: "",
  output_schema: null,
  args: [],
};

describe("codexArguments", () => {
  it("says everything on the command line but the prompt", () => {
    const args = codexArguments(codex, "workspace-write");
    expect(args[0]).toBe("exec");
    expect(args.at(-1)).toBe("-");
    expect(args.join(" ")).not.toContain(codex.prompt);
    for (const flag of ["--json", "--ephemeral", "--strict-config", "--ignore-user-config", "--ignore-rules"]) {
      expect(args).toContain(flag);
    }
    expect(valueOf(args, "--sandbox")).toBe("workspace-write");
    expect(valueOf(args, "--model")).toBe("gpt-5.5");
    expect(args).toContain('model_reasoning_effort="high"');
    expect(args).toContain("unbounded_connection_retries");
    expect(args).not.toContain("--output-schema");
  });

  it("cannot be made to say more by a strange effort", () => {
    const args = codexArguments({ ...codex, effort: 'high"\nsandbox_mode="danger-full-access' }, "read-only");
    expect(args).toContain('model_reasoning_effort="high\\"\\nsandbox_mode=\\"danger-full-access"');
  });

  it("hands over the schema and the task's own arguments", () => {
    const args = codexArguments({ ...codex, output_schema: "{}", args: ["-c", "x=1"] }, "workspace-write");
    expect(valueOf(args, "--output-schema")).toBe("/run/mayfly/schema.json");
    expect(args.slice(-3)).toEqual(["-c", "x=1", "-"]);
  });
});

describe("workingFolder", () => {
  it("stays in the repository", () => {
    expect(workingFolder("")).toBe("/work/repo");
    expect(workingFolder("packages/core/")).toBe("/work/repo/packages/core");
    expect(workingFolder("./a//b")).toBe("/work/repo/a/b");
  });

  it.each(["..", "a/../..", "/etc", "a\0b"])("refuses %j", (path) => {
    expect(() => workingFolder(path)).toThrow("working directory");
  });
});

describe("strategyFor", () => {
  it("leaves the sandbox to the task, except for read-only", () => {
    expect(strategyFor("unprivileged-user").sandbox("danger-full-access")).toBe("danger-full-access");
    expect(strategyFor("drop-sudo").sandbox("workspace-write")).toBe("workspace-write");
    expect(strategyFor("read-only").sandbox("danger-full-access")).toBe("read-only");
    expect(strategyFor("unsafe").sandbox("workspace-write")).toBe("workspace-write");
  });

  it("makes Codex root for unsafe alone, and says so", () => {
    const asRoot = SafetyStrategy.options.map(strategyFor).filter(({ user }) => user === "root");
    expect(asRoot.map(({ name }) => name)).toEqual(["unsafe"]);
    expect(asRoot[0]?.note).toContain("root");
  });
});

function valueOf(args: readonly string[], flag: string): string | undefined {
  return args[args.indexOf(flag) + 1];
}
