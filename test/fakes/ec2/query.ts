/** The Query protocol's parameters, read by the service model: what it does not know or allow is refused. */
import { allowedValues, isDecimal } from "./enums.ts";
import { badValue, Ec2Refusal } from "./refusal.ts";
import type { Member, Shape, StructureShape } from "./schema.ts";

interface Node {
  value: string | null;
  readonly children: Map<string, Node>;
}

export interface Query {
  readonly action: string;
  readonly version: string;
  readonly parameters: Node;
}

const PARAMETERS_MAX = 20_000;
const DEPTH_MAX = 12;
const INTEGER = /^-?[0-9]{1,15}$/;
const DECIMAL = /^-?[0-9]{1,15}(\.[0-9]{1,15})?$/;
const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** A form body as a tree of parameters. Throws an Ec2Refusal when it is not one. */
export function readQuery(body: string): Query {
  const entries = [...new URLSearchParams(body)];
  if (entries.length > PARAMETERS_MAX) {
    throw new Ec2Refusal("MalformedQueryString", "Too many parameters.");
  }
  const root: Node = { value: null, children: new Map() };
  for (const [key, value] of entries) {
    place(root, key, value);
  }
  const action = root.children.get("Action")?.value ?? null;
  const version = root.children.get("Version")?.value ?? null;
  if (action === null || version === null) {
    throw new Ec2Refusal("MissingParameter", "The request must contain the parameters Action and Version");
  }
  root.children.delete("Action");
  root.children.delete("Version");
  return { action, version, parameters: root };
}

/** The parameters as the operation's input. Throws an Ec2Refusal that names the parameter. */
export function decodeInput(shape: StructureShape, { parameters }: Query): object {
  return structure(shape, parameters, "");
}

function place(root: Node, key: string, value: string): void {
  const steps = key.split(".");
  if (steps.length > DEPTH_MAX) {
    throw new Ec2Refusal("UnknownParameter", `The parameter ${key.slice(0, 100)} is not recognized`);
  }
  let node = root;
  for (const step of steps) {
    const child = node.children.get(step) ?? { value: null, children: new Map() };
    node.children.set(step, child);
    node = child;
  }
  if (node.value !== null) {
    throw new Ec2Refusal("MalformedQueryString", `The parameter ${key.slice(0, 100)} is given twice`);
  }
  node.value = value;
}

function decode(shape: Shape, node: Node, path: string, allowed: readonly string[] | null, decimal: boolean): unknown {
  if (shape.kind === "structure" || shape.kind === "list") {
    if (node.value !== null) {
      throw badValue(path, node.value, "It has members of its own.");
    }
    return shape.kind === "structure" ? structure(shape, node, path) : list(shape.item(), node, path, allowed);
  }
  const [unknown] = node.children.keys();
  if (unknown !== undefined || node.value === null) {
    throw new Ec2Refusal("UnknownParameter", `The parameter ${path}.${unknown ?? ""} is not recognized`);
  }
  return plain(shape.kind, node.value, path, allowed, decimal);
}

function structure(shape: StructureShape, node: Node, path: string): object {
  const byName = new Map(shape.members.map((member) => [member.queryName, member]));
  const decoded: Record<string, unknown> = {};
  for (const [step, child] of node.children) {
    const member = byName.get(step);
    const at = path === "" ? step : `${path}.${step}`;
    if (member === undefined) {
      throw new Ec2Refusal("UnknownParameter", `The parameter ${at.slice(0, 100)} is not recognized`);
    }
    decoded[member.name] = decodeMember(shape, member, child, at);
  }
  const absent = shape.members.find(({ name, isRequired }) => isRequired && !(name in decoded));
  if (absent !== undefined) {
    const at = path === "" ? absent.queryName : `${path}.${absent.queryName}`;
    throw new Ec2Refusal("MissingParameter", `The request must contain the parameter ${at}`);
  }
  return decoded;
}

function decodeMember(owner: StructureShape, member: Member, node: Node, path: string): unknown {
  const allowed = allowedValues(owner.name, member.name);
  return decode(member.shape(), node, path, allowed, isDecimal(owner.name, member.name));
}

function list(item: Shape, node: Node, path: string, allowed: readonly string[] | null): unknown[] {
  const decoded: unknown[] = [];
  for (let index = 1; index <= node.children.size; index += 1) {
    const child = node.children.get(String(index));
    if (child === undefined) {
      const [odd] = node.children.keys();
      throw new Ec2Refusal("UnknownParameter", `The parameter ${path}.${odd} is not recognized: items count from 1`);
    }
    decoded.push(decode(item, child, `${path}.${index}`, allowed, false));
  }
  return decoded;
}

function plain(
  kind: "text" | "number" | "flag" | "time" | "bytes",
  value: string,
  path: string,
  allowed: readonly string[] | null,
  decimal: boolean,
): unknown {
  switch (kind) {
    case "text":
      if (allowed !== null && !allowed.includes(value)) {
        throw badValue(path, value, `Valid values are: ${allowed.slice(0, 10).join(", ")}.`);
      }
      return value;
    case "number":
      return Number(matching(decimal ? DECIMAL : INTEGER, value, path, "It must be a number."));
    case "flag":
      return matching(/^(true|false)$/, value, path, "It must be true or false.") === "true";
    case "time":
      return new Date(matching(TIME, value, path, "It must be a time."));
    default:
      return Buffer.from(matching(BASE64, value, path, "It must be base64."), "base64");
  }
}

function matching(pattern: RegExp, value: string, path: string, why: string): string {
  if (!pattern.test(value)) {
    throw badValue(path, value, why);
  }
  return value;
}
