import { openEc2World } from "./ec2-world.ts";
import { describeProvider } from "./provider-suite.ts";

describeProvider("ec2", () => openEc2World());
