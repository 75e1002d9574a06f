import type { DeviceView } from '../../vmm/bus/device.ts';
import { bdfText } from '../../vmm/core/bdf.ts';
import { hex, hex32, hex64, u64 } from '../../vmm/core/u64.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import { EVENT_BYTES, PRI_BYTES } from '../spec/smmuv3/events.ts';
import { eventCodeText } from '../spec/smmuv3/faults.ts';
import {
  CMDQ_BASE,
  CMDQ_CONS,
  CMDQ_PROD,
  EVENTQ_BASE,
  EVENTQ_CONS,
  EVENTQ_PROD,
  PRIQ_BASE,
  PRIQ_CONS,
  PRIQ_PROD,
} from '../spec/smmuv3/registers.ts';
import { CD, STE } from '../spec/smmuv3/structures.ts';
import {
  CONFIG_ENTRY_AT,
  CONFIG_ENTRY_WORDS,
  CONFIG_ROW_WORDS,
  CONFIG_STATUS_AT,
  type ConfigCache,
} from '../walk/config-cache.ts';
import { OWNER_MASK, ROW_WORDS } from '../walk/iotlb.ts';
import { PAIR_WORDS, TRANSLATIONS } from '../walk/pair-tags.ts';
import { type CachedSubstream, substreamText } from '../watch/substream-view.ts';
import { registerView, rowView, type WaitingEntry, waitingEntries, waitingLines } from '../watch/views.ts';
import { GLOBAL, TLB_SHIFTS } from './caches.ts';
import { COMMAND_BYTES } from './command-queue.ts';
import type { SmmuV3 } from './device.ts';
import { PRIVILEGED, stage1In, stage2In } from './row-flags.ts';
import { WORLD_EL2 } from './state.ts';
import { substreams } from './table-tree.ts';

const ADDRESS = 0xfffff000;

interface Owner {
  readonly regime: string;
  readonly asid: string;
}

/** Whose translations carry which tag. */
function ownersOfTags(device: SmmuV3): Map<number, Owner> {
  const { contexts } = device.c.caches;
  const out = new Map<number, Owner>();
  for (let r = 0; r < contexts.rows.length; r += PAIR_WORDS) {
    if (contexts.rows[r] === 0) continue;
    const tag = contexts.peek(r, TRANSLATIONS);
    const asid = contexts.rows[r]! - 1;
    const regime = contexts.rows[r + 1]!;
    if (tag === 0) continue;
    out.set(tag, {
      regime: regime < WORLD_EL2 ? `VMID ${regime}` : regime === WORLD_EL2 ? 'EL2' : 'EL2-E2H',
      asid: asid >= GLOBAL ? 'global' : String(asid),
    });
  }
  return out;
}

function accessText(flags: number, shift: number): string {
  const p = stage1In(flags, shift) & stage2In(flags, shift);
  return `${p & 1 ? 'r' : '-'}${p & 2 ? 'w' : '-'}${p & 4 ? 'x' : '-'}`;
}

/** Rows that can still hit. */
function tlb(device: SmmuV3) {
  const rows = device.s.tlb;
  const owners = ownersOfTags(device);
  const out: {
    regime: string;
    asid: string;
    address: string;
    page: string;
    size: number;
    user: string;
    privileged: string;
  }[] = [];
  for (let r = 0; r < rows.length; r += ROW_WORDS) {
    const tag = rows[r + 2]!;
    if (tag === 0) continue;
    const vmid = rows[r + 7]! & OWNER_MASK;
    const owner = owners.get(tag);
    if (owner === undefined && !device.c.caches.vmids.isLive(vmid, tag)) continue;
    const flags = rows[r + 5]!;
    out.push({
      regime: owner?.regime ?? `VMID ${vmid}`,
      asid: owner?.asid ?? 'stage 2',
      address: hex(u64(rows[r]! & ADDRESS, rows[r + 1]!)),
      page: hex(u64(rows[r + 3]!, rows[r + 4]!)),
      size: 2 ** TLB_SHIFTS[rows[r]! & 7]!,
      user: accessText(flags, 0),
      privileged: accessText(flags, PRIVILEGED),
    });
  }
  return out;
}

interface ConfigView {
  readonly stream: string;
  readonly substream?: number;
  readonly event?: string;
  readonly raw: readonly string[];
  readonly fields: string;
}

function configuration(cache: ConfigCache, layout: Pick<Layout, 'show'>, isSte: boolean): ConfigView[] {
  const { rows } = cache;
  const out: ConfigView[] = [];
  for (let r = 0; r < rows.length; r += CONFIG_ROW_WORDS) {
    if (rows[r] === 0 || !cache.isLive(r)) continue;
    const sub = rows[r]! - 1;
    const status = rows[r + CONFIG_STATUS_AT]!;
    const at = r + CONFIG_ENTRY_AT;
    const words = [...rows.subarray(at, at + CONFIG_ENTRY_WORDS), 0, 0, 0, 0, 0, 0, 0, 0];
    out.push({
      stream: bdfText(isSte ? sub : rows[r + 1]!),
      ...(isSte ? {} : { substream: sub }),
      ...(status === 0 ? {} : { event: eventCodeText(status) }),
      raw: [0, 2, 4, 6].map((word) => hex64(words[word]!, words[word + 1]!)),
      fields: layout.show(words),
    });
  }
  return out;
}

interface QueueView {
  readonly queue: string;
  readonly base: string;
  readonly entries: number;
  readonly prod: string;
  readonly cons: string;
  /** What lies between CONS and PROD. */
  readonly waiting: readonly WaitingEntry[];
}

type Place = { readonly offset: number };

/** A queue from its registers: at most 2^`most` entries of `width` bytes. */
function queueView(
  device: SmmuV3,
  queue: string,
  [base, prod, cons]: readonly [Place, Place, Place],
  most: number,
  width: number,
): QueueView {
  const { regs } = device.s;
  const lo = regs[base.offset / 4]!;
  const entries = 2 ** Math.min(lo & 0x1f, most);
  const bytes = Math.max(32, entries * width);
  const address = u64((lo & -bytes) >>> 0, regs[base.offset / 4 + 1]! & 0xffffff);
  const [made, used] = [regs[prod.offset / 4]!, regs[cons.offset / 4]!];
  const index = (register: number) => (register & (entries - 1)) * width;
  const { ram } = device.w.services.memory;
  // A full queue has one index twice.
  const isFull = ((made - used) & (2 * entries - 1)) === entries;
  const waiting = isFull
    ? [
        ...waitingEntries(ram, address, entries * width, width, index(used), 0),
        ...waitingEntries(ram, address, entries * width, width, 0, index(made)),
      ]
    : waitingEntries(ram, address, entries * width, width, index(used), index(made));
  return { queue, base: hex(address), entries, prod: hex32(made), cons: hex32(used), waiting };
}

function queues(device: SmmuV3): QueueView[] {
  const { cmdqs, eventqs, priqs } = device.w.config;
  const all = [
    queueView(device, 'command', [CMDQ_BASE, CMDQ_PROD, CMDQ_CONS], cmdqs, COMMAND_BYTES),
    queueView(device, 'event', [EVENTQ_BASE, EVENTQ_PROD, EVENTQ_CONS], eventqs, EVENT_BYTES),
  ];
  if (device.c.translation.features.pri)
    all.push(queueView(device, 'PRI', [PRIQ_BASE, PRIQ_PROD, PRIQ_CONS], priqs, PRI_BYTES));
  return all;
}

function configText(row: ConfigView): string {
  const substream = row.substream === undefined ? '' : ` substream ${row.substream}`;
  const event = row.event === undefined ? '' : ` event ${row.event}`;
  return `${row.stream}${substream}${event}: ${row.fields}`;
}

function queueText(q: QueueView): string {
  const head = `${q.queue} queue: base=${q.base} entries=${q.entries} prod=${q.prod} cons=${q.cons}`;
  return [head, ...waitingLines(q.waiting)].join('\n');
}

/** What the CD cache has, as the view of PASIDs asks for it. */
function cachedContexts(device: SmmuV3): CachedSubstream[] {
  const { cds } = device.c.caches;
  return configuration(cds, CD, false).map(({ stream, substream, raw, fields }) => ({
    requester: stream,
    pasid: substream,
    raw,
    fields,
  }));
}

/** What `info` and `inspect` show of a unit. */
export function smmuViews(device: SmmuV3): DeviceView[] {
  return [
    rowView(
      'registers',
      'Every register with its fields',
      () => registerView(device.w.block, device.s.regs),
      (r) => `${r.offset.padStart(7)} ${r.name.padEnd(16)} ${r.value} ${r.fields}`,
      'none',
    ),
    rowView(
      'iotlb',
      'Translations that are cached',
      () => tlb(device),
      (r) =>
        `${r.regime} ${r.asid}: ${r.address} -> ${r.page} ${r.size} bytes, user ${r.user}, privileged ${r.privileged}`,
      'no translation is cached',
    ),
    rowView(
      'streams',
      'Stream table entries that are cached',
      () => configuration(device.c.caches.stes, STE, true),
      configText,
      'no stream table entry is cached',
    ),
    rowView(
      'substreams',
      'Context descriptors that are cached',
      () => configuration(device.c.caches.cds, CD, false),
      configText,
      'no context descriptor is cached',
    ),
    rowView(
      'queues',
      'The queues of the unit, and what waits in them',
      () => queues(device),
      queueText,
      'none',
    ),
    {
      name: 'pasid',
      doc: 'The PASIDs of the requesters: what the tables say, and where the cache of CDs says something else',
      json: () => substreams(device, cachedContexts(device)),
      text: () => substreamText(substreams(device, cachedContexts(device)), CD.name),
    },
  ];
}
