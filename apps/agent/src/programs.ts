/** The small programs that run inside Codex's confinement or network, as JavaScript text: inside/*.ts, bundled. */
export interface Programs {
  readonly listen: string;
  readonly probe: string;
  readonly read: string;
}

// Put in place of this name when the agent is bundled.
declare const MAYFLY_PROGRAMS: Programs;

/** Only there in the bundle. */
export function bundledPrograms(): Programs {
  return MAYFLY_PROGRAMS;
}
