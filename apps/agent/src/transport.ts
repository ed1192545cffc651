import { Agent } from "node:http";
import type { AgentOptions } from "node:http";

/** Makes what connections to the broker are taken from. */
export type Transport = (options: AgentOptions) => Agent;

/** Plain HTTP: for a link that ends at a socket which is this machine's alone. */
export function plainTransport(options: AgentOptions): Agent {
  return new Agent(options);
}
