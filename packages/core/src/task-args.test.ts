import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCodexArgs } from "./task-args.ts";

describe("parseCodexArgs", () => {
  it.each<[string | string[], string[]]>([
    ["", []],
    [[], []],
    ["-c model_verbosity=low", ["--config", "model_verbosity=low"]],
    ["--config=hide_agent_reasoning=true", ["--config", "hide_agent_reasoning=true"]],
    ["-c 'model_reasoning_summary = \"concise\"'", ["--config", "model_reasoning_summary=concise"]],
    [
      '["-c", "tool_output_token_limit=5000", "--color", "never"]',
      ["--config", "tool_output_token_limit=5000", "--color", "never"],
    ],
    [["--color=auto"], ["--color", "auto"]],
  ])("takes %j", (given, args) => {
    expect(parseCodexArgs(given)).toEqual({ ok: true, args });
  });

  it.each([
    ["--yolo", /--yolo.*loosen/],
    ["--dangerously-bypass-approvals-and-sandbox", /loosen/],
    ["--full-auto", /loosen/],
    ["--add-dir /", /loosen/],
    ["--trust", /loosen/],
    ["-s danger-full-access", /option `sandbox`/],
    ["--sandbox=danger-full-access", /option `sandbox`/],
    ["-m gpt-5.5", /option `model`/],
    ["-C /", /working-directory/],
    ["--output-last-message /etc/passwd", /sets it itself/],
    ["--enable hooks", /sets it itself/],
    ["--profile x", /outside/],
    ["--image /etc/passwd", /outside/],
    ["--oss", /outside/],
    ["--colour never", /"--colour" is not in the list.*did you mean "--color"/],
    ["-cmodel_verbosity=low", /not in the list/],
    ["do something else", /not a flag/],
    ["-", /not in the list/],
    ["--", /not in the list/],
    ["-c", /needs a value/],
    ["-c model_verbosity", /name=value/],
    ["-c model_verbosity=loud", /must be low, medium or high, not "loud"/],
    ["-c model_verbocity=low", /did you mean "model_verbosity"/],
    ["-c model_provider=mine", /not in the list of allowed settings/],
    ["-c mcp_servers.x.command=sh", /not in the list/],
    ["-c sandbox_mode=danger-full-access", /option `sandbox`/],
    ["-c model_reasoning_effort=high", /option `effort`/],
    ["-c __proto__=1", /not in the list/],
    ["-c constructor=1", /not in the list/],
    ["-c tool_output_token_limit=1e9", /whole number/],
    ["-c tool_output_token_limit=99999999", /from 100 to 100000/],
    ["--color pink", /must be always, never or auto/],
    ["-c model_verbosity=\\low", /must be low, medium or high/],
    ["-c 'model_verbosity=low", /opened but not closed/],
    ["[1]", /JSON list/],
    ["[oops", /JSON list/],
    ["--color never ".repeat(17), /at most 32/],
    [`-c ${"x".repeat(9_000)}`, /longer than/],
    ["--\u202Eyolo", /"--\?yolo"/],
  ])("refuses %j and says why", (given, problem) => {
    const result = parseCodexArgs(given);
    expect(result.ok ? "" : result.problem).toMatch(problem);
  });

  it("never lets anything through that it did not build itself", () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom("-c", "--config", "--color", "--color=never", "model_verbosity=low", "never", "--yolo", "="),
    );
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.array(word)), (given) => {
        const result = parseCodexArgs(given);
        const args = result.ok ? result.args.join(" ") : "";
        expect(args).toMatch(/^((--color (always|never|auto)|--config [a-z_]+=[a-z0-9]+)( |$))*$/);
      }),
      { numRuns: 2_000 },
    );
  });
});
