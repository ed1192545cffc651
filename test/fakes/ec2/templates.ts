import type {
  CreateLaunchTemplateRequest,
  CreateLaunchTemplateResult,
  CreateLaunchTemplateVersionRequest,
  CreateLaunchTemplateVersionResult,
  DescribeLaunchTemplateVersionsRequest,
  DescribeLaunchTemplateVersionsResult,
  LaunchTemplate,
  LaunchTemplateVersion,
  RequestLaunchTemplateData,
} from "@aws-sdk/client-ec2";
import { checkData } from "./blueprint.ts";
import { badCombination, badValue, Ec2Refusal, onlyModelled } from "./refusal.ts";
import { paged } from "./select.ts";
import { once } from "./tokens.ts";
import type { World } from "./world.ts";

export interface FakeTemplate {
  readonly id: string;
  readonly name: string;
  readonly createdAt: number;
  readonly versions: {
    readonly data: RequestLaunchTemplateData;
    readonly description: string | null;
    readonly createdAt: number;
  }[];
}

interface TemplateName {
  readonly LaunchTemplateId?: string | undefined;
  readonly LaunchTemplateName?: string | undefined;
}

interface Resolved {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly data: RequestLaunchTemplateData;
}

/** The template's version that a launch names. `$Latest` and `$Default` are taken, as EC2 takes them. */
export function resolveTemplate(
  world: World,
  spec: TemplateName & { readonly Version?: string | undefined },
): Resolved {
  const template = findTemplate(world, spec);
  const wanted = spec.Version ?? "$Default";
  const version = wanted === "$Default" ? 1 : wanted === "$Latest" ? template.versions.length : Number(wanted);
  const found = template.versions[version - 1];
  if (found === undefined) {
    const why = `Could not find the specified version ${wanted.slice(0, 20)} for the launch template with ID ${template.id}.`;
    throw new Ec2Refusal("InvalidLaunchTemplateId.VersionNotFound", why);
  }
  return { id: template.id, name: template.name, version, data: found.data };
}

export function createLaunchTemplate(world: World, input: CreateLaunchTemplateRequest): CreateLaunchTemplateResult {
  onlyModelled("CreateLaunchTemplate", input, [
    "ClientToken",
    "DryRun",
    "LaunchTemplateData",
    "LaunchTemplateName",
    "VersionDescription",
  ]);
  return once(world, "CreateLaunchTemplate", input, () => {
    const {
      LaunchTemplateName: name = "",
      LaunchTemplateData: data = {},
      VersionDescription: description = null,
    } = input;
    if (!/^[a-zA-Z0-9()./_-]{3,128}$/.test(name)) {
      throw badValue("LaunchTemplateName", name, "It must be 3 to 128 letters, digits and ()./_-.");
    }
    if (world.templates.values().some((known) => known.name === name)) {
      throw new Ec2Refusal("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.");
    }
    checkData(world, data);
    const id = `lt-${world.names.hex(17)}`;
    const createdAt = world.clock();
    const template: FakeTemplate = { id, name, createdAt, versions: [{ data, description, createdAt }] };
    world.templates.set(id, template);
    return { LaunchTemplate: templateShape(template) };
  });
}

export function createLaunchTemplateVersion(
  world: World,
  input: CreateLaunchTemplateVersionRequest,
): CreateLaunchTemplateVersionResult {
  onlyModelled("CreateLaunchTemplateVersion", input, [
    "ClientToken",
    "DryRun",
    "LaunchTemplateData",
    "LaunchTemplateId",
    "LaunchTemplateName",
    "SourceVersion",
    "VersionDescription",
  ]);
  return once(world, "CreateLaunchTemplateVersion", input, () => {
    const template = findTemplate(world, input);
    const source =
      input.SourceVersion === undefined
        ? {}
        : resolveTemplate(world, { LaunchTemplateId: template.id, Version: input.SourceVersion }).data;
    const data = { ...source, ...input.LaunchTemplateData };
    checkData(world, data);
    template.versions.push({ data, description: input.VersionDescription ?? null, createdAt: world.clock() });
    return { LaunchTemplateVersion: versionShape(template, template.versions.length) };
  });
}

export function describeLaunchTemplateVersions(
  world: World,
  input: DescribeLaunchTemplateVersionsRequest,
): DescribeLaunchTemplateVersionsResult {
  onlyModelled("DescribeLaunchTemplateVersions", input, [
    "DryRun",
    "LaunchTemplateId",
    "LaunchTemplateName",
    "MaxResults",
    "NextToken",
    "Versions",
  ]);
  const template = findTemplate(world, input);
  const every = template.versions.map((_version, index) => String(index + 1));
  const wanted = (input.Versions ?? every).map(
    (version) => resolveTemplate(world, { LaunchTemplateId: template.id, Version: version }).version,
  );
  const { page, nextToken } = paged(wanted, input, { min: 1, max: 200, ordinalOf: (version) => version });
  return { LaunchTemplateVersions: page.map((version) => versionShape(template, version)), NextToken: nextToken };
}

function findTemplate(world: World, { LaunchTemplateId: id, LaunchTemplateName: name }: TemplateName): FakeTemplate {
  if ((id === undefined) === (name === undefined)) {
    throw badCombination("Either the ID or the name of a launch template must be specified, not both.");
  }
  const found = world.templates.values().find((template) => template.id === id || template.name === name);
  if (found === undefined && id !== undefined) {
    throw new Ec2Refusal(
      "InvalidLaunchTemplateId.NotFound",
      `The specified launch template, with template ID ${id}, does not exist.`,
    );
  }
  if (found === undefined) {
    const why = `The specified launch template, with template name ${name}, does not exist.`;
    throw new Ec2Refusal("InvalidLaunchTemplateName.NotFoundException", why);
  }
  return found;
}

function templateShape({ id, name, createdAt, versions }: FakeTemplate): LaunchTemplate {
  return {
    LaunchTemplateId: id,
    LaunchTemplateName: name,
    CreateTime: new Date(createdAt),
    DefaultVersionNumber: 1,
    LatestVersionNumber: versions.length,
  };
}

function versionShape(template: FakeTemplate, version: number): LaunchTemplateVersion {
  const held = template.versions[version - 1];
  return {
    LaunchTemplateId: template.id,
    LaunchTemplateName: template.name,
    VersionNumber: version,
    VersionDescription: held?.description ?? undefined,
    CreateTime: new Date(held?.createdAt ?? template.createdAt),
    DefaultVersion: version === 1,
    // Both have the same members for all that is modelled.
    LaunchTemplateData: held?.data,
  };
}
