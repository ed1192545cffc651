import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { limits, type ModelRequestPolicy } from "@mayfly/core";

/** The two ways in which the CLI offers tools; the model's name decides. */
export const models = ["gpt-5.5", "gpt-6.1-sol"] as const;

export interface RequestName {
  readonly model: string;
  readonly turn: number;
}

/** Every recorded request. */
export const requestNames: readonly RequestName[] = models.flatMap((model) => [1, 2].map((turn) => ({ model, turn })));

const folder = new URL("../../fixtures/codex-requests/", import.meta.url);

/** A body as the CLI sent it. */
export function readRequest({ model, turn }: RequestName): Promise<string> {
  return readFile(new URL(`${model}-turn-${turn}.json`, folder), "utf8");
}

/** Where it is written what is to be made of that body. */
export function rebuiltPath({ model, turn }: RequestName): string {
  return fileURLToPath(new URL(`rebuilt/${model}-turn-${turn}.golden`, folder));
}

export function policyFor(model: string): ModelRequestPolicy {
  return {
    model,
    cacheKey: "attempt-cache-key",
    outputTokensMax: 32_000,
    inputCharsMax: limits.modelRequestBytesMax,
  };
}
