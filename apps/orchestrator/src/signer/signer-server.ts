import { AppError } from "@mayfly/core";
import { fastify, type FastifyInstance } from "fastify";
import type { Logger } from "pino";
import type { z } from "zod";
import { faultBody } from "../host/socket-client.ts";
import { statusOf } from "./github-faults.ts";
import type { Signer } from "./signer.ts";
import { bodies, type SignerAnswer } from "./signer-wire.ts";

/** A receipt at its largest, escaped once more; everything else takes a few hundred bytes. */
const RECEIPT_BYTES_MAX = 8 * 1024 * 1024;
const BODY_BYTES_MAX = 16 * 1024;

/** The signer as each session sees it. */
export interface SessionSigners {
  forSession(session: string): Signer;
}

/**
 * The signer's one listener, for a unix socket that only the service can reach. Takes the calls of `bodies` and no other.
 * GitHub's refusals are answers; what is on no list is INPUT_INVALID or NOT_FOUND.
 */
export function buildSignerServer(signer: SessionSigners, log: Logger): FastifyInstance {
  const app = fastify({ forceCloseConnections: true, bodyLimit: BODY_BYTES_MAX });
  app.setErrorHandler((error, _request, reply) => {
    const fault = inOurWords(error);
    if (!(fault instanceof AppError)) {
      log.error({ err: fault }, "the signer failed");
    }
    const { status, body } = faultBody(fault);
    return reply.code(status).send(body);
  });
  app.setNotFoundHandler(() => {
    throw new AppError("NOT_FOUND", "the signer does not do this");
  });

  function serve<Body extends { session: string }, T>(
    path: string,
    schema: z.ZodType<Body>,
    answer: (mine: Signer, body: Body) => Promise<T>,
    bodyLimit = BODY_BYTES_MAX,
  ): void {
    app.post(path, { bodyLimit }, async (request): Promise<SignerAnswer<T>> => {
      const read = schema.safeParse(request.body);
      if (!read.success) {
        throw new AppError("INPUT_INVALID", "the signer does not do this");
      }
      return orRefused(answer(signer.forSession(read.data.session), read.data));
    });
  }

  serve("/mint", bodies.mint, (mine, { purpose, installation, repository, owner }) =>
    mine.mint({ purpose, installation, repository, owner }),
  );
  serve("/revoke", bodies.revoke, async (mine, { token }) => {
    await mine.revoke(token);
    return null;
  });
  serve("/as-app", bodies.asApp, (mine, { route, parameters }) =>
    // The signer itself holds them to the route's schema.
    mine.asApp(route, parameters as never),
  );
  serve("/sign-receipt", bodies.signReceipt, (mine, { receipt }) => mine.signReceipt(receipt), RECEIPT_BYTES_MAX);
  serve("/public-keys", bodies.publicKeys, (mine) => mine.publicKeys());
  return app;
}

async function orRefused<T>(asked: Promise<T>): Promise<SignerAnswer<T>> {
  try {
    return { answer: await asked };
  } catch (error) {
    if (error instanceof AppError && (error.code === "GITHUB_UNAVAILABLE" || error.code === "GITHUB_REFUSED")) {
      return { refused: { code: error.code, status: statusOf(error.cause), message: error.message } };
    }
    throw error;
  }
}

/** What the framework refuses (not JSON, too long) is a mistake of the asker's too. */
function inOurWords(error: unknown): unknown {
  const status = statusOf(error) ?? (error as { statusCode?: number }).statusCode ?? 500;
  return error instanceof AppError || status >= 500
    ? error
    : new AppError("INPUT_INVALID", "the signer does not do this");
}
