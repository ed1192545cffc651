import {
  Assignment,
  type Channels,
  type Clock,
  type Ids,
  type MachineId,
  type RunId,
  type Wakeups,
} from "@mayfly/core";
import type { Service } from "../../apps/orchestrator/src/app.ts";
import { createAuthorise } from "../../apps/orchestrator/src/broker/authorise.ts";
import { buildChannel } from "../../apps/orchestrator/src/broker/channels.ts";
import type { ModelGateway } from "../../apps/orchestrator/src/broker/model-gateway.ts";
import type { Dispatch } from "../../apps/orchestrator/src/runs/dispatch.ts";
import { createRecords } from "../../apps/orchestrator/src/runs/records.ts";
import { createStores } from "../../apps/orchestrator/src/store/stores.ts";
import type { Log, Redis } from "./types.ts";

/** What a machine gets for a call. */
export interface BrokerAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface BrokerCall {
  readonly url: string;
  readonly body: object;
  readonly capability?: string;
}

/** The broker's answers to machines: its own routes on its own records, without sockets. */
export interface StormBroker {
  readonly channels: Channels;
  /** Null where the machine has no channel. */
  ask(machine: MachineId, call: BrokerCall): Promise<BrokerAnswer | null>;
}

/** No machine of a storm calls the model. */
const gateway: ModelGateway = {
  open: () => {
    throw new Error("there is no model in a storm");
  },
  forward: () => Promise.reject(new Error("there is no model in a storm")),
  cut: () => undefined,
  machines: () => [],
};

export function createStormBroker(deps: {
  redis: Redis;
  dispatch: Dispatch;
  wakeups: Wakeups;
  clock: Clock;
  ids: Ids;
  log: Log;
}): StormBroker {
  const { redis, clock } = deps;
  const { store, results } = createStores({ redis, clock });
  const shared = {
    ...deps,
    results,
    records: createRecords({ store, clock }),
    authorise: createAuthorise({ store, clock }),
  };
  const open = new Map<MachineId, ReturnType<typeof buildChannel>>();

  function serve(machine: MachineId): ReturnType<typeof buildChannel> {
    return buildChannel(machine, {
      ...shared,
      gateway,
      tunnels: {
        connect: () => Promise.reject(new Error("there is no set-up in a storm")),
        cut: async () => undefined,
        machines: () => [],
      },
      sources: { openPack: (_run: RunId) => Promise.reject(new Error("there is no pack in a storm")) },
      folderOf: null,
      // It asks again by itself, in its own time.
      claimMs: 0,
      onModelDone: () => undefined,
    });
  }

  return {
    channels: {
      async ensureOpen(machine) {
        open.set(machine, open.get(machine) ?? serve(machine));
      },
      async ensureClosed(machine) {
        open.delete(machine);
      },
    },
    async ask(machine, { url, body, capability }) {
      const app = open.get(machine);
      if (app === undefined) {
        return null;
      }
      const headers = capability === undefined ? {} : { authorization: `Bearer ${capability}` };
      const { statusCode, body: text } = await app.inject({ method: "POST", url, payload: body, headers });
      return { status: statusCode, body: text === "" ? null : JSON.parse(text) };
    },
  };
}

/** The service's dispatch, asked as the broker asks it, without a socket. */
export function askDispatch(server: Service["dispatch"]): Dispatch {
  return {
    async claim(machine) {
      const { statusCode, body } = await server.inject({ method: "POST", url: "/claim", payload: { machine } });
      if (statusCode !== 200) {
        throw new Error(`the dispatch answered ${statusCode}`);
      }
      const { assignment } = JSON.parse(body) as { assignment: unknown };
      return Assignment.nullable().parse(assignment);
    },
  };
}
