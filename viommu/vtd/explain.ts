import type { Provenance, WalkStep } from '../../vmm/bus/iommu.ts';
import { hex, u64 } from '../../vmm/core/u64.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import { FS_ENTRY, FS_LEVEL_NAMES } from '../spec/paging/first-stage.ts';
import { SS_ENTRY, SS_LEVEL_NAMES } from '../spec/paging/second-stage.ts';
import { FAULT_BY_CODE, faultCodeText } from '../spec/vtd/faults.ts';
import {
  CONTEXT_ENTRY,
  IRTE,
  PASID_DIRECTORY_ENTRY,
  PASID_ENTRY,
  ROOT_ENTRY,
  SCALABLE_CONTEXT_ENTRY,
  SCALABLE_ROOT_ENTRY,
} from '../spec/vtd/structures.ts';
import type { FirstStageWalker } from '../walk/first-stage.ts';
import { OWNER_MASK } from '../walk/iotlb.ts';
import type { SecondStageWalker } from '../walk/second-stage.ts';
import {
  cachedStep,
  entryStep,
  type FaultWords,
  FROM_CACHE,
  NOT_READ,
  tableStep,
} from '../watch/entry-steps.ts';
import type { AccessRecord } from './access-record.ts';
import type { InterruptRecord } from './interrupts.ts';
import type { DmaRemapper } from './remap.ts';
import { allowedIn, faultIn, UPPER_CLASS } from './row-flags.ts';
import type { VtdState } from './state.ts';
import { BLOCKED, MESSAGE } from './translation.ts';

/** Steps of the translation the remapper did last, from what it kept of it. */
export function translationSteps(dma: DmaRemapper, s: VtdState, provenance: Provenance): WalkStep[] {
  const record = dma.record;
  const steps: WalkStep[] = [];
  if (record.rootSource !== NOT_READ) {
    const layout: Layout = record.scalable ? SCALABLE_ROOT_ENTRY : ROOT_ENTRY;
    const address = (record.rootAddress & -16) >>> 0;
    steps.push(entryStep(layout, record.root, address, record.rootUpper, false, provenance));
  }
  if (record.contextSource !== NOT_READ) {
    const cached = record.contextSource === FROM_CACHE;
    steps.push(
      entryStep(
        record.scalable ? SCALABLE_CONTEXT_ENTRY : CONTEXT_ENTRY,
        record.context,
        record.contextAddress,
        record.contextUpper,
        cached,
        provenance,
      ),
    );
  }
  steps.push(...pasidSteps(record, provenance));
  if (record.row >= 0) steps.push(iotlbStep(s.iotlb, record.row));
  if (record.firstWalked) steps.push(...firstStageSteps(dma, provenance));
  const top = (record.scalable ? (record.pasidEntry[0]! >>> 2) & 7 : record.context[2]! & 7) + 2;
  if (record.walked || (record.firstWalked && dma.firstStage.secondUsed))
    steps.push(...walkSteps(dma, top, provenance));
  return steps;
}

/** The PASID directory and table entry of a request in scalable mode. */
function pasidSteps(record: AccessRecord, provenance: Provenance): WalkStep[] {
  const steps: WalkStep[] = [];
  if (record.directorySource !== NOT_READ) {
    const { directory, directoryAddress, directoryUpper } = record;
    const layout: Layout = PASID_DIRECTORY_ENTRY;
    steps.push(entryStep(layout, directory, directoryAddress, directoryUpper, false, provenance));
  }
  if (record.pasidSource !== NOT_READ) {
    const { pasid, pasidEntry, pasidAddress, pasidUpper } = record;
    const cached = record.pasidSource === FROM_CACHE;
    const step = entryStep(PASID_ENTRY, pasidEntry, pasidAddress, pasidUpper, cached, provenance);
    steps.push({ ...step, what: `${step.what} of PASID ${hex(pasid)}` });
  }
  return steps;
}

function iotlbStep(rows: Uint32Array, r: number): WalkStep {
  const flags = rows[r + 5]!;
  const size = ['4 KiB', '2 MiB', '1 GiB'][rows[r]! & 3];
  const output = hex(u64(rows[r + 3]!, rows[r + 4]!));
  const fault = faultIn(flags);
  const negative = fault !== 0 ? ` fault=${faultCodeText(fault)}` : '';
  // Of a row that faults: what the entries on the way allow, which comes first.
  const allowed = allowedIn(flags, 0);
  const upper = allowedIn(flags, UPPER_CLASS);
  const privileged = upper === allowed ? '' : ` privileged: R=${upper & 1} W=${(upper >>> 1) & 1}`;
  return cachedStep(
    'IOTLB entry',
    `R=${allowed & 1} W=${(allowed >>> 1) & 1}${privileged} page=${output} size=${size} DID=${rows[r + 7]! & OWNER_MASK}${negative}`,
  );
}

function walkSteps(dma: DmaRemapper, top: number, provenance: Provenance): WalkStep[] {
  const walker = dma.walker;
  const steps: WalkStep[] = [];
  if (walker.first < top) {
    const p = walker.cachedPermissions;
    steps.push(
      cachedStep(
        'paging-structure cache',
        `R=${p & 1} W=${(p >>> 1) & 1} table=${hex((walker.address[walker.first]! & 0xfffff000) >>> 0)} level=${walker.first}`,
      ),
    );
  }
  for (let level = walker.first; level >= walker.level; level--)
    steps.push(levelStep(walker, level, SS_LEVEL_NAMES[level]!, SS_ENTRY, provenance));
  return steps;
}

/** First-stage entries; of a nested walk at their place in memory. */
function firstStageSteps(dma: DmaRemapper, provenance: Provenance): WalkStep[] {
  const walker = dma.firstStage;
  const steps: WalkStep[] = [];
  const top = ((dma.record.pasidEntry[4]! >>> 2) & 3) === 1 ? 5 : 4;
  if (walker.first < top) {
    const bits = walker.cachedBits;
    steps.push(
      cachedStep(
        'paging-structure cache',
        `RW=${(bits >>> 1) & 1} US=${(bits >>> 2) & 1} XD=${bits >>> 31} level=${walker.first}`,
      ),
    );
  }
  // A table that the second stage does not lead to has not been read.
  const last = walker.opened ? walker.level : walker.level + 1;
  for (let level = walker.first; level >= last; level--)
    steps.push(levelStep(walker, level, FS_LEVEL_NAMES[level]!, FS_ENTRY, provenance));
  return steps;
}

function levelStep(
  walker: FirstStageWalker | SecondStageWalker,
  level: number,
  what: string,
  layout: Pick<Layout, 'show'>,
  provenance: Provenance,
): WalkStep {
  return tableStep(walker, level, level === walker.level && walker.unreadable, what, layout, provenance);
}

/** Steps of an interrupt request. */
export function interruptSteps(record: InterruptRecord, provenance: Provenance): WalkStep[] {
  if (record.source === NOT_READ) return [];
  const cached = record.source === FROM_CACHE;
  return [entryStep(IRTE, record.entry, record.address, record.upper, cached, provenance)];
}

/** A fault reason in the words of the specification. */
export function faultWords(code: number): FaultWords {
  const reason = FAULT_BY_CODE[code]!;
  return { code: faultCodeText(code), name: reason.name, why: `${reason.why} (${reason.cite})` };
}

/** One line on how a translation ended. */
export function outcomeText(code: number, outLo: number, outHi: number): string {
  if (code === 0) return `translates to ${hex(u64(outLo, outHi))}`;
  if (code === MESSAGE) return 'an interrupt message';
  if (code === BLOCKED) return 'blocked: protected memory, or a translation request while translation is off';
  const reason = FAULT_BY_CODE[code]!;
  return `fault ${faultCodeText(code)} (${reason.name}): ${reason.why}`;
}
