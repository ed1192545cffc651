import { describe, expect, it } from "vitest";
import { createLog, hideInLog, type ServiceLog } from "./log.ts";

const secret = "sk-made-0123/456789+";

function open(): ServiceLog & { shown(text: string): boolean } {
  const lines: string[] = [];
  const service = createLog({ level: "info", write: (line) => void lines.push(line) });
  return {
    ...service,
    shown(text) {
      lines.length = 0;
      service.log.info({ text: `before ${text} after` }, "said");
      return lines.join("").includes(text);
    },
  };
}

describe("a value that is hidden for a while", () => {
  it("is shown in no line, as it is or in base64, until it is forgotten", () => {
    const { log, shown } = open();
    const forget = hideInLog(log, secret);
    expect(shown(secret)).toBe(false);
    expect(shown(btoa(secret))).toBe(false);
    forget();
    expect(shown(secret)).toBe(true);
  });

  it("is hidden by whoever has a child of the log", () => {
    const { log, shown } = open();
    hideInLog(log.child({ run: "run_1" }).child({ epoch: 1 }), secret);
    expect(shown(secret)).toBe(false);
  });

  it("stays hidden while anybody else hides it, and is forgotten once", () => {
    const { log, shown, hide } = open();
    const forget = hideInLog(log, secret);
    const other = hideInLog(log, secret);
    forget();
    forget();
    expect(shown(secret)).toBe(false);
    hide(secret);
    other();
    expect(shown(secret)).toBe(false);
  });

  it("takes the place of the oldest when there are too many, and of none that is hidden for good", () => {
    const { log, shown, hide } = open();
    hide("sk-operator-0123456789");
    hideInLog(log, secret);
    for (let count = 0; count < 2_048; count++) {
      hideInLog(log, `sk-made-number-${count}`);
    }
    expect(shown(secret)).toBe(true);
    expect(shown("sk-made-number-0")).toBe(false);
    expect(shown("sk-operator-0123456789")).toBe(false);
  });
});
