import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { judgeEnrolled, type MachineId, type Store } from "@mayfly/core";
import { entryRefused, Refusal, type RefusalCode } from "../refusal.ts";
import { type DoorBounds, doorBounds } from "./door-bounds.ts";
import type { DoorKeys } from "./door-keys.ts";
import { createFront } from "./front.ts";
import { type Guest, type GuestDeps, openGuestApp } from "./guest-app.ts";
import { createTurnstile } from "./turnstile.ts";

/** Why somebody did not get in: what was answered, or what ended the connection before there could be an answer. */
type DoorRefusal = RefusalCode | "HANDSHAKE_FAILED" | "TOO_MANY_CONNECTIONS";

export interface DoorDeps extends Omit<GuestDeps, "authority" | "count"> {
  readonly keys: DoorKeys;
  readonly store: Pick<Store, "loadMachine">;
  /** Hands a machine's connection to its own channel; false if that has no room for it. */
  readonly take: (machine: MachineId, socket: Socket) => Promise<boolean>;
  readonly bounds?: Partial<DoorBounds>;
}

/** Where machines without a socket of their own come in: one listener for all of them. */
export interface MachineDoor {
  /** Returns the port: the one asked for, or any for 0. */
  listen(at: { host: string; port: number }): Promise<number>;
  /** How many were refused for what, since the start. */
  refused(): Readonly<Partial<Record<DoorRefusal, number>>>;
  /** Ends every connection that came through it. */
  close(): Promise<void>;
}

/**
 * TLS 1.3 with the broker's key. Who shows a certificate of ours, for the key and from the address that were enrolled for
 * a machine that lives, speaks on that machine's channel from then on. Everybody else may enrol, or is told why not. All
 * of it is looked at anew for each connection.
 */
export async function createMachineDoor(deps: DoorDeps): Promise<MachineDoor> {
  const { keys, clock, log } = deps;
  const bounds = { ...doorBounds, ...deps.bounds };
  const guests = createTurnstile(bounds.guests, clock);
  const counts = new Map<DoorRefusal, number>();
  const guestApp = await openGuestApp({ ...deps, authority: keys.authority, count });
  const front = createFront({
    server: keys.server,
    bounds,
    clock,
    log,
    onRefused: count,
    onSecure(socket, address) {
      welcome(socket, address).catch((err: unknown) => {
        log.warn({ err }, "a machine could not be let in");
        socket.destroy();
      });
    },
  });

  async function welcome(socket: TLSSocket, address: string): Promise<void> {
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) {
      receive(socket, { address, refusal: null });
      return;
    }
    const who = await identify(certificate, address);
    if (socket.destroyed) {
      return;
    }
    if (who instanceof Refusal) {
      receive(socket, { address, refusal: who });
      return;
    }
    if (!(await deps.take(who, socket))) {
      turnAway(socket, "TOO_MANY_CONNECTIONS");
      return;
    }
    // Its channel may have been closed since it was looked at, and have been opened again for it.
    const still = await identify(certificate, address);
    if (still instanceof Refusal) {
      turnAway(socket, still.code);
    }
  }

  /** The machine that this is. */
  async function identify(certificate: X509Certificate, address: string): Promise<MachineId | Refusal> {
    const shown = keys.authority.read(certificate, clock.now());
    if (typeof shown === "string") {
      return entryRefused(shown);
    }
    const { machine: id, key } = shown;
    try {
      const machine = (await deps.store.loadMachine(id))?.value ?? null;
      const judgement = judgeEnrolled(machine, { key, address }, clock.now());
      if (judgement === "good") {
        return id;
      }
      log.warn(
        { machine: id, address, code: judgement },
        "a machine's certificate was shown that is not good any more",
      );
      return entryRefused(judgement);
    } catch (err) {
      log.warn({ machine: id, err }, "a machine's record could not be looked at");
      return new Refusal("UNAVAILABLE");
    }
  }

  function receive(socket: TLSSocket, guest: Guest): void {
    const leave = guests.enter(guest.address);
    if (leave === null) {
      turnAway(socket, "TOO_MANY_CONNECTIONS");
      return;
    }
    const late = setTimeout(() => socket.destroy(), bounds.guestMs);
    socket.once("close", () => {
      clearTimeout(late);
      leave();
    });
    guestApp.serve(socket, guest);
  }

  function turnAway(socket: Socket, code: DoorRefusal): void {
    count(code);
    socket.destroy();
  }

  function count(code: DoorRefusal): void {
    counts.set(code, (counts.get(code) ?? 0) + 1);
  }

  return {
    listen: (at) => front.listen(at),
    refused: () => Object.fromEntries(counts),
    async close() {
      await front.close();
      await guestApp.close();
    },
  };
}
