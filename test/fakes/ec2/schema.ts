/**
 * EC2's service model, read from the schemas that the SDK exports: what a call may carry and what an answer holds.
 * A schema is a tuple that begins with its kind: 0 text-like, 1 list, 3 structure, 9 operation. A reference to one may be
 * its number (a plain value), the tuple, a function that gives it, or one of these in a pair with its traits.
 */
import * as sdk from "@aws-sdk/client-ec2";

export type Shape = Plain | ListShape | StructureShape;

interface Plain {
  readonly kind: "text" | "number" | "flag" | "time" | "bytes";
}

interface ListShape {
  readonly kind: "list";
  readonly item: () => Shape;
  /** The element around each item of an answer. */
  readonly itemXmlName: string;
}

export interface StructureShape {
  readonly kind: "structure";
  readonly name: string;
  readonly members: readonly Member[];
}

export interface Member {
  readonly name: string;
  /** As a parameter of a call. */
  readonly queryName: string;
  /** As an element of an answer. */
  readonly xmlName: string;
  readonly isRequired: boolean;
  readonly shape: () => Shape;
}

export interface Operation {
  readonly input: StructureShape;
  /** Null where an answer holds nothing but the request's id. */
  readonly output: StructureShape | null;
}

interface Traits {
  readonly xmlName?: string;
  readonly ec2QueryName?: string;
}

type Tuple = readonly unknown[];

const LIST = 1;
/** Added to a plain value's number, it stands for a list of such values. */
const PLAIN_LIST = 64;
const STRUCTURE = 3;
const OPERATION = 9;
const plainKinds = new Map<number, Plain["kind"]>([
  [0, "text"],
  [1, "number"],
  [2, "flag"],
  [4, "time"],
  [5, "time"],
  [21, "bytes"],
]);
const known = new WeakMap<Tuple, Shape>();

/** The operation that the service model calls so, or null. */
export function operationOf(action: string): Operation | null {
  const tuple = /^[A-Za-z0-9]{1,100}$/.test(action)
    ? (sdk as unknown as Record<string, unknown>)[`${action}$`]
    : undefined;
  if (!Array.isArray(tuple) || tuple[0] !== OPERATION) {
    return null;
  }
  const [input, output] = [dereferenced(tuple[4]), dereferenced(tuple[5])];
  return { input: structureOf(input), output: Array.isArray(output) ? structureOf(output) : null };
}

function structureOf(reference: unknown): StructureShape {
  const shape = shapeOf(reference);
  if (shape.kind !== "structure") {
    throw new Error("an operation takes and gives structures");
  }
  return shape;
}

function shapeOf(reference: unknown): Shape {
  const target = dereferenced(split(reference).target);
  if (typeof target === "number") {
    return plain(target);
  }
  if (!Array.isArray(target)) {
    throw new Error(`a schema of an unknown form: ${String(target)}`);
  }
  const tuple = target as Tuple;
  const shape = known.get(tuple) ?? read(tuple);
  known.set(tuple, shape);
  return shape;
}

function read(tuple: Tuple): Shape {
  if (tuple[0] === LIST) {
    return {
      kind: "list",
      item: () => shapeOf(tuple[4]),
      itemXmlName: split(tuple[4]).traits.xmlName ?? "member",
    };
  }
  if (tuple[0] !== STRUCTURE) {
    return plain(Number(tuple[4]));
  }
  const names = tuple[4] as readonly string[];
  const references = tuple[5] as readonly unknown[];
  // Required members come first; the tuple ends with how many they are.
  const required = (tuple[6] as number | undefined) ?? 0;
  const members = names.map((name, index) => memberOf(name, references[index], index < required));
  return { kind: "structure", name: String(tuple[2]), members };
}

function memberOf(name: string, reference: unknown, isRequired: boolean): Member {
  const { traits } = split(reference);
  const xmlName = traits.xmlName ?? name;
  const queryName = traits.ec2QueryName ?? `${xmlName.slice(0, 1).toUpperCase()}${xmlName.slice(1)}`;
  return { name, queryName, xmlName, isRequired, shape: () => shapeOf(reference) };
}

function plain(number: number): Shape {
  if (number >= PLAIN_LIST && plainKinds.has(number - PLAIN_LIST)) {
    return { kind: "list", item: () => plain(number - PLAIN_LIST), itemXmlName: "member" };
  }
  const kind = plainKinds.get(number);
  if (kind === undefined) {
    throw new Error(`a schema of an unknown kind: ${number}`);
  }
  return { kind };
}

/** A reference without its own traits. A schema's tuple has a text in second place, a pair has traits there. */
function split(reference: unknown): { target: unknown; traits: Traits } {
  if (Array.isArray(reference) && typeof reference[1] !== "string") {
    const [target, traits] = reference as [unknown, unknown];
    return { target, traits: typeof traits === "object" && traits !== null ? traits : {} };
  }
  return { target: reference, traits: {} };
}

function dereferenced(reference: unknown): unknown {
  return typeof reference === "function" ? (reference as () => unknown)() : reference;
}
