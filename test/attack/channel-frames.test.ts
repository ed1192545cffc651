import { once } from "node:events";
import { limits } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { type Call, hello, open, sayOver } from "./broker-bench.ts";
import { beginAttempt, modelCall, resultOf, taken, scene, useBroker } from "./channel-scene.ts";

useBroker();

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
      "a name twice",
      { path: "/v1/claim", body: '{"protocol":1,"protocol":1,"agent":"a","codex":"c"}' },
      "BODY_INVALID",
    ],
    ["a name twice, once escaped", { path: "/v1/heartbeat", body: '{"a":1,"\\u0061":1}' }, "BODY_INVALID"],
    ["bytes that are no text", { path: "/v1/heartbeat", body: Buffer.from([0x22, 0xff, 0xfe, 0x22]) }, "BODY_INVALID"],
    ["a byte order mark", { path: "/v1/heartbeat", body: "\ufeff{}" }, "BODY_INVALID"],
    ["lists in lists", { path: "/v1/heartbeat", body: `${"[".repeat(9)}${"]".repeat(9)}` }, "BODY_INVALID"],
    ["ten thousand values", { path: "/v1/result", body: `[${"[],".repeat(6_000)}0]` }, "BODY_INVALID"],
    ["half a character", { path: "/v1/heartbeat", body: '"\\ud800"' }, "BODY_INVALID"],
    [
      "of no stated length",
      { path: "/v1/heartbeat", body: "{}", headers: { "transfer-encoding": "chunked" } },
      "LENGTH_REQUIRED",
    ],
    [
      "a form",
      { path: "/v1/claim", body: "protocol=1", headers: form("application/x-www-form-urlencoded") },
      "NOT_JSON",
    ],
    ["text", { path: "/v1/gate", body: "{}", headers: form("text/plain") }, "NOT_JSON"],
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
    expect(await scene.broker.run(run)).toMatchObject({ phase: "running", attempt: { frozenAt: null } });
    expect(scene.broker.model.requests).toHaveLength(0);
  });

  it("is not even read when it comes without its right", async () => {
    const { channel } = await beginAttempt();
    for (const path of ["/v1/gate", "/v1/events", "/v1/result"]) {
      const answer = await channel.call({ path, token: "mfc_none", body: "{".repeat(50_000) });
      expect([path, answer.code]).toEqual([path, "CAPABILITY_INVALID"]);
    }
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
    expect(scene.broker.model.requests).toHaveLength(0);
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
