import {
  byType,
  dropped,
  exactly,
  forbidden,
  list,
  nothing,
  optional,
  type Read,
  record,
  required,
  text,
} from "./fields.ts";
import { type ModelRefusalCode, refuse } from "./refusal.ts";

/** One image as text (UTF-16 code units): 6 MB of file, well above what the CLI makes of a screenshot. */
const IMAGE_CHARS_MAX = 8 * 1024 * 1024;

const IMAGE_HEAD = /^data:image\/(?:png|jpeg|gif|webp);base64,/;
const IMAGE_DATA = /^[A-Za-z0-9+/]+={0,2}$/;

const imageUrl: Read = (value, at) => {
  if (typeof value !== "string") {
    return refuse("FIELD_INVALID", at);
  }
  if (!/^data:/i.test(value)) {
    return refuse("URL_REFERENCE", at);
  }
  if (value.length > IMAGE_CHARS_MAX) {
    return refuse("IMAGE_TOO_BIG", at);
  }
  const head = IMAGE_HEAD.exec(value)?.[0];
  return head !== undefined && IMAGE_DATA.test(value.slice(head.length)) ? value : refuse("IMAGE_INVALID", at);
};

const inputText = record({ type: required(exactly("input_text")), text: required(text) });

const inputImage = record({
  type: required(exactly("input_image")),
  detail: optional(exactly("auto", "low", "high", "original")),
  image_url: required(imageUrl),
  file_id: forbidden("FILE_REFERENCE"),
});

// Citations name files and addresses; what Codex itself sends back has none.
const outputText = record({
  type: required(exactly("output_text")),
  text: required(text),
  annotations: dropped(nothing),
  logprobs: dropped(nothing),
});

const refusalText = record({ type: required(exactly("refusal")), refusal: required(text) });
const summaryText = record({ type: required(exactly("summary_text")), text: required(text) });
const reasoningText = record({ type: required(exactly("reasoning_text")), text: required(text) });

const inputParts = { input_text: inputText, input_image: inputImage };

/** What people and programs say to the model, and what it said. */
export const messageContent = list(
  byType({ types: { ...inputParts, output_text: outputText, refusal: refusalText }, codeOf }),
);

const outputParts = list(byType({ types: inputParts, codeOf }));

/** What a tool gave back: text, or a list of parts. */
export const toolOutput: Read = (value, at) => (typeof value === "string" ? value : outputParts(value, at));

export const reasoningSummary = list(byType({ types: { summary_text: summaryText }, codeOf }));
export const reasoningContent = list(byType({ types: { reasoning_text: reasoningText }, codeOf }));

function codeOf(type: string): ModelRefusalCode {
  return /file|audio|video/.test(type) ? "FILE_REFERENCE" : "CONTENT_UNKNOWN";
}
