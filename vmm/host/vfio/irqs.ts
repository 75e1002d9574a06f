import type { Allocations } from '../kernel/allocations.ts';
import { demand, refuse } from '../kernel/errno.ts';
import { EventFile } from '../kernel/event-file.ts';
import type { Process } from '../kernel/process.ts';
import { IRQ, IRQ_SET, IRQ_SET_HEADER, IRQS } from './abi.ts';
import { COMMAND_INTX_DISABLE } from './config-space.ts';
import type { InterruptSink, MessageKind, PhysicalFunction } from './physical.ts';
import { fetch } from './user-struct.ts';

const COMMAND = 4;
const DATA_TYPES = IRQ_SET.NONE | IRQ_SET.BOOL | IRQ_SET.EVENTFD;
const ACTIONS = IRQ_SET.MASK | IRQ_SET.UNMASK | IRQ_SET.TRIGGER;

/** What SET_IRQS gave: one of the three, by the data type in the flags. */
type IrqData =
  | { readonly kind: 'none' }
  | { readonly kind: 'bool'; readonly values: readonly boolean[] }
  | { readonly kind: 'eventfd'; readonly fds: readonly number[] };

interface Request {
  readonly index: number;
  readonly start: number;
  readonly count: number;
  readonly data: IrqData;
}

/** The interrupts of an open device (Linux, drivers/vfio/pci/vfio_pci_intrs.c): one kind at a time, each with its eventfds. */
export class Irqs implements InterruptSink {
  readonly #fn: PhysicalFunction;
  readonly #allocations: Allocations;
  readonly #counts: readonly number[];
  /** INTx Disable of the user's command register. */
  readonly #userDisabled: () => boolean;
  /** Which of INTX, MSI and MSIX is set up; -1: none. */
  #kind = -1;
  /** How many vectors are. */
  #vectors = 0;
  readonly #triggers = new Map<number, EventFile>();
  readonly #loose = new Map<number, EventFile>();
  #level = false;
  #masked = false;
  #stopUnmask: (() => void) | undefined;

  /** `counts`: how many interrupts there are, by index. */
  constructor(
    fn: PhysicalFunction,
    allocations: Allocations,
    counts: readonly number[],
    userDisabled: () => boolean,
  ) {
    this.#fn = fn;
    this.#allocations = allocations;
    this.#counts = counts;
    this.#userDisabled = userDisabled;
    fn.connect(this);
  }

  /** Of MSI: what the user set up, for its control register. */
  get msi(): { readonly enabled: boolean; readonly order: number } {
    const enabled = this.#kind === IRQ.MSI;
    return { enabled, order: enabled ? Math.ceil(Math.log2(this.#vectors)) : 0 };
  }

  // What the device sends

  intx(level: boolean): void {
    this.#level = level;
    if (level && this.#kind === IRQ.INTX && !this.#masked) this.#takeIntx();
  }

  message(vector: number): void {
    if (this.#kind === IRQ.MSI || this.#kind === IRQ.MSIX) this.#triggers.get(vector)?.signal();
  }

  error(): void {
    this.#loose.get(IRQ.ERR)?.signal();
  }

  /** The host wants the device back. */
  request(): void {
    this.#loose.get(IRQ.REQ)?.signal();
  }

  /** The level is masked until the user says that it has been served. */
  #takeIntx(): void {
    this.#setIntxDisable(true);
    this.#masked = true;
    this.#signalIntx();
  }

  #signalIntx(): void {
    if (this.#kind === IRQ.INTX && !this.#userDisabled()) this.#triggers.get(0)?.signal();
  }

  /** The user's INTx Disable changed. */
  intxDisabled(disabled: boolean): void {
    if (disabled) this.#maskIntx();
    else this.#unmaskIntx();
  }

  #maskIntx(): void {
    if (this.#kind !== IRQ.INTX) this.#setIntxDisable(true);
    else if (!this.#masked) {
      this.#setIntxDisable(true);
      this.#masked = true;
    }
  }

  #unmaskIntx(): void {
    if (this.#kind !== IRQ.INTX) {
      this.#setIntxDisable(false);
      return;
    }
    if (!this.#masked || this.#userDisabled()) return;
    // Still asserted: told again without touching the hardware.
    if (this.#level) {
      this.#signalIntx();
      return;
    }
    // First: a function that tells its level as its wire would raises it within the write.
    this.#masked = false;
    this.#setIntxDisable(false);
  }

  #setIntxDisable(disable: boolean): void {
    const command = this.#fn.configRead(COMMAND, 2);
    const wanted = disable ? command | COMMAND_INTX_DISABLE : command & ~COMMAND_INTX_DISABLE;
    if (wanted !== command) this.#fn.configWrite(COMMAND, 2, wanted);
  }

  // SET_IRQS

  /** Throws EFAULT, EINVAL, ENOTTY, EBADF, ENODEV, ERANGE, ENOMEM. */
  set(caller: Process, address: bigint): void {
    const { argsz, flags, index, start, count } = fetch(caller, address, IRQ_SET_HEADER);
    const unknown = flags & ~(DATA_TYPES | ACTIONS);
    const most = this.#counts[index];
    demand(
      argsz >= IRQ_SET_HEADER.least && index < IRQS && start + count < 0xffff_ffff && unknown === 0,
      'EINVAL',
      'argsz, index, range or flags are wrong',
    );
    demand(
      most !== undefined && start < most && start + count <= most,
      'EINVAL',
      `index ${index} has ${most} interrupts`,
    );
    const type = flags & DATA_TYPES;
    const bytes = type === IRQ_SET.NONE ? 0 : type === IRQ_SET.BOOL ? 1 : type === IRQ_SET.EVENTFD ? 4 : -1;
    demand(bytes >= 0, 'EINVAL', 'not one type of data');
    demand(argsz - IRQ_SET_HEADER.bytes >= count * bytes, 'EINVAL', 'the data is shorter than the range');
    const given = caller.bytes(address + BigInt(IRQ_SET_HEADER.bytes), count * bytes, false).slice();
    this.#perform(flags & ACTIONS, { index, start, count, data: dataOf(type, given, count) }, caller);
  }

  #perform(action: number, request: Request, caller: Process): void {
    const { index } = request;
    if (index === IRQ.INTX && action === IRQ_SET.MASK) this.#intxMask(request);
    else if (index === IRQ.INTX && action === IRQ_SET.UNMASK) this.#intxUnmask(request, caller);
    else if (index === IRQ.INTX && action === IRQ_SET.TRIGGER) this.#intxTrigger(request, caller);
    else if ((index === IRQ.MSI || index === IRQ.MSIX) && action === IRQ_SET.TRIGGER)
      this.#messageTrigger(request, caller);
    else if ((index === IRQ.ERR || index === IRQ.REQ) && action === IRQ_SET.TRIGGER)
      this.#looseTrigger(request, caller);
    else refuse('ENOTTY', `there is no action 0x${action.toString(16)} for interrupts of index ${index}`);
  }

  #demandIntx({ start, count }: Request): void {
    demand(
      this.#kind === IRQ.INTX && start === 0 && count === 1,
      'EINVAL',
      'INTx is not set up, or not the one',
    );
  }

  #intxMask(request: Request): void {
    this.#demandIntx(request);
    const { data } = request;
    if (data.kind === 'eventfd') refuse('ENOTTY', 'masking by eventfd is not there');
    if (data.kind === 'none' || data.values[0] === true) this.#maskIntx();
  }

  #intxUnmask(request: Request, caller: Process): void {
    this.#demandIntx(request);
    const { data } = request;
    if (data.kind !== 'eventfd') {
      if (data.kind === 'none' || data.values[0] === true) this.#unmaskIntx();
      return;
    }
    const fd = data.fds[0] as number;
    if (fd >= 0) {
      const event = eventOf(caller, fd);
      demand(this.#stopUnmask === undefined, 'EBUSY', 'another eventfd unmasks already');
      const unmask = () => {
        event.take();
        this.#unmaskIntx();
      };
      this.#stopUnmask = event.listen(unmask);
      if (event.count > 0n) unmask();
    } else this.#endUnmask();
  }

  #endUnmask(): void {
    this.#stopUnmask?.();
    this.#stopUnmask = undefined;
  }

  #intxTrigger({ start, count, data }: Request, caller: Process): void {
    if (this.#kind === IRQ.INTX && count === 0 && data.kind === 'none') {
      this.#disable();
      return;
    }
    const usable = (this.#kind === IRQ.INTX || this.#kind < 0) && start === 0 && count === 1;
    demand(usable, 'EINVAL', 'another kind of interrupt is set up, or not the one of INTx');
    if (data.kind === 'eventfd') {
      const fd = data.fds[0] as number;
      const event = fd >= 0 ? eventOf(caller, fd) : undefined;
      if (this.#kind < 0) this.#enableIntx();
      this.#connect(0, event);
      return;
    }
    demand(this.#kind === IRQ.INTX, 'EINVAL', 'INTx is not set up');
    if (data.kind === 'none' || data.values[0] === true) this.#signalIntx();
  }

  #enableIntx(): void {
    this.#allocations.take('irq');
    this.#kind = IRQ.INTX;
    this.#vectors = 1;
    this.#masked = this.#userDisabled();
    this.#setIntxDisable(this.#masked);
    if (this.#level && !this.#masked) this.#takeIntx();
  }

  #messageTrigger(request: Request, caller: Process): void {
    const { index, start, count, data } = request;
    if (this.#kind === index && count === 0 && data.kind === 'none') {
      this.#disable();
      return;
    }
    demand(this.#kind === index || this.#kind < 0, 'EINVAL', 'another kind of interrupt is set up');
    if (data.kind === 'eventfd') {
      if (this.#kind === index) {
        this.#setBlock(start, data.fds, caller);
        return;
      }
      this.#enableMessages(index, start + count);
      try {
        this.#setBlock(start, data.fds, caller);
      } catch (cause) {
        this.#disable();
        throw cause;
      }
      return;
    }
    const dynamic = index === IRQ.MSIX && this.#fn.dynamicMsix === true;
    demand(
      this.#kind === index && (dynamic || start + count <= this.#vectors),
      'EINVAL',
      'these vectors are not set up',
    );
    for (let i = 0; i < count; i++) {
      if (data.kind === 'none' || data.values[i] === true) this.#triggers.get(start + i)?.signal();
    }
  }

  #enableMessages(index: number, vectors: number): void {
    demand(vectors > 0, 'ERANGE', 'no vectors are no messages');
    this.#allocations.take('irq');
    try {
      this.#fn.enableMessages(messageKind(index), vectors);
    } catch (cause) {
      this.#allocations.give('irq');
      throw cause;
    }
    this.#kind = index;
    this.#vectors = vectors;
  }

  /** Where one is refused, those of the call before it lose theirs. */
  #setBlock(start: number, fds: readonly number[], caller: Process): void {
    const dynamic = this.#kind === IRQ.MSIX && this.#fn.dynamicMsix === true;
    let done = 0;
    try {
      for (; done < fds.length; done++) {
        const fd = fds[done] as number;
        const vector = start + done;
        demand(dynamic || vector < this.#vectors, 'EINVAL', `vector ${vector} is not set up`);
        this.#connect(vector, undefined);
        if (fd < 0) continue;
        this.#allocations.point('irq');
        this.#connect(vector, eventOf(caller, fd));
      }
    } catch (cause) {
      for (let i = 0; i < done; i++) this.#connect(start + i, undefined);
      throw cause;
    }
  }

  #connect(vector: number, event: EventFile | undefined): void {
    const messages = this.#kind !== IRQ.INTX;
    if (event === undefined) {
      if (this.#triggers.delete(vector) && messages)
        this.#fn.armMessage(messageKind(this.#kind), vector, false);
      return;
    }
    this.#triggers.set(vector, event);
    if (!messages) return;
    try {
      this.#fn.armMessage(messageKind(this.#kind), vector, true);
    } catch (cause) {
      this.#triggers.delete(vector);
      throw cause;
    }
  }

  #looseTrigger({ index, start, count, data }: Request, caller: Process): void {
    demand(start === 0 && count <= 1, 'EINVAL', 'there is one interrupt of this index');
    const present = this.#loose.get(index);
    if (data.kind === 'none') {
      if (present === undefined) refuse('EINVAL', 'no eventfd is set');
      if (count > 0) present.signal();
      else this.#loose.delete(index);
      return;
    }
    demand(count > 0, 'EINVAL', 'nothing is given');
    if (data.kind === 'bool') {
      if (data.values[0] === true) present?.signal();
      return;
    }
    const fd = data.fds[0] as number;
    if (fd === -1) this.#loose.delete(index);
    else if (fd >= 0) this.#loose.set(index, eventOf(caller, fd));
  }

  #disable(): void {
    if (this.#kind < 0) return;
    for (const vector of [...this.#triggers.keys()]) this.#connect(vector, undefined);
    this.#endUnmask();
    if (this.#kind !== IRQ.INTX) this.#fn.disableMessages(messageKind(this.#kind));
    this.#kind = -1;
    this.#vectors = 0;
    this.#masked = false;
    this.#allocations.give('irq');
  }

  /** After a reset of the device: messages are set up as before. */
  restore(): void {
    if (this.#kind < 0) return;
    if (this.#kind === IRQ.INTX) {
      this.#setIntxDisable(this.#masked);
      return;
    }
    const kind = messageKind(this.#kind);
    this.#fn.enableMessages(kind, this.#vectors);
    for (const vector of this.#triggers.keys()) this.#fn.armMessage(kind, vector, true);
  }

  /** The device is closed. */
  end(): void {
    this.#disable();
    this.#loose.clear();
    this.#fn.connect(undefined);
  }
}

const messageKind = (index: number): MessageKind => (index === IRQ.MSI ? 'msi' : 'msix');

function dataOf(type: number, bytes: Uint8Array, count: number): IrqData {
  if (type === IRQ_SET.NONE) return { kind: 'none' };
  if (type === IRQ_SET.BOOL) return { kind: 'bool', values: [...bytes].map((byte) => byte !== 0) };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { kind: 'eventfd', fds: Array.from({ length: count }, (_, i) => view.getInt32(4 * i, true)) };
}

/** Throws EBADF, EINVAL for another file. */
export function eventOf(caller: Process, fd: number): EventFile {
  const file = caller.files.get(fd);
  return file instanceof EventFile ? file : refuse('EINVAL', `${file.name} is no eventfd`);
}
