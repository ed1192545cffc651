import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { type Clock, type IssuerConfig, type RunId, Secret } from "@mayfly/core";
import { createIssuer } from "../../../apps/orchestrator/src/broker/issuers/create-issuer.ts";
import type { Issuer } from "../../../apps/orchestrator/src/broker/issuers/issuer.ts";
import { createLog, type ServiceLog } from "../../../apps/orchestrator/src/host/log.ts";
import { createFakeOpenAiAdmin, type FakeOpenAiAdmin } from "../../fakes/openai-admin/server.ts";

export const run = "run_0123456789abcdefghjk" as RunId;
export const otherRun = "run_0123456789abcdefghjm" as RunId;
const adminKey = "sk-admin-0123456789abcdef";
const fixedKey = "sk-fixed-0123456789abcdef";

/** Time that passes only when a test says so; a pause of the issuer is such a time. */
interface TestClock extends Clock {
  pass(ms: number): void;
  /** Every pause that was asked for, in milliseconds. */
  readonly pauses: number[];
  wait(ms: number): Promise<void>;
}

function createTestClock(): TestClock {
  let now = Date.UTC(2026, 0, 1);
  const pauses: number[] = [];
  return {
    now: () => now,
    pass: (ms) => void (now += ms),
    pauses,
    async wait(ms) {
      pauses.push(ms);
      now += ms;
    },
  };
}

/** One issuer with what stands behind it, over real HTTP. */
export interface IssuerWorld {
  readonly clock: TestClock;
  readonly log: ServiceLog["log"];
  readonly logged: readonly string[];
  /** Another process of the same service: it knows nothing of what the first one made. */
  newIssuer(): Issuer;
  readonly admin: FakeOpenAiAdmin | null;
  /** Shows the credential to the model as the gateway does. */
  works(headers: Record<string, string>): Promise<boolean>;
  /** Fails if the log shows the Admin key. */
  close(): Promise<void>;
}

/** What this issuer can do beyond showing a key. */
export interface IssuerCase {
  readonly name: string;
  /** A key of its own for each attempt, that ends. */
  readonly makesKeys: boolean;
  readonly config: (adminUrl: string) => IssuerConfig;
  /** What the model's endpoint takes. */
  readonly accepts: (headers: IncomingHttpHeaders, admin: FakeOpenAiAdmin | null) => boolean;
}

const serviceAccount = { adminKey, project: "proj_1", serviceAccounts: ["svc_1", "svc_2"] };

export const cases: readonly IssuerCase[] = [
  {
    name: "static",
    makesKeys: false,
    config: () => ({ kind: "static", key: new Secret(fixedKey) }),
    accepts: ({ authorization }) => authorization === `Bearer ${fixedKey}`,
  },
  {
    name: "compatible, with a header of its own",
    makesKeys: false,
    config: () => ({ kind: "compatible", key: new Secret(fixedKey), header: "api-key", prefix: "" }),
    accepts: (headers) => headers["api-key"] === fixedKey && headers.authorization === undefined,
  },
  {
    name: "compatible, with a bare authorization",
    makesKeys: false,
    config: () => ({ kind: "compatible", key: new Secret(fixedKey), header: "authorization", prefix: "" }),
    accepts: ({ authorization }) => authorization === fixedKey,
  },
  {
    name: "compatible, without a key",
    makesKeys: false,
    config: () => ({ kind: "compatible", key: null, header: "authorization", prefix: "Bearer " }),
    accepts: ({ authorization }) => authorization === undefined,
  },
  {
    name: "openai-service-account",
    makesKeys: true,
    config: (adminUrl) => ({
      kind: "openai-service-account",
      adminKey: new Secret(adminKey),
      adminUrl,
      project: "proj_1",
      serviceAccount: "svc_1",
      scopes: ["api.responses.write"],
      keySeconds: 3_600,
    }),
    accepts: ({ authorization = "" }, admin) => admin?.isGood(authorization.replace(/^Bearer /, "")) === true,
  },
];

export const serviceAccountCase = cases.at(-1) as IssuerCase;

export async function openIssuerWorld({ makesKeys, config, accepts }: IssuerCase): Promise<IssuerWorld> {
  const clock = createTestClock();
  const admin = makesKeys ? await createFakeOpenAiAdmin({ ...serviceAccount, clock: clock.now }) : null;
  const logged: string[] = [];
  const { log } = createLog({ level: "trace", write: (line) => void logged.push(line) });
  const model = createServer((incoming, outgoing) => {
    outgoing.writeHead(accepts(incoming.headers, admin) ? 200 : 401).end();
  });
  model.listen(0, "127.0.0.1");
  await once(model, "listening");
  const { port } = model.address() as AddressInfo;
  const deps = { clock, log, wait: clock.wait };
  return {
    clock,
    log,
    logged,
    admin,
    newIssuer: () => createIssuer(config(admin?.url ?? ""), deps),
    async works(headers) {
      const { status } = await fetch(`http://127.0.0.1:${port}/v1/responses`, { method: "POST", headers });
      return status === 200;
    },
    async close() {
      const closed = once(model, "close");
      model.close();
      model.closeAllConnections();
      await Promise.all([closed, admin?.close()]);
      if (logged.join("").includes(adminKey)) {
        throw new Error("the log shows the Admin key");
      }
    },
  };
}
