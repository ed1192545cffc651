import { generateKeyPairSync, randomUUID } from "node:crypto";
import { request } from "node:http";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isFinal, statusOf } from "../../../apps/orchestrator/src/github/app.ts";
import { appRequests, type AppRoute } from "../../../apps/orchestrator/src/signer/app-requests.ts";
import { purposeNames } from "../../../apps/orchestrator/src/signer/purposes.ts";
import { createRecorder, createScene, keyKinds, type Scene } from "./scene.ts";

let scene: Scene;

afterEach(() => scene.close());

function mintOf(purpose: "read" | "publish") {
  return { purpose, installation: scene.place.installation, repository: scene.place.repository.id };
}

/** One call of the socket, as bytes. */
function post(path: string, body: string, method = "POST"): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const asking = request({ socketPath: scene.socket, method, path, headers }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => (text += chunk));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    asking.on("error", reject);
    asking.end(body);
  });
}

describe.each(keyKinds)("the signer, with the App's key in %s", (kind) => {
  beforeEach(async () => {
    scene = await createScene(kind);
  });

  it("lists deliveries, asks for one again, and says who the App is", async () => {
    await scene.start();
    const signer = scene.client();
    scene.github.setWebhook({ url: "http://127.0.0.1:1/webhook" });
    scene.github.ping();
    await scene.github.deliveriesSettled();
    const { data } = await signer.asApp("GET /app/hook/deliveries", { per_page: 100 });
    const logged = scene.github.deliveries().map(({ guid }) => guid);
    expect(data.map(({ guid }) => guid)).toEqual(logged.toReversed());
    const [newest] = data;
    await signer.asApp("POST /app/hook/deliveries/{delivery_id}/attempts", { delivery_id: newest?.id ?? 0 });
    await scene.github.deliveriesSettled();
    expect(scene.github.deliveries().map(({ guid }) => guid)).toEqual([...logged, newest?.guid]);
    expect((await signer.asApp("GET /app", {})).data).toEqual({ id: scene.github.appId, slug: scene.github.appSlug });
    expect(scene.github.contractViolations).toEqual([]);
  });

  it("passes GitHub's no on with its status, so that the service decides as if it had asked itself", async () => {
    await scene.start();
    const signer = scene.client();
    const refused = await signer.mint({ ...mintOf("read"), installation: 1 }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "GITHUB_REFUSED", cause: { status: 404 } });
    expect(isFinal(refused)).toBe(true);
    scene.github.failNext({ method: "POST", pathPattern: /access_tokens$/, status: 429 });
    const later = await signer.mint(mintOf("read")).catch((error: unknown) => error);
    expect(later).toMatchObject({ code: "GITHUB_UNAVAILABLE" });
    expect(statusOf((later as Error).cause)).toBe(429);
  });

  it("says it of a key that GitHub does not know, for the operator to mend", async () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    await scene.start({ pem: privateKey.export({ type: "pkcs1", format: "pem" }).toString() });
    const refused = await scene
      .client()
      .mint(mintOf("read"))
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "GITHUB_REFUSED", cause: { status: 401 } });
    expect(isFinal(refused)).toBe(false);
  });

  it.each<[string, object]>([
    ["a permission more", { permissions: { contents: "read", pull_requests: "read", workflows: "write" } }],
    ["a level more", { permissions: { contents: "write", pull_requests: "read" } }],
    ["another repository", { repositories: [{ id: 1 }] }],
    ["two repositories", { repositories: [{ id: 2_000_000_000 }, { id: 1 }] }],
  ])("hands no token out that may do more than was asked: %s", async (_name, more) => {
    const answer = { token: "ghs_wide", expires_at: new Date(Date.now() + 3_600_000).toISOString(), permissions: {} };
    const recorder = await createRecorder(({ method }) =>
      method === "DELETE" ? { status: 204, body: null } : { status: 201, body: { ...answer, ...more } },
    );
    try {
      await scene.start({ url: recorder.url });
      const mint = { ...mintOf("read"), repository: 2_000_000_000 };
      await expect(scene.client().mint(mint)).rejects.toMatchObject({ code: "GITHUB_REFUSED" });
      expect(recorder.asked.at(-1)).toBe("DELETE /installation/token");
    } finally {
      await recorder.close();
    }
  });

  const token = `ghs_${"Odd1".repeat(10)}`;
  const expires = new Date(Date.now() + 3_600_000).toISOString();

  it.each<[string, unknown]>([
    ["without its permissions", { token, expires_at: expires }],
    ["without its end", { token, permissions: {} }],
    ["that ends at no time", { token, expires_at: "soon", permissions: {} }],
    ["deeper in", { data: [{ access: { token } }] }],
    ["under another name", { value: token }],
    ["in a sentence", `Your token is ${token}, keep it.`],
    ["that looks like no other", { token: "v1.1f699f1069f60xxx" }],
  ])("revokes a token whose answer has another shape: %s", async (_name, body) => {
    const revoked: (string | undefined)[] = [];
    let isDown = true;
    const recorder = await createRecorder(({ method, headers }) => {
      if (method !== "DELETE") {
        return { status: 201, body };
      }
      if (isDown) {
        return { status: 503, body: {} };
      }
      revoked.push(headers.authorization?.split(" ")[1]);
      return { status: 204, body: null };
    });
    try {
      await scene.start({ url: recorder.url });
      await expect(scene.client().mint(mintOf("read"))).rejects.toMatchObject({ code: "GITHUB_UNAVAILABLE" });
      expect(recorder.asked.at(-1)).toBe("DELETE /installation/token");
      isDown = false;
      await scene.core().sweep();
      expect(revoked).toEqual([JSON.stringify(body).includes(token) ? token : "v1.1f699f1069f60xxx"]);
    } finally {
      await recorder.close();
    }
  });

  it.each<[string, unknown]>([
    ["nothing", {}],
    ["a token that is none", { token: 5 }],
    ["a token that fits in no header", { token: "ghs_\r\nx: y" }],
    ["words", "ghs_ is how a token begins"],
  ])("asks for no revocation where the answer holds %s", async (_name, body) => {
    const recorder = await createRecorder(() => ({ status: 201, body }));
    try {
      await scene.start({ url: recorder.url });
      await expect(scene.client().mint(mintOf("read"))).rejects.toMatchObject({ code: "GITHUB_UNAVAILABLE" });
      expect(recorder.asked).toHaveLength(1);
    } finally {
      await recorder.close();
    }
  });

  it("asks for a token once, for one whose answer was lost may be there already", async () => {
    const recorder = await createRecorder(() => ({ status: 502, body: {} }));
    try {
      await scene.start({ url: recorder.url });
      await expect(scene.client().mint(mintOf("read"))).rejects.toMatchObject({ code: "GITHUB_UNAVAILABLE" });
      expect(recorder.asked).toHaveLength(1);
    } finally {
      await recorder.close();
    }
  });
});

describe("whoever reaches the socket", () => {
  beforeEach(async () => {
    scene = await createScene();
  });

  const session = randomUUID();
  const good: Record<string, Record<string, unknown>> = {
    "/mint": { session, purpose: "read", installation: 1, repository: 1 },
    "/revoke": { session, token: "ghs_1" },
    "/as-app": { session, route: "GET /app", parameters: {} },
    "/sign-receipt": { session, receipt: `{"schema":1,"run":"run_00000000000000000000"}` },
    "/public-keys": { session },
  };
  const fields = ["session", "purpose", "installation", "repository", "token", "route", "parameters", "receipt"];
  const words = fc.constantFrom(
    "patch",
    "setup",
    "admin",
    "constructor",
    "__proto__",
    "toString",
    "read ",
    "GET /app/installations",
    "POST /app/installations/{installation_id}/access_tokens",
    "DELETE /app/installations/{installation_id}",
    "GET /app/hook/config",
    "PATCH /app/hook/config",
    "GET /app/../user",
    "GET https://example.com/app",
  );
  const values = fc.oneof(words, fc.jsonValue(), fc.string(), fc.integer(), fc.double());

  const allowed =
    /^(?:POST \/app\/installations\/\d+\/access_tokens|GET \/app|GET \/app\/hook\/deliveries\?[^ ]*|POST \/app\/hook\/deliveries\/\d+\/attempts)$/;

  /** True for what the lists allow: everything else must be refused before GitHub hears of it. */
  function isOnTheLists(path: string, body: Record<string, unknown>): boolean {
    const names = Object.keys(good[path] ?? {});
    const isShaped = Object.keys(body).length === names.length && names.every((name) => Object.hasOwn(body, name));
    const isId = (value: unknown) => Number.isSafeInteger(value) && (value as number) > 0;
    if (!isShaped || typeof body["session"] !== "string" || !/^[A-Za-z0-9-]{16,64}$/.test(body["session"])) {
      return false;
    }
    if (path === "/mint") {
      const isPurpose = purposeNames.some((name) => name === body["purpose"]);
      return isPurpose && isId(body["installation"]) && isId(body["repository"]);
    }
    if (path === "/as-app") {
      const known = Object.hasOwn(appRequests, String(body["route"])) && typeof body["route"] === "string";
      return known && appRequests[body["route"] as AppRoute].parameters.safeParse(body["parameters"]).success;
    }
    return true;
  }

  it("gets nothing but what is on its lists, and GitHub is asked nothing else", { timeout: 120_000 }, async () => {
    const recorder = await createRecorder(() => ({ status: 404, body: { message: "Not Found" } }));
    try {
      await scene.start({ url: recorder.url });
      const calls = fc.record({
        path: fc.constantFrom(...Object.keys(good)),
        change: fc.dictionary(fc.oneof(fc.constantFrom(...fields), fc.string({ maxLength: 8 })), values, {
          maxKeys: 3,
          noNullPrototype: true,
        }),
        without: fc.subarray(fields, { maxLength: 1 }),
      });
      let refusals = 0;
      await fc.assert(
        fc.asyncProperty(calls, async ({ path, change, without }) => {
          const body: Record<string, unknown> = { ...good[path], ...change };
          without.forEach((name) => delete body[name]);
          const before = recorder.asked.length;
          const text = JSON.stringify(body);
          const answer = await post(path, text);
          const isRefusal = !isOnTheLists(path, JSON.parse(text) as Record<string, unknown>);
          refusals += isRefusal ? 1 : 0;
          const asked = recorder.asked.slice(before);
          const isRefused = answer.status === 400 && answer.text.includes('"INPUT_INVALID"') && asked.length === 0;
          expect({ text, isSafe: !isRefusal || isRefused }).toEqual({ text, isSafe: true });
          expect(asked.filter((one) => !allowed.test(one))).toEqual([]);
        }),
        { numRuns: 1_000 },
      );
      expect(refusals).toBeGreaterThan(300);
    } finally {
      await recorder.close();
    }
  });

  it.each([
    ["GET", "/mint", ""],
    ["PUT", "/mint", "{}"],
    ["POST", "/", "{}"],
    ["POST", "/mint/", "{}"],
    ["POST", "/sign", "{}"],
    ["POST", "/private-key", "{}"],
    ["PATCH", "/revoke", "{}"],
  ])("is answered NOT_FOUND elsewhere: %s %s", async (method, path, body) => {
    await scene.start();
    const { status, text } = await post(path, body, method);
    expect({ status, text }).toEqual({ status: 404, text: expect.stringContaining("NOT_FOUND") });
  });

  it.each([
    ["no JSON", "/mint", "{"],
    ["too much", "/mint", JSON.stringify({ session, more: "x".repeat(20_000) })],
    ["nothing", "/mint", ""],
    ["two of one name", "/as-app", `{"session":"${session}","__proto__":{},"route":"GET /app","parameters":{}}`],
  ])("is answered INPUT_INVALID with %s", async (_name, path, body) => {
    await scene.start();
    const { status, text } = await post(path, body);
    expect({ status, text }).toEqual({ status: 400, text: expect.stringContaining("INPUT_INVALID") });
  });
});
