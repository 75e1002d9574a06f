import { Device, type DeviceView, type ResetKind } from '../../vmm/bus/device.ts';
import { DMA_OK, type DmaPort } from '../../vmm/bus/dma.ts';
import type { MmioBus, MmioHandler } from '../../vmm/bus/mmio.ts';
import type { VirtualClock } from '../../vmm/core/clock.ts';
import { TsvmmError } from '../../vmm/core/errors.ts';
import { hi32, lo32 } from '../../vmm/core/u64.ts';
import { defineState, type StateDef } from '../../vmm/state/define.ts';
import { bytes, registers } from '../../vmm/state/schema.ts';
import type { Emitters } from '../../vmm/trace/event.ts';
import { PciFunction } from '../pci/function.ts';
import type { PciDeviceKind } from '../pci/kind.ts';
import { functionViews } from '../pci/views.ts';
import {
  EDU_BAR_BYTES,
  EDU_BLOCK,
  EDU_BUFFER_BASE,
  EDU_BUFFER_BYTES,
  EDU_DMA_CMD,
  EDU_DMA_COUNT,
  EDU_DMA_DST,
  EDU_DMA_SRC,
  EDU_FACTORIAL,
  EDU_IRQ_ACK,
  EDU_IRQ_RAISE,
  EDU_IRQ_STATUS,
  EDU_LIVENESS,
  EDU_REGISTERS,
  EDU_STATUS,
} from './edu-registers.ts';
import { EDU_EVENTS } from './events.ts';
import { EDU_LIMITS } from './limits.ts';

export interface EduConfig {
  /** Address bits that reach memory: a mask, as a number or in hex. */
  readonly dma_mask: number | string;
  /** Virtual time a DMA takes, in ns. */
  readonly dma_delay_ns: number;
}

const STATE = defineState('edu', 1, { regs: registers(EDU_BLOCK), buffer: bytes(EDU_BUFFER_BYTES) });
type EduState = ReturnType<typeof STATE.fresh>;

interface EduWiring {
  readonly id: string;
  readonly fn: PciFunction;
  readonly dma: DmaPort;
  readonly clock: VirtualClock;
  readonly maskLo: number;
  readonly maskHi: number;
  readonly delay: number;
  readonly trace: Emitters<typeof EDU_EVENTS>;
}

const ALL_ONES = 0xffffffff;
const PAGE_BYTES = 4096;
/** Registers below take 4-byte accesses only. */
const FIRST_WIDE = 0x80;
const FACTORIAL_NS = 1000;
/** From 34 on, n! is divisible by 2^32. */
const FACTORIAL_VANISHES = 34;
const COMPUTING = 1 << EDU_STATUS.fields.COMPUTING.lo;
const IRQ_FACTORIAL = 1 << EDU_STATUS.fields.IRQ_FACTORIAL.lo;
const RUN = 1 << EDU_DMA_CMD.fields.RUN.lo;
const TO_RAM = 1 << EDU_DMA_CMD.fields.TO_RAM.lo;
const DMA_IRQ = 1 << EDU_DMA_CMD.fields.IRQ.lo;
const CAUSE_FACTORIAL = 1 << EDU_IRQ_STATUS.fields.FACTORIAL.lo;
const CAUSE_DMA = 1 << EDU_IRQ_STATUS.fields.DMA.lo;
/** Trace status of a DMA that was not sent. */
const OUTSIDE_BUFFER = 0xff;

const LIVENESS = EDU_LIVENESS.offset / 4;
const FACTORIAL = EDU_FACTORIAL.offset / 4;
const STATUS = EDU_STATUS.offset / 4;
const IRQ_STATUS = EDU_IRQ_STATUS.offset / 4;
const SRC = EDU_DMA_SRC.offset / 4;
const DST = EDU_DMA_DST.offset / 4;
const COUNT = EDU_DMA_COUNT.offset / 4;
const CMD = EDU_DMA_CMD.offset / 4;

/**
 * QEMU's educational device: a liveness check, a factorial, interrupts by hand, and DMA between RAM and its own buffer.
 * A DMA that fails ends like any other: the guest is not told.
 */
export class Edu extends Device<EduState, EduWiring, undefined> implements MmioHandler {
  constructor(w: EduWiring) {
    super(w);
    w.clock.handle(w.id, (ev) => (ev === 'dma' ? this.#dmaDone() : this.#factorialDone()));
  }

  override stateDef(): StateDef<EduState> {
    return STATE;
  }

  protected override buildCache(): undefined {
    return undefined;
  }

  override reset(_kind: ResetKind): void {
    this.s.regs.set(EDU_BLOCK.fresh());
    this.s.buffer.fill(0);
    this.w.clock.cancel(this.w.id, 'dma');
    this.w.clock.cancel(this.w.id, 'factorial');
    this.w.fn.setIntx(false);
  }

  /** Accesses of a wrong size or to no register read all ones and write nothing. */
  read(offset: number, size: number, bus: MmioBus): number {
    if (!accepts(offset, size)) {
      bus.hi = size === 8 ? ALL_ONES : 0;
      return size >= 4 ? ALL_ONES : 2 ** (size * 8) - 1;
    }
    const at = offset >>> 2;
    const { regs } = this.s;
    if (size === 8) bus.hi = regs[at + 1]!;
    // Write-only registers are no register to a read.
    return offset === EDU_IRQ_RAISE.offset || offset === EDU_IRQ_ACK.offset ? ALL_ONES : regs[at]!;
  }

  write(offset: number, size: number, lo: number, hi: number): void {
    if (!accepts(offset, size)) return;
    switch (offset) {
      case EDU_LIVENESS.offset:
        this.s.regs[LIVENESS] = ~lo;
        break;
      case EDU_FACTORIAL.offset:
        this.#startFactorial(lo);
        break;
      case EDU_STATUS.offset:
        EDU_BLOCK.write32(this.s.regs, offset, lo);
        break;
      case EDU_IRQ_RAISE.offset:
        this.#raise(lo);
        break;
      case EDU_IRQ_ACK.offset:
        this.#lower(lo);
        break;
      default:
        if (offset >= FIRST_WIDE) this.#writeDma(offset, lo, hi);
    }
  }

  /** DMA registers keep their values while a DMA runs; a command without RUN is ignored. */
  #writeDma(offset: number, lo: number, hi: number): void {
    const { regs } = this.s;
    if ((regs[CMD]! & RUN) !== 0) return;
    const start = offset === EDU_DMA_CMD.offset;
    if (start && (lo & RUN) === 0) return;
    regs[offset >>> 2] = lo;
    regs[(offset >>> 2) + 1] = hi;
    if (!start) return;
    this.#tellStart(lo);
    this.w.clock.after(this.w.delay, this.w.id, 'dma');
  }

  #tellStart(command: number): void {
    const event = this.w.trace.edu_dma_start;
    if (!event.on) return;
    const { regs } = this.s;
    const toRam = (command & TO_RAM) !== 0;
    const far = toRam ? DST : SRC;
    const lo = (regs[far]! & this.w.maskLo) >>> 0;
    const hi = (regs[far + 1]! & this.w.maskHi) >>> 0;
    event.emit(this.w.fn.bdf, toRam ? 'write' : 'read', lo, hi, regs[COUNT]!);
  }

  #dmaDone(): void {
    const { regs } = this.s;
    const command = regs[CMD]!;
    const toRam = (command & TO_RAM) !== 0;
    const own = toRam ? SRC : DST;
    const far = toRam ? DST : SRC;
    const lo = (regs[far]! & this.w.maskLo) >>> 0;
    const hi = (regs[far + 1]! & this.w.maskHi) >>> 0;
    const status = this.#move(toRam, regs[own]!, regs[own + 1]!, lo, hi);
    const direction = toRam ? 'write' : 'read';
    if (this.w.trace.edu_dma.on)
      this.w.trace.edu_dma.emit(this.w.fn.bdf, direction, lo, hi, regs[COUNT]!, status);
    regs[CMD] = command & ~RUN;
    if ((command & DMA_IRQ) !== 0) this.#raise(CAUSE_DMA);
  }

  #move(toRam: boolean, ownLo: number, ownHi: number, lo: number, hi: number): number {
    const { regs } = this.s;
    const length = regs[COUNT]!;
    const at = ownLo - EDU_BUFFER_BASE;
    const inside = ownHi === 0 && regs[COUNT + 1] === 0 && at >= 0 && at + length <= EDU_BUFFER_BYTES;
    if (!inside) return OUTSIDE_BUFFER;
    // PCI Express Base: a request does not cross 4 KiB. The buffer is a page, so there are two at most, and each is sent
    // whatever became of the other.
    const first = Math.min(length, PAGE_BYTES - (lo & (PAGE_BYTES - 1)));
    const status = this.#request(toRam, lo, hi, at, first);
    if (first === length) return status;
    const next = (lo + first) >>> 0;
    const rest = this.#request(toRam, next, next === 0 ? (hi + 1) >>> 0 : hi, at + first, length - first);
    return status === DMA_OK ? rest : status;
  }

  #request(toRam: boolean, lo: number, hi: number, at: number, length: number): number {
    const { dma } = this.w;
    const { buffer } = this.s;
    // Signed halves, as DmaPort wants them: an unsigned one with bit 31 set is boxed on the way.
    return toRam
      ? dma.write(lo | 0, hi | 0, buffer, at, length)
      : dma.read(lo | 0, hi | 0, buffer, at, length);
  }

  #startFactorial(n: number): void {
    const { regs } = this.s;
    if ((regs[STATUS]! & COMPUTING) !== 0) return;
    regs[FACTORIAL] = n;
    regs[STATUS]! |= COMPUTING;
    this.w.clock.after(FACTORIAL_NS, this.w.id, 'factorial');
  }

  #factorialDone(): void {
    const { regs } = this.s;
    regs[FACTORIAL] = factorial(regs[FACTORIAL]!);
    regs[STATUS]! &= ~COMPUTING;
    if ((regs[STATUS]! & IRQ_FACTORIAL) !== 0) this.#raise(CAUSE_FACTORIAL);
  }

  #raise(bits: number): void {
    const { regs } = this.s;
    regs[IRQ_STATUS]! |= bits;
    if (this.w.trace.edu_irq.on) this.w.trace.edu_irq.emit(this.w.fn.bdf, regs[IRQ_STATUS]!);
    if (regs[IRQ_STATUS] === 0) return;
    if (this.w.fn.usesMessages) this.w.fn.notify(0);
    else this.w.fn.setIntx(true);
  }

  #lower(bits: number): void {
    const { regs } = this.s;
    regs[IRQ_STATUS]! &= ~bits;
    if (this.w.trace.edu_irq.on) this.w.trace.edu_irq.emit(this.w.fn.bdf, regs[IRQ_STATUS]!);
    if (regs[IRQ_STATUS] === 0) this.w.fn.setIntx(false);
  }

  views(): DeviceView[] {
    return [
      {
        name: 'registers',
        doc: 'Registers of edu, decoded',
        json: () =>
          Object.fromEntries(EDU_REGISTERS.map((r) => [r.name, r.decode(this.s.regs, r.offset / 4)])),
        text: () =>
          EDU_REGISTERS.map(
            (r) =>
              `${r.offset.toString(16).padStart(2, '0')} ${r.name.padEnd(12)} ${r.show(this.s.regs, r.offset / 4)}`,
          ).join('\n'),
      },
    ];
  }
}

/** Access sizes that the register at each dword takes, as a sum of sizes; 0 where none begins. */
const SIZES = Uint8Array.from({ length: EDU_BLOCK.bytes / 4 }, (_, i) => {
  if (EDU_BLOCK.find(i * 4)?.offset !== i * 4) return 0;
  return i * 4 < FIRST_WIDE ? 4 : 4 + 8;
});

function accepts(offset: number, size: number): boolean {
  return (offset & 3) === 0 && offset < EDU_BLOCK.bytes && (SIZES[offset >>> 2]! & size) !== 0;
}

/** n! modulo 2^32. */
export function factorial(n: number): number {
  if (n >= FACTORIAL_VANISHES) return 0;
  let product = 1;
  for (let i = 2; i <= n; i++) product = Math.imul(product, i) >>> 0;
  return product;
}

/** @throws TsvmmError when it is no mask of 64 bits */
function parseMask(id: string, mask: number | string): bigint {
  if (typeof mask === 'number' && Number.isSafeInteger(mask) && mask >= 0) return BigInt(mask);
  if (typeof mask === 'string' && /^(0x[0-9a-f]{1,16}|\d{1,19})$/i.test(mask)) return BigInt(mask);
  throw new TsvmmError({
    code: 'bad-option',
    object: id,
    why: `dma_mask=${mask} is not a mask of at most 64 bits`,
    mend: 'write it as dma_mask=0xffffffff',
  });
}

export const EDU: PciDeviceKind<EduConfig> = {
  name: 'edu',
  summary: "QEMU's educational device: registers, interrupts, and DMA to and from its buffer",
  limits: EDU_LIMITS,
  defaults: { dma_mask: 0x0fffffff, dma_delay_ns: 100_000_000 },
  schema: (z) =>
    z.strictObject({
      dma_mask: z
        .union([
          z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
          z.string().regex(/^(0x[0-9a-fA-F]{1,16}|\d{1,19})$/),
        ])
        .default(0x0fffffff)
        .describe('address bits of its DMA that reach memory'),
      dma_delay_ns: z
        .number()
        .int()
        .min(0)
        .max(1_000_000_000_000)
        .default(100_000_000)
        .describe('virtual time a DMA takes, in ns'),
    }),
  create(config, services) {
    const { id, dma, clock, tracer } = services;
    const mask = parseMask(id, config.dma_mask);
    const fn = new PciFunction(services, {
      vendor: 0x1234,
      device: 0x11e8,
      subsystemVendor: 0x1af4,
      subsystem: 0x1100,
      classCode: 0x00ff00,
      revision: 0x10,
      bars: [{ index: 0, kind: 'memory32', size: EDU_BAR_BYTES }],
      capabilities: [{ id: 'msi', vectors: 1, is64: true, maskable: false }],
      interruptPin: 1,
    });
    const device = new Edu({
      id,
      fn,
      dma,
      clock,
      maskLo: lo32(mask),
      maskHi: hi32(mask),
      delay: config.dma_delay_ns,
      trace: tracer.bind(EDU_EVENTS),
    });
    fn.connect({ bars: { 0: device }, reset: (kind) => device.reset(kind) });
    return { device, fn, views: [...device.views(), ...functionViews(fn)] };
  },
};
