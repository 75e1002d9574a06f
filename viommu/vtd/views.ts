import type { DeviceView } from '../../vmm/bus/device.ts';
import { bdfText } from '../../vmm/core/bdf.ts';
import { hex, hex64, u64 } from '../../vmm/core/u64.ts';
import type { Layout, Register } from '../../vmm/regs/layout.ts';
import { PAGE_REQUEST_BYTES } from '../spec/vtd/descriptors.ts';
import { faultCodeText } from '../spec/vtd/faults.ts';
import { IQA, IQH, IQT, PQA, PQH, PQT } from '../spec/vtd/registers.ts';
import { CONTEXT_ENTRY, IRTE, PASID_ENTRY, SCALABLE_CONTEXT_ENTRY } from '../spec/vtd/structures.ts';
import { ENTRY_ROW_WORDS } from '../walk/entry-cache.ts';
import { OWNER_MASK, ROW_WORDS } from '../walk/iotlb.ts';
import { PAIR_WORDS, TRANSLATIONS } from '../walk/pair-tags.ts';
import { PASID_ENTRY_AT, PASID_ROW_WORDS } from '../walk/pasid-cache.ts';
import { substreamText } from '../watch/substream-view.ts';
import { registerView, type WaitingEntry, waitingEntries, waitingLines } from '../watch/views.ts';
import type { VtdIommu } from './device.ts';
import { pasidView } from './pasid-view.ts';
import { allowedIn, faultIn, UPPER_CLASS } from './row-flags.ts';

const SIZES = ['4K', '2M', '1G'] as const;

interface IotlbView {
  readonly did: number;
  /** Of a first-stage or nested translation. */
  readonly pasid?: number;
  readonly iova: string;
  readonly page: string;
  readonly size: string;
  readonly access: string;
}

/** Rows that can still hit. */
function iotlb(device: VtdIommu): IotlbView[] {
  const rows = device.s.iotlb;
  const out: IotlbView[] = [];
  const pasids = pasidsOfTags(device);
  for (let r = 0; r < rows.length; r += ROW_WORDS) {
    const did = rows[r + 7]! & OWNER_MASK;
    const tag = rows[r + 2]!;
    if (tag === 0) continue;
    const pasid = pasids.get(tag);
    if (pasid === undefined && !device.c.caches.domains.isLive(did, tag)) continue;
    const allowed = allowedIn(rows[r + 5]!, 0) | allowedIn(rows[r + 5]!, UPPER_CLASS);
    out.push({
      did,
      ...(pasid === undefined ? {} : { pasid }),
      iova: hex(u64(rows[r]! & 0xfffff000, rows[r + 1]!)),
      page: hex(u64(rows[r + 3]!, rows[r + 4]!)),
      size: SIZES[(rows[r]! & 3) as 0 | 1 | 2],
      access:
        faultIn(rows[r + 5]!) !== 0
          ? '--'
          : `${(allowed & 1) !== 0 ? 'r' : '-'}${(allowed & 2) !== 0 ? 'w' : '-'}`,
    });
  }
  return out;
}

/** Whose translations carry which tag. */
function pasidsOfTags(device: VtdIommu): Map<number, number> {
  const { pairs } = device.c.caches;
  const out = new Map<number, number>();
  for (let r = 0; r < pairs.rows.length; r += PAIR_WORDS) {
    if (pairs.rows[r] === 0) continue;
    const tag = pairs.peek(r, TRANSLATIONS);
    if (tag !== 0) out.set(tag, pairs.rows[r]! - 1);
  }
  return out;
}

/** The PASID-cache. */
function pasidEntries(device: VtdIommu) {
  const { pasids } = device.c.caches;
  const { rows } = pasids;
  const out: { requester: string; pasid: number; fault?: string; raw: string[]; fields: string }[] = [];
  for (let r = 0; r < rows.length; r += PASID_ROW_WORDS) {
    const sid = rows[r + 1]! >>> 16;
    const pasid = rows[r]! - 1;
    if (rows[r] === 0 || pasids.find(sid, pasid) !== r) continue;
    const at = r + PASID_ENTRY_AT;
    const fault = rows[r + 3]! & 0xff;
    out.push({
      requester: bdfText(sid),
      pasid,
      ...(fault === 0 ? {} : { fault: faultCodeText(fault) }),
      raw: [0, 2, 4].map((word) => hex64(rows[at + word]!, rows[at + word + 1]!)),
      fields: PASID_ENTRY.show(rows, at),
    });
  }
  return out;
}

function contexts(device: VtdIommu) {
  const rows = device.s.contextCache;
  const layout: Pick<Layout, 'show'> =
    (device.s.rootLo & 0xc00) === 0 ? CONTEXT_ENTRY : SCALABLE_CONTEXT_ENTRY;
  const out: { requester: string; raw: string[]; fields: string }[] = [];
  for (let r = 0; r < rows.length; r += ENTRY_ROW_WORDS) {
    const key = rows[r]! - 1;
    if (rows[r] === 0 || device.c.caches.contexts.find(key) !== r) continue;
    out.push({
      requester: bdfText(key),
      raw: [hex64(rows[r + 2]!, rows[r + 3]!), hex64(rows[r + 4]!, rows[r + 5]!)],
      fields: layout.show(rows, r + 2),
    });
  }
  return out;
}

function interruptEntries(device: VtdIommu) {
  const rows = device.s.interruptCache;
  const out: { index: number; raw: string[]; fields: string }[] = [];
  for (let r = 0; r < rows.length; r += ENTRY_ROW_WORDS) {
    const key = rows[r]! - 1;
    if (rows[r] === 0 || device.c.caches.interrupts.find(key) !== r) continue;
    out.push({
      index: key,
      raw: [hex64(rows[r + 2]!, rows[r + 3]!), hex64(rows[r + 4]!, rows[r + 5]!)],
      fields: IRTE.show(rows, r + 2),
    });
  }
  return out;
}

interface QueueView {
  readonly queue: string;
  readonly base: string;
  readonly bytes: number;
  readonly head: string;
  readonly tail: string;
  /** What lies between head and tail. */
  readonly waiting: readonly WaitingEntry[];
}

/** A queue from its registers: size in bits 2:0 of its address register, entries of `width` bytes. */
function queueView(
  device: VtdIommu,
  queue: string,
  address: Register,
  heads: Register,
  tails: Register,
  width: number,
): QueueView {
  const { block } = device.w;
  const { regs } = device.s;
  const lo = block.read32(regs, address.offset);
  const base = u64((lo & 0xfffff000) >>> 0, block.read32(regs, address.offset + 4));
  const size = 4096 << (lo & 7);
  const head = block.read32(regs, heads.offset);
  const tail = block.read32(regs, tails.offset);
  const { ram } = device.w.services.memory;
  const waiting = waitingEntries(ram, base, size, width, head, tail);
  return { queue, base: hex(base), bytes: size, head: hex(head), tail: hex(tail), waiting };
}

function queues(device: VtdIommu): QueueView[] {
  const wide = (device.w.block.read32(device.s.regs, IQA.offset) & 0x800) !== 0;
  const all = [queueView(device, 'invalidation', IQA, IQH, IQT, wide ? 32 : 16)];
  if (device.c.unit.pageRequests)
    all.push(queueView(device, 'page request', PQA, PQH, PQT, PAGE_REQUEST_BYTES));
  return all;
}

function queueText(q: QueueView): string {
  const head = `${q.queue} queue: base=${q.base} bytes=${q.bytes} head=${q.head} tail=${q.tail}`;
  return [head, ...waitingLines(q.waiting)].join('\n');
}

function latched(device: VtdIommu) {
  const s = device.s;
  return {
    RTADDR: hex(u64(s.rootLo, s.rootHi)),
    IRTA: hex(u64(s.irtaLo, s.irtaHi)),
    nextFaultRecord: s.faultIndex,
  };
}

function view(name: string, doc: string, rows: () => readonly object[]): DeviceView {
  const line = (row: object) =>
    Object.entries(row)
      .map(([key, value]) => (key === 'fields' ? value : `${key}=${value}`))
      .join(' ');
  return { name, doc, json: rows, text: () => rows().map(line).join('\n') };
}

export function vtdViews(device: VtdIommu): DeviceView[] {
  return [
    view('registers', 'Every register with its fields', () => registerView(device.w.block, device.s.regs)),
    view('latched', 'What SRTP and SIRTP latched', () => [latched(device)]),
    view('contexts', 'The context-cache', () => contexts(device)),
    view('pasids', 'The PASID-cache', () => pasidEntries(device)),
    {
      name: 'pasid',
      doc: 'The PASIDs of the requesters: what the tables say, and where the PASID-cache says something else',
      json: () => pasidView(device, pasidEntries(device)),
      text: () => substreamText(pasidView(device, pasidEntries(device)), PASID_ENTRY.name),
    },
    view('iotlb', 'The IOTLB', () => iotlb(device)),
    {
      name: 'queues',
      doc: 'The invalidation and the page-request queue, and what waits in them',
      json: () => queues(device),
      text: () => queues(device).map(queueText).join('\n'),
    },
    view('interrupts', 'The interrupt-entry cache', () => interruptEntries(device)),
  ];
}
