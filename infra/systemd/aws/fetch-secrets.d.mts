export function filesOf(
  settings: { cache: { host: string; port: number } },
  secrets: { token: string; appKey: string | null; webhookSecret: string; modelKey: string },
): { environment: string; appKey: string | null };
