import { Webhooks } from "@octokit/webhooks";

/** Says whether GitHub signed these very bytes with one of our secrets: two while one replaces the other. */
export function createSignatureCheck(
  secrets: readonly string[],
): (body: string, signature: string) => Promise<boolean> {
  const verifiers = secrets.map((secret) => new Webhooks({ secret }));
  return async (body, signature) => {
    // All of them always: how long it takes says nothing about which secret fits.
    const fits = await Promise.all(verifiers.map((webhooks) => webhooks.verify(body, signature).catch(() => false)));
    return fits.includes(true);
  };
}
