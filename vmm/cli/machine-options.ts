/** From options to a machine description. zod is loaded only when there is something that it has to check. */

import { readFileSync } from 'node:fs';
import type { Plan } from '../../devices/vconfig/plan.ts';
import { completeOptions } from '../bus/iommu.ts';
import { TsvmmError } from '../core/errors.ts';
import type { Zod, ZodType } from '../core/zod.ts';
import {
  defaultConfig,
  type HostConfig,
  type MachineConfig,
  nameDevices,
  parseMachineConfig,
  parseSize,
  supportOf,
} from '../machine/config.ts';
import type { Registry } from '../machine/registry.ts';
import type { OptionsOf } from './command.ts';
import type { MACHINE_OPTIONS } from './table.ts';
import { checkKey, type KindSpec, parseCount, parseKindSpec, typedValue } from './values.ts';

export type MachineOptions = OptionsOf<typeof MACHINE_OPTIONS>;

/** Remembers descriptions that zod has accepted, so that a warm start does without it. */
export interface AcceptedBefore {
  has(description: string): boolean;
  add(description: string): void;
}

type LoadZod = () => Promise<Zod>;
export const loadZod: LoadZod = () => import('zod');

export async function machineFrom(
  options: MachineOptions,
  registry: Registry,
  accepted: AcceptedBefore | undefined,
): Promise<MachineConfig> {
  const base = await baseConfig(options, registry);
  const highmem = options.highmem === undefined ? base.highmem : options.highmem === 'on';
  const added: DeviceDraft[] = [];
  for (const text of options.device) added.push(await deviceFrom(text, registry, accepted));
  const { viommu, host } = await viommuAndHost(options, base, added, registry, accepted);
  const vconfigs = await plansOf(base, added);
  return {
    machine: base.machine,
    highmem,
    memory: options.memory === undefined ? base.memory : memoryFrom(options.memory),
    seed: options.seed === undefined ? base.seed : parseCount(options.seed, '--seed'),
    firmware: (options.firmware as MachineConfig['firmware'] | undefined) ?? base.firmware,
    viommu,
    reserved: base.reserved,
    ...(host === undefined ? {} : { host }),
    devices: added.length === 0 ? base.devices : nameDevices([...base.devices, ...added]),
    ...(vconfigs === undefined ? {} : { vconfigs }),
    ...(await quirksOf(options['vconfig-quirks'], host, base)),
    ...(await policyOf(options['vconfig-policy'], host, base)),
  };
}

/** Plans become part of the machine: by the name that a device gives, which the description has, or else a file. */
async function plansOf(
  base: MachineConfig,
  added: readonly DeviceDraft[],
): Promise<MachineConfig['vconfigs']> {
  const plans: Record<string, Plan> = { ...base.vconfigs };
  for (const { vconfig } of added) {
    if (vconfig === undefined || Object.hasOwn(plans, vconfig)) continue;
    const { readPlan } = await import('./vconfig-files.ts');
    plans[vconfig] = await readPlan(vconfig);
  }
  return Object.keys(plans).length === 0 ? undefined : plans;
}

/** The list is part of the machine: what is hidden in a device decides what the guest sees of it. */
async function quirksOf(
  file: string | undefined,
  host: MachineConfig['host'],
  base: MachineConfig,
): Promise<Pick<MachineConfig, 'vconfigQuirks'>> {
  if (host === undefined) {
    if (file === undefined) return {};
    throw withoutHost('--vconfig-quirks');
  }
  if (file === undefined && base.vconfigQuirks !== undefined) return { vconfigQuirks: base.vconfigQuirks };
  const { quirksText } = await import('./vconfig-files.ts');
  return { vconfigQuirks: quirksText(file) };
}

/** What becomes of devices of the host that have no plan. */
async function policyOf(
  file: string | undefined,
  host: MachineConfig['host'],
  base: MachineConfig,
): Promise<Pick<MachineConfig, 'vconfigPolicy'>> {
  const before = base.vconfigPolicy === undefined ? {} : { vconfigPolicy: base.vconfigPolicy };
  if (file === undefined) return before;
  if (host === undefined) throw withoutHost('--vconfig-policy');
  if (file === 'refuse') return { vconfigPolicy: 'refuse' };
  const { readPolicy } = await import('./vconfig-files.ts');
  return { vconfigPolicy: await readPolicy(file) };
}

const withoutHost = (option: string): TsvmmError =>
  new TsvmmError({
    code: 'bad-value',
    object: option,
    why: 'is about devices of a host, and the machine runs on none',
    mend: 'name a host (--host), or leave it out',
  });

/** The host of the command line, else that of the description. */
async function hostFrom(
  options: MachineOptions,
  base: MachineConfig,
  registry: Registry,
): Promise<MachineConfig['host']> {
  const fallback = (options.fallback ?? base.host?.fallback ?? 'explain') as HostConfig['fallback'];
  const verify = options.verify || base.host?.verify === true;
  if (options.host === undefined) {
    if (base.host !== undefined) return { ...base.host, fallback, verify };
    if (options.fallback !== undefined) throw withoutHost('--fallback');
    if (options.verify) {
      throw new TsvmmError({
        code: 'no-host',
        object: '--verify',
        why: 'compares what the IOMMU of a host does, and the machine runs on none',
        mend: 'name a host (--host), or leave it out',
      });
    }
    return undefined;
  }
  const { hostJson } = await import('./host-files.ts');
  const source = options.host;
  const file = supportOf(registry, '--host').check(await loadZod(), registry, hostJson(source), source);
  return { file, source, fallback, verify };
}

async function baseConfig(options: MachineOptions, registry: Registry): Promise<MachineConfig> {
  const asked = options.machine as MachineConfig['machine'] | undefined;
  if (options.config === undefined) {
    const config = defaultConfig(registry, asked ?? (await machineFor(options, registry)));
    return options.device.length === 0 ? config : { ...config, devices: [] };
  }
  const config = parseMachineConfig(await loadZod(), registry, readJson(options.config), options.config);
  return asked === undefined ? config : { ...config, machine: asked };
}

/** The machine type that has such an IOMMU: q35 if it is one of several. */
async function machineFor(options: MachineOptions, registry: Registry): Promise<MachineConfig['machine']> {
  const { viommu } = options;
  const named = viommu === undefined ? 'none' : parseKindSpec(viommu, '--viommu').kind;
  const kind = named === COPY_HOST ? await architectureOf(options, registry) : named;
  const machines = kind === 'none' ? [] : registry.iommu(kind).machines;
  return machines.length === 0 || machines.includes('q35') ? 'q35' : machines[0]!;
}

function readJson(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : `cannot be read (${code})`;
    throw new TsvmmError({ code: 'unreadable-config', object: file, why, cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TsvmmError({
      code: 'bad-json',
      object: file,
      why: `is not JSON: ${(cause as Error).message.split('\n')[0]}`,
      mend: "'tsvmm run --dump-config' prints a description to start from",
      cause,
    });
  }
}

function memoryFrom(text: string): number {
  const size = /^(\d+)([KMG])(?:i?B)?$/i.exec(text);
  if (size === null && !/^(\d+|0x[0-9a-f]+)$/i.test(text)) {
    throw new TsvmmError({
      code: 'bad-value',
      object: '--memory',
      why: `'${text}' is not a size`,
      mend: 'write 64M',
    });
  }
  return parseSize(size === null ? Number(text) : `${size[1]}${size[2]!.toUpperCase()}`, 'command line');
}

/** `--viommu copy-host`: made after the most capable unit of the host that boot-time devices are behind. */
export const COPY_HOST = 'copy-host';

async function viommuAndHost(
  options: MachineOptions,
  base: MachineConfig,
  added: readonly DeviceDraft[],
  registry: Registry,
  accepted: AcceptedBefore | undefined,
): Promise<Pick<MachineConfig, 'viommu' | 'host'>> {
  const host = await hostFrom(options, base, registry);
  if (options.viommu === undefined) return { viommu: base.viommu, host };
  const spec = parseKindSpec(options.viommu, '--viommu');
  if (spec.kind !== COPY_HOST)
    return { viommu: await viommuFrom(options.viommu, registry, accepted), host: withoutCopy(host) };
  if (host === undefined) throw copiesNothing();
  const devices = addressesOf([...base.devices, ...added]);
  const { unit, kind, options: copied } = supportOf(registry, '--host').copy(host, registry, devices);
  if (!registry.iommu(kind).machines.includes(base.machine)) {
    throw new TsvmmError({
      code: 'wrong-machine',
      object: '--viommu copy-host',
      why: `unit ${unit} of ${host.source} makes it ${kind}, which does not exist on machine '${base.machine}'`,
      mend: `leave --machine out, or choose an IOMMU of '${base.machine}': software serves the devices behind it`,
    });
  }
  const viommu = { kind, options: await withEntries(registry.iommu(kind), spec, copied) };
  return { viommu, host: { ...host, copied: { unit, devices } } };
}

/** The IOMMU of the command line is no copy, whatever the description says. */
function withoutCopy(host: MachineConfig['host']): MachineConfig['host'] {
  if (host?.copied === undefined) return host;
  const { copied: _copied, ...rest } = host;
  return rest;
}

const copiesNothing = (): TsvmmError =>
  new TsvmmError({
    code: 'no-host',
    object: '--viommu copy-host',
    why: 'copies a unit of a host, and the machine runs on none',
    mend: 'name a host (--host), or an IOMMU',
  });

/** Of assigned devices. */
const addressesOf = (devices: readonly { kind: string; options: Readonly<Record<string, unknown>> }[]) =>
  devices.filter(({ kind }) => kind === 'vfio-pci').map(({ options }) => String(options['host']));

async function architectureOf({ host: source }: MachineOptions, registry: Registry): Promise<string> {
  if (source === undefined) throw copiesNothing();
  const { hostJson } = await import('./host-files.ts');
  const support = supportOf(registry, '--host');
  const file = support.check(await loadZod(), registry, hostJson(source), source);
  return support.copy({ file, source, fallback: 'explain' }, registry, []).kind;
}

/** Options with those that a text gives in place of the others. */
async function withEntries(
  kind: Kind,
  spec: KindSpec,
  options: Readonly<Record<string, unknown>>,
): Promise<Readonly<Record<string, unknown>>> {
  const where = `--viommu ${spec.kind}`;
  const given: Record<string, unknown> = {};
  for (const [key, value] of spec.entries) {
    checkKey(key, Object.keys(options), where);
    given[key] = typedValue(value, options[key], `${where}: ${key}`);
  }
  return check(await loadZod(), kind, { ...options, ...given }, where);
}

async function viommuFrom(
  text: string,
  registry: Registry,
  accepted: AcceptedBefore | undefined,
): Promise<MachineConfig['viommu']> {
  const spec = parseKindSpec(text, '--viommu');
  if (spec.kind === 'none') {
    if (spec.entries.length === 0) return null;
    throw new TsvmmError({
      code: 'unknown-key',
      object: '--viommu none',
      why: 'takes no keys',
      mend: 'write none',
    });
  }
  const kind = registry.iommu(spec.kind);
  const where = `--viommu ${spec.kind}`;
  return { kind: spec.kind, options: await optionsOf(kind, spec, [], where, accepted) };
}

interface DeviceDraft {
  readonly kind: string;
  readonly id?: string | undefined;
  readonly addr?: string | undefined;
  readonly bus?: string | undefined;
  readonly vconfig?: string | undefined;
  readonly options: Readonly<Record<string, unknown>>;
}

/** Keys that say where a device is; they belong to the machine, not to the kind. */
export const PLACE_KEYS = ['id', 'addr', 'bus', 'vconfig'] as const;

async function deviceFrom(
  text: string,
  registry: Registry,
  accepted: AcceptedBefore | undefined,
): Promise<DeviceDraft> {
  const spec = parseKindSpec(text, '--device');
  const kind = registry.pci(spec.kind);
  const where = `--device ${spec.kind}`;
  const options = await optionsOf(kind, spec, PLACE_KEYS, where, accepted);
  const place = Object.fromEntries(spec.entries.filter(([key]) => isPlaceKey(key)));
  checkPlace(place, where);
  return { kind: spec.kind, ...place, options };
}

function isPlaceKey(key: string): boolean {
  return (PLACE_KEYS as readonly string[]).includes(key);
}

function checkPlace(place: Readonly<Record<string, string>>, where: string): void {
  const rules: readonly [string, RegExp, string][] = [
    ['id', /^[A-Za-z][\w.-]*$/, 'write a letter, then letters, digits, dots and dashes'],
    ['addr', /^(0x)?[0-9a-f]{1,2}(\.[0-7])?$/i, 'write slot.function, such as 03.0'],
    ['bus', /./, 'write the id of a root port'],
    ['vconfig', /./, 'write a file that tsvmm vconfig plan made'],
  ];
  for (const [key, rule, mend] of rules) {
    const value = place[key];
    if (value === undefined || rule.test(value)) continue;
    throw new TsvmmError({
      code: 'bad-value',
      object: `${where}: ${key}`,
      why: `'${value}' is not possible`,
      mend,
    });
  }
}

interface Kind {
  readonly name: string;
  readonly defaults: unknown;
  readonly presets?: (given: object) => object;
  readonly schema: (z: Zod) => ZodType;
}

async function optionsOf(
  kind: Kind,
  spec: KindSpec,
  placeKeys: readonly string[],
  where: string,
  accepted: AcceptedBefore | undefined,
): Promise<Readonly<Record<string, unknown>>> {
  const defaults = kind.defaults as Readonly<Record<string, unknown>>;
  const known = [...placeKeys, ...Object.keys(defaults)];
  const given: Record<string, unknown> = {};
  for (const [key, value] of spec.entries) {
    checkKey(key, known, where);
    if (!placeKeys.includes(key)) given[key] = typedValue(value, defaults[key], `${where}: ${key}`);
  }
  if (Object.keys(given).length === 0) return defaults;
  const options = completeOptions(kind, given) as Readonly<Record<string, unknown>>;
  const description = JSON.stringify([where, options]);
  if (accepted?.has(description)) return options;
  const checked = check(await loadZod(), kind, options, where);
  accepted?.add(description);
  return checked;
}

function check(z: Zod, kind: Kind, options: unknown, where: string): Readonly<Record<string, unknown>> {
  const parsed = kind.schema(z).safeParse(options);
  if (parsed.success) return parsed.data as Readonly<Record<string, unknown>>;
  const issue = parsed.error.issues[0]!;
  throw new TsvmmError({
    code: 'bad-value',
    object: issue.path.length === 0 ? where : `${where}: ${issue.path.join('.')}`,
    why: `${issue.message[0]!.toLowerCase()}${issue.message.slice(1)}`,
    mend: `see '${where},help'`,
  });
}
