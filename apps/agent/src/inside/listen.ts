// Runs in Codex's network as root, for a moment: opens the relay's socket and hands it to the agent.
import { createServer } from "node:net";

const port = Number(process.argv.at(-1));
const server = createServer();
// Until this process has ended the socket is in both: a connection accepted here would never be answered.
process.once("disconnect", () => server.close());
server.listen({ host: "127.0.0.1", port }, () => process.send?.("listening", server));
