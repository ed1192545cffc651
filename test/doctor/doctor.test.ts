import { chmod, mkdir, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nodeFinding } from "../../apps/orchestrator/src/cli/doctor/host-checks.ts";
import { startEmbeddedRedis } from "../../apps/orchestrator/src/store/embedded-redis.ts";
import { createFakeOpenAiAdmin } from "../fakes/openai-admin/server.ts";
import { type DoctorBench, type Examined, MODEL_KEY, openDoctor, WEBHOOK_SECRET } from "./bench.ts";

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

/** What failed and what is to be looked at, but for machines: no image is built for a test of words. */
function wrong(checks: readonly Examined[]): string[] {
  const ofMachines = ["confinement", "image", "kvm", "memory", "disk space"];
  return checks
    .filter(({ name, status }) => (status === "warn" || status === "fail") && !ofMachines.includes(name))
    .map(({ name }) => name);
}

describe("mayfly doctor", () => {
  it("finds nothing wrong where all is well, and leaves nothing in Redis", async () => {
    const { checks } = await bench.examine();
    expect(wrong(checks)).toEqual([]);
    expect(checks.map(({ name }) => name)).toEqual([
      "node",
      "settings",
      "users",
      "state folder",
      "folders of the processes",
      "redis",
      "redis keeps records",
      "redis append-only file",
      "redis takes writes",
      "redis latency",
      "redis clock",
      "github settings",
      "github private key",
      "github app",
      "github clock",
      "github permissions",
      "github events",
      "github deliveries",
      "qemu",
      "image",
      "disk space",
      "memory",
      "confinement",
      "kvm",
      "model credential",
      "model endpoint",
    ]);
    expect(await bench.redis.redis.keys("*")).toEqual([]);
    expect(bench.github.contractViolations).toEqual([]);
    expect(bench.github.tokens()).toEqual([]);
    expect(bench.model.asked.map(({ line }) => line)).toEqual(["GET /v1/models"]);
  });

  it("ends with 3 when a check failed, and with 0 for warnings alone", async () => {
    const forIntake = { MAYFLY_ROLES: "intake" };
    const good = await bench.examine(forIntake);
    expect({ code: good.code, ok: good.ok }).toEqual({ code: 0, ok: true });
    const warned = await bench.examine({ ...forIntake, MAYFLY_WEBHOOK_SECRET_OLD: "the-secret-before-it-0123" });
    expect(statusOf(warned.checks, "github settings")).toBe("warn");
    expect(warned.code).toBe(0);
    await bench.redis.redis.config("SET", "maxmemory-policy", "allkeys-lru");
    const failed = await bench.examine(forIntake);
    expect({ code: failed.code, ok: failed.ok }).toEqual({ code: 3, ok: false });
  });

  it("says for each check what was found, and the fix of each that is not well", async () => {
    await bench.redis.redis.config("SET", "appendonly", "no");
    const { code, out, err } = await bench.ask();
    expect(code).toBe(3);
    expect(out).toMatch(/^ok {7}node: v\d+\.\d+\.\d+$/m);
    expect(out).toMatch(
      /^fail {5}redis append-only file: appendonly no: .*\n {9}fix: redis-cli CONFIG SET appendonly yes/m,
    );
    expect(err).toMatch(/^\d+ checks: \d+ ok, \d+ to look at, \d+ failed, \d+ skipped$/m);
    const heads = out.split("\n").filter((line) => line !== "" && !line.startsWith(" "));
    const { checks } = await bench.examine();
    expect(heads).toHaveLength(checks.length);
    for (const { status, fixes } of checks) {
      expect(fixes.length > 0).toBe(status === "warn" || status === "fail");
    }
  });

  it("shows no secret, whatever is wrong", async () => {
    const password = "a-password-of-redis";
    const over = { MAYFLY_REDIS_URL: `redis://:${password}@127.0.0.1:1`, OPENAI_API_KEY: `${MODEL_KEY}-other` };
    bench.model.answer = ({ authorization }) => ({ status: 500, body: String(authorization) });
    const said = await Promise.all([bench.ask(over), bench.ask(over, "--json"), bench.ask()]);
    const text = said.map(({ out, err }) => out + err).join("\n");
    const secrets = [password, MODEL_KEY, WEBHOOK_SECRET, bench.github.privateKeyPem?.split("\n")[1] ?? "none"];
    expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
  });

  it("names every slip of the settings, and what could not be looked at for that", async () => {
    const { code, checks } = await bench.examine({ MAYFLY_MODLE: "x", MAYFLY_WARM: "many" });
    expect(code).toBe(3);
    expect(find(checks, "settings")?.fixes).toEqual([
      "correct MAYFLY_MODLE: there is no setting of this name (did you mean MAYFLY_MODEL?)",
      'correct MAYFLY_WARM: must be a whole number in digits, not "many"',
    ]);
    expect(checks.slice(2).map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => "skipped"));
  });

  it("cannot be asked with a settings file that is not there", async () => {
    const asking = bench.ask({}, "--config", join(bench.folder, "nowhere.yaml"));
    await expect(asking).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  it("leaves to other hosts what their roles are for, and says so", async () => {
    const { checks } = await bench.examine({ MAYFLY_ROLES: "intake" });
    expect(find(checks, "github app")).toMatchObject({
      status: "skipped",
      seen: expect.stringContaining("role worker"),
    });
    expect(find(checks, "machines")).toMatchObject({ status: "skipped", seen: expect.stringContaining("role worker") });
    expect(find(checks, "model endpoint")).toMatchObject({
      status: "skipped",
      seen: expect.stringContaining("broker"),
    });
    expect(bench.model.asked).toEqual([]);
  });

  it("refuses a Node that the code is not written for", () => {
    expect(nodeFinding("v24.0.0").status).toBe("ok");
    expect(nodeFinding("v20.20.2")).toMatchObject({
      status: "fail",
      fixes: [expect.stringContaining("npm run mayfly")],
    });
  });
});

describe("mayfly doctor on folders", () => {
  it("warns of one that others may look into, with the command that closes it", async () => {
    const state = join(bench.folder, "state");
    await mkdir(state);
    await chmod(state, 0o755);
    const { checks } = await bench.examine();
    expect(find(checks, "state folder")).toMatchObject({
      status: "warn",
      seen: `${state} has mode 755 and not 700`,
      fixes: [expect.stringContaining(`chmod 700 ${state}`)],
    });
  });

  it("fails where a file lies in the place of one", async () => {
    await writeFile(join(bench.folder, "state"), "");
    const { checks } = await bench.examine();
    expect(find(checks, "state folder")).toMatchObject({ status: "fail", fixes: [expect.stringContaining("remove")] });
    expect(statusOf(checks, "folders of the processes")).toBe("skipped");
  });
});

describe("mayfly doctor on Redis", () => {
  const later = ["keeps records", "append-only file", "takes writes", "latency", "clock"].map(
    (name) => `redis ${name}`,
  );

  it("fails where nobody answers, and asks nothing more of it", async () => {
    const { checks } = await bench.examine({ MAYFLY_REDIS_URL: "redis://127.0.0.1:1" });
    expect(find(checks, "redis")).toMatchObject({
      status: "fail",
      seen: expect.stringContaining("ECONNREFUSED"),
      fixes: [expect.stringContaining("MAYFLY_REDIS_URL")],
    });
    expect(later.map((name) => statusOf(checks, name))).toEqual(later.map(() => "skipped"));
  });

  it.each([
    ["maxmemory-policy", "volatile-lru", "redis keeps records", /CONFIG SET maxmemory-policy noeviction/],
    ["appendonly", "no", "redis append-only file", /CONFIG SET appendonly yes/],
    ["min-replicas-to-write", "1", "redis takes writes", /primary/],
  ])("fails with %s %s, with the fix", async (setting, value, name, fix) => {
    await bench.redis.redis.config("SET", setting, value);
    const { checks } = await bench.examine();
    expect(find(checks, name)?.status).toBe("fail");
    expect(find(checks, name)?.fixes.join()).toMatch(fix);
  });

  it("knows that Mayfly's own runs with the service alone", async () => {
    const { checks } = await bench.examine({ MAYFLY_REDIS_URL: "" });
    expect(find(checks, "redis")).toMatchObject({ status: "ok", seen: expect.stringContaining("not running now") });
    expect(later.map((name) => statusOf(checks, name))).toEqual(later.map(() => "skipped"));
  });
});

describe("mayfly doctor on Mayfly's own Redis", () => {
  it("asks the one that runs", async () => {
    const state = join(bench.folder, "state");
    await mkdir(state, { mode: 0o700 });
    const own = await startEmbeddedRedis(join(state, "redis"));
    try {
      const { checks } = await bench.examine({ MAYFLY_REDIS_URL: "" });
      const ofRedis = checks.filter(({ name }) => name.startsWith("redis"));
      expect(ofRedis.map(({ status }) => status)).toEqual(ofRedis.map(() => "ok"));
      expect(find(checks, "redis")?.seen).toMatch(/^Redis \d+\.\d+\.\d+ answers$/);
    } finally {
      await own.stop();
    }
  });
});

describe("mayfly doctor on the model", () => {
  it("fails without a key, and for one that is refused", async () => {
    const none = await bench.examine({ OPENAI_API_KEY: "" });
    expect(find(none.checks, "model credential")).toMatchObject({
      status: "fail",
      fixes: [expect.stringContaining("OPENAI_API_KEY")],
    });
    expect(statusOf(none.checks, "model endpoint")).toBe("skipped");
    const wrongKey = await bench.examine({ OPENAI_API_KEY: "sk-wrong-0123456789" });
    expect(find(wrongKey.checks, "model endpoint")).toMatchObject({
      status: "fail",
      seen: expect.stringContaining("401"),
    });
  });

  it("warns of a model that the endpoint does not have", async () => {
    const { checks } = await bench.examine({ MAYFLY_MODEL: "gpt-none" });
    expect(find(checks, "model endpoint")).toMatchObject({
      status: "warn",
      fixes: [expect.stringContaining("MAYFLY_MODEL")],
    });
  });

  it("fails where nobody answers, and shows the key to nobody else", async () => {
    const away = await bench.examine({ OPENAI_BASE_URL: "http://127.0.0.1:1/v1" });
    expect(find(away.checks, "model endpoint")).toMatchObject({
      status: "fail",
      fixes: [expect.stringContaining("OPENAI_BASE_URL")],
    });
    bench.model.answer = () => ({ status: 302, body: "", headers: { location: `${bench.github.url}/v1/models` } });
    const led = await bench.examine();
    expect(find(led.checks, "model endpoint")).toMatchObject({ status: "warn" });
    expect(bench.github.unknownRequests).toEqual([]);
  });
});

describe("mayfly doctor on a service account of OpenAI", () => {
  const place = { adminKey: "sk-admin-doctor-0123456789", project: "proj_1", serviceAccounts: ["user-1"] };
  const settings = (adminUrl: string) => ({
    OPENAI_API_KEY: "",
    MAYFLY_MODEL_ISSUER: "openai-service-account",
    MAYFLY_MODEL_ADMIN_KEY: place.adminKey,
    MAYFLY_MODEL_ADMIN_URL: adminUrl,
    MAYFLY_MODEL_PROJECT: place.project,
    MAYFLY_MODEL_SERVICE_ACCOUNT: "user-1",
    MAYFLY_MODEL_SCOPES: "api.all.read",
  });

  it("asks the Admin API without making a key, and fails where it refuses", async () => {
    const admin = await createFakeOpenAiAdmin(place);
    try {
      const { checks } = await bench.examine(settings(admin.url));
      expect(find(checks, "model credential")).toMatchObject({ status: "ok" });
      expect(find(checks, "model endpoint")).toMatchObject({ status: "ok", seen: expect.stringContaining("answers") });
      expect([admin.keys, admin.violations]).toEqual([[], []]);
      const refused = await bench.examine({
        ...settings(admin.url),
        MAYFLY_MODEL_ADMIN_KEY: "sk-admin-wrong-0123456789",
      });
      expect(find(refused.checks, "model credential")).toMatchObject({
        status: "fail",
        fixes: [expect.stringContaining("model.admin_key")],
      });
      expect(refused.out).not.toContain("sk-admin-wrong");
    } finally {
      await admin.close();
    }
  });
});

describe("an endpoint that never answers", () => {
  it("is a failure with its fix once the check's time is up", async () => {
    const silent = createServer(() => undefined).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    try {
      const { checks } = await bench.examine({
        OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1`,
      });
      expect(find(checks, "model endpoint")).toMatchObject({
        status: "fail",
        seen: expect.stringMatching(/no answer within 5 s|timeout/),
        fixes: [expect.stringContaining("OPENAI_BASE_URL")],
      });
    } finally {
      silent.closeAllConnections();
      silent.close();
    }
  });
});

describe("mayfly doctor on machines", () => {
  it("warns that no image is built, and boots none", async () => {
    const { checks } = await bench.examine();
    expect(find(checks, "image")).toMatchObject({ status: "warn", fixes: ["mayfly image build"] });
    expect(statusOf(checks, "kvm")).toBe("skipped");
  });

  it("warns of more machines than the host has memory for", async () => {
    const { checks } = await bench.examine({ MAYFLY_MACHINES_MAX: "1000", MAYFLY_MACHINE_MEMORY_MIB: "1048576" });
    expect(find(checks, "memory")).toMatchObject({
      status: "warn",
      fixes: [expect.stringContaining("MAYFLY_MACHINES_MAX")],
    });
  });
});
