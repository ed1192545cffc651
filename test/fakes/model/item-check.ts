import { isSealed } from "./answer.ts";
import { isRecord } from "./json.ts";
import { checkFields, isKind, refusal, wrongType, wrongValue } from "./refusal.ts";
import type { Kind, Refusal } from "./refusal.ts";

/** The input items that Codex sends, with the fields each needs. An item without a type is a message. */
const items: Record<string, Record<string, Kind[]>> = {
  message: { role: ["string"], content: ["string", "array"] },
  reasoning: { summary: ["array"], encrypted_content: ["string"] },
  function_call: { call_id: ["string"], name: ["string"], arguments: ["string"] },
  function_call_output: { call_id: ["string"], output: ["string", "array"] },
  custom_tool_call: { call_id: ["string"], name: ["string"], input: ["string"] },
  custom_tool_call_output: { call_id: ["string"], output: ["string", "array"] },
  additional_tools: { role: ["string"], tools: ["array"] },
};

const tools: Record<string, Record<string, Kind[]>> = {
  function: { name: ["string"], parameters: ["object"] },
  custom: { name: ["string"] },
  namespace: { name: ["string"], description: ["string"], tools: ["array"] },
};

const roles = ["user", "assistant", "system", "developer"];
const parts = ["input_text", "output_text", "input_image", "refusal"];
// The API's own bound on identifiers.
const ID_CHARS_MAX = 64;

/** What the API would object to in the conversation. `secret` is what reasoning was sealed with. */
export function checkItems(input: unknown, secret: string): Refusal | null {
  if (!Array.isArray(input)) {
    return null;
  }
  for (const [index, item] of input.entries()) {
    const refused = checkItem(item, `input[${index}]`, secret);
    if (refused !== null) {
      return refused;
    }
  }
  return null;
}

function checkItem(item: unknown, path: string, secret: string): Refusal | null {
  if (!isRecord(item)) {
    return wrongType(path, ["object"], item);
  }
  const type = item.type ?? "message";
  const fields = typeof type === "string" && Object.hasOwn(items, type) ? items[type] : undefined;
  if (fields === undefined) {
    return wrongValue(`${path}.type`, type, Object.keys(items));
  }
  if (item.id !== undefined && item.id !== null && !isKind(item.id, "string")) {
    return wrongType(`${path}.id`, ["string"], item.id);
  }
  const refused = checkFields(item, fields, path);
  if (refused !== null) {
    return refused;
  }
  switch (type) {
    case "message":
      return checkMessage(item, path);
    case "additional_tools":
      return item.role === "developer"
        ? checkTools(item.tools, `${path}.tools`)
        : wrongValue(`${path}.role`, item.role, ["developer"]);
    case "reasoning":
      return isSealed(item.encrypted_content, secret)
        ? null
        : refusal("The encrypted content could not be verified.", path, "invalid_encrypted_content");
    default:
      return String(item.call_id).length > ID_CHARS_MAX || item.call_id === ""
        ? refusal(
            `Invalid '${path}.call_id': expected 1 to ${ID_CHARS_MAX} characters.`,
            `${path}.call_id`,
            "invalid_value",
          )
        : null;
  }
}

function checkMessage(message: Record<string, unknown>, path: string): Refusal | null {
  if (!roles.includes(String(message.role))) {
    return wrongValue(`${path}.role`, message.role, roles);
  }
  for (const [index, part] of (Array.isArray(message.content) ? message.content : []).entries()) {
    const partPath = `${path}.content[${index}]`;
    if (!isRecord(part) || !parts.includes(String(part.type))) {
      return wrongValue(`${partPath}.type`, isRecord(part) ? part.type : part, parts);
    }
    const isFromAssistant = message.role === "assistant";
    if ((part.type === "output_text") !== isFromAssistant && part.type !== "refusal") {
      return wrongValue(`${partPath}.type`, part.type, [isFromAssistant ? "output_text" : "input_text"]);
    }
    const refused = checkFields(
      part,
      part.type === "input_image" ? { image_url: ["string"] } : textFieldOf(part),
      partPath,
    );
    if (refused !== null) {
      return refused;
    }
  }
  return null;
}

function textFieldOf(part: Record<string, unknown>): Record<string, Kind[]> {
  return part.type === "refusal" ? { refusal: ["string"] } : { text: ["string"] };
}

/** What it would object to in the tools on offer. Tools that the API runs itself are never on offer here. */
export function checkTools(offered: unknown, path: string): Refusal | null {
  if (!Array.isArray(offered)) {
    return null;
  }
  for (const [index, tool] of offered.entries()) {
    const toolPath = `${path}[${index}]`;
    if (!isRecord(tool)) {
      return wrongType(toolPath, ["object"], tool);
    }
    const fields = typeof tool.type === "string" && Object.hasOwn(tools, tool.type) ? tools[tool.type] : undefined;
    if (fields === undefined) {
      return tool.type === undefined
        ? refusal(`Missing required parameter: '${toolPath}.type'.`, `${toolPath}.type`, "missing_required_parameter")
        : wrongValue(`${toolPath}.type`, tool.type, Object.keys(tools));
    }
    const refused = checkFields(tool, fields, toolPath) ?? checkTools(tool.tools, `${toolPath}.tools`);
    if (refused !== null) {
      return refused;
    }
  }
  return null;
}
