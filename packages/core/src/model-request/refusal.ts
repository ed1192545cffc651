/** Every reason for which a model request is refused, in words for the person who reads the run. Codes are stable. */
export const modelRefusals = {
  BODY_TOO_LONG: "the request is longer than the gateway reads",
  BODY_NOT_JSON: "the request is not JSON",
  BODY_TOO_DEEP: "the request is nested too deeply",
  BODY_TOO_MANY_VALUES: "the request has more values than the gateway reads",
  BODY_NOT_TEXT: "the request holds half a character",
  DUPLICATE_KEY: "the request names a field twice",
  FORBIDDEN_KEY: "the request has a field that no request may have",
  FIELD_UNKNOWN: "the request has a field that is not on the list of what may be sent",
  FIELD_MISSING: "the request lacks a field it needs",
  FIELD_INVALID: "a field of the request has a value that may not be sent",
  MODEL_OTHER: "the request asks for another model than the task's",
  TIER_OTHER: "the request asks for another service tier than the usual one",
  STORED_STATE: "the request refers to state that the model's provider keeps, or asks it to keep some",
  CALLER_IDENTITY: "the request says on whose behalf it is made",
  TOOL_HOSTED: "the request offers a tool that runs outside the machine, or that Codex does not use here",
  TOOL_UNKNOWN: "the request offers a tool of an unknown kind",
  TOOLS_TOO_MANY: "the request offers more tools than any task needs",
  ITEM_HOSTED: "the conversation holds an item of a tool that runs outside the machine, or a reference to a stored one",
  ITEM_UNKNOWN: "the conversation holds an item of an unknown kind",
  CONTENT_UNKNOWN: "the conversation holds content of an unknown kind",
  FILE_REFERENCE: "the conversation refers to a file that the model's provider keeps or fetches",
  URL_REFERENCE: "the request holds an address that the model's provider would fetch",
  IMAGE_INVALID: "an image of the request is not one the gateway can check",
  IMAGE_TOO_BIG: "an image of the request is too big",
  SCHEMA_TOO_BIG: "a schema of the request is too big or nested too deeply",
} as const;

export type ModelRefusalCode = keyof typeof modelRefusals;

/** Thrown and caught inside this folder only: callers get a value. */
export class ModelRefusal extends Error {
  override name = "ModelRefusal";
  readonly code: ModelRefusalCode;
  readonly at: string;

  constructor(code: ModelRefusalCode, at: string) {
    super(modelRefusals[code]);
    this.code = code;
    this.at = at;
  }
}

/** @param at A path of our own field names and indexes: nothing of the request's own words. */
export function refuse(code: ModelRefusalCode, at: string): never {
  throw new ModelRefusal(code, at);
}
