import { RemovalPolicy } from "aws-cdk-lib";
import { SecurityGroup } from "aws-cdk-lib/aws-ec2";
import { type CfnFileSystem, FileSystem } from "aws-cdk-lib/aws-efs";
import { AccountRootPrincipal, AnyPrincipal, Effect, PolicyDocument, PolicyStatement } from "aws-cdk-lib/aws-iam";
import { CfnKey } from "aws-cdk-lib/aws-kms";
import { CfnSecret } from "aws-cdk-lib/aws-secretsmanager";
import type { Construct } from "constructs";
import { acknowledge } from "./acknowledge.ts";
import type { Network } from "./network.ts";
import type { Parameters } from "./parameters.ts";

/** What you put in after the first deployment; the stack knows the names alone. */
const secretTexts = {
  appKey: ["app-key", "the GitHub App's private key (PEM)"],
  webhookSecret: ["webhook-secret", "the GitHub App's webhook secret"],
  modelKey: ["model-key", "the model's API key"],
} as const;

export interface Secrets {
  /** Null where the key is in KMS. */
  readonly appKey: CfnSecret | null;
  readonly webhookSecret: CfnSecret;
  readonly modelKey: CfnSecret;
}

/** Empty secrets with fixed names: no value is in the template, in a parameter or in a log of CloudFormation. */
export function addSecrets(scope: Construct, { name, appKeyInKms }: Parameters): Secrets {
  const add = (key: keyof typeof secretTexts): CfnSecret => {
    const [suffix, description] = secretTexts[key];
    const secret = new CfnSecret(scope, `Secret-${suffix}`, {
      name: `${name}/${suffix}`,
      description: `Mayfly: ${description}`,
    });
    acknowledge(
      secret,
      "AwsSolutions-SMG4",
      "It comes from GitHub or the model's provider, and is changed there first",
    );
    return secret;
  };
  return { appKey: appKeyInKms ? null : add("appKey"), webhookSecret: add("webhookSecret"), modelKey: add("modelKey") };
}

export interface State {
  readonly files: FileSystem;
  readonly securityGroup: SecurityGroup;
}

/**
 * The folder that all hosts share, all of which work: receipts and their public keys, packed source, the keys of the
 * broker's door. What is lost with it is lost for good, so it outlives the stack.
 */
export function addState(scope: Construct, network: Network): State {
  const securityGroup = new SecurityGroup(scope, "StateSecurityGroup", {
    vpc: network.vpc,
    description: "Shared folder: hosts of the service alone",
    allowAllOutbound: false,
  });
  const files = new FileSystem(scope, "State", {
    vpc: network.vpc,
    vpcSubnets: { subnets: network.dataSubnets },
    securityGroup,
    encrypted: true,
    enableAutomaticBackups: true,
    removalPolicy: RemovalPolicy.RETAIN,
  });
  // CDK's own policy would let in whoever reaches a mount target. With this one alone a host needs its role and TLS.
  (files.node.defaultChild as CfnFileSystem).fileSystemPolicy = new PolicyDocument({
    statements: [
      new PolicyStatement({
        effect: Effect.DENY,
        principals: [new AnyPrincipal()],
        actions: ["*"],
        conditions: { Bool: { "aws:SecureTransport": "false" } },
      }),
    ],
  });
  return { files, securityGroup };
}

/**
 * A key that can sign and nothing else, for the App's key to be imported into. GitHub makes App keys itself, so it has
 * to be EXTERNAL.
 */
export function addAppKey(scope: Construct, { name }: Parameters): CfnKey {
  return new CfnKey(scope, "AppKey", {
    description: `Mayfly ${name}: the GitHub App's key. Imported, signs, never leaves.`,
    keySpec: "RSA_2048",
    keyUsage: "SIGN_VERIFY",
    origin: "EXTERNAL",
    keyPolicy: new PolicyDocument({
      statements: [
        new PolicyStatement({
          sid: "RightsComeFromRoles",
          principals: [new AccountRootPrincipal()],
          actions: ["kms:*"],
          resources: ["*"],
        }),
      ],
    }),
  });
}
