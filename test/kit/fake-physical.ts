import type {
  InterruptSink,
  MessageKind,
  PhysicalBar,
  PhysicalFunction,
  ResetMethod,
} from '../../vmm/host/vfio/physical.ts';

/** A capability to put into a made-up configuration space: its bytes begin with what follows id and next (standard) or the header. */
export interface FakeCapability {
  readonly at: number;
  readonly id: number;
  readonly version?: number;
  /** Little-endian words of 32 bits from the capability's first dword after the header; of a standard one bits 31:16 of `head` come first. */
  readonly head?: number;
  readonly words?: readonly number[];
}

export interface FakeOptions {
  readonly name?: string;
  readonly bars?: readonly (PhysicalBar | undefined)[];
  readonly standard?: readonly FakeCapability[];
  readonly extended?: readonly FakeCapability[];
  readonly pin?: number;
  readonly conventional?: boolean;
  readonly more?: Partial<PhysicalFunction>;
}

const DEFAULT_BARS: readonly (PhysicalBar | undefined)[] = [
  { kind: 'memory64', prefetchable: true, size: 0x4000 },
  undefined,
  { kind: 'memory32', prefetchable: false, size: 0x1000 },
  { kind: 'io', prefetchable: false, size: 0x20 },
  undefined,
  undefined,
];
/** Where the default BARs lie on the host. */
const PLACED = [0xc, 0x20, 0xfe00_0000, 0xe001, 0, 0];

/** A physical function by script: every byte of its configuration space can be written, BARs are bytes, and what is done to it is noted. */
export class FakePhysical implements PhysicalFunction {
  readonly name: string;
  readonly segment = 0;
  readonly bus: number;
  readonly devfn: number;
  readonly configBytes: number;
  readonly space: Uint8Array;
  readonly bars: readonly (PhysicalBar | undefined)[];
  readonly memory: readonly Uint8Array[];
  readonly log: string[] = [];
  resets: readonly ResetMethod[] = ['flr', 'bus'];
  sink: InterruptSink | undefined;
  hi = 0;
  readonly armed = new Set<string>();

  constructor(options: FakeOptions = {}) {
    this.name = options.name ?? '0000:03:00.0';
    const [bus, slot] = this.name.slice(5).split(':') as [string, string];
    this.bus = Number.parseInt(bus, 16);
    this.devfn = (Number.parseInt(slot, 16) << 3) | Number(slot.slice(3));
    this.configBytes = options.conventional === true ? 256 : 4096;
    this.bars = options.bars ?? DEFAULT_BARS;
    this.memory = this.bars.map((bar) => new Uint8Array(bar?.size ?? 0));
    this.space = new Uint8Array(this.configBytes);
    this.put(0, 4, 0x1234_1b36);
    this.put(8, 4, 0xff00_0001);
    PLACED.forEach((value, i) => {
      this.put(0x10 + 4 * i, 4, value);
    });
    this.put(0x3d, 1, options.pin ?? 1);
    this.#chains(options);
    Object.assign(this, options.more);
  }

  #chains({ standard = [], extended = [] }: FakeOptions): void {
    if (standard.length > 0) this.put(6, 2, 0x10);
    this.put(0x34, 1, standard[0]?.at ?? 0);
    standard.forEach(({ at, id, head = 0, words = [] }, i) => {
      this.put(at, 4, (id | ((standard[i + 1]?.at ?? 0) << 8) | (head << 16)) >>> 0);
      this.#words(at, words);
    });
    extended.forEach(({ at, id, version = 1, words = [] }, i) => {
      this.put(at, 4, (id | (version << 16) | ((extended[i + 1]?.at ?? 0) << 20)) >>> 0);
      this.#words(at, words);
    });
  }

  #words(at: number, words: readonly number[]): void {
    words.forEach((word, i) => {
      this.put(at + 4 + 4 * i, 4, word);
    });
  }

  put(offset: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) this.space[offset + i] = value >>> (8 * i);
  }

  get(offset: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.space[offset + i]! << (8 * i);
    return value >>> 0;
  }

  configRead(offset: number, size: number): number {
    return this.get(offset, size);
  }

  configWrite(offset: number, size: number, value: number): void {
    this.log.push(`config ${offset.toString(16)}/${size}=${value.toString(16)}`);
    this.put(offset, size, value);
  }

  barRead(bar: number, offset: number, size: number): number {
    const view = this.#view(bar);
    this.hi = size === 8 ? view.getUint32(offset + 4, true) : 0;
    if (size === 1) return view.getUint8(offset);
    return size === 2 ? view.getUint16(offset, true) : view.getUint32(offset, true);
  }

  barWrite(bar: number, offset: number, size: number, lo: number, hi: number): void {
    this.log.push(`bar${bar} ${offset.toString(16)}/${size}=${(lo >>> 0).toString(16)}`);
    const view = this.#view(bar);
    if (size === 1) view.setUint8(offset, lo);
    else if (size === 2) view.setUint16(offset, lo, true);
    else view.setUint32(offset, lo, true);
    if (size === 8) view.setUint32(offset + 4, hi, true);
  }

  #view(bar: number): DataView {
    return new DataView((this.memory[bar] as Uint8Array).buffer);
  }

  connect(sink: InterruptSink | undefined): void {
    this.sink = sink;
  }

  enableMessages(kind: MessageKind, vectors: number): void {
    this.log.push(`enable ${kind} ${vectors}`);
  }

  armMessage(kind: MessageKind, vector: number, armed: boolean): void {
    if (armed) this.armed.add(`${kind}${vector}`);
    else this.armed.delete(`${kind}${vector}`);
  }

  disableMessages(kind: MessageKind): void {
    this.log.push(`disable ${kind}`);
  }

  reset(method: ResetMethod): void {
    this.log.push(`reset ${method}`);
  }
}
