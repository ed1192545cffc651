/**
 * KMS as far as signing with an asymmetric key goes: GetPublicKey and Sign, by the SDK's own schemas. What a call carries
 * is checked as the service would: signature, members, rights, the key's account, region, state and usage.
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import * as sdk from "@aws-sdk/client-kms";
import { createChance } from "../ec2/chance.ts";
import { Ec2Refusal } from "../ec2/refusal.ts";
import { checkSignature, type Credentials } from "../ec2/signature.ts";
import { type FakeKey, KmsRefusal, makeKey, type NewKey, publicHalf, signed } from "./keys.ts";

const BODY_CHARS_MAX = 64 * 1024;
const JSON_TYPE = "application/x-amz-json-1.1";

interface KmsCall {
  /** Empty where the call does not say. */
  readonly action: string;
  /** KMS's name for its no; null for an answer. */
  readonly code: string | null;
}

export interface KmsFake {
  readonly url: string;
  readonly region: string;
  readonly credentials: Credentials;
  readonly calls: readonly KmsCall[];
  /** A key of this account, or of another one that gives nobody here a right. */
  readonly addKey: (key?: NewKey & { account?: string }) => string;
  readonly setState: (arn: string, state: FakeKey["state"]) => void;
  /** What these credentials may call. */
  readonly allow: (...actions: string[]) => void;
  /** The next calls are answered so, or not at all where it says "lost". */
  readonly failNext: (...codes: ("ThrottlingException" | "KMSInternalException" | "lost")[]) => void;
  /** From now on so many calls of one are throttled, by the seed. */
  readonly throttle: (rate: number) => void;
  readonly close: () => Promise<void>;
}

/** Starts it on a free port of this host. */
export async function startKmsFake({ seed = 1 }: { seed?: number } = {}): Promise<KmsFake> {
  const region = "eu-central-1";
  const account = "111122223333";
  const credentials = {
    accessKeyId: "AKIAEXAMPLEEXAMPLE00",
    secretAccessKey: "example/secret/of/the/stand-in/for/kms00",
  };
  const keys = new Map<string, FakeKey>();
  const calls: KmsCall[] = [];
  const faults: string[] = [];
  const chance = createChance(seed);
  let allowed = new Set(["GetPublicKey", "Sign"]);
  let throttled = 0;

  function answerTo(request: IncomingMessage, body: string, action: string): Record<string, unknown> | null {
    const { method = "", url: target = "", headers } = request;
    if (method !== "POST" || target !== "/" || headers["content-type"] !== JSON_TYPE) {
      throw new KmsRefusal("UnknownOperationException", "The stand-in takes JSON 1.1 by POST at /.");
    }
    const place = { region, service: "kms", credentials: [credentials], now: Date.now() };
    checkSignature({ method, target, headers, body }, place);
    const fault = faults.shift() ?? (chance.happens(throttled) ? "ThrottlingException" : null);
    if (fault === "lost") {
      return null;
    }
    if (fault !== null) {
      throw new KmsRefusal(fault, "Not now.", fault === "KMSInternalException" ? 500 : 400);
    }
    const input = readInput(action, body);
    const key = findKey(String(input["KeyId"]), action);
    return action === "GetPublicKey" ? publicHalf(key) : signed(key, signCall(input));
  }

  function findKey(arn: string, action: string): FakeKey {
    const [, , service, keyRegion, owner] = arn.split(":");
    if (service !== "kms" || keyRegion !== region) {
      throw new KmsRefusal("NotFoundException", `Invalid arn ${keyRegion ?? ""}`);
    }
    if (owner !== account || !allowed.has(action)) {
      throw new KmsRefusal("AccessDeniedException", `User is not authorized to perform: kms:${action}`);
    }
    const key = keys.get(arn);
    if (key === undefined) {
      throw new KmsRefusal("NotFoundException", `Key '${arn}' does not exist`);
    }
    return key;
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const action = /^TrentService\.([A-Za-z]{1,50})$/.exec(String(request.headers["x-amz-target"] ?? ""))?.[1] ?? "";
    const body = await readText(request);
    try {
      const answer = answerTo(request, body, action);
      calls.push({ action, code: answer === null ? "lost" : null });
      if (answer === null) {
        response.destroy();
      } else {
        send(response, 200, answer);
      }
    } catch (error) {
      const refusal = inKmsWords(error);
      calls.push({ action, code: refusal.code });
      send(response, refusal.status, { __type: refusal.code, message: refusal.message });
    }
  }

  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region,
    credentials,
    calls,
    addKey({ account: owner = account, ...key } = {}) {
      const arn = `arn:aws:kms:${region}:${owner}:key/${randomUUID()}`;
      keys.set(arn, makeKey(arn, key));
      return arn;
    },
    setState(arn, state) {
      const key = keys.get(arn);
      if (key === undefined) {
        throw new Error(`there is no key ${arn}`);
      }
      key.state = state;
    },
    allow: (...actions) => void (allowed = new Set(actions)),
    failNext: (...codes) => void faults.push(...codes),
    throttle: (rate) => void (throttled = rate),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The members of a call, held to the SDK's schema: none unknown, none missing, values of an enumeration from it. */
function readInput(action: string, body: string): Record<string, unknown> {
  const schema = { GetPublicKey: sdk.GetPublicKeyRequest$, Sign: sdk.SignRequest$ }[action] as unknown as
    | readonly unknown[]
    | undefined;
  if (schema === undefined) {
    throw new KmsRefusal("UnknownOperationException", `There is no operation ${action}.`);
  }
  const input = parse(body);
  const names = schema[4] as readonly string[];
  const required = names.slice(0, Number(schema[6] ?? 0));
  const unknown = Object.keys(input).find((name) => !names.includes(name));
  const missing = required.find((name) => typeof input[name] !== "string" || input[name] === "");
  if (unknown !== undefined || missing !== undefined) {
    throw new KmsRefusal("ValidationException", `${unknown ?? missing ?? ""} is not a member, or has no value`);
  }
  for (const [name, known] of [
    ["SigningAlgorithm", sdk.SigningAlgorithmSpec],
    ["MessageType", sdk.MessageType],
  ] as const) {
    const value = input[name];
    if (value !== undefined && !Object.values<unknown>(known).includes(value)) {
      throw new KmsRefusal("ValidationException", `${name} failed to satisfy constraint`);
    }
  }
  return input;
}

function signCall(input: Record<string, unknown>): { message: Buffer; type: string; algorithm: string } {
  const { Message, MessageType = "RAW", SigningAlgorithm } = input;
  return {
    message: Buffer.from(String(Message), "base64"),
    type: String(MessageType),
    algorithm: String(SigningAlgorithm),
  };
}

function parse(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Said below.
  }
  throw new KmsRefusal("SerializationException", "The body is no JSON object.");
}

/** What the check of signatures says, in the words of a JSON service. */
function inKmsWords(error: unknown): KmsRefusal {
  if (error instanceof KmsRefusal) {
    return error;
  }
  if (error instanceof Ec2Refusal) {
    const code = error.code === "AuthFailure" ? "UnrecognizedClientException" : "InvalidSignatureException";
    return new KmsRefusal(code, error.message, 400);
  }
  return new KmsRefusal("KMSInternalException", String(error), 500);
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": JSON_TYPE, "x-amzn-requestid": randomUUID() }).end(JSON.stringify(body));
}

async function readText(request: IncomingMessage): Promise<string> {
  let text = "";
  try {
    for await (const chunk of request.setEncoding("utf8") as AsyncIterable<string>) {
      text = text.length > BODY_CHARS_MAX ? text : text + chunk;
    }
  } catch {
    // The client left while sending: the answer goes nowhere.
  }
  return text;
}
