/** The monitor of one machine: what its commands reach, and the clients that are connected to it. */

import type { Zod } from '../core/zod.ts';
import type { Machine } from '../machine/machine.ts';
import type { Registry } from '../machine/registry.ts';
import { machineUnits } from '../machine/snapshot-units.ts';
import type { SnapshotUnit } from '../state/unit.ts';
import type { EventName, MachineType, MonitorContext } from './command.ts';
import { perform } from './dispatch.ts';
import { MonitorError } from './error.ts';
import type { Asked } from './history.ts';
import { Jobs } from './jobs.ts';
import { eventMessage } from './protocol.ts';
import { type QmpServer, QmpSession } from './qmp-session.ts';
import type { RunControl } from './run-control.ts';
import { completions, executeLine } from './text.ts';
import { TraceControl } from './trace-control.ts';

export interface MonitorOptions {
  readonly machine: Machine;
  readonly registry: Registry;
  readonly zod: () => Zod;
  /** Version of tsvmm. */
  readonly program: string;
  readonly control: (monitor: Monitor) => RunControl;
  /** State beside the machine's own: the processor's. */
  readonly moreUnits?: () => readonly SnapshotUnit[];
  /** Where lines of trace events go that no text client prints. */
  readonly print?: (line: string) => void;
  /** Told every command of a client before it is carried out. @throws MonitorError to refuse it */
  readonly asked?: (asked: Asked) => void;
  /** What query-machines lists; tsvmm's own machine types if absent. */
  readonly machineTypes?: readonly MachineType[];
}

const MACHINE_TYPES: readonly MachineType[] = [
  {
    name: 'q35',
    'is-default': true,
    'cpu-max': 1,
    'hotpluggable-cpus': false,
    'numa-mem-supported': false,
    deprecated: false,
    acpi: true,
  },
];

export interface TextClient {
  /** Carries out a line; the answer has no newline at the end. */
  line(text: string): string;
  complete(text: string): readonly string[];
  close(): void;
}

export class Monitor implements MonitorContext {
  readonly registry: Registry;
  readonly control: RunControl;
  readonly trace: TraceControl;
  readonly jobs: Jobs;
  readonly zod: () => Zod;
  readonly program: string;
  readonly machineTypes: readonly MachineType[];
  machine: Machine;
  /** Nothing is told to anybody: the machine is on its way through what they know already. */
  muted = false;
  readonly #options: MonitorOptions;
  readonly #qmp = new Set<QmpSession>();
  readonly #printers = new Set<(text: string) => void>();

  constructor(options: MonitorOptions) {
    this.#options = options;
    this.machine = options.machine;
    this.registry = options.registry;
    this.zod = options.zod;
    this.program = options.program;
    this.machineTypes = options.machineTypes ?? MACHINE_TYPES;
    this.trace = new TraceControl(options.machine.tracer, (line) => this.print(line));
    this.jobs = new Jobs(({ id, status }) => this.emit('JOB_STATUS_CHANGE', { id, status }));
    this.control = options.control(this);
  }

  units(): readonly SnapshotUnit[] {
    return [...machineUnits(this.machine), ...(this.#options.moreUnits?.() ?? [])];
  }

  execute(line: string): string {
    return executeLine(this, line);
  }

  asked(asked: Asked): void {
    this.#options.asked?.(asked);
  }

  /** The machine was replaced by one that is the same at another time. */
  follow(machine: Machine): void {
    this.machine = machine;
    this.trace.follow(machine.tracer);
  }

  /** Tells every QMP client. Time is the machine's own. */
  emit(event: EventName, data?: Readonly<Record<string, unknown>>): void {
    if (this.muted) return;
    const message = eventMessage(event, data, this.machine.clock.now);
    for (const session of this.#qmp) session.event(message);
  }

  /** A line for every text client, or for stderr where there is none. */
  print(text: string): void {
    if (this.muted) return;
    if (this.#printers.size === 0) this.#options.print?.(text);
    for (const printer of this.#printers) printer(text);
  }

  /** A QMP client: it is greeted at once. @param send takes one message with its line end */
  openQmp(send: (text: string) => void): { input(bytes: Uint8Array): void; close(): void } {
    const server: QmpServer = {
      program: this.program,
      asked: (request) => this.asked({ via: 'qmp', ...request }),
      perform: (request) => perform(this, request),
    };
    const session = new QmpSession(server, send);
    this.#qmp.add(session);
    session.greet();
    return {
      input: (bytes) => session.input(bytes),
      close: () => {
        session.close();
        this.#qmp.delete(session);
      },
    };
  }

  #line(text: string): string {
    try {
      if (text.trim() !== '') this.asked({ via: 'monitor', line: text });
    } catch (error) {
      if (error instanceof MonitorError) return `Error: ${error.message}`;
      throw error;
    }
    return this.execute(text);
  }

  /** A text client. @param print takes what is said without being asked for */
  openText(print: (text: string) => void): TextClient {
    this.#printers.add(print);
    return {
      line: (text) => this.#line(text),
      complete: (text) => completions(this, text),
      close: () => this.#printers.delete(print),
    };
  }
}
