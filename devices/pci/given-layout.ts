import { TsvmmError } from '../../vmm/core/errors.ts';
import { RegisterBlock } from '../../vmm/regs/block.ts';
import { type FieldDecl, type Fields, maskInWord, ro } from '../../vmm/regs/field.ts';
import { Register, reg32 } from '../../vmm/regs/layout.ts';
import { buildCapability, CAP_ID, MSI_CONTROL, msixSpecOf } from './capabilities.ts';
import {
  ATS,
  atsCapability,
  EXT_CAP_ID,
  PASID,
  PRI,
  PRI_CAPACITY,
  pasidCapability,
  priCapability,
} from './extended-capabilities.ts';
import { barRegisters, COMMAND, HEADER, HEADER_ENDPOINT, INTERRUPT } from './header.ts';
import type { BarSpec, CapabilitySpec, PciFunctionSpec } from './kind.ts';
import { type ConfigLayout, checkBars, type PlannedConfig } from './layout.ts';

const TITLE = 'as planned';
/** PCI Advanced Features. */
const CAP_ID_AF = 0x13;

/** A capability of a config space that is given by its bytes. */
export interface GivenCapability {
  readonly chain: 'standard' | 'extended';
  readonly id: number;
  readonly offset: number;
  readonly length: number;
}

/** A config space that is given by its bytes: how it reads at first, with chains linked. */
export interface GivenSpace {
  readonly bytes: Uint8Array;
  readonly capabilities: readonly GivenCapability[];
  readonly bars: readonly BarSpec[];
  readonly planned: PlannedConfig;
}

/**
 * A layout in which everything is where the bytes have it and reads at first as they do. Registers that the PCI core knows, or that
 * `spec` describes, behave as they do elsewhere; all other bytes are constant.
 */
export function givenLayout(id: string, spec: PciFunctionSpec, space: GivenSpace): ConfigLayout {
  if (spec.header === 'bridge' || spec.virtualOf !== undefined) {
    throw new TsvmmError({
      code: 'bad-pci-function',
      object: id,
      why: 'a config space can be planned for endpoints that are no virtual functions here',
      mend: 'leave out vconfig=',
    });
  }
  checkBars(id, space.bars, false);
  const view = new DataView(space.bytes.buffer, space.bytes.byteOffset, space.bytes.byteLength);
  const known = [
    ...HEADER_ENDPOINT,
    ...space.bars.flatMap(barRegisters),
    ...space.capabilities.flatMap((one) => registersOf(one, view, spec)),
  ];
  const covered = new Set(
    known.flatMap(({ offset, bytes }) => (bytes === 8 ? [offset, offset + 4] : [offset])),
  );
  const rest: Register[] = [];
  for (let at = 0; at < view.byteLength; at += 4)
    if (!covered.has(at) && view.getUint32(at, true) !== 0) rest.push(constant(at));
  const first = space.bars.length === 0 ? new Set<number>() : barOffsets(space.bars);
  const registers = [...known, ...rest].map((one) => (first.has(one.offset) ? one : starting(one, view)));
  const at = (chain: GivenCapability['chain'], wanted: number) =>
    space.capabilities.find((one) => one.chain === chain && one.id === wanted);
  const pcie = at('standard', CAP_ID.pcie);
  const msix = at('standard', CAP_ID.msix);
  const block = new RegisterBlock(registers, view.byteLength);
  return {
    block,
    bytes: view.byteLength,
    bars: space.bars,
    bridge: false,
    msixSpec: msix === undefined ? undefined : msixSpecOf(block.fresh(), msix.offset),
    msi: at('standard', CAP_ID.msi)?.offset ?? 0,
    msix: msix?.offset ?? 0,
    pcie: pcie?.offset ?? 0,
    pcieBytes: pcie?.length ?? 0,
    af: at('standard', CAP_ID_AF)?.offset ?? 0,
    pm: at('standard', CAP_ID.pm)?.offset ?? 0,
    ats: at('extended', EXT_CAP_ID.ats)?.offset ?? 0,
    pasid: at('extended', EXT_CAP_ID.pasid)?.offset ?? 0,
    pri: at('extended', EXT_CAP_ID.pri)?.offset ?? 0,
    sriov: at('extended', EXT_CAP_ID.sriov)?.offset ?? 0,
    planned: space.planned,
  };
}

function barOffsets(bars: readonly BarSpec[]): Set<number> {
  return new Set(bars.flatMap(barRegisters).map(({ offset }) => offset));
}

/** The registers of a capability at its place, header included. */
function registersOf(one: GivenCapability, view: DataView, spec: PciFunctionSpec): Register[] {
  const { chain, offset, length } = one;
  const inside = ({ offset: at, bytes }: Register) => at + bytes <= ((offset + length + 3) & ~3);
  if (chain === 'standard') {
    const built = standardSpec(one, view);
    if (built === undefined) return [];
    return buildCapability(built)
      .registers.map((r) => r.at(offset + r.offset, r.name))
      .filter(inside);
  }
  const hex = `${one.id.toString(16)}_${offset.toString(16)}`;
  const header = reg32(offset, `EXT${hex}`, 'PCI Express Base: Extended Capabilities', {
    ID: ro(15, 0, 'Extended Capability ID'),
    VERSION: ro(19, 16, 'Capability Version'),
    NEXT: ro(31, 20, 'Next Capability Offset'),
  });
  return [header, ...extendedRegisters(one, view, spec).filter(inside)];
}

/** The description whose registers have the shape that the bytes say. */
function standardSpec({ id, offset }: GivenCapability, view: DataView): CapabilitySpec | undefined {
  const word = view.getUint32(offset, true);
  switch (id) {
    case CAP_ID.pm:
      return { id: 'pm' };
    case CAP_ID.pcie:
      return { id: 'pcie', type: ((word >>> 20) & 0xf) === 9 ? 'rc-endpoint' : 'endpoint' };
    case CAP_ID.msi: {
      const vectors = 1 << Math.min(5, extract(MSI_CONTROL.fields.MMC, word));
      return {
        id: 'msi',
        vectors: vectors as 1 | 2 | 4 | 8 | 16 | 32,
        is64: extract(MSI_CONTROL.fields.IS64, word) === 1,
        maskable: extract(MSI_CONTROL.fields.MASKABLE, word) === 1,
      };
    }
    case CAP_ID.msix:
      return { id: 'msix', vectors: 1, bar: 0, tableOffset: 0, pbaOffset: 0 };
    default:
      return undefined;
  }
}

function extendedRegisters({ id, offset }: GivenCapability, view: DataView, spec: PciFunctionSpec) {
  const word = view.getUint32(offset + 4, true);
  switch (id) {
    case EXT_CAP_ID.pasid:
      return pasidCapability({
        width: extract(PASID.fields.WIDTH, word),
        execute: extract(PASID.fields.EXEC_CAP, word) === 1,
        privileged: extract(PASID.fields.PRIV_CAP, word) === 1,
      }).registers(offset);
    case EXT_CAP_ID.ats:
      return atsCapability({
        queueDepth: extract(ATS.fields.QDEPTH, word),
        globalInvalidate: extract(ATS.fields.GLOBAL, word) === 1,
      }).registers(offset);
    case EXT_CAP_ID.pri:
      return priCapability(view.getUint32(offset + PRI_CAPACITY.offset, true)).registers(offset);
    default:
      return spec.extended?.find((own) => own.id === id)?.registers(offset) ?? [];
  }
}

/** Bits of registers that follow from the state of the function, and begin at 0 whatever the bytes say. */
const LIVE: Readonly<Record<string, readonly string[]>> = {
  [HEADER.name]: ['CACHE_LINE', 'MULTI'],
  [INTERRUPT.name]: ['LINE'],
  [COMMAND.name]: Object.keys(COMMAND.fields).filter((name) => name !== 'CAPS'),
  MSI_ADDRESS: ['ADDRESS'],
  MSI_ADDRESS_UPPER: ['UPPER'],
  MSI_DATA: ['DATA'],
  MSI_MASK: ['MASK'],
  MSI_PENDING: ['PENDING'],
  [PRI.name]: ['ENABLE', 'RESET', 'RF', 'UPRGI', 'STOPPED'],
};

/** The register with what the bytes have as its reset value; bits that no field has are constant. */
function starting(register: Register, view: DataView): Register {
  const live = LIVE[register.name] ?? [];
  const fields: Record<string, FieldDecl> = {};
  const words = [0, 4].slice(0, register.bytes / 4).map((at) => view.getUint32(register.offset + at, true));
  for (const [name, field] of Object.entries(register.fields as Fields))
    fields[name] = {
      ...field,
      reset: live.includes(name) ? 0 : extract(field, words[field.lo >>> 5] as number),
    };
  const declared = words.map((_, word) =>
    Object.values(fields).reduce((mask, field) => mask | maskInWord(field, word), 0),
  );
  const status = register.name === COMMAND.name || register.name === HEADER.name;
  words.forEach((value, word) => {
    for (let bit = 0; !status && bit < 32; bit++) {
      if ((value & ~(declared[word] as number) & (1 << bit)) === 0) continue;
      const at = word * 32 + bit;
      fields[`BIT${at}`] = ro(at, at, TITLE, undefined, 1);
    }
  });
  return new Register(register.offset, register.name, register.cite, register.bytes as 4 | 8, fields);
}

const constant = (at: number): Register =>
  reg32(at, `BYTES_${at.toString(16).padStart(3, '0')}`, TITLE, { DATA: ro(31, 0, TITLE) });

/** A field of one 32-bit word. */
function extract(field: FieldDecl, word: number): number {
  const width = field.hi - field.lo + 1;
  const shifted = word >>> (field.lo & 31);
  return width === 32 ? shifted >>> 0 : (shifted & ((1 << width) - 1)) >>> 0;
}
