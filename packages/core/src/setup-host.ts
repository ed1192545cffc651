import { z } from "zod";
import { isHostName } from "./host-name.ts";

/** A host that an operator lets set-up commands reach. */
export interface SetupHost {
  readonly host: string;
  /** Where it is, if the operator says so: any address, inside a company too. Null: as its name says, and only in public. */
  readonly at: { readonly address: string; readonly port: number } | null;
}

/** TLS's own; the port that is asked for is always this one. */
export const SETUP_PORT = 443;

/** Reads `packages.example.com` or `packages.example.com=192.0.2.7` with `:PORT` or without; null for anything else. */
export function parseSetupHost(text: string): SetupHost | null {
  const [host = "", place, ...more] = text.split("=");
  if (!isHostName(host) || more.length > 0) {
    return null;
  }
  if (place === undefined) {
    return { host, at: null };
  }
  const [, address = "", digits] = /^([0-9.]{7,15})(?::([1-9][0-9]{0,4}))?$/.exec(place) ?? [];
  const port = digits === undefined ? SETUP_PORT : Number(digits);
  return z.ipv4().safeParse(address).success && port <= 65_535 ? { host, at: { address, port } } : null;
}
