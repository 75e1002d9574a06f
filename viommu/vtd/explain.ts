import type { DmaPort } from '../../vmm/bus/dma.ts';
import type { ExplainedFault, Provenance, WalkStep } from '../../vmm/bus/iommu.ts';
import { hex, hex64, u64 } from '../../vmm/core/u64.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import { SS_ENTRY, SS_LEVEL_NAMES } from '../spec/paging/second-stage.ts';
import { FAULT_BY_CODE, faultCodeText } from '../spec/vtd/faults.ts';
import { CONTEXT_ENTRY, IRTE, ROOT_ENTRY } from '../spec/vtd/structures.ts';
import { OWNER_MASK } from '../walk/iotlb.ts';
import { FROM_CACHE, NOT_READ } from './access-record.ts';
import { RECORDED, type Recording } from './faults.ts';
import type { InterruptRecord } from './interrupts.ts';
import { BLOCKED, type DmaRemapper, MESSAGE } from './remap.ts';
import type { VtdState } from './state.ts';

/** Steps of the translation the remapper did last, from what it kept of it. */
export function translationSteps(dma: DmaRemapper, s: VtdState, provenance: Provenance): WalkStep[] {
  const record = dma.record;
  const steps: WalkStep[] = [];
  if (record.rootSource !== NOT_READ) {
    steps.push(entryStep(ROOT_ENTRY, record.root, record.rootAddress, record.rootUpper, false, provenance));
  }
  if (record.contextSource !== NOT_READ) {
    const cached = record.contextSource === FROM_CACHE;
    steps.push(
      entryStep(
        CONTEXT_ENTRY,
        record.context,
        record.contextAddress,
        record.contextUpper,
        cached,
        provenance,
      ),
    );
  }
  if (record.row >= 0) steps.push(iotlbStep(s.iotlb, record.row));
  if (record.walked) steps.push(...walkSteps(dma, provenance));
  return steps;
}

function entryStep(
  layout: Layout,
  words: Uint32Array,
  address: number,
  upper: number,
  cached: boolean,
  provenance: Provenance,
): WalkStep {
  return {
    what: layout.name,
    address: cached ? undefined : hex(u64(address, upper)),
    raw: [hex64(words[0]!, words[1]!), hex64(words[2]!, words[3]!)],
    fields: layout.show(words),
    source: cached ? 'cache' : 'memory',
    lastWriter: cached || upper !== 0 ? undefined : provenance.lastWriter(address),
  };
}

function iotlbStep(rows: Uint32Array, r: number): WalkStep {
  const flags = rows[r + 5]!;
  const size = ['4 KiB', '2 MiB', '1 GiB'][rows[r]! & 3];
  const output = hex(u64(rows[r + 3]!, rows[r + 4]!));
  const negative = flags >>> 8 !== 0 ? ` fault=${faultCodeText(flags >>> 8)}` : '';
  return {
    what: 'IOTLB entry',
    address: undefined,
    raw: [],
    fields: `R=${flags & 1} W=${(flags >>> 1) & 1} page=${output} size=${size} DID=${rows[r + 7]! & OWNER_MASK}${negative}`,
    source: 'cache',
    lastWriter: undefined,
  };
}

function walkSteps(dma: DmaRemapper, provenance: Provenance): WalkStep[] {
  const walker = dma.walker;
  const steps: WalkStep[] = [];
  const top = (dma.record.context[2]! & 7) + 2;
  if (walker.first < top) {
    const p = walker.cachedPermissions;
    steps.push({
      what: 'paging-structure cache',
      address: undefined,
      raw: [],
      fields: `R=${p & 1} W=${(p >>> 1) & 1} table=${hex((walker.address[walker.first]! & 0xfffff000) >>> 0)} level=${walker.first}`,
      source: 'cache',
      lastWriter: undefined,
    });
  }
  for (let level = walker.first; level >= walker.level; level--)
    steps.push(tableStep(dma, level, provenance));
  return steps;
}

function tableStep(dma: DmaRemapper, level: number, provenance: Provenance): WalkStep {
  const { walker } = dma;
  const address = walker.address[level]!;
  if (level === walker.level && walker.unreadable) {
    return {
      what: SS_LEVEL_NAMES[level]!,
      address: hex(u64(address, walker.outHi)),
      raw: [],
      fields: 'not memory',
      source: 'memory',
      lastWriter: undefined,
    };
  }
  const words = [walker.rawLo[level]!, walker.rawHi[level]!];
  return {
    what: SS_LEVEL_NAMES[level]!,
    address: hex(u64(address, walker.addressHi[level]!)),
    raw: [hex64(words[0]!, words[1]!)],
    fields: SS_ENTRY.show(words, 0, true),
    source: 'memory',
    lastWriter: provenance.lastWriter(address),
  };
}

/** Steps of an interrupt request. */
export function interruptSteps(record: InterruptRecord, provenance: Provenance): WalkStep[] {
  if (record.source === NOT_READ) return [];
  const cached = record.source === FROM_CACHE;
  return [entryStep(IRTE, record.entry, record.address, record.upper, cached, provenance)];
}

function accessName(access: number): ExplainedFault['access'] {
  if ((access & 3) === 3) return 'atomic';
  return (access & 2) !== 0 ? 'write' : (access & 4) !== 0 ? 'execute' : 'read';
}

/** The report of one fault. */
export function explainedFault(
  iommu: string,
  port: DmaPort,
  code: number,
  address: string,
  access: number | 'interrupt',
  steps: readonly WalkStep[],
  recording: Recording,
): ExplainedFault {
  const reason = FAULT_BY_CODE[code]!;
  return {
    iommu,
    requester: port.requester,
    pasid: port.pasid,
    address,
    access: access === 'interrupt' ? access : accessName(access),
    code: faultCodeText(code),
    name: reason.name,
    why: `${reason.why} (${reason.cite})`,
    steps,
    recorded: recording === RECORDED,
    ...(recording === RECORDED ? {} : { note: recording }),
  };
}

/** One line on how a translation ended. */
export function outcomeText(code: number, outLo: number, outHi: number): string {
  if (code === 0) return `translates to ${hex(u64(outLo, outHi))}`;
  if (code === MESSAGE) return 'an interrupt message';
  if (code === BLOCKED) return 'blocked: protected memory, or a translation request while translation is off';
  const reason = FAULT_BY_CODE[code]!;
  return `fault ${faultCodeText(code)} (${reason.name}): ${reason.why}`;
}
