import type { AttackContext, Needs, Row, Verdict } from "./row.ts";
import { NO_CONTROL } from "./rows/untried.ts";

const needsInOrder: readonly Needs[] = ["nothing", "redis", "service", "machine"];

/** One row of its parts, which are tried in the order of what they need, until one has not held. Throws without any. */
export function joinParts(given: readonly Row[]): Row {
  const parts = given.toSorted((a, b) => needsInOrder.indexOf(a.needs) - needsInOrder.indexOf(b.needs));
  const [first, ...more] = parts;
  if (first === undefined) {
    throw new Error("a row of the register is not listed");
  }
  const unit = parts.find((part) => part.unit !== undefined)?.unit;
  return more.length === 0
    ? first
    : {
        id: first.id,
        attack: first.attack,
        needs: parts.at(-1)?.needs ?? first.needs,
        control: parts.flatMap(({ control }) => (control === NO_CONTROL ? [] : [control])).join("; "),
        ...(unit === undefined ? {} : { unit }),
        run: (context) => runAll(parts, context),
      };
}

async function runAll(parts: readonly Row[], context: AttackContext): Promise<Verdict> {
  let all: Verdict = { held: true, why: "", cases: 0 };
  for (const part of parts) {
    const { held, why, cases } = await part.run(context);
    if (held === false) {
      return { held, why, cases: all.cases + cases };
    }
    all = {
      // A part that was not tried leaves the row untried.
      held: held === null ? null : all.held,
      why: [all.why, why].filter((text) => text !== "").join("; "),
      cases: all.cases + cases,
    };
  }
  return all;
}
