import type { Socket } from "node:net";
import {
  type Clock,
  EnrolRequest,
  isAppError,
  judgeEnrolled,
  type Machine,
  type MachineId,
  type Wakeups,
} from "@mayfly/core";
import { fastify, type FastifyError, type FastifyInstance } from "fastify";
import type { Logger } from "pino";
import type { Records } from "../../runs/records.ts";
import { answer, readFramesStrictly, refusalOf } from "../frames.ts";
import { entryRefused, Refusal, type RefusalCode } from "../refusal.ts";
import type { Authority } from "./authority.ts";
import { digestOfKey, readMachineKey } from "./machine-key.ts";

/** A key in JSON, with room to spare. */
const BODY_BYTES_MAX = 4 * 1024;
/** The agent sends five short headers. */
const HEADER_BYTES_MAX = 4 * 1024;

/**
 * The one running machine of this fleet that the provider's own listing shows at this address; null when there is none
 * or more than one. Asked of the provider now: an address that a dead machine had may be another's by now.
 */
export type MachineAt = (address: string) => Promise<MachineId | null>;

export interface GuestDeps {
  readonly authority: Authority;
  readonly machineAt: MachineAt;
  readonly records: Pick<Records, "applyToMachine">;
  readonly wakeups: Pick<Wakeups, "wakeMachine">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly count: (code: RefusalCode) => void;
}

/** Who has come without a certificate, or with one that is not good. */
export interface Guest {
  readonly address: string;
  /** What it is told whatever it asks; null if it may enrol. */
  readonly refusal: Refusal | null;
}

/** Serves those who are no machine of ours, or not yet: one request for each connection, and that one is to enrol. */
export interface GuestApp {
  serve(socket: Socket, guest: Guest): void;
  close(): Promise<void>;
}

export async function openGuestApp(deps: GuestDeps): Promise<GuestApp> {
  const guests = new WeakMap<Socket, Guest>();
  const app = buildApp(deps, (socket) => {
    const guest = guests.get(socket);
    if (guest === undefined) {
      throw new Refusal("NOT_SERVED");
    }
    return guest;
  });
  await app.ready();
  return {
    serve(socket, guest) {
      guests.set(socket, guest);
      app.server.emit("connection", socket);
    },
    close: () => app.close(),
  };
}

function buildApp(deps: GuestDeps, guestOn: (socket: Socket) => Guest): FastifyInstance {
  const { log, count } = deps;
  const app = fastify({ bodyLimit: BODY_BYTES_MAX, http: { maxHeaderSize: HEADER_BYTES_MAX } });
  app.server.maxRequestsPerSocket = 1;
  app.addHook("onRequest", async (request, reply) => {
    void reply.header("connection", "close");
    const { refusal } = guestOn(request.raw.socket);
    if (refusal !== null) {
      throw refusal;
    }
    if (request.headers["transfer-encoding"] !== undefined) {
      throw new Refusal("LENGTH_REQUIRED");
    }
  });
  readFramesStrictly(app);
  app.setNotFoundHandler((_request, reply) => {
    count("NOT_SERVED");
    return answer(reply, new Refusal("NOT_SERVED"));
  });
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const refusal = refusalOf(error);
    count(refusal.code);
    const { address } = guestOn(request.raw.socket);
    if (refusal.code === "UNAVAILABLE") {
      log.warn({ address, err: error }, "the broker could not see whether to let a machine in");
    } else {
      // Not the error itself, which may repeat what was sent.
      log.info({ address, code: refusal.code }, "the broker did not let a machine in");
    }
    return answer(reply, refusal);
  });
  app.post("/v1/enrol", (request) => enrol(deps, guestOn(request.raw.socket).address, request.body));
  return app;
}

/** Enrols the key for the machine at that address, or the same key again. Throws Refusal. */
async function enrol(deps: GuestDeps, address: string, body: unknown): Promise<{ certificate: string }> {
  const { authority, machineAt, clock, log } = deps;
  const asked = EnrolRequest.safeParse(body);
  const spki = asked.success ? readMachineKey(asked.data.key) : null;
  if (spki === null) {
    throw new Refusal("BODY_INVALID");
  }
  const id = await machineAt(address);
  if (id === null) {
    throw entryRefused("ADDRESS_UNKNOWN");
  }
  const key = digestOfKey(spki);
  const machine = await record(deps, id, { key, address });
  const judgement = judgeEnrolled(machine, { key, address }, clock.now());
  if (judgement === "MACHINE_ENDED") {
    // Of whoever had the address before, perhaps: a listing lags, and without a certificate nobody has said who speaks.
    throw entryRefused("ADDRESS_UNKNOWN");
  }
  if (judgement !== "good") {
    throw entryRefused(judgement);
  }
  log.info({ machine: id, address }, "a machine is enrolled");
  return { certificate: authority.issue({ machine: id, key: spki, from: machine.createdAt, until: machine.deadline }) };
}

async function record(deps: GuestDeps, id: MachineId, shown: { key: Machine["image"]; address: string }) {
  const { records, wakeups, log } = deps;
  try {
    const { machine, changed } = await records.applyToMachine(id, { type: "enrol", ...shown });
    if (machine.phase === "destroying" && machine.why === "enrolled_twice") {
      if (changed) {
        log.warn({ machine: id, address: shown.address }, "a second key was shown for a machine: it is destroyed");
      }
      // Each time: a wake-up may be lost, and it costs nothing.
      await wakeups.wakeMachine(id);
      throw entryRefused("ENROLLED_TWICE");
    }
    return machine;
  } catch (error) {
    // The listing knows it before its record is written; what is never recorded is destroyed.
    throw isAppError(error, "NOT_FOUND") ? entryRefused("ADDRESS_UNKNOWN") : error;
  }
}
