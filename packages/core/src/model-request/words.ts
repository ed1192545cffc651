import { matching } from "./fields.ts";

/** What the API allows as a name of a function, longer ones included that newer models take. */
export const name = matching(/^[A-Za-z0-9_.-]{1,128}$/);

/** Ids of items and calls: the API's own have 64 characters at most; other servers add dots and colons. */
export const id = matching(/^[A-Za-z0-9_.:-]{1,128}$/);

/** A setting's value, such as an effort. */
export const word = matching(/^[a-z_]{1,20}$/);
