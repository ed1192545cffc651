/** Answers in the Query protocol's XML, written by the service model: a member it does not know is a bug here. */
import type { Ec2Refusal } from "./refusal.ts";
import type { Shape, StructureShape } from "./schema.ts";

const NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/";
const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\r": "&#13;",
};

/** `output` is null for an operation that answers nothing: EC2 then says `return`. */
export function encodeAnswer(action: string, output: StructureShape | null, value: object, requestId: string): string {
  const body = output === null ? "<return>true</return>" : encode(output, value, action);
  return `${prologue}<${action}Response xmlns="${NAMESPACE}"><requestId>${requestId}</requestId>${body}</${action}Response>`;
}

export function encodeRefusal({ code, message }: Ec2Refusal, requestId: string): string {
  const error = `<Error><Code>${escape(code)}</Code><Message>${escape(message)}</Message></Error>`;
  return `${prologue}<Response><Errors>${error}</Errors><RequestID>${requestId}</RequestID></Response>`;
}

const prologue = '<?xml version="1.0" encoding="UTF-8"?>\n';

function encode(shape: Shape, value: unknown, path: string): string {
  switch (shape.kind) {
    case "structure":
      return encodeStructure(shape, value as Record<string, unknown>, path);
    case "list":
      return (value as readonly unknown[])
        .map((item, index) => element(shape.itemXmlName, encode(shape.item(), item, `${path}.${index}`)))
        .join("");
    case "time":
      return expect(value instanceof Date, path) && (value as Date).toISOString();
    case "bytes":
      return expect(value instanceof Uint8Array, path) && Buffer.from(value as Uint8Array).toString("base64");
    case "number":
      return expect(typeof value === "number", path) && String(value);
    case "flag":
      return expect(typeof value === "boolean", path) && String(value);
    default:
      return expect(typeof value === "string", path) && escape(value as string);
  }
}

function encodeStructure(shape: StructureShape, value: Record<string, unknown>, path: string): string {
  const members = new Map(shape.members.map((member) => [member.name, member]));
  let written = "";
  for (const [name, held] of Object.entries(value)) {
    const member = members.get(name);
    if (member === undefined) {
      throw new Error(`${path}.${name} is not in the service model (${shape.name})`);
    }
    if (held !== undefined && held !== null) {
      written += element(member.xmlName, encode(member.shape(), held, `${path}.${name}`));
    }
  }
  return written;
}

function expect(isRight: boolean, path: string): true {
  if (!isRight) {
    throw new Error(`${path} is of a kind that the service model does not give it`);
  }
  return true;
}

function element(name: string, inner: string): string {
  return `<${name}>${inner}</${name}>`;
}

function escape(text: string): string {
  // XML 1.0 cannot carry control characters, but for these three.
  const carried = text.replaceAll(/\p{Cc}/gu, (at) => ("\t\n\r".includes(at) ? at : ""));
  return carried.replaceAll(/[&<>"\r]/g, (at) => entities[at] ?? at);
}
