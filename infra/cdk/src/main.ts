import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { buildApp } from "./app.ts";
import { readParameters } from "./parameters.ts";

/**
 * `node infra/cdk/src/main.ts parameters.json [folder]`: writes the templates to the folder, `dist/cdk` unless you name
 * another. Needs no account and no network. Ends with 2 when a parameter is wrong.
 */
function main([file, folder = "dist/cdk"]: readonly string[]): number {
  if (file === undefined) {
    process.stderr.write("usage: node infra/cdk/src/main.ts parameters.json [folder]\n");
    return 2;
  }
  const read = readParameters(JSON.parse(readFileSync(file, "utf8")));
  if (!read.ok) {
    process.stderr.write(read.errors.map((line) => `${line}\n`).join(""));
    return 2;
  }
  const outdir = resolve(folder);
  const assembly = buildApp({ parameters: read.parameters, outdir }).app.synth();
  for (const { stackName, templateFullPath } of assembly.stacks) {
    process.stdout.write(`${stackName}: ${templateFullPath}\n`);
  }
  return 0;
}

process.exitCode = main(process.argv.slice(2));
