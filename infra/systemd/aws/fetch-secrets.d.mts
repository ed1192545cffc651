export function filesOf(
  settings: { cache: { host: string; port: number } },
  secrets: { token: string; appKey: string | null; webhookSecret: string; modelKey: string | null },
): { environment: string; appKey: string | null };
