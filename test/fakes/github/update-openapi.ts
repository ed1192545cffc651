/**
 * Cuts the part of GitHub's published OpenAPI description that the stand-in serves out of the full file.
 *
 * Usage: node update-openapi.ts PATH/api.github.com.json
 * where the file is `package/generated/api.github.com.json` of the npm package @octokit/openapi, whose 394 MB are why
 * only this subset is kept. It writes openapi.json beside this script: operations, the schemas they reach, no prose. Run the formatter after it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { servedOperations, servedWebhooks } from "./served.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
interface JsonObject {
  [key: string]: Json;
}

/** Keys that describe for people and constrain nothing. */
const PROSE = new Set([
  "description",
  "summary",
  "example",
  "examples",
  "externalDocs",
  "x-github",
  "deprecated",
  "tags",
  "title",
]);

const source = process.argv[2];
if (source === undefined) {
  throw new Error("usage: node update-openapi.ts PATH/api.github.com.json");
}
const full = JSON.parse(readFileSync(source, "utf8")) as JsonObject;
const subset = cutSubset(full);
writeFileSync(new URL("openapi.json", import.meta.url), `${JSON.stringify(subset)}\n`);

function cutSubset(document: JsonObject): JsonObject {
  const components = asObject(document.components);
  const schemas = asObject(components.schemas);
  const kept: JsonObject = {};
  const paths: JsonObject = {};
  for (const [method, path] of servedOperations) {
    const operation = asObject(asObject(asObject(document.paths)[path])[method.toLowerCase()]);
    const entry = asObject((paths[path] ??= {}));
    entry[method.toLowerCase()] = cutOperation(operation, components);
  }
  const webhooks: JsonObject = {};
  for (const name of servedWebhooks) {
    const post = asObject(asObject(asObject(document["x-webhooks"])[name]).post);
    webhooks[name] = withoutProse(jsonSchemaOf(post.requestBody));
  }
  const { version } = asObject(document.info);
  if (typeof version !== "string") {
    throw new Error("the description has no version");
  }
  const waiting = [...referencesIn(paths), ...referencesIn(webhooks)];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (kept[name] !== undefined) {
      continue;
    }
    const schema = withoutProse(asObject(schemas[name]));
    kept[name] = schema;
    waiting.push(...referencesIn(schema));
  }
  return {
    openapi: "3.0.3",
    info: {
      title: "Subset of GitHub's REST API description",
      version,
      "x-source": `npm @octokit/openapi ${version}, generated/api.github.com.json (MIT)`,
    },
    paths,
    "x-webhooks": webhooks,
    components: { schemas: kept },
  };
}

function cutOperation(operation: JsonObject, components: JsonObject): JsonObject {
  const parameters = asArray(operation.parameters ?? []).map((parameter) => {
    const { name, in: place, required, schema } = resolve(asObject(parameter), components);
    return { name: name ?? "", in: place ?? "", required: required ?? false, schema: withoutProse(schema ?? {}) };
  });
  const responses: JsonObject = {};
  for (const [status, response] of Object.entries(asObject(operation.responses))) {
    const schema = jsonSchemaOf(resolve(asObject(response), components));
    responses[status] = withoutProse(schema);
  }
  const cut: JsonObject = { parameters, responses };
  if (operation.requestBody !== undefined) {
    const body = resolve(asObject(operation.requestBody), components);
    cut.requestBody = { required: body.required ?? false, schema: withoutProse(jsonSchemaOf(body)) };
  }
  return cut;
}

/** The schema of a body's JSON form, or {} where the body has none. */
function jsonSchemaOf(body: Json | undefined): Json {
  const content = asObject(asObject(body ?? {}).content ?? {});
  return asObject(content["application/json"] ?? {}).schema ?? {};
}

function resolve(value: JsonObject, components: JsonObject): JsonObject {
  if (typeof value.$ref !== "string") {
    return value;
  }
  const [kind = "", name = ""] = value.$ref.replace("#/components/", "").split("/");
  return asObject(asObject(components[kind])[name]);
}

function withoutProse(value: Json, insideProperties = false): Json {
  if (Array.isArray(value)) {
    return value.map((item) => withoutProse(item));
  }
  if (value === null || typeof value !== "object") {
    return value;
  }
  const kept: JsonObject = {};
  for (const [key, child] of Object.entries(value)) {
    if (!insideProperties && PROSE.has(key)) {
      continue;
    }
    kept[key] =
      key === "enum" || key === "required" ? child : withoutProse(child, key === "properties" && !insideProperties);
  }
  return kept;
}

function referencesIn(value: Json): string[] {
  const names = JSON.stringify(value).matchAll(/"#\/components\/schemas\/([^"]+)"/g);
  return [...names].map((match) => match[1] ?? "");
}

function asObject(value: Json | undefined): JsonObject {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new Error(`expected an object, got ${JSON.stringify(value)}`);
  }
  return value;
}

function asArray(value: Json): Json[] {
  if (!Array.isArray(value)) {
    throw new Error("expected an array");
  }
  return value;
}
