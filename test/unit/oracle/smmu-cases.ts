import fc from 'fast-check';
import type { SmmuConfig } from '../../../viommu/smmuv3/config.ts';
import type { Rng } from '../../../vmm/core/rng.ts';
import { translate } from '../../oracle/smmuv3/translate.ts';
import type { Outcome, Registers, Request, TableMemory } from '../../oracle/smmuv3/types.ts';
import { type Observed, RAM, RAM_BYTES, type SmmuBench } from './smmu-bench.ts';
import { SmmuTables, smmuRequest } from './smmu-worlds.ts';

const REQUESTS = 5;
/** More where one finds what another has left. */
const REQUESTS_TO_CACHES = 16;

/** Registers, structures and requests: everything a disagreement needs. */
export interface Case {
  readonly regs: Registers;
  readonly entries: ReadonlyMap<bigint, bigint>;
  readonly requests: readonly Request[];
}

/** Units as different as the options allow. */
export const UNIT: fc.Arbitrary<Partial<SmmuConfig>> = fc
  .record({
    stage: fc.constantFrom('1', '2', 'nested', 'nested', 'nested') as fc.Arbitrary<SmmuConfig['stage']>,
    oas: fc.constantFrom(32, 36, 40, 42, 44, 48, 48) as fc.Arbitrary<SmmuConfig['oas']>,
    ssidsize: fc.constantFrom(0, 1, 6, 8, 20),
    httu: fc.constantFrom('none', 'access', 'dirty', 'dirty') as fc.Arbitrary<SmmuConfig['httu']>,
    stall: fc.constantFrom('terminate', 'optional', 'forced') as fc.Arbitrary<SmmuConfig['stall']>,
    granules: fc.constantFrom(7, 7, 7, 1, 2, 4, 5),
    ats: fc.boolean(),
    'ats-record-errors': fc.boolean(),
    'ats-split-stage': fc.boolean(),
    hyp: fc.boolean(),
    had: fc.boolean(),
    xnx: fc.boolean(),
    stt: fc.boolean(),
    e0pd: fc.boolean(),
    epan: fc.boolean(),
    ptwnnc: fc.boolean(),
    asid16: fc.boolean(),
    vmid16: fc.boolean(),
    'two-level-streams': fc.boolean(),
    'two-level-cds': fc.boolean(),
    'attribute-overrides': fc.boolean(),
  })
  .map(({ granules, ...o }) => {
    const s1 = o.stage !== '2';
    return {
      ...o,
      ssidsize: s1 ? o.ssidsize : 0,
      hyp: s1 && o.hyp,
      'two-level-cds': s1 && o.ssidsize > 0 && o['two-level-cds'],
      'ats-record-errors': o.ats && o['ats-record-errors'],
      'ats-split-stage': o.ats && o.stage === 'nested' && o['ats-split-stage'],
      gran4k: (granules & 1) !== 0,
      gran16k: (granules & 2) !== 0,
      gran64k: (granules & 4) !== 0,
    };
  });

export function randomCase(rng: Rng, bench: SmmuBench): Case {
  const cached = bench.config.cache !== 'none';
  const faulty = [0, 10, 20, 40][rng.below(4)]!;
  const world = new SmmuTables(rng, bench.unit, faulty, cached).build();
  const requests: Request[] = [];
  for (let n = cached ? REQUESTS_TO_CACHES : REQUESTS; n > 0; n--) {
    const fresh = smmuRequest(rng, bench.unit, world);
    const earlier = requests[rng.below(requests.length * 2)];
    // What was asked once is asked again, for something else perhaps.
    requests.push(
      earlier === undefined ? fresh : { ...earlier, write: fresh.write, privileged: fresh.privileged },
    );
  }
  return { regs: world.regs, entries: world.entries, requests };
}

/** Memory of the oracle's own, so that the bits it sets are told from those the unit sets. */
class Tables implements TableMemory {
  readonly words: Map<bigint, bigint>;
  /** Bits that may have changed. */
  readonly open = new Map<bigint, bigint>();
  /** Words the last request updated. */
  readonly touched = new Set<bigint>();

  constructor(entries: ReadonlyMap<bigint, bigint>) {
    this.words = new Map(entries);
  }

  read(address: bigint): bigint | undefined {
    const there = address >= BigInt(RAM) && address < BigInt(RAM + RAM_BYTES);
    return there ? (this.words.get(address) ?? 0n) : undefined;
  }

  update(address: bigint, set: bigint, clear: bigint): void {
    this.words.set(address, ((this.words.get(address) ?? 0n) | set) & ~clear);
    this.touched.add(address);
  }

  may(address: bigint, set: bigint, clear: bigint): void {
    const now = this.words.get(address) ?? 0n;
    const bits = ((now | set) & ~clear) ^ now;
    this.open.set(address, (this.open.get(address) ?? 0n) | bits);
  }
}

/** Why `seen` is not what `outcome` says, or undefined. */
function different(outcome: Outcome, seen: Observed, request: Request): string | undefined {
  const why = differs(outcome, seen, request);
  if (why === undefined || outcome.kind !== 'refused' || outcome.or === undefined) return why;
  return different(outcome.or, seen, request) === undefined ? undefined : why;
}

function differs(outcome: Outcome, seen: Observed, request: Request): string | undefined {
  if (outcome.kind === 'refused') return refusalDiffers(outcome, seen);
  if (seen.kind !== outcome.kind) return `expected ${outcome.kind}, got ${shown(seen)}`;
  if (seen.events.length > 0) return `expected no event, got ${shown(seen)}`;
  if (outcome.kind === 'ok') {
    if (seen.address !== outcome.address) return `expected ${hex(outcome.address)}, got ${shown(seen)}`;
    const most = outcome.size === 0n ? 1n << 53n : outcome.size - (outcome.address % outcome.size);
    const least = 4096 - Number(outcome.address & 4095n);
    return seen.size < least || BigInt(seen.size) > most ? `span ${seen.size}, at most ${most}` : undefined;
  }
  const { read, write, execute, writeIsOptional } = outcome;
  const grants = seen.granted & 7;
  const want = (read ? 1 : 0) | (write ? 2 : 0) | (execute ? 4 : 0);
  const ignored = writeIsOptional && write ? 2 : 0;
  if ((grants & ~ignored) !== (want & ~ignored)) return `expected grant ${want}, got ${shown(seen)}`;
  if ((grants & 3) === 0) return undefined;
  const privileged = request.privileged && request.ssid !== undefined;
  if ((seen.granted & 32) !== (privileged ? 32 : 0)) return `expected privileged ${privileged}`;
  if ((seen.granted & 16) !== 0) return 'granted for every PASID';
  if (seen.address !== outcome.address) return `expected ${hex(outcome.address)}, got ${shown(seen)}`;
  const fits = outcome.size === 0n || (BigInt(seen.size) <= outcome.size && seen.size >= 4096);
  return fits ? undefined : `size ${seen.size}, of ${outcome.size}`;
}

function refusalDiffers(outcome: Outcome & { kind: 'refused' }, seen: Observed): string | undefined {
  const answer = outcome.answer === 'ur' ? 'abort' : outcome.answer;
  const events = outcome.event === undefined ? [] : [outcome.event];
  const same =
    seen.events.length === events.length &&
    events.every(({ words, known }, n) =>
      words.every((word, i) => ((word ^ seen.events[n]![i]!) & known[i]!) === 0n),
    );
  if (same && seen.kind === answer) return undefined;
  return `expected ${answer} ${outcome.name} [${events.map((e) => e.words.map(hex).join(' '))}], got ${shown(seen)}`;
}

/** Runs a case on both sides; the first disagreement, or undefined. `count` is told every outcome. */
export function disagreement(
  bench: SmmuBench,
  c: Case,
  count: (kind: string) => void = () => {},
): string | undefined {
  const memory = new Tables(c.entries);
  for (const [at, value] of c.entries) bench.put(at, value);
  bench.program(c.regs);
  let found: string | undefined;
  for (const request of c.requests) {
    memory.open.clear();
    memory.touched.clear();
    const outcome = translate(bench.unit, c.regs, memory, request);
    const seen = bench.request(request);
    count(outcomeName(outcome));
    const why =
      different(outcome, seen, request) ??
      marksDiffer(bench, memory, memory.touched) ??
      marksDiffer(bench, memory, memory.open.keys());
    if (why !== undefined) found = `${show(request)}: ${why}`;
    if (found !== undefined) break;
  }
  memory.open.clear();
  found ??= marksDiffer(bench, memory, memory.words.keys());
  for (const at of memory.words.keys()) bench.put(at, 0n);
  return found;
}

function outcomeName(outcome: Outcome): string {
  if (outcome.kind === 'granted') return outcome.read || outcome.write ? 'granted' : 'granted nothing';
  return outcome.kind === 'ok' ? 'ok' : `${outcome.answer} ${outcome.name}`;
}

/** Access flags and dirty state; of all words: that nothing else of the structures has changed. */
function marksDiffer(bench: SmmuBench, memory: Tables, words: Iterable<bigint>): string | undefined {
  for (const at of words) {
    const value = memory.words.get(at) ?? 0n;
    const got = bench.load(at);
    if (((got ^ value) & ~(memory.open.get(at) ?? 0n)) !== 0n)
      return `word at ${hex(at)}: expected ${hex(value)}, got ${hex(got)}`;
    if (got !== value) memory.words.set(at, got);
  }
  return undefined;
}

/** What a disagreement is about, without its numbers. */
export function kindOf(text: string | undefined): string | undefined {
  return text
    ?.replace(/^.*?: (?=expected|word|span|size|granted)/, '')
    .replace(/\[[^\]]*\]|\b[0-9a-f]{3,}\b/g, '');
}

/** Makes a case that disagrees smaller as long as it disagrees: fewer requests, fewer words, fewer bits. */
function shrink(bench: SmmuBench, found: Case): Case {
  let best = found;
  const same = kindOf(disagreement(bench, found));
  const attempt = (smaller: Case): void => {
    if (kindOf(disagreement(bench, smaller)) === same) best = smaller;
  };
  for (const request of found.requests)
    if (best.requests.length > 1) attempt({ ...best, requests: best.requests.filter((r) => r !== request) });
  const without = (at: bigint, value: bigint): void => {
    const entries = new Map(best.entries);
    if (value === 0n) entries.delete(at);
    else entries.set(at, value);
    attempt({ ...best, entries });
  };
  for (const at of found.entries.keys()) without(at, 0n);
  for (const [at, value] of best.entries)
    for (let n = 0n; n < 64n; n++)
      if (((value >> n) & 1n) !== 0n) without(at, best.entries.get(at)! & ~(1n << n));
  return best;
}

function hex(value: bigint): string {
  return value.toString(16);
}

export function shown(seen: Observed): string {
  const events = seen.events.map((words) => words.map(hex).join(' ')).join(', ');
  return `${seen.kind} ${hex(seen.address)} granted ${seen.granted} [${events}]`;
}

export function show(value: unknown): string {
  return JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v));
}

export function explain(bench: SmmuBench, found: Case): string {
  const small = shrink(bench, found);
  const words = [...small.entries].map(([at, v]) => `${hex(at)}=${hex(v)}`).join(' ');
  const why = disagreement(bench, small);
  return `${why}; registers ${show(small.regs)}; requests ${show(small.requests)}; words ${words}`;
}
