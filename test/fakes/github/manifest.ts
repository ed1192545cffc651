/** The manifest flow: a form creates the App, a redirect carries a one-use code, the code converts to its secrets. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { fieldIn, GitHubRefusal, readBody, stringIn } from "./http.ts";
import type { Reply } from "./http.ts";
import { withMetadata } from "./shapes.ts";
import type { Level, World } from "./world.ts";

/** GitHub's own key size. */
const KEY_BITS = 2048;
const FORM_PATH = /^(?:\/organizations\/[^/]+)?\/settings\/apps\/new$/;

/** Whether the path is where a browser posts a manifest. */
export function isManifestForm(path: string): boolean {
  return FORM_PATH.test(path);
}

/**
 * Takes the form as if the person had pressed "Create GitHub App": the App of this stand-in becomes the one described,
 * with a new key and webhook secret, and the browser is sent back with the code. Installations stay as they are.
 */
export async function takeManifest(world: World, request: IncomingMessage): Promise<Reply> {
  const url = new URL(request.url ?? "/", world.url);
  const form = new URLSearchParams((await readBody(request)).toString());
  const manifest = parse(form.get("manifest") ?? "");
  const name = stringIn(manifest, "name");
  const home = stringIn(manifest, "url");
  const back = stringIn(manifest, "redirect_url");
  if (name === undefined || home === undefined || back === undefined || !URL.canParse(back)) {
    throw new GitHubRefusal(422, "The manifest needs name, url and redirect_url.");
  }
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: KEY_BITS });
  const webhookSecret = randomBytes(20).toString("hex");
  const code = randomBytes(20).toString("hex");
  world.app = {
    ...world.app,
    name,
    publicKey,
    permissions: withMetadata((fieldIn(manifest, "default_permissions") ?? {}) as Record<string, Level>),
    events: (fieldIn(manifest, "default_events") ?? []) as string[],
  };
  world.webhook = { url: stringIn(fieldIn(manifest, "hook_attributes"), "url"), secret: webhookSecret };
  const pem = privateKey.export({ type: "pkcs1", format: "pem" }).toString();
  world.manifestConversions.set(code, { pem, webhookSecret, clientSecret: randomBytes(20).toString("hex") });
  const location = new URL(back);
  location.searchParams.set("code", code);
  const state = url.searchParams.get("state");
  if (state !== null) {
    location.searchParams.set("state", state);
  }
  return { status: 302, headers: { location: location.href } };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new GitHubRefusal(422, "The manifest is not JSON.");
  }
}
