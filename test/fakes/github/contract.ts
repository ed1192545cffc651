/** Checks requests, answers and webhooks against the subset of GitHub's published description in openapi.json. */
import { readFileSync } from "node:fs";
import { Ajv } from "ajv";
import type { ValidateFunction } from "ajv";
import formats from "ajv-formats";

type Schema = Record<string, unknown>;
interface Operation {
  readonly parameters: readonly { name: string; in: string; required: boolean; schema: Schema }[];
  readonly responses: Readonly<Record<string, Schema>>;
  readonly requestBody?: { required: boolean; schema: Schema };
}
interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly "x-webhooks": Readonly<Record<string, Schema>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export interface Contract {
  /** Says what is wrong with a request: unknown or ill-typed body fields and query parameters. Empty when nothing is. */
  request(operation: OperationName, request: { query: URLSearchParams; body: unknown }): string[];
  /** Says what is wrong with an answer: a status or a body that GitHub's description does not have. */
  response(operation: OperationName, response: { status: number; body: unknown }): string[];
  /** Says what is wrong with a webhook's payload; `name` is `<event>` or `<event>.<action>`. */
  webhook(name: string, payload: unknown): string[];
}

interface OperationName {
  readonly method: string;
  readonly path: string;
}

/** Any operation may be refused in these ways, listed or not. */
const REFUSALS = new Set([400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503]);
/** More errors than a person reads. */
const ERRORS_SHOWN = 5;

/** What GitHub's server does and its description, as published, leaves out: a bare list of labels. */
const BARE_LABELS = { type: "array", minItems: 1, items: { type: "string" } };
/** Where the description contradicts itself: it wants an account that is a user and an enterprise at once. */
const CORRECTED_RESPONSES: Readonly<Record<string, Schema>> = {
  "GET /app/installations → 200": { type: "array", items: { $ref: "github#/components/schemas/installation" } },
};

export function createContract(): Contract {
  const file = readFileSync(new URL("openapi.json", import.meta.url), "utf8");
  const description = toJsonSchema(JSON.parse(file)) as Description;
  allowNulls(description);
  const ajv = new Ajv({ strict: false, allErrors: true, discriminator: false });
  formats.default(ajv);
  ajv.addFormat("uri-template", true);
  ajv.addFormat("repo.nwo", true);
  ajv.addSchema({ $id: "github", components: description.components });
  const compiled = new Map<string, ValidateFunction>();

  function check(key: string, schema: () => Schema, value: unknown): string[] {
    let validate = compiled.get(key);
    if (validate === undefined) {
      validate = ajv.compile(schema());
      compiled.set(key, validate);
    }
    if (validate(value)) {
      return [];
    }
    return (validate.errors ?? [])
      .slice(0, ERRORS_SHOWN)
      .map((error) => `${key}: ${error.instancePath || "/"} ${error.message ?? ""} ${JSON.stringify(error.params)}`);
  }

  function operationOf({ method, path }: OperationName): Operation | undefined {
    return description.paths[path]?.[method.toLowerCase()];
  }

  return {
    request(name, { query, body }) {
      const key = `${name.method} ${name.path}`;
      const operation = operationOf(name);
      if (operation === undefined) {
        return [`${key}: not in the description`];
      }
      const known = new Set(
        operation.parameters.filter((parameter) => parameter.in === "query").map((parameter) => parameter.name),
      );
      const unknown = [...query.keys()].filter((parameter) => !known.has(parameter));
      const problems = unknown.map((parameter) => `${key}: unknown query parameter ${parameter}`);
      return [...problems, ...requestBodyProblems(key, operation, body)];
    },
    response(name, { status, body }) {
      const key = `${name.method} ${name.path} → ${status}`;
      const schema = operationOf(name)?.responses[String(status)];
      if (schema === undefined) {
        return REFUSALS.has(status) ? [] : [`${key}: no such status in the description`];
      }
      if (status === 204 || Object.keys(schema).length === 0) {
        return [];
      }
      return check(key, () => CORRECTED_RESPONSES[key] ?? schema, body);
    },
    webhook(name, payload) {
      const schema = description["x-webhooks"][name.replaceAll(/[._]/g, "-")];
      if (schema === undefined) {
        return [`webhook ${name}: not in the description`];
      }
      return check(`webhook ${name}`, () => schema, payload);
    },
  };

  function requestBodyProblems(key: string, operation: Operation, body: unknown): string[] {
    const expected = operation.requestBody;
    if (expected === undefined) {
      return body === undefined || isEmpty(body) ? [] : [`${key}: takes no body`];
    }
    if (body === undefined) {
      return expected.required ? [`${key}: body missing`] : [];
    }
    return check(`${key} request`, () => withoutUnknownFields(correct(key, expected.schema)), body);
  }
}

/**
 * What the description forgets, and GitHub gives as null: the line of a comment that is outdated, and the repository of
 * a head whose fork is deleted (its description of webhooks has the latter).
 */
function allowNulls({ components: { schemas } }: Description): void {
  const nullable = (schema: Schema | undefined, name: string): void => {
    const properties = schema?.properties as Record<string, Schema> | undefined;
    if (properties?.[name] === undefined) {
      throw new Error(`the description has no ${name}`);
    }
    properties[name] = { anyOf: [properties[name], { type: "null" }] };
  };
  nullable(schemas["pull-request-review-comment"], "line");
  const pull = schemas["pull-request"]?.properties as Record<string, Schema> | undefined;
  nullable(pull?.head, "repo");
}

function correct(key: string, schema: Schema): Schema {
  return key.endsWith("/issues/{issue_number}/labels") ? { anyOf: [schema, BARE_LABELS] } : schema;
}

function isEmpty(body: unknown): boolean {
  return typeof body === "object" && body !== null && Object.keys(body).length === 0;
}

/** Closes every object that lists its properties: GitHub ignores a misspelt field, a test must not. */
function withoutUnknownFields(schema: Schema): Schema {
  const closed: Schema = { ...schema };
  if (isSchema(schema.properties)) {
    closed.additionalProperties ??= false;
    closed.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([name, child]) => [
        name,
        isSchema(child) ? withoutUnknownFields(child) : child,
      ]),
    );
    return closed;
  }
  if (isSchema(schema.items)) {
    closed.items = withoutUnknownFields(schema.items);
  }
  for (const key of ["anyOf", "oneOf"]) {
    const choices = schema[key];
    if (Array.isArray(choices)) {
      closed[key] = choices.map((choice) => (isSchema(choice) ? withoutUnknownFields(choice) : (choice as unknown)));
    }
  }
  return closed;
}

/** OpenAPI 3.0 to JSON Schema: `nullable` becomes a type, references become absolute. */
function toJsonSchema(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(toJsonSchema);
  }
  if (!isSchema(value)) {
    return value;
  }
  const { nullable, ...rest } = Object.fromEntries(
    Object.entries(value).map(([key, child]) => [key, toJsonSchema(child)]),
  );
  if (typeof rest.$ref === "string") {
    rest.$ref = rest.$ref.replace(/^#/, "github#");
  }
  if (nullable !== true) {
    return nullable === undefined || nullable === false ? rest : { ...rest, nullable };
  }
  if (Array.isArray(rest.enum) && !rest.enum.includes(null)) {
    rest.enum = [...(rest.enum as unknown[]), null];
  }
  if (typeof rest.type === "string") {
    return { ...rest, type: [rest.type, "null"] };
  }
  return { anyOf: [rest, { type: "null" }] };
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
