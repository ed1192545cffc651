import { type Logger, pino } from "pino";

/** What stands in a log where a secret stood. */
const HIDDEN = "[secret]";
/** A shorter value is no secret, and hiding it would hide words. */
const SECRET_CHARS_MIN = 8;

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
 * Lines go to standard error: standard output is for what a program reads. Hidden values are replaced in the finished
 * line, since a secret can stand inside any string: a URL, an error's message, a header.
 */
export function createLog(options: { level: string; write?: (line: string) => void }): ServiceLog {
  const secrets = new Set<string>();
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
        for (const secret of secrets) {
          safe = safe.replaceAll(secret, HIDDEN);
        }
        write(safe.replace(UNSEEN, escaped));
      },
    },
  );
  return {
    log,
    hide(secret) {
      if (secret.length >= SECRET_CHARS_MIN) {
        secrets.add(secret);
        secrets.add(JSON.stringify(secret).slice(1, -1));
        secrets.add(Buffer.from(secret).toString("base64"));
      }
    },
  };
}

/** The same character as JSON's escape of it. */
function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, at) => {
    return `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`;
  }).join("");
}
