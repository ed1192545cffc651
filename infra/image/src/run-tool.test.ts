import { isAppError } from "@mayfly/core";
import { describe, expect, it } from "vitest";

import { runTool } from "./run-tool.ts";

/** More than any of these takes. */
const timeoutMs = 30_000;

describe("runTool", () => {
  it("passes arguments, input and variables on as they are", async () => {
    const args = ["-c", 'cat; printf "%s|" "$X" "$@"', "sh", "$(id); `id`", "a b"];
    const printed = await runTool({ command: "sh", args, stdin: "in ", env: { X: "$HOME;'" }, timeoutMs });
    expect(printed).toBe("in $HOME;'|$(id); `id`|a b|");
  });

  it("makes files that everyone may read whatever the caller's mask", async () => {
    const before = process.umask(0o077);
    try {
      expect(await runTool({ command: "sh", args: ["-c", "umask"], timeoutMs })).toBe("0022\n");
    } finally {
      process.umask(before);
    }
  });

  it("says what a failing tool complained about", async () => {
    const failing = runTool({ command: "sh", args: ["-c", "echo broken >&2; exit 3"], timeoutMs });
    await expect(failing).rejects.toThrow("sh ended with 3: broken");
    await expect(failing).rejects.toSatisfy((error) => isAppError(error, "IMAGE_BUILD_FAILED"));
  });

  it("ends a tool that takes too long", async () => {
    await expect(runTool({ command: "sleep", args: ["60"], timeoutMs: 50 })).rejects.toThrow("took longer than 0.05 s");
  });

  it("ends a tool when aborted, with the reason given", async () => {
    const stop = new AbortController();
    const running = runTool({ command: "sleep", args: ["60"], timeoutMs, signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(running).rejects.toThrow("enough");
  });
});
