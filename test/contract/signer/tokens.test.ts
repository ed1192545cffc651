import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createGitHubApp, mintRequestOf } from "../../../apps/orchestrator/src/github/app.ts";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { type Purpose, purposes } from "../../../apps/orchestrator/src/signer/purposes.ts";
import { createScene, eventually, keyKinds, kill, type Scene, startSignerProcess } from "./scene.ts";

const everyPurpose = Object.keys(purposes) as Purpose[];
let scene: Scene;

/** Tokens that GitHub still takes. */
function alive(): number {
  return scene.github.tokens().filter(({ revokedAt }) => revokedAt === undefined).length;
}

function mintOf(purpose: Purpose) {
  return mintRequestOf(purpose, scene.place);
}

describe.each(keyKinds)("with the App's key in %s", (kind) => {
  beforeEach(async () => {
    scene = await createScene(kind);
    await scene.start();
  });

  afterEach(() => scene.close());

  describe("a token", () => {
    it.each(everyPurpose)("may do what its purpose needs and no more, in one repository: %s", async (purpose) => {
      await scene.app().withToken(purpose, scene.place, async () => expect(alive()).toBe(1));
      const [token] = scene.github.tokens();
      expect(token?.permissions).toEqual({ metadata: "read", ...purposes[purpose].permissions });
      const name = purpose === "defaults" ? ".github" : "app";
      expect(token?.repositoryIds).toEqual([scene.github.repository(`example-org/${name}`).id]);
      expect(scene.github.tokens()).toHaveLength(1);
      expect(alive()).toBe(0);
    });

    it("works for the client it was minted for, and is dead when the client is given back", async () => {
      const app = scene.app();
      const title = await app.withClient("read", scene.place, async (client) => {
        const { data } = await client.request("GET /repos/{owner}/{repo}/contents/{path}", {
          owner: "example-org",
          repo: "app",
          path: "README.md",
        });
        return Array.isArray(data) ? null : data.type;
      });
      expect(title).toBe("file");
      expect([...scene.github.contractViolations, ...scene.github.unknownRequests]).toEqual([]);
      expect(alive()).toBe(0);
    });

    it("shows in no log of whoever uses it", async () => {
      const lines: string[] = [];
      const { log } = createLog({ level: "info", write: (line) => void lines.push(line) });
      const app = createGitHubApp({ url: scene.github.url, signer: scene.client(), log });
      await app.withToken("read", scene.place, async (token) => {
        log.child({ run: "run_1" }).warn({ url: `https://x-access-token:${token}@example.com` }, "not fetched");
        expect(lines).toHaveLength(1);
        expect(lines.join("")).not.toContain(token);
      });
    });

    it("dies when its use throws", async () => {
      const use = () => Promise.reject(new Error("broken"));
      await expect(scene.app().withToken("publish", scene.place, use)).rejects.toThrow("broken");
      expect(scene.github.tokens()).toHaveLength(1);
      expect(alive()).toBe(0);
    });

    it("that GitHub did not let die is tried again until it is dead", async () => {
      scene.github.failNext({ method: "DELETE", pathPattern: /^\/installation\/token$/, status: 503, times: 2 });
      await scene.app().withToken("read", scene.place, async () => undefined);
      expect(alive()).toBe(1);
      await scene.core().sweep();
      expect(alive()).toBe(1);
      await scene.core().sweep();
      expect(alive()).toBe(0);
    });

    it("that was dead already is no fault, nor one that is not the signer's", async () => {
      const signer = scene.client();
      const { token } = await signer.mint(mintOf("read"));
      await signer.revoke(token);
      await signer.revoke(token);
      await signer.revoke("ghs_somebody_elses");
      expect(alive()).toBe(0);
    });

    it("dies with its purpose's longest use, however long its borrower keeps it", async () => {
      const signer = scene.client();
      await signer.mint(mintOf("read"));
      await signer.mint(mintOf("publish"));
      await scene.core().sweep();
      expect(alive()).toBe(2);
      scene.later(purposes.read.longestUseMs);
      await scene.core().sweep();
      expect(alive()).toBe(1);
      scene.later(purposes.publish.longestUseMs - purposes.read.longestUseMs);
      await scene.core().sweep();
      expect(alive()).toBe(0);
    });
  });

  describe("after a crash of the service", () => {
    it("its tokens die with the first call of the next, and the next's own live", async () => {
      const before = scene.client();
      for (const purpose of everyPurpose) {
        await before.mint(mintOf(purpose));
      }
      expect(alive()).toBe(everyPurpose.length);
      const after = scene.client();
      await after.mint(mintOf("read"));
      await eventually(() => alive() === 1);
      expect(scene.github.tokens().at(-1)?.revokedAt).toBeUndefined();
      await expect(before.mint(mintOf("read"))).rejects.toMatchObject({ code: "GITHUB_REFUSED" });
      expect(scene.github.tokens()).toHaveLength(everyPurpose.length + 1);
    });

    it("they die though GitHub does not answer at first", async () => {
      await scene.client().mint(mintOf("publish"));
      scene.github.failNext({ method: "DELETE", pathPattern: /^\/installation\/token$/, reset: true });
      await scene.client().asApp("GET /app", {});
      await scene.core().sweep();
      expect(alive()).toBe(0);
    });
  });

  describe("after the end of the signer", () => {
    it("its tokens stay good for the service that lives, and die as ever", async () => {
      const signer = scene.client();
      const { token } = await signer.mint(mintOf("publish"));
      await signer.mint(mintOf("read"));
      await scene.crash();
      await scene.start();
      await scene.core().sweep();
      expect(alive()).toBe(2);
      await signer.revoke(token);
      expect(alive()).toBe(1);
      scene.later(purposes.read.longestUseMs);
      await scene.core().sweep();
      expect(alive()).toBe(0);
    });

    it("a call that met it is made again once it is back", async () => {
      await scene.crash();
      const identity = scene.app().identity();
      await scene.start();
      expect(await identity).toEqual({ id: scene.github.appId, slug: scene.github.appSlug });
    });

    it("and of the service at once, every token dies", async () => {
      await scene.client().mint(mintOf("publish"));
      await scene.crash();
      await scene.start();
      await scene.client().publicKeys();
      await scene.core().sweep();
      expect(alive()).toBe(0);
    });

    it("the real one, told to stop, leaves none alive", async () => {
      await scene.crash();
      const signer = scene.client();
      const child = await startSignerProcess(scene);
      try {
        await Promise.all(everyPurpose.map((purpose) => signer.mint(mintOf(purpose))));
        expect(alive()).toBe(everyPurpose.length);
        const ended = once(child, "exit");
        child.kill("SIGTERM");
        await ended;
        expect(alive()).toBe(0);
      } finally {
        await kill(child);
      }
    });

    it("the real one, killed, knows every token it had handed out", async () => {
      await scene.crash();
      const session = randomUUID();
      const signer = scene.client(session);
      let child = await startSignerProcess(scene);
      try {
        const { token } = await signer.mint(mintOf("publish"));
        await signer.mint(mintOf("read"));
        await kill(child);
        child = await startSignerProcess(scene);
        await signer.revoke(token);
        expect(alive()).toBe(1);
        await scene.client().asApp("GET /app", {});
        await eventually(() => alive() === 0);
      } finally {
        await kill(child);
      }
    });
  });

  describe("the signer's folder", () => {
    it("shows no token, whoever reads it", async () => {
      const signer = scene.client();
      const minted = await Promise.all(everyPurpose.map((purpose) => signer.mint(mintOf(purpose))));
      const folder = join(scene.stateDir, "signer");
      const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
      expect(names.map(({ name }) => name)).toContain("tokens");
      for (const { parentPath, name } of names) {
        const bytes = await readFile(join(parentPath, name));
        for (const { token } of minted) {
          // The last part is what is secret of it; any part that long would do.
          const secret = token.slice(-64);
          for (const form of ["latin1", "hex", "base64", "base64url", "utf16le"] as const) {
            const shown = form === "utf16le" ? Buffer.from(secret, form) : Buffer.from(secret).toString(form);
            expect(bytes.includes(shown)).toBe(false);
          }
        }
      }
    });
  });
});
