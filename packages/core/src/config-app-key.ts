import { z } from "zod";
import { setting } from "./setting.ts";

const TEXT_CHARS_MAX = 1_024;
/** By its id and not by an alias: an alias can be pointed to another key. Multi-region keys have ids of their own form. */
const KEY_ARN =
  /^arn:aws[a-z-]{0,20}:kms:([a-z]{2,4}(?:-[a-z]{2,10}){1,3}-\d{1,2}):\d{12}:key\/(?:[0-9a-f-]{36}|mrk-[0-9a-f]{32})$/;

/** Settings of `github` that say where the App's private key is. */
export const appKeySettings = {
  private_key_file: setting(
    {
      environment: "MAYFLY_GITHUB_PRIVATE_KEY_FILE",
      description: "The file with the App's private key (PEM). Either this or `github.kms_key`.",
    },
    z
      .string()
      .min(1)
      .max(TEXT_CHARS_MAX)
      .refine((path) => !path.includes("\0"), "must be a path")
      .nullable()
      .default(null),
  ),
  kms_key: setting(
    {
      environment: "MAYFLY_GITHUB_KMS_KEY",
      description:
        "The ARN of a key in AWS KMS that the App's private key was imported into (RSA, for signing alone). The signer asks KMS to sign, and no host ever has the key.",
    },
    z
      .string()
      .regex(KEY_ARN, "must be the ARN of a key in KMS, arn:aws:kms:REGION:ACCOUNT:key/ID")
      .nullable()
      .default(null),
  ),
  kms_endpoint: setting(
    {
      environment: "MAYFLY_GITHUB_KMS_ENDPOINT",
      description: "KMS's address, for an endpoint in your own network.",
      defaultText: "KMS's public one in the key's region",
    },
    z
      .string()
      .max(TEXT_CHARS_MAX)
      .refine(isEndpoint, "must be an https address (http on this host alone) without user, path or query")
      .nullable()
      .default(null),
  ),
};

/** Where the App's private key is. */
export type AppKeyConfig =
  /** In a file of this host, as GitHub hands it out. */
  | { readonly kind: "file"; readonly path: string }
  /** In KMS, which signs with it and gives it to nobody. */
  | {
      readonly kind: "kms";
      readonly arn: string;
      readonly region: string;
      /** Null for KMS's public one. */
      readonly endpoint: string | null;
    };

interface AppKeySettings {
  readonly private_key_file: string | null;
  readonly kms_key: string | null;
  readonly kms_endpoint: string | null;
}

/** Reports two places for one key, and an address of KMS without a key there. */
export function checkAppKey(
  github: AppKeySettings,
  environmentOf: (key: string) => string,
  report: (key: string, message: string) => void,
): void {
  const named = (name: keyof AppKeySettings): string => `github.${name} (${environmentOf(`github.${name}`)})`;
  if (github.private_key_file !== null && github.kms_key !== null) {
    report("github.kms_key", `the App has one key: set ${named("private_key_file")} or ${named("kms_key")}, not both`);
  }
  if (github.kms_endpoint !== null && github.kms_key === null) {
    report("github.kms_endpoint", `github.kms_endpoint has no effect without ${named("kms_key")}`);
  }
}

/** Null where neither place is named. */
export function appKeyOf({
  private_key_file: path,
  kms_key: arn,
  kms_endpoint: endpoint,
}: AppKeySettings): AppKeyConfig | null {
  if (arn !== null) {
    return { kind: "kms", arn, region: KEY_ARN.exec(arn)?.[1] ?? "", endpoint };
  }
  return path === null ? null : { kind: "file", path };
}

/** What is signed there is no secret, but a signature is a way in: nobody on the way may read it. */
function isEndpoint(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return false;
  }
  const isNear = ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
  return url.pathname === "/" && (url.protocol === "https:" || (url.protocol === "http:" && isNear));
}
