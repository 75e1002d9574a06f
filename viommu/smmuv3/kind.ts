import type { Iommu, IommuKind, IommuServices } from '../../vmm/bus/iommu.ts';
import { withPolicy } from '../adversary/wrap.ts';
import { LIMITS } from '../spec/smmuv3/limits.ts';
import { REGISTER_BYTES } from '../spec/smmuv3/registers.ts';
import { checkOptions, SMMU_DEFAULTS, type SmmuConfig, smmuPresets, smmuSchema } from './config.ts';
import { SmmuV3 } from './device.ts';
import { smmuPort } from './port.ts';
import { smmuBlock, smmuState } from './state.ts';
import { tableTree } from './table-tree.ts';
import { SMMU_EVENTS } from './trace.ts';
import { smmuViews } from './views.ts';

const HTTU = { none: 0, access: 1, dirty: 2 } as const;

function create(config: SmmuConfig, services: IommuServices): Iommu {
  checkOptions(config);
  const block = smmuBlock();
  const device = new SmmuV3({
    config,
    services,
    block,
    stateDef: smmuState(config, block),
    trace: services.tracer.bind(SMMU_EVENTS),
    forward: { to: null },
  });
  services.clock.handle(services.id, (event) => device.clockEvent(event));
  return {
    device,
    translator: withPolicy(device, config, services.memory),
    mmio: [{ name: services.id, base: config.base, size: REGISTER_BYTES, handler: device }],
    firmware: {
      table: 'IORT',
      base: config.base,
      haw: config.oas,
      coherent: true,
      httu: HTTU[config.httu],
      ats: config.ats,
      pri: config.pri,
      pasid: config.ssidsize > 0,
    },
    svm: {
      pasidBits: config.ssidsize,
      ats: config.ats,
      pri: config.pri,
      options: { pasid: 'ssidsize', ats: 'ats', pri: 'pri' },
    },
    views: smmuViews(device),
    tables: (most) => tableTree(device, most),
    port: smmuPort(device),
    explain: (port, lo, hi, access) => device.explain(port, lo, hi, access),
  };
}

/** Arm SMMUv3 with both stages, at QEMU's place on virt. */
export const SMMUV3: IommuKind<SmmuConfig> = {
  name: 'smmuv3',
  summary: 'Arm SMMUv3: stage 1, stage 2 and both, substreams, stalls, ATS and page requests',
  machines: ['virt'],
  defaults: SMMU_DEFAULTS,
  presets: smmuPresets,
  schema: smmuSchema,
  limits: LIMITS,
  create,
};
