/**
 * The trace as a timeline: who (lanes), what and for how long (items), and what led to what (flows). Chrome traces and
 * reports are two pictures of it.
 */

import type { EventDecl } from './event.ts';
import { namedArgs, type TraceRecord, type TraceSink } from './tracer.ts';

export type LaneGroup = 'guest' | 'iommu' | 'machine' | 'requester';

export interface Lane {
  readonly group: LaneGroup;
  readonly name: string;
  /** `00:02.0`, for lanes of requesters. */
  readonly requester?: string;
  /** Absent: requests without PASID. */
  readonly pasid?: number;
}

export type ItemKind =
  | 'dma'
  | 'binding'
  | 'page-request'
  | 'fault'
  | 'store'
  | 'invalidation'
  | 'announcement'
  | 'mistake'
  | 'event';

export type ItemArgs = Readonly<Record<string, string | number>>;

export interface Item {
  /** Index into the lanes. */
  readonly lane: number;
  readonly kind: ItemKind;
  readonly name: string;
  /** Virtual time in ns. */
  readonly at: number;
  /** Of what lasts: DMAs and bindings. */
  readonly end?: number;
  /** It had not ended when the trace did. */
  readonly open?: true;
  /** Of a DMA: a fault of its requester and PASID fell into it, and can belong to no other. */
  readonly refused?: true;
  readonly args: ItemArgs;
}

/** Indices of items: the store, the invalidation that announced it if one did, the faults it caused, in time order. */
export type Flow = readonly number[];

export interface Timeline {
  readonly lanes: readonly Lane[];
  /** In order of their beginning. */
  readonly items: readonly Item[];
  readonly flows: readonly Flow[];
  /** Virtual time at the end. */
  readonly end: number;
  /** Events that came when no more were kept; whoever collects may have stopped to count them. */
  readonly dropped: number;
}

interface OpenItem {
  lane: number;
  kind: ItemKind;
  name: string;
  at: number;
  end?: number;
  open?: true;
  refused?: true;
  args: ItemArgs;
}

/** A store that a later fault may have been caused by. */
interface Store {
  readonly flow: number[];
  readonly address: string;
  readonly announcedBy: string | undefined;
}

/** Keeps trace records for a timeline, the first `most` of them. */
export class TimelineCollector {
  /** Called when a record comes that is not kept. */
  onFull: () => void = () => {};
  readonly #records: TraceRecord[] = [];
  readonly #most: number;
  #dropped = 0;

  constructor(most: number) {
    this.#most = most;
  }

  readonly sink: TraceSink = (record) => {
    if (this.#records.length < this.#most) this.#records.push(record);
    else {
      this.#dropped++;
      this.onFull();
    }
  };

  get dropped(): number {
    return this.#dropped;
  }

  /** @param names of requesters, by their text: `00:02.0` */
  timeline(end: number, names: ReadonlyMap<string, string>): Timeline {
    const build = new TimelineBuilder(names);
    for (const record of this.#records) build.add(record);
    return build.finish(end, this.#dropped);
  }
}

class TimelineBuilder {
  readonly #names: ReadonlyMap<string, string>;
  readonly #lanes: Lane[] = [];
  readonly #laneIndex = new Map<string, number>();
  readonly #items: OpenItem[] = [];
  readonly #dmas: OpenItem[] = [];
  readonly #bindings: OpenItem[] = [];
  readonly #pageRequests: OpenItem[] = [];
  /** The last store to each entry, by its address. */
  readonly #stores = new Map<string, Store>();
  #unannounced: Store[] = [];
  #lastFault: OpenItem | undefined;
  /** DMAs that ended at the last time of an end, without having begun. */
  #ended: OpenItem[] = [];
  readonly #flows: number[][] = [];

  constructor(names: ReadonlyMap<string, string>) {
    this.#names = names;
  }

  add(record: TraceRecord): void {
    const args = namedArgs(record);
    switch (record.decl.role) {
      case 'dma-begin':
        this.#beginDma(record, args);
        return;
      case 'dma-end':
        this.#endDma(record, args);
        return;
      case 'page-request':
        this.#pageRequests.push(this.#span(record, args, 'page-request', pageRequestName(args)));
        return;
      case 'page-response':
        this.#respond(record, args);
        return;
      case 'bind':
        this.#bind(record, args);
        return;
      case 'unbind':
        this.#unbind(record, args);
        return;
      case 'store':
        this.#store(record, args);
        return;
      case 'announcement':
        this.#announce(record, args);
        return;
      case 'fault':
        this.#fault(record, args);
        return;
      case 'mistake':
        this.#mark(record, args, 'mistake', record.name);
        return;
      case 'invalidation':
        this.#mark(record, args, 'invalidation', `${record.name} ${args['kind'] ?? ''}`.trim());
        return;
      default:
        this.#mark(record, args, 'event', record.name);
    }
  }

  finish(end: number, dropped: number): Timeline {
    for (const item of [...this.#dmas, ...this.#bindings, ...this.#pageRequests]) {
      item.end = Math.max(end, item.at);
      item.open = true;
    }
    const flows = this.#flows.filter((flow) => flow.length > 1);
    return { lanes: this.#lanes, items: this.#items, flows, end, dropped };
  }

  #push(record: TraceRecord, args: ItemArgs, kind: ItemKind, name: string): OpenItem {
    const item: OpenItem = { lane: this.#lane(laneOf(record.decl, args)), kind, name, at: record.time, args };
    this.#items.push(item);
    return item;
  }

  #span(record: TraceRecord, args: ItemArgs, kind: ItemKind, name: string): OpenItem {
    const item = this.#push(record, args, kind, name);
    item.end = record.time;
    return item;
  }

  /** Returns the index of the item. */
  #mark(record: TraceRecord, args: ItemArgs, kind: ItemKind, name: string): number {
    this.#push(record, args, kind, name);
    return this.#items.length - 1;
  }

  /** Of a device that does its work at once, the end can be told before the beginning. */
  #beginDma(record: TraceRecord, args: ItemArgs): void {
    if (Number(args['result'] ?? 0) !== 0) {
      this.#mark(record, args, 'event', record.name);
      return;
    }
    const at = this.#ended.findIndex((dma) => dma.at === record.time && agree(dma.args, args));
    if (at < 0) this.#dmas.push(this.#span(record, args, 'dma', dmaName(record, args)));
    else {
      const [dma] = this.#ended.splice(at, 1);
      dma!.args = { ...args, ...dma!.args };
    }
  }

  #endDma(record: TraceRecord, args: ItemArgs): void {
    const at = this.#dmas.findIndex((dma) => agree(dma.args, args));
    if (at < 0) {
      const item = this.#span(record, args, 'dma', dmaName(record, args));
      if (this.#lastFault?.at === record.time && this.#lastFault.lane === item.lane) item.refused = true;
      if (this.#ended[0]?.at !== record.time) this.#ended = [];
      this.#ended.push(item);
      return;
    }
    const [dma] = this.#dmas.splice(at, 1);
    dma!.end = record.time;
    dma!.args = { ...dma!.args, ...args };
  }

  /** Of requests without a response, those before the trace began are not known. */
  #respond(record: TraceRecord, args: ItemArgs): void {
    const answered = this.#pageRequests.filter((request) => agree(request.args, args));
    if (answered.length === 0) this.#mark(record, args, 'event', record.name);
    for (const request of answered) {
      request.end = record.time;
      request.args = { ...request.args, ...args };
      this.#pageRequests.splice(this.#pageRequests.indexOf(request), 1);
    }
  }

  /** Being resolved to the same thing again changes nothing. */
  #bind(record: TraceRecord, args: ItemArgs): void {
    const lane = this.#lane(laneOf({ ...record.decl, iommu: undefined }, args));
    const same = this.#bindings.findIndex((binding) => binding.lane === lane);
    if (same >= 0) {
      if (agree(this.#bindings[same]!.args, args)) return;
      this.#endBindings(record.time, (binding) => binding.lane === lane);
    }
    const did = args['did'];
    const name = did === undefined ? 'bound' : `domain ${Number(did)}`;
    const item: OpenItem = { lane, kind: 'binding', name, at: record.time, end: record.time, args };
    this.#items.push(item);
    this.#bindings.push(item);
  }

  #unbind(record: TraceRecord, args: ItemArgs): void {
    const by = String(args['by'] ?? '')
      .split(',')
      .filter((name) => name !== '');
    this.#endBindings(record.time, (binding) => by.every((name) => binding.args[name] === args[name]));
  }

  #endBindings(time: number, which: (binding: OpenItem) => boolean): void {
    for (const binding of this.#bindings.filter(which)) {
      binding.end = time;
      this.#bindings.splice(this.#bindings.indexOf(binding), 1);
    }
  }

  #store(record: TraceRecord, args: ItemArgs): void {
    const item = this.#mark(record, args, 'store', String(args['structure'] ?? record.name));
    const address = String(args['address']);
    const store: Store = { flow: [item], address, announcedBy: record.decl.announcedBy };
    this.#stores.set(address, store);
    this.#unannounced.push(store);
    this.#flows.push(store.flow);
  }

  #announce(record: TraceRecord, args: ItemArgs): void {
    const item = this.#mark(
      record,
      args,
      'announcement',
      `announced: ${args['invalidation'] ?? record.name}`,
    );
    const addresses = args['addresses'] === undefined ? undefined : String(args['addresses']).split(' ');
    const told = ({ announcedBy = record.name, address }: Store): boolean =>
      announcedBy === record.name && (addresses === undefined || addresses.includes(address));
    for (const store of this.#unannounced) if (told(store)) store.flow.push(item);
    this.#unannounced = this.#unannounced.filter((store) => !told(store));
  }

  /** The deciding entry is the last one that was read; an earlier one counts when that was not changed in the trace. */
  #fault(record: TraceRecord, args: ItemArgs): void {
    const reason = args['reason'];
    const name = reason === undefined ? 'fault' : `fault ${faultCode(reason)}`;
    const item = this.#mark(record, args, 'fault', name);
    const fault = this.#items[item]!;
    this.#lastFault = fault;
    const suspects = this.#dmas.filter((dma) => dma.lane === fault.lane);
    if (suspects.length === 1) suspects[0]!.refused = true;
    const entries = String(args['entries'] ?? '').split(' ');
    const changed = entries.findLast((address) => this.#stores.has(address));
    if (changed !== undefined) this.#stores.get(changed)!.flow.push(item);
  }

  #lane(lane: Lane): number {
    const key = `${lane.group} ${lane.requester ?? ''} ${lane.pasid ?? ''} ${lane.name}`;
    const known = this.#laneIndex.get(key);
    if (known !== undefined) return known;
    this.#laneIndex.set(key, this.#lanes.length);
    const device = this.#names.get(lane.requester ?? '');
    this.#lanes.push(device === undefined ? lane : { ...lane, name: `${lane.name} ${device}` });
    return this.#lanes.length - 1;
  }
}

/** As the specifications write fault codes: two hex digits and an h. */
function faultCode(reason: string | number): string {
  return `${Number(reason).toString(16).toUpperCase().padStart(2, '0')}h`;
}

/** `DMA write 0x1000`; of devices that do more than move bytes, what the event is called. */
function dmaName(record: TraceRecord, args: ItemArgs): string {
  const address = args['address'] ?? args['gva'];
  const what = address === undefined ? record.name.replace(/_(start|submit|done|complete)$/, '') : 'DMA';
  const details = [what, args['direction'], args['opcode'] ?? args['op'], address];
  return details.filter((part) => part !== undefined).join(' ');
}

function pageRequestName(args: ItemArgs): string {
  return `page request ${args['address'] ?? ''}`.trim();
}

function agree(a: ItemArgs, b: ItemArgs): boolean {
  return Object.entries(b).every(([name, value]) => !(name in a) || a[name] === value);
}

/** Events of the IOMMU that happen to a requester. */
const OF_REQUESTERS: ReadonlySet<string | undefined> = new Set(['fault', 'page-request', 'page-response']);

function laneOf(
  decl: Omit<EventDecl, 'iommu'> & { readonly iommu?: true | undefined },
  args: ItemArgs,
): Lane {
  if (decl.role === 'store') return { group: 'guest', name: 'table stores' };
  if (decl.role === 'invalidation' || decl.role === 'announcement')
    return { group: 'iommu', name: 'invalidations' };
  const types = Object.entries(decl.args);
  const bdf = types.find(([, type]) => type === 'bdf');
  const known = bdf !== undefined && (decl.iommu !== true || OF_REQUESTERS.has(decl.role));
  if (!known)
    return decl.iommu === true ? { group: 'iommu', name: 'events' } : { group: 'machine', name: 'events' };
  const requester = String(args[bdf[0]]);
  const pasid = types.find(([, type]) => type === 'pasid');
  const value = pasid === undefined ? undefined : args[pasid[0]];
  const lane: Lane = { group: 'requester', name: requester, requester };
  return typeof value === 'number' ? { ...lane, name: `${requester} PASID ${value}`, pasid: value } : lane;
}
