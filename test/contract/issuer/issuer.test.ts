import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Credentials, createCredentials } from "../../../apps/orchestrator/src/broker/issuers/credentials.ts";
import { cases, type IssuerWorld, openIssuerWorld, otherRun, run } from "./support.ts";

const HOUR_MS = 60 * 60_000;
const attempt = { run, epoch: 1, seconds: 8 * 60 * 60 };
const isOver = async (): Promise<boolean> => false;

describe.each(cases)("the issuer $name", (issuerCase) => {
  let world: IssuerWorld;
  let credentials: Credentials;

  beforeEach(async () => {
    world = await openIssuerWorld(issuerCase);
    credentials = newCredentials();
  });

  afterEach(async () => {
    await credentials.close();
    await world.close();
    if (world.admin !== null && world.admin.violations.length > 0) {
      throw new Error(`the Admin API refused: ${world.admin.violations.join("; ")}`);
    }
  });

  function newCredentials(): Credentials {
    return createCredentials({ issuer: world.newIssuer(), clock: world.clock, log: world.log });
  }

  /** What a call of this attempt shows the model; the call is over at once. */
  async function show(holder: typeof attempt): Promise<Record<string, string> | null> {
    const loan = await credentials.lend(holder);
    loan?.done();
    return loan?.headers() ?? null;
  }

  it("issues what the model takes", async () => {
    const credential = await world.newIssuer().issue(attempt);
    expect(await world.works(credential.headers())).toBe(true);
    expect(await world.works({ authorization: "Bearer another" })).toBe(false);
    await credential.revoke();
  });

  it("says when it expires, if it does", async () => {
    const credential = await world.newIssuer().issue(attempt);
    expect(credential.expiresAt).toBe(issuerCase.makesKeys ? world.clock.now() + HOUR_MS : null);
    await credential.revoke();
  });

  it("shows no secret where a credential is logged", async () => {
    const credential = await world.newIssuer().issue(attempt);
    const secret = credential.secret?.reveal() ?? "sk-none";
    expect(`${JSON.stringify(credential)} ${String(credential.secret)} ${world.logged.join("")}`).not.toContain(secret);
    await credential.revoke();
  });

  it("revokes as often as it is asked, and kills a key that it made", async () => {
    const credential = await world.newIssuer().issue(attempt);
    await credential.revoke();
    await credential.revoke();
    expect(await world.works(credential.headers())).toBe(!issuerCase.makesKeys);
  });

  it("gives concurrent calls of an attempt one credential", async () => {
    const loans = await Promise.all([1, 2, 3].map(() => credentials.lend(attempt)));
    expect(new Set(loans.map((loan) => JSON.stringify(loan?.headers()))).size).toBe(1);
    expect(world.admin?.keys.length ?? 1).toBe(1);
    loans.forEach((loan) => loan?.done());
  });

  it("gives each attempt its own where it makes keys", async () => {
    const [first, second, retry] = await Promise.all([
      show(attempt),
      show({ ...attempt, run: otherRun }),
      show({ ...attempt, epoch: 2 }),
    ]);
    expect(new Set([first, second, retry].map((headers) => JSON.stringify(headers))).size).toBe(
      issuerCase.makesKeys ? 3 : 1,
    );
  });

  it("lends nothing to an attempt that was released, however often it is", async () => {
    const headers = await show(attempt);
    await Promise.all([credentials.release(run, 1), credentials.release(run, 1)]);
    await credentials.release(run, 1);
    expect(await credentials.lend(attempt)).toBeNull();
    expect(await world.works(headers ?? {})).toBe(!issuerCase.makesKeys);
  });

  it("still lends to the next attempt of the run", async () => {
    await show(attempt);
    await credentials.release(run, 1);
    expect(await world.works((await show({ ...attempt, epoch: 2 })) ?? {})).toBe(true);
  });

  it("renews before it expires, so that a long attempt never shows a dead key", async () => {
    for (let minute = 0; minute < 300; minute += 10) {
      expect(await world.works((await show(attempt)) ?? {})).toBe(true);
      world.clock.pass(10 * 60_000);
    }
    expect(world.admin?.present().length ?? 1).toBe(1);
  });

  it("remembers secrets for an hour after they have lost their worth", async () => {
    await show(attempt);
    const alive = credentials.secrets();
    await credentials.close();
    world.clock.pass(HOUR_MS);
    expect(credentials.secrets()).toEqual(alive);
    world.clock.pass(1);
    expect(credentials.secrets()).toEqual([]);
  });

  it("sweeps what a crash left, and nothing that is at work", async () => {
    // These are never closed: the process is gone.
    const crashed = newCredentials();
    const left = (await crashed.lend(attempt))?.headers() ?? {};
    const present = (await show({ ...attempt, run: otherRun })) ?? {};
    const count = await credentials.sweep(async (id) => id === otherRun);
    expect(count).toBe(issuerCase.makesKeys ? 1 : 0);
    expect(await world.works(left)).toBe(!issuerCase.makesKeys);
    expect(await world.works(present)).toBe(true);
    expect(await credentials.sweep(async (id) => id === otherRun)).toBe(0);
  });

  it("sweeps its own attempts that ended without a word", async () => {
    const headers = (await show(attempt)) ?? {};
    await credentials.sweep(isOver);
    expect(await world.works(headers)).toBe(!issuerCase.makesKeys);
    expect(await credentials.lend(attempt)).toBeNull();
  });

  it("leaves nothing alive when the service ends, and lends nothing after", async () => {
    const headers = [await show(attempt), await show({ ...attempt, run: otherRun })];
    await credentials.close();
    for (const each of headers) {
      expect(await world.works(each ?? {})).toBe(!issuerCase.makesKeys);
    }
    expect(await credentials.lend(attempt)).toBeNull();
    expect(world.admin?.present() ?? []).toEqual([]);
  });
});
