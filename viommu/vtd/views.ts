import type { DeviceView } from '../../vmm/bus/device.ts';
import { bdfText } from '../../vmm/core/bdf.ts';
import { hex, hex32, hex64, hi32, lo32, u64 } from '../../vmm/core/u64.ts';
import { IQA, IQH, IQT } from '../spec/vtd/registers.ts';
import { CONTEXT_ENTRY, IRTE } from '../spec/vtd/structures.ts';
import { ENTRY_ROW_WORDS } from '../walk/entry-cache.ts';
import { OWNER_MASK, ROW_WORDS } from '../walk/iotlb.ts';
import type { VtdIommu } from './device.ts';

const SIZES = ['4K', '2M', '1G'] as const;

interface IotlbView {
  readonly did: number;
  readonly iova: string;
  readonly page: string;
  readonly size: string;
  readonly access: string;
}

/** Rows that can still hit. */
function iotlb(device: VtdIommu): IotlbView[] {
  const rows = device.s.iotlb;
  const out: IotlbView[] = [];
  for (let r = 0; r < rows.length; r += ROW_WORDS) {
    const did = rows[r + 7]! & OWNER_MASK;
    if (rows[r + 2] === 0 || !device.c.caches.domains.isLive(did, rows[r + 2]!)) continue;
    out.push({
      did,
      iova: hex(u64(rows[r]! & 0xfffff000, rows[r + 1]!)),
      page: hex(u64(rows[r + 3]!, rows[r + 4]!)),
      size: SIZES[(rows[r]! & 3) as 0 | 1 | 2],
      access: `${(rows[r + 5]! & 1) !== 0 ? 'r' : '-'}${(rows[r + 5]! & 2) !== 0 ? 'w' : '-'}`,
    });
  }
  return out;
}

function contexts(device: VtdIommu) {
  const rows = device.s.contextCache;
  const out: { requester: string; raw: string[]; fields: string }[] = [];
  for (let r = 0; r < rows.length; r += ENTRY_ROW_WORDS) {
    const key = rows[r]! - 1;
    if (rows[r] === 0 || device.c.caches.contexts.find(key) !== r) continue;
    out.push({
      requester: bdfText(key),
      raw: [hex64(rows[r + 2]!, rows[r + 3]!), hex64(rows[r + 4]!, rows[r + 5]!)],
      fields: CONTEXT_ENTRY.show(rows, r + 2),
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

function registers(device: VtdIommu) {
  const { block } = device.w;
  return block.registers.map((r) => {
    const lo = block.read32(device.s.regs, r.offset);
    const hi = r.bytes === 8 ? block.read32(device.s.regs, r.offset + 4) : 0;
    return {
      offset: hex(r.offset),
      name: r.name,
      value: r.bytes === 8 ? hex64(lo, hi) : hex32(lo),
      fields: r.show([lo, hi]),
    };
  });
}

/** Descriptors that one look shows. */
const MAX_WAITING = 64;

/** The invalidation queue: its registers, and what lies between head and tail. */
function queues(device: VtdIommu) {
  const { block } = device.w;
  const { regs } = device.s;
  const read = (offset: number): [number, number] => [
    block.read32(regs, offset),
    block.read32(regs, offset + 4),
  ];
  const words = read(IQA.offset);
  const base = u64((words[0] & 0xfffff000) >>> 0, words[1]);
  const size = 4096 << IQA.get.QS(words, 0);
  const head = read(IQH.offset)[0];
  const tail = read(IQT.offset)[0];
  const waiting: { at: string; raw: string[] }[] = [];
  for (let at = head; at !== tail && waiting.length < MAX_WAITING; at = (at + 16) % size) {
    const address = base + BigInt(at);
    const bytes = new Uint8Array(16);
    const { memory } = device.w.services;
    // Reading registers could do things.
    if (!memory.ram.holds(lo32(address), hi32(address), 16)) break;
    memory.read(lo32(address), hi32(address), bytes, 0, 16);
    const w = new Uint32Array(bytes.buffer);
    waiting.push({ at: hex(address), raw: [hex64(w[0]!, w[1]!), hex64(w[2]!, w[3]!)] });
  }
  return {
    queue: 'invalidation',
    base: hex(base),
    bytes: size,
    head: hex(head),
    tail: hex(tail),
    waiting,
  };
}

function queueText(q: ReturnType<typeof queues>): string {
  const head = `${q.queue} queue: base=${q.base} bytes=${q.bytes} head=${q.head} tail=${q.tail}`;
  return [head, ...q.waiting.map(({ at, raw }) => `  ${at}: ${raw.join(' ')}`)].join('\n');
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
    view('registers', 'Every register with its fields', () => registers(device)),
    view('latched', 'What SRTP and SIRTP latched', () => [latched(device)]),
    view('contexts', 'The context-cache', () => contexts(device)),
    view('iotlb', 'The IOTLB', () => iotlb(device)),
    {
      name: 'queues',
      doc: 'The invalidation queue and what waits in it',
      json: () => [queues(device)],
      text: () => queueText(queues(device)),
    },
    view('interrupts', 'The interrupt-entry cache', () => interruptEntries(device)),
  ];
}
