import type { Zod, ZodType } from '../../vmm/core/zod.ts';
import { CAP, ECAP } from '../spec/vtd/capabilities.ts';
import { FAULT_REGISTERS, IOTLB_REGISTERS } from '../spec/vtd/registers.ts';

/** Options of the kind `intel`; names and defaults are QEMU's where QEMU has the option. */
export interface VtdConfig {
  readonly 'aw-bits': 39 | 48 | 57;
  readonly 'caching-mode': boolean;
  readonly intremap: boolean;
  readonly eim: boolean;
  readonly 'device-iotlb': boolean;
  readonly 'snoop-control': boolean;
  readonly pt: boolean;
  readonly zlr: boolean;
  readonly 'dma-drain': boolean;
  readonly 'coherent-walks': boolean;
  readonly 'protected-memory': boolean;
  readonly 'fault-records': number;
  readonly 'large-pages': 'none' | '2M' | '1G';
  readonly 'ioapic-sid': 'real' | 'any' | 'endpoint';
  readonly cache: 'normal' | 'none' | 'unbounded';
  readonly invalidation: 'immediate' | 'async';
  /** Whose behaviour where QEMU departs from the specification: docs/deviations.md. */
  readonly profile: 'spec' | 'qemu';
  /** Address of the register page. */
  readonly base: number;
}

export const VTD_DEFAULTS: VtdConfig = {
  'aw-bits': 48,
  'caching-mode': false,
  intremap: true,
  eim: false,
  'device-iotlb': false,
  'snoop-control': false,
  pt: true,
  zlr: false,
  'dma-drain': true,
  'coherent-walks': false,
  'protected-memory': false,
  'fault-records': 1,
  'large-pages': '1G',
  'ioapic-sid': 'real',
  cache: 'normal',
  invalidation: 'immediate',
  profile: 'spec',
  base: 0xfed90000,
};

/** Fault records stop before the performance-monitoring registers at 300h. */
export const MOST_FAULT_RECORDS = 14;

export function vtdSchema(z: Zod): ZodType<VtdConfig> {
  const d = VTD_DEFAULTS;
  const flag = (value: boolean, text: string) => z.boolean().default(value).describe(text);
  return z.strictObject({
    'aw-bits': z
      .union([z.literal(39), z.literal(48), z.literal(57)])
      .default(d['aw-bits'])
      .describe('guest and host address width'),
    'caching-mode': flag(d['caching-mode'], 'CAP.CM: not-present entries are cached'),
    intremap: flag(d.intremap, 'interrupt remapping'),
    eim: flag(d.eim, 'extended interrupt mode (x2APIC destinations)'),
    'device-iotlb': flag(d['device-iotlb'], 'device-TLBs (ATS)'),
    'snoop-control': flag(d['snoop-control'], 'snoop bit of page-table leaves'),
    pt: flag(d.pt, 'pass-through context entries'),
    zlr: flag(d.zlr, 'zero-length reads of write-only pages'),
    'dma-drain': flag(d['dma-drain'], 'report read and write draining'),
    'coherent-walks': flag(d['coherent-walks'], 'ECAP.C: structures are snooped'),
    'protected-memory': flag(d['protected-memory'], 'protected low and high memory ranges'),
    'fault-records': z
      .number()
      .int()
      .min(1)
      .max(MOST_FAULT_RECORDS)
      .default(d['fault-records'])
      .describe('number of fault-recording registers'),
    'large-pages': z.enum(['none', '2M', '1G']).default(d['large-pages']).describe('largest page size'),
    'ioapic-sid': z
      .enum(['real', 'any', 'endpoint'])
      .default(d['ioapic-sid'])
      .describe('source-id that interrupts of the IOAPIC are checked with'),
    cache: z.enum(['normal', 'none', 'unbounded']).default(d.cache).describe('cache policy'),
    invalidation: z
      .enum(['immediate', 'async'])
      .default(d.invalidation)
      .describe('when queued and register-based invalidation is done'),
    profile: z
      .enum(['spec', 'qemu'])
      .default(d.profile)
      .describe('follow the specification, or QEMU where it departs (docs/deviations.md)'),
    base: z
      .number()
      .int()
      .multipleOf(4096)
      .min(0)
      .max(0xfffff000)
      .default(d.base)
      .describe('address of the registers'),
  }) as unknown as ZodType<VtdConfig>;
}

/** Widest page-selective invalidation: 2^18 pages, 1 GiB. */
export const MAMV = 18;
/** Widest interrupt-entry invalidation: 2^15 entries. */
const MHMV = 15;

const SAGAW: Readonly<Record<number, number>> = { 39: 0b0010, 48: 0b0110, 57: 0b1110 };
const SSLPS = { none: 0, '2M': 1, '1G': 3 } as const;

/** CAP as two words, from the options. */
export function capability(config: VtdConfig): Uint32Array {
  return CAP.pack({
    ND: 6,
    PLMR: bit(config['protected-memory']),
    PHMR: bit(config['protected-memory']),
    CM: bit(config['caching-mode']),
    SAGAW: SAGAW[config['aw-bits']]!,
    MGAW: config['aw-bits'] - 1,
    ZLR: bit(config.zlr),
    FRO: FAULT_REGISTERS / 16,
    SSLPS: SSLPS[config['large-pages']],
    PSI: 1,
    NFR: config['fault-records'] - 1,
    MAMV,
    DWD: bit(config['dma-drain']),
    DRD: bit(config['dma-drain']),
    ESRTPS: 1,
  });
}

/** ECAP as two words, from the options. */
export function extendedCapability(config: VtdConfig): Uint32Array {
  return ECAP.pack({
    C: bit(config['coherent-walks']),
    QI: 1,
    DT: bit(config['device-iotlb']),
    IR: bit(config.intremap),
    EIM: bit(config.intremap && config.eim),
    PT: bit(config.pt),
    SC: bit(config['snoop-control']),
    IRO: IOTLB_REGISTERS / 16,
    MHMV: config.intremap ? MHMV : 0,
  });
}

function bit(value: boolean): number {
  return value ? 1 : 0;
}
