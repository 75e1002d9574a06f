import { hex } from '../../vmm/core/u64.ts';
import type {
  DeviceScope,
  DmarDescription,
  DmarStructure,
  Drhd,
  Rmrr,
  Sidp,
  SidpProperties,
} from '../description.ts';
import { ByteWriter, badDescription } from './bytes.ts';
import { buildTable } from './header.ts';

/** VT-d: DMA Remapping Reporting Structure, Remapping Structure Types. */
const TYPE = { DRHD: 0, RMRR: 1, ATSR: 2, RHSA: 3, ANDD: 4, SATC: 5, SIDP: 6 } as const;
/** VT-d: Device Scope Structure. */
const SCOPE_TYPE = { endpoint: 1, bridge: 2, ioapic: 3, hpet: 4, namespace: 5 } as const;

const INTR_REMAP = 1 << 0;
const X2APIC_OPT_OUT = 1 << 1;
const DMA_CTRL_PLATFORM_OPT_IN = 1 << 2;

const PAGE = 4096;

export function dmar(description: DmarDescription): Uint8Array {
  const flags =
    (description.interruptRemapping ? INTR_REMAP : 0) |
    (description.x2apicOptOut ? X2APIC_OPT_OUT : 0) |
    (description.dmaControlOptIn ? DMA_CTRL_PLATFORM_OPT_IN : 0);
  // VT-d: X2APIC_OPT_OUT is valid only with INTR_REMAP set.
  if (description.x2apicOptOut && !description.interruptRemapping)
    throw badDescription('DMAR', 'x2apicOptOut means nothing without interruptRemapping');
  const body = new ByteWriter('DMAR')
    .u8(description.hostAddressWidth - 1)
    .u8(flags)
    .zeros(10);
  for (const structure of inTableOrder(description.structures)) {
    const content = structureBody(structure);
    body
      .u16(TYPE[structure.type])
      .u16(4 + content.length)
      .bytes(content);
  }
  return buildTable('DMAR', 1, body.done());
}

/**
 * VT-d: DMA Remapping Reporting Structure: types in ascending order. VT-d: DRHD: the unit with INCLUDE_PCI_ALL is the last of
 * its segment's units, and there is at most one. Otherwise the order of the description is kept.
 */
function inTableOrder(structures: readonly DmarStructure[]): DmarStructure[] {
  const catchAlls = new Set<number>();
  for (const structure of structures) {
    if (!isCatchAll(structure)) continue;
    if (catchAlls.has(structure.segment))
      throw badDescription('DMAR', `segment ${structure.segment} has two units with includePciAll`);
    catchAlls.add(structure.segment);
  }
  const rank = (s: DmarStructure) => TYPE[s.type] * 2 + (isCatchAll(s) ? 1 : 0);
  return structures.toSorted((a, b) => rank(a) - rank(b));
}

function isCatchAll(structure: DmarStructure): structure is Drhd {
  return structure.type === 'DRHD' && structure.includePciAll;
}

/** Everything after the type and length words. */
function structureBody(s: DmarStructure): Uint8Array {
  const w = new ByteWriter(s.type);
  switch (s.type) {
    case 'DRHD':
      checkDrhd(s);
      w.u8(s.includePciAll ? 1 : 0)
        .u8(s.windowOrder ?? 0)
        .u16(s.segment)
        .u64(s.base);
      return writeScopes(w, s.scopes).done();
    case 'RMRR':
      checkRmrr(s);
      w.u16(0).u16(s.segment).u64(s.base).u64(s.limit);
      return writeScopes(w, s.scopes).done();
    case 'ATSR':
      // VT-d: ATSR: with ALL_PORTS the scopes are not looked at; the table has none.
      if (s.allPorts !== (s.scopes.length === 0))
        throw badDescription('ATSR', 'needs either allPorts or a list of root ports');
      w.u8(s.allPorts ? 1 : 0)
        .u8(0)
        .u16(s.segment);
      return writeScopes(w, s.scopes).done();
    case 'RHSA':
      return w.u32(0).u64(s.drhdBase).u32(s.proximityDomain).done();
    case 'ANDD':
      return w.zeros(3).u8(s.deviceNumber).ascii(s.name).u8(0).done();
    case 'SATC':
      w.u8(s.atcRequired ? 1 : 0)
        .u8(0)
        .u16(s.segment);
      return writeScopes(w, s.scopes).done();
    case 'SIDP':
      return writeSidp(w, s).done();
  }
}

function checkDrhd({ base, windowOrder = 0, includePciAll, scopes }: Drhd): void {
  if (base % (PAGE * 2 ** windowOrder) !== 0)
    throw badDescription('DRHD', `base ${hex(base)} is not aligned to the register window`);
  // Size is a 4-bit field (VT-d: DRHD, Size).
  if (windowOrder > 15) throw badDescription('DRHD', `window order ${windowOrder} is above 15`);
  if (!includePciAll && scopes.length === 0)
    throw badDescription('DRHD', 'needs includePciAll or at least one device scope');
}

function checkRmrr({ base, limit, scopes }: Rmrr): void {
  if (base % PAGE !== 0 || (limit + 1) % PAGE !== 0 || limit < base)
    throw badDescription('RMRR', `${hex(base)}..${hex(limit)} is not a range of whole pages`);
  if (scopes.length === 0) throw badDescription('RMRR', 'needs at least one device scope');
}

function writeScopes(w: ByteWriter, scopes: readonly DeviceScope[]): ByteWriter {
  for (const scope of scopes) writeScope(w, scope, 0);
  return w;
}

function writeSidp(w: ByteWriter, { segment, scopes }: Sidp): ByteWriter {
  w.u16(0).u16(segment);
  for (const scope of scopes) writeScope(w, scope, sidpFlags(scope.properties));
  return w;
}

function sidpFlags(p: SidpProperties): number {
  return (
    (p.noNested === true ? 1 << 0 : 0) |
    (p.noPwsnp === true ? 1 << 1 : 0) |
    (p.noPgsnp === true ? 1 << 2 : 0) |
    (p.atcHardened === true ? 1 << 3 : 0) |
    (p.atcRequired === true ? 1 << 4 : 0)
  );
}

/** @param flags only SIDP gives this byte a meaning; elsewhere it is reserved. */
function writeScope(w: ByteWriter, scope: DeviceScope, flags: number): void {
  if (scope.path.length === 0) throw badDescription('Device scope', 'its path is empty');
  w.u8(SCOPE_TYPE[scope.type])
    .u8(6 + 2 * scope.path.length)
    .u8(flags)
    .u8(0)
    .u8('enumerationId' in scope ? scope.enumerationId : 0)
    .u8(scope.startBus);
  for (const { device, fn } of scope.path) {
    if (device > 31 || fn > 7)
      throw badDescription('Device scope', `there is no PCI function ${device}.${fn}`);
    w.u8(device).u8(fn);
  }
}
