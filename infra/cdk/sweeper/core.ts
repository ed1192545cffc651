/**
 * What a sweep needs of `@mayfly/core`, in whose place it is bundled: without it a megabyte of schemas would come along.
 * What is missing here makes the bundling fail.
 */
export * from "../../../packages/core/src/errors.ts";
export * from "../../../packages/core/src/ids.ts";
