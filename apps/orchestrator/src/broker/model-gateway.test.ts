import { once } from "node:events";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { aliveUntil, type Amounts, type Attempt, type Budgets, limits, nothingSpent, Secret } from "@mayfly/core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startTestRedis, type TestRedis, until } from "../store/test-redis.fixture.ts";
import type { Issuer } from "./issuers/issuer.ts";
import {
  eventOf,
  finalAmounts,
  finalEvent,
  type GatewayWorld,
  noBudgets,
  operatorKey,
  question,
  readText,
  startGateway,
} from "./model-gateway.fixture.ts";

let redis: TestRedis;
let world: GatewayWorld | null = null;

beforeAll(async () => {
  redis = await startTestRedis();
});

afterEach(async () => {
  await world?.close();
  world = null;
});

afterAll(() => redis.end());

type Options = Omit<Parameters<typeof startGateway>[1], "model">;

async function start(model: RequestListener = answers(), options: Options = {}): Promise<GatewayWorld> {
  world = await startGateway(redis, { model, ...options });
  return world;
}

const opening = eventOf({ type: "response.created", response: { id: "resp_1", usage: null } });

/** A model that answers with a whole stream. */
function answers(...events: string[]): RequestListener {
  return (_incoming, outgoing) => {
    outgoing.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "x-request-id": "req_1" });
    outgoing.end(events.length === 0 ? opening + finalEvent : events.join(""));
  };
}

function fails(status: number, headers: Record<string, string>, body: unknown): RequestListener {
  return (_incoming, outgoing) => {
    outgoing.writeHead(status, { "content-type": "application/json", ...headers });
    outgoing.end(JSON.stringify(body));
  };
}

/** A model that opens its stream and leaves the rest to the test. */
function opens(): { model: RequestListener; opened: Promise<ServerResponse> } {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>();
  return {
    opened: promise,
    model(_incoming, outgoing) {
      outgoing.on("error", () => undefined);
      outgoing.writeHead(200, { "content-type": "text/event-stream" });
      outgoing.write(opening);
      resolve(outgoing);
    },
  };
}

async function spent({ spend, run }: GatewayWorld): Promise<Amounts> {
  return (await spend.read(run.id, run.epoch, { repository: null, installation: null })).attempt;
}

async function refusals({ spend, run }: GatewayWorld): Promise<Readonly<Record<string, number>>> {
  return (await spend.read(run.id, run.epoch, { repository: null, installation: null })).refusals;
}

function attemptLimit(limit: Partial<Budgets["attempt"]>): { budgets: Budgets } {
  return { budgets: { ...noBudgets, attempt: { ...noBudgets.attempt, ...limit } } };
}

function codeIn({ text }: { text: string }): unknown {
  return (JSON.parse(text) as { error: { code: unknown } }).error.code;
}

describe("a model call", () => {
  it("is made anew: the task's model, nothing stored, a cache key and a most of our own", async () => {
    const { ask, asked, run } = await start();
    expect((await ask({ ...question, prompt_cache_key: "theirs" })).status).toBe(200);
    const body = JSON.parse(asked[0]?.body ?? "") as Record<string, unknown>;
    expect(body).toMatchObject({
      ...question,
      store: false,
      prompt_cache_key: expect.stringMatching(/^[0-9a-f]{64}$/),
      max_output_tokens: limits.modelOutputTokensMax,
    });
    expect(asked[0]?.body).not.toContain("theirs");
    expect(asked[0]?.body).not.toContain(run.id);
  });

  it("has the same cache key each time", async () => {
    const { ask, asked } = await start();
    await ask();
    await ask();
    const keys = asked.map(({ body }) => (JSON.parse(body) as { prompt_cache_key: string }).prompt_cache_key);
    expect(new Set(keys).size).toBe(1);
  });

  it("carries headers of ours alone, and brings back the stream's type and bytes alone", async () => {
    const { ask, asked } = await start();
    const smuggled = {
      "openai-organization": "org-theirs",
      cookie: "a=b",
      "x-openai-internal-codex-responses-lite": "true",
    };
    const answer = await ask(question, smuggled);
    expect(Object.keys(asked[0]?.headers ?? {}).toSorted()).toEqual([
      "accept",
      "authorization",
      "connection",
      "content-length",
      "content-type",
      "host",
      "user-agent",
      "x-openai-internal-codex-responses-lite",
    ]);
    expect(asked[0]?.headers.authorization).toBe(`Bearer ${operatorKey}`);
    expect(answer).toMatchObject({ status: 200, text: opening + finalEvent, isWhole: true });
    expect(answer.headers["content-type"]).toBe("text/event-stream");
    expect(answer.headers).not.toHaveProperty("x-request-id");
  });

  it.each([
    ["another model", { ...question, model: "gpt-other" }, "MODEL_OTHER"],
    ["a field nobody knows", { ...question, fallback: "x" }, "FIELD_UNKNOWN"],
    ["a tool that the provider runs", { ...question, tools: [{ type: "web_search" }] }, "TOOL_HOSTED"],
    ["no JSON", "{", "BODY_NOT_JSON"],
    ["a field twice", '{"model":"gpt-5.5","model":"gpt-5.5"}', "DUPLICATE_KEY"],
    ["bytes that are no UTF-8", Buffer.from([0x22, 0xff, 0x22]), "BODY_NOT_TEXT"],
    ["a byte order mark", `\u{feff}${JSON.stringify(question)}`, "BODY_NOT_JSON"],
  ])("is refused with %s in words that Codex shows, counted, logged, and costs nothing", async (_what, body, code) => {
    const { ask, asked, log } = await start();
    const answer = await ask(body);
    expect(answer.status).toBe(400);
    expect(codeIn(answer)).toBe(code);
    expect(asked).toHaveLength(0);
    expect(await refusals(world as GatewayWorld)).toEqual({ [code]: 1 });
    expect(log.some((line) => line.includes(code))).toBe(true);
    expect(await spent(world as GatewayWorld)).toEqual(nothingSpent);
  });
});

describe("the budget of a model call", () => {
  it("is charged what the final event says, before the caller sees that event", async () => {
    const { model, opened } = opens();
    const { send } = await start(model);
    const [answer] = (await once(send(), "response")) as [IncomingMessage];
    const before = await spent(world as GatewayWorld);
    expect(before.requests).toBe(1);
    expect(before.outputTokens).toBe(limits.modelOutputTokensMax);
    await once(answer, "data");
    (await opened).write(finalEvent);
    await once(answer, "data");
    expect(await spent(world as GatewayWorld)).toEqual(finalAmounts);
    (await opened).end();
    answer.resume();
    await once(answer, "end");
    expect(await spent(world as GatewayWorld)).toEqual(finalAmounts);
  });

  it.each([
    ["the stream ends without usage", (outgoing: ServerResponse) => outgoing.end()],
    ["the stream is cut", (outgoing: ServerResponse) => outgoing.destroy()],
    ["the usage makes no sense", (outgoing: ServerResponse) => outgoing.end(finalEvent.replace("1000", "-1"))],
  ])("stays charged with the whole reservation when %s", async (_what, end) => {
    const { model, opened } = opens();
    const { ask } = await start(model);
    const answer = ask();
    end(await opened);
    await answer;
    const { requests, outputTokens, microUsd } = await spent(world as GatewayWorld);
    expect(requests).toBe(1);
    expect(outputTokens).toBe(limits.modelOutputTokensMax);
    expect(microUsd).toBeGreaterThan(limits.modelOutputTokensMax * 1_000);
  });

  it.each([
    ["no connection to the model", { upstreamUrl: "http://127.0.0.1:9/v1" }, fails(500, {}, {})],
    ["an error of the model", {}, fails(500, {}, { error: { message: "Broken." } })],
  ])("is charged a request and no token with %s", async (_what, options, model) => {
    const { ask } = await start(model, options);
    expect((await ask()).status).toBeGreaterThanOrEqual(500);
    expect(await spent(world as GatewayWorld)).toEqual({ ...nothingSpent, requests: 1 });
  });

  it.each([
    ["requests", { requests: 1 }, /attempt for model calls/],
    ["input tokens", { inputTokens: 1_000 }, /attempt for input tokens/],
    ["output tokens", { outputTokens: 20 }, /attempt for output tokens/],
    ["money", { microUsd: 26_400 }, /attempt for money is spent \(0\.03 US dollars\)/],
  ])(
    "ends calls once %s are used up, naming scope and kind, and is overshot by no further one",
    async (_k, limit, words) => {
      const { ask, asked } = await start(answers(), attemptLimit(limit));
      expect((await ask()).status).toBe(200);
      const answer = await ask();
      expect(answer.status).toBe(400);
      expect(codeIn(answer)).toBe("BUDGET_SPENT");
      expect(answer.text).toMatch(words);
      expect(asked).toHaveLength(1);
      expect(await refusals(world as GatewayWorld)).toEqual({ BUDGET_SPENT: 1 });
    },
  );

  it("lets no two calls at once share what is left for one", async () => {
    const { model, opened } = opens();
    const { send, ask, asked } = await start(model, attemptLimit({ outputTokens: 100 }));
    const first = send();
    first.on("error", () => undefined);
    await opened;
    expect(codeIn(await ask())).toBe("BUDGET_SPENT");
    expect(asked).toHaveLength(1);
    first.destroy();
  });
});

describe("the stream of a model call", () => {
  it("holds the model back when the caller does not read", async () => {
    const piece = Buffer.alloc(64 * 1024, "x");
    let written = 0;
    let isHeld = false;
    const { send } = await start((_incoming, outgoing) => {
      outgoing.on("error", () => undefined);
      outgoing.writeHead(200, { "content-type": "text/event-stream" });
      const write = (): void => {
        while (!outgoing.destroyed && written < limits.modelResponseBytesMax) {
          written += piece.length;
          if (!outgoing.write(piece)) {
            isHeld = true;
            outgoing.once("drain", () => {
              isHeld = false;
              write();
            });
            return;
          }
        }
      };
      write();
    });
    const outgoing = send();
    const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
    answer.on("error", () => undefined);
    // What the kernel's buffers and ours take comes at once; then nothing moves while nobody reads.
    let before = -1;
    await until(async () => {
      const isStill = isHeld && before === written;
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 300));
      return isStill;
    });
    expect(written).toBeLessThan(limits.modelResponseBytesMax / 2);
    answer.resume();
    await until(() => written > before + 4 * 1024 * 1024);
    outgoing.destroy();
  });

  it.each(["before the first byte", "while the answer flows", "while the caller reads nothing"])(
    "is dropped towards the model within a second when the caller leaves %s",
    async (when) => {
      const gone = Promise.withResolvers<number>();
      const begun = Promise.withResolvers<void>();
      const { send } = await start((incoming, outgoing) => {
        incoming.socket.once("close", () => gone.resolve(performance.now()));
        outgoing.on("error", () => undefined);
        if (when !== "before the first byte") {
          outgoing.writeHead(200, { "content-type": "text/event-stream" });
          outgoing.write(when === "while the answer flows" ? opening : Buffer.alloc(8 * 1024 * 1024, "x"));
        }
        begun.resolve();
      });
      const outgoing = send();
      outgoing.on("error", () => undefined);
      await begun.promise;
      if (when !== "before the first byte") {
        const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
        answer.on("error", () => undefined);
        if (when === "while the answer flows") {
          await once(answer, "data");
        }
      }
      const left = performance.now();
      outgoing.destroy();
      expect((await gone.promise) - left).toBeLessThan(1_000);
    },
  );

  it("is cut on both sides within a second when the machine is cut off", async () => {
    const { model, opened } = opens();
    const { send, gateway, machine } = await start(model);
    const outgoing = send();
    outgoing.on("error", () => undefined);
    const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
    const read = readText(answer);
    const gone = once(await opened, "close");
    const cutAt = performance.now();
    gateway.cut(machine);
    await gone;
    expect(await read).toMatchObject({ isWhole: false });
    expect(performance.now() - cutAt).toBeLessThan(1_000);
  });

  it("is refused as ended when the machine is cut off before the model has answered", async () => {
    const heard = Promise.withResolvers<void>();
    const { ask, gateway, machine } = await start(() => heard.resolve());
    const answer = ask();
    await heard.promise;
    gateway.cut(machine);
    expect(codeIn(await answer)).toBe("ENDED");
    // The model may have computed an answer that nobody hears.
    expect((await spent(world as GatewayWorld)).outputTokens).toBe(limits.modelOutputTokensMax);
  });

  it("is over when the attempt's rights are, however much is still to come", async () => {
    const { model } = opens();
    const afterDeadline = aliveUntil({ deadline: 0 } as Attempt);
    // Long enough for the answer to begin on a busy host.
    const { ask } = await start(model, { timeoutMs: 3_000 - afterDeadline });
    expect(await ask()).toMatchObject({ status: 200, text: opening, isWhole: false });
  });

  it("is asked again where an idle connection had been closed, and is charged once", async () => {
    const used = new WeakSet<object>();
    const { ask, asked } = await start((incoming, outgoing) => {
      if (used.has(incoming.socket)) {
        incoming.socket.destroy();
      } else {
        used.add(incoming.socket);
        answers()(incoming, outgoing);
      }
    });
    expect((await ask()).status).toBe(200);
    expect((await ask()).status).toBe(200);
    expect(asked).toHaveLength(3);
    expect((await spent(world as GatewayWorld)).requests).toBe(2);
  });

  it("is refused to a key whose attempt was frozen, and ends nothing else", async () => {
    const { ask, apply, machine, asked } = await start();
    await apply({ type: "frozen", machine });
    expect(codeIn(await ask())).toBe("ENDED");
    expect(asked).toHaveLength(0);
  });

  it.each([
    ["a page", 200, { "content-type": "text/html" }],
    ["JSON", 200, { "content-type": "application/json" }],
    ["an encoded stream", 200, { "content-type": "text/event-stream", "content-encoding": "gzip" }],
    ["a stream with another status", 201, { "content-type": "text/event-stream" }],
    ["a redirect", 302, { location: "http://127.0.0.1:9/" }],
  ])("does not pass %s", async (_what, status, headers) => {
    const { ask } = await start(fails(status, { ...headers }, { secret: "inside" }));
    const answer = await ask();
    expect(answer.status).toBe(502);
    expect(codeIn(answer)).toBe("MODEL_ANSWER_INVALID");
    expect(answer.text).not.toContain("inside");
  });
});

describe("an error of the model", () => {
  it.each([400, 401, 403, 404, 429, 500, 503])(
    "comes back as %s in our words, with the API's own code",
    async (status) => {
      const message = `Refused for ${operatorKey} of org-ours`;
      const { ask, log } = await start(
        fails(
          status,
          { "openai-organization": "org-ours" },
          { error: { message, code: "some_code", type: "some_type", extra: 1 } },
        ),
      );
      const answer = await ask();
      expect(answer.status).toBe(status);
      expect(codeIn(answer)).toBe(status === 401 || status === 403 ? "invalid_api_key" : "some_code");
      expect(answer.text).not.toContain("org-ours");
      expect(answer.text).not.toContain(operatorKey);
      expect(answer.headers).not.toHaveProperty("openai-organization");
      const isTold = log.some((line) => line.includes("org-ours"));
      expect(isTold).toBe(status !== 401 && status !== 403);
    },
  );

  it.each([
    ["no JSON", "<html>"],
    ["codes that are none", JSON.stringify({ error: { message: 1, code: "<b>", param: "a b", type: [] } })],
    ["more than an error has", JSON.stringify({ error: { code: "x".repeat(100_000) } })],
  ])("comes back without a word of it when it is %s", async (_what, text) => {
    const { ask } = await start((_incoming, outgoing) => {
      outgoing.writeHead(400);
      outgoing.end(text);
    });
    expect(JSON.parse((await ask()).text)).toEqual({
      error: { message: "the model answered with status 400", type: null, param: null, code: null },
    });
  });
});

describe("a model that asks to wait", () => {
  it.each([429, 503])("is not asked again by this attempt before its time when it said %s", async (status) => {
    let isLimited = true;
    const { ask, asked, pass } = await start((incoming, outgoing) => {
      const model = isLimited
        ? fails(status, { "retry-after": "7" }, { error: { code: "rate_limit_exceeded" } })
        : answers();
      model(incoming, outgoing);
    });
    expect(await ask()).toMatchObject({ status, headers: { "retry-after": "7" } });
    isLimited = false;
    const charged = await spent(world as GatewayWorld);
    const refused = await ask();
    expect(refused).toMatchObject({ status: 429, headers: { "retry-after": "7" } });
    expect(codeIn(refused)).toBe("MODEL_PAUSED");
    expect(asked).toHaveLength(1);
    expect(await spent(world as GatewayWorld)).toEqual(charged);
    pass(5_500);
    expect((await ask()).headers["retry-after"]).toBe("2");
    pass(1_500);
    expect((await ask()).status).toBe(200);
  });

  it.each([
    ["no time", {}, { code: "rate_limit_exceeded" }, "5"],
    ["nonsense", { "retry-after": "soon" }, { code: "rate_limit_exceeded" }, "5"],
    ["a time too long", { "retry-after": "999999" }, { code: "rate_limit_exceeded" }, "600"],
    ["a date gone by", { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }, { code: "rate_limit_exceeded" }, "0"],
    ["a quota that no waiting cures", {}, { code: "insufficient_quota" }, undefined],
  ])("is understood when it names %s", async (_what, headers, error, seconds) => {
    const { ask } = await start(fails(429, headers, { error }));
    expect((await ask()).headers["retry-after"]).toBe(seconds);
  });
});

describe("the credential of a model call", () => {
  /** One that gives a new key each time, each good for so long. */
  function issuerOf(clock: { now(): number }, lifeMs: number): Issuer & { readonly issued: string[] } {
    const issued: string[] = [];
    return {
      name: "test",
      issued,
      async issue() {
        const key = `sk-issued-${issued.length + 1}`;
        issued.push(key);
        return {
          secret: new Secret(key),
          headers: () => ({ authorization: `Bearer ${key}` }),
          expiresAt: clock.now() + lifeMs,
          revoke: async () => undefined,
        };
      },
      sweep: async () => 0,
    };
  }

  it("is one for the whole attempt", async () => {
    const { ask, asked } = await start(answers(), { issuer: (clock) => issuerOf(clock, 3_600_000) });
    await ask();
    await ask();
    expect(asked.map(({ headers }) => headers.authorization)).toEqual(["Bearer sk-issued-1", "Bearer sk-issued-1"]);
  });

  it("is renewed once when the model refuses one that has expired meanwhile, and the caller notices nothing", async () => {
    const { ask, asked } = await start(
      (incoming, outgoing) => {
        const isOld = incoming.headers.authorization === "Bearer sk-issued-1";
        if (isOld) {
          world?.pass(60_000);
        }
        (isOld ? fails(401, {}, { error: { code: "invalid_api_key" } }) : answers())(incoming, outgoing);
      },
      { issuer: (clock) => issuerOf(clock, 60_000) },
    );
    expect(await ask()).toMatchObject({ status: 200, isWhole: true });
    expect(asked.map(({ headers }) => headers.authorization)).toEqual(["Bearer sk-issued-1", "Bearer sk-issued-2"]);
    expect(await spent(world as GatewayWorld)).toEqual(finalAmounts);
  });

  it("is not tried again when the model refuses it and there is no other", async () => {
    const { ask, asked } = await start(fails(401, {}, { error: { message: operatorKey } }));
    expect((await ask()).status).toBe(401);
    expect(asked).toHaveLength(1);
  });
});

describe("model calls at once", () => {
  it("are bounded; one too many is told to wait", async () => {
    const { model } = opens();
    const { send, ask, asked } = await start(model);
    const under = Array.from({ length: limits.modelConcurrencyMax }, () => send());
    under.forEach((one) => one.on("error", () => undefined));
    await Promise.all(under.map((one) => once(one, "response")));
    const refused = await ask();
    expect(codeIn(refused)).toBe("BUSY");
    expect(refused.headers["retry-after"]).toBe("1");
    expect(asked).toHaveLength(limits.modelConcurrencyMax);
    under[0]?.destroy();
    await until(async () => {
      const next = send();
      next.on("error", () => undefined);
      const [answer] = (await once(next, "response")) as [IncomingMessage];
      const { statusCode } = answer;
      next.destroy();
      return statusCode === 200;
    });
    under.forEach((one) => one.destroy());
  });

  it("are read only for a key that is good, so that nobody else's bodies fill the memory", async () => {
    const { send } = await start();
    const outgoing = send("x", { authorization: "Bearer other", "content-length": "16000000" });
    outgoing.on("error", () => undefined);
    const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
    expect(answer.statusCode).toBe(401);
    outgoing.destroy();
  });

  it("are closed to a machine that goes on after many refusals, without being read", async () => {
    const { ask, asked } = await start();
    let answer = await ask("{");
    let count = 1;
    for (; codeIn(answer) === "BODY_NOT_JSON" && count < 100; count++) {
      answer = await ask("{");
    }
    expect(codeIn(answer)).toBe("CALLS_CLOSED");
    expect(count).toBeGreaterThan(10);
    expect(codeIn(await ask())).toBe("CALLS_CLOSED");
    expect(asked).toHaveLength(0);
  });
});
