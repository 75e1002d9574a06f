import type { DeviceFacts } from '../../devices/vconfig/facts.ts';
import { SVM_KEYS, serves } from '../../devices/vconfig/svm-capabilities.ts';
import type { ViommuPort } from '../../viommu/port/port.ts';
import type { SmmuPort } from '../../viommu/port/smmuv3.ts';
import type { VtdPort } from '../../viommu/port/vtd.ts';
import { HW_INFO_TYPE } from '../host/iommufd/abi.ts';
import type { HardwareInfo } from './assigned-device.ts';
import type { PathMode } from './guest-device.ts';

/** What the user wants of a device: the best there is, or one path. */
export type ModeWish = 'auto' | PathMode;
export const MODE_WISHES: readonly ModeWish[] = ['auto', 'nested', 'shadow', 'software'];

/** Which path serves a device. */
export interface Choice {
  readonly mode: PathMode;
  /** Why not a better one, naming the register bits that say so; none: it is the best one. */
  readonly reasons: readonly string[];
  /** What the path cannot do that the guest was promised; only where the user wants it all the same. */
  readonly lacks: readonly string[];
}

/** Bits of VT-d's ECAP. */
const NEST = 26n;
const SMTS = 43n;
const FSTS = 47n;
const PASID = 40n;
/** IDR0. */
const S1P = 1 << 1;
const S2P = 1 << 0;

/** Fields of IDR registers that a guest's tables and commands count on: the hardware has to have no less than was promised. */
const PROMISED = [
  { register: 0, name: 'HTTU', msb: 7, lsb: 6 },
  { register: 0, name: 'ASID16', msb: 12, lsb: 12 },
  { register: 0, name: 'CD2L', msb: 19, lsb: 19 },
  { register: 1, name: 'SSIDSIZE', msb: 10, lsb: 6 },
  { register: 3, name: 'RIL', msb: 10, lsb: 10 },
  { register: 5, name: 'GRAN4K', msb: 4, lsb: 4 },
  { register: 5, name: 'GRAN16K', msb: 5, lsb: 5 },
  { register: 5, name: 'GRAN64K', msb: 6, lsb: 6 },
  { register: 5, name: 'VAX', msb: 11, lsb: 10 },
] as const;

/** What a device has in hardware, and what of it the host lets its user have. */
export interface Abilities {
  readonly own: DeviceFacts;
  readonly shown: DeviceFacts;
  /** Keys of capabilities of its plan. */
  readonly planned?: readonly string[];
  /** A device of its group that the guest has already, and which decides what address space the group has. */
  readonly beside?: string | undefined;
}

/**
 * The best path that host and guest IOMMU leave, with the reasons against better ones. `wish` takes what it says.
 * @param abilities absent: the host lets its user have all that the device has
 */
export function choose(
  info: HardwareInfo,
  port: ViommuPort | undefined,
  wish: ModeWish,
  abilities?: Abilities,
): Choice {
  const planned = [...againstPlan(abilities), ...againstGroup(abilities?.beside)];
  const nesting = [...(port === undefined ? [] : againstNesting(info, port, abilities)), ...planned];
  const paths: readonly Path[] = [
    { mode: 'nested', against: nesting, unlike: [] },
    {
      mode: 'shadow',
      against: [...againstShadowing(info, port, abilities), ...planned],
      unlike: unlikeInShadow(port, abilities),
    },
    { mode: 'software', against: [], unlike: [] },
  ];
  const at = paths.findIndex(({ mode, against, unlike }) =>
    wish === 'auto' ? against.length + unlike.length === 0 : mode === wish,
  );
  const { mode, against } = paths[at]!;
  const reasons = new Set(paths.slice(0, at).flatMap((path) => [...path.against, ...path.unlike]));
  return { mode, reasons: [...reasons], lacks: against };
}

interface Path {
  readonly mode: PathMode;
  /** What the guest was promised and the path has not. */
  readonly against: readonly string[];
  /** What the guest may see to be otherwise: a reason to take the next one, but not for who asks for this one. */
  readonly unlike: readonly string[];
}

/** What software does as the guest's unit would, and the host's own page tables do not. LIMIT passthru-device-tlb, passthru-page-responses. */
function unlikeInShadow(port: ViommuPort | undefined, abilities: Abilities | undefined): string[] {
  if (port === undefined || abilities === undefined) return [];
  const { own, shown } = abilities;
  const unlike: string[] = [];
  if (shown.ats)
    unlike.push(
      "while its tables are shadowed the device uses ATS of the host: translated addresses are the host's, and a request that gets no translation leaves no fault",
    );
  if (port.pageRequests && own.pri)
    unlike.push(
      'answers to page requests (PRI) reach the device as iommufd words them while its tables are shadowed',
    );
  return unlike;
}

/** What guests have seen, or are to see, the device has; a path on which the host keeps it from the user does not do. */
function againstPlan(abilities: Abilities | undefined): string[] {
  if (abilities === undefined) return [];
  const { own, shown, planned = [] } = abilities;
  return SVM_KEYS.filter((key) => planned.includes(key) && serves(own, key) && !serves(shown, key)).map(
    (key) => `its plan has ${key.toUpperCase()}, which the host does not let users of the device have`,
  );
}

/** iommufd attaches a group as a whole: tables of the guest for one device of it would be those of the others. */
function againstGroup(beside: string | undefined): string[] {
  if (beside === undefined) return [];
  return [`all devices of its group on the host use one address space, that of ${beside}`];
}

/** A shadow needs nothing but page tables of the host; what else a device has must not be less than the guest was promised. */
function againstShadowing(
  { type, pasidBits }: HardwareInfo,
  port: ViommuPort | undefined,
  abilities: Abilities | undefined,
): string[] {
  if (port === undefined) return ['there is no vIOMMU whose tables could be shadowed'];
  if (type === HW_INFO_TYPE.NONE) return ['the host has no IOMMU for the device'];
  const reasons: string[] = [];
  const pasids = port.architecture === 'vtd' ? port.pasidBits : port.substreamBits;
  if (pasids > 0 && pasidBits === 0 && abilities?.own.pasidWidth !== 0)
    reasons.push('the device has no PASIDs on this host, and the vIOMMU has');
  if (abilities === undefined) return reasons;
  const { own, shown } = abilities;
  if (port.deviceTlb && own.ats && !shown.ats)
    reasons.push('the device has no ATS on this host, and the vIOMMU has device TLBs');
  if (port.pageRequests && own.pri && !shown.pri)
    reasons.push('the device has no page requests on this host, and the vIOMMU has');
  return reasons;
}

function againstNesting(info: HardwareInfo, port: ViommuPort, abilities: Abilities | undefined): string[] {
  if (port.architecture === 'vtd') return againstVtd(info, port, abilities);
  return againstSmmu(info, port);
}

function againstVtd(
  { type, ecap, pasidBits }: HardwareInfo,
  port: VtdPort,
  abilities: Abilities | undefined,
): string[] {
  if (type !== HW_INFO_TYPE.INTEL_VTD)
    return [`the host's IOMMU is no VT-d (${typeName(type)}): tables have another format`];
  const reasons: string[] = [];
  if (!port.firstStage)
    reasons.push('the vIOMMU has second-stage tables only (fsts=off): the hardware nests first stages');
  const lacks = (bit: bigint, name: string) => {
    if (((ecap >> bit) & 1n) === 0n) reasons.push(`ECAP.${name} (bit ${bit}) of the host's unit is 0`);
  };
  lacks(SMTS, 'SMTS');
  lacks(FSTS, 'FSTS');
  lacks(NEST, 'NEST');
  if (port.pasidBits > 0 && ((ecap >> PASID) & 1n) === 0n)
    reasons.push(`ECAP.PASID (bit ${PASID}) of the host's unit is 0, and the vIOMMU has PASIDs`);
  else if (port.pasidBits > 0 && pasidBits === 0 && abilities?.own.pasidWidth !== 0)
    reasons.push('the device has no PASIDs on this host, and the vIOMMU has');
  return reasons;
}

function againstSmmu({ type, idr }: HardwareInfo, port: SmmuPort): string[] {
  if (type !== HW_INFO_TYPE.ARM_SMMUV3)
    return [`the host's IOMMU is no SMMUv3 (${typeName(type)}): tables have another format`];
  const reasons: string[] = [];
  if (!port.stage1)
    reasons.push('the vIOMMU has stage 2 only (IDR0.S1P, bit 1, is 0): the hardware nests stage 1');
  if (((idr[0] ?? 0) & S1P) === 0) reasons.push("IDR0.S1P (bit 1) of the host's unit is 0");
  if (((idr[0] ?? 0) & S2P) === 0) reasons.push("IDR0.S2P (bit 0) of the host's unit is 0");
  const host = stallModelOf(idr);
  const guest = stallModelOf(port.identity);
  if (host !== STALLS_OPTIONAL && host !== guest)
    reasons.push(
      `IDR0.STALL_MODEL (bits 25:24) of the host's unit is ${host}, the vIOMMU's is ${guest}: CDs that one allows are ILLEGAL to the other`,
    );
  for (const { register, name, msb, lsb } of PROMISED) {
    const valueIn = (words: readonly number[]) => ((words[register] ?? 0) >>> lsb) & ((2 << (msb - lsb)) - 1);
    const [has, promised] = [valueIn(idr), valueIn(port.identity)];
    const bits = msb === lsb ? `bit ${lsb}` : `bits ${msb}:${lsb}`;
    if (has < promised)
      reasons.push(
        `IDR${register}.${name} (${bits}) of the host's unit is ${has}, the vIOMMU's is ${promised}`,
      );
  }
  return reasons;
}

/** IDR0.STALL_MODEL: CDs say whether transactions are held. */
export const STALLS_OPTIONAL = 0;

export function stallModelOf(idr: readonly number[]): number {
  return ((idr[0] ?? 0) >>> 24) & 3;
}

function typeName(type: number): string {
  const found = Object.entries(HW_INFO_TYPE).find(([, value]) => value === type);
  return found === undefined ? `type ${type}` : found[0];
}
