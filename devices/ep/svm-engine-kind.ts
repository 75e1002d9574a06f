import type { Zod } from '../../vmm/core/zod.ts';
import {
  type AtsSpec,
  acsCapability,
  ariCapability,
  atsCapability,
  pasidCapability,
  priCapability,
  vfAtsCapability,
} from '../pci/extended-capabilities.ts';
import { PciFunction } from '../pci/function.ts';
import type {
  BarSpec,
  ExtendedCapabilitySpec,
  PciDevice,
  PciDeviceKind,
  PciFunctionSpec,
  PciServices,
} from '../pci/kind.ts';
import { sriovCapability } from '../pci/sriov.ts';
import { functionViews } from '../pci/views.ts';
import { SVM_EVENTS } from './events.ts';
import { SVM_LIMITS } from './limits.ts';
import { checkPageRequests, type PageRequestOptions, pageRequestPresets } from './page-request-options.ts';
import { SvmEngine, svmState } from './svm-engine.ts';
import { SVM_BAR_BYTES, SVM_MAX_FRAMES } from './svm-engine-registers.ts';

export interface SvmEngineConfig extends PageRequestOptions {
  readonly frames: number;
  /** 0: no PASID capability. */
  readonly 'pasid-bits': number;
  readonly 'page-requests': number;
  readonly 'atc-entries': number;
  readonly 'queue-depth': number;
  /** Virtual functions. */
  readonly vfs: number;
}

/** A prototype's vendor id, as of other test devices; the device id is tsvmm's own. */
const VENDOR = 0x1234;
const DEVICE = 0x53e0;
const VF_DEVICE = 0x53e1;
const ATC_SIZES = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384] as const;
/** MSI-X table of 512 vectors, then its pending bits. */
const MSIX_PBA = 0x2000;
const MSIX_BYTES = 0x4000;

const DEFAULTS: SvmEngineConfig = {
  frames: 64,
  ats: true,
  pri: true,
  'pasid-bits': 20,
  'page-requests': 32,
  'atc-entries': 1024,
  'queue-depth': 32,
  vfs: 0,
};

function schema(z: Zod) {
  return z.strictObject({
    frames: z.number().int().min(1).max(SVM_MAX_FRAMES).default(64).describe('operations at once'),
    ats: z.boolean().default(true).describe('ATS capability and an address translation cache'),
    pri: z.boolean().default(true).describe('page request capability; needs ats, and goes with it'),
    'pasid-bits': z
      .number()
      .int()
      .min(0)
      .max(20)
      .default(20)
      .describe('width of PASIDs, 0: no PASID capability'),
    'page-requests': z
      .number()
      .int()
      .min(1)
      .max(512)
      .default(32)
      .describe('page requests outstanding at most'),
    'atc-entries': z.literal(ATC_SIZES).default(1024).describe('translations it keeps, a power of two'),
    'queue-depth': z.number().int().min(1).max(32).default(32).describe('ATS invalidate queue depth'),
    vfs: z
      .number()
      .int()
      .min(0)
      .max(63)
      .default(0)
      .describe('virtual functions (SR-IOV), at most 7 on the root bus'),
  });
}

const BARS: readonly BarSpec[] = [
  { index: 0, kind: 'memory32', size: SVM_BAR_BYTES },
  { index: 2, kind: 'memory32', size: MSIX_BYTES },
];

function atsSpec(config: SvmEngineConfig): AtsSpec {
  return { queueDepth: config['queue-depth'], globalInvalidate: true };
}

function physicalCapabilities(config: SvmEngineConfig): ExtendedCapabilitySpec[] {
  const { vfs, ats, pri, 'pasid-bits': width } = config;
  return [
    acsCapability(),
    ...(width > 0 ? [pasidCapability({ width, execute: true, privileged: true })] : []),
    ...(ats ? [atsCapability(atsSpec(config))] : []),
    ...(pri ? [priCapability(config['page-requests'])] : []),
    ...(vfs > 0 ? [ariCapability(0), sriovCapability({ vfs, device: VF_DEVICE, bars: BARS })] : []),
  ];
}

/** PASID and page requests are the physical function's. */
function virtualCapabilities(config: SvmEngineConfig): ExtendedCapabilitySpec[] {
  return [ariCapability(0), ...(config.ats ? [vfAtsCapability(atsSpec(config))] : [])];
}

function functionSpec(config: SvmEngineConfig, physical: PciFunction | undefined): PciFunctionSpec {
  return {
    vendor: VENDOR,
    device: DEVICE,
    subsystemVendor: 0x1af4,
    subsystem: 0x1100,
    classCode: 0x120000,
    revision: 1,
    bars: BARS,
    capabilities: [
      { id: 'pcie', type: 'endpoint', flr: true },
      { id: 'pm' },
      { id: 'msix', vectors: config.frames, bar: 2, tableOffset: 0, pbaOffset: MSIX_PBA },
    ],
    extended: physical === undefined ? physicalCapabilities(config) : virtualCapabilities(config),
    ...(physical === undefined ? {} : { virtualOf: physical }),
  };
}

/** A physical function, or a virtual one of `physical`. */
function createFunction(
  config: SvmEngineConfig,
  services: PciServices,
  physical: PciFunction | undefined,
): PciDevice {
  const { id, dma, clock, tracer } = services;
  const fn = new PciFunction(services, functionSpec(config, physical));
  const device = new SvmEngine({
    id,
    fn,
    dma,
    clock,
    frames: config.frames,
    vectors: config.frames,
    def: svmState(config.frames, config['atc-entries']),
    trace: tracer.bind(SVM_EVENTS),
  });
  fn.connect({
    bars: { 0: device },
    reset: (kind) => device.reset(kind),
    ...(config.ats ? { ats: () => device.agent } : {}),
  });
  return { device, fn, views: [...device.views(), ...functionViews(fn)] };
}

export const SVM_ENGINE: PciDeviceKind<SvmEngineConfig> = {
  name: 'svm-engine',
  summary:
    'test function for shared virtual memory: many operations at once with PASID, ATS and page requests',
  limits: SVM_LIMITS,
  defaults: DEFAULTS,
  presets: pageRequestPresets,
  schema,
  create(config, services) {
    checkPageRequests(config, `svm-engine ${services.id}`);
    const physical = createFunction(config, services, undefined);
    const virtual = Array.from({ length: config.vfs }, (_, i) =>
      createFunction(config, services.virtual(i + 1), physical.fn),
    );
    return { ...physical, virtual };
  },
};
