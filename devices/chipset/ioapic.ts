import { Device, type DeviceView, type ResetKind } from '../../vmm/bus/device.ts';
import { DMA_OK, type DmaPort } from '../../vmm/bus/dma.ts';
import type { MmioBus, MmioHandler } from '../../vmm/bus/mmio.ts';
import { hex64 } from '../../vmm/core/u64.ts';
import { defineState, type StateDef } from '../../vmm/state/define.ts';
import { u8, u32, wordsFrom } from '../../vmm/state/schema.ts';
import type { Emitters } from '../../vmm/trace/event.ts';
import type { Tracer } from '../../vmm/trace/tracer.ts';
import { CHIPSET_EVENTS } from './events.ts';
import {
  INDEX,
  IOAPIC_ID,
  IOAPIC_PINS,
  IOAPIC_VERSION,
  IOEOI,
  IOREGSEL,
  IOWIN,
  RTE,
  RTE_HIGH_WRITABLE,
  RTE_LOW_WRITABLE,
  RTE_REMAPPABLE,
} from './ioapic-registers.ts';

export const IOAPIC_BYTES = 0x1000;

const MASK = 1 << RTE.fields.MASK.lo;
const LEVEL = 1 << RTE.fields.LEVEL.lo;
const REMOTE_IRR = 1 << RTE.fields.IRR.lo;
const LOGICAL = RTE.fields.LOGICAL.lo;
/** Message data (Intel SDM: Message Data Register Format): level asserted, level trigger. */
const DATA_ASSERT = 1 << 14;
const DATA_LEVEL = 1 << 15;
const MESSAGE_WINDOW = 0xfee00000;
const ID_MASK = 0x0f000000;
const VERSION_WORD = packReset(IOAPIC_VERSION.fields);

const STATE = defineState('ioapic', 1, {
  select: u8,
  id: u32,
  /** Two words a pin. */
  rte: wordsFrom(IOAPIC_PINS * 2, freshTable),
  /** Input levels, a bit a pin. */
  level: u32,
});
type IoApicState = ReturnType<typeof STATE.fresh>;

export interface IoApicServices {
  /** Its own requester: interrupts leave as messages, through the IOMMU. */
  readonly dma: DmaPort;
  readonly tracer: Tracer;
}

interface IoApicWiring {
  readonly dma: DmaPort;
  readonly trace: Emitters<typeof CHIPSET_EVENTS>;
}

/** I/O APIC with 24 pins, version 20h. */
export class IoApic extends Device<IoApicState, IoApicWiring, null> implements MmioHandler {
  constructor({ dma, tracer }: IoApicServices) {
    super({ dma, trace: tracer.bind(CHIPSET_EVENTS) });
    this.dropCache();
  }

  override stateDef(): StateDef<IoApicState> {
    return STATE;
  }

  /** It is no PCI function: nothing ever disables its requests. */
  protected override buildCache(): null {
    this.w.dma.enabled = true;
    return null;
  }

  /** Pins fall: who drives them says so again after its own reset. */
  override reset(_kind: ResetKind): void {
    this.s.select = 0;
    this.s.id = 0;
    this.s.rte.set(freshTable());
    this.s.level = 0;
  }

  /** Input pin; levels are logical, whatever the polarity. */
  setIrq(pin: number, level: boolean): void {
    const bit = 1 << pin;
    if (pin >= IOAPIC_PINS || ((this.s.level & bit) !== 0) === level) return;
    this.s.level = (this.s.level ^ bit) >>> 0;
    if (this.w.trace.ioapic_set_irq.on) this.w.trace.ioapic_set_irq.emit(pin, level ? 1 : 0);
    if (!level) return;
    // 82093AA: an edge on a masked pin is ignored, not kept.
    if ((this.s.rte[pin * 2]! & (LEVEL | MASK)) === 0) this.#send(pin);
    else this.#serviceLevel(pin);
  }

  /** A level-triggered pin sends while it is asserted, unmasked and its last interrupt has ended. */
  #serviceLevel(pin: number): void {
    const low = this.s.rte[pin * 2]!;
    const idle = (low & (LEVEL | MASK | REMOTE_IRR)) === LEVEL;
    if (!idle || (this.s.level & (1 << pin)) === 0) return;
    // Remote IRR says that an APIC has it: set before the message, because delivery may end it at once.
    this.s.rte[pin * 2]! |= REMOTE_IRR;
    if (this.#send(pin) !== DMA_OK) this.s.rte[pin * 2]! &= ~REMOTE_IRR;
  }

  /**
   * Bits 63:48 of the entry are address bits 19:4 in both formats (destination, or handle and format); bit 11 is address
   * bit 2 (destination mode, or handle 15).
   */
  #send(pin: number): number {
    const low = this.s.rte[pin * 2]!;
    const high = this.s.rte[pin * 2 + 1]!;
    const address = (MESSAGE_WINDOW | ((high >>> 16) << 4) | (((low >>> LOGICAL) & 1) << 2)) >>> 0;
    const data = (low & 0x7ff) | DATA_ASSERT | ((low & LEVEL) !== 0 ? DATA_LEVEL : 0);
    const status = this.w.dma.message(address, 0, data);
    if (this.w.trace.ioapic_service.on) this.w.trace.ioapic_service.emit(pin, address, 0, data, status);
    return status;
  }

  /** A local APIC ended a level-triggered interrupt, or software wrote IOEOI. */
  endOfInterrupt(vector: number): void {
    if (this.w.trace.ioapic_eoi_broadcast.on) this.w.trace.ioapic_eoi_broadcast.emit(vector);
    for (let pin = 0; pin < IOAPIC_PINS; pin++) {
      const low = this.s.rte[pin * 2]!;
      if ((low & REMOTE_IRR) === 0 || (low & 0xff) !== vector) continue;
      this.s.rte[pin * 2] = low & ~REMOTE_IRR;
      this.#serviceLevel(pin);
    }
  }

  read(offset: number, _size: number, bus: MmioBus): number {
    bus.hi = 0;
    if (offset === IOREGSEL.offset) return this.s.select;
    return offset === IOWIN.offset ? this.#readIndexed(this.s.select) : 0;
  }

  write(offset: number, _size: number, lo: number): void {
    if (offset === IOREGSEL.offset) this.s.select = lo & 0xff;
    else if (offset === IOWIN.offset) this.#writeIndexed(this.s.select, lo);
    else if (offset === IOEOI.offset) this.endOfInterrupt(lo & 0xff);
  }

  #readIndexed(index: number): number {
    if (index === INDEX.ID || index === INDEX.ARBITRATION) return this.s.id;
    if (index === INDEX.VERSION) return VERSION_WORD;
    return (this.s.rte[index - INDEX.FIRST_RTE] ?? 0) >>> 0;
  }

  #writeIndexed(index: number, value: number): void {
    if (index === INDEX.ID) this.s.id = (value & ID_MASK) >>> 0;
    const word = index - INDEX.FIRST_RTE;
    if (word < 0 || word >= IOAPIC_PINS * 2) return;
    const pin = word >>> 1;
    if ((word & 1) === 0) this.#writeLow(pin, value);
    else this.s.rte[word] = value & RTE_HIGH_WRITABLE;
    const { ioapic_rte_write } = this.w.trace;
    if (ioapic_rte_write.on) ioapic_rte_write.emit(pin, this.s.rte[pin * 2]!, this.s.rte[pin * 2 + 1]!);
    this.#serviceLevel(pin);
  }

  /** A change to edge trigger clears Remote IRR, which is how software ends interrupts without IOEOI. */
  #writeLow(pin: number, value: number): void {
    const kept = (value & LEVEL) !== 0 ? this.s.rte[pin * 2]! & REMOTE_IRR : 0;
    this.s.rte[pin * 2] = (value & RTE_LOW_WRITABLE) | kept;
  }

  views(): DeviceView[] {
    return [
      {
        name: 'ioapic',
        doc: 'IOAPIC pins and their redirection entries',
        json: () => ({ id: IOAPIC_ID.get.ID([this.s.id], 0), pins: this.#pins() }),
        text: () =>
          this.#pins()
            .map((p) => `pin ${String(p.pin).padStart(2)} ${p.level ? 'high' : 'low '} ${p.raw} ${p.entry}`)
            .join('\n'),
      },
    ];
  }

  #pins() {
    return Array.from({ length: IOAPIC_PINS }, (_, pin) => {
      const { rte } = this.s;
      const remappable = RTE_REMAPPABLE.get.FORMAT(rte, pin * 2) === 1;
      return {
        pin,
        level: (this.s.level & (1 << pin)) !== 0,
        raw: hex64(rte[pin * 2]!, rte[pin * 2 + 1]!),
        entry: (remappable ? RTE_REMAPPABLE : RTE).show(rte, pin * 2),
      };
    });
  }
}

function freshTable(): Uint32Array {
  return Uint32Array.from({ length: IOAPIC_PINS * 2 }, (_, i) => (i % 2 === 0 ? MASK : 0));
}

function packReset(
  fields: Readonly<Record<string, { readonly lo: number; readonly reset?: number }>>,
): number {
  let word = 0;
  for (const { lo, reset } of Object.values(fields)) word |= (reset ?? 0) << lo;
  return word >>> 0;
}
