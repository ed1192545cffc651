import type { Row } from "../../row.ts";
import { neighboursOnEc2 } from "./t15-neighbours.ts";
import { reachOnEc2 } from "./t15-reach.ts";
import { resolverOnEc2 } from "./t16-resolver.ts";
import { identityOnEc2 } from "./t27-identity.ts";
import { orphansOnEc2 } from "./t27-orphans.ts";
import { lostRepliesOnEc2 } from "./t28-lost-replies.ts";
import { imagesOnEc2 } from "./t40-images.ts";

/** What of these attacks differs on EC2 and needs no guest to be tried. */
export const ec2Rows: readonly Row[] = [
  reachOnEc2,
  neighboursOnEc2,
  resolverOnEc2,
  identityOnEc2,
  orphansOnEc2,
  lostRepliesOnEc2,
  imagesOnEc2,
];
