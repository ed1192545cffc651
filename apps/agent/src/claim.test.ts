import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { createChannel } from "./channel.ts";
import { claimAttempt } from "./claim.ts";

const server = createServer();
afterEach(() => {
  server.close();
  server.closeAllConnections();
});

describe("an agent that is told there is nothing", () => {
  it("does not ask again at once", async () => {
    const asked: number[] = [];
    server.on("request", (_incoming, outgoing) => {
      asked.push(performance.now());
      outgoing.writeHead(asked.length < 3 ? 204 : 410);
      outgoing.end();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const channel = createChannel({ host: "127.0.0.1", port: (server.address() as AddressInfo).port });
    const claim = claimAttempt(channel, { protocol: 1, agent: "test", codex: "0.0.0" });
    await expect(claim).rejects.toMatchObject({ kind: "refused" });
    const [first = 0, second = 0, third = 0] = asked;
    expect(second - first).toBeGreaterThan(200);
    expect(third - second).toBeGreaterThan(200);
  });
});
