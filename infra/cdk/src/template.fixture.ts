/** CloudFormation's own JSON: as deep and as loose as it is. */
// eslint-disable-next-line typescript/no-explicit-any
export type Json = any;

export interface Template {
  Resources: Record<string, { Type: string; Properties: Json }>;
}

export function all(template: Template, type: string): [string, Json][] {
  return Object.entries(template.Resources)
    .filter(([, { Type }]) => Type === type)
    .map(([id, { Properties }]) => [id, Properties]);
}

/** The resource of a type whose name begins so; an empty one where there is none, which breaks every rule about it. */
export function one(template: Template, type: string, prefix = ""): { Properties: Json } {
  const found = Object.entries(template.Resources).find(([id, { Type }]) => Type === type && id.startsWith(prefix));
  return found?.[1] ?? { Properties: {} };
}

export function machineVpc(template: Template) {
  return template.Resources["MachineVpc"];
}

export function machineTemplate(template: Template): Json {
  return template.Resources["MachineTemplate"]?.Properties.LaunchTemplateData ?? {};
}

export function brokerSubnets(template: Template): string[] {
  return all(template, "AWS::EC2::Subnet")
    .filter(([id]) => id.includes("brokerSubnet"))
    .map(([, { CidrBlock }]) => CidrBlock);
}

export function brokerAddresses(template: Template): string[] {
  return all(template, "AWS::ElasticLoadBalancingV2::LoadBalancer")
    .flatMap(([, { SubnetMappings }]) => SubnetMappings ?? [])
    .flatMap(({ PrivateIPv4Address }: Json) => (PrivateIPv4Address === undefined ? [] : [PrivateIPv4Address]));
}

export function brokerDoors(template: Template): string[] {
  return brokerAddresses(template)
    .map((address) => `${address}/32:8443-8443`)
    .sort(byText);
}

export function destination({ CidrIp, FromPort, ToPort, IpProtocol }: Json): string {
  return IpProtocol === "tcp" ? `${CidrIp}:${FromPort}-${ToPort}` : `${IpProtocol}`;
}

export function range({ From, To }: Json): string {
  return `${From}-${To}`;
}

export function isAssociated(template: Template, type: string, names: readonly string[]): boolean {
  return all(template, type).some(([, properties]) => names.every((name) => mentions(properties, name)));
}

/** Statements of a role's policies, or of all roles. */
export function policies(template: Template, role: string): Json[] {
  return all(template, "AWS::IAM::Policy")
    .filter(([, { Roles }]) => role === "" || Roles.some((one: Json) => one.Ref.startsWith(role)))
    .flatMap(([, { PolicyDocument }]) => PolicyDocument.Statement);
}

/** What allows an action. */
export function statements(template: Template, role: string, action: string): Json[] {
  return policies(template, role).filter(({ Effect, Action }) => Effect === "Allow" && list(Action).includes(action));
}

export function denials(template: Template): { Action: string[]; Condition?: Json }[] {
  return policies(template, "HostRole")
    .filter(({ Effect }) => Effect === "Deny")
    .map((statement) => ({ ...statement, Action: list(statement.Action) }));
}

/** Whether anything but what `except` names is given by a star. */
export function isWild(resources: Json, except: RegExp): boolean {
  return list(resources).some((resource: Json) => {
    const text = JSON.stringify(resource);
    return text.includes("*") && !except.test(text);
  });
}

export function list<One>(value: One | One[]): One[] {
  return Array.isArray(value) ? value : [value];
}

export function mentions(value: Json, name: string): boolean {
  return value !== undefined && new RegExp(`"[^"]*${name}[^"]*"`).test(JSON.stringify(value));
}

export function byText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

export function same(a: Json, b: Json): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

export function unless(holds: boolean, what: string): string[] {
  return holds ? [] : [what];
}

/** By name, each a rule that answers with what breaks it. */
export type Rules = Readonly<Record<string, (template: Template) => string[]>>;
