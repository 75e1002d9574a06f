import type { DeviceView } from '../../vmm/bus/device.ts';
import { bdfText } from '../../vmm/core/bdf.ts';
import { hex, hex32, hex64, u64 } from '../../vmm/core/u64.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
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
import { registerView } from '../watch/views.ts';
import { GLOBAL, TLB_SHIFTS } from './caches.ts';
import type { SmmuV3 } from './device.ts';
import { PRIVILEGED, stage1In, stage2In } from './row-flags.ts';
import { WORLD_EL2 } from './state.ts';

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
}

type Place = { readonly offset: number };

function queueView(device: SmmuV3, queue: string, base: Place, prod: Place, cons: Place): QueueView {
  const { regs } = device.s;
  const lo = regs[base.offset / 4]!;
  return {
    queue,
    base: hex(u64((lo & -32) >>> 0, regs[base.offset / 4 + 1]! & 0xffffff)),
    entries: 2 ** (lo & 0x1f),
    prod: hex32(regs[prod.offset / 4]!),
    cons: hex32(regs[cons.offset / 4]!),
  };
}

function queues(device: SmmuV3): QueueView[] {
  const all = [
    queueView(device, 'command', CMDQ_BASE, CMDQ_PROD, CMDQ_CONS),
    queueView(device, 'event', EVENTQ_BASE, EVENTQ_PROD, EVENTQ_CONS),
  ];
  if (device.c.translation.features.pri) all.push(queueView(device, 'PRI', PRIQ_BASE, PRIQ_PROD, PRIQ_CONS));
  return all;
}

function lines<T>(rows: readonly T[], text: (row: T) => string, none: string): string {
  return rows.length === 0 ? none : rows.map(text).join('\n');
}

function configText(row: ConfigView): string {
  const substream = row.substream === undefined ? '' : ` substream ${row.substream}`;
  const event = row.event === undefined ? '' : ` event ${row.event}`;
  return `${row.stream}${substream}${event}: ${row.fields}`;
}

/** What `info` and `inspect` show of a unit. */
export function smmuViews(device: SmmuV3): DeviceView[] {
  const view = <T>(name: string, doc: string, rows: () => T[], text: (row: T) => string, none: string) => ({
    name,
    doc,
    json: rows,
    text: () => lines(rows(), text, none),
  });
  return [
    view(
      'registers',
      'Registers with their fields.',
      () => registerView(device.w.block, device.s.regs),
      (r) => `${r.offset.padStart(7)} ${r.name.padEnd(16)} ${r.value} ${r.fields}`,
      'none',
    ),
    view(
      'iotlb',
      'Translations that are cached.',
      () => tlb(device),
      (r) =>
        `${r.regime} ${r.asid}: ${r.address} -> ${r.page} ${r.size} bytes, user ${r.user}, privileged ${r.privileged}`,
      'no translation is cached',
    ),
    view(
      'streams',
      'Stream table entries that are cached.',
      () => configuration(device.c.caches.stes, STE, true),
      configText,
      'no stream table entry is cached',
    ),
    view(
      'substreams',
      'Context descriptors that are cached.',
      () => configuration(device.c.caches.cds, CD, false),
      configText,
      'no context descriptor is cached',
    ),
    view(
      'queues',
      'The queues of the unit.',
      () => queues(device),
      (q) => `${q.queue} queue: base=${q.base} entries=${q.entries} prod=${q.prod} cons=${q.cons}`,
      'none',
    ),
  ];
}
