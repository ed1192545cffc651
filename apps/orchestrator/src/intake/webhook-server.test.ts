import { createHmac } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLog } from "../host/log.ts";
import { buildWebhookServer } from "./webhook-server.ts";

const REQUEST_MS = 200;

describe("a slow caller", () => {
  let server: FastifyInstance;
  let port: number;

  beforeEach(async () => {
    const unused = () => Promise.reject(new Error("nothing whole has come"));
    server = buildWebhookServer({
      secrets: ["a-secret-of-sixteen"],
      deliveries: { accept: unused } as unknown as Parameters<typeof buildWebhookServer>[0]["deliveries"],
      wake: unused,
      log: createLog({ level: "silent" }).log,
      requestMs: REQUEST_MS,
    });
    await server.listen({ host: "127.0.0.1", port: 0 });
    ({ port } = server.server.address() as AddressInfo);
  });
  afterEach(() => server.close());

  it.each([
    ["whose head never ends", "POST /webhook HTTP/1.1\r\nhost: x\r\n"],
    [
      "whose body never ends",
      "POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
    ],
  ])("%s is hung up on, as if it had asked nothing", async (_, beginning) => {
    const socket = connect({ host: "127.0.0.1", port });
    let answer = "";
    socket.setEncoding("utf8").on("data", (text: string) => (answer += text));
    socket.write(beginning);
    await once(socket, "close");
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  });
});

describe("a delivery that is called like an operator's wish", () => {
  it("is refused though it is signed, and nothing is kept", async () => {
    const secret = "a-secret-of-sixteen";
    const kept: unknown[] = [];
    const unused = () => Promise.reject(new Error("nobody is woken"));
    const server = buildWebhookServer({
      secrets: [secret],
      deliveries: { accept: async (one: unknown) => void kept.push(one) } as never,
      wake: unused,
      log: createLog({ level: "silent" }).log,
    });
    const payload = JSON.stringify({ kind: "retry", of: "run_00000000000000000000" });
    const answers = await Promise.all(
      ["operator-00", "Operator-00"].map((id) =>
        server.inject({
          method: "POST",
          url: "/webhook",
          payload,
          headers: {
            "content-type": "application/json",
            "x-github-event": "operator",
            "x-github-delivery": id,
            "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(payload).digest("hex")}`,
          },
        }),
      ),
    );
    await server.close();
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([400, 400]);
    expect(answers[0]?.body).toContain("none of GitHub's");
    expect(kept).toEqual([]);
  });
});
