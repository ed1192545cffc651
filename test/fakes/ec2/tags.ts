import { badValue, Ec2Refusal } from "./refusal.ts";
import type { Tags } from "./world.ts";

interface Specification {
  readonly ResourceType?: string | undefined;
  readonly Tags?: readonly { readonly Key?: string | undefined; readonly Value?: string | undefined }[] | undefined;
}

// The EC2 User Guide's tag restrictions.
const TAGS_MAX = 50;
const KEY_CHARS_MAX = 128;
const VALUE_CHARS_MAX = 256;
/** What can be tagged in the call that launches. */
const taggable = ["fleet", "instance", "network-interface", "spot-instances-request", "volume"];

/** Tags by resource type. Throws an Ec2Refusal for what EC2 would not take. */
export function readTagSpecifications(
  given: readonly Specification[] | undefined,
  resources: readonly string[] = taggable,
): Record<string, Tags> {
  const tagged: Record<string, Tags> = {};
  for (const { ResourceType: resource = "", Tags: tags = [] } of given ?? []) {
    if (!resources.includes(resource)) {
      throw badValue("TagSpecification.ResourceType", resource, "It cannot be tagged here.");
    }
    if (resource in tagged) {
      throw badValue("TagSpecification.ResourceType", resource, "The same resource type may not be specified twice.");
    }
    tagged[resource] = readTags(tags);
  }
  return tagged;
}

/** Tags of one resource. */
function readTags(given: NonNullable<Specification["Tags"]>): Tags {
  const tags: Tags = {};
  if (given.length > TAGS_MAX) {
    throw new Ec2Refusal("TagLimitExceeded", "The maximum number of Tags has been reached.");
  }
  for (const { Key: key = "", Value: value = "" } of given) {
    if (key === "" || key.length > KEY_CHARS_MAX || /^aws:/i.test(key) || key in tags) {
      throw badValue("Tag.Key", key, "Keys are 1 to 128 characters, used once, and do not begin with aws:.");
    }
    if (value.length > VALUE_CHARS_MAX) {
      throw badValue("Tag.Value", value, "Values are at most 256 characters.");
    }
    tags[key] = value;
  }
  return tags;
}

export function tagList(tags: Readonly<Tags>): { Key: string; Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}
