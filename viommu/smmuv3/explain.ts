import type { Provenance, WalkStep } from '../../vmm/bus/iommu.ts';
import { hex, u64 } from '../../vmm/core/u64.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import { S1_LEAF, S1_TABLE, S2_LEAF, S2_TABLE } from '../spec/paging/vmsa.ts';
import { CLASS_CD, CLASS_TT } from '../spec/smmuv3/events.ts';
import { EVENT_BY_CODE, eventCodeText, F_WALK_EABT, HAS_SYNDROME } from '../spec/smmuv3/faults.ts';
import { CD, L1CD, L1STD, STE } from '../spec/smmuv3/structures.ts';
import { OWNER_MASK } from '../walk/iotlb.ts';
import {
  cachedStep,
  entryStep,
  type FaultWords,
  FROM_CACHE,
  NOT_READ,
  tableStep,
} from '../watch/entry-steps.ts';
import type { ReadEntry } from './access-record.ts';
import { TLB_SHIFTS } from './caches.ts';
import { ABORTED } from './procedure.ts';
import { PRIVILEGED, stage1In, stage2In } from './row-flags.ts';
import type { SmmuState } from './state.ts';
import type { SmmuTranslation } from './translation.ts';

/** Steps of the translation that was done last, from what it kept of it. */
export function translationSteps(t: SmmuTranslation, s: SmmuState, provenance: Provenance): WalkStep[] {
  const { record } = t;
  const steps: WalkStep[] = [];
  const add = (layout: unknown, { source, words, lo, hi }: ReadEntry) => {
    if (source === NOT_READ) return;
    steps.push(entryStep(layout as Layout, words, lo, hi, source === FROM_CACHE, provenance));
  };
  add(L1STD, record.l1std);
  add(STE, record.ste);
  add(L1CD, record.l1cd);
  add(CD, record.cd);
  if (record.row >= 0) steps.push(tlbStep(s.tlb, record.row));
  if (record.walked1) steps.push(...walkSteps(t, 1, S1_TABLE, S1_LEAF, provenance));
  if (record.walked2) steps.push(...walkSteps(t, 2, S2_TABLE, S2_LEAF, provenance));
  return steps;
}

function permissionText(permissions: number): string {
  return `${permissions & 1 ? 'r' : '-'}${permissions & 2 ? 'w' : '-'}${permissions & 4 ? 'x' : '-'}`;
}

function tlbStep(rows: Uint32Array, r: number): WalkStep {
  const flags = rows[r + 5]!;
  const both = (shift: number) => permissionText(stage1In(flags, shift) & stage2In(flags, shift));
  return cachedStep(
    'TLB entry',
    `user=${both(0)} privileged=${both(PRIVILEGED)} page=${hex(u64(rows[r + 3]!, rows[r + 4]!))} size=2^${TLB_SHIFTS[rows[r]! & 7]!} VMID=${rows[r + 7]! & OWNER_MASK}`,
  );
}

function walkSteps(
  t: SmmuTranslation,
  stage: 1 | 2,
  table: Pick<Layout, 'show'>,
  leaf: Pick<Layout, 'show'>,
  provenance: Provenance,
): WalkStep[] {
  const walker = stage === 1 ? t.first : t.second;
  const steps: WalkStep[] = [];
  if (walker.first > walker.start)
    steps.push(
      cachedStep(`stage ${stage} walk cache`, `level ${walker.first} ${attributesText(walker.cachedBits)}`),
    );
  // A table that the other stage does not lead to has not been read.
  const aborted = !walker.opened && t.event.type === F_WALK_EABT && t.event.stage2 === (stage === 2);
  const last = walker.opened || aborted ? walker.level : walker.level - 1;
  for (let level = walker.first; level <= last; level++) {
    const isLeaf = level === 3 || (walker.rawLo[level]! & 3) !== 3;
    const unreadable = aborted && level === last;
    steps.push(
      tableStep(
        walker,
        level,
        unreadable,
        `stage ${stage} level ${level}`,
        isLeaf ? leaf : table,
        provenance,
      ),
    );
  }
  return steps;
}

/** What the tables above the cached one add (S1_TABLE). */
function attributesText(bits: number): string {
  return `APTable=${(bits >>> 29) & 3} UXNTable=${(bits >>> 28) & 1} PXNTable=${(bits >>> 27) & 1}`;
}

/** Which access of which stage met the event. */
function where(t: SmmuTranslation): string {
  const { event } = t;
  if ((EVENT_BY_CODE[event.type]!.fields & HAS_SYNDROME) === 0) return '';
  const stage = event.stage2 ? 'stage 2' : 'stage 1';
  if (event.class === CLASS_CD) return `${stage}, of a context descriptor: `;
  return event.class === CLASS_TT ? `${stage}, of a stage 1 descriptor: ` : `${stage}: `;
}

/** The event that was found last, in the words of the architecture. */
export function eventWords(t: SmmuTranslation, code: number): FaultWords {
  const kind = EVENT_BY_CODE[code]!;
  return { code: eventCodeText(code), name: kind.name, why: `${where(t)}${kind.why} (${kind.cite})` };
}

/** One line on how a translation ended. */
export function outcomeText(code: number, t: SmmuTranslation): string {
  if (code === 0) return `translates to ${hex(u64(t.outLo, t.outHi))}`;
  if (code === ABORTED)
    return 'aborted without an event: STE.Config or GBPA says so, or the address is too wide';
  const kind = EVENT_BY_CODE[code]!;
  return `event ${eventCodeText(code)} (${kind.name}): ${where(t)}${kind.why}`;
}
