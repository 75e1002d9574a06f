/** Collects what a report shows: the timeline while the guest runs, and the tables at the moments that matter. */

import type { TableTree } from '../bus/iommu.ts';
import type { MachineConfig } from '../machine/config.ts';
import type { GuestModule } from '../machine/guest-module.ts';
import { Machine } from '../machine/machine.ts';
import type { Registry } from '../machine/registry.ts';
import { MOST_REPEATED } from '../machine/replay-writers.ts';
import { requestersOf } from '../machine/requesters.ts';
import { Session, type SessionOptions } from '../machine/session.ts';
import { TimelineCollector } from '../trace/timeline.ts';
import { globToRegExp, type Tracer } from '../trace/tracer.ts';
import type { Moment, RunInside } from './data.ts';

/** Events of a report. A page of more is slow to open, and nobody looks at so many. */
export const MOST_REPORT_EVENTS = 20_000;
/** Entries of a table tree. */
export const MOST_REPORT_ENTRIES = 5_000;

/** How to run the same guest again, which gives the same run. */
export interface Again {
  readonly config: MachineConfig;
  readonly registry: Registry;
  readonly guest: GuestModule;
  readonly options: SessionOptions;
  /** Of the first run. */
  readonly instructions: number;
}

/** The tables and when they were so. */
interface Look {
  readonly label: string;
  readonly at: number;
  readonly tree: TableTree;
}

/** Which DMA of a run is the last one is known when it is over. */
interface Wanted {
  readonly lastDma: number;
}

export class RunRecorder {
  #collector = new TimelineCollector(MOST_REPORT_EVENTS);
  readonly #globs: readonly RegExp[];
  #looks: LookTaker | undefined;
  #machine!: Machine;

  /** @param globs of events beside those that a timeline is made of */
  constructor(globs: readonly string[]) {
    this.#globs = globs.map(globToRegExp);
  }

  /** Before the guest runs. */
  attach(machine: Machine): void {
    this.#machine = machine;
    // A run that goes back is repeated on a machine of its own, from the start.
    this.#collector = new TimelineCollector(MOST_REPORT_EVENTS);
    this.#looks = new LookTaker(machine, { lastDma: -1 });
    const roles = rolesOf(machine.tracer);
    const wants = (name: string) => roles.has(name) || this.#globs.some((glob) => glob.test(name));
    // Later events would cost time for nothing: a store asks who stores.
    this.#collector.onFull = machine.tracer.watch(wants, this.#collector.sink);
  }

  /** After the guest ran. Without `again`, who wrote an entry is known from the IOMMU's first look at its page on. */
  async inside(again: Again | undefined): Promise<RunInside> {
    const machine = this.#machine;
    const requesters = requestersOf(machine);
    const names = new Map(requesters.map(({ requester, name }) => [requester, name]));
    const live = this.#looks!;
    live.end();
    const looks = again === undefined ? live.looks : await lookAgain(again, { lastDma: live.dmas });
    return {
      requesters,
      timeline: this.#collector.timeline(machine.clock.now, names),
      moments: momentsOf(looks ?? live.looks),
    };
  }
}

/** Events that are something on a timeline, and those of low rate. */
function rolesOf(tracer: Tracer): Set<string> {
  const chosen = tracer.declared().filter(({ decl }) => decl.role !== undefined || decl.ring === true);
  return new Set(chosen.map(({ name }) => name));
}

/** Looks at the tables at the first fault, at the DMA that is wanted, and at the end. */
class LookTaker {
  readonly looks: Look[] = [];
  dmas = 0;
  readonly #machine: Machine;
  #faults = 0;

  constructor(machine: Machine, { lastDma }: Wanted) {
    this.#machine = machine;
    const { tracer } = machine;
    const roles = new Map(tracer.declared().map(({ name, decl }) => [name, decl.role]));
    const wants = (name: string) => ['fault', 'dma-end'].includes(roles.get(name) ?? '');
    tracer.watch(wants, ({ decl }) => {
      if (decl.role === 'fault' && ++this.#faults === 1) this.#look('first fault');
      if (decl.role === 'dma-end' && ++this.dmas === lastDma) this.#look('last DMA');
    });
  }

  end(): void {
    this.#look('end of the run');
  }

  #look(label: string): void {
    const tree = this.#machine.iommu?.tables?.(MOST_REPORT_ENTRIES);
    if (tree !== undefined) this.looks.push({ label, at: this.#machine.clock.now, tree });
  }
}

/**
 * The same run twice more: once to find the pages of the tables at its moments, once with those pages watched from the start,
 * so that every entry knows its writer. Undefined where a run is not repeated.
 */
async function lookAgain(again: Again, wanted: Wanted): Promise<readonly Look[] | undefined> {
  if (again.instructions > MOST_REPEATED || again.options.stdin !== undefined) return undefined;
  const found = await repeat(again, wanted, []);
  const pages = [...new Set(found.flatMap(({ tree }) => tree.pages))];
  return pages.length === 0 ? found : repeat(again, wanted, pages);
}

async function repeat(again: Again, wanted: Wanted, pages: readonly number[]): Promise<readonly Look[]> {
  const { config, registry, guest, options } = again;
  const machine = new Machine(config, registry, guest);
  const taker = new LookTaker(machine, wanted);
  const session = await Session.open(machine, guest, { ...options, stdout: ignore, stderr: ignore });
  const watcher = { stored: ignore };
  for (const page of pages) if (machine.ram.holds(page, 0, 4096)) machine.ram.watch(page, watcher);
  session.run();
  taker.end();
  return taker.looks;
}

function ignore(): void {}

/** Tables that did not change between two moments are shown once. */
function momentsOf(looks: readonly Look[]): Moment[] {
  const moments: { label: string; at: number; tables: Moment['tables']; text: string }[] = [];
  for (const { label, at, tree } of looks) {
    const { pages: _, ...tables } = tree;
    const text = JSON.stringify(tables);
    const last = moments.at(-1);
    if (last?.text === text) last.label = `${last.label}, ${label}`;
    else moments.push({ label, at, tables, text });
  }
  return moments.map(({ text: _, ...moment }) => moment);
}
