import type { DeviceView } from '../../vmm/bus/device.ts';
import { TsvmmError } from '../../vmm/core/errors.ts';
import { RegisterBlock } from '../../vmm/regs/block.ts';
import { ro } from '../../vmm/regs/field.ts';
import { type Register, reg32 } from '../../vmm/regs/layout.ts';
import { type BuiltCapability, buildCapability, CAP_ID, PCIE_BYTES } from './capabilities.ts';
import { EXT_CAP_ID } from './extended-capabilities.ts';
import {
  BRIDGE_CONTROL,
  barRegisters,
  CAP_POINTER,
  CLASS,
  COMMAND,
  COMMAND_VIRTUAL,
  HEADER,
  HEADER_BRIDGE,
  HEADER_ENDPOINT,
  ID,
  INTERRUPT,
  SUBSYSTEM,
  withResets,
} from './header.ts';
import type { BarSpec, CapabilitySpec, ExtendedCapabilitySpec, MsixSpec, PciFunctionSpec } from './kind.ts';

const FIRST_CAPABILITY = 0x40;
const FIRST_EXTENDED = 0x100;

/** Config space of one function: its registers, and where the capabilities lie (0: not there). */
export interface ConfigLayout {
  readonly block: RegisterBlock;
  /** 4096 for PCI Express functions, 256 for conventional ones. */
  readonly bytes: number;
  readonly bars: readonly BarSpec[];
  readonly bridge: boolean;
  /** The MSI-X capability as software sees it. */
  readonly msixSpec: MsixSpec | undefined;
  readonly msi: number;
  readonly msix: number;
  readonly pcie: number;
  readonly pcieBytes: number;
  readonly pm: number;
  readonly ats: number;
  readonly pasid: number;
  readonly pri: number;
  readonly sriov: number;
  /** Advanced Features, another way to ask for a reset. */
  readonly af: number;
  readonly planned?: PlannedConfig;
}

/** A config space that was decided before the function, and what in it is neither the function's nor constant. */
export interface PlannedConfig {
  /** All that software may rely on. Part of the function's state: a snapshot with another text is refused. */
  readonly frozen: string;
  /** `own` as it reads with what the device behind the function has in this dword. */
  read32(offset: number, own: number): number;
  /** Passes on what of a write is the device's. */
  write32(offset: number, value: number, byteMask: number): void;
  /** Bytes that answer behind a BAR; what is beyond reads 0. */
  barBytes(bar: BarSpec): number;
  readonly views: readonly DeviceView[];
}

/** Lays out config space from its description. @throws TsvmmError naming `id` when it cannot be laid out */
export function configLayout(id: string, spec: PciFunctionSpec): ConfigLayout {
  const bars = spec.bars ?? [];
  const bridge = spec.header === 'bridge';
  checkBars(id, bars, bridge);
  checkMsix(id, spec);
  const capabilities = spec.capabilities ?? [];
  const at = { msi: 0, msix: 0, pcie: 0, pm: 0 };
  const chain = buildChain(id, capabilities, at);
  const extended = at.pcie === 0 ? [] : buildExtended(id, spec.extended ?? []);
  if (at.pcie === 0 && spec.extended !== undefined)
    throw bad(id, 'extended capabilities need the PCI Express capability');
  const bytes = at.pcie === 0 ? 256 : 4096;
  const header = bridge ? HEADER_BRIDGE : HEADER_ENDPOINT;
  const registers = [
    ...header.map((r) => headerRegister(r, spec)),
    ...(spec.virtualOf === undefined ? bars.flatMap(barRegisters) : []),
    ...chain,
    ...extended,
  ];
  const block = new RegisterBlock(registers, bytes);
  const msixSpec = capabilities.find((c) => c.id === 'msix');
  const places = { ...at, pcieBytes: at.pcie === 0 ? 0 : PCIE_BYTES, ...placesOf(spec.extended ?? []) };
  return { block, bytes, bars, bridge, msixSpec, af: 0, ...places };
}

/** Where the extended capabilities lie that the PCI core itself knows. */
function placesOf(specs: readonly ExtendedCapabilitySpec[]) {
  const at = (id: number) => {
    const index = specs.findIndex((spec) => spec.id === id);
    return index < 0 ? 0 : specs.slice(0, index).reduce((sum, spec) => sum + spec.bytes, FIRST_EXTENDED);
  };
  return {
    ats: at(EXT_CAP_ID.ats),
    pasid: at(EXT_CAP_ID.pasid),
    pri: at(EXT_CAP_ID.pri),
    sriov: at(EXT_CAP_ID.sriov),
  };
}

function headerRegister(register: Register, spec: PciFunctionSpec): Register {
  const hasCaps = (spec.capabilities ?? []).length > 0;
  const virtual = spec.virtualOf !== undefined;
  switch (register) {
    case ID:
      return virtual
        ? withResets(ID, { VENDOR: 0xffff, DEVICE: 0xffff })
        : withResets(ID, { VENDOR: spec.vendor, DEVICE: spec.device });
    case COMMAND:
      return virtual
        ? withResets(COMMAND_VIRTUAL, { CAPS: hasCaps ? 1 : 0 })
        : withResets(COMMAND, { CAPS: hasCaps ? 1 : 0 });
    case CLASS:
      return withResets(CLASS, { REVISION: spec.revision, CODE: spec.classCode });
    case HEADER:
      return withResets(HEADER, { LAYOUT: spec.header === 'bridge' ? 1 : 0 });
    case SUBSYSTEM:
      return withResets(SUBSYSTEM, { VENDOR: spec.subsystemVendor ?? 0, DEVICE: spec.subsystem ?? 0 });
    case CAP_POINTER:
      return withResets(CAP_POINTER, { POINTER: hasCaps ? FIRST_CAPABILITY : 0 });
    case INTERRUPT:
      return withResets(INTERRUPT, { PIN: spec.interruptPin ?? 0 });
    case BRIDGE_CONTROL:
      return withResets(BRIDGE_CONTROL, { PIN: spec.interruptPin ?? 0 });
    default:
      return register;
  }
}

/** Capabilities one after another from 40h, linked in the order of the description. */
function buildChain(
  id: string,
  specs: readonly CapabilitySpec[],
  at: Record<CapabilitySpec['id'], number>,
): Register[] {
  const registers: Register[] = [];
  let offset = FIRST_CAPABILITY;
  for (const [i, spec] of specs.entries()) {
    if (at[spec.id] !== 0) throw bad(id, `two ${spec.id} capabilities`);
    const built: BuiltCapability = buildCapability(spec);
    const next = offset + built.bytes;
    if (next > FIRST_EXTENDED) throw bad(id, 'its capabilities do not fit below 100h');
    at[spec.id] = offset;
    const [first, ...rest] = built.registers;
    const links = { ID: CAP_ID[spec.id], NEXT: i + 1 === specs.length ? 0 : next };
    registers.push(withResets(first!, links).at(offset, first!.name));
    for (const r of rest) registers.push(r.at(offset + r.offset, r.name));
    offset = next;
  }
  return registers;
}

/** PCI Express Base: Extended Capabilities: from 100h, each linked to the next. */
function buildExtended(id: string, specs: readonly ExtendedCapabilitySpec[]): Register[] {
  const registers: Register[] = [];
  let offset = FIRST_EXTENDED;
  for (const [i, spec] of specs.entries()) {
    const next = offset + spec.bytes;
    if (next > 4096 || spec.bytes % 4 !== 0) throw bad(id, 'its extended capabilities do not fit');
    const header = reg32(
      offset,
      `EXT${spec.id.toString(16)}_${offset.toString(16)}`,
      'PCI Express Base: Extended Capabilities',
      {
        ID: ro(15, 0, 'Extended Capability ID', undefined, spec.id),
        VERSION: ro(19, 16, 'Capability Version', undefined, spec.version),
        NEXT: ro(31, 20, 'Next Capability Offset', undefined, i + 1 === specs.length ? 0 : next),
      },
    );
    registers.push(header, ...spec.registers(offset));
    offset = next;
  }
  return registers;
}

/** @throws TsvmmError naming `id` where registers of BARs overlap, or a size is impossible */
export function checkBars(id: string, bars: readonly BarSpec[], bridge: boolean): void {
  const slots = bridge ? 2 : 6;
  const taken = new Set<number>();
  for (const bar of bars) {
    const last = bar.kind === 'memory64' ? bar.index + 1 : bar.index;
    for (let i = bar.index; i <= last; i++) {
      if (i < 0 || i >= slots || taken.has(i)) throw bad(id, `BAR ${bar.index} has no register of its own`);
      taken.add(i);
    }
    const min = bar.kind === 'io' ? 4 : 16;
    const max = bar.kind === 'io' ? 256 : bar.kind === 'memory32' ? 2 ** 31 : 2 ** 48;
    if (bar.size < min || bar.size > max || !Number.isInteger(Math.log2(bar.size)))
      throw bad(id, `BAR ${bar.index} cannot have ${bar.size} bytes`);
  }
}

function checkMsix(id: string, spec: PciFunctionSpec): void {
  const msix = (spec.capabilities ?? []).find((c) => c.id === 'msix');
  if (msix === undefined) return;
  const bar = spec.bars?.find((b) => b.index === msix.bar && b.kind !== 'io');
  const tableEnd = msix.tableOffset + msix.vectors * 16;
  const pbaEnd = msix.pbaOffset + Math.ceil(msix.vectors / 64) * 8;
  const aligned = msix.tableOffset % 8 === 0 && msix.pbaOffset % 8 === 0;
  const apart = tableEnd <= msix.pbaOffset || pbaEnd <= msix.tableOffset;
  const counted = msix.vectors >= 1 && msix.vectors <= 2048;
  if (bar === undefined || !aligned || !apart || !counted || Math.max(tableEnd, pbaEnd) > bar.size)
    throw bad(id, `its MSI-X table does not fit BAR ${msix.bar}`);
}

function bad(id: string, why: string): TsvmmError {
  return new TsvmmError({
    code: 'bad-pci-function',
    object: id,
    why,
    mend: 'correct the description of its PCI function',
  });
}
