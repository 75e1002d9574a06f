import type { Register } from '../../vmm/regs/layout.ts';
import { EXT_CAP_ID } from './extended-capabilities.ts';
import { BAR0, barRegisters, withResets } from './header.ts';
import type { BarSpec, ExtendedCapabilitySpec } from './kind.ts';
import { SRIOV_BYTES, SRIOV_DEVICE, SRIOV_REGISTERS, SRIOV_VF_BAR0, SRIOV_VFS } from './sriov-registers.ts';

export interface SriovSpec {
  /** TotalVFs, and InitialVFs. */
  readonly vfs: number;
  /** VF Device ID. */
  readonly device: number;
  /** BARs of each virtual function. */
  readonly bars: readonly BarSpec[];
}

/**
 * The SR-IOV capability of a physical function (PCI Express Base: Single Root I/O Virtualization). Its virtual functions are
 * PciFunctions with `virtualOf`, made with it and always there; VF Enable and NumVFs say which of them answer. VF n has the
 * routing id of the physical function plus n.
 */
export function sriovCapability({ vfs, device, bars }: SriovSpec): ExtendedCapabilitySpec {
  const resets = new Map<Register, Register>([
    [SRIOV_VFS, withResets(SRIOV_VFS, { INITIAL: vfs, TOTAL: vfs })],
    [SRIOV_DEVICE, withResets(SRIOV_DEVICE, { DEVICE: device })],
  ]);
  return {
    id: EXT_CAP_ID.sriov,
    version: 1,
    bytes: SRIOV_BYTES,
    registers: (at) => [
      ...SRIOV_REGISTERS.map((r) => (resets.get(r) ?? r).at(at + r.offset, r.name)),
      ...bars.flatMap(barRegisters).map((r) => r.at(at + SRIOV_VF_BAR0 + r.offset - BAR0, `VF_${r.name}`)),
    ],
  };
}
