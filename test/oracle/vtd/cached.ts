import { bit, bits, number } from './bits.ts';
import { translate } from './translate.ts';
import type { Fetch, Fetcher, Outcome, Registers, Request, Unit } from './types.ts';

/** An invalidation that has completed. Ranges are in input addresses; `pages` of 4 KiB from `address`. */
export type Invalidation =
  | { readonly cache: 'context'; readonly scope: 'global' }
  | { readonly cache: 'context'; readonly scope: 'domain'; readonly did: number }
  | {
      readonly cache: 'context';
      readonly scope: 'device';
      readonly sid: number;
      readonly functionMask: number;
    }
  | { readonly cache: 'iotlb'; readonly scope: 'global' }
  | { readonly cache: 'iotlb'; readonly scope: 'domain'; readonly did: number }
  | {
      readonly cache: 'iotlb';
      readonly scope: 'page';
      readonly did: number;
      readonly address: bigint;
      readonly pages: bigint;
      /** IH: only a leaf changed; paging-structure caches may be kept. */
      readonly leafOnly: boolean;
    };

/** A value some quadword had from the moment `since` until before `until`. */
interface Version {
  readonly value: bigint;
  readonly since: number;
  until: number;
}

/** A second-stage table a domain was seen to use, and while when a context cache could still lead there. */
interface Root {
  readonly table: bigint;
  readonly aw: number;
  readonly since: number;
  until: number;
}

interface ContextRead {
  readonly root: readonly bigint[];
  readonly entry: readonly bigint[] | undefined;
  readonly time: number;
}

/**
 * What a unit with caches may answer. It keeps every value the tables had and every invalidation, each at its own moment;
 * a cached answer is a run of the translation in which each structure was read at some moment, not earlier than the one
 * above it, such that no invalidation since then had to remove what was kept (Invalidation Commands: required scope).
 *
 * Permissible is more than probable: units may prefetch and may keep nothing. What is not in the set is wrong for sure.
 */
export class CacheHistory {
  readonly #unit: Unit;
  readonly #cachingMode: boolean;
  readonly #ramEnd: bigint;
  readonly #quadwords = new Map<bigint, Version[]>();
  readonly #rootTables: Version[] = [{ value: 0n, since: 0, until: Number.POSITIVE_INFINITY }];
  readonly #invalidations: { readonly at: number; readonly what: Invalidation }[] = [];
  readonly #sids: readonly number[];
  #registers: Registers;
  #now = 0;

  /** @param sids requesters whose contexts can put a domain's tables into the caches */
  constructor(unit: Unit, registers: Registers, ramEnd: bigint, sids: readonly number[]) {
    this.#unit = unit;
    this.#cachingMode = bit(unit.cap, 7);
    this.#ramEnd = ramEnd;
    this.#registers = registers;
    this.#rootTables[0] = { value: registers.rootTable, since: 0, until: Number.POSITIVE_INFINITY };
    this.#sids = sids;
  }

  store(gpa: bigint, value: bigint): void {
    const versions = this.#versions(gpa);
    if (versions.at(-1)!.value === value) return;
    this.#now++;
    versions.at(-1)!.until = this.#now;
    versions.push({ value, since: this.#now, until: Number.POSITIVE_INFINITY });
  }

  /** New register values; the root pointer as latched. */
  program(registers: Registers): void {
    this.#now++;
    if (registers.rootTable !== this.#registers.rootTable) {
      this.#rootTables.at(-1)!.until = this.#now;
      this.#rootTables.push({
        value: registers.rootTable,
        since: this.#now,
        until: Number.POSITIVE_INFINITY,
      });
    }
    this.#registers = registers;
  }

  invalidate(what: Invalidation): void {
    this.#now++;
    this.#invalidations.push({ at: this.#now, what });
  }

  fresh(request: Request): Outcome {
    const fetch: Fetcher = ({ gpa }, quadwords) => this.#read(gpa, quadwords, this.#now);
    return translate(this.#unit, this.#registers, fetch, request);
  }

  /** Every permissible outcome, the fresh one first, without repetitions. */
  permissible(request: Request): Outcome[] {
    const found = new Map<string, Outcome>();
    const add = (o: Outcome) => found.set(outcomeKey(o), o);
    add(this.fresh(request));
    if (!this.#registers.te) return [...found.values()];
    for (const context of this.#contexts(request.sid)) this.#withContext(request, context, add);
    return [...found.values()];
  }

  /** Every (root entry, context entry) the context cache may hold, and what memory holds now. */
  #contexts(sid: number): ContextRead[] {
    const reads = new Map<string, ContextRead>();
    for (const time of this.#contextMoments(sid)) {
      const read = this.#contextAt(sid, time);
      if (read === undefined) continue;
      const did = domainOf(read);
      // Moments ascend, so that a value memory still holds counts as read now.
      if (time === this.#now || !this.#contextGone(sid, did, time, this.#now))
        reads.set(`${read.root} ${read.entry}`, read);
    }
    return [...reads.values()];
  }

  #contextAt(sid: number, time: number): ContextRead | undefined {
    const table = versionAt(this.#rootTables, time)!.value;
    const root = this.#read(table + BigInt(sid >> 8) * 16n, 2, time);
    if (root === undefined) return undefined;
    const gpa = (bits(root[0]!, 63, 12) << 12n) + BigInt(sid & 0xff) * 16n;
    return { root, entry: bit(root[0]!, 0) ? this.#read(gpa, 2, time) : undefined, time };
  }

  /** Moments at which the context of a requester may have become another. */
  #contextMoments(sid: number): number[] {
    const moments = new Set<number>([0, this.#now]);
    for (const table of this.#rootTables) {
      moments.add(table.since);
      const root = table.value + BigInt(sid >> 8) * 16n;
      for (const version of [...this.#versions(root), ...this.#versions(root + 8n)]) {
        moments.add(version.since);
        const entry = (bits(version.value, 63, 12) << 12n) + BigInt(sid & 0xff) * 16n;
        for (const v of [...this.#versions(entry), ...this.#versions(entry + 8n)]) moments.add(v.since);
      }
    }
    // A value may also be read again after any invalidation.
    for (const { at } of this.#invalidations) moments.add(at);
    return [...moments].sort((a, b) => a - b);
  }

  #withContext(request: Request, context: ContextRead, add: (o: Outcome) => void): void {
    this.#explore(request, context, undefined, add);
    if (context.entry === undefined || !bit(context.entry[0]!, 0)) return;
    const [lo, hi] = context.entry as [bigint, bigint];
    const did = number(hi, 23, 8);
    // Translations are tagged with the domain alone: another table this domain had may still answer.
    for (const root of this.#rootsOf(did)) {
      const entry = [(lo & 0xfffn) | root.table, (hi & ~7n) | BigInt(root.aw)];
      this.#explore(request, { ...context, entry }, root, add);
    }
  }

  #rootsOf(did: number): Root[] {
    const roots: Root[] = [];
    for (const sid of this.#sids) {
      for (const time of this.#contextMoments(sid)) {
        const entry = this.#contextAt(sid, time)?.entry;
        if (entry === undefined || !bit(entry[0]!, 0) || number(entry[1]!, 23, 8) !== did) continue;
        if (number(entry[0]!, 3, 2) > 1) continue;
        const until = this.#contextEnd(sid, did, time);
        const root = {
          table: bits(entry[0]!, 63, 12) << 12n,
          aw: number(entry[1]!, 2, 0),
          since: time,
          until,
        };
        if (until >= this.#lastDomainWide(did)) addRoot(roots, root);
      }
    }
    return roots;
  }

  /** The last invalidation that emptied a domain: nothing read before it can have been kept. */
  #lastDomainWide(did: number): number {
    const wide = this.#invalidations.filter(
      ({ what }) =>
        what.cache === 'iotlb' && (what.scope === 'global' || (what.scope === 'domain' && what.did === did)),
    );
    return wide.at(-1)?.at ?? 0;
  }

  /** The last moment at which a context read at `time` can be used: now, or before the invalidation that removed it. */
  #contextEnd(sid: number, did: number, time: number): number {
    const gone = this.#invalidations.find(({ at, what }) => at > time && removesContext(what, sid, did));
    return gone === undefined ? this.#now : gone.at;
  }

  #contextGone(sid: number, did: number, from: number, to: number): boolean {
    return this.#invalidations.some(
      ({ at, what }) => at > from && at <= to && removesContext(what, sid, did),
    );
  }

  /** Runs the translation over every choice of moments for the paging entries below one context. */
  #explore(request: Request, context: ContextRead, root: Root | undefined, add: (o: Outcome) => void): void {
    // Each list of choices is one run; a run that meets a new choice puts its alternatives in the queue.
    const queue: number[][] = [[]];
    while (queue.length > 0) {
      const run = new Run(queue.pop()!);
      const fetch: Fetcher = (what, quadwords) => {
        if (what.what === 'root') return context.root;
        if (what.what === 'context') return context.entry;
        return this.#choosePaging(run, what, quadwords, root);
      };
      const outcome = translate(this.#unit, this.#registers, fetch, request);
      for (const alternative of run.alternatives) queue.push(alternative);
      if (!run.impossible && this.#mayKeep(request, context, root, run, outcome)) add(outcome);
    }
  }

  #choosePaging(
    run: Run,
    what: Fetch,
    quadwords: number,
    root: Root | undefined,
  ): readonly bigint[] | undefined {
    if (what.what !== 'second-stage' || run.impossible) return undefined;
    const previous = run.reads.at(-1);
    // Without a table from the caches everything below the context is read now.
    let moments = [this.#now];
    if (root !== undefined) {
      const earliest = Math.max(previous?.time ?? root.since, this.#lastDomainWide(what.did));
      moments = this.#moments(what, earliest, previous === undefined ? root.until : this.#now).filter(
        (time) => previous === undefined || !this.#structureGone(previous.fetch, previous.time, time),
      );
    }
    const time = run.choose(moments);
    if (time === undefined) return undefined;
    run.reads.push({ fetch: what, time });
    return this.#read(what.gpa, quadwords, time);
  }

  /** Moments in [earliest, latest] that differ in the value of the entry or in what was invalidated before them. */
  #moments(what: Fetch & { what: 'second-stage' }, earliest: number, latest: number): number[] {
    const moments = new Set<number>([earliest]);
    if (latest === this.#now) moments.add(this.#now);
    for (const v of this.#versions(what.gpa)) moments.add(v.since);
    for (const { at, what: i } of this.#invalidations)
      if (i.cache === 'iotlb' && covers(i, what.did, what.base, what.span)) moments.add(at);
    return [...moments].filter((t) => t >= earliest && t <= latest);
  }

  /** May this outcome come from caches now? */
  #mayKeep(
    request: Request,
    context: ContextRead,
    root: Root | undefined,
    run: Run,
    outcome: Outcome,
  ): boolean {
    const now = this.#now;
    const granted = outcome.kind === 'ok';
    const last = run.reads.at(-1);
    // Another table than the context's own answers only through what is cached of it.
    if (root !== undefined && !isOwn(context, root) && !(granted || isDenial(outcome))) return false;
    if (outcome.kind === 'fault' && outcome.at !== 'second-stage') {
      // Entries that fault are not cached, unless the unit works in caching mode.
      const faulty =
        outcome.at === 'root' || (outcome.at === 'context' && [0x02, 0x03, 0x0b].includes(outcome.code));
      return context.time === now || this.#cachingMode || !faulty;
    }
    if (last === undefined || last.fetch.what !== 'second-stage') return true;
    if (last.time === now) return true;
    if (outcome.kind === 'fault' && !this.#cachingMode && !(isDenial(outcome) && outcome.present)) {
      // 0Eh comes from a leaf that is fine in itself.
      if (outcome.code !== 0x0e) return false;
    }
    const { did, base, span } = last.fetch;
    if (granted) return !this.#translationGone(did, base, span, last.time, now);
    const page = request.iova & ~0xfffn;
    return (
      !this.#structureGone(last.fetch, last.time, now) ||
      !this.#translationGone(did, page, 4096n, last.time, now)
    );
  }

  /** Some invalidation in (from, to] had to remove a translation of `did` that covers [base, base + span). */
  #translationGone(did: number, base: bigint, span: bigint, from: number, to: number): boolean {
    return this.#invalidations.some(
      ({ at, what }) => at > from && at <= to && what.cache === 'iotlb' && covers(what, did, base, span),
    );
  }

  /** The same for an entry of the paging-structure caches. */
  #structureGone(fetch: Fetch, from: number, to: number): boolean {
    if (fetch.what !== 'second-stage') return false;
    return this.#invalidations.some(
      ({ at, what }) =>
        at > from &&
        at <= to &&
        what.cache === 'iotlb' &&
        !(what.scope === 'page' && what.leafOnly) &&
        covers(what, fetch.did, fetch.base, fetch.span),
    );
  }

  #read(gpa: bigint, quadwords: number, time: number): readonly bigint[] | undefined {
    if (gpa + BigInt(quadwords * 8) > this.#ramEnd) return undefined;
    return Array.from(
      { length: quadwords },
      (_, i) => versionAt(this.#versions(gpa + BigInt(i * 8)), time)!.value,
    );
  }

  #versions(gpa: bigint): Version[] {
    let versions = this.#quadwords.get(gpa);
    if (versions === undefined) {
      versions = [{ value: 0n, since: 0, until: Number.POSITIVE_INFINITY }];
      this.#quadwords.set(gpa, versions);
    }
    return versions;
  }
}

/** One run through the tree of choices. */
class Run {
  readonly reads: { readonly fetch: Fetch; readonly time: number }[] = [];
  readonly alternatives: number[][] = [];
  impossible = false;
  readonly #script: readonly number[];
  readonly #made: number[] = [];

  constructor(script: readonly number[]) {
    this.#script = script;
  }

  choose(options: readonly number[]): number | undefined {
    if (options.length === 0) {
      this.impossible = true;
      return undefined;
    }
    const depth = this.#made.length;
    const picked = this.#script[depth];
    if (picked !== undefined) {
      this.#made.push(picked);
      return picked;
    }
    for (const other of options.slice(1)) this.alternatives.push([...this.#made, other]);
    this.#made.push(options[0]!);
    return options[0];
  }
}

/** Text under which two outcomes are the same answer. */
export function outcomeKey(o: Outcome): string {
  switch (o.kind) {
    case 'ok':
      return `ok ${o.gpa.toString(16)}`;
    case 'fault':
      return `fault ${o.code.toString(16)} ${o.recorded ? 'recorded' : 'withheld'}`;
    default:
      return o.kind;
  }
}

/** Caching Mode: entries that are not present are kept under domain 0, whatever stands in them. */
function domainOf({ entry }: ContextRead): number {
  return entry === undefined || !bit(entry[0]!, 0) ? 0 : number(entry[1]!, 23, 8);
}

function isOwn(context: ContextRead, root: Root): boolean {
  const [lo, hi] = context.entry as [bigint, bigint];
  return bits(lo, 63, 12) << 12n === root.table && number(hi, 2, 0) === root.aw;
}

/** Adds a table, or lengthens the time the same one is known for. */
function addRoot(roots: Root[], root: Root): void {
  const same = roots.find(
    (r) => r.table === root.table && r.aw === root.aw && r.since <= root.until && root.since <= r.until,
  );
  if (same === undefined) roots.push(root);
  else
    roots[roots.indexOf(same)] = {
      ...root,
      since: Math.min(same.since, root.since),
      until: Math.max(same.until, root.until),
    };
}

function isDenial(o: Outcome): boolean {
  return o.kind === 'fault' && (o.code === 0x05 || o.code === 0x06);
}

function versionAt(versions: readonly Version[], time: number): Version | undefined {
  return versions.find((v) => v.since <= time && time < v.until);
}

/** Context-cache Invalidate: FM masks function-number bits of the source-id. */
function removesContext(what: Invalidation, sid: number, did: number): boolean {
  if (what.cache !== 'context') return false;
  switch (what.scope) {
    case 'global':
      return true;
    case 'domain':
      return what.did === did;
    case 'device': {
      const mask = [0xffff, 0xfffb, 0xfff9, 0xfff8][what.functionMask]!;
      return (what.sid & mask) === (sid & mask);
    }
  }
}

/** IOTLB Invalidate: everything, a domain, or what overlaps a range of a domain. */
function covers(what: Invalidation & { cache: 'iotlb' }, did: number, base: bigint, span: bigint): boolean {
  switch (what.scope) {
    case 'global':
      return true;
    case 'domain':
      return what.did === did;
    case 'page':
      return what.did === did && what.address < base + span && base < what.address + what.pages * 4096n;
  }
}
