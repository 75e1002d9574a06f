/**
 * The public API of the package: what a plugin needs to bring a device or an IOMMU of its own, and what a program needs to
 * run a guest. A plugin is a module that exports `plugin: Plugin`; `tsvmm run --plugin FILE` loads it.
 */

export type { BuiltCapability } from '../../devices/pci/capabilities.ts';
export { PciFunction } from '../../devices/pci/function.ts';
export type {
  BarKind,
  BarSpec,
  CapabilitySpec,
  ExtendedCapabilitySpec,
  MsiSpec,
  MsixSpec,
  PciBackend,
  PciDevice,
  PciDeviceKind,
  PcieSpec,
  PciFunctionSpec,
  PciServices,
  PmSpec,
} from '../../devices/pci/kind.ts';
export { type AnyDevice, Device, type DeviceView, type ResetKind } from '../bus/device.ts';
export {
  AT_TRANSLATED,
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  DMA_CA,
  DMA_DISABLED,
  DMA_MESSAGE,
  DMA_OK,
  DMA_UR,
  DmaPort,
  type DmaTranslator,
  EXEC,
  NO_PASID,
  READ,
  WRITE,
} from '../bus/dma.ts';
export { deliverCompatible, type InterruptTarget, inMsiWindow } from '../bus/interrupts.ts';
export type {
  ExplainedFault,
  Iommu,
  IommuFirmware,
  IommuKind,
  IommuServices,
  Provenance,
  WalkStep,
} from '../bus/iommu.ts';
export type { SystemMemory } from '../bus/memory.ts';
export type { MmioBus, MmioHandler, MmioRange } from '../bus/mmio.ts';
export type { PortBus, PortHandler, PortRange } from '../bus/ports.ts';
export { bdf, bdfText, parseBdf } from '../core/bdf.ts';
export type { VirtualClock } from '../core/clock.ts';
export { Bug, type ErrorParts, EXIT, type ExitCode, TsvmmError } from '../core/errors.ts';
export type { Limit } from '../core/limit.ts';
export { hex, hex32, hex64, hi32, hiOf, lo32, loOf, numberOf, u64 } from '../core/u64.ts';
export type { Zod, ZodType } from '../core/zod.ts';
export { HostKernel, type HostKernelOptions } from '../host/iommufd/host-kernel.ts';
export { type MapRequest, POLL } from '../host/kernel/files.ts';
export { MemoryFile } from '../host/kernel/memory-file.ts';
export type { MemoryRange, Process, ProcessOptions } from '../host/kernel/process.ts';
export { Syscalls } from '../host/kernel/syscalls.ts';
export { createHost, type Host, type HostParts } from '../host/model/create.ts';
export type { HostFile } from '../host/model/file.ts';
export { describeHost, type HostDescription, type HostFunction } from '../host/model/host.ts';
export { type KindLookup, parseHost } from '../host/model/parse.ts';
export { type HostSummary, hostSummary, hostText } from '../host/model/summary.ts';
export type { PhysicalFunction } from '../host/vfio/physical.ts';
export type { VfioDevice, VfioRegistration } from '../host/vfio/vfio-device.ts';
export { VfioHost } from '../host/vfio/vfio-host.ts';
export { builtinRegistry } from '../machine/builtin.ts';
export { defaultConfig, type MachineConfig, parseMachineConfig } from '../machine/config.ts';
export { faultText } from '../machine/explain.ts';
export { Machine } from '../machine/machine.ts';
export { type Plugin, Registry } from '../machine/registry.ts';
export { judge, TapParser, type TapResult } from '../machine/tap.ts';
export { RegisterBlock } from '../regs/block.ts';
export { type Access, type FieldDecl, ro, rsvd, rw, unimpl, w1c, wo } from '../regs/field.ts';
export { Layout, Register, reg32, reg64, struct } from '../regs/layout.ts';
export { defineState, type StateDef } from '../state/define.ts';
export {
  bool,
  bytes,
  count,
  list,
  record,
  registers,
  type Schema,
  type StateOf,
  text,
  u8,
  u16,
  u32,
  words,
} from '../state/schema.ts';
export { type Emitters, type EventTable, events } from '../trace/event.ts';
export type { Tracer } from '../trace/tracer.ts';
