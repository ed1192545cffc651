/** Sends webhooks once, signed, and keeps the log that an App can list and redeliver from. */
import { createHmac, randomUUID } from "node:crypto";
import { request as httpRequest } from "node:http";
import { GitHubRefusal, notFound, positive } from "./http.ts";
import type { Context, Reply } from "./http.ts";
import type { Route } from "./router.ts";
import { isoTime } from "./world.ts";
import type { Delivery, World } from "./world.ts";

/** GitHub gives a receiver ten seconds. */
const ANSWER_TIMEOUT_MS = 10_000;
const RESPONSE_BYTES_MAX = 65_536;
const PER_PAGE_MAX = 100;
const PER_PAGE_DEFAULT = 30;

export interface WebhookEvent {
  readonly event: string;
  readonly action: string | null;
  readonly installationId: number | null;
  readonly repositoryId: number | null;
  readonly payload: Record<string, unknown>;
}

export interface Answer {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** Signs and sends in the background; the log has it at once. Deliveries are never retried by themselves. */
export function send(world: World, event: WebhookEvent): Delivery {
  const body = Buffer.from(JSON.stringify(event.payload));
  return start(world, { ...event, guid: randomUUID(), redelivery: false, body });
}

/** POSTs bytes as they are, log untouched: for forged and broken deliveries. */
export function post(
  url: string,
  delivery: { headers: Readonly<Record<string, string>>; body: Buffer; signal: AbortSignal },
): Promise<Answer> {
  const { headers, body, signal } = delivery;
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      url,
      { method: "POST", headers, agent: false, timeout: ANSWER_TIMEOUT_MS, signal },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size <= RESPONSE_BYTES_MAX) {
            chunks.push(chunk);
          }
        });
        response.on("error", reject);
        response.on("end", () => {
          const answered = Object.entries(response.headers).map(([name, value]) => [name, String(value)] as const);
          resolve({
            statusCode: response.statusCode ?? 0,
            headers: Object.fromEntries(answered),
            body: Buffer.concat(chunks).toString(),
          });
        });
      },
    );
    request.on("timeout", () => request.destroy(new Error("timed out")));
    request.on("error", reject);
    request.end(body);
  });
}

/** The headers of a genuine delivery of those bytes. */
export function signedHeaders(
  world: World,
  delivery: { event: string; guid: string; body: Buffer; secret?: string },
): Record<string, string> {
  const digest = (algorithm: string): string =>
    createHmac(algorithm, delivery.secret ?? world.webhook.secret)
      .update(delivery.body)
      .digest("hex");
  return {
    Accept: "*/*",
    "Content-Type": "application/json",
    "Content-Length": String(delivery.body.length),
    "User-Agent": "GitHub-Hookshot/5a11ab1",
    "X-GitHub-Delivery": delivery.guid,
    "X-GitHub-Event": delivery.event,
    "X-GitHub-Hook-ID": String(world.app.id + 1),
    "X-GitHub-Hook-Installation-Target-ID": String(world.app.id),
    "X-GitHub-Hook-Installation-Target-Type": "integration",
    "X-Hub-Signature": `sha1=${digest("sha1")}`,
    "X-Hub-Signature-256": `sha256=${digest("sha256")}`,
  };
}

export const deliveryRoutes: readonly Route[] = [
  { method: "GET", path: "/app/hook/config", auth: "app", handle: showConfig },
  { method: "GET", path: "/app/hook/deliveries", auth: "app", handle: listDeliveries },
  { method: "GET", path: "/app/hook/deliveries/{delivery_id}", auth: "app", handle: showDelivery },
  { method: "POST", path: "/app/hook/deliveries/{delivery_id}/attempts", auth: "app", handle: redeliver },
];

interface Start extends Omit<WebhookEvent, "payload"> {
  readonly guid: string;
  readonly redelivery: boolean;
  readonly body: Buffer;
}

function start(world: World, from: Start): Delivery {
  const { guid, event, action, installationId, repositoryId, redelivery, body } = from;
  const delivery: Delivery = {
    // Ids of deliveries are long numbers and do not share the counter of other objects.
    id: 1_000_000_000_000 + world.nextId(),
    guid,
    event,
    action,
    installationId,
    repositoryId,
    redelivery,
    deliveredAt: world.now(),
    durationMs: 0,
    statusCode: 0,
    status: "pending",
    requestHeaders: signedHeaders(world, { event, guid, body }),
    requestBody: body,
    responseHeaders: {},
    responseBody: "",
  };
  world.deliveries.push(delivery);
  const underWay = carry(world, delivery).finally(() => world.underWay.delete(underWay));
  world.underWay.add(underWay);
  return delivery;
}

async function carry(world: World, delivery: Delivery): Promise<void> {
  const lost = world.lost.find((candidate) => candidate.times > 0);
  if (lost !== undefined) {
    lost.times -= 1;
    settle(delivery, { statusCode: lost.loggedAs, headers: {}, body: "" });
    return;
  }
  const { url } = world.webhook;
  const startedAt = performance.now();
  try {
    if (url === undefined) {
      throw new Error("no webhook URL");
    }
    settle(
      delivery,
      await post(url, { headers: delivery.requestHeaders, body: delivery.requestBody, signal: world.stop.signal }),
    );
  } catch (error) {
    delivery.status =
      error instanceof Error && error.message === "timed out" ? "timed out" : "failed to connect to host";
    delivery.statusCode = 502;
  }
  delivery.durationMs = performance.now() - startedAt;
}

function settle(delivery: Delivery, answer: Answer): void {
  delivery.statusCode = answer.statusCode;
  delivery.status = isSuccess(answer.statusCode) ? "OK" : `Invalid HTTP Response: ${answer.statusCode}`;
  delivery.responseHeaders = answer.headers;
  delivery.responseBody = answer.body;
}

function showConfig({ world }: Context): Reply {
  return {
    status: 200,
    body: { content_type: "json", insecure_ssl: "0", secret: "********", url: world.webhook.url ?? "" },
  };
}

/** Newest first; the cursor names the first delivery of the page. */
function listDeliveries(context: Context): Reply {
  const { world, query } = context;
  const perPage = Math.min(PER_PAGE_MAX, positive(query.get("per_page")) ?? PER_PAGE_DEFAULT);
  const cursor = query.get("cursor");
  const from = cursor === null ? Number.MAX_SAFE_INTEGER : Number(/^v1_(\d{1,16})$/.exec(cursor)?.[1]);
  if (Number.isNaN(from)) {
    throw new GitHubRefusal(422, "Invalid cursor");
  }
  const wanted = query.get("status");
  const found = world.deliveries
    .toReversed()
    .filter((delivery) => delivery.id <= from)
    .filter((delivery) => wanted === null || isSuccess(delivery.statusCode) === (wanted === "success"));
  const next = found[perPage];
  const url = new URL(context.target, world.url);
  if (next !== undefined) {
    url.searchParams.set("cursor", `v1_${next.id}`);
  }
  return {
    status: 200,
    headers: next === undefined ? {} : { link: `<${url.href}>; rel="next"` },
    body: found.slice(0, perPage).map(itemShape),
  };
}

function showDelivery({ world, params }: Context): Reply {
  const delivery = find(world, params.delivery_id);
  return {
    status: 200,
    body: {
      ...itemShape(delivery),
      url: world.webhook.url ?? "",
      request: { headers: delivery.requestHeaders, payload: JSON.parse(delivery.requestBody.toString()) as unknown },
      response: { headers: delivery.responseHeaders, payload: delivery.responseBody },
    },
  };
}

function redeliver({ world, params }: Context): Reply {
  const earlier = find(world, params.delivery_id);
  start(world, { ...earlier, redelivery: true, body: earlier.requestBody });
  return { status: 202, body: {} };
}

function itemShape(delivery: Delivery): Record<string, unknown> {
  return {
    id: delivery.id,
    guid: delivery.guid,
    delivered_at: isoTime(delivery.deliveredAt),
    redelivery: delivery.redelivery,
    duration: Math.round(delivery.durationMs) / 1000,
    status: delivery.status,
    status_code: delivery.statusCode,
    event: delivery.event,
    action: delivery.action,
    installation_id: delivery.installationId,
    repository_id: delivery.repositoryId,
    throttled_at: null,
  };
}

function find(world: World, id: string | undefined): Delivery {
  const delivery = world.deliveries.find((candidate) => String(candidate.id) === id);
  if (delivery === undefined) {
    throw notFound();
  }
  return delivery;
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}
