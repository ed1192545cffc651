import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tellEffort } from "./effort.ts";
import { EVENT_PAUSE_MS, EVENTS, eventText, lastEventText } from "./traffic.ts";

/** The stand-in for the model, in a process of its own: every call is answered with the same paced stream. */
const server = createServer((incoming, outgoing) => {
  incoming.resume();
  incoming.once("end", () => answer(outgoing));
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
tellEffort();
process.on("disconnect", () => process.exit());
process.send?.({ port: (server.address() as AddressInfo).port });

function answer(outgoing: ServerResponse): void {
  outgoing.writeHead(200, { "content-type": "text/event-stream" });
  let number = 0;
  const timer = setInterval(write, EVENT_PAUSE_MS);
  outgoing.once("close", () => clearInterval(timer));
  write();

  function write(): void {
    if (number < EVENTS) {
      outgoing.write(eventText(number));
      number += 1;
    } else {
      clearInterval(timer);
      outgoing.end(lastEventText);
    }
  }
}
