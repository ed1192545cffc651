import { AppError, isAppError } from "@mayfly/core";
import type { BrokerClient } from "./control-client.ts";

/**
 * All brokers of a service as if they were one. Each of them must answer, but one that is gone meanwhile: a broker that
 * cannot say that it is there ends every channel of its own before it is counted as gone. Throws STORE_UNAVAILABLE where
 * one that is there does not answer, for as long as it says that it is.
 *
 * @param deps.present Which there are now. Throws STORE_UNAVAILABLE.
 */
export function createBrokersClient(deps: {
  present: () => Promise<readonly string[]>;
  clientOf: (broker: string) => BrokerClient;
}): BrokerClient {
  const { present, clientOf } = deps;

  async function askAll<T>(ask: (broker: BrokerClient) => Promise<T>): Promise<T[]> {
    const names = await present();
    const answers = names.map(async (name): Promise<T[]> => {
      try {
        return [await ask(clientOf(name))];
      } catch (error) {
        if (!isAppError(error, "SERVICE_NOT_RUNNING")) {
          throw error;
        }
        if (!(await present()).includes(name)) {
          return [];
        }
        // Not as one that is absent: what it has open is open still. Once it has been silent for long enough it is.
        throw new AppError("STORE_UNAVAILABLE", "a broker that is there does not answer", { cause: error });
      }
    });
    return (await Promise.all(answers)).flat();
  }

  return {
    async ready() {
      await askAll((broker) => broker.ready());
    },
    // A machine opens its channel by coming through the door, at whichever broker that is.
    ensureOpen: async () => undefined,
    async ensureClosed(id) {
      await askAll((broker) => broker.ensureClosed(id));
    },
    async findSecrets(texts, run) {
      const found = await askAll((broker) => broker.findSecrets(texts, run));
      if (found.length === 0) {
        throw new AppError("SERVICE_NOT_RUNNING", "there is no broker that knows what must not be published");
      }
      return found.flat();
    },
  };
}
