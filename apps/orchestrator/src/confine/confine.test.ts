import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { becomeServiceUser } from "../../../../test/support/become-service-user.ts";
import { checkConfinement } from "./check-confinement.ts";
import { createConfine } from "./confine.ts";
import { confinedRemove } from "./confined-remove.ts";
import type { Confine, Confinement } from "./confinement.ts";
import type { ServiceUser } from "./service-user.ts";

const OFFSET = 600;

let user: ServiceUser;
let confine: Confine;
let folder: string;

beforeAll(async () => {
  user = await becomeServiceUser();
  confine = createConfine(user);
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-confine-"));
});

afterEach(async () => {
  await confinedRemove(user, folder);
});

describe("a confined process", () => {
  it("has its own uid, no capabilities and no way to new privileges", async () => {
    const { stdout } = await run(["cat", "/proc/self/status"]);
    expect(stdout).toMatch(/^Uid:\t1\t1\t1\t1$/m);
    expect(stdout).toMatch(/^Gid:\t1\t1\t1\t1$/m);
    expect(stdout).toMatch(/^Groups:\s*$/m);
    for (const set of ["Inh", "Prm", "Eff", "Bnd", "Amb"]) {
      expect(stdout).toMatch(new RegExp(`^Cap${set}:\\t0000000000000000$`, "m"));
    }
    expect(stdout).toMatch(/^NoNewPrivs:\t1$/m);
  });

  it("is its subordinate uid to the host", async () => {
    await chmod(folder, 0o777);
    await run(["touch", "/given/made"], { binds: [{ from: folder, to: "/given", mode: "rw" }] });
    const made = await stat(join(folder, "made"));
    expect([made.uid, made.gid]).toEqual([user.subuids.first + OFFSET, user.subgids.first + OFFSET]);
  });

  it("cannot make a user namespace in which it would have capabilities again", async () => {
    const { code, stderr } = await run(["unshare", "--user", "true"]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("unshare failed");
  });

  it("sees nothing of the host but /usr and what it was given", async () => {
    const { stdout } = await run(["ls", "-A", "/"]);
    expect(stdout.split("\n").filter(Boolean).toSorted()).toEqual(
      ["bin", "dev", "lib", "lib64", "proc", "sbin", "tmp", "usr"].toSorted(),
    );
  });

  it("cannot read the service user's private files, even through a folder it was given", async () => {
    await mkdir(join(folder, "private"), { mode: 0o700 });
    await writeFile(join(folder, "private/secret"), "hidden");
    await chmod(folder, 0o755);
    const { code, stderr } = await run(["cat", "/given/private/secret"], {
      binds: [{ from: folder, to: "/given", mode: "rw" }],
    });
    expect(code).toBe(1);
    expect(stderr).toContain("Permission denied");
  });

  it("cannot write where it was given something to read", async () => {
    await chmod(folder, 0o777);
    const { code, stderr } = await run(["touch", "/given/x"], { binds: [{ from: folder, to: "/given", mode: "ro" }] });
    expect(code).toBe(1);
    expect(stderr).toContain("Read-only file system");
  });

  it("sees no process but its own and those that keep it, and can signal none of those", async () => {
    const { stdout } = await run(["sh", "-c", "echo /proc/[0-9]*; kill -9 1 2 || echo refused"]);
    expect(stdout).toBe("/proc/1 /proc/2 /proc/3\nrefused\n");
  });

  it("has exactly the environment it was given", async () => {
    const { stdout } = await run(["env"], { env: { GREETING: "hello there" } });
    expect(stdout.split("\n").filter(Boolean).toSorted()).toEqual(["GREETING=hello there", "PWD=/"]);
  });

  it("gets its arguments untouched by any shell", async () => {
    const { stdout } = await run(["printf", "%s|", "$(id)", "; exit 3", "", "--", "a b"]);
    expect(stdout).toBe("$(id)|; exit 3||--|a b|");
  });

  it("inherits the file descriptors it was handed", async () => {
    await writeFile(join(folder, "handed"), "over");
    const fd = openSync(join(folder, "handed"), "r");
    try {
      const { command, args } = confine(confinement({}), ["sh", "-c", "cat <&3 >&2"]);
      const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe", fd] });
      assert(child.stderr !== null);
      expect(await text(child.stderr)).toBe("over");
    } finally {
      closeSync(fd);
    }
  });

  it("keeps the service user's groups only when it is given a device", async () => {
    const { stdout } = await run(["grep", "Groups", "/proc/self/status"], { devices: ["/dev/null"] });
    expect(stdout).toMatch(/^Groups:\t0 /);
  });

  it("gives back its exit code", async () => {
    expect((await run(["sh", "-c", "exit 7"])).code).toBe(7);
  });
});

describe("network none", () => {
  it("has a loopback that is up and is not the host's", async () => {
    const server = createServer((socket) => socket.end("host"));
    await once(server.listen(0, "127.0.0.1"), "listening");
    try {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      const { stdout } = await run([
        "sh",
        "-c",
        `socat -u TCP:127.0.0.1:${port} - 2>&1; socat TCP-LISTEN:${port},bind=127.0.0.1 EXEC:'echo inside' & socat -u TCP:127.0.0.1:${port},retry=50,interval=0.05 -`,
      ]);
      expect(stdout).toContain("Connection refused");
      expect(stdout).toContain("inside");
      expect(stdout).not.toContain("host\n");
    } finally {
      server.close();
    }
  });
});

describe("network host", () => {
  it("reaches the host's listeners", async () => {
    const server = createServer((socket) => socket.end("host"));
    await once(server.listen(0, "127.0.0.1"), "listening");
    try {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      expect((await run(["socat", "-u", `TCP:127.0.0.1:${port}`, "-"], { network: "host" })).stdout).toBe("host");
    } finally {
      server.close();
    }
  });
});

describe("limits", () => {
  it("are hard limits of the process", async () => {
    const { stdout } = await run(["cat", "/proc/self/limits"], {
      limits: { seconds: 10, addressSpaceBytes: 2 ** 30, processes: 20, openFiles: 30, fileBytes: 4096 },
    });
    expect(stdout).toMatch(/^Max address space\s+1073741824\s+1073741824/m);
    expect(stdout).toMatch(/^Max processes\s+20\s+20/m);
    expect(stdout).toMatch(/^Max open files\s+30\s+30/m);
    expect(stdout).toMatch(/^Max file size\s+4096\s+4096/m);
    expect(stdout).toMatch(/^Max core file size\s+0\s+0/m);
  });

  it("end it, and everything it started, at the deadline", async () => {
    const { code, stdout } = await run(["sh", "-c", "setsid sleep 300 & echo started; sleep 300"], {
      limits: { seconds: 1 },
    });
    // The pipe's end proves that the process which left the group and the session is gone too.
    expect([code, stdout]).toEqual([137, "started\n"]);
  });
});

describe("the spawned process", () => {
  it("takes everything with it when it is killed", async () => {
    const child = start(["sh", "-c", "setsid sleep 300 & echo started; sleep 300"], {});
    const said = text(child.stdout);
    await once(child.stdout, "readable");
    child.kill("SIGKILL");
    expect(await said).toBe("started\n");
  });
});

describe("createConfine", () => {
  it("refuses an offset outside the user's range", () => {
    for (const uidOffset of [-1, 1.5, user.subuids.count]) {
      expect(() => confine(confinement({ uidOffset }), ["true"])).toThrow("outside the user's range");
    }
  });
});

describe("confinedRemove", () => {
  it("removes what belongs to a subordinate uid, and not what a link in it points at", async () => {
    const given = join(folder, "given");
    await mkdir(given);
    await chmod(given, 0o777);
    await writeFile(join(folder, "kept"), "kept");
    await run(["sh", "-c", `mkdir -m 700 /given/own && echo x >/given/own/file && ln -s ${folder} /given/own/link`], {
      binds: [{ from: given, to: "/given", mode: "rw" }],
    });
    await expect(rm(given, { recursive: true })).rejects.toThrow("EACCES");
    await confinedRemove(user, given);
    await expect(stat(given)).rejects.toThrow("ENOENT");
    expect(await readFile(join(folder, "kept"), "utf8")).toBe("kept");
    await confinedRemove(user, given);
  });
});

describe("checkConfinement", () => {
  it("finds nothing missing where confinement works", async () => {
    expect(await checkConfinement()).toEqual([]);
  });
});

function confinement(overrides: Partial<Confinement>): Confinement {
  return { uidOffset: OFFSET, network: "none", binds: [], env: {}, limits: { seconds: 20 }, ...overrides };
}

function start(argv: string[], overrides: Partial<Confinement>): ChildProcessByStdio<null, Readable, Readable> {
  const { command, args } = confine(confinement(overrides), argv);
  return spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
}

async function run(argv: string[], overrides: Partial<Confinement> = {}) {
  const child = start(argv, overrides);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  return { stdout, stderr, code: code as number | null };
}
