import { once } from "node:events";
import { type Assignment, limits, type RunId } from "@mayfly/core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startTestRedis, type TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { fail, say, type Script, stall } from "../fakes/model/script.ts";
import {
  type Answer,
  type BrokerBench,
  type Call,
  callOver,
  type Channel,
  hello,
  open,
  PACK,
  sayOver,
  startBroker,
} from "./broker-bench.ts";

let redis: TestRedis;
let broker: BrokerBench;
let script: Script;

beforeAll(async () => {
  redis = await startTestRedis();
});

afterAll(async () => {
  await redis.end();
});

beforeEach(async () => {
  script = [say("Fine.")];
  broker = await startBroker(redis, (seen) => (typeof script === "function" ? script(seen) : script));
});

afterEach(async () => {
  await broker.close();
});

/** An attempt that has its key: everything an attacker in the machine can have. */
interface Attempt {
  readonly run: RunId;
  readonly channel: Channel;
  readonly assignment: Assignment;
  readonly capability: string;
  readonly key: string;
}

async function beginAttempt(): Promise<Attempt> {
  const run = await broker.addRun();
  const channel = await broker.addMachine();
  const assignment = await channel.claim();
  const { capability } = assignment;
  await taken(channel.call({ path: "/v1/gate", token: capability, body: gate() }));
  const lent = await taken(channel.call({ path: "/v1/key", token: capability }));
  return { run, channel, assignment, capability, key: (lent.body as { key: string }).key };
}

async function taken(answer: Promise<Answer>): Promise<Answer> {
  const given = await answer;
  expect(given).toMatchObject({ status: 200 });
  return given;
}

function gate(ok = true, strategy = "unprivileged-user"): object {
  return { safety_strategy: strategy, checks: [{ name: "identity", ok, seen: "uid 1001" }] };
}

const modelCall = {
  model: "gpt-5.5",
  input: [{ type: "message", role: "user", content: [{ type: "input_text", text: "Hello." }] }],
  stream: true,
  store: false,
};

function resultOf(epoch: number, message = "All is well."): object {
  return {
    kind: "result",
    epoch,
    result: {
      codex: { version: "0.169.0", exit_code: 0, ended_by: "exit", error: null },
      final_message: { state: "present", text: message },
      structured: null,
      patch: { state: "present", text: "" },
      usage: null,
    },
  };
}

/** Everything a machine may ask for; `true` for what is worth something. */
function everyCall({ capability, key }: Attempt): Call[] {
  return [
    { method: "GET", path: "/v1/source", token: capability },
    { path: "/v1/gate", token: capability, body: gate() },
    { path: "/v1/key", token: capability },
    { path: "/v1/events", token: capability, body: { first: 0, events: [{ type: "codex_started" }] } },
    { path: "/v1/responses", token: key, body: modelCall },
  ];
}

async function answersTo(socket: string, calls: readonly Call[]): Promise<string[]> {
  const answers: string[] = [];
  for (const call of calls) {
    const { status, code } = await callOver(socket, call);
    answers.push(`${call.path} ${status} ${code}`);
  }
  return answers;
}

describe("a capability and a key", () => {
  it("are good on their own machine's channel, which is what the refusals below are measured against", async () => {
    const attempt = await beginAttempt();
    const { channel, capability } = attempt;
    for (const call of everyCall(attempt)) {
      if (call.path !== "/v1/key") {
        await taken(channel.call(call));
      }
    }
    expect((await channel.call({ method: "GET", path: "/v1/source", token: capability })).text).toBe(PACK);
    expect(broker.model.requests).toHaveLength(1);
    expect(broker.model.violations).toEqual([]);
  });

  it("are worth nothing on another machine's channel, claimed or not", async () => {
    const mine = await beginAttempt();
    const theirs = await beginAttempt();
    const idle = await broker.addMachine();
    const stolen: Call[] = [
      ...everyCall(mine),
      { path: "/v1/heartbeat", token: mine.capability },
      { path: "/v1/freeze", token: mine.capability },
      { path: "/v1/result", token: mine.capability, body: resultOf(1) },
    ];
    for (const socket of [theirs.channel.socket, idle.socket]) {
      for (const answer of await answersTo(socket, stolen)) {
        expect(answer).toMatch(/ 401 (CAPABILITY|KEY)_INVALID$/);
      }
    }
    expect(broker.model.requests).toHaveLength(0);
    expect(await broker.run(mine.run)).toMatchObject({ phase: "running", attempt: { frozenAt: null } });
    expect(await broker.run(theirs.run)).toMatchObject({ phase: "running", attempt: { frozenAt: null } });
  });

  it("are not each other, and nothing near them passes", async () => {
    const attempt = await beginAttempt();
    const { channel, capability, key } = attempt;
    expect((await channel.call({ path: "/v1/responses", token: capability, body: modelCall })).code).toBe(
      "KEY_INVALID",
    );
    expect((await channel.call({ path: "/v1/key", token: key })).code).toBe("CAPABILITY_INVALID");
    const near = [
      {},
      { authorization: "" },
      { authorization: "Bearer" },
      { authorization: "Bearer " },
      { authorization: capability },
      { authorization: `Basic ${capability}` },
      { authorization: `Bearer ${capability} x` },
      { authorization: `Bearer ${capability.slice(0, -1)}` },
      { authorization: `Bearer ${capability}x` },
      { authorization: `Bearer ${capability.toUpperCase()}` },
      { authorization: `Bearer ${"x".repeat(4_000)}` },
    ];
    for (const headers of near) {
      const answer = await channel.call({ path: "/v1/key", headers });
      expect([headers, answer.code]).toEqual([headers, "CAPABILITY_INVALID"]);
    }
  });

  it("die at freeze, and what is left is one result and to be told to stop", async () => {
    const attempt = await beginAttempt();
    const { channel, capability, assignment } = attempt;
    await taken(channel.call({ path: "/v1/freeze", token: capability }));
    for (const answer of await answersTo(channel.socket, everyCall(attempt))) {
      expect(answer).toMatch(/ 410 ENDED$/);
    }
    expect(broker.model.requests).toHaveLength(0);
    const posted = await channel.call({ path: "/v1/result", token: capability, body: resultOf(assignment.epoch) });
    expect(posted.status).toBe(200);
    for (const answer of await answersTo(channel.socket, everyCall(attempt))) {
      expect(answer).toMatch(/ 410 ENDED$/);
    }
  });

  it("die when a person cancels, and no result is taken then", async () => {
    const attempt = await beginAttempt();
    const { channel, capability, run } = attempt;
    await broker.records.applyToRun(run, {
      type: "end",
      ending: { outcome: "cancelled", code: "operator", detail: "an operator cancelled it" },
    });
    const result: Call = { path: "/v1/result", token: capability, body: resultOf(1) };
    for (const answer of await answersTo(channel.socket, [...everyCall(attempt), result])) {
      expect(answer).toMatch(/ 410 ENDED$/);
    }
    expect((await taken(channel.call({ path: "/v1/heartbeat", token: capability }))).body).toEqual({
      stop: "cancelled",
    });
    expect(await broker.results.getResult(run, 1)).toBeNull();
  });

  it("die at the deadline by the broker's own clock, though nobody has written it down", async () => {
    const attempt = await beginAttempt();
    for (let passed = 0; passed < attempt.assignment.seconds * 1_000 + 30_000; passed += limits.heartbeatMs) {
      broker.pass(limits.heartbeatMs);
      await broker.records.applyToMachine(attempt.channel.machine, { type: "heard" });
    }
    for (const answer of await answersTo(attempt.channel.socket, everyCall(attempt))) {
      expect(answer).toMatch(/ 410 ENDED$/);
    }
    expect((await broker.run(attempt.run)).phase).toBe("running");
  });

  it("die with the lease of a machine that fell silent, though nobody has written it down", async () => {
    const attempt = await beginAttempt();
    broker.pass(limits.heartbeatLossMs);
    for (const answer of await answersTo(attempt.channel.socket, everyCall(attempt))) {
      expect(answer).toMatch(/ (410 ENDED|401 KEY_INVALID)$/);
    }
    expect((await broker.machine(attempt.channel.machine)).phase).toBe("claimed");
  });

  it("live no longer than they are renewed: a key of ten minutes ago is refused", async () => {
    const { channel, capability, key } = await beginAttempt();
    for (let passed = 0; passed < limits.keyMs; passed += limits.heartbeatMs) {
      broker.pass(limits.heartbeatMs);
      await broker.records.applyToMachine(channel.machine, { type: "heard" });
    }
    expect((await channel.call({ path: "/v1/responses", token: key, body: modelCall })).code).toBe("KEY_INVALID");
    const renewed = (await taken(channel.call({ path: "/v1/key", token: capability }))).body as { key: string };
    await taken(channel.call({ path: "/v1/responses", token: renewed.key, body: modelCall }));
    expect((await channel.call({ path: "/v1/responses", token: key, body: modelCall })).code).toBe("KEY_INVALID");
  });

  it("end a model call that is under way at freeze", async () => {
    script = [stall({ afterEvents: 2 }), say("never")];
    const { channel, capability, key } = await beginAttempt();
    const call = channel.call({ path: "/v1/responses", token: key, body: modelCall }).catch(() => "cut");
    await broker.model.whenRequested(1);
    await taken(channel.call({ path: "/v1/freeze", token: capability }));
    const ended = await call;
    expect(typeof ended === "string" ? ended : ended.text).not.toContain("response.completed");
    await expect.poll(() => broker.model.requests[0]?.isAborted).toBe(true);
  });
});

describe("the key", () => {
  it("is not lent before the gate, nor after a gate that failed or belongs to another strategy", async () => {
    await broker.addRun();
    const channel = await broker.addMachine();
    const { capability } = await channel.claim();
    const borrow: Call = { path: "/v1/key", token: capability };
    expect((await channel.call(borrow)).code).toBe("GATE_FAILED");
    for (const body of [gate(false), gate(true, "unsafe"), gate(true, "read-only")]) {
      expect((await channel.call({ path: "/v1/gate", token: capability, body })).code).toBe("GATE_FAILED");
      expect((await channel.call(borrow)).code).toBe("GATE_FAILED");
    }
    const none = { safety_strategy: "unprivileged-user", checks: [] };
    expect((await channel.call({ path: "/v1/gate", token: capability, body: none })).code).toBe("BODY_INVALID");
    expect((await channel.call(borrow)).code).toBe("GATE_FAILED");
    expect((await channel.call({ path: "/v1/responses", token: capability, body: modelCall })).code).toBe(
      "KEY_INVALID",
    );
  });
});

describe("a second claim", () => {
  it("gives nothing, destroys the machine, and takes what it had", async () => {
    const attempt = await beginAttempt();
    const other = await broker.addRun();
    const answer = await attempt.channel.call({ path: "/v1/claim", body: hello });
    expect(answer.code).toBe("CLAIMED_BEFORE");
    expect(answer.text).not.toContain(attempt.capability);
    expect(await broker.machine(attempt.channel.machine)).toMatchObject({ phase: "destroying", why: "claimed_twice" });
    expect((await broker.run(other)).phase).toBe("queued");
    for (const refused of await answersTo(attempt.channel.socket, everyCall(attempt))) {
      expect(refused).toMatch(/ (410 ENDED|401 KEY_INVALID)$/);
    }
  });

  it("made at the same time as the first gets one attempt for both", async () => {
    await broker.addRun();
    await broker.addRun();
    const channel = await broker.addMachine();
    const claims = await Promise.all([1, 2, 3, 4].map(() => channel.call({ path: "/v1/claim", body: hello })));
    expect(claims.filter(({ status }) => status === 200)).toHaveLength(1);
    const runs = await broker.store.listLiveRuns();
    expect(runs.filter(({ phase }) => phase === "running")).toHaveLength(1);
  });
});

describe("the result", () => {
  it("is taken once: what comes later under the same epoch changes nothing", async () => {
    const { channel, capability, run } = await beginAttempt();
    await taken(channel.call({ path: "/v1/freeze", token: capability }));
    await taken(channel.call({ path: "/v1/result", token: capability, body: resultOf(1, "first") }));
    const after = await broker.run(run);
    await taken(channel.call({ path: "/v1/result", token: capability, body: resultOf(1, "first") }));
    await channel.call({ path: "/v1/result", token: capability, body: resultOf(1, "second") });
    expect(await broker.run(run)).toEqual(after);
    expect(await broker.results.getResult(run, 1)).toMatchObject({ result: { final_message: { text: "first" } } });
  });

  it("that was kept before a crash is the one the run ends with, whatever is sent after it", async () => {
    const { channel, capability, run } = await beginAttempt();
    const failure = { kind: "failure", epoch: 1, failure: { step: "codex", message: "kept" } } as const;
    await broker.results.putResult(run, 1, failure);
    await taken(channel.call({ path: "/v1/result", token: capability, body: resultOf(1, "other") }));
    expect(await broker.run(run)).toMatchObject({ phase: "destroying", ending: { outcome: "failed" } });
  });

  it("of another epoch is refused", async () => {
    const { channel, capability, run } = await beginAttempt();
    await taken(channel.call({ path: "/v1/freeze", token: capability }));
    for (const epoch of [2, 999]) {
      expect((await channel.call({ path: "/v1/result", token: capability, body: resultOf(epoch) })).code).toBe(
        "RESULT_TAKEN",
      );
    }
    expect((await broker.run(run)).phase).toBe("running");
    expect(await broker.results.getResult(run, 2)).toBeNull();
  });

  it("that comes too late after freeze is no longer taken", async () => {
    const { channel, capability, run } = await beginAttempt();
    await taken(channel.call({ path: "/v1/freeze", token: capability }));
    broker.pass(limits.resultMs);
    await channel.call({ path: "/v1/result", token: capability, body: resultOf(1) });
    const ended = await broker.run(run);
    expect("ending" in ended ? ended.ending.outcome : "none").not.toBe("succeeded");
  });
});

describe("what is said over a channel", () => {
  const wrong: [string, Omit<Call, "token">, string][] = [
    ["a protocol that is not served", { path: "/v1/claim", body: { ...hello, protocol: 999 } }, "PROTOCOL_UNKNOWN"],
    ["a protocol that is no number", { path: "/v1/claim", body: { ...hello, protocol: "1" } }, "BODY_INVALID"],
    ["a protocol that cannot be", { path: "/v1/claim", body: { ...hello, protocol: 2 ** 53 } }, "BODY_INVALID"],
    ["an unknown key in a claim", { path: "/v1/claim", body: { ...hello, machine: "mch_other" } }, "BODY_INVALID"],
    ["a name without end", { path: "/v1/claim", body: { ...hello, agent: "x".repeat(65) } }, "BODY_INVALID"],
    ["no body", { path: "/v1/claim" }, "BODY_INVALID"],
    ["half of a body", { path: "/v1/claim", body: '{"protocol":1' }, "BODY_INVALID"],
    ["a body that is an array", { path: "/v1/claim", body: [hello] }, "BODY_INVALID"],
    ["a body that names a prototype", { path: "/v1/claim", body: '{"__proto__":{"protocol":1}}' }, "BODY_INVALID"],
    [
      "a form",
      { path: "/v1/claim", body: "protocol=1", headers: form("application/x-www-form-urlencoded") },
      "NOT_JSON",
    ],
    ["text", { path: "/v1/gate", body: "{}", headers: form("text/plain") }, "BODY_INVALID"],
    ["a form with files", { path: "/v1/events", body: "x", headers: form("multipart/form-data") }, "NOT_JSON"],
    [
      "a claim too big",
      { path: "/v1/claim", body: { ...hello, agent: "x".repeat(limits.agentBodyBytesMax) } },
      "BODY_TOO_BIG",
    ],
    [
      "a batch too big",
      { path: "/v1/events", body: { first: 0, events: ["x".repeat(2 * limits.eventBatchBytesMax)] } },
      "BODY_TOO_BIG",
    ],
    [
      "too many events",
      {
        path: "/v1/events",
        body: { first: 0, events: Array.from({ length: 201 }, () => ({ type: "codex_started" })) },
      },
      "BODY_INVALID",
    ],
    [
      "an event too long",
      {
        path: "/v1/events",
        body: { first: 0, events: [{ type: "codex", line: "x".repeat(limits.eventBytesMax + 1) }] },
      },
      "BODY_INVALID",
    ],
    ["an unknown event", { path: "/v1/events", body: { first: 0, events: [{ type: "published" }] } }, "BODY_INVALID"],
    [
      "an event with a run of its own",
      { path: "/v1/events", body: { first: 0, events: [{ type: "codex_started", run: "run_other" }] } },
      "BODY_INVALID",
    ],
    ["a number that is none", { path: "/v1/events", body: { first: -1, events: [] } }, "BODY_INVALID"],
    ["a result that is no frame", { path: "/v1/result", body: {} }, "BODY_INVALID"],
    ["a result with a key more", { path: "/v1/result", body: { ...resultOf(1), publish: true } }, "BODY_INVALID"],
    ["a result of half an epoch", { path: "/v1/result", body: resultOf(0.5) }, "BODY_INVALID"],
    [
      "a message too long",
      { path: "/v1/result", body: resultOf(1, "x".repeat(limits.finalMessageBytesMax + 1)) },
      "BODY_INVALID",
    ],
    ["a result too big", { path: "/v1/result", body: resultOf(1, "x".repeat(limits.resultBytesMax)) }, "BODY_TOO_BIG"],
    [
      "a model call too big",
      { path: "/v1/responses", body: "x".repeat(limits.modelRequestBytesMax + 1) },
      "BODY_TOO_BIG",
    ],
  ];

  it.each(wrong)("is refused when it is %s", async (_what, call, code) => {
    const { channel, capability, key, run } = await beginAttempt();
    const token = call.path === "/v1/responses" ? key : capability;
    const answer = await channel.call({ ...call, token });
    expect(answer.code).toBe(code);
    expect(answer.text).not.toMatch(/[\\/](node_modules|apps|src)|\bat \w+ \(/);
    expect(await broker.run(run)).toMatchObject({ phase: "running", attempt: { frozenAt: null } });
    expect(broker.model.requests).toHaveLength(0);
  });

  it("is refused when it is not HTTP, or two kinds of it at once", async () => {
    const { channel, key } = await beginAttempt();
    const model = JSON.stringify(modelCall);
    const head = `POST /v1/responses HTTP/1.1\r\nhost: broker\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\n`;
    const smuggled = [
      `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      `${head}content-length: 5\r\ncontent-length: 6\r\n\r\n12345`,
      `${head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n`,
      `POST /v1/responses HTTP/1.1\nhost: broker\n\n`,
      `\u0016\u0003\u0001\u0000\u0000`,
      `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`,
      `CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com\r\n\r\n`,
      `${head}x-long: ${"x".repeat(100_000)}\r\n\r\n`,
      `POST http://127.0.0.1:6379/v1/responses HTTP/1.1\r\n${head.slice(head.indexOf("host"))}connection: close\r\ncontent-length: ${model.length}\r\n\r\n${model}`,
    ];
    for (const bytes of smuggled) {
      const said = await sayOver(channel.socket, bytes);
      // Refused in words, or hung up on.
      expect([bytes, said.slice(0, 10)]).toEqual([bytes, expect.stringMatching(/^(|HTTP\/1\.1 4)$/)]);
    }
    expect(broker.model.requests).toHaveLength(0);
    await taken(channel.call({ path: "/v1/responses", token: key, body: modelCall }));
  });

  it("comes over 64 connections at most, and another machine's channel does not feel it", async () => {
    const { channel, capability } = await beginAttempt();
    const other = await beginAttempt();
    const sockets = await Promise.all(Array.from({ length: 64 }, () => open(channel.socket)));
    // One question each, so that all of them are in the broker's hands and not in the kernel's queue.
    await Promise.all(
      sockets.map(async (socket) => {
        const answered = once(socket, "data");
        socket.write("GET /nothing HTTP/1.1\r\nhost: broker\r\n\r\n");
        await answered;
      }),
    );
    const beyond = await open(channel.socket);
    beyond.on("error", () => undefined);
    beyond.resume();
    await once(beyond, "close");
    await taken(other.channel.call({ path: "/v1/heartbeat", token: other.capability }));
    sockets.forEach((socket) => socket.destroy());
    await expect
      .poll(() =>
        channel.call({ path: "/v1/heartbeat", token: capability }).then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200);
  });
});

function form(type: string): Record<string, string> {
  return { "content-type": type };
}

describe("a model call", () => {
  it("reaches the model as one method on one path, whatever else is tried", async () => {
    const { channel, key } = await beginAttempt();
    const tried: [string, string][] = [
      ["GET", "/v1/responses"],
      ["PUT", "/v1/responses"],
      ["DELETE", "/v1/responses"],
      ["PATCH", "/v1/responses"],
      ["OPTIONS", "/v1/responses"],
      ["POST", "/v1/responses/"],
      ["POST", "/v1/responses?model=gpt-other"],
      ["POST", "/v1/responses?"],
      ["POST", "/v1/responses#x"],
      ["POST", "/v1/responses/resp_1/cancel"],
      ["GET", "/v1/responses/resp_1"],
      ["POST", "/v1/%72esponses"],
      ["POST", "/V1/RESPONSES"],
      ["POST", "//v1/responses"],
      ["POST", "/v1/../v1/responses"],
      ["POST", "/v1/files"],
      ["POST", "/v1/chat/completions"],
      ["POST", "/v1/embeddings"],
      ["GET", "/v1/models"],
      ["GET", "/v1/organization/admin_api_keys"],
      ["GET", "/shutdown"],
      ["POST", "/shutdown"],
      ["GET", "/ready"],
      ["GET", "/runs"],
      ["POST", "/webhook"],
      ["GET", "/metrics"],
      ["GET", "/"],
    ];
    for (const [method, path] of tried) {
      const body = method === "GET" ? {} : { body: modelCall };
      const { status } = await channel.call({ method, path, token: key, ...body });
      expect([method, path, status]).toEqual([method, path, 404]);
    }
    expect(broker.model.requests).toHaveLength(0);
  });

  it("carries headers of ours alone to the model", async () => {
    const { channel, key } = await beginAttempt();
    const mark = "from-the-machine";
    const smuggled = {
      "openai-organization": mark,
      "openai-project": mark,
      "openai-beta": mark,
      "x-stainless-lang": mark,
      "x-api-key": mark,
      "api-key": mark,
      "proxy-authorization": mark,
      "x-forwarded-for": mark,
      "x-forwarded-host": mark,
      forwarded: mark,
      cookie: mark,
      accept: mark,
      "accept-language": mark,
      "user-agent": mark,
      "content-encoding": mark,
      originator: mark,
      session_id: mark,
      traceparent: mark,
      te: "trailers",
      host: `${mark}.example.com`,
      connection: "close, authorization",
      "content-type": "application/json; boundary=from-the-machine",
    };
    await taken(channel.call({ path: "/v1/responses", token: key, body: modelCall, headers: smuggled }));
    const [request] = broker.model.requests;
    expect(request?.headers.authorization).toBe(`Bearer ${broker.modelKey}`);
    expect(JSON.stringify(request?.headers)).not.toContain(mark);
    expect(JSON.stringify(request?.headers)).not.toContain(key);
    expect(Object.keys(request?.headers ?? {}).toSorted()).toEqual([
      "accept",
      "accept-encoding",
      "accept-language",
      "authorization",
      "connection",
      "content-length",
      "content-type",
      "host",
      "sec-fetch-mode",
      "user-agent",
    ]);
    expect(request?.body).toEqual(modelCall);
  });

  it("brings back nothing of the model's answer but its status, type, pace and body", async () => {
    script = [
      fail({
        status: 429,
        headers: {
          "retry-after": "7",
          "set-cookie": "a=b",
          "openai-organization": "org-ours",
          "x-request-id": "req_1",
        },
      }),
      say("never"),
    ];
    const { channel, key } = await beginAttempt();
    const answer = await channel.call({ path: "/v1/responses", token: key, body: modelCall });
    expect(answer.status).toBe(429);
    expect(Object.keys(answer.headers).toSorted()).toEqual([
      "connection",
      "content-type",
      "date",
      "retry-after",
      "transfer-encoding",
    ]);
  });

  it("does not bring back what the model says of our credential when it refuses it", async () => {
    const told = `Incorrect API key provided: ${broker.modelKey.slice(0, 12)}****${broker.modelKey.slice(-4)}.`;
    script = [fail({ status: 401, body: { error: { message: told, code: "invalid_api_key" } } }), say("never")];
    const { channel, key } = await beginAttempt();
    const answer = await channel.call({ path: "/v1/responses", token: key, body: modelCall });
    expect(answer.status).toBe(401);
    expect(answer.text).not.toContain(broker.modelKey.slice(-4));
    expect(answer.text).not.toContain(broker.modelKey.slice(0, 12));
  });

  it("is made a bounded number of times at once", async () => {
    script = [stall({ afterEvents: 1 }), say("never")];
    const { channel, key } = await beginAttempt();
    const under = Array.from({ length: limits.modelConcurrencyMax }, () =>
      channel.call({ path: "/v1/responses", token: key, body: modelCall }).catch(() => null),
    );
    await broker.model.whenRequested(limits.modelConcurrencyMax);
    const { code } = await channel.call({ path: "/v1/responses", token: key, body: modelCall });
    expect(code).toBe("BUSY");
    await broker.model.close();
    await Promise.all(under);
  });
});
