import { spawnSync } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { filesOf } from "../../infra/systemd/aws/fetch-secrets.mjs";

const root = resolve(import.meta.dirname, "../..");
const units = join(root, "infra/systemd");

/** What `systemd-analyze security` of Debian 12 says of the unit, from 0 (closed) to 10: no line may make it worse. */
const EXPOSURE_MAX = 4.7;

/** Lines that would harden an ordinary service and break this one, each with what would break. */
const breaking: readonly (readonly [line: RegExp, breaks: string])[] = [
  [/^NoNewPrivileges=yes/m, "newuidmap is setuid: no machine would get a uid of its own"],
  [/^CapabilityBoundingSet=(?!.*\bCAP_SYS_ADMIN\b)/m, "newuidmap could not write its map"],
  [/^User=/m, "the supervisor has to be root to become three users"],
  [/^(?:ProtectKernelTunables|ProtectKernelLogs)=yes/m, "no /proc could be mounted in a namespace"],
  [/^(?:ProtectProc|ProcSubset)=/m, "no /proc could be mounted in a namespace"],
  [/^PrivateDevices=yes/m, "no KVM"],
  [/^PrivateUsers=yes/m, "the three users would not be there"],
  [/^RestrictNamespaces=yes/m, "no machine and no git could be confined"],
  [/^MemoryDenyWriteExecute=yes/m, "Node compiles while it runs"],
  [/^(?:StateDirectory|CacheDirectory)=/m, "systemd would give the state of three users to root"],
  [/^KillMode=(?!process$)/m, "a stop would end the machines that the next start adopts"],
];

const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0;
const folders: string[] = [];

afterEach(async () => {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
});

/** The units in a folder of their own, with programs where this clone has them. */
async function installed(change: (unit: string) => string = (unit) => unit): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-units-"));
  folders.push(folder);
  await cp(join(units, "mayfly.service"), join(folder, "mayfly.service"));
  await cp(join(units, "aws/mayfly.service.d"), join(folder, "mayfly.service.d"), { recursive: true });
  for (const file of ["mayfly.service", "mayfly.service.d/aws.conf"]) {
    const text = await readFile(join(folder, file), "utf8");
    await writeFile(join(folder, file), change(text).replaceAll("/opt/mayfly/", `${root}/`));
  }
  return join(folder, "mayfly.service");
}

function analyze(...args: readonly string[]): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync("systemd-analyze", args, { encoding: "utf8", timeout: 30_000 });
  return { status, said: `${stdout}${stderr}` };
}

// A plain container often has no systemd-analyze (Debian's package systemd). Where builds are made it has to be there.
describe.skipIf(!hasSystemd && process.env["CI"] !== "true")("the unit, as systemd reads it", () => {
  it("is correct, with what AWS adds to it", async () => {
    expect(analyze("verify", "--recursive-errors=no", "--man=no", await installed())).toEqual({ status: 0, said: "" });
  });

  it("is not correct with a slip of the hand", async () => {
    const unit = await installed((text) => text.replace("KillMode=process", "KillMode=proces"));
    expect(analyze("verify", "--recursive-errors=no", "--man=no", unit).said).toContain("proces\n");
  });

  it("is exposed no more than it has to be", async () => {
    const { said } = analyze("security", "--offline=true", await installed());
    const level = Number(/Overall exposure level for mayfly\.service: ([\d.]+)/.exec(said)?.[1]);
    expect(level).toBeLessThanOrEqual(EXPOSURE_MAX);
  });

  it("is exposed more when a line is taken away", async () => {
    const unit = await installed((text) => text.replace(/^ProtectSystem=.*\n/m, ""));
    const { said } = analyze("security", "--offline=true", unit);
    const level = Number(/Overall exposure level for mayfly\.service: ([\d.]+)/.exec(said)?.[1]);
    expect(level).toBeGreaterThan(EXPOSURE_MAX);
  });
});

describe("the unit", () => {
  it.each(breaking)("has no line like %s, for then: %s", async (line) => {
    expect(await readFile(join(units, "mayfly.service"), "utf8")).not.toMatch(line);
  });

  it("starts the program directly, since the set-up would want to write to the system", async () => {
    const unit = await readFile(join(units, "mayfly.service"), "utf8");
    expect(unit).toMatch(/^ExecStart=\S+\/node \S+\/main\.ts serve --config \S+$/m);
  });

  it("names only programs and files of this repository", async () => {
    const texts = await Promise.all(
      ["mayfly.service", "aws/mayfly.service.d/aws.conf"].map((file) => readFile(join(units, file), "utf8")),
    );
    const named = texts.flatMap((text) =>
      [...text.matchAll(/\/opt\/mayfly\/([\w./-]+)/g)].map(([, path]) => path ?? ""),
    );
    expect(named.length).toBeGreaterThan(4);
    const missing: string[] = [];
    for (const path of named) {
      const folder: string[] = await readdir(join(root, path, "..")).catch(() => []);
      missing.push(...(folder.includes(path.split("/").at(-1) ?? "") ? [] : [path]));
    }
    expect(missing).toEqual([]);
  });
});

describe("secrets on AWS", () => {
  const settings = { cache: { host: "cache.example.com", port: 6380 } };
  const appKey = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
  const secrets = { token: "t0/ken", appKey, webhookSecret: "a secret of 16 $x", modelKey: "sk-example" };

  it("become the environment of the unit", () => {
    expect(filesOf(settings, secrets)).toEqual({
      appKey,
      environment: [
        "MAYFLY_REDIS_URL='rediss://:t0%2Fken@cache.example.com:6380'",
        "MAYFLY_WEBHOOK_SECRET='a secret of 16 $x'",
        "OPENAI_API_KEY='sk-example'",
        "",
      ].join("\n"),
    });
  });

  it("are without the App's key where it is in KMS", () => {
    expect(filesOf(settings, { ...secrets, appKey: null })).toMatchObject({ appKey: null });
  });

  it("are without either key on a host that only takes webhooks", () => {
    const { environment, appKey: none } = filesOf(settings, { ...secrets, appKey: null, modelKey: null });
    expect([none, environment]).toEqual([null, expect.not.stringContaining("OPENAI_API_KEY")]);
    expect(environment).toContain("MAYFLY_WEBHOOK_SECRET=");
  });

  it.each(["two\nlines", "", "it's", "ü"])("are refused when systemd would read them otherwise: %j", (modelKey) => {
    expect(() => filesOf(settings, { ...secrets, modelKey })).toThrow("OPENAI_API_KEY must be one line");
  });

  it("are not echoed when they are wrong", () => {
    expect(() => filesOf(settings, { ...secrets, appKey: "hunter2" })).toThrow(/^the App's key is not PEM$/);
  });
});
