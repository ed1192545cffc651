import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { readStrictYaml } from "@mayfly/core/strict-yaml";
import { describe, expect, it } from "vitest";

const folder = resolve(import.meta.dirname, "../../infra/docker");
const dockerfile = await readFile(join(folder, "Dockerfile"), "utf8");
const compose = readCompose(await readFile(join(folder, "compose.yaml"), "utf8"));
/** What is in the image that is shipped: the last stage. */
const shipped = dockerfile.slice(dockerfile.lastIndexOf("\nFROM "));

describe("the image", () => {
  it("runs as nobody special", () => {
    expect(shipped).toMatch(/^USER 10001:10001$/m);
    expect(shipped.indexOf("\nUSER ")).toBeGreaterThan(shipped.lastIndexOf("\nRUN "));
  });

  it("says that its base is not pinned, and how to pin it", () => {
    expect(dockerfile).toMatch(/^ARG BASE=debian:12-slim$/m);
    expect(dockerfile.match(/^FROM (\S+)/gm)).toEqual(["FROM ${BASE}", "FROM ${BASE}"]);
    expect(dockerfile).toContain("--build-arg BASE=debian:12-slim@sha256:");
  });

  it("says that it was never built", () => {
    expect(dockerfile).toMatch(/written and not built/);
  });

  it("installs by the lock file and runs no script of a package", () => {
    expect(dockerfile).toMatch(/npm install --no-save --ignore-scripts/);
    expect(shipped).not.toMatch(/\bnpm\b.*install|nodejs|curl|wget/);
  });

  it("has a health check that needs no further program", () => {
    expect(shipped).toMatch(/^HEALTHCHECK .*\\\n {2}CMD \["node", /m);
  });

  it("takes no secret from the host", async () => {
    const ignored = (await readFile(join(folder, "Dockerfile.dockerignore"), "utf8")).split("\n");
    expect(ignored).toEqual(expect.arrayContaining([".git", "**/node_modules", "**/.env*", "**/*.pem"]));
    expect(dockerfile).not.toMatch(/(?:KEY|SECRET|TOKEN|PASSWORD)=/);
  });
});

describe("the compose file", () => {
  it.each(["mayfly", "redis"] as const)(
    "gives %s a file system that is read only, and no rights it does not name",
    (name) => {
      expect(compose.services[name]).toMatchObject({ read_only: true, cap_drop: ["ALL"] });
      expect(compose.services[name]).not.toHaveProperty("privileged");
      expect(compose.services[name]).not.toHaveProperty("network_mode");
    },
  );

  it("gives Mayfly the rights of newuidmap alone", () => {
    expect(compose.services.mayfly).toMatchObject({ cap_add: ["SETUID", "SETGID", "SYS_ADMIN"] });
  });

  it("has a Redis that keeps what it was given and is reached by nobody else", () => {
    const command = compose.services.redis["command"] as string[];
    const setting = (name: string) => command[command.indexOf(name) + 1];
    expect([setting("--appendonly"), setting("--maxmemory-policy")]).toEqual(["yes", "noeviction"]);
    expect(compose.services.redis).not.toHaveProperty("ports");
  });

  it("opens webhooks to this host alone, and the door for machines to them", () => {
    expect(compose.services.mayfly["ports"]).toEqual(["127.0.0.1:3000:3000", "8443:8443"]);
    expect(compose.services.mayfly["environment"]).toMatchObject({
      MAYFLY_LISTEN_MACHINES_HOST: "0.0.0.0",
      MAYFLY_LISTEN_MACHINES_PORT: "8443",
    });
  });
});

function readCompose(text: string): { services: Record<"mayfly" | "redis", Record<string, unknown>> } {
  const read = readStrictYaml(text, { charsMax: 16_384 });
  if (!read.ok) {
    throw new Error(JSON.stringify(read.problems));
  }
  return read.yaml.value as ReturnType<typeof readCompose>;
}
