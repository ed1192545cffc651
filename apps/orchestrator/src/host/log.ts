import { strict as assert } from "node:assert";
import { type Logger, pino } from "pino";

/** What stands in a log where a secret stood. */
const HIDDEN = "[secret]";
/** A shorter value is no secret, and hiding it would hide words. */
const SECRET_CHARS_MIN = 8;
/** Values that come and go: keys of attempts and tokens of minutes, some hundreds at the busiest. Each is looked for in every line. */
const PASSING_MAX = 2_048;
/** Where a log keeps its own way to hide values. Children of a log have it too. */
const HIDE = Symbol("hide");

/**
 * What a terminal obeys or a reader does not see, and JSON leaves as it is: in a line of JSON it can only stand inside a
 * string.
 */
const UNSEEN =
  /(?!\n)[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]/gu;

/** A structured log on standard error, and the one way to keep values out of it. */
export interface ServiceLog {
  readonly log: Logger;
  /** Nothing logged from here on shows this value, wherever in a line it stands. */
  hide(secret: string): void;
}

/**
 * Keeps a value out of everything that this log, or the one it is a child of, shows, until the returned function is called
 * (idempotent). For values that are made while the service runs: of more than 2,048 the oldest is shown again.
 *
 * @param log One of `createLog`, or a child of one.
 */
export function hideInLog(log: Logger, secret: string): () => void {
  const hide = (log as { [HIDE]?: (secret: string) => () => void })[HIDE];
  assert(hide !== undefined, "the log is one of ours");
  return hide(secret);
}

/**
 * Lines go to standard error: standard output is for what a program reads. Hidden values are replaced in the finished
 * line, since a secret can stand inside any string: a URL, an error's message, a header.
 */
export function createLog(options: { level: string; write?: (line: string) => void }): ServiceLog {
  /** Every form of every hidden value, and how many hide it. */
  const hidden = new Map<string, number>();
  const passing = new Set<() => void>();
  const write = options.write ?? ((line: string) => process.stderr.write(line));
  const log = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: pino.stdSerializers.err },
    },
    {
      write(line: string) {
        let safe = line;
        for (const form of hidden.keys()) {
          safe = safe.replaceAll(form, HIDDEN);
        }
        write(safe.replace(UNSEEN, escaped));
      },
    },
  );

  function hold(secret: string): () => void {
    const forms = formsOf(secret);
    for (const form of forms) {
      hidden.set(form, (hidden.get(form) ?? 0) + 1);
    }
    return () => {
      for (const form of forms.splice(0)) {
        const others = (hidden.get(form) ?? 0) - 1;
        if (others > 0) {
          hidden.set(form, others);
        } else {
          hidden.delete(form);
        }
      }
    };
  }

  function holdForAWhile(secret: string): () => void {
    const release = hold(secret);
    const forget = () => {
      passing.delete(forget);
      release();
    };
    passing.add(forget);
    if (passing.size > PASSING_MAX) {
      passing.values().next().value?.();
    }
    return forget;
  }

  Object.defineProperty(log, HIDE, { value: holdForAWhile });
  return { log, hide: (secret) => void hold(secret) };
}

/** How a secret can stand in a line of JSON; nothing for what is too short to be one. */
function formsOf(secret: string): string[] {
  const forms = [secret, JSON.stringify(secret).slice(1, -1), Buffer.from(secret).toString("base64")];
  return secret.length < SECRET_CHARS_MIN ? [] : [...new Set(forms)];
}

/** The same character as JSON's escape of it. */
function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, at) => {
    return `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`;
  }).join("");
}
