import { strict as assert } from "node:assert";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostEnvironment } from "../support/host-environment.ts";
import { makeStateDir } from "../support/service.ts";

const main = fileURLToPath(new URL("../../apps/orchestrator/src/main.ts", import.meta.url));
/** An image that must be built first takes minutes on a small host. */
const BUILD_MS = 15 * 60_000;

interface Document {
  readonly checks: readonly { name: string; status: string; seen: string; fixes: string[] }[];
}

let state: Awaited<ReturnType<typeof makeStateDir>>;

beforeAll(async () => {
  state = await makeStateDir();
  const { code, err } = await mayfly({}, "image", "build");
  assert.equal(code, 0, err);
}, BUILD_MS);

afterAll(() => state.remove());

/** As typed. Started by root, it looks as the user that machines are started by. */
function mayfly(over: Record<string, string>, ...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { ...hostEnvironment(), MAYFLY_STATE_DIR: state.path, ...over };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [main, ...argv], { env, timeout: BUILD_MS }, (error, out, err) =>
      resolve({ code: error === null ? 0 : (child.exitCode ?? -1), out, err }),
    );
  });
}

async function examine(
  over: Record<string, string>,
): Promise<{ code: number; of: (name: string) => Document["checks"][number] | undefined }> {
  const { code, out } = await mayfly(over, "doctor", "--json");
  const { checks } = JSON.parse(out) as Document;
  return { code, of: (name) => checks.find((check) => check.name === name) };
}

describe("mayfly doctor on a host with an image", () => {
  it("confines a process, and says whether machines have KVM here and what else to do", async () => {
    const strict = await examine({});
    expect(strict.code).toBe(3);
    expect(strict.of("image")).toMatchObject({ status: "ok", seen: expect.stringMatching(/^sha256:/) });
    expect(strict.of("confinement")).toMatchObject({ status: "ok" });
    const lenient = await examine({ MAYFLY_ALLOW_EMULATION: "true" });
    const [kvm, allowed] = [strict.of("kvm"), lenient.of("kvm")];
    expect([
      ["ok", "ok"],
      ["fail", "warn"],
    ]).toContainEqual([kvm?.status, allowed?.status]);
    const isHere = kvm?.status === "ok";
    expect(kvm?.fixes.join("\n")).toMatch(isHere ? /^$/ : /MAYFLY_ALLOW_EMULATION/);
    expect(allowed?.seen).toMatch(isHere ? /boots with KVM/ : /emulated/);
  });
});
