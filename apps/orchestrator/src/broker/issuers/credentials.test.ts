import { type Clock, type RunId, Secret } from "@mayfly/core";
import { beforeEach, describe, expect, it } from "vitest";
import { createLog, type ServiceLog } from "../../host/log.ts";
import { type Credentials, createCredentials } from "./credentials.ts";
import type { Issuer } from "./issuer.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const otherRun = "run_0123456789abcdefghjm" as RunId;
const run = "run_0123456789abcdefghjk" as RunId;
const attempt = { run, epoch: 1, seconds: 7_200 };
const isOver = async (): Promise<boolean> => false;
const isAtWork = async (): Promise<boolean> => true;

/** An issuer whose every answer a test can hold back. It numbers its credentials, and notes what it is asked. */
function createHandIssuer(clock: Clock) {
  const asked: string[] = [];
  let made = 0;
  let gate: Promise<void> = Promise.resolve();
  let fault: Error | null = null;
  const failIfTold = (): void => {
    if (fault !== null) {
      throw fault;
    }
  };
  const issuer: Issuer = {
    makesAnother: true,
    async issue() {
      const id = `sk-made-${(made += 1)}`;
      asked.push(`issue ${id}`);
      await gate;
      failIfTold();
      return {
        secret: new Secret(id),
        headers: () => ({ authorization: id }),
        expiresAt: clock.now() + HOUR_MS,
        async revoke() {
          asked.push(`revoke ${id}`);
          await gate;
          failIfTold();
        },
      };
    },
    async sweep() {
      asked.push("sweep");
      await gate;
      return 0;
    },
  };
  return {
    issuer,
    asked,
    fail: (error: Error | null) => void (fault = error),
    /** Every answer waits until the returned function is called. */
    hold(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      return resolve;
    },
  };
}

describe("createCredentials", () => {
  let now: number;
  let hand: ReturnType<typeof createHandIssuer>;
  let credentials: Credentials;
  let lines: string[];
  let log: ServiceLog["log"];

  beforeEach(() => {
    lines = [];
    ({ log } = createLog({ level: "info", write: (line) => void lines.push(line) }));
    now = 1_000_000;
    const clock = { now: () => now };
    hand = createHandIssuer(clock);
    credentials = createCredentials({ issuer: hand.issuer, clock, log });
  });

  it("makes nothing before the first call", () => {
    expect(hand.asked).toEqual([]);
  });

  it("asks once for calls that come while it is made", async () => {
    const go = hand.hold();
    const lent = [1, 2, 3].map(() => credentials.lend(attempt));
    go();
    const loans = await Promise.all(lent);
    expect(loans.map((loan) => loan?.headers())).toEqual([1, 2, 3].map(() => ({ authorization: "sk-made-1" })));
    expect(hand.asked).toEqual(["issue sk-made-1"]);
  });

  it("tells all who waited when none can be had, and asks again for the next", async () => {
    hand.fail(new Error("down"));
    const lent = await Promise.allSettled([credentials.lend(attempt), credentials.lend(attempt)]);
    expect(lent.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    hand.fail(null);
    expect((await credentials.lend(attempt))?.headers()).toEqual({ authorization: "sk-made-2" });
  });

  it("revokes a replaced one only when its last call is over, and counts no call twice", async () => {
    const first = await credentials.lend(attempt);
    const second = await credentials.lend(attempt);
    now += HOUR_MS * (3 / 4);
    await credentials.lend(attempt);
    first?.done();
    first?.done();
    expect(hand.asked).toEqual(["issue sk-made-1", "issue sk-made-2"]);
    second?.done();
    expect(hand.asked).toEqual(["issue sk-made-1", "issue sk-made-2", "revoke sk-made-1"]);
  });

  it("revokes a replaced one at once when no call uses it", async () => {
    (await credentials.lend(attempt))?.done();
    now += HOUR_MS * (3 / 4);
    await credentials.lend(attempt);
    expect(hand.asked).toEqual(["issue sk-made-1", "issue sk-made-2", "revoke sk-made-1"]);
  });

  it("does not renew a moment too early", async () => {
    await credentials.lend(attempt);
    now += HOUR_MS * (3 / 4) - 1;
    await credentials.lend(attempt);
    expect(hand.asked).toEqual(["issue sk-made-1"]);
  });

  it("makes another once, at once, for an attempt whose credential the model refuses", async () => {
    const refused = await credentials.lend(attempt);
    const meanwhile = await credentials.lend(attempt);
    refused?.refuse();
    meanwhile?.refuse();
    const second = await credentials.lend(attempt);
    expect(second?.headers()).toEqual({ authorization: "sk-made-2" });
    second?.refuse();
    expect((await credentials.lend(attempt))?.headers()).toEqual({ authorization: "sk-made-2" });
    expect(hand.asked).toEqual(["issue sk-made-1", "issue sk-made-2"]);
  });

  it("asks for no other in a loop when the model refuses one and none can be made", async () => {
    const loan = await credentials.lend(attempt);
    hand.fail(new Error("down"));
    loan?.refuse();
    for (let calls = 0; calls < 3; calls++) {
      const next = await credentials.lend(attempt);
      expect(next?.headers()).toEqual({ authorization: "sk-made-1" });
      next?.refuse();
    }
    expect(hand.asked).toEqual(["issue sk-made-1", "issue sk-made-2"]);
  });

  it("makes no other where the issuer has one for all", async () => {
    const issuer = { ...hand.issuer, makesAnother: false };
    credentials = createCredentials({ issuer, clock: { now: () => now }, log });
    (await credentials.lend(attempt))?.refuse();
    await credentials.lend(attempt);
    expect(hand.asked).toEqual(["issue sk-made-1"]);
  });

  it("revokes at the end whatever calls still use, each once", async () => {
    const old = await credentials.lend(attempt);
    now += HOUR_MS * (3 / 4);
    const next = await credentials.lend(attempt);
    await credentials.release(run, 1);
    old?.done();
    next?.done();
    expect(hand.asked.slice(2).sort()).toEqual(["revoke sk-made-1", "revoke sk-made-2"]);
  });

  it("answers a release only when the revocation is through, the second time too", async () => {
    await credentials.lend(attempt);
    const go = hand.hold();
    let through = 0;
    const released = [1, 2].map(async () => {
      await credentials.release(run, 1);
      through += 1;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(through).toBe(0);
    go();
    await Promise.all(released);
    expect(through).toBe(2);
  });

  it("lends nothing to a call that came before the end and waited beyond it", async () => {
    const go = hand.hold();
    const lent = credentials.lend(attempt);
    const released = credentials.release(run, 1);
    go();
    await released;
    expect(await lent).toBeNull();
    expect(hand.asked).toEqual(["issue sk-made-1", "revoke sk-made-1"]);
  });

  it("lends nothing to an attempt that ended before its first call", async () => {
    await credentials.release(run, 1);
    expect(await credentials.lend(attempt)).toBeNull();
    expect(hand.asked).toEqual([]);
  });

  it("never fails a release, and revokes in the next sweep what resisted", async () => {
    await credentials.lend(attempt);
    hand.fail(new Error("down"));
    await credentials.release(run, 1);
    now += MINUTE_MS;
    expect(await credentials.sweep(isAtWork)).toBe(0);
    hand.fail(null);
    now += MINUTE_MS;
    expect(await credentials.sweep(isAtWork)).toBe(1);
    expect(await credentials.sweep(isAtWork)).toBe(0);
    expect(hand.asked.filter((what) => what === "revoke sk-made-1")).toHaveLength(3);
  });

  it("asks ever more rarely where a revocation resists, logs each step up once, and ends an hour after the key did", async () => {
    await credentials.lend(attempt);
    hand.fail(new Error("down"));
    await credentials.release(run, 1);
    const minutes: number[] = [];
    for (let minute = 1; minute <= 5 * 60; minute++) {
      now += MINUTE_MS;
      const before = hand.asked.filter((what) => what === "revoke sk-made-1").length;
      await credentials.sweep(isAtWork);
      if (hand.asked.filter((what) => what === "revoke sk-made-1").length > before) {
        minutes.push(minute);
      }
    }
    expect(minutes).toEqual([1, 2, 4, 8, 16, 32, 64]);
    expect(lines.filter((line) => line.includes("could not be revoked"))).toHaveLength(8);
    expect(lines.filter((line) => line.includes("was never revoked"))).toHaveLength(1);
    expect(credentials.secrets()).toEqual([]);
  });

  it("sweeps once for all who ask at the same time", async () => {
    const go = hand.hold();
    const swept = [credentials.sweep(isOver), credentials.sweep(isOver)];
    go();
    await Promise.all(swept);
    await credentials.sweep(isOver);
    expect(hand.asked).toEqual(["sweep", "sweep"]);
  });

  it("asks the records about attempts that have not ended, and about no others", async () => {
    await credentials.lend(attempt);
    await credentials.lend({ ...attempt, epoch: 2 });
    await credentials.release(run, 1);
    const about: number[] = [];
    await credentials.sweep(async (_, epoch) => {
      about.push(epoch);
      return true;
    });
    expect(about).toEqual([2]);
  });

  it("remembers for an hour that an attempt has ended", async () => {
    await credentials.release(run, 1);
    now += HOUR_MS;
    await credentials.lend({ ...attempt, epoch: 2 });
    expect(await credentials.lend(attempt)).toBeNull();
    now += 1;
    await credentials.lend({ ...attempt, epoch: 3 });
    expect(await credentials.lend(attempt)).not.toBeNull();
  });

  it("lends nothing once it is closed, to no attempt", async () => {
    await credentials.close();
    await credentials.close();
    expect(await credentials.lend(attempt)).toBeNull();
    expect(hand.asked).toEqual([]);
  });

  it("knows every secret until an hour after its end", async () => {
    await credentials.lend(attempt);
    await credentials.lend({ ...attempt, epoch: 2 });
    await credentials.release(run, 1);
    now += HOUR_MS;
    expect(credentials.secrets()).toEqual(["sk-made-1", "sk-made-2"]);
    now += 1;
    expect(credentials.secrets()).toEqual(["sk-made-2"]);
  });

  it("knows whose secret is whose", async () => {
    await credentials.lend(attempt);
    await credentials.lend({ ...attempt, epoch: 2 });
    await credentials.lend({ ...attempt, run: otherRun });
    expect(credentials.secrets(run)).toEqual(["sk-made-1", "sk-made-2"]);
    expect(credentials.secrets(otherRun)).toEqual(["sk-made-3"]);
    expect(credentials.secrets()).toEqual(["sk-made-1", "sk-made-2", "sk-made-3"]);
  });

  it("keeps every secret out of the log until an hour after its end", async () => {
    const loan = await credentials.lend(attempt);
    const { authorization: secret = "" } = loan?.headers() ?? {};
    const shows = (): boolean => {
      lines.length = 0;
      log.info({ url: `https://example.com/?key=${secret}` }, "asked");
      return lines.join("").includes(secret);
    };
    expect(shows()).toBe(false);
    await credentials.release(run, 1);
    now += HOUR_MS + 1;
    credentials.secrets();
    expect(shows()).toBe(true);
  });
});
