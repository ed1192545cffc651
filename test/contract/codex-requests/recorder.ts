import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { MODEL_SHAPE_HEADER, type ModelRequestPolicy, rebuildModelRequest } from "@mayfly/core";

export interface Recorder {
  readonly port: number;
  /** Every body as the CLI sent it, oldest first. */
  readonly bodies: readonly unknown[];
  /** Every refusal of the gateway's own rules, in words. */
  readonly refusals: readonly string[];
  close(): Promise<void>;
}

/** Stands where the gateway stands: keeps what the CLI sends, rebuilds it, and asks the model with the rebuilt body. */
export async function startRecorder(options: {
  policy: ModelRequestPolicy;
  /** Ends in `/v1`. */
  modelUrl: string;
  apiKey: string;
}): Promise<Recorder> {
  const bodies: unknown[] = [];
  const refusals: string[] = [];

  async function handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await text(incoming);
    if (incoming.method !== "POST" || incoming.url !== "/v1/responses") {
      refusals.push(`${incoming.method} ${incoming.url}`);
      outgoing.writeHead(404).end();
      return;
    }
    bodies.push(JSON.parse(body));
    const rebuilt = rebuildModelRequest(body, options.policy);
    if (!rebuilt.ok) {
      refusals.push(`${rebuilt.code} at ${rebuilt.at}`);
      outgoing.writeHead(400).end();
      return;
    }
    const shape = incoming.headers[MODEL_SHAPE_HEADER] === "true" ? { [MODEL_SHAPE_HEADER]: "true" } : {};
    const answer = await fetch(`${options.modelUrl}/responses`, {
      method: "POST",
      headers: { authorization: `Bearer ${options.apiKey}`, "content-type": "application/json", ...shape },
      body: rebuilt.body,
    });
    outgoing.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" });
    outgoing.end(await answer.text());
  }

  const server = createServer((incoming, outgoing) => {
    handle(incoming, outgoing).catch((error: unknown) => {
      refusals.push(String(error));
      outgoing.destroy();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    bodies,
    refusals,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
