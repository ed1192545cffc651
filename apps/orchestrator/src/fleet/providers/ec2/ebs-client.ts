import { EBSClient, type EBSClientConfig } from "@aws-sdk/client-ebs";

/**
 * A client of the EBS direct API that never repeats a call by itself, since whoever calls knows what a repetition does.
 *
 * @param options.endpoint Null for the public address.
 */
export function createEbsClient(options: {
  region: string;
  endpoint: string | null;
  credentials?: NonNullable<EBSClientConfig["credentials"]>;
}): EBSClient {
  const { region, endpoint, credentials } = options;
  return new EBSClient({
    region,
    maxAttempts: 1,
    ...(endpoint === null ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  });
}
