import { parseArgs } from "node:util";

/** What can be asked of the bench after `--`. */
export interface BenchOptions {
  readonly json: boolean;
  readonly help: boolean;
}

export const usage = `npm run bench [-- options]

Sends 200 model answers at once, as paced streams of events, from a stand-in for the model to readers on this machine:
in turns straight over loopback, and through the real model gateway with its budgets. Model, gateway and readers are a
process each, on both ways. First all streams begin within a second, then a stream begins as another ends. Prints how
much later the first byte and each event come through the gateway, as medians and 99th percentiles and their ratios
over the same rounds; how busy each process was; and the gateway's memory at the start, halfway and at the end. Takes
about a minute. Ends with exit code 1 if an event was lost or changed.

  --json   print one JSON document as the last line of standard output
  --help   show this
`;

/** Throws with words for the person who typed them. */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: { json: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
  });
  return { json: values.json, help: values.help };
}
