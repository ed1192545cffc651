import { assertNever } from "./assert.ts";
import { type ConfigSchema, openAiUrl } from "./config-schema.ts";
import { Secret } from "./secret.ts";

/** Where the broker has the model's credential from, with what that takes. */
export type IssuerConfig =
  | { readonly kind: "static"; readonly key: Secret }
  | {
      readonly kind: "openai-service-account";
      readonly adminKey: Secret;
      readonly adminUrl: string;
      readonly project: string;
      readonly serviceAccount: string;
      /** Never empty: OpenAI would take that for all of them. */
      readonly scopes: readonly string[];
      readonly keySeconds: number;
    }
  | {
      readonly kind: "compatible";
      /** Null for an endpoint that asks for none. */
      readonly key: Secret | null;
      readonly header: string;
      readonly prefix: string;
    };

type Model = ConfigSchema["model"];
type Kind = Model["issuer"];
type Name = Exclude<keyof Model, "url" | "issuer" | "default" | "output_tokens_max" | "prices">;

const KEY_SECONDS_DEFAULT = 3_600;

/** Whose settings these are: for any other issuer they would have no effect. */
const owners: Readonly<Record<Name, readonly Kind[]>> = {
  key: ["static", "compatible"],
  header: ["compatible"],
  header_prefix: ["compatible"],
  admin_key: ["openai-service-account"],
  admin_url: ["openai-service-account"],
  project: ["openai-service-account"],
  service_account: ["openai-service-account"],
  scopes: ["openai-service-account"],
  key_seconds: ["openai-service-account"],
};

/** A static key may be missing: whoever needs it says so, and other commands work without. */
const needed: Readonly<Record<Kind, readonly Name[]>> = {
  static: [],
  "openai-service-account": ["admin_key", "project", "service_account", "scopes"],
  compatible: [],
};

/** Reports what an issuer lacks, and what is set without effect. */
export function checkIssuer(
  model: Model,
  environmentOf: (key: string) => string,
  report: (key: string, message: string) => void,
): void {
  const { issuer } = model;
  const named = (name: string): string => `model.${name} (${environmentOf(`model.${name}`)})`;
  const missing = needed[issuer].filter((name) => model[name] === null);
  if (missing.length > 0) {
    report("model.issuer", `the issuer ${issuer} needs ${missing.map(named).join(" and ")}`);
  }
  for (const [name, kinds] of Object.entries(owners)) {
    if (model[name as Name] !== null && !kinds.includes(issuer)) {
      const other = `set ${named("issuer")} to ${kinds.join(" or ")}, or remove it`;
      report(`model.${name}`, `model.${name} has no effect with the issuer ${issuer}: ${other}`);
    }
  }
  if (issuer !== "compatible") {
    return;
  }
  if (model.url === openAiUrl) {
    report(
      "model.issuer",
      `the issuer compatible needs ${named("url")} of another endpoint; OpenAI's own is for static`,
    );
  }
  for (const name of ["header", "header_prefix"] as const) {
    if (model[name] !== null && model.key === null) {
      report(`model.${name}`, `model.${name} has no effect without ${named("key")}: set it as well, or remove this`);
    }
  }
}

/** Null when the settings name no credential. Takes what `checkIssuer` had nothing to say against. */
export function issuerOf(model: Model): IssuerConfig | null {
  switch (model.issuer) {
    case "static":
      return model.key === null ? null : { kind: "static", key: new Secret(model.key) };
    case "compatible": {
      const header = model.header ?? "authorization";
      const prefix = model.header_prefix ?? (header === "authorization" ? "Bearer " : "");
      return { kind: "compatible", key: model.key === null ? null : new Secret(model.key), header, prefix };
    }
    case "openai-service-account":
      return serviceAccountOf(model);
    default:
      return assertNever(model.issuer);
  }
}

function serviceAccountOf(model: Model): IssuerConfig | null {
  const { admin_key: adminKey, project, service_account: serviceAccount, scopes } = model;
  if (adminKey === null || project === null || serviceAccount === null || scopes === null) {
    return null;
  }
  return {
    kind: "openai-service-account",
    adminKey: new Secret(adminKey),
    adminUrl: model.admin_url ?? openAiUrl,
    project,
    serviceAccount,
    scopes,
    keySeconds: model.key_seconds ?? KEY_SECONDS_DEFAULT,
  };
}
