import { createHash } from "node:crypto";
import { Agent } from "node:http";
import { connect, createSecureContext } from "node:tls";
import type { SecureContext, TLSSocket } from "node:tls";
import type { BrokerAddress, Brokers } from "@mayfly/core/enrolment";
import { ChannelError } from "./channel-error.ts";
import type { Transport } from "./transport.ts";

/** What this machine is known by. The key is in this process's memory and nowhere else. */
interface Identity {
  /** PEM. */
  readonly key: string;
  /** PEM. */
  readonly certificate: string;
}

interface PinnedOptions {
  /** The preferred first. */
  readonly brokers: Brokers;
  readonly pins: readonly string[];
  /** Null before enrolment. */
  readonly identity: Identity | null;
}

// Three packets each way; a broker that takes longer is away.
const HANDSHAKE_MS = 10_000;

/**
 * TLS 1.3 to the broker whose public key is one of the pins. Nothing else in its certificate counts, and no authority
 * does. Not a byte of a request is sent before the key has been checked. A connection to another key fails with a
 * ChannelError that is final: no other address is tried then. Where an address is silent or refuses the connection the
 * next one is tried, each once; the one that answered last comes first the next time.
 */
export function pinnedTransport({ brokers, pins, identity }: PinnedOptions): Transport {
  const context = createSecureContext({
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    // None, rather than those that Node brings.
    ca: [],
    ...(identity === null ? {} : { key: identity.key, cert: identity.certificate }),
  });
  let last = 0;

  async function connectAny(): Promise<TLSSocket> {
    const order = brokers.map((_broker, index) => (last + index) % brokers.length);
    let silence: unknown;
    for (const index of order) {
      try {
        const socket = await connectPinned(brokers[index] ?? brokers[0], pins, context);
        last = index;
        return socket;
      } catch (error) {
        if (error instanceof ChannelError) {
          throw error;
        }
        silence = error;
      }
    }
    throw silence;
  }

  return (options) => {
    const agent = new Agent(options);
    agent.createConnection = (_options, done) => {
      void give(connectAny(), done as Done | undefined);
      return undefined;
    };
    return agent;
  };
}

/** What Node takes, which its types do not tell: an error comes without a socket. */
type Done = (error: unknown, socket?: TLSSocket) => void;

async function give(connecting: Promise<TLSSocket>, done: Done | undefined): Promise<void> {
  const [end] = await Promise.allSettled([connecting]);
  if (end.status === "fulfilled") {
    done?.(null, end.value);
  } else {
    done?.(end.reason);
  }
}

async function connectPinned(
  broker: BrokerAddress,
  pins: readonly string[],
  secureContext: SecureContext,
): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  // The check is made below, before the socket is given to anybody.
  const socket = connect({ ...broker, secureContext, rejectUnauthorized: false });
  const late = setTimeout(() => socket.destroy(new Error("no handshake with the broker")), HANDSHAKE_MS);
  socket.once("error", reject);
  socket.once("close", () => reject(new Error("the broker closed the connection")));
  socket.once("secureConnect", () => resolve(socket));
  try {
    await promise;
    if (!pins.includes(pinOf(socket))) {
      throw new ChannelError("refused", "the broker's key is none of those that this image pins");
    }
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(late);
  }
  socket.setNoDelay(true);
  return socket;
}

/** Empty for a server without a key of its own, which is no pin. */
function pinOf(socket: TLSSocket): string {
  const key = socket.getPeerX509Certificate()?.publicKey.export({ type: "spki", format: "der" });
  return key === undefined ? "" : createHash("sha256").update(key).digest("base64url");
}
