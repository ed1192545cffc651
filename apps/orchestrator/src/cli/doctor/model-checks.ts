import { type Config, type IssuerConfig, limits, Secret } from "@mayfly/core";
import { z } from "zod";
import { fixedKeyOf } from "../../broker/issuers/create-issuer.ts";
import { headersOf } from "../../broker/issuers/fixed-key.ts";
import { assertAdminAnswers } from "../../broker/issuers/openai-service-account.ts";
import { readJsonBytes } from "../../broker/json-bytes.ts";
import { systemClock } from "../../host/clock.ts";
import { type Checklist, fail, type Finding, ok, warn } from "./checklist.ts";

/** A list of a thousand models is smaller. */
const ANSWER_BYTES_MAX = 1024 * 1024;
const ANSWER_BOUNDS = { charsMax: ANSWER_BYTES_MAX, depthMax: 16, valuesMax: 50_000 } as const;
const Models = z.object({ data: z.array(z.object({ id: z.string().max(200) })) });
const ENDPOINT = "model endpoint";
const ADMIN_FIX = "see model.admin_key, model.admin_url and model.project: docs/guides/model-credentials.md";
const KEY_FIX = "set OPENAI_API_KEY, or another issuer in model.issuer: docs/guides/model-credentials.md";

/** The model's credential and endpoint. Asks which models there are and nothing else: nothing is spent, no key is made. */
export async function lookAtModel(list: Checklist, { roles, model }: Config): Promise<void> {
  if (!roles.includes("broker")) {
    list.skip(["model credential", ENDPOINT], "this host has not the role broker");
    return;
  }
  const { issuer, url } = model;
  for (const secret of Object.values(issuer ?? {})) {
    if (secret instanceof Secret) {
      list.hide(secret.reveal());
    }
  }
  await list.check("model credential", ADMIN_FIX, () => credentialFinding(issuer));
  if (issuer === null) {
    list.skip([ENDPOINT], "no model key is set");
    return;
  }
  const fix = "see that model.url (OPENAI_BASE_URL) is right and that this host reaches it";
  // A credential of another kind than the endpoint's own is not shown to it.
  const headers = issuer.kind === "openai-service-account" ? null : headersOf(fixedKeyOf(issuer));
  await list.check(ENDPOINT, fix, () => endpointFinding({ url, headers, model: model.default }));
}

async function credentialFinding(issuer: IssuerConfig | null): Promise<Finding> {
  if (issuer === null) {
    return fail("no model key is set", KEY_FIX);
  }
  if (issuer.kind === "openai-service-account") {
    await assertAdminAnswers(issuer, systemClock);
    return ok(`openai-service-account: the Admin API lists the keys of ${issuer.project}`);
  }
  return ok(issuer.key === null ? `${issuer.kind}, without a key` : `${issuer.kind}, with a key`);
}

/** @param asked.headers Null where there is no credential to show: then a refusal is what shows that it is there. */
async function endpointFinding(asked: {
  url: string;
  headers: Record<string, string> | null;
  model: string;
}): Promise<Finding> {
  const { url, headers, model } = asked;
  const response = await fetch(`${url}/models`, {
    // A key is shown to nobody else.
    redirect: "manual",
    signal: AbortSignal.timeout(limits.doctorCheckMs),
    headers: { accept: "application/json", "user-agent": "mayfly", ...headers },
  });
  const { status } = response;
  const isRefusal = status === 401 || status === 403;
  if (isRefusal && headers === null) {
    await response.body?.cancel();
    return ok(`${url} answers; keys are made when a run begins`);
  }
  if (status === 401) {
    await response.body?.cancel();
    return fail(`${url} refuses the key (401)`, KEY_FIX);
  }
  if (status === 403) {
    await response.body?.cancel();
    return warn(
      `${url} answers, and lets this key list no models (403)`,
      "nothing, if the key is limited to model calls on purpose; else give it the right to list models",
    );
  }
  if (response.ok) {
    return listFinding(url, model, await readBytes(response));
  }
  await response.body?.cancel();
  return status < 500 && status !== 429
    ? warn(
        `${url} answers, and lists no models (${status})`,
        "see that model.url (OPENAI_BASE_URL) ends before /responses; an endpoint without a list of models may be right all the same",
      )
    : fail(`${url} answers with ${status}`, "wait, or look at the status page of whoever runs the endpoint");
}

function listFinding(url: string, model: string, bytes: Uint8Array | null): Finding {
  const read = Models.safeParse(bytes === null ? undefined : readJsonBytes(bytes, ANSWER_BOUNDS));
  if (!read.success) {
    return warn(
      `${url} answers, with something else than a list of models`,
      "see that model.url (OPENAI_BASE_URL) ends before /responses",
    );
  }
  const { data } = read.data;
  return data.some(({ id }) => id === model)
    ? ok(`${url} answers and has ${model}`)
    : warn(
        `${url} answers, and ${model} is not among its ${data.length} models`,
        "name one that it has in model.default (MAYFLY_MODEL)",
      );
}

/** Null for more than any list has. */
async function readBytes(response: Response): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > ANSWER_BYTES_MAX) {
      return null;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
