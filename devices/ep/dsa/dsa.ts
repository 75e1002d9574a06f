import { Device, type DeviceView, type ResetKind } from '../../../vmm/bus/device.ts';
import {
  LINE_ACCEPTED,
  LINE_REFUSED,
  LINE_RETRY,
  type MmioBus,
  type MmioHandler,
} from '../../../vmm/bus/mmio.ts';
import { defineState, type StateDef } from '../../../vmm/state/define.ts';
import { registers, u32, words } from '../../../vmm/state/schema.ts';
import { AtsAgent, atsState } from '../../pci/ats-agent.ts';
import { Commands } from './commands.ts';
import { D_FLAGS } from './descriptor.ts';
import { ENGINE_STATE_WORDS } from './engine.ts';
import { ANSWERED, CREDIT, Executor, type ExecutorWiring, engineOf } from './executor.ts';
import { SLOT_STATE_WORDS, type Submitter, WorkQueues } from './queues.ts';
import {
  DISABLED,
  DSA_BLOCK,
  DSA_CMD,
  DSA_GENCAP,
  DSA_GENSTS,
  DSA_GRPWQCFG,
  DSA_MSIXPERM,
  DSA_WQSIZE,
  ENABLED,
  PORTAL_BYTES,
  PORTAL_LIMITED,
  QUEUE_BYTES,
  WORK_QUEUES,
} from './registers.ts';

const STATE = defineState('dsa', 1, {
  regs: registers(DSA_BLOCK),
  engines: words(ENGINE_STATE_WORDS),
  slots: words(SLOT_STATE_WORDS),
  seq: u32,
  command: u32,
  commandSeq: u32,
  handles: u32,
  ats: atsState(),
});
export type DsaState = ReturnType<typeof STATE.fresh>;

interface DsaParts {
  readonly agent: AtsAgent;
  readonly queues: WorkQueues;
  readonly executor: Executor;
  readonly commands: Commands;
}

const RESET_TYPE = { cold: 3, warm: 2, flr: 1 } as const;
const DEVICE_STATE = DSA_GENSTS.offset / 4;
const ALL_ONES = 0xffffffff;

/** Intel Data Streaming Accelerator, version 1: the registers of BAR 0. */
export class Dsa extends Device<DsaState, ExecutorWiring, DsaParts> implements MmioHandler {
  readonly #who: Submitter = { pasid: 0, privileged: 0 };

  constructor(w: ExecutorWiring) {
    super(w);
    w.clock.handle(w.id, (ev) => this.#due(ev));
    this.#offerBlocking();
    this.dropCache();
  }

  override stateDef(): StateDef<DsaState> {
    return STATE;
  }

  #due(ev: string): void {
    const { executor } = this.c;
    if (ev === ANSWERED) executor.retry();
    else if (ev === CREDIT) executor.creditDue();
    else executor.due(engineOf(ev));
  }

  protected override buildCache(): DsaParts {
    const { s, w } = this;
    const agent = new AtsAgent(s.ats, w.dma, w.fn, {
      onPageResponse: (_pasid, _group, code, owner) => this.c.executor.answered(owner, code),
    });
    const queues = new WorkQueues(s.regs, s.slots);
    const executor = new Executor(s, w, agent, queues, () => this.c.commands.descriptorEnded());
    const commands = new Commands(s, {
      fn: w.fn,
      queues,
      executor,
      trace: w.trace,
      pasidEnabled: () => agent.controls.allowsPasid(0),
      resetRegisters: () => this.#resetRegisters(0),
    });
    return { agent, queues, executor, commands };
  }

  /** What the PCI core and the IOMMU speak with. */
  get agent(): AtsAgent {
    return this.c.agent;
  }

  override reset(kind: ResetKind): void {
    this.c.executor.abort(-1, -1);
    this.w.clock.cancel(this.w.id, ANSWERED);
    this.w.clock.cancel(this.w.id, CREDIT);
    this.#resetRegisters(RESET_TYPE[kind]);
    const { s } = this;
    s.engines.fill(0);
    s.slots.fill(0);
    s.seq = 0;
    s.command = 0;
    s.commandSeq = 0;
    s.handles = 0;
    this.c.agent.reset();
  }

  /** Who cannot request pages does not offer to wait for them. */
  #offerBlocking(): void {
    if (!this.w.pageRequests) DSA_GENCAP.set(this.s.regs, DSA_GENCAP.offset / 4, 'BLOCK_ON_FAULT', 0);
  }

  #resetRegisters(type: number): void {
    const { regs } = this.s;
    regs.set(DSA_BLOCK.fresh());
    this.#offerBlocking();
    regs[DEVICE_STATE] = type << DSA_GENSTS.fields.RESET.lo;
  }

  read(offset: number, size: number, bus: MmioBus): number {
    if (size === 8) {
      bus.hi = DSA_BLOCK.read32(this.s.regs, offset + 4);
      return DSA_BLOCK.read32(this.s.regs, offset);
    }
    const shift = (offset & 3) * 8;
    if (shift + size * 8 > 32) return 2 ** (size * 8) - 1;
    const value = DSA_BLOCK.read32(this.s.regs, offset & ~3) >>> shift;
    return size === 4 ? value : value & ((1 << (size * 8)) - 1);
  }

  write(offset: number, size: number, lo: number, hi: number): void {
    const shift = (offset & 3) * 8;
    if (shift + Math.min(size, 4) * 8 > 32) return;
    const mask = size >= 4 ? ALL_ONES : ((1 << (size * 8)) - 1) << shift;
    this.#write32(offset & ~3, lo << shift, mask);
    if (size === 8) this.#write32(offset + 4, hi, ALL_ONES);
  }

  #write32(offset: number, value: number, mask: number): void {
    if (offset === DSA_CMD.offset) {
      if (mask === ALL_ONES) this.c.commands.write(value >>> 0);
      return;
    }
    if (this.#locked(offset)) return;
    DSA_BLOCK.write32(this.s.regs, offset, value, mask);
  }

  /** Group configuration cannot change while the device is enabled, that of a queue while the queue is not disabled. */
  #locked(offset: number): boolean {
    if (offset >= DSA_WQSIZE.offset && offset < DSA_MSIXPERM.offset) {
      const wq = Math.floor((offset - DSA_WQSIZE.offset) / QUEUE_BYTES);
      return wq < WORK_QUEUES && this.c.queues.state(wq) !== DISABLED;
    }
    return (
      offset >= DSA_GRPWQCFG.offset &&
      offset < DSA_WQSIZE.offset &&
      (this.s.regs[DEVICE_STATE]! & 3) !== DISABLED
    );
  }

  /** A descriptor at a portal of BAR 2. One of LINE_. */
  submit(offset: number, descriptor: Uint32Array, deferrable: boolean): number {
    const { queues, executor } = this.c;
    const who = this.#who;
    const wq = Math.floor(offset / PORTAL_BYTES);
    const dedicated = queues.dedicated(wq);
    who.pasid = 0;
    who.privileged = 0;
    // A deferrable write is answered by shared queues that are enabled, and a posted one is taken by dedicated ones.
    const fits = queues.state(wq) === ENABLED && dedicated !== deferrable;
    if (fits) this.#identify(wq, dedicated, descriptor);
    const limited = (offset & PORTAL_LIMITED) !== 0 && !dedicated;
    const occupied = queues.occupancy(wq);
    const full = occupied >= (limited ? queues.threshold(wq) : queues.size(wq));
    const result = fits && !full ? LINE_ACCEPTED : deferrable ? LINE_RETRY : LINE_REFUSED;
    const { dsa_submit } = this.w.trace;
    if (dsa_submit.on) dsa_submit.emit(this.w.fn.bdf, wq, descriptor[D_FLAGS]! >>> 24, who.pasid - 1, result);
    if (result !== LINE_ACCEPTED) return result;
    this.s.seq = (this.s.seq + 1) >>> 0;
    const engine = executor.running || occupied !== 0 ? -1 : executor.idleEngine(queues.groupOfQueue(wq));
    if (engine >= 0) executor.begin(engine, wq, this.s.seq, who, descriptor);
    else queues.push(wq, this.s.seq, who, descriptor);
    return LINE_ACCEPTED;
  }

  /** PASID and privilege: of the queue if it is dedicated, of the descriptor if it is shared. */
  #identify(wq: number, dedicated: boolean, descriptor: Uint32Array): void {
    const { queues } = this.c;
    const who = this.#who;
    if (!dedicated) {
      who.pasid = (descriptor[0]! & 0xfffff) + 1;
      who.privileged = descriptor[0]! >>> 31;
      return;
    }
    if (queues.pasidEnabled(wq)) who.pasid = queues.pasid(wq) + 1;
    who.privileged = queues.privileged(wq) ? 1 : 0;
  }

  views(): DeviceView[] {
    return [
      {
        name: 'registers',
        doc: 'Registers of the accelerator that are not 0, decoded',
        json: () =>
          Object.fromEntries(this.#shown().map((r) => [r.name, r.decode(this.s.regs, r.offset / 4)])),
        text: () =>
          this.#shown()
            .map(
              (r) =>
                `${r.offset.toString(16).padStart(3, '0')} ${r.name.padEnd(14)} ${r.show(this.s.regs, r.offset / 4)}`,
            )
            .join('\n'),
      },
    ];
  }

  #shown() {
    const { regs } = this.s;
    return DSA_BLOCK.registers.filter(
      (r) => regs[r.offset / 4] !== 0 || (r.bytes === 8 && regs[r.offset / 4 + 1]),
    );
  }
}
