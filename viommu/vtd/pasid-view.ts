import type { TableNode } from '../../vmm/bus/iommu.ts';
import { GSTS, RTADDR } from '../spec/vtd/registers.ts';
import { PASID_ENTRY } from '../spec/vtd/structures.ts';
import {
  type CachedSubstream,
  MOST_SUBSTREAM_NODES,
  pathsTo,
  type SubstreamPath,
  type SubstreamView,
  substreamView,
} from '../watch/substream-view.ts';
import type { VtdIommu } from './device.ts';
import { pasidTree } from './table-tree.ts';

const TES = 0x80000000;
const SCALABLE_MODE = 1;

/** The PASIDs that requests can have: what the tables in memory say, and where the PASID-cache says something else. */
export function pasidView(device: VtdIommu, cached: readonly CachedSubstream[]): SubstreamView {
  const note = noteOf(device);
  if (note !== undefined) return { note, pasids: [], cut: false };
  const { roots, cut } = pasidTree(device, MOST_SUBSTREAM_NODES);
  return substreamView(paths(roots), cut, cached);
}

/** Root entry, context entry, PASID directory entry and PASID table entry. */
function* paths(roots: readonly TableNode[]): Generator<SubstreamPath> {
  for (const nodes of pathsTo(({ what }) => what === PASID_ENTRY.name, roots))
    yield { requester: nodes[1]!.of, pasid: Number(/\d+$/.exec(nodes[3]!.of)![0]), nodes };
}

function noteOf({ s, w }: VtdIommu): string | undefined {
  if ((w.block.read32(s.regs, GSTS.offset) & TES) === 0) return 'translation is off';
  const mode = RTADDR.get.TTM([s.rootLo, s.rootHi], 0);
  return mode === SCALABLE_MODE
    ? undefined
    : 'the root table is not one of scalable mode: there are no PASIDs';
}
