import { atsCapability, pasidCapability, priCapability } from '../../pci/extended-capabilities.ts';
import { PciFunction } from '../../pci/function.ts';
import type { PciDeviceKind } from '../../pci/kind.ts';
import { functionViews } from '../../pci/views.ts';
import { Dsa } from './dsa.ts';
import { DSA_EVENTS } from './events.ts';
import { DSA_LIMITS } from './limits.ts';
import { Portals } from './portals.ts';
import { BAR0_BYTES, BAR2_BYTES, ENGINES, MSIX_PBA, MSIX_TABLE, VECTORS } from './registers.ts';

export interface DsaConfig {
  readonly 'pasid-bits': number;
  readonly ats: boolean;
  readonly pri: boolean;
  /** Outstanding page requests it can have. */
  readonly 'page-requests': number;
  /** Virtual time a descriptor takes, in ns; 0: it is done within the write that submits it. */
  readonly delay_ns: number;
}

const DEFAULTS: DsaConfig = { 'pasid-bits': 20, ats: true, pri: true, 'page-requests': 32, delay_ns: 0 };

export const DSA: PciDeviceKind<DsaConfig> = {
  name: 'dsa',
  summary:
    'Intel Data Streaming Accelerator 1.0: copies, fills, compares, CRCs on addresses of processes (PASID, ATS, PRI)',
  limits: DSA_LIMITS,
  defaults: DEFAULTS,
  schema: (z) =>
    z.strictObject({
      'pasid-bits': z.number().int().min(1).max(20).default(20).describe('PASID width'),
      ats: z.boolean().default(true).describe('ATS capability'),
      pri: z.boolean().default(true).describe('page request capability; needs ats'),
      'page-requests': z
        .number()
        .int()
        .min(ENGINES)
        .max(512)
        .default(DEFAULTS['page-requests'])
        .describe('outstanding page requests it can have'),
      delay_ns: z
        .number()
        .int()
        .min(0)
        .max(1_000_000_000)
        .default(0)
        .describe('virtual time a descriptor takes, in ns; 0: done within the write that submits it'),
    }),
  create(config, services) {
    const { id, dma, clock, tracer } = services;
    const fn = new PciFunction(services, {
      vendor: 0x8086,
      device: 0x0b25,
      subsystemVendor: 0x8086,
      subsystem: 0,
      classCode: 0x088000,
      revision: 0,
      bars: [
        { index: 0, kind: 'memory64', prefetchable: true, size: BAR0_BYTES },
        { index: 2, kind: 'memory64', prefetchable: true, size: BAR2_BYTES },
      ],
      capabilities: [
        { id: 'pcie', type: 'rc-endpoint', flr: true },
        { id: 'msix', vectors: VECTORS, bar: 0, tableOffset: MSIX_TABLE, pbaOffset: MSIX_PBA },
      ],
      extended: [
        pasidCapability({ width: config['pasid-bits'], execute: false, privileged: true }),
        ...(config.ats ? [atsCapability({ queueDepth: 32, globalInvalidate: true })] : []),
        ...(config.ats && config.pri ? [priCapability(config['page-requests'])] : []),
      ],
    });
    const device = new Dsa({ id, fn, dma, clock, delay: config.delay_ns, trace: tracer.bind(DSA_EVENTS) });
    fn.connect({
      bars: { 0: device, 2: new Portals(device) },
      reset: (kind) => device.reset(kind),
      ats: () => device.agent,
    });
    return { device, fn, views: [...device.views(), ...functionViews(fn)] };
  },
};
