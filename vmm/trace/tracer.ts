import { bdfText } from '../core/bdf.ts';
import { TsvmmError } from '../core/errors.ts';
import { u64 } from '../core/u64.ts';
import type { ArgType, EmitArg, Emitter, Emitters, EventDecl, EventTable } from './event.ts';

/** One event that happened. */
export interface TraceRecord {
  /** Virtual time in ns. */
  readonly time: number;
  readonly name: string;
  readonly decl: EventDecl;
  /** As given to emit: u64 takes two places. */
  readonly args: readonly (number | string)[];
}

export type TraceSink = (record: TraceRecord) => void;

interface Bound extends Emitter {
  on: boolean;
  emit: Emitter['emit'];
  selected: boolean;
  /** A sink or a watch wants it. */
  told: boolean;
  /** Sinks of the watches that want it. */
  watchers: readonly TraceSink[];
}

type Place = EmitArg | undefined;

/** A place of the ring, written over time after time: fields, because an array of the arguments would be made for each event. */
class Kept {
  time = 0;
  name = '';
  decl: EventDecl;
  /** The arguments, where they are not the first `count` of the fields. */
  all: readonly EmitArg[] | null = null;
  count = 0;
  a: Place;
  b: Place;
  c: Place;
  d: Place;
  e: Place;
  f: Place;
  g: Place;
  h: Place;
  i: Place;
  j: Place;

  constructor(decl: EventDecl) {
    this.decl = decl;
  }

  set(time: number, name: string, decl: EventDecl, all: readonly EmitArg[]): void {
    this.time = time;
    this.name = name;
    this.decl = decl;
    this.all = all;
  }

  get record(): TraceRecord {
    const { time, name, decl, count } = this;
    const all = [this.a, this.b, this.c, this.d, this.e, this.f, this.g, this.h, this.i, this.j];
    return { time, name, decl, args: this.all ?? (all.slice(0, count) as EmitArg[]) };
  }
}

interface Watch {
  readonly wants: (name: string) => boolean;
  readonly sink: TraceSink;
}

const RING_SIZE = 64;
/** Arguments that a place of the ring has fields for. */
const MOST_PLACES = 10;

/** Where a device gets the emitters of its events. */
export type EventBinder = Pick<Tracer, 'bind'>;

/** All trace events of one machine. */
export class Tracer {
  readonly #now: () => number;
  readonly #bound = new Map<string, { decl: EventDecl; emitter: Bound }>();
  readonly #patterns: RegExp[] = [];
  readonly #sinks: TraceSink[] = [];
  #watches: readonly Watch[] = [];
  /** Asked before a selected event goes to the sinks: a run that is repeated keeps to itself what was told before. */
  gate: (() => boolean) | undefined;
  /** Records that are written over: most are never read. */
  readonly #ring: Kept[] = [];
  #ringAt = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Emitters of a table; binding a table twice gives the same emitters. */
  bind<T extends EventTable>(table: T): Emitters<T> {
    return this.bindAs('', table);
  }

  /** The same events under names that begin with `prefix`: of devices that are not the guest's. */
  bindAs<T extends EventTable>(prefix: string, table: T): Emitters<T> {
    return Object.fromEntries(
      Object.entries(table).map(([name, decl]) => [name, this.#emitter(prefix + name, decl)]),
    ) as Emitters<T>;
  }

  #emitter(name: string, decl: EventDecl): Emitter {
    const known = this.#bound.get(name);
    if (known !== undefined) {
      if (!sameDeclaration(known.decl, decl)) throw twice(name);
      return known.emitter;
    }
    const selected = this.#matches(name);
    const watchers = this.#watchersOf(name);
    const emitter: Bound = {
      selected,
      watchers,
      told: selected || watchers.length > 0,
      on: decl.ring === true || selected || watchers.length > 0,
      emit: (...args) => {
        if (emitter.told) this.#tell(emitter, { time: this.#now(), name, decl, args });
      },
    };
    if (decl.ring === true) emitter.emit = this.#keeper(emitter, name, decl);
    this.#bound.set(name, { decl, emitter });
    return emitter;
  }

  #tell(emitter: Bound, record: TraceRecord): void {
    if (emitter.selected && this.gate?.() !== false) for (const sink of this.#sinks) sink(record);
    for (const sink of emitter.watchers) sink(record);
  }

  #keeper(emitter: Bound, name: string, decl: EventDecl): Emitter['emit'] {
    const count = placesOf(decl);
    if (count > MOST_PLACES)
      return (...args) => {
        const kept = this.#next(decl);
        kept.set(this.#now(), name, decl, args);
        if (emitter.told) this.#tell(emitter, kept.record);
      };
    return (a?, b?, c?, d?, e?, f?, g?, h?, i?, j?) => {
      const kept = this.#next(decl);
      kept.time = this.#now();
      kept.name = name;
      kept.decl = decl;
      kept.count = count;
      kept.all = null;
      kept.a = a;
      kept.b = b;
      kept.c = c;
      kept.d = d;
      kept.e = e;
      kept.f = f;
      kept.g = g;
      kept.h = h;
      kept.i = i;
      kept.j = j;
      if (emitter.told) this.#tell(emitter, kept.record);
    };
  }

  /** Selects the events whose names match the glob (`*` and `?`). Returns how many bound events it selects. */
  select(glob: string): number {
    const pattern = globToRegExp(glob);
    this.#patterns.push(pattern);
    let n = 0;
    for (const [name, { emitter }] of this.#bound) {
      if (!pattern.test(name)) continue;
      emitter.selected = true;
      emitter.told = true;
      emitter.on = true;
      n++;
    }
    return n;
  }

  /** Tells `sink` of the events that are wanted, beside what `select` chose, until the returned function is called. */
  watch(wants: (name: string) => boolean, sink: TraceSink): () => void {
    const watch: Watch = { wants, sink };
    this.#watches = [...this.#watches, watch];
    this.#rewatch();
    return () => {
      this.#watches = this.#watches.filter((w) => w !== watch);
      this.#rewatch();
    };
  }

  #rewatch(): void {
    for (const [name, { decl, emitter }] of this.#bound) {
      emitter.watchers = this.#watchersOf(name);
      emitter.told = emitter.selected || emitter.watchers.length > 0;
      emitter.on = decl.ring === true || emitter.told;
    }
  }

  #watchersOf(name: string): readonly TraceSink[] {
    return this.#watches.filter((w) => w.wants(name)).map((w) => w.sink);
  }

  addSink(sink: TraceSink): void {
    this.#sinks.push(sink);
  }

  /** The last events that are kept for reports, oldest first. */
  recent(): readonly TraceRecord[] {
    const inOrder = [...this.#ring.slice(this.#ringAt), ...this.#ring.slice(0, this.#ringAt)];
    return inOrder.map((kept) => kept.record);
  }

  /** Makes these the last events; those of a name nobody has declared are left out. */
  restoreRecent(records: readonly Omit<TraceRecord, 'decl'>[]): void {
    this.#ring.length = 0;
    this.#ringAt = 0;
    for (const { time, name, args } of records.slice(-RING_SIZE)) {
      const decl = this.#bound.get(name)?.decl;
      if (decl === undefined) continue;
      this.#next(decl).set(time, name, decl, args);
    }
  }

  /** Every declared event, for `info trace`. */
  declared(): readonly { readonly name: string; readonly decl: EventDecl }[] {
    return [...this.#bound].map(([name, { decl }]) => ({ name, decl }));
  }

  #matches(name: string): boolean {
    return this.#patterns.some((p) => p.test(name));
  }

  /** The place of the ring that is to be written. */
  #next(decl: EventDecl): Kept {
    if (this.#ring.length < RING_SIZE) {
      const made = new Kept(decl);
      this.#ring.push(made);
      return made;
    }
    const kept = this.#ring[this.#ringAt]!;
    this.#ringAt = (this.#ringAt + 1) % RING_SIZE;
    return kept;
  }
}

/** How many arguments emit takes. */
function placesOf(decl: EventDecl): number {
  return Object.values(decl.args).reduce((sum, type) => sum + (type === 'u64' ? 2 : 1), 0);
}

export function globToRegExp(glob: string): RegExp {
  const body = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${body}$`);
}

/** Arguments by name with their printed values: `{ sid: '00:03.0', iova: '0x1000' }`. */
export function namedArgs(record: TraceRecord): Record<string, string | number> {
  const out: Record<string, string | number> = {};
  let at = 0;
  for (const [name, type] of Object.entries(record.decl.args)) {
    out[name] = argText(type, record.args, at);
    at += type === 'u64' ? 2 : 1;
  }
  return out;
}

function argText(type: ArgType, args: readonly (number | string)[], at: number): string | number {
  const v = args[at]!;
  switch (type) {
    case 'u64':
      return `0x${u64(v as number, args[at + 1] as number).toString(16)}`;
    case 'u8':
    case 'u16':
    case 'u32':
      return `0x${((v as number) >>> 0).toString(16)}`;
    case 'bdf':
      return bdfText(v as number);
    case 'pasid':
      return (v as number) < 0 ? 'none' : v;
    default:
      return v;
  }
}

/** `     12345 vtd_inv_desc kind=iotlb lo=0x...`: one line, no newline. */
export function recordText(record: TraceRecord): string {
  const args = Object.entries(namedArgs(record)).map(([k, v]) => `${k}=${v}`);
  return [String(record.time).padStart(10), record.name, ...args].join(' ');
}

/** One ndjson line, no newline. */
export function recordJson(record: TraceRecord): string {
  return JSON.stringify({ time: record.time, event: record.name, ...namedArgs(record) });
}

/** A plugin has the package's own copy of what it shares with the command line: equal, not identical. */
function sameDeclaration(a: EventDecl, b: EventDecl): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

function twice(name: string): TsvmmError {
  return new TsvmmError({
    code: 'duplicate-event',
    object: `trace event '${name}'`,
    why: 'is declared twice with different arguments',
    mend: "give the plugin's event another name",
  });
}
