import type { createLog } from "../../apps/orchestrator/src/host/log.ts";
import type { connectForCommands } from "../../apps/orchestrator/src/store/connection.ts";

/** A connection as the service makes it. */
export type Redis = ReturnType<typeof connectForCommands>;

/** The service's log. */
export type Log = ReturnType<typeof createLog>["log"];
