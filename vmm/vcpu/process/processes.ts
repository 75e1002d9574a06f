import { USER_ENTRY, USER_MODULE, type UserImportName } from '../../../guest/abi/user-imports.ts';
import { LINE_ACCEPTED, type MmioBus } from '../../bus/mmio.ts';
import { hex32 } from '../../core/u64.ts';
import type { HiddenLayout } from '../../mem/layout.ts';
import type { GuestRam } from '../../mem/ram.ts';
import { type CpuImageWiring, loadRegisters, saveRegisters } from '../asyncify/cpu-image.ts';
import { EXPORTS } from '../rewrite/index.ts';
import { mmuPathImports } from '../rewrite/mmu-path.ts';
import { VM_MODULE } from '../rewrite/slow-path.ts';
import type { GuestFrame } from '../run/frames.ts';
import type { FuelGauge } from '../run/time.ts';
import { CallStacks } from './call-stack.ts';
import { imageAt, imageCalls } from './image-calls.ts';
import { Mmu } from './mmu.ts';
import type { ProcessHost } from './no-processes.ts';
import type { PageWalker } from './page-walk.ts';
import { Process, ProcessEnd, type ProcessExports } from './process.ts';
import type { ProgramImage } from './program.ts';
import { killReport, trapSignal } from './report.ts';
import { SIGILL, SIGSEGV, type UserHost, UserPath } from './user-path.ts';

const MAX_PROCESSES = 32768;
/** What process_run returns. */
const SUSPENDED = 0;
const EXITED = 1;
const KILLED = 2;
const KILLED_STATUS = 128;
const UNWINDING = 1;
/** IA32_PASID: valid. */
const PASID_VALID = 0x8000_0000;
const PASID_MASK = 0xfffff;
const LAST_PAGE = 0xfffff;

export type KernelHandler = (...args: number[]) => number;

/** What processes need of the processor that runs their kernel. */
export interface ProcessCpu {
  readonly ram: GuestRam;
  readonly mmio: MmioBus;
  readonly console: (bytes: Uint8Array) => void;
  /** Has the kernel's code called, interrupts disabled, on top of the process that runs. */
  callKernel(call: () => number): number;
  /** A function of the kernel by its table index. */
  handler(index: number): KernelHandler | undefined;
  /** Has `run` execute user code, on this gauge, with interrupts enabled. */
  enterUser(gauge: FuelGauge, run: () => void): void;
  afterAccess(): void;
  safepoint(): void;
  relax(): void;
  crash(reason: string, address?: number): never;
  /** The frames of all modules on the host's stack, or of an error's; innermost first. */
  frames(error?: Error): readonly GuestFrame[];
}

/** User processes and what the kernel can do with them: the host's side of guest/abi/process-imports.ts. */
export class Processes implements UserHost {
  readonly images: readonly ProgramImage[];
  readonly mmu: Mmu;
  /** Table indexes of the kernel's handlers; looked up when they are first called. */
  #syscallEntry = 0;
  #pageFaultEntry = 0;
  #onSyscall: KernelHandler | undefined;
  #onPageFault: KernelHandler | undefined;
  /** By pid. */
  readonly #table = new Map<number, Process>();
  readonly #modules: (WebAssembly.Module | undefined)[];
  readonly #cpu: ProcessCpu;
  readonly #path: UserPath;
  readonly #stacks: CallStacks;
  readonly #compile: (image: ProgramImage) => WebAssembly.Module;
  #current: Process | undefined;
  #inSyscall = false;
  #inFault = false;
  #suspend = false;
  #preempt = false;
  /** The child of the fork that the running system call asked for. */
  #child: Process | undefined;
  readonly #line = new Uint32Array(16);
  readonly #lineBytes = new Uint8Array(this.#line.buffer);

  constructor(
    cpu: ProcessCpu,
    images: readonly ProgramImage[],
    walker: PageWalker,
    compile: (image: ProgramImage) => WebAssembly.Module,
  ) {
    this.#cpu = cpu;
    this.images = images;
    this.#modules = images.map(() => undefined);
    this.#compile = compile;
    this.mmu = new Mmu(cpu.ram, walker);
    this.#stacks = new CallStacks(cpu.ram);
    this.#path = new UserPath(cpu.ram, cpu.mmio, this.mmu, this);
  }

  get syscallEntry(): number {
    return this.#syscallEntry;
  }

  set syscallEntry(index: number) {
    this.#syscallEntry = index;
    this.#onSyscall = undefined;
  }

  get pageFaultEntry(): number {
    return this.#pageFaultEntry;
  }

  set pageFaultEntry(index: number) {
    this.#pageFaultEntry = index;
    this.#onPageFault = undefined;
  }

  get layout(): HiddenLayout {
    return this.#cpu.ram.layout;
  }

  get list(): readonly Process[] {
    return [...this.#table.values()];
  }

  get current(): Process | undefined {
    return this.#current;
  }

  // ---- the kernel's imports

  host(): ProcessHost {
    const crash = (reason: string, address?: number): never => this.#cpu.crash(reason, address);
    return {
      ...imageCalls(this.#cpu.ram, this.images, crash),
      process_create: (image = 0, lo = 0, hi = 0, levels = 0) => this.#create(image, lo, hi, levels),
      process_destroy: (pid = 0) => void this.#destroy(pid),
      process_set_root: (pid = 0, lo = 0, hi = 0) => void this.#setRoot(pid, lo, hi),
      process_run: (pid = 0) => this.#run(this.#idle('process_run', pid)),
      process_suspend: () => void this.#askSuspend(),
      process_preempt: () => {
        this.#preempt = this.#current !== undefined;
        return undefined;
      },
      process_exit: (pid = 0, status = 0) => void this.#exit(pid, status),
      process_fork: (lo = 0, hi = 0) => this.#fork(lo, hi),
      process_status: (pid = 0) => this.find('process_status', pid).status,
      process_current: () => this.#current?.pid ?? 0,
      process_set_pasid: (pid = 0, pasid = 0) => {
        this.find('process_set_pasid', pid).pasid = pasid >>> 0;
        return undefined;
      },
      syscall_entry: (index = 0) => {
        this.syscallEntry = this.#handler('syscall_entry', index);
        return undefined;
      },
      page_fault_entry: (index = 0) => {
        this.pageFaultEntry = this.#handler('page_fault_entry', index);
        return undefined;
      },
      tlb_flush: (pid = 0, start = 0, end = 0) => void this.#flush(pid, start >>> 0, end >>> 0),
    };
  }

  find(what: string, pid: number): Process {
    const process = this.#table.get(pid);
    return process ?? this.#cpu.crash(`${what} of process ${pid}, which does not exist`);
  }

  /** A process that is not on the host's stack. */
  #idle(what: string, pid: number): Process {
    const process = this.find(what, pid);
    if (process.onStack || process.state === 'running')
      this.#cpu.crash(`${what} of process ${pid}, which is running`);
    return process;
  }

  #handler(what: string, index: number): number {
    if (index !== 0 && this.#cpu.handler(index) === undefined)
      this.#cpu.crash(`${what} with a function pointer that is not one`, index);
    return index;
  }

  #create(index: number, lo: number, hi: number, levels: number): number {
    const image = imageAt(this.images, 'process_create', index, (reason) => this.#cpu.crash(reason));
    if (levels !== 4 && levels !== 5) this.#cpu.crash(`process_create with ${levels} levels of tables`);
    const pid = this.#freePid();
    if (pid === 0) return 0;
    this.#add(new Process(pid, image, lo, hi, levels));
    return pid;
  }

  #freePid(): number {
    for (let pid = 1; pid < MAX_PROCESSES; pid++) if (!this.#table.has(pid)) return pid;
    return 0;
  }

  /** Makes the process' instance; its registers are those of a program that has not begun. */
  #add(process: Process): void {
    const index = this.images.indexOf(process.image);
    const module = (this.#modules[index] ??= this.#compile(process.image));
    process.instance = new WebAssembly.Instance(module, {
      [VM_MODULE]: mmuPathImports(this.#path, this.#cpu.ram.memory),
      [USER_MODULE]: this.#userImports(),
    });
    process.exports = exportsOf(process.instance);
    this.#table.set(process.pid, process);
  }

  #destroy(pid: number): void {
    const process = this.#idle('process_destroy', pid);
    this.mmu.flushAll(process);
    this.#table.delete(pid);
  }

  #setRoot(pid: number, lo: number, hi: number): void {
    const process = this.find('process_set_root', pid);
    process.rootLo = lo;
    process.rootHi = hi;
    this.mmu.flushAll(process);
  }

  #flush(pid: number, start: number, end: number): void {
    const process = this.find('tlb_flush', pid);
    const last = end === 0 ? LAST_PAGE : (end - 1) >>> 12;
    if (start === 0 && last === LAST_PAGE) this.mmu.flushAll(process);
    else if (start >>> 12 <= last) this.mmu.flush(process, start >>> 12, last);
  }

  #askSuspend(): void {
    const process = this.#current;
    if (process === undefined || !(this.#inSyscall || this.#inFault))
      this.#cpu.crash('process_suspend outside of a system call or fault of a process');
    if (this.#inFault && process.image.mode !== 'blocking')
      this.#cpu.crash('process_suspend in a page fault of a program that is not built blocking');
    this.#suspend = true;
  }

  #exit(pid: number, status: number): void {
    const process = this.find('process_exit', pid);
    if (process.state === 'ended') return;
    // A running one notices when the kernel's handler returns to it.
    process.state = 'ended';
    process.status = status;
    process.frames = new Uint8Array(0);
  }

  #fork(lo: number, hi: number): number {
    const parent = this.#current;
    if (parent === undefined || !this.#inSyscall)
      this.#cpu.crash('process_fork outside of a system call of a process');
    if (this.#child !== undefined) this.#cpu.crash('process_fork twice in one system call');
    const pid = this.#freePid();
    if (pid === 0) return 0;
    const child = new Process(pid, parent.image, lo, hi, parent.levels);
    this.#add(child);
    // Not before the parent's call stack is copied.
    child.state = 'running';
    this.#child = child;
    return pid;
  }

  // ---- running

  #run(process: Process): number {
    const cpu = this.#cpu;
    if (process.state === 'ended') cpu.crash(`process_run of process ${process.pid}, which has ended`);
    const outer = {
      current: this.#current,
      inSyscall: this.#inSyscall,
      inFault: this.#inFault,
      suspend: this.#suspend,
      preempt: this.#preempt,
      child: this.#child,
    };
    const gauge = { get: process.exports.getFuel, set: process.exports.setFuel };
    this.#inSyscall = this.#inFault = this.#suspend = this.#preempt = false;
    this.#child = undefined;
    let result = SUSPENDED;
    cpu.enterUser(gauge, () => {
      this.#current = process;
      process.onStack = true;
      this.mmu.switchTo(process);
      try {
        result = this.#runToSuspension(process);
      } finally {
        process.onStack = false;
        // A fork that its parent did not live to see.
        if (this.#child !== undefined) this.#child.state = 'ended';
        this.#current = outer.current;
        this.mmu.switchTo(outer.current);
      }
    });
    this.#inSyscall = outer.inSyscall;
    this.#inFault = outer.inFault;
    this.#suspend = outer.suspend;
    this.#preempt = outer.preempt;
    this.#child = outer.child;
    return result;
  }

  /** Runs the process; a fork takes it off the stack for as long as its copy is made. */
  #runToSuspension(process: Process): number {
    for (;;) {
      const outcome = this.#enter(process);
      if (outcome !== 'unwound') return outcome;
      const child = this.#child;
      if (child === undefined) return SUSPENDED;
      this.#child = undefined;
      this.#completeFork(process, child);
    }
  }

  #enter(process: Process): number | 'unwound' {
    const { exports } = process;
    try {
      if (process.state === 'suspended') this.#stacks.rewind(process);
      process.state = 'running';
      exports.entry();
      if (exports.state() === UNWINDING) {
        if (!this.#stacks.unwound(process)) return this.#tooDeep(process, []);
        // The kernel may have ended it meanwhile.
        if ((process.state as string) === 'ended') return EXITED;
        process.state = 'suspended';
        return 'unwound';
      }
      return this.#ended(process, 0, EXITED);
    } catch (error) {
      return this.#endOf(process, error);
    }
  }

  #ended(process: Process, status: number, how: number): number {
    if (process.state !== 'ended') process.status = status;
    process.state = 'ended';
    process.frames = new Uint8Array(0);
    return how;
  }

  #endOf(process: Process, error: unknown): number {
    if (error instanceof ProcessEnd && error.process === process) {
      return this.#ended(process, process.status, error.killed ? KILLED : EXITED);
    }
    if (!isTrap(error)) throw error;
    if (process.exports.state() === UNWINDING) return this.#tooDeep(process, this.#cpu.frames(error));
    const { signal, reason } = trapSignal(error);
    this.#report(process, reason, this.#cpu.frames(error));
    return this.#ended(process, KILLED_STATUS + signal, KILLED);
  }

  #tooDeep(process: Process, frames: readonly GuestFrame[]): number {
    this.#report(process, 'its call stack is too deep to be suspended (256 KiB)', frames);
    return this.#ended(process, KILLED_STATUS + SIGSEGV, KILLED);
  }

  #report(process: Process, reason: string, frames: readonly GuestFrame[]): void {
    this.#cpu.console(new TextEncoder().encode(killReport(process, reason, frames)));
  }

  // ---- suspended and copied

  resumed(): void {
    // A program may have caught its own end (catch_all).
    this.#checkEnded();
    if (this.#stacks.rewinding) this.#stacks.rewound(this.#current!);
  }

  #wiring(process: Process): CpuImageWiring {
    const { memory, layout } = this.#cpu.ram;
    return { instance: process.instance, rewritten: process.image.rewritten, memory, layout };
  }

  #completeFork(parent: Process, child: Process): void {
    loadRegisters(this.#wiring(child), saveRegisters(this.#wiring(parent)));
    child.frames = parent.frames.slice();
    child.resume = { kind: 'result', value: 0 };
    if (child.state === 'running') child.state = 'suspended';
  }

  // ---- what processes do

  #userImports(): WebAssembly.ModuleImports {
    const imports: Record<UserImportName, (...args: number[]) => number | undefined> = {
      syscall: (number = 0, a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0, a5 = 0) =>
        this.#syscall(number, a0, a1, a2, a3, a4, a5),
      movdir64b: (to = 0, from = 0) => void this.#storeLine(to, from, false),
      enqcmd: (to = 0, from = 0) => this.#storeLine(to, from, true),
      pause: () => {
        this.#cpu.relax();
        this.#checkEnded();
        return undefined;
      },
    };
    return imports as unknown as WebAssembly.ModuleImports;
  }

  #syscall(number: number, a0: number, a1: number, a2: number, a3: number, a4: number, a5: number): number {
    const process = this.#current!;
    const rewound = this.#stacks.rewinding;
    this.resumed();
    if (rewound && process.resume.kind === 'result') return process.resume.value;
    this.#onSyscall ??= this.#cpu.handler(this.#syscallEntry);
    const handler = this.#onSyscall;
    if (handler === undefined) this.kill(SIGILL, `system call ${number}, and the kernel has no handler`, 0);
    this.#inSyscall = true;
    const result = this.#cpu.callKernel(() => handler(number, a0, a1, a2, a3, a4, a5));
    this.#inSyscall = false;
    if (process.state === 'ended') throw new ProcessEnd(process, false);
    if (this.#child !== undefined || (this.#preempt && !this.#suspend))
      this.#stacks.unwind(process, { kind: 'result', value: result });
    else if (this.#suspend) this.#stacks.unwind(process, { kind: 'again' });
    this.#suspend = this.#preempt = false;
    return result;
  }

  pageFault(address: number, code: number, suspendable: boolean): boolean {
    const process = this.#current!;
    const outer = this.#inSyscall;
    this.#onPageFault ??= this.#cpu.handler(this.#pageFaultEntry);
    const handler = this.#onPageFault;
    const refused = handler === undefined || this.#fault(handler, address, code) !== 0;
    this.#inSyscall = outer;
    if (process.state === 'ended') throw new ProcessEnd(process, false);
    if (refused) this.kill(SIGSEGV, faultText(code), address);
    if (!this.#suspend) return true;
    this.#suspend = false;
    // The rare instruction that cannot be: the fault is taken again at once.
    if (!suspendable) return true;
    this.#stacks.unwind(process, { kind: 'again' });
    return false;
  }

  #fault(handler: KernelHandler, address: number, code: number): number {
    this.#inFault = true;
    const result = this.#cpu.callKernel(() => handler(address, code));
    this.#inFault = false;
    return result;
  }

  livelock(address: number): never {
    return this.#cpu.crash(
      'the page fault handler resolves nothing: a process makes for ever the access of',
      address,
    );
  }

  kill(signal: number, reason: string, address: number): never {
    const process = this.#current!;
    this.#report(process, `${reason} ${hex32(address)}`, this.#cpu.frames());
    process.state = 'ended';
    process.status = KILLED_STATUS + signal;
    throw new ProcessEnd(process, true);
  }

  afterAccess(): void {
    this.#cpu.afterAccess();
    this.#checkEnded();
  }

  safepoint(): void {
    const process = this.#current!;
    this.#cpu.safepoint();
    this.#checkEnded();
    if (!this.#preempt || process.image.mode === 'cooperative') return;
    this.#preempt = false;
    this.#stacks.unwind(process, { kind: 'again' });
  }

  /** An interrupt handler may have ended the process that it interrupted. */
  #checkEnded(): void {
    const process = this.#current!;
    if (process.state === 'ended') throw new ProcessEnd(process, false);
  }

  segment(index: number): Uint8Array | undefined {
    const { image } = this.#current!;
    const segment = image.rewritten.programSegments[index];
    // An active segment is dropped once the program is in memory (WebAssembly: Instantiation).
    if (segment === undefined || segment.active) return undefined;
    return image.wasm.subarray(segment.offset, segment.offset + segment.size);
  }

  get bulkDone(): number {
    return this.#current!.bulkDone;
  }

  set bulkDone(bytes: number) {
    this.#current!.bulkDone = bytes;
  }

  /** MOVDIR64B and ENQCMD. Intel SDM: both fault on a misaligned destination; ENQCMD without a valid IA32_PASID too. */
  #storeLine(to: number, from: number, deferrable: boolean): number {
    const process = this.#current!;
    const { ram, mmio } = this.#cpu;
    if ((to & 63) !== 0) this.kill(SIGSEGV, '64-byte store to an address that is no multiple of 64', to);
    if (deferrable && (process.pasid & PASID_VALID) === 0)
      this.kill(SIGSEGV, 'ENQCMD of a process without a PASID', to);
    this.#path.readBytes(from, this.#lineBytes);
    const { at, bus } = this.#path.line(to);
    // A fault of the target may have run other processes, whose commands went through the same buffer.
    this.#path.readBytes(from, this.#lineBytes);
    if (deferrable) {
      // Intel SDM: ENQCMD: the PASID is the processor's to fill in; ENQCMDS alone takes one from memory.
      if (this.#line[0] !== 0) this.kill(SIGSEGV, 'ENQCMD of a command whose bits 31:0 are not 0', from);
      this.#line[0] = process.pasid & PASID_MASK;
    }
    if (at >= 0) {
      // Memory takes stores, but is no enqueue register.
      if (deferrable) return 1;
      ram.u8.set(this.#lineBytes, at);
      if (at < ram.end) ram.storedByCpu(at, 64);
      return 0;
    }
    const result = mmio.line(bus, this.#line, deferrable);
    if (!mmio.claimed) this.kill(SIGSEGV, '64-byte store to a physical address nothing is mapped at', to);
    this.afterAccess();
    return result === LINE_ACCEPTED ? 0 : 1;
  }

  // ---- snapshots

  /** Puts back a process that a snapshot holds; its registers and TLB are the caller's to fill. */
  restore(process: Process): CpuImageWiring {
    this.#add(process);
    return this.#wiring(process);
  }

  wiring(process: Process): CpuImageWiring {
    return this.#wiring(process);
  }
}

function exportsOf(instance: WebAssembly.Instance): ProcessExports {
  const all = instance.exports as Record<string, (...args: number[]) => number>;
  return {
    entry: all[USER_ENTRY] as () => void,
    getFuel: all[EXPORTS.getFuel]!,
    setFuel: all[EXPORTS.setFuel] as (fuel: number) => void,
    startUnwind: all['asyncify_start_unwind'] as (data: number) => void,
    stopUnwind: all['asyncify_stop_unwind'] as () => void,
    startRewind: all['asyncify_start_rewind'] as (data: number) => void,
    stopRewind: all['asyncify_stop_rewind'] as () => void,
    state: all['asyncify_get_state']!,
  };
}

function isTrap(error: unknown): error is Error {
  if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) return true;
  return WebAssembly.Exception !== undefined && error instanceof WebAssembly.Exception;
}

function faultText(code: number): string {
  const how = (code & 2) !== 0 ? 'write to' : 'read of';
  const why = (code & 8) !== 0 ? 'reserved bits set' : (code & 1) === 0 ? 'not present' : 'not allowed';
  return `page fault, ${why} (error code ${code}): ${how}`;
}
