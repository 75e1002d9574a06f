import type { Emitters } from '../../../vmm/trace/event.ts';
import type { PciFunction } from '../../pci/function.ts';
import type { DSA_EVENTS } from './events.ts';
import type { Executor } from './executor.ts';
import type { WorkQueues } from './queues.ts';
import {
  DISABLED,
  DRAINING,
  DSA_CMD,
  DSA_CMDSTS,
  DSA_COMMAND_ERRORS,
  DSA_COMMANDS,
  DSA_GENCAP,
  DSA_GENSTS,
  DSA_INTCAUSE,
  DSA_MSIXPERM,
  ENABLED,
  ENGINES,
  GROUPS,
  HANDLES,
  MAX_BATCH_SHIFT,
  MAX_TRANSFER_SHIFT,
  QUEUE_ENTRIES,
  VECTORS,
  WORK_QUEUES,
} from './registers.ts';

const STATUS = DSA_CMDSTS.offset / 4;
const STATE = DSA_GENSTS.offset / 4;
const CAUSE = DSA_INTCAUSE.offset / 4;
const ACTIVE = 0x80000000;
const IRQ = 0x80000000;
const C = DSA_COMMANDS;
const E = DSA_COMMAND_ERRORS;
const ANY = -1;

export interface CommandState {
  regs: Uint32Array;
  /** The command that waits for descriptors to end, as written to CMD; 0: none. */
  command: number;
  /** Submissions before this one are waited for. */
  commandSeq: number;
  /** Number of the last submission. */
  seq: number;
  handles: number;
}

/** Which functions the commands have on the device. */
export interface CommandTarget {
  readonly fn: PciFunction;
  readonly queues: WorkQueues;
  readonly executor: Executor;
  readonly trace: Emitters<typeof DSA_EVENTS>;
  /** PASID is enabled in config space. */
  pasidEnabled(): boolean;
  /** Reset Device: registers back to their reset values. */
  resetRegisters(): void;
}

/** Administrative commands (Intel DSA: Command Register; Command Status Register). */
export class Commands {
  readonly #s: CommandState;
  readonly #t: CommandTarget;

  constructor(s: CommandState, target: CommandTarget) {
    this.#s = s;
    this.#t = target;
  }

  /** A write to CMD; ignored while a command is active. */
  write(value: number): void {
    const s = this.#s;
    if ((s.regs[STATUS]! & ACTIVE) !== 0) return;
    const command = DSA_CMD.get.COMMAND([value], 0);
    const operand = DSA_CMD.get.OPERAND([value], 0);
    const error = this.#refuses(command, operand);
    if (error !== 0) {
      this.#end(value, error, 0);
      return;
    }
    if (!drains(command)) {
      this.#end(value, 0, this.#execute(command, operand));
      // An abort leaves engines free for what waits in other queues.
      this.#t.executor.pump();
      return;
    }
    this.#stopAccepting(command, operand);
    s.command = value;
    s.commandSeq = (s.seq + 1) >>> 0;
    s.regs[STATUS] = ACTIVE;
    this.descriptorEnded();
  }

  /** A command that waits may have got what it waits for. */
  descriptorEnded(): void {
    const s = this.#s;
    if (s.command === 0 || this.#t.executor.running) return;
    const value = s.command;
    const command = DSA_CMD.get.COMMAND([value], 0);
    const operand = DSA_CMD.get.OPERAND([value], 0);
    if (this.#stillBusy(command, operand)) return;
    s.command = 0;
    this.#finishDrain(command, operand);
    this.#end(value, 0, 0);
  }

  #end(value: number, error: number, result: number): void {
    const { regs } = this.#s;
    regs[STATUS] = DSA_CMDSTS.pack({ ERROR: error, RESULT: result })[0]!;
    const { dsa_command } = this.#t.trace;
    if (dsa_command.on)
      dsa_command.emit(this.#t.fn.bdf, DSA_CMD.get.COMMAND([value], 0), value & 0xfffff, error);
    if ((value & IRQ) === 0) return;
    regs[CAUSE]! |= 1 << DSA_INTCAUSE.fields.COMMAND.lo;
    this.#t.fn.notify(0);
  }

  get #deviceEnabled(): boolean {
    return (this.#s.regs[STATE]! & 3) === ENABLED;
  }

  #setDevice(state: number): void {
    this.#s.regs[STATE] = (this.#s.regs[STATE]! & ~3) | state;
  }

  /** The error a command is refused with, or 0. */
  #refuses(command: number, operand: number): number {
    switch (command) {
      case C.enableDevice:
        return this.#refusesDevice();
      case C.disableDevice:
        return this.#deviceEnabled ? 0 : E.disableNotEnabled;
      case C.drainAll:
      case C.abortAll:
      case C.drainPasid:
      case C.abortPasid:
        return this.#deviceEnabled ? 0 : E.deviceDisabled;
      case C.enableQueue:
        return this.#refusesQueue(operand);
      case C.disableQueue:
      case C.drainQueue:
      case C.abortQueue:
        return this.#refusesMask(operand, true);
      case C.resetQueue:
        return this.#refusesMask(operand, false);
      case C.resetDevice:
        return 0;
      case C.requestHandle:
        return this.#refusesHandle(operand, false);
      case C.releaseHandle:
        return this.#refusesHandle(operand, true);
      default:
        return E.invalidCommand;
    }
  }

  #refusesDevice(): number {
    const { queues, fn } = this.#t;
    if ((this.#s.regs[STATE]! & 3) !== DISABLED) return E.deviceEnabled;
    if (!fn.busMaster) return E.busMaster;
    if (!this.#t.pasidEnabled() && this.#interruptNeedsPasid()) return E.pasid;
    let entries = 0;
    for (let wq = 0; wq < WORK_QUEUES; wq++) entries += queues.size(wq);
    if (entries > QUEUE_ENTRIES) return E.queueSizes;
    let seenQueues = 0;
    let seenEngines = 0;
    for (let g = 0; g < GROUPS; g++) {
      if ((queues.queuesOf(g) & seenQueues) !== 0) return E.queueInGroups;
      if ((queues.enginesOf(g) & seenEngines) !== 0) return E.engineInGroups;
      if (queues.queuesOf(g) !== 0 && queues.enginesOf(g) === 0) return E.groupWithoutEngine;
      seenQueues |= queues.queuesOf(g);
      seenEngines |= queues.enginesOf(g);
    }
    return 0;
  }

  #interruptNeedsPasid(): boolean {
    const bit = 1 << DSA_MSIXPERM.fields.PASID_EN.lo;
    for (let v = 1; v < VECTORS; v++)
      if ((this.#s.regs[(DSA_MSIXPERM.offset >>> 2) + v * 2]! & bit) !== 0) return true;
    return false;
  }

  #refusesQueue(wq: number): number {
    const { queues } = this.#t;
    if (wq >= WORK_QUEUES) return E.invalidQueue;
    if (!this.#deviceEnabled) return E.deviceNotEnabled;
    if (queues.state(wq) !== DISABLED) return E.queueEnabled;
    if (queues.size(wq) === 0 || queues.groupOfQueue(wq) < 0) return E.queueSize;
    if (!queues.dedicated(wq) && queues.threshold(wq) > queues.size(wq)) return E.queueSize;
    if (queues.priority(wq) === 0) return E.queuePriority;
    const blocks = DSA_GENCAP.get.BLOCK_ON_FAULT(this.#s.regs, DSA_GENCAP.offset / 4) === 1;
    if (queues.blockOnFault(wq) && !blocks) return E.queueBlockOnFault;
    const pasid = queues.pasidEnabled(wq);
    if (pasid ? !this.#t.pasidEnabled() : !queues.dedicated(wq)) return E.queuePasid;
    if (queues.maxBatchShift(wq) > MAX_BATCH_SHIFT) return E.queueMaxBatch;
    return queues.maxTransferShift(wq) > MAX_TRANSFER_SHIFT ? E.queueMaxTransfer : 0;
  }

  #refusesMask(operand: number, enabled: boolean): number {
    const mask = queueMask(operand);
    if (mask === 0 || mask >= 1 << WORK_QUEUES) return E.invalidQueue;
    if (!enabled) return 0;
    for (let wq = 0; wq < WORK_QUEUES; wq++)
      if ((mask & (1 << wq)) !== 0 && this.#t.queues.state(wq) !== ENABLED) return E.queueNotEnabled;
    return 0;
  }

  /** Operand: vector; bit 16 asks for interrupt message storage, which there is none of. */
  #refusesHandle(operand: number, held: boolean): number {
    if (operand === 0 || operand > HANDLES) return E.badHandle;
    if (held && (this.#s.handles & (1 << operand)) === 0) return E.noHandle;
    return 0;
  }

  /** Commands that are over at once. Returns the result. */
  #execute(command: number, operand: number): number {
    const s = this.#s;
    const { queues, executor } = this.#t;
    switch (command) {
      case C.enableDevice:
        this.#setDevice(ENABLED);
        return 0;
      case C.abortAll:
        executor.abort(ANY, ANY);
        return 0;
      case C.abortPasid:
        executor.abort(ANY, operand + 1);
        return 0;
      case C.enableQueue:
        queues.setState(operand, ENABLED);
        return 0;
      case C.abortQueue:
        this.#eachQueue(operand, (wq) => executor.abort(wq, ANY));
        return 0;
      case C.resetQueue:
        this.#eachQueue(operand, (wq) => {
          executor.abort(wq, ANY);
          queues.resetConfiguration(wq);
        });
        return 0;
      case C.resetDevice:
        executor.abort(ANY, ANY);
        this.#t.resetRegisters();
        s.handles = 0;
        return 0;
      case C.requestHandle:
        s.handles |= 1 << operand;
        return operand;
      default:
        s.handles &= ~(1 << operand);
        return 0;
    }
  }

  #eachQueue(operand: number, act: (wq: number) => void): void {
    const mask = queueMask(operand);
    for (let wq = 0; wq < WORK_QUEUES; wq++) if ((mask & (1 << wq)) !== 0) act(wq);
  }

  /** A queue or device that is being disabled takes no more while it drains. */
  #stopAccepting(command: number, operand: number): void {
    if (command === C.disableDevice) this.#setDevice(DRAINING);
    else if (command === C.disableQueue)
      this.#eachQueue(operand, (wq) => this.#t.queues.setState(wq, DRAINING));
  }

  #stillBusy(command: number, operand: number): boolean {
    const { executor } = this.#t;
    const seq = this.#s.commandSeq;
    if (command === C.drainPasid) return executor.busy(ANY, operand + 1, seq, ENGINES);
    if (command === C.disableDevice || command === C.drainAll) return executor.busy(ANY, ANY, seq, ENGINES);
    let busy = false;
    this.#eachQueue(operand, (wq) => {
      busy ||= executor.busy(wq, ANY, seq, ENGINES);
    });
    return busy;
  }

  #finishDrain(command: number, operand: number): void {
    const { queues } = this.#t;
    if (command === C.disableQueue) this.#eachQueue(operand, (wq) => queues.setState(wq, DISABLED));
    else if (command === C.disableDevice) {
      queues.disableAll();
      this.#setDevice(DISABLED);
    }
  }
}

function drains(command: number): boolean {
  return (
    command === C.disableDevice ||
    command === C.drainAll ||
    command === C.disableQueue ||
    command === C.drainQueue ||
    command === C.drainPasid
  );
}

/** Bits 15:0 are queues of the group of 16 in bits 19:16; all there are lie in the first. 0: none of those there are. */
function queueMask(operand: number): number {
  return operand >>> 16 === 0 ? operand : 0;
}
