import type { EC2Client } from "@aws-sdk/client-ec2";
import { AppError, type Clock, type Digest, type Instant } from "@mayfly/core";
import type { Logger } from "pino";
import type { Pause } from "./ec2-client.ts";
import { lookAtTemplate, type Slip, type TemplateVersion } from "./template-slips.ts";

/** What was not good is looked at again after this long: an image becomes available, a right is given. */
const AGAIN_MS = 60_000;
/** So many slips fit in a line. */
const SLIPS_MAX = 3;

type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly words: string; readonly isRefused: boolean; readonly at: Instant };

/** What may be launched from. Nothing is before it was looked at. */
export interface TemplateGuard {
  /** Looks, unless it is known to be good or was looked at just now. Never throws. */
  look(template: TemplateVersion, image: Digest): Promise<void>;
  /** Why it may not be launched from, and until when that holds; null if nothing is known against it. */
  objection(template: TemplateVersion, image: Digest): { why: string; until: Instant } | null;
  /**
   * Resolves if it may be launched from. Throws MACHINE_LAUNCH_FAILED for a template that could put a credential into a
   * machine, PROVIDER_UNAVAILABLE when EC2 does not say what is in it.
   */
  ensureGood(template: TemplateVersion, image: Digest): Promise<void>;
}

/** A version never changes, so a good one is looked at once for each start. Each reason against one is logged once. */
export function createTemplateGuard(deps: { ec2: EC2Client; clock: Clock; pause: Pause; log: Logger }): TemplateGuard {
  const { clock } = deps;
  const verdicts = new Map<string, Verdict>();
  const looking = new Map<string, Promise<void>>();
  const judge = createJudge(deps);

  async function look(template: TemplateVersion, image: Digest): Promise<void> {
    const key = keyOf(template, image);
    const known = verdicts.get(key);
    if (known !== undefined && (known.ok || clock.now() < known.at + AGAIN_MS)) {
      return;
    }
    const under = looking.get(key) ?? judge(template, image).then((verdict) => void verdicts.set(key, verdict));
    looking.set(key, under);
    await under.finally(() => looking.delete(key));
  }

  return {
    look,
    objection(template, image) {
      const verdict = verdicts.get(keyOf(template, image));
      return verdict === undefined || verdict.ok ? null : { why: verdict.words, until: verdict.at + AGAIN_MS };
    },
    async ensureGood(template, image) {
      await look(template, image);
      const verdict = verdicts.get(keyOf(template, image));
      if (verdict?.ok !== true) {
        const code = verdict?.isRefused === true ? "MACHINE_LAUNCH_FAILED" : "PROVIDER_UNAVAILABLE";
        throw new AppError(code, `the launch waits for ${verdict?.words ?? "a look at its launch template"}`);
      }
    },
  };
}

type GuardDeps = Parameters<typeof createTemplateGuard>[0];

/** Looks once, and says what is wrong once for each reason. */
function createJudge({ ec2, clock, pause, log }: GuardDeps) {
  let said = "";

  function sayOnce(words: string, say: () => void): void {
    if (words !== said) {
      said = words;
      say();
    }
  }

  return async (template: TemplateVersion, image: Digest): Promise<Verdict> => {
    const at = clock.now();
    const name = `${template.id} version ${template.version}`;
    try {
      const { slips } = await lookAtTemplate({ ec2, pause, template, image });
      if (slips.length === 0) {
        return { ok: true };
      }
      const words = `another launch template: ${name} has ${seenIn(slips)}`;
      sayOnce(words, () => log.error({ template: name, slips }, "nothing is launched from this launch template"));
      return { ok: false, words, isRefused: true, at };
    } catch (err) {
      const words = `a look at the launch template ${name}: ${err instanceof Error ? err.message : String(err)}`;
      sayOnce(words, () => log.error({ template: name, err }, "nothing is launched: its template cannot be read"));
      return { ok: false, words, isRefused: false, at };
    }
  };
}

function keyOf({ id, version }: TemplateVersion, image: Digest): string {
  return `${id} ${version} ${image}`;
}

function seenIn(slips: readonly Slip[]): string {
  const more = slips.length - SLIPS_MAX;
  const words = slips.slice(0, SLIPS_MAX).map(({ seen }) => seen);
  return `${words.join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}
