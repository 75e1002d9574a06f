import type { MmioBus } from '../../bus/mmio.ts';
import type { PortBus } from '../../bus/ports.ts';
import type { VirtualClock } from '../../core/clock.ts';
import { Bug } from '../../core/errors.ts';
import { hex } from '../../core/u64.ts';
import { PAGE_SIZE } from '../../mem/layout.ts';
import type { GuestRam } from '../../mem/ram.ts';
import { noProcesses, type ProcessHost } from '../process/no-processes.ts';
import type { KernelHandler, ProcessCpu } from '../process/processes.ts';
import { EXPORTS } from '../rewrite/result.ts';
import { type SlowPath, slowPathImports, VM_MODULE } from '../rewrite/slow-path.ts';
import { abiHost, type GuestPlatform } from './abi-host.ts';
import type { Asyncify } from './asyncify.ts';
import type { CpuInterrupts } from './cpu-interrupts.ts';
import { type GuestEnd, GuestStop } from './exit.ts';
import { type GuestFrame, rawFrames } from './frames.ts';
import { StoreLog, type Symbolize } from './provenance.ts';
import { VCPU_STATE, type VcpuState } from './state.ts';
import { FuelClock, type FuelGauge } from './time.ts';
import { traps } from './traps.ts';

/** Virtual time that one cpu_relax lets pass at most: short enough for a polling loop to count its retries. */
const RELAX_NS = 10_000;
/** Events of the machine one wait may outlast: a timer whose interrupt cannot be delivered would otherwise fire for ever. */
const MAX_EVENTS = 10_000_000;
/** Where the virtual clock ends: beyond, its nanoseconds are no longer exact. */
const CLOCK_END = Number.MAX_SAFE_INTEGER;
/** Vector an NMI arrives at the guest's handlers with (Intel SDM, Exception and Interrupt Vectors). */
const NMI_VECTOR = 2;

/** Frames of the guest that a report is made from. */
const FRAMES = 40;
/** Bytes below the stack pointer that C functions use without moving it (LLVM's red zone for WebAssembly). */
const RED_ZONE = 128;

/** The two calls at which a guest gives up the processor. */
export type YieldPoint = 'wfi' | 'yield';

/** Who may hold the guest between two instructions: a monitor. */
export interface Supervisor {
  /** Called where the guest waits or has run for a while, and after `attend`. Returns how the guest is to end, if it is. */
  poll(): GuestEnd | undefined;
}

export interface VcpuWiring {
  readonly ram: GuestRam;
  readonly mmio: MmioBus;
  readonly ports: PortBus;
  readonly clock: VirtualClock;
  readonly interrupts: CpuInterrupts;
  readonly console: (bytes: Uint8Array) => void;
  readonly symbolize: Symbolize;
  /** Name of the bus master whose write is in progress. */
  readonly busMaster: () => string;
  /** Instructions after which the guest counts as hung. */
  readonly fuelLimit: number;
  /** Virtual time in ns after which it does. */
  readonly timeLimit?: number;
  /** Events of the machine that one wait may see. */
  readonly eventLimit?: number;
}

export interface GuestImage {
  readonly module: WebAssembly.Module;
  readonly platform: GuestPlatform;
  /** Export of the function table, for interrupt handlers. */
  readonly table: string | undefined;
  /** Export of the C stack pointer, where the module has one. */
  readonly stackPointer?: string | undefined;
  /** Imports of modules other than the ABI's (WASI). */
  readonly imports: WebAssembly.Imports;
  /** Told the instance before it runs (WASI needs its memory). */
  readonly attach?: (instance: WebAssembly.Instance) => void;
  /** User processes, of guests that carry programs. */
  readonly processes?: (cpu: ProcessCpu) => ProcessHost;
  /** Turns an exception the imports end a guest with (WASI proc_exit) into a status. */
  readonly exitStatus?: (error: unknown) => number | undefined;
}

/** The guest's processor: runs one rewritten module over guest RAM. */
const TOO_DEEP: GuestEnd = {
  kind: 'crash',
  reason: 'the call stack is too deep to be saved (256 KiB)',
  frames: [],
};

export class Vcpu {
  readonly s: VcpuState = VCPU_STATE.fresh();
  readonly stores: StoreLog;
  readonly #w: VcpuWiring;
  readonly #time: FuelClock;
  readonly #clock: VirtualClock;
  readonly #traps: SlowPath;
  readonly #timeLimit: number;
  readonly #eventLimit: number;
  #instance: WebAssembly.Instance | undefined;
  #image: GuestImage | undefined;
  #asyncify: Asyncify | undefined;
  #stop: GuestStop | undefined;
  /** The guest may not simply go on: it has been stopped, or the supervisor wants to look. */
  #attention = false;
  #depth = 0;
  /** The kernel's own fuel. */
  #gauge: FuelGauge | undefined;
  /** User code is on the stack: what the kernel's handlers throw must not be taken for its. */
  #inUser = false;
  /** Decides at a yield point whether the guest is to be suspended there; `count` is the number of such points so far. */
  suspendAt: ((point: YieldPoint, count: number) => boolean) | undefined;

  /** Polled while the guest runs. */
  supervisor: Supervisor | undefined;
  /** Polls so far, those that `attend` brought about left out: the same in every execution of a run. */
  polls = 0;

  constructor(w: VcpuWiring) {
    this.#w = w;
    this.#timeLimit = Math.min(w.timeLimit ?? CLOCK_END, CLOCK_END);
    this.#eventLimit = w.eventLimit ?? MAX_EVENTS;
    this.#time = new FuelClock(w.clock, w.fuelLimit, this.#timeLimit);
    this.stores = new StoreLog(w.symbolize, w.busMaster, () => this.#time.settled);
    w.ram.observer = this.stores;
    this.#clock = w.clock;
    this.#traps = traps(w.ram, w.mmio, {
      crash: (reason, address) => this.#crash(reason, address),
      afterAccess: () => this.#afterAccess(),
      safepoint: () => this.#safepoint(),
    });
  }

  get executed(): number {
    return this.#time.executed;
  }

  /** Instantiates the guest: its data lands in RAM. @throws WebAssembly.LinkError when imports do not fit */
  load(image: GuestImage): WebAssembly.Instance {
    const w = this.#w;
    const processes = image.processes?.(this.#processCpu()) ?? noProcesses((reason) => this.#crash(reason));
    const abi = abiHost(w.ram, w.mmio, w.ports, this.#abiCpu(), image.platform, w.console, processes);
    const instance = new WebAssembly.Instance(image.module, {
      ...image.imports,
      [VM_MODULE]: slowPathImports(this.#traps, w.ram.memory),
      tsvmm: abi as unknown as WebAssembly.ModuleImports,
    });
    image.attach?.(instance);
    this.#instance = instance;
    this.#image = image;
    return instance;
  }

  /** Runs the guest from its entry point, or goes on where `asyncify` says it was suspended. */
  run(entry: string, asyncify?: Asyncify): GuestEnd {
    const instance = this.#instance;
    if (instance === undefined) throw new Bug('run before load');
    const get = instance.exports[EXPORTS.getFuel] as (() => number) | undefined;
    const set = instance.exports[EXPORTS.setFuel] as ((fuel: number) => void) | undefined;
    if (get === undefined || set === undefined) throw new Bug('the rewritten module has no fuel');
    this.#asyncify = asyncify;
    // What asked for attention before the first instruction still does.
    if (this.#stop !== undefined) this.#attention = false;
    this.#stop = undefined;
    this.stores.running = true;
    this.#gauge = { get, set };
    this.#inUser = false;
    this.#time.start(this.#gauge, this.s.executed);
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = FRAMES;
    try {
      return this.#enter(instance.exports[entry] as (() => unknown) | undefined, entry);
    } finally {
      Error.stackTraceLimit = limit;
      this.#time.stop();
      this.s.executed = this.#time.executed;
      this.stores.running = false;
    }
  }

  #enter(entry: (() => unknown) | undefined, name: string): GuestEnd {
    if (typeof entry !== 'function') throw new Bug(`no entry point ${name}`);
    try {
      if (this.#asyncify?.rewinding) this.#asyncify.startRewind();
      const status = entry();
      if (this.#asyncify?.unwinding) return this.#asyncify.stopUnwind() ? { kind: 'suspended' } : TOO_DEEP;
      return this.#stop?.end ?? { kind: 'exit', status: typeof status === 'number' ? status : 0 };
    } catch (error) {
      return this.#endOf(error);
    }
  }

  #endOf(error: unknown): GuestEnd {
    if (this.#stop !== undefined) return this.#stop.end;
    if (error instanceof GuestStop) return error.end;
    // Asyncify traps when its stack is full; it knows no other way.
    if (this.#asyncify?.unwinding) return TOO_DEEP;
    const status = this.#image?.exitStatus?.(error);
    if (status !== undefined) return { kind: 'exit', status };
    if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) {
      const frames = this.#w.symbolize(rawFrames(error.stack ?? ''));
      return { kind: 'crash', reason: trapText(error, frames), frames };
    }
    if (WebAssembly.Exception !== undefined && error instanceof WebAssembly.Exception) {
      return { kind: 'crash', reason: 'exception that nothing catches', frames: [] };
    }
    throw error;
  }

  #frames() {
    return this.#w.symbolize(rawFrames(new Error().stack ?? ''));
  }

  #end(end: GuestEnd): never {
    this.#stop ??= new GuestStop(end);
    this.#attention = true;
    throw this.#stop;
  }

  /** Has the supervisor polled before the guest's next instruction but one, at the latest. */
  attend(): void {
    this.#attention = true;
  }

  #attend(): void {
    if (this.#stop !== undefined) throw this.#stop;
    this.#attention = false;
    this.#ask();
  }

  #askSupervisor(): void {
    this.polls++;
    this.#ask();
  }

  #ask(): void {
    const end = this.supervisor?.poll();
    if (end !== undefined) this.#end(end);
  }

  /** @param address what was accessed; absent where the reason says it all */
  #crash(reason: string, address?: number): never {
    const frames = this.#frames();
    if (address === undefined) this.#end({ kind: 'crash', reason, frames });
    const why = this.#beyondStack(address) ? 'stack overflow: the C stack is used up; access of' : reason;
    this.#end({ kind: 'crash', reason: why, frames, address: hex(address) });
  }

  /**
   * Whether an access that hit nothing was one of the C stack. It grows down to the start of RAM: then the pointer has left
   * RAM, or the red zone below it has.
   */
  #beyondStack(address: number): boolean {
    const name = this.#image?.stackPointer;
    if (name === undefined) return false;
    const pointer = (this.#instance!.exports[name] as WebAssembly.Global).value >>> 0;
    const { base, end } = this.#w.ram;
    if (pointer < base || pointer > end) return true;
    const below = (pointer - address) >>> 0;
    return below <= RED_ZONE && pointer - below < base;
  }

  /**
   * Ends the guest at a store to the lower end of a C stack that lies above the statics, which it would overwrite next. Not the
   * lowest page: stores to the one before a watched page are slow, and there the statics end.
   */
  guardStack(low: number): void {
    const page = (Math.ceil(low / PAGE_SIZE) + 1) * PAGE_SIZE;
    this.#w.ram.watch(page, {
      stored: (address, _bytes, byCpu) => {
        if (byCpu) this.#crash('stack overflow: the C stack is used up; access of', address);
      },
    });
  }

  #afterAccess(): void {
    if (this.#attention) this.#attend();
    if (this.#clock.rescheduled) this.#time.tighten();
    if (this.s.interruptsEnabled) this.#deliver();
  }

  #safepoint(): void {
    if (this.#attention) this.#attend();
    this.#askSupervisor();
    this.#checkLimits();
    this.#time.advance();
    if (this.s.interruptsEnabled) this.#deliver();
  }

  /** Ends a guest that runs, or waits, for longer than it may. */
  #checkLimits(): void {
    if (this.#time.exhausted) this.#hung(`out of fuel after ${this.#time.executed} instructions`);
    if (this.#w.clock.now >= this.#timeLimit) this.#hung(`out of virtual time after ${this.#timeLimit} ns`);
  }

  #hung(reason: string): never {
    this.#end({ kind: 'hung', reason, frames: this.#frames() });
  }

  /** Delivers pending interrupts as nested calls of the guest's handlers, interrupts disabled meanwhile. */
  #deliver(): void {
    const irq = this.#w.interrupts;
    while (this.s.interruptsEnabled) {
      if (irq.takeNmi()) {
        this.#callHandler(NMI_VECTOR);
        continue;
      }
      const vector = irq.pending();
      if (vector < 0) return;
      irq.accept(vector);
      this.#callHandler(vector);
    }
  }

  #callHandler(vector: number): void {
    const exports = this.#instance!.exports;
    const index = this.s.handlers[vector]!;
    const handler = index === 0 ? exports['tsvmm_irq'] : this.#table()?.get(index);
    if (typeof handler !== 'function') this.#crash(`interrupt vector ${vector} has no handler`);
    this.s.interruptsEnabled = false;
    this.#depth++;
    if (this.#inUser) this.#onTopOfUser(() => handler(vector));
    else (handler as (vector: number) => void)(vector);
    this.#depth--;
    this.s.interruptsEnabled = true;
  }

  /** Calls the kernel while a process runs: on its own fuel, and what goes wrong there ends the guest. */
  #onTopOfUser(call: () => unknown): unknown {
    const back = this.#time.switchTo(this.#gauge!);
    this.#inUser = false;
    try {
      return call();
    } catch (error) {
      return this.#end(this.#endOf(error));
    } finally {
      this.#inUser = true;
      this.#time.switchTo(back);
    }
  }

  #callKernel(call: () => number): number {
    this.s.interruptsEnabled = false;
    this.#depth++;
    const result = this.#onTopOfUser(call);
    this.#depth--;
    this.s.interruptsEnabled = true;
    return result as number;
  }

  /** Runs user code from the kernel: what it was doing about interrupts goes on afterwards. */
  #enterUser(gauge: FuelGauge, run: () => void): void {
    const enabled = this.s.interruptsEnabled;
    this.s.interruptsEnabled = true;
    this.#deliver();
    const back = this.#time.switchTo(gauge);
    const outer = this.#inUser;
    this.#inUser = true;
    this.#depth++;
    try {
      run();
    } finally {
      this.#depth--;
      this.#inUser = outer;
      this.#time.switchTo(back);
      this.s.interruptsEnabled = enabled;
    }
  }

  #processCpu(): ProcessCpu {
    const { ram, mmio, console } = this.#w;
    return {
      ram,
      mmio,
      console,
      callKernel: (call) => this.#callKernel(call),
      handler: (index) => (this.#isHandler(index) ? (this.#table()!.get(index) as KernelHandler) : undefined),
      enterUser: (gauge, run) => this.#enterUser(gauge, run),
      afterAccess: () => this.#afterAccess(),
      safepoint: () => this.#safepoint(),
      relax: () => this.#relax(),
      crash: (reason, address) => this.#crash(reason, address),
      frames: (error = new Error()) => this.#w.symbolize(rawFrames(error.stack ?? '')),
    };
  }

  #isHandler(index: number): boolean {
    const table = this.#table();
    return table !== undefined && index < table.length && table.get(index) !== null;
  }

  #table(): WebAssembly.Table | undefined {
    const name = this.#image?.table;
    return name === undefined ? undefined : (this.#instance?.exports[name] as WebAssembly.Table | undefined);
  }

  #abiCpu() {
    return {
      afterAccess: () => this.#afterAccess(),
      crash: (reason: string, address: number) => this.#crash(reason, address),
      exit: (status: number) => this.#end({ kind: 'exit', status }),
      wfi: () => this.#yieldPoint('wfi', () => this.#wait()),
      yieldPoint: () => this.#yieldPoint('yield', () => this.#time.advance()),
      relax: () => this.#relax(),
      setInterrupts: (on: boolean) => this.#setInterrupts(on),
      setHandler: (vector: number, index: number) => this.#setHandler(vector, index),
      endOfInterrupt: () => this.#w.interrupts.eoi(),
      delay: (ns: number) => this.delay(ns),
      nowNs: () => this.#w.clock.now,
    };
  }

  /**
   * A point where the guest may be unwound and saved. In an interrupt handler it is not, and does not count: the frames of
   * the host between handler and guest could not be.
   */
  #yieldPoint(point: YieldPoint, act: () => void): void {
    if (this.#attention) this.#attend();
    const a = this.#asyncify;
    if (a?.rewinding) {
      a.stopRewind();
    } else if (this.#depth === 0) {
      const count = point === 'wfi' ? ++this.s.waits : ++this.s.yields;
      if (a !== undefined && this.suspendAt?.(point, count)) {
        a.startUnwind();
        return;
      }
    }
    act();
    this.#askSupervisor();
    if (this.s.interruptsEnabled) this.#deliver();
  }

  /** Lets time run to the next event until an interrupt is pending, non-maskable ones included. */
  #wait(): void {
    const { clock, interrupts } = this.#w;
    this.#time.advance();
    for (let events = 1; interrupts.pending() < 0 && !interrupts.nmiPending(); events++) {
      if (clock.nextAt === Number.POSITIVE_INFINITY) {
        this.#hung('waits for an interrupt, and nothing is scheduled that could raise one');
      }
      this.#idle(clock.nextAt, events);
    }
  }

  /** Lets time run to `next` in a wait that has seen `events` events: a guest that waits executes nothing, fuel cannot end it. */
  #idle(next: number, events: number): void {
    this.#time.advanceTo(Math.min(next, this.#timeLimit));
    this.#askSupervisor();
    this.#checkLimits();
    const most = this.#eventLimit;
    if (events >= most) this.#hung(`still waits after ${most} events of the machine`);
  }

  #relax(): void {
    if (this.#attention) this.#attend();
    this.#askSupervisor();
    this.#checkLimits();
    this.#time.advance(Math.max(0, Math.min(RELAX_NS, this.#w.clock.nextAt - this.#w.clock.now)));
    if (this.s.interruptsEnabled) this.#deliver();
  }

  /** Lets `ns` of virtual time pass, interrupts being delivered as they come. Called from inside a trap. */
  delay(ns: number): void {
    const { clock } = this.#w;
    const end = clock.now + ns;
    for (let events = 1; clock.nextAt <= end; events++) {
      this.#idle(clock.nextAt, events);
      if (this.s.interruptsEnabled) this.#deliver();
    }
    this.#idle(end, 0);
  }

  #setInterrupts(on: boolean): boolean {
    const old = this.s.interruptsEnabled;
    this.s.interruptsEnabled = on;
    if (on) this.#deliver();
    return old;
  }

  #setHandler(vector: number, index: number): void {
    if (vector > 255) this.#crash(`irq_handler for vector ${vector}; vectors are 0 to 255`);
    if (index !== 0 && !this.#isHandler(index)) {
      this.#crash(`irq_handler for vector ${vector} with a function pointer that is not one`, index);
    }
    this.s.handlers[vector] = index;
  }
}

/** A WASM trap in words a driver author knows. */
function trapText(error: Error, frames: readonly GuestFrame[]): string {
  const message = error.message;
  if (error instanceof RangeError) return 'stack overflow: recursion without end';
  if (/unreachable/.test(message)) return unreachableText(frames);
  if (/null function|signature mismatch/i.test(message))
    return 'call of a bad function pointer: NULL, or a function of another type';
  if (/indirect call|table index/i.test(message)) return `call of a bad function pointer (${message})`;
  if (/out of bounds/.test(message)) return `access outside of memory (${message})`;
  return message;
}

/** The names are those of wasi-libc. */
function unreachableText(frames: readonly GuestFrame[]): string {
  if (frames.some((frame) => frame.function === '__assert_fail')) return 'an assertion failed';
  if (frames[0]?.function === 'abort') return 'called abort()';
  return 'executed unreachable code (a missing return, or undefined behaviour)';
}
