import type { AddressSpace } from './mmu.ts';
import type { ProgramImage } from './program.ts';
import { Tlb } from './tlb.ts';

export type ProcessState =
  /** Never run. */
  | 'new'
  /** Suspended: its call stack is in `frames`. */
  | 'suspended'
  /** On the host's stack: it runs, or the kernel handles something for it. */
  | 'running'
  | 'ended';

/** How the import that a process is suspended in goes on. */
export type Resume =
  /** The system call, or the access, is made again. */
  | { readonly kind: 'again' }
  /** The system call is done; this is its result. */
  | { readonly kind: 'result'; readonly value: number };

/** Exports of a program's module that the host uses. */
export interface ProcessExports {
  readonly entry: () => void;
  readonly getFuel: () => number;
  readonly setFuel: (fuel: number) => void;
  readonly startUnwind: (data: number) => void;
  readonly stopUnwind: () => void;
  readonly startRewind: (data: number) => void;
  readonly stopRewind: () => void;
  /** 0 normal, 1 unwinding, 2 rewinding. */
  readonly state: () => number;
}

/** One process: an instance of a program, and its address space. */
export class Process implements AddressSpace {
  readonly pid: number;
  readonly image: ProgramImage;
  readonly tlb = new Tlb();
  rootLo: number;
  rootHi: number;
  readonly levels: number;
  state: ProcessState = 'new';
  /** Its frames are on the host's stack, whatever its state. */
  onStack = false;
  status = 0;
  /** IA32_PASID. */
  pasid = 0;
  /** Asyncify's frames while suspended. */
  frames: Uint8Array = new Uint8Array(0);
  resume: Resume = { kind: 'again' };
  /** Bytes that a bulk operation which is suspended has done. */
  bulkDone = 0;
  instance!: WebAssembly.Instance;
  exports!: ProcessExports;

  constructor(pid: number, image: ProgramImage, rootLo: number, rootHi: number, levels: number) {
    this.pid = pid;
    this.image = image;
    this.rootLo = rootLo;
    this.rootHi = rootHi;
    this.levels = levels;
  }
}

/** Thrown through the frames of a process that has ended. */
export class ProcessEnd extends Error {
  readonly process: Process;
  /** By the VMM, with a report; else by the kernel. */
  readonly killed: boolean;

  constructor(process: Process, killed: boolean) {
    super(`process ${process.pid} has ended`);
    this.name = 'ProcessEnd';
    this.process = process;
    this.killed = killed;
  }
}
