import type { EC2Client } from "@aws-sdk/client-ec2";

export const GRACE_MS: number;
export const UNTAGGED_MS: number;
export function sweep(options: { ec2: EC2Client; fleet: string; now: number }): Promise<{
  ended: { instance: number; volume: number; interface: number };
  failed: { id: string; error: string }[];
  left: number;
}>;
export function isDue(thing: { deadline: string | null; since: number | null }, now: number): boolean;
export function handler(): Promise<void>;
