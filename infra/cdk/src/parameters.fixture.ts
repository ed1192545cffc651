import { type Parameters, readParameters } from "./parameters.ts";

/** What has no default, made up. */
export const neededParameters = {
  region: "eu-central-1",
  certificateArn: "arn:aws:acm:eu-central-1:111122223333:certificate/01234567-89ab-cdef-0123-456789abcdef",
  githubAppId: 12_345,
  alarmEmail: "alarms@example.com",
  serviceImageId: "ami-0123456789abcdef0",
  machineImageId: "ami-0123456789abcdef1",
  machineImageDigest: `sha256:${"ab".repeat(32)}`,
};

export function someParameters(changes: Record<string, unknown> = {}): Parameters {
  const read = readParameters({ ...neededParameters, ...changes });
  if (!read.ok) {
    throw new Error(read.errors.join("\n"));
  }
  return read.parameters;
}
