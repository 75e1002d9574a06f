import type { Zod } from '../../vmm/core/zod.ts';
import {
  acsCapability,
  atsCapability,
  pasidCapability,
  priCapability,
} from '../pci/extended-capabilities.ts';
import { PciFunction } from '../pci/function.ts';
import type { ExtendedCapabilitySpec, PciDeviceKind, PciFunctionSpec } from '../pci/kind.ts';
import { functionViews } from '../pci/views.ts';
import { SVM_EVENTS } from './events.ts';
import { SVM_LIMITS } from './limits.ts';
import { SvmEngine, svmState } from './svm-engine.ts';
import { SVM_BAR_BYTES, SVM_MAX_FRAMES } from './svm-engine-registers.ts';

export interface SvmEngineConfig {
  readonly frames: number;
  readonly ats: boolean;
  readonly pri: boolean;
  /** 0: no PASID capability. */
  readonly 'pasid-bits': number;
  readonly 'page-requests': number;
  readonly 'atc-entries': number;
  readonly 'queue-depth': number;
}

/** A prototype's vendor id, as of other test devices; the device id is tsvmm's own. */
const VENDOR = 0x1234;
const DEVICE = 0x53e0;
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
};

function schema(z: Zod) {
  return z.strictObject({
    frames: z.number().int().min(1).max(SVM_MAX_FRAMES).default(64).describe('operations at once'),
    ats: z.boolean().default(true).describe('ATS capability and an address translation cache'),
    pri: z.boolean().default(true).describe('page request capability; needs ats'),
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
  });
}

function extended(config: SvmEngineConfig): ExtendedCapabilitySpec[] {
  const width = config['pasid-bits'];
  return [
    acsCapability(),
    ...(width > 0 ? [pasidCapability({ width, execute: true, privileged: true })] : []),
    ...(config.ats ? [atsCapability({ queueDepth: config['queue-depth'], globalInvalidate: true })] : []),
    ...(config.ats && config.pri ? [priCapability(config['page-requests'])] : []),
  ];
}

function functionSpec(config: SvmEngineConfig): PciFunctionSpec {
  return {
    vendor: VENDOR,
    device: DEVICE,
    subsystemVendor: 0x1af4,
    subsystem: 0x1100,
    classCode: 0x120000,
    revision: 1,
    bars: [
      { index: 0, kind: 'memory32', size: SVM_BAR_BYTES },
      { index: 2, kind: 'memory32', size: MSIX_BYTES },
    ],
    capabilities: [
      { id: 'pcie', type: 'endpoint', flr: true },
      { id: 'pm' },
      { id: 'msix', vectors: config.frames, bar: 2, tableOffset: 0, pbaOffset: MSIX_PBA },
    ],
    extended: extended(config),
  };
}

export const SVM_ENGINE: PciDeviceKind<SvmEngineConfig> = {
  name: 'svm-engine',
  summary:
    'test function for shared virtual memory: many operations at once with PASID, ATS and page requests',
  limits: SVM_LIMITS,
  defaults: DEFAULTS,
  schema,
  create(config, services) {
    const { id, dma, clock, tracer } = services;
    const fn = new PciFunction(services, functionSpec(config));
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
  },
};
