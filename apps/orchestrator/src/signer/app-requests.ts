import { z } from "zod";

/** Larger pages GitHub does not give. */
const PAGE_MAX = 100;
/** GitHub's cursors are of some tens of characters. */
const CURSOR = /^[A-Za-z0-9_=.:+/-]{1,256}$/;

const id = z.int().positive();
/** Octokit reads a number that JSON's would not hold as a bigint. */
const deliveryId = z.union([z.number(), z.bigint()]).transform(Number);

/** Every request that may be made with the App's own right, what it takes, and what of GitHub's answer is passed on. */
export const appRequests = {
  "GET /app": {
    parameters: z.strictObject({}),
    data: z.object({ id, slug: z.string().min(1).max(100) }),
  },
  "GET /app/hook/deliveries": {
    parameters: z.strictObject({
      per_page: z.int().min(1).max(PAGE_MAX),
      cursor: z.string().regex(CURSOR).optional(),
    }),
    data: z
      .array(z.object({ id: deliveryId, guid: z.string().max(100), delivered_at: z.string().max(40) }))
      .max(PAGE_MAX),
  },
  "POST /app/hook/deliveries/{delivery_id}/attempts": {
    parameters: z.strictObject({ delivery_id: z.number().positive() }),
    data: z.unknown().transform(() => ({})),
  },
} as const;

export type AppRoute = keyof typeof appRequests;
export type AppRequests = { [Route in AppRoute]: z.input<(typeof appRequests)[Route]["parameters"]> };
export type AppAnswers = {
  [Route in AppRoute]: {
    readonly data: z.output<(typeof appRequests)[Route]["data"]>;
    /** `link` alone: where the next page is. */
    readonly headers: { readonly link?: string | undefined };
  };
};
