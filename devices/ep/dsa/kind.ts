import {
  atsCapability,
  pasidCapability,
  priCapability,
  vfAtsCapability,
} from '../../pci/extended-capabilities.ts';
import { PciFunction } from '../../pci/function.ts';
import type {
  BarSpec,
  ExtendedCapabilitySpec,
  PciDevice,
  PciDeviceKind,
  PciServices,
} from '../../pci/kind.ts';
import { sriovCapability } from '../../pci/sriov.ts';
import { functionViews } from '../../pci/views.ts';
import { checkPageRequests, type PageRequestOptions, pageRequestPresets } from '../page-request-options.ts';
import { Dsa } from './dsa.ts';
import { DSA_EVENTS } from './events.ts';
import { DSA_LIMITS } from './limits.ts';
import { Portals } from './portals.ts';
import { BAR0_BYTES, BAR2_BYTES, ENGINES, MSIX_PBA, MSIX_TABLE, VECTORS } from './registers.ts';

export interface DsaConfig extends PageRequestOptions {
  readonly 'pasid-bits': number;
  /** Outstanding page requests it can have. */
  readonly 'page-requests': number;
  /** Virtual time a descriptor takes, in ns; 0: it is done within the write that submits it. */
  readonly delay_ns: number;
  /** Virtual functions. */
  readonly vfs: number;
}

const DEVICE_ID = 0x0b25;
const DEFAULTS: DsaConfig = {
  'pasid-bits': 20,
  ats: true,
  pri: true,
  'page-requests': 32,
  delay_ns: 0,
  vfs: 0,
};

const BARS: readonly BarSpec[] = [
  { index: 0, kind: 'memory64', prefetchable: true, size: BAR0_BYTES },
  { index: 2, kind: 'memory64', prefetchable: true, size: BAR2_BYTES },
];
const ATS = { queueDepth: 32, globalInvalidate: true };

function physicalCapabilities(config: DsaConfig): ExtendedCapabilitySpec[] {
  const { ats, pri, vfs, 'pasid-bits': width } = config;
  return [
    pasidCapability({ width, execute: false, privileged: true }),
    ...(ats ? [atsCapability(ATS)] : []),
    ...(pri ? [priCapability(config['page-requests'])] : []),
    ...(vfs > 0 ? [sriovCapability({ vfs, device: DEVICE_ID, bars: BARS })] : []),
  ];
}

/** PASID and page requests are the physical function's. */
function virtualCapabilities(config: DsaConfig): ExtendedCapabilitySpec[] {
  return config.ats ? [vfAtsCapability(ATS)] : [];
}

/**
 * A physical function, or a virtual one of `physical`: an accelerator of its own.
 * @param direct false: no descriptor is done by Direct, for comparison
 */
export function createDsa(
  config: DsaConfig,
  services: PciServices,
  physical?: PciFunction,
  direct = true,
): PciDevice {
  const { id, dma, clock, tracer } = services;
  const fn = new PciFunction(services, {
    vendor: 0x8086,
    device: DEVICE_ID,
    subsystemVendor: 0x8086,
    subsystem: 0,
    classCode: 0x088000,
    revision: 0,
    bars: BARS,
    capabilities: [
      { id: 'pcie', type: 'rc-endpoint', flr: true, deferrable: true },
      { id: 'msix', vectors: VECTORS, bar: 0, tableOffset: MSIX_TABLE, pbaOffset: MSIX_PBA },
    ],
    extended: physical === undefined ? physicalCapabilities(config) : virtualCapabilities(config),
    ...(physical === undefined ? {} : { virtualOf: physical }),
  });
  const device = new Dsa({
    id,
    fn,
    dma,
    clock,
    delay: config.delay_ns,
    pageRequests: config.pri,
    trace: tracer.bind(DSA_EVENTS),
    direct,
  });
  fn.connect({
    bars: { 0: device, 2: new Portals(device) },
    reset: (kind) => device.reset(kind),
    ...(config.ats ? { ats: () => device.agent } : {}),
  });
  return { device, fn, views: [...device.views(), ...functionViews(fn)] };
}

export const DSA: PciDeviceKind<DsaConfig> = {
  name: 'dsa',
  summary:
    'Intel Data Streaming Accelerator 1.0: copies, fills, compares, CRCs on addresses of processes (PASID, ATS, PRI)',
  limits: DSA_LIMITS,
  defaults: DEFAULTS,
  presets: pageRequestPresets,
  schema: (z) =>
    z.strictObject({
      'pasid-bits': z.number().int().min(1).max(20).default(20).describe('PASID width'),
      ats: z.boolean().default(true).describe('ATS capability'),
      pri: z.boolean().default(true).describe('page request capability; needs ats, and goes with it'),
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
      vfs: z.number().int().min(0).max(7).default(0).describe('virtual functions (SR-IOV)'),
    }),
  create(config, services) {
    checkPageRequests(config, `dsa ${services.id}`);
    const physical = createDsa(config, services);
    const virtual = Array.from({ length: config.vfs }, (_, i) =>
      createDsa(config, services.virtual(i + 1), physical.fn),
    );
    return { ...physical, virtual };
  },
};
