import type { EC2Client } from "@aws-sdk/client-ec2";
import type { Budgets, Ceiling, Channels, Ec2Config, FleetSettings, Ids, Provider, SourceLayout } from "@mayfly/core";
import { buildService, type Service, type ServiceDeps } from "../../apps/orchestrator/src/app.ts";
import { createEc2Client } from "../../apps/orchestrator/src/fleet/providers/ec2/ec2-client.ts";
import { createEc2Provider } from "../../apps/orchestrator/src/fleet/providers/ec2/ec2-provider.ts";
import type { WakeupQueue } from "../../apps/orchestrator/src/runs/wakeups.ts";
import type { SourceKeeper } from "../../apps/orchestrator/src/source/sources.ts";
import { connectForCommands, type RedisAddress, waitUntilReady } from "../../apps/orchestrator/src/store/connection.ts";
import type { Chance } from "../fakes/ec2/chance.ts";
import type { Ec2Fake } from "../fakes/ec2/server.ts";
import type { Bend } from "./bends.ts";
import { askDispatch, createStormBroker, type StormBroker } from "./broker.ts";
import type { StormGitHub } from "./github.ts";
import { createLife, type Life } from "./life.ts";
import type { VirtualTime } from "./time.ts";
import type { Log, Redis } from "./types.ts";
import { createStormQueue, type QueueCounts } from "./wakeups.ts";

const REDIS_MS = 10_000;
/** Wake-ups that nobody hears. */
const LOST_WAKEUPS = 0.01;

const free = { requests: null, inputTokens: null, outputTokens: null, microUsd: null };
const budgets: Budgets = { attempt: free, run: free, repository_day: free, installation_day: free };
const policy: Ceiling = {
  labels: [],
  repositories: [],
  models: [],
  safetyStrategies: [],
  publications: [],
  runMsMax: 0,
  setupHosts: [],
};
const layout: SourceLayout = {
  head: "0".repeat(40),
  base: null,
  merge_base: null,
  shallow: [],
  pack_bytes: 0,
  pack_sha256: "0".repeat(64),
};

const sources: SourceKeeper = {
  ensurePacked: async () => layout,
  openPack: () => Promise.reject(new Error("there is no pack in a storm")),
  ensureDropped: async () => undefined,
  ensureRepositoryRemoved: async () => undefined,
};

export interface HostDeps {
  readonly time: VirtualTime;
  readonly chance: Chance;
  readonly ids: Ids;
  readonly log: Log;
  readonly stateDir: string;
  readonly redis: RedisAddress;
  readonly fake: Ec2Fake;
  readonly ec2: Ec2Config;
  readonly github: StormGitHub;
  readonly fleet: FleetSettings;
  readonly counts: QueueCounts;
  readonly bend: Bend | null;
}

/** Service and broker in one life. */
export interface Host {
  readonly life: Life;
  readonly service: Service;
  readonly broker: StormBroker;
  /** Whatever is under way never goes on. */
  end(): void;
}

/** Builds service and broker anew on what Redis and EC2 hold. */
export async function startHost(deps: HostDeps): Promise<Host> {
  const { time, fake, ids, log, bend } = deps;
  const life = createLife(time);
  const clock = { now: time.now };
  const wakeups = createStormQueue({
    time,
    life,
    chance: deps.chance,
    lostRate: LOST_WAKEUPS,
    counts: deps.counts,
  });
  const connect = (address: RedisAddress) => life.hold(connectForCommands(address));
  const { region, url: endpoint, credentials } = fake;
  const client = askingAs(life, createEc2Client({ region, endpoint, credentials }), bend);
  const real = createEc2Provider({ config: deps.ec2, ec2: client, clock, log, pause: life.pause });
  const provider: Provider = bend?.provider?.(real) ?? real;
  const redis = connect(deps.redis);
  await waitUntilReady(redis, REDIS_MS);
  let broker: StormBroker | null = null;
  const channels: Channels = {
    ensureOpen: async (id) => broker?.channels.ensureOpen(id),
    ensureClosed: async (id) => broker?.channels.ensureClosed(id),
  };
  const service = await buildService(serviceDeps(deps, { life, clock, provider, channels, connect, wakeups }));
  const dispatch = askDispatch(service.dispatch);
  broker = createStormBroker({ redis, dispatch: bend?.dispatch?.(dispatch) ?? dispatch, wakeups, clock, ids, log });
  return {
    life,
    service,
    broker,
    end() {
      life.end();
      client.destroy();
      // It waits for what is under way, and nothing that was goes on: its connections are cut already.
      void service.close();
    },
  };
}

interface OwnParts extends Pick<ServiceDeps, "clock" | "provider" | "channels"> {
  readonly life: Life;
  readonly connect: (address: RedisAddress) => Redis;
  readonly wakeups: WakeupQueue;
}

function serviceDeps(deps: HostDeps, own: OwnParts): ServiceDeps {
  const { ids, log } = deps;
  const { clock, provider, channels } = own;
  return {
    clock,
    ids,
    log,
    provider,
    channels,
    stateDir: deps.stateDir,
    sharedDir: deps.stateDir,
    redis: deps.redis,
    confine: () => {
      throw new Error("nothing is confined in a storm");
    },
    removeConfined: async () => undefined,
    modelDefault: "example-model",
    budgets,
    prices: { asOf: null, rows: [] },
    github: deps.github.appFor(own.life),
    githubHost: "example.com",
    gitUrl: () => "https://example.com/",
    webhookSecrets: [],
    checksTasks: false,
    looksForDeliveries: false,
    isOneOfMany: false,
    findSecrets: async () => [],
    signReceipt: null,
    policy,
    fleet: deps.bend?.fleet?.(deps.fleet) ?? deps.fleet,
    launchFailuresMax: null,
    simulated: { connect: own.connect, wakeups: own.wakeups, sources },
  };
}

/** The real client, whose answers come to this life alone. */
function askingAs(life: Life, client: EC2Client, bend: Bend | null): EC2Client {
  const send = client.send.bind(client) as (command: { input: object }, ...rest: unknown[]) => Promise<unknown>;
  const ask = (command: { input: object }, ...rest: unknown[]) => {
    bend?.command?.(command);
    return life.ask(() => send(command, ...rest));
  };
  client.send = ask as typeof client.send;
  return client;
}
