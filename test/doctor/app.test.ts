import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { skewFinding } from "../../apps/orchestrator/src/cli/doctor/clock-skew.ts";
import { startKmsFake } from "../fakes/kms/server.ts";
import { type DoctorBench, type Examined, openDoctor, PERMISSIONS } from "./bench.ts";

let bench: DoctorBench;

beforeEach(async () => {
  bench = await openDoctor();
});

afterEach(() => bench.end());

/** One check of them. */
function find(checks: readonly Examined[], name: string): Examined | undefined {
  return checks.find((check) => check.name === name);
}

const statusOf = (checks: readonly Examined[], name: string) => find(checks, name)?.status;

describe("a clock", () => {
  it.each([
    [500, "ok", "0.5 s ahead of"],
    [-2_900, "ok", "2.9 s behind"],
    [5_000, "warn", "5 s ahead of"],
    [-31_000, "fail", "31 s behind"],
  ])("that is %i ms ahead is %s", (skewMs, status, words) => {
    expect(skewFinding(skewMs, "Redis", { max: 30_000 })).toMatchObject({
      status,
      seen: expect.stringContaining(words),
    });
  });
});

describe("mayfly doctor on the App", () => {
  it("fails for a permission that is missing and an event that labels need, with the page", async () => {
    const permissions = { contents: "read", pull_requests: "write", checks: "read" } as const;
    await bench.useApp({ permissions, events: ["issue_comment"] });
    const { checks } = await bench.examine();
    expect(find(checks, "github permissions")).toMatchObject({
      status: "fail",
      seen: "not granted: checks: write",
      fixes: [expect.stringMatching(/organizations\/example\/settings\/apps\/mayfly\/permissions/)],
    });
    expect(find(checks, "github events")).toMatchObject({
      status: "fail",
      fixes: [expect.stringContaining("Pull request, Check run")],
    });
  });

  it("asks for the right to write contents only where tasks may publish patches", async () => {
    await bench.useApp({ permissions: { ...PERMISSIONS, contents: "read" } });
    expect(statusOf((await bench.examine()).checks, "github permissions")).toBe("ok");
    const { checks } = await bench.examine({ MAYFLY_PUBLICATIONS: "comment,check,patch" });
    expect(find(checks, "github permissions")).toMatchObject({ status: "fail", seen: "not granted: contents: write" });
  });

  it("warns of a permission that is used for nothing, and of events that commands need", async () => {
    await bench.useApp({ permissions: { ...PERMISSIONS, workflows: "write" }, events: ["pull_request"] });
    const { checks } = await bench.examine();
    expect(find(checks, "github permissions")).toMatchObject({
      status: "warn",
      seen: expect.stringContaining("workflows: write"),
    });
    expect(find(checks, "github events")?.status).toBe("warn");
  });

  it("fails for a key of another App, with what to compare", async () => {
    const { checks } = await bench.examine({ MAYFLY_GITHUB_APP_ID: "7" });
    expect(find(checks, "github app")).toMatchObject({
      status: "fail",
      fixes: [expect.stringContaining("app_id is 7"), expect.stringContaining("private key")],
    });
    // A refusal tells the time as well.
    expect(statusOf(checks, "github clock")).toBe("ok");
    expect(statusOf(checks, "github deliveries")).toBe("skipped");
  });

  it("fails for a file that is no key, and warns of one that others may read", async () => {
    const path = join(bench.folder, "app.pem");
    await chmod(path, 0o644);
    expect(find((await bench.examine()).checks, "github private key")).toMatchObject({
      status: "warn",
      fixes: [`chmod 600 ${path}`],
    });
    await writeFile(path, "no key");
    const { checks } = await bench.examine();
    expect(statusOf(checks, "github private key")).toBe("fail");
    expect(statusOf(checks, "github app")).toBe("skipped");
  });

  it.each([
    ["behind", 10_000, "warn"],
    ["far behind", 200_000, "fail"],
    ["far ahead", -200_000, "fail"],
  ])("tells a clock that is %s GitHub's", async (_how, aheadMs, status) => {
    // Its answers carry its own time; what it thinks of ours does not count here.
    bench.github.failNext({
      method: "GET",
      pathPattern: /^\/app$/,
      status: 500,
      headers: { date: new Date(Date.now() + aheadMs).toUTCString() },
    });
    const { checks } = await bench.examine();
    expect(find(checks, "github clock")?.status).toBe(status);
    expect(find(checks, "github clock")?.fixes).toEqual([expect.stringContaining("timedatectl")]);
  });

  it("fails while the newest delivery failed, and warns once a later one arrived", async () => {
    const files = { "README.md": "# App\n" };
    await bench.github.createRepository({ owner: "octo", name: "app", files });
    await bench.github.deliveriesSettled();
    const taken = await bench.examine();
    expect(find(taken.checks, "github deliveries")).toMatchObject({
      status: "ok",
      seen: expect.stringMatching(/all taken|no delivery/),
    });
    bench.github.loseNextDeliveries({ times: 1, loggedAs: 401 });
    bench.github.ping();
    await bench.github.deliveriesSettled();
    const failed = find((await bench.examine()).checks, "github deliveries");
    expect(failed).toMatchObject({ status: "fail", fixes: [expect.stringContaining("MAYFLY_WEBHOOK_SECRET")] });
    bench.github.ping();
    await bench.github.deliveriesSettled();
    expect(statusOf((await bench.examine()).checks, "github deliveries")).toBe("warn");
  });

  it("says what is not set", async () => {
    const { checks } = await bench.examine({
      MAYFLY_GITHUB_APP_ID: "",
      MAYFLY_GITHUB_PRIVATE_KEY_FILE: "",
      MAYFLY_WEBHOOK_SECRET: "",
    });
    expect(find(checks, "github settings")).toMatchObject({
      status: "fail",
      fixes: [expect.stringContaining("github-app.md")],
    });
  });
});

describe("mayfly doctor on a key in KMS", () => {
  it("signs with it, and fails where the role may not", async () => {
    const kms = await startKmsFake();
    vi.stubEnv("AWS_ACCESS_KEY_ID", kms.credentials.accessKeyId);
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", kms.credentials.secretAccessKey);
    try {
      const over = {
        MAYFLY_GITHUB_PRIVATE_KEY_FILE: "",
        MAYFLY_GITHUB_KMS_KEY: kms.addKey({ pem: bench.github.privateKeyPem ?? null }),
        MAYFLY_GITHUB_KMS_ENDPOINT: kms.url,
      };
      const { checks } = await bench.examine(over);
      expect(statusOf(checks, "github private key")).toBe("ok");
      expect(statusOf(checks, "github app")).toBe("ok");
      kms.allow();
      const refused = await bench.examine(over);
      expect(find(refused.checks, "github private key")).toMatchObject({
        status: "fail",
        fixes: [expect.stringContaining("kms:Sign")],
      });
      expect(refused.out).not.toContain(kms.credentials.secretAccessKey);
    } finally {
      vi.unstubAllEnvs();
      await kms.close();
    }
  });
});
