import type { IortDescription } from '../description.ts';
import { ByteWriter, badDescription } from './bytes.ts';
import { buildTable, HEADER_LENGTH } from './header.ts';

/** Arm IO Remapping Table: node types. */
const ROOT_COMPLEX = 2;
const SMMU_V3 = 4;
const RESERVED_MEMORY = 6;

/**
 * Revisions of the table and its nodes: of issue D, and of E.d where something is said that D has no words for: reserved memory,
 * page requests, PASIDs. The root complex' revision 3 has the flags of the latter; 4 would add the width of PASIDs.
 */
interface Revisions {
  readonly table: number;
  readonly rootComplex: number;
  readonly smmu: number;
  /** Of reserved memory nodes, which issue D does not have; nodes have identifiers then. */
  readonly reserved: number | undefined;
}
const ISSUE_D: Revisions = { table: 0, rootComplex: 1, smmu: 2, reserved: undefined };
const ISSUE_E: Revisions = { table: 5, rootComplex: 3, smmu: 4, reserved: 3 };

const FIRST_NODE = HEADER_LENGTH + 12;
const NODE_HEADER = 16;
const MAPPING_LENGTH = 20;

/** SMMUv3 flags. */
const COHACC_OVERRIDE = 1;
const HTTU_SHIFT = 1;
/** Memory access properties of a root complex: fully coherent, and cache attributes that say so. */
const COHERENT = 1;
const CPM_DACS = 3;
/** ATS attribute of a root complex. */
const ATS_SUPPORTED = 1;
const PRI_SUPPORTED = 2;
const PASID_FORWARDED = 4;

/** ID mappings. */
const ALL_REQUESTERS = 0xffff;
const SINGLE_MAPPING = 1;
const PAGE = 4096;

/** The SMMU, the root complex whose requester ids are its StreamIDs, and reserved regions. */
export function iort({ smmu, rootComplex, reserved }: IortDescription): Uint8Array {
  const issue = reserved.length > 0 || rootComplex.pri || rootComplex.pasid ? ISSUE_E : ISSUE_D;
  const smmuNode = FIRST_NODE;
  const nodes = new ByteWriter('IORT');
  node(nodes, { type: SMMU_V3, revision: issue.smmu, identifier: 0 }, smmuData(smmu));
  const mapping = { input: 0, count: ALL_REQUESTERS, output: 0, node: smmuNode, flags: 0 };
  const root = { type: ROOT_COMPLEX, revision: issue.rootComplex };
  node(nodes, { ...root, identifier: issue === ISSUE_D ? 0 : 1 }, rootData(rootComplex), mapping);
  for (const [i, { base, length, stream }] of reserved.entries()) {
    if (base % PAGE !== 0 || length % PAGE !== 0)
      throw badDescription('IORT', 'reserved regions consist of pages');
    const rangesAt = NODE_HEADER + 12 + MAPPING_LENGTH;
    const data = new ByteWriter('IORT').u32(0).u32(1).u32(rangesAt).done();
    const range = new ByteWriter('IORT').u64(base).u64(length).u32(0).done();
    const single = { input: 0, count: 0, output: stream, node: smmuNode, flags: SINGLE_MAPPING };
    const kind = { type: RESERVED_MEMORY, revision: issue.reserved ?? 0, identifier: 2 + i };
    node(nodes, kind, data, single, range);
  }
  const body = new ByteWriter('IORT')
    .u32(2 + reserved.length)
    .u32(FIRST_NODE)
    .u32(0)
    .bytes(nodes.done());
  return buildTable('IORT', issue.table, body.done());
}

interface Mapping {
  readonly input: number;
  /** Ids less one. */
  readonly count: number;
  readonly output: number;
  readonly node: number;
  readonly flags: number;
}

/** Header, data, then the id mapping, if any, and what the data points to. */
function node(
  w: ByteWriter,
  {
    type,
    revision,
    identifier,
  }: { readonly type: number; readonly revision: number; readonly identifier: number },
  data: Uint8Array,
  mapping?: Mapping,
  tail: Uint8Array = new Uint8Array(0),
): void {
  const mapped = NODE_HEADER + data.length;
  const mappings = mapping === undefined ? 0 : 1;
  w.u8(type)
    .u16(mapped + mappings * MAPPING_LENGTH + tail.length)
    .u8(revision)
    .u32(identifier)
    .u32(mappings)
    .u32(mappings === 0 ? 0 : mapped)
    .bytes(data);
  if (mapping !== undefined)
    w.u32(mapping.input).u32(mapping.count).u32(mapping.output).u32(mapping.node).u32(mapping.flags);
  w.bytes(tail);
}

function smmuData({ base, coherent, httu, gsi }: IortDescription['smmu']): Uint8Array {
  return new ByteWriter('IORT')
    .u64(base)
    .u32((coherent ? COHACC_OVERRIDE : 0) | (httu << HTTU_SHIFT))
    .u32(0)
    .u64(0) // VATOS
    .u32(0) // model: generic
    .u32(gsi.event)
    .u32(gsi.pri)
    .u32(gsi.gerror)
    .u32(gsi.sync)
    .u32(0) // proximity domain
    .u32(0) // device id mapping index: there is none
    .done();
}

function rootData({ segment, ats, pri, pasid, addressBits }: IortDescription['rootComplex']): Uint8Array {
  return new ByteWriter('IORT')
    .u32(COHERENT)
    .u8(0)
    .u16(0)
    .u8(CPM_DACS)
    .u32((ats ? ATS_SUPPORTED : 0) | (pri ? PRI_SUPPORTED : 0) | (pasid ? PASID_FORWARDED : 0))
    .u32(segment)
    .u8(addressBits)
    .zeros(3)
    .done();
}
