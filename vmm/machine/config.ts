import { checkPlan, type Plan, planSchema } from '../../devices/vconfig/plan.ts';
import { DEFAULT_POLICY, type Policy, policySchema } from '../../devices/vconfig/policy.ts';
import type { IommuKind } from '../bus/iommu.ts';
import { TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';
import type { Zod } from '../core/zod.ts';
import type { HostSupport, Registry } from './registry.ts';

/** One `--device`: its kind, its place, and the kind's own options. */
export interface DeviceConfig {
  readonly kind: string;
  readonly id: string;
  /** Slot and function on its bus, `dd.f`; the next free slot if absent. */
  readonly addr?: string | undefined;
  /** Id of the root port it is plugged into; the root bus if absent. */
  readonly bus?: string | undefined;
  /** Name of the plan (MachineConfig.vconfigs) of its config space; the kind's own layout if absent. */
  readonly vconfig?: string | undefined;
  readonly options: Readonly<Record<string, unknown>>;
}

export interface IommuConfig {
  readonly kind: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** The machine, whole: what --dump-config prints and --config reads. */
export interface MachineConfig {
  readonly machine: 'q35' | 'virt';
  /** Of virt: devices above 4 GiB. QEMU's highmem. */
  readonly highmem: boolean;
  /** Bytes of RAM, a multiple of 64 KiB. */
  readonly memory: number;
  readonly seed: number;
  /** `enumerated`: buses numbered, BARs assigned, memory decode on. `raw`: as after power-on. */
  readonly firmware: 'enumerated' | 'raw';
  readonly viommu: IommuConfig | null;
  readonly devices: readonly DeviceConfig[];
  /** Regions that firmware keeps mapped for a device: RMRRs of the DMAR table. */
  readonly reserved: readonly ReservedConfig[];
  /** Virtual configuration spaces by name, whole: they go with the machine wherever it goes. */
  readonly vconfigs?: Readonly<Record<string, Plan>>;
  /** Of a machine that runs on a host: the text of the list of devices with registers that no capability claims. */
  readonly vconfigQuirks?: string;
  /** Of devices of the host that are given without a plan: what their own layout is made by, or that they are refused. */
  readonly vconfigPolicy?: Policy | 'refuse';
  /** The modelled host that the machine runs on, if it has any of its devices. */
  readonly host?: HostConfig | undefined;
}

/** A host, and what may be done where its hardware does not do all that the guest's IOMMU promises. */
export interface HostConfig {
  /** What its file says, checked (vmm/host/model). */
  readonly file: Readonly<Record<string, unknown>>;
  /** Where it was read from, for messages. */
  readonly source: string;
  readonly fallback: 'forbid' | 'explain';
  /** What the hardware translates is compared with what the guest's IOMMU model says. */
  readonly verify?: boolean;
  /** The guest's IOMMU is made after this unit (--viommu copy-host), chosen among those that these devices are behind. */
  readonly copied?: CopiedConfig | undefined;
}

export interface CopiedConfig {
  readonly unit: string;
  readonly devices: readonly string[];
}

export interface ReservedConfig {
  /** Page-aligned. */
  readonly base: number;
  readonly size: number;
  /** Id of the device. */
  readonly device: string;
}

export const MIB = 1 << 20;
/** Less than the 64 MiB of linear memory for which V8 collects garbage: a run goes without. */
export const DEFAULT_MEMORY = 48 * MIB;
/** RAM and the hidden region behind it end below the PCIe window of q35 (0xB0000000). */
export const MAX_MEMORY = 2048 * MIB;

export const MACHINES = ['q35', 'virt'] as const;

/** The IOMMU a machine type has by default: the first of the registry's that stands in it. */
export function defaultIommu(registry: Registry, machine: MachineConfig['machine']): IommuConfig | null {
  const kind = registry.iommuKinds.find((k) => k.machines.includes(machine));
  return kind === undefined ? null : { kind: kind.name, options: kind.defaults as Record<string, unknown> };
}

/** What `tsvmm run GUEST` boots without further options. */
export function defaultConfig(registry: Registry, machine: MachineConfig['machine'] = 'q35'): MachineConfig {
  const defaults = registry.pci('edu').defaults as Record<string, unknown>;
  // edu reaches 28 address bits unless told otherwise, and RAM of virt begins above them.
  return {
    machine,
    highmem: true,
    memory: DEFAULT_MEMORY,
    seed: 1,
    firmware: 'enumerated',
    viommu: defaultIommu(registry, machine),
    devices: [
      {
        kind: 'edu',
        id: 'edu0',
        options: { ...defaults, ...(machine === 'virt' ? { dma_mask: '0xffffffffffffffff' } : {}) },
      },
    ],
    reserved: [],
  };
}

/** The schema of a machine description file; options of a device or vIOMMU stand beside its kind. */
export function machineSchema(z: Zod, registry: Registry) {
  const page = z
    .number()
    .int()
    .min(0)
    .max(2 ** 32)
    .multipleOf(4096);
  const size = z.union([z.number().int(), z.string().regex(/^\d+[KMG]$/)]);
  const device = z.discriminatedUnion(
    'kind',
    registry.pciKinds.map((kind) =>
      z.strictObject({
        kind: z.literal(kind.name),
        id: z
          .string()
          .regex(/^[A-Za-z][\w.-]*$/)
          .optional(),
        addr: z
          .string()
          .regex(/^(0x)?[0-9a-f]{1,2}(\.[0-7])?$/i)
          .optional(),
        bus: z.string().optional(),
        vconfig: z.string().optional(),
        ...shapeOf(kind.schema(z)),
      }),
    ) as never,
  );
  const viommu = z.discriminatedUnion(
    'kind',
    registry.iommuKinds.map((kind) =>
      z.strictObject({ kind: z.literal(kind.name), ...shapeOf(kind.schema(z)) }),
    ) as never,
  );
  return z.strictObject({
    machine: z.enum(MACHINES).default('q35'),
    highmem: z.boolean().default(true).describe('of virt: devices above 4 GiB'),
    memory: size.default(DEFAULT_MEMORY),
    seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(1),
    firmware: z.enum(['enumerated', 'raw']).default('enumerated'),
    viommu: z.union([viommu, z.null()]).default(null),
    devices: z.array(device).default([]),
    reserved: z
      .array(z.strictObject({ base: page, size: page.min(4096), device: z.string() }))
      .default([])
      .describe('regions firmware keeps mapped for a device (RMRR)'),
    vconfigs: z
      .record(z.string(), planSchema(z))
      .optional()
      .describe('virtual configuration spaces by name: what vconfig= of a device refers to'),
    vconfigQuirks: z
      .string()
      .optional()
      .describe("the text of --vconfig-quirks: registers of the host's devices that no capability claims"),
    vconfigPolicy: z
      .union([z.literal('refuse'), policySchema(z)])
      .optional()
      .describe('what becomes of devices of the host without a plan: laid out by this policy, or refused'),
    host: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('the host that the machine runs on: see tsvmm schema host'),
    copied: z
      .strictObject({ unit: z.string(), devices: z.array(z.string()) })
      .optional()
      .describe(
        "the unit of the host that viommu is made after (--viommu copy-host), and the devices' addresses",
      ),
    fallback: z
      .enum(['forbid', 'explain'])
      .default('explain')
      .describe(
        "where the host's hardware cannot do what an assigned device needs: refuse, or do it in software and say why",
      ),
    verify: z
      .boolean()
      .default(false)
      .describe(
        "compare what the host's hardware translates with what the guest's IOMMU model says, at every request",
      ),
  });
}

function shapeOf(schema: unknown): Record<string, never> {
  return (schema as { readonly shape: Record<string, never> }).shape;
}

/** Checks a machine description that came from outside. @throws TsvmmError naming `source` and the place in it */
export function parseMachineConfig(z: Zod, registry: Registry, json: unknown, source: string): MachineConfig {
  checkKinds(registry, json, source);
  const parsed = machineSchema(z, registry).safeParse(withPresets(registry, json));
  if (!parsed.success) {
    const issue = innermost(parsed.error.issues[0]! as Issue);
    throw new TsvmmError({
      code: 'bad-config',
      object: `${source}${issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`}`,
      why: issue.message.replace(/\.$/, '').toLowerCase(),
      mend:
        issue.code === 'unrecognized_keys' ? keyHint(registry, json, issue) : "see 'tsvmm schema machine'",
    });
  }
  const value = parsed.data;
  const memory = parseSize(value.memory, source);
  return {
    machine: value.machine,
    highmem: value.highmem,
    memory,
    seed: value.seed,
    firmware: value.firmware,
    viommu: value.viommu === null ? null : split(value.viommu as never),
    devices: nameDevices((value.devices as never[]).map((d) => splitDevice(d))),
    reserved: value.reserved,
    ...(value.vconfigs === undefined ? {} : { vconfigs: plansOf(value.vconfigs as never, source) }),
    ...(value.vconfigQuirks === undefined ? {} : { vconfigQuirks: value.vconfigQuirks }),
    ...(value.vconfigPolicy === undefined
      ? {}
      : { vconfigPolicy: wholePolicy(value.vconfigPolicy as never) }),
    ...(value.host === undefined
      ? {}
      : { host: { file: checkedHost(z, registry, value.host, source), source, ...hostPolicy(value) } }),
  };
}

const hostPolicy = ({ fallback, verify, copied }: Omit<HostConfig, 'file' | 'source'>) => ({
  fallback,
  verify: verify === true,
  ...(copied === undefined ? {} : { copied }),
});

const wholePolicy = (given: Partial<Policy> | 'refuse'): Policy | 'refuse' =>
  given === 'refuse' ? given : { ...DEFAULT_POLICY, ...given };

function checkedHost(z: Zod, registry: Registry, host: Record<string, unknown>, source: string) {
  return supportOf(registry, source).check(z, registry, host, `${source} at host`);
}

/** What runs on hosts. @throws TsvmmError where this tsvmm has no such part, as that of plain machines */
export function supportOf(registry: Registry, object: string): HostSupport {
  if (registry.hosts !== undefined) return registry.hosts;
  throw new TsvmmError({
    code: 'no-hosts',
    object,
    why: 'names a host, and this registry of kinds has none',
  });
}

/** An unknown kind is named with a suggestion before the schema would call it an invalid union. */
function checkKinds(registry: Registry, json: unknown, source: string): void {
  if (typeof json !== 'object' || json === null) return;
  const { devices, viommu } = json as { devices?: unknown; viommu?: unknown };
  for (const d of Array.isArray(devices) ? devices : []) {
    const kind = kindOf(d);
    if (typeof kind === 'string') registry.pci(kind, source);
  }
  const kind = kindOf(viommu);
  if (typeof kind === 'string') registry.iommu(kind, source);
}

function kindOf(x: unknown): unknown {
  return typeof x === 'object' && x !== null ? (x as { kind?: unknown }).kind : undefined;
}

/** What the options of devices and of the vIOMMU bring along, beside them: the schema would fill in defaults. */
function withPresets(registry: Registry, json: unknown): unknown {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return json;
  const { viommu, devices } = json as { viommu?: unknown; devices?: unknown };
  return {
    ...json,
    ...(viommu === undefined ? {} : { viommu: completed(viommu, (kind) => registry.iommu(kind)) }),
    ...(Array.isArray(devices)
      ? { devices: devices.map((device) => completed(device, (kind) => registry.pci(kind))) }
      : {}),
  };
}

function completed(given: unknown, kinds: (name: string) => Pick<IommuKind<object>, 'presets'>): unknown {
  const kind = kindOf(given);
  return typeof kind === 'string'
    ? { ...kinds(kind).presets?.(given as object), ...(given as object) }
    : given;
}

interface Issue extends KeyIssue {
  readonly code: string;
  readonly message: string;
  /** Of a union: why each member refused. */
  readonly errors?: readonly (readonly Issue[])[];
}

/** A union says only that no member fits: the member that got furthest says why. */
function innermost(issue: Issue): Issue {
  const inner = (issue.errors ?? []).flatMap((member) => member.slice(0, 1));
  const best = inner.find((i) => i.code !== 'invalid_type' || i.path.length > 0);
  return best === undefined ? issue : innermost({ ...best, path: [...issue.path, ...best.path] });
}

interface KeyIssue {
  readonly path: readonly PropertyKey[];
  readonly keys?: readonly string[];
}

function keyHint(registry: Registry, json: unknown, issue: KeyIssue): string {
  const key = issue.keys?.[0] ?? '';
  const [room, index] = issue.path;
  const top = json as { devices?: { kind: string }[]; viommu?: { kind: string } };
  if (room === 'devices') {
    const kind = top.devices![index as number]!.kind;
    return didYouMean(key, [
      'id',
      'addr',
      'bus',
      'vconfig',
      ...Object.keys(registry.pci(kind).defaults as object),
    ]);
  }
  if (room === 'viommu')
    return didYouMean(key, Object.keys(registry.iommu(top.viommu!.kind).defaults as object));
  return didYouMean(key, [
    'machine',
    'highmem',
    'memory',
    'seed',
    'firmware',
    'viommu',
    'devices',
    'reserved',
    'vconfigs',
    'vconfigQuirks',
    'vconfigPolicy',
    'host',
    'fallback',
    'verify',
    'copied',
  ]);
}

export function parseSize(value: number | string, source: string): number {
  const bytes =
    typeof value === 'number'
      ? value
      : Number.parseInt(value, 10) * { K: 1024, M: MIB, G: 1024 * MIB }[value.at(-1) as 'K']!;
  if (!(bytes >= 2 * MIB && bytes <= MAX_MEMORY && bytes % 65536 === 0)) {
    throw new TsvmmError({
      code: 'bad-memory',
      object: `${source}: memory`,
      why: `${value} is not a RAM size of this machine`,
      mend: 'use a multiple of 64K from 2M to 2048M',
    });
  }
  return bytes;
}

function split(flat: { kind: string } & Record<string, unknown>): IommuConfig {
  const { kind, ...options } = flat;
  return { kind, options };
}

function splitDevice(
  flat: { kind: string; id?: string; addr?: string; bus?: string; vconfig?: string } & Record<
    string,
    unknown
  >,
) {
  const { kind, id, addr, bus, vconfig, ...options } = flat;
  return { kind, id, addr, bus, ...(vconfig === undefined ? {} : { vconfig }), options };
}

function plansOf(plans: Readonly<Record<string, Plan>>, source: string): Readonly<Record<string, Plan>> {
  for (const [name, plan] of Object.entries(plans)) checkPlan(plan, `${source} at vconfigs.${name}`);
  return plans;
}

/** Gives ids to devices that have none: kind and a number. @throws TsvmmError when two share one */
export function nameDevices(
  devices: readonly {
    kind: string;
    id?: string | undefined;
    addr?: string | undefined;
    bus?: string | undefined;
    vconfig?: string | undefined;
    options: Readonly<Record<string, unknown>>;
  }[],
): DeviceConfig[] {
  const taken = new Set(devices.map((d) => d.id).filter((id) => id !== undefined));
  const seen = new Set<string>();
  return devices.map((d) => {
    const id = d.id ?? freeName(d.kind, taken);
    taken.add(id);
    if (seen.has(id)) {
      throw new TsvmmError({
        code: 'duplicate-id',
        object: id,
        why: 'two devices have this id',
        mend: 'give each its own id=',
      });
    }
    seen.add(id);
    return { ...d, id };
  });
}

function freeName(kind: string, taken: ReadonlySet<string>): string {
  for (let n = 0; ; n++) if (!taken.has(`${kind}${n}`)) return `${kind}${n}`;
}

/** The description as it is written to a file. */
export function configToJson(config: MachineConfig): unknown {
  return {
    machine: config.machine,
    ...(config.highmem ? {} : { highmem: false }),
    memory: config.memory,
    seed: config.seed,
    firmware: config.firmware,
    viommu: config.viommu === null ? null : { kind: config.viommu.kind, ...config.viommu.options },
    devices: config.devices.map(({ kind, id, addr, bus, vconfig, options }) => ({
      kind,
      id,
      ...(addr === undefined ? {} : { addr }),
      ...(bus === undefined ? {} : { bus }),
      ...(vconfig === undefined ? {} : { vconfig }),
      ...options,
    })),
    reserved: config.reserved,
    ...(config.vconfigs === undefined ? {} : { vconfigs: config.vconfigs }),
    ...(config.vconfigQuirks === undefined ? {} : { vconfigQuirks: config.vconfigQuirks }),
    ...(config.vconfigPolicy === undefined ? {} : { vconfigPolicy: config.vconfigPolicy }),
    ...(config.host === undefined ? {} : { host: config.host.file, ...hostPolicy(config.host) }),
  };
}
