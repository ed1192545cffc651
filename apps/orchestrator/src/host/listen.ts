import { chmod, rm } from "node:fs/promises";
import type { FastifyInstance } from "fastify";

/** Who may speak on a socket of ours: our own uid, our group as well, or whoever its folder lets in. */
const modes = { "own uid": 0o600, group: 0o660, "who comes in": 0o666 } as const;

/** Listens on a unix socket in place of whatever lay there. */
export async function listenOnSocket(app: FastifyInstance, path: string, whom: keyof typeof modes): Promise<void> {
  await rm(path, { force: true });
  await app.listen({ path });
  await chmod(path, modes[whom]);
}
