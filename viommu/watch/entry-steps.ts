import { AT_TRANSLATION, type DmaPort } from '../../vmm/bus/dma.ts';
import type { ExplainedFault, Provenance, WalkStep } from '../../vmm/bus/iommu.ts';
import { hex, hex64, u64 } from '../../vmm/core/u64.ts';
import type { Layout } from '../../vmm/regs/layout.ts';

/** Where an entry came from. */
export const NOT_READ = 0;
export const FROM_CACHE = 1;
export const FROM_MEMORY = 2;

/** An entry as it was read at (lo, hi), halves unsigned, or as a cache had it. */
export function entryStep(
  layout: Pick<Layout, 'name' | 'bytes' | 'show'>,
  words: Uint32Array,
  lo: number,
  hi: number,
  cached: boolean,
  provenance: Provenance,
): WalkStep {
  return {
    what: layout.name,
    address: cached ? undefined : hex(u64(lo, hi)),
    raw: quadwords(words, layout.bytes),
    fields: layout.show(words),
    source: cached ? 'cache' : 'memory',
    lastWriter: cached || hi !== 0 ? undefined : provenance.lastWriter(lo),
  };
}

/** Least significant first; zeroes at the end of a long entry say nothing. */
function quadwords(words: Uint32Array, bytes: number): string[] {
  const raw: string[] = [];
  for (let i = 0; i < bytes / 4; i += 2) raw.push(hex64(words[i]!, words[i + 1]!));
  while (raw.length > 2 && raw.at(-1) === hex64(0, 0)) raw.pop();
  return raw;
}

/** What a walk leaves of the entry it read at each level. */
export interface WalkedTables {
  readonly address: Uint32Array;
  readonly addressHi: Uint32Array;
  readonly rawLo: Uint32Array;
  readonly rawHi: Uint32Array;
}

/** The entry that a walk read at one level; `unreadable`: it is not memory. */
export function tableStep(
  walk: WalkedTables,
  level: number,
  unreadable: boolean,
  what: string,
  layout: Pick<Layout, 'show'>,
  provenance: Provenance,
): WalkStep {
  const lo = walk.address[level]!;
  const hi = walk.addressHi[level]!;
  const words = [walk.rawLo[level]!, walk.rawHi[level]!];
  return {
    what,
    address: hex(u64(lo, hi)),
    raw: unreadable ? [] : [hex64(words[0]!, words[1]!)],
    fields: unreadable ? 'not memory' : layout.show(words, 0, true),
    source: 'memory',
    lastWriter: unreadable || hi !== 0 ? undefined : provenance.lastWriter(lo),
  };
}

/** What a cache said in place of entries. */
export function cachedStep(what: string, fields: string): WalkStep {
  return { what, address: undefined, raw: [], fields, source: 'cache', lastWriter: undefined };
}

function accessName(access: number, port: DmaPort): ExplainedFault['access'] {
  // A translation request for writing asks for reading, too (PCI Express Base: Translation Requests, No Write flag).
  if ((access & 3) === 3 && port.at !== AT_TRANSLATION) return 'atomic';
  return (access & 2) !== 0 ? 'write' : (access & 4) !== 0 ? 'execute' : 'read';
}

/** A fault of a specification, in its words. */
export interface FaultWords {
  readonly code: string;
  readonly name: string;
  readonly why: string;
}

/** The report of one fault; `note`: why it was not recorded, undefined where it was. */
export function explainedFault(
  iommu: string,
  port: DmaPort,
  words: FaultWords,
  address: string,
  access: number | 'interrupt',
  steps: readonly WalkStep[],
  note: string | undefined,
): ExplainedFault {
  return {
    iommu,
    requester: port.requester,
    pasid: port.pasid,
    address,
    access: access === 'interrupt' ? access : accessName(access, port),
    ...words,
    steps,
    recorded: note === undefined,
    ...(note === undefined ? {} : { note }),
  };
}
