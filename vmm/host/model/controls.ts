import { ATS, PASID, PRI, PRI_ALLOCATION, PRI_CAPACITY } from '../../../devices/pci/extended-capabilities.ts';
import type { PciFunction } from '../../../devices/pci/function.ts';
import type { FunctionControls } from '../piommu/device.ts';

const HALF = 16;
/** Of the 16 bits of a control register. */
const ATS_ENABLE = 1 << (ATS.fields.ENABLE.lo - HALF);
const PASID_ENABLE = 1 << (PASID.fields.ENABLE.lo - HALF);
const PASID_EXEC = 1 << (PASID.fields.EXEC.lo - HALF);
const PASID_PRIV = 1 << (PASID.fields.PRIV.lo - HALF);
const PRI_ENABLE = 1 << PRI.fields.ENABLE.lo;
const CONTROL = 2;

/**
 * What the host's IOMMU driver does in a function's configuration space. PASIDs and page requests of a virtual function are its
 * physical function's (PCI Express Base: SR-IOV).
 */
export function controlsOf(fn: PciFunction): FunctionControls {
  const { ats, pasid, pri } = fn.w.layout;
  return {
    ats: (enable) => {
      // The smallest translation unit is a page: STU 0.
      if (ats !== 0) fn.configWrite(ats + ATS.offset + CONTROL, 2, enable ? ATS_ENABLE : 0);
    },
    pasid: (enable) => {
      const bits = enable ? PASID_ENABLE | PASID_EXEC | PASID_PRIV : 0;
      if (pasid !== 0) fn.configWrite(pasid + PASID.offset + CONTROL, 2, bits);
    },
    pri: (enable) => {
      if (pri === 0) return;
      const capacity = fn.configRead(pri + PRI_CAPACITY.offset, 4);
      if (enable) fn.configWrite(pri + PRI_ALLOCATION.offset, 4, capacity);
      fn.configWrite(pri + PRI.offset, 2, enable ? PRI_ENABLE : 0);
    },
  };
}
