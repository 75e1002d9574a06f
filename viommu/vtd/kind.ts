import type { Iommu, IommuKind, IommuServices } from '../../vmm/bus/iommu.ts';
import { withPolicy } from '../adversary/wrap.ts';
import { LIMITS } from '../spec/vtd/limits.ts';
import { REGISTER_BYTES } from '../spec/vtd/registers.ts';
import { checkOptions, VTD_DEFAULTS, type VtdConfig, vtdPresets, vtdSchema } from './config.ts';
import { VtdIommu } from './device.ts';
import { vtdPort } from './port.ts';
import { vtdBlock, vtdState } from './state.ts';
import { tableTree } from './table-tree.ts';
import { VTD_EVENTS } from './trace.ts';
import { vtdViews } from './views.ts';

function create(config: VtdConfig, services: IommuServices): Iommu {
  checkOptions(config);
  const block = vtdBlock(config);
  const device = new VtdIommu({
    config,
    services,
    block,
    stateDef: vtdState(config, block),
    trace: services.tracer.bind(VTD_EVENTS),
    forward: { to: null },
  });
  services.clock.handle(services.id, (event, arg) => device.clockEvent(event, arg));
  return {
    device,
    translator: withPolicy(device, config, services.memory),
    mmio: [{ name: services.id, base: config.base, size: REGISTER_BYTES, handler: device }],
    firmware: {
      table: 'DMAR',
      base: config.base,
      haw: config['aw-bits'],
      interruptRemapping: config.intremap,
      x2apicOptOut: false,
      deviceTlb: config['device-iotlb'],
    },
    svm: {
      pasidBits: config['pasid-bits'],
      ats: config['device-iotlb'],
      pri: config['page-requests'],
      options: { pasid: 'pasid-bits', ats: 'device-iotlb', pri: 'page-requests' },
    },
    views: vtdViews(device),
    explain: (port, lo, hi, access) => device.explain(port, lo, hi, access),
    tables: (most) => tableTree(device, most),
    port: vtdPort(device),
  };
}

/** Intel VT-d: legacy and scalable mode, interrupt remapping, at QEMU's place on q35. */
export const INTEL_IOMMU: IommuKind<VtdConfig> = {
  name: 'intel',
  summary: 'Intel VT-d: DMA remapping in legacy and scalable mode, queued invalidation, interrupt remapping',
  machines: ['q35'],
  defaults: VTD_DEFAULTS,
  presets: vtdPresets,
  schema: vtdSchema,
  limits: LIMITS,
  create,
};
