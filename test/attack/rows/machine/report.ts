import { z } from "zod";

/** What the intruder prints (test/attack/intruder/main.mjs). It is ours, but it comes out of a machine. */
const Texts = z.array(z.string());
const Search = z.object({
  planted: z.string(),
  found: Texts,
  strangers: z.array(z.unknown()),
  files: Texts,
});
const Network = z.object({
  reached: Texts,
  answered: Texts,
  tried: z.number(),
  channel: z.string(),
  raw: z.record(z.string(), z.number().nullable()),
  control: z.string(),
});
const Names = z.object({ answered: Texts, tried: z.number(), system: z.string(), resolvers: Texts });

/** Without a part that nobody wanted it is no full report. */
const Parts = z.object({
  saw: Texts,
  honoured: Texts,
  plain: z
    .object({ status: z.number().nullish(), said: z.string().optional(), fault: z.string().optional() })
    .nullable(),
  status: z.record(z.string(), z.string()),
  hidden: z.object({
    hidden: z.number(),
    strangers: z.array(z.number()),
    opened: Texts,
    signalled: z.array(z.unknown()),
    traced: z.array(z.number()),
  }),
  search: Search,
  searchAsRootOfNamespace: Search.nullable(),
  rights: z
    .object({
      tried: z.number(),
      worked: Texts,
      controls: z.record(z.string(), z.number().nullable()),
      setuid: Texts,
      fileCapabilities: Texts,
    })
    .nullable(),
  /** What the kernel says to whoever brings it a module. */
  modules: z.string(),
  network: Network,
  /** As root, in the network in which the agent dials the broker. */
  networkOfAgent: Network.nullable(),
  names: Names,
  namesOfAgent: Names.nullable(),
  relay: z.object({
    answers: z.record(z.string(), z.string()),
    replaced: Texts,
    crowded: z.number(),
    smuggled: z.string(),
  }),
  /** The answer to a model call whose error, as the model put it, held the credential. */
  quoted: z.string(),
  disk: z.record(z.string(), z.string()),
  left: z.object({ written: Texts }),
  daemon: z.string().nullable(),
});
/** How long each part took. */
const Seconds = z.object({ seconds: z.record(z.string(), z.number()) });

export type ReportPart = keyof z.infer<typeof Parts>;
export type Report = z.infer<typeof Parts> & z.infer<typeof Seconds>;

/**
 * Reads what the intruder printed. With `wanted` it did these parts alone, and its reader looks at no others. Throws
 * when a part that was wanted is not there.
 */
export function parseReport(printed: unknown, wanted: readonly ReportPart[] | null): Report {
  const seconds = Seconds.parse(printed);
  if (wanted === null) {
    return { ...Parts.parse(printed), ...seconds };
  }
  const shape = Object.fromEntries(wanted.map((part) => [part, Parts.shape[part]]));
  return { ...z.object(shape).parse(printed), ...seconds } as Report;
}
