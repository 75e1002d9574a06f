import {
  CACHE_POLICIES,
  CACHE_POLICY_TEXT,
  CACHE_SEED_TEXT,
  type CachePolicy,
  MOST_CACHE_SEED,
} from '../../../viommu/spec/cache-policies.ts';
import type { Zod, ZodType } from '../../core/zod.ts';
import { ACS } from '../vfio/topology.ts';

/** A control of ACS, as lspci writes it. */
export type AcsBit = keyof typeof ACS;

/** Registers that identify a unit, by the names of their specifications, in hex. */
export interface VtdRegisters {
  readonly VER: string;
  readonly CAP: string;
  readonly ECAP: string;
}
export interface SmmuRegisters {
  readonly IDR0: string;
  readonly IDR1: string;
  readonly IDR2: string;
  readonly IDR3: string;
  readonly IDR4: string;
  readonly IDR5: string;
  readonly IIDR: string;
  readonly AIDR: string;
}

/**
 * `read-only-parents`: VT-d, erratum of Sapphire Rapids (772415): no read-only pages in second-stage tables under first-stage ones.
 * `repeat-invalidations`: SMMUv3: TLBI and CFGI commands have to be issued twice.
 */
export type UnitQuirk = 'read-only-parents' | 'repeat-invalidations';

interface UnitBase {
  readonly id: string;
  /** Where the values come from. */
  readonly about: string;
  /** Address of its registers, in hex. */
  readonly base: string;
  /** What it stands for: functions with all that is behind them; `rest`: what no other unit of the host names. */
  readonly devices: readonly string[] | 'rest';
  readonly quirks: readonly UnitQuirk[];
  /** Fields of its registers that the model does not follow, as `IDR0.TTF`: users are told what the model has. */
  readonly lacks: readonly string[];
  /** How its caches behave: a property of the model, no register tells it. */
  readonly cache: CachePolicy;
  /** `cache: random`: where its chance begins. */
  readonly cacheSeed: number;
  readonly invalidation: 'immediate' | 'async';
}
export interface VtdUnitEntry extends UnitBase {
  readonly kind: 'vtd';
  readonly registers: VtdRegisters;
}
export interface SmmuUnitEntry extends UnitBase {
  readonly kind: 'smmuv3';
  readonly registers: SmmuRegisters;
}
export type UnitEntry = VtdUnitEntry | SmmuUnitEntry;

/** What has a bus behind it. */
export const PORT_TYPES = [
  'root-port',
  'upstream-port',
  'downstream-port',
  'pcie-to-pci-bridge',
  'pci-bridge',
] as const;
/** Device/port types of the PCI Express capability; `conventional` has none, `vf` is a virtual function. */
const FUNCTION_TYPES = [...PORT_TYPES, 'endpoint', 'rc-endpoint', 'conventional', 'vf'] as const;
export type FunctionType = (typeof FUNCTION_TYPES)[number];

/** The device model behind a function, with its options. */
export interface ModelEntry {
  readonly kind: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** Addresses that firmware keeps mapped for a device (RMRR, RMR), both ends included, in hex. */
export interface ReservedEntry {
  readonly base: string;
  readonly limit: string;
  readonly about?: string | undefined;
}

/** A PCI function of the host. */
export interface FunctionEntry {
  /** `0000:3a:00.0`. */
  readonly address: string;
  readonly type: FunctionType;
  readonly about?: string | undefined;
  /** What people call it. */
  readonly title: string;
  /** The port it is behind; a function of a root bus if absent. */
  readonly under?: string | undefined;
  /** The physical function of a virtual one. */
  readonly of?: string | undefined;
  /** ACS controls that the host's kernel has set. Absent: what the dump says, else there is no such capability. */
  readonly acs?: readonly AcsBit[] | undefined;
  /** The host's kernel knows that it keeps its functions apart although no ACS capability says so. */
  readonly isolated: boolean;
  /** Rows as lspci -xxxx prints them; those of zeros may be left out. A model says its configuration space itself. */
  readonly config?: readonly string[] | undefined;
  /** What moves data. Without one, nothing does, and VFIO can show the configuration space alone. */
  readonly model?: ModelEntry | undefined;
  readonly reserved: readonly ReservedEntry[];
}

/** A host: its IOMMUs, its PCI functions, and who stands for whom. */
export interface HostFile {
  readonly format: 'tsvmm-host';
  readonly version: 1;
  readonly name: string;
  readonly about: string;
  /** Bits of host physical addresses. */
  readonly addressBits: number;
  /** The kernel gives away devices that could send any interrupt (iommufd.allow_unsafe_interrupts). */
  readonly allowUnsafeInterrupts: boolean;
  readonly units: readonly UnitEntry[];
  readonly functions: readonly FunctionEntry[];
}

/** Hosts have one PCI segment. */
const ADDRESS = /^0000:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/;
const HEX = /^0x[0-9a-f]+$/;
const ID = /^[a-z][a-z0-9.-]*$/;
/** A row of 16 bytes. */
const ROW = /^[0-9a-f]{1,2}0:( [0-9a-f]{2}){16}$/;

export function hostSchema(z: Zod): ZodType<HostFile> {
  const address = z.string().regex(ADDRESS, 'write an address as 0000:3a:00.0').meta({ id: 'address' });
  const hex = (bits: 32 | 64, doc: string) =>
    z
      .string()
      .regex(HEX, 'write a number as 0x1f')
      .refine((text) => text.length <= 2 + bits / 4, `has more than ${bits} bits`)
      .describe(doc);
  const common = {
    id: z.string().regex(ID, 'use lower-case letters, digits, dots and dashes').describe('what to call it'),
    about: z.string().min(1).describe('where the register values come from'),
    base: hex(64, 'address of its registers'),
    devices: z
      .union([z.literal('rest'), z.array(address).min(1)])
      .describe('functions it stands for, with all behind them; rest: what no other unit names'),
    quirks: z
      .array(z.enum(['read-only-parents', 'repeat-invalidations']))
      .default([])
      .describe(
        'errata: no read-only second stage under a first stage (VT-d); invalidation commands issued twice (SMMUv3)',
      ),
    lacks: z
      .array(z.string().regex(/^[A-Z0-9]+\.[A-Za-z0-9_]+$/, 'write a field as IDR0.TTF'))
      .default([])
      .describe(
        'fields of the registers that promise what the model does not have: users are told what it has',
      ),
    cache: z.enum(CACHE_POLICIES).default('normal').describe(CACHE_POLICY_TEXT),
    cacheSeed: z.number().int().min(1).max(MOST_CACHE_SEED).default(1).describe(CACHE_SEED_TEXT),
    invalidation: z
      .enum(['immediate', 'async'])
      .default('immediate')
      .describe('when queued invalidations are done'),
  };
  const unit = z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('vtd'),
      ...common,
      registers: z.strictObject({
        VER: hex(32, 'VT-d: Version Register'),
        CAP: hex(64, 'VT-d: Capability Register'),
        ECAP: hex(64, 'VT-d: Extended Capability Register'),
      }),
    }),
    z.strictObject({
      kind: z.literal('smmuv3'),
      ...common,
      registers: z.strictObject({
        IDR0: hex(32, 'SMMUv3: SMMU_IDR0'),
        IDR1: hex(32, 'SMMUv3: SMMU_IDR1'),
        IDR2: hex(32, 'SMMUv3: SMMU_IDR2').default('0x0'),
        IDR3: hex(32, 'SMMUv3: SMMU_IDR3'),
        IDR4: hex(32, 'SMMUv3: SMMU_IDR4').default('0x0'),
        IDR5: hex(32, 'SMMUv3: SMMU_IDR5'),
        IIDR: hex(32, 'SMMUv3: SMMU_IIDR'),
        AIDR: hex(32, 'SMMUv3: SMMU_AIDR'),
      }),
    }),
  ]);
  const fn = z.strictObject({
    address,
    type: z.enum(FUNCTION_TYPES),
    about: z.string().optional(),
    title: z.string().default('').describe('what people call it'),
    under: address.optional().describe('the port it is behind; a function of a root bus if absent'),
    of: address.optional().describe('the physical function of a virtual one'),
    acs: z
      .array(z.enum(Object.keys(ACS) as [AcsBit, ...AcsBit[]]))
      .optional()
      .describe('ACS controls that are set; if absent, what the dump says'),
    isolated: z
      .boolean()
      .default(false)
      .describe('the kernel knows that it keeps its functions apart although no ACS capability says so'),
    config: z
      .array(z.string().regex(ROW, 'write a row of 16 bytes as lspci -xxxx does'))
      .min(4)
      .optional()
      .describe(
        'its configuration space, where no model says it; rows of zeros may be left out, and a row from 100 on makes it 4096 bytes',
      ),
    model: z
      .strictObject({ kind: z.string(), options: z.record(z.string(), z.unknown()).default({}) })
      .optional()
      .describe('the device model behind it: a kind of tsvmm run --device, with options'),
    reserved: z
      .array(
        z.strictObject({
          base: hex(64, 'first address'),
          limit: hex(64, 'last address'),
          about: z.string().optional(),
        }),
      )
      .default([])
      .describe('addresses that firmware keeps mapped for it (RMRR, RMR)'),
  });
  return z
    .strictObject({
      format: z.literal('tsvmm-host'),
      version: z.literal(1),
      name: z.string().regex(ID, 'use lower-case letters, digits, dots and dashes'),
      about: z.string().min(1).describe('what it is an example of'),
      allowUnsafeInterrupts: z
        .boolean()
        .default(false)
        .describe('devices behind units without interrupt remapping are given away, too'),
      addressBits: z.number().int().min(32).max(52).default(46).describe('bits of host physical addresses'),
      units: z.array(unit).min(1),
      functions: z.array(fn).min(1),
    })
    .describe('A host: IOMMUs, PCI functions, and who stands for whom') as unknown as ZodType<HostFile>;
}
