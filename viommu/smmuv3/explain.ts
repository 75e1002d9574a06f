import type { DmaPort } from '../../vmm/bus/dma.ts';
import type { ExplainedFault, Provenance, WalkStep } from '../../vmm/bus/iommu.ts';
import { hex, hex64, u64 } from '../../vmm/core/u64.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import { S1_LEAF, S1_TABLE, S2_LEAF, S2_TABLE } from '../spec/paging/vmsa.ts';
import { CLASS_CD, CLASS_TT } from '../spec/smmuv3/events.ts';
import { EVENT_BY_CODE, eventCodeText, HAS_SYNDROME } from '../spec/smmuv3/faults.ts';
import { CD, L1CD, L1STD, STE } from '../spec/smmuv3/structures.ts';
import { OWNER_MASK } from '../walk/iotlb.ts';
import type { VmsaWalker } from '../walk/vmsa.ts';
import { FROM_CACHE, NOT_READ, type ReadEntry } from './access-record.ts';
import { TLB_SHIFTS } from './caches.ts';
import { RECORDED, type Recording } from './events.ts';
import { ABORTED } from './procedure.ts';
import { PRIVILEGED, stage1In, stage2In } from './row-flags.ts';
import type { SmmuState } from './state.ts';
import type { SmmuTranslation } from './translation.ts';

/** Steps of the translation that was done last, from what it kept of it. */
export function translationSteps(t: SmmuTranslation, s: SmmuState, provenance: Provenance): WalkStep[] {
  const { record } = t;
  const steps: WalkStep[] = [];
  const add = (layout: unknown, entry: ReadEntry) => {
    if (entry.source !== NOT_READ) steps.push(entryStep(layout as Layout, entry, provenance));
  };
  add(L1STD, record.l1std);
  add(STE, record.ste);
  add(L1CD, record.l1cd);
  add(CD, record.cd);
  if (record.row >= 0) steps.push(tlbStep(s.tlb, record.row));
  if (record.walked1) steps.push(...walkSteps(t.first, 'stage 1', S1_TABLE, S1_LEAF, provenance));
  if (record.walked2) steps.push(...walkSteps(t.second, 'stage 2', S2_TABLE, S2_LEAF, provenance));
  return steps;
}

function entryStep(layout: Layout, entry: ReadEntry, provenance: Provenance): WalkStep {
  const cached = entry.source === FROM_CACHE;
  return {
    what: layout.name,
    address: cached ? undefined : hex(u64(entry.lo, entry.hi)),
    raw: quadwords(entry.words, layout.bytes),
    fields: layout.show(entry.words),
    source: cached ? 'cache' : 'memory',
    lastWriter: cached || entry.hi !== 0 ? undefined : provenance.lastWriter(entry.lo),
  };
}

/** Least significant first; zeroes at the end of a long entry say nothing. */
function quadwords(words: Uint32Array, bytes: number): string[] {
  const raw: string[] = [];
  for (let i = 0; i < bytes / 4; i += 2) raw.push(hex64(words[i]!, words[i + 1]!));
  while (raw.length > 2 && raw.at(-1) === hex64(0, 0)) raw.pop();
  return raw;
}

function permissionText(permissions: number): string {
  return `${permissions & 1 ? 'r' : '-'}${permissions & 2 ? 'w' : '-'}${permissions & 4 ? 'x' : '-'}`;
}

function tlbStep(rows: Uint32Array, r: number): WalkStep {
  const flags = rows[r + 5]!;
  const both = (shift: number) => permissionText(stage1In(flags, shift) & stage2In(flags, shift));
  return {
    what: 'TLB entry',
    address: undefined,
    raw: [],
    fields: `user=${both(0)} privileged=${both(PRIVILEGED)} page=${hex(u64(rows[r + 3]!, rows[r + 4]!))} size=2^${TLB_SHIFTS[rows[r]! & 7]!} VMID=${rows[r + 7]! & OWNER_MASK}`,
    source: 'cache',
    lastWriter: undefined,
  };
}

function walkSteps(
  walker: VmsaWalker,
  stage: string,
  table: unknown,
  leaf: unknown,
  provenance: Provenance,
): WalkStep[] {
  const steps: WalkStep[] = [];
  // A table that the other stage does not lead to has not been read.
  const last = walker.opened ? walker.level : walker.level - 1;
  for (let level = walker.first; level <= last; level++) {
    const words = [walker.rawLo[level]!, walker.rawHi[level]!];
    const isLeaf = level === 3 || (words[0]! & 3) !== 3;
    const address = walker.address[level]!;
    const upper = walker.addressHi[level]!;
    steps.push({
      what: `${stage} level ${level}`,
      address: hex(u64(address, upper)),
      raw: [hex64(words[0]!, words[1]!)],
      fields: ((isLeaf ? leaf : table) as Pick<Layout, 'show'>).show(words, 0, true),
      source: 'memory',
      lastWriter: upper === 0 ? provenance.lastWriter(address) : undefined,
    });
  }
  return steps;
}

function accessName(access: number): ExplainedFault['access'] {
  if ((access & 3) === 3) return 'atomic';
  return (access & 2) !== 0 ? 'write' : (access & 4) !== 0 ? 'execute' : 'read';
}

/** Which access of which stage met the event. */
function where(t: SmmuTranslation): string {
  const { event } = t;
  if ((EVENT_BY_CODE[event.type]!.fields & HAS_SYNDROME) === 0) return '';
  const stage = event.stage2 ? 'stage 2' : 'stage 1';
  if (event.class === CLASS_CD) return `${stage}, of a context descriptor: `;
  return event.class === CLASS_TT ? `${stage}, of a stage 1 descriptor: ` : `${stage}: `;
}

/** The report of one event. */
export function explainedEvent(
  iommu: string,
  port: DmaPort,
  code: number,
  address: string,
  access: number,
  steps: readonly WalkStep[],
  recording: Recording,
  t: SmmuTranslation,
): ExplainedFault {
  const kind = EVENT_BY_CODE[code]!;
  return {
    iommu,
    requester: port.requester,
    pasid: port.pasid,
    address,
    access: accessName(access),
    code: eventCodeText(code),
    name: kind.name,
    why: `${where(t)}${kind.why} (${kind.cite})`,
    steps,
    recorded: recording === RECORDED,
    ...(recording === RECORDED ? {} : { note: recording }),
  };
}

/** One line on how a translation ended. */
export function outcomeText(code: number, t: SmmuTranslation): string {
  if (code === 0) return `translates to ${hex(u64(t.outLo, t.outHi))}`;
  if (code === ABORTED)
    return 'aborted without an event: STE.Config or GBPA says so, or the address is too wide';
  const kind = EVENT_BY_CODE[code]!;
  return `event ${eventCodeText(code)} (${kind.name}): ${where(t)}${kind.why}`;
}
