import { configTable, otherEnvironment } from "./config-schema.ts";

/** The text of docs/reference/configuration.md, which is generated from it. */
export function configDocs(): string {
  return [
    "# Configuration",
    "",
    "<!-- Written from packages/core/src/config-schema.ts. Do not edit it by hand. -->",
    "",
    "Settings come from a YAML file and from the environment; the environment wins, and an empty variable counts as none.",
    "The dots in a key are levels of the file: `github.url` is `url` under `github`. Lists stand in the environment with",
    "commas between their items. An unknown key or an unknown `MAYFLY_` name is an error that says where it stands.",
    "",
    "| In the file | In the environment | Default | Meaning |",
    "| --- | --- | --- | --- |",
    ...configTable.map((row) => {
      const meaning = row.isSecret ? `${row.description} Never shown.` : row.description;
      return `| \`${row.key}\` | \`${row.environment}\` | ${cell(defaultOf(row.defaultText))} | ${cell(meaning)} |`;
    }),
    ...Object.entries(otherEnvironment).map(([name, meaning]) => `| | \`${name}\` | none | ${cell(meaning)} |`),
    "",
  ].join("\n");
}

function defaultOf(text: string): string {
  const isProse = text.startsWith("none") || text.includes("`") || text.includes("derived");
  return isProse || text === ""
    ? text
    : text
        .split(", ")
        .map((item) => `\`${item}\``)
        .join(", ");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
