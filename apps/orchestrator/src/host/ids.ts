import { randomBytes } from "node:crypto";
import { formatId, type Ids, type LaunchId, type RunId } from "@mayfly/core";

/** 256 bits: nobody guesses one. */
const SECRET_BYTES = 32;

/** Ids and secrets from the kernel's randomness. */
export const randomIds: Ids = {
  run: (now) => formatId("run", now, randomBytes(10)) as RunId,
  launch: (now) => formatId("lch", now, randomBytes(10)) as LaunchId,
  secret: (prefix) => `${prefix}_${randomBytes(SECRET_BYTES).toString("base64url")}`,
};
