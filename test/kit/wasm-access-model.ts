import type { TestDevice } from './wasm-trap-world.ts';

/**
 * The meaning of every memory instruction, spelt out from its name (WebAssembly specification: Memory Instructions, Vector
 * Instructions; threads proposal: Atomic Memory Accesses), over RAM, watched pages and one device. Slow and plain on
 * purpose; shares nothing with the rewriter.
 */
export class ModelFault extends Error {
  readonly reason: string;
  constructor(reason: string) {
    super(reason);
    this.reason = reason;
  }
}

const mask = (bits: number): bigint => (1n << BigInt(bits)) - 1n;
const signed = (value: bigint, bits: number): bigint => BigInt.asIntN(bits, value);

export class AccessModel {
  readonly ram: Uint8Array;
  readonly ramBase: number;
  readonly device: TestDevice;
  readonly watched: ReadonlySet<number>;
  readonly dirty = new Set<number>();

  constructor(ramBase: number, ramEnd: number, device: TestDevice, watched: ReadonlySet<number>) {
    this.ram = new Uint8Array(ramEnd);
    this.ramBase = ramBase;
    this.device = device;
    this.watched = watched;
  }

  private inRam(at: number, width: number): boolean {
    return at >= this.ramBase && at + width <= this.ram.length;
  }

  read(at: number, width: number): bigint {
    if (this.inRam(at, width)) {
      let value = 0n;
      for (let i = width - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.ram[at + i]!);
      return value;
    }
    if (width === 16) throw new ModelFault('address');
    const value = this.device.read(at, width);
    if (value === undefined) throw new ModelFault('address');
    return value;
  }

  write(at: number, width: number, value: bigint): void {
    if (this.inRam(at, width)) {
      for (let i = 0; i < width; i++) this.ram[at + i] = Number((value >> BigInt(8 * i)) & 255n);
      this.wrote(at, width);
      return;
    }
    if (width === 16 || !this.device.write(at, width, value & mask(width * 8)))
      throw new ModelFault('address');
  }

  private wrote(at: number, length: number): void {
    let watched = false;
    for (let page = Math.floor(at / 4096); page * 4096 < at + length; page++) {
      this.dirty.add(page);
      if (this.watched.has(page)) watched = true;
    }
    if (watched) this.device.events.push(`written ${at.toString(16)} ${length}`);
  }

  /** Executes one instruction; operands and result are bit patterns. */
  execute(name: string, at: number, operands: readonly bigint[], lane: number): bigint | undefined {
    if (name.startsWith('v128.')) return this.vector(name.slice(5), at, operands[0] ?? 0n, lane);
    if (name.startsWith('memory.atomic.')) return this.agents(name.slice(14), at);
    const [type, ...rest] = name.split('.') as [string, ...string[]];
    const typeBits = type.endsWith('64') ? 64 : 32;
    if (rest[0] === 'atomic') return this.atomic(rest.slice(1).join('.'), typeBits, at, operands);
    const parts = /^(load|store)(\d*)(_[su])?$/.exec(rest[0]!)!;
    const bits = parts[2] === '' ? typeBits : Number(parts[2]);
    if (parts[1] === 'store') {
      this.write(at, bits / 8, operands[0]! & mask(bits));
      return undefined;
    }
    const value = this.read(at, bits / 8);
    return parts[3] === '_s' ? signed(value, bits) & mask(typeBits) : value;
  }

  private vector(name: string, at: number, operand: bigint, lane: number): bigint | undefined {
    const bits = Number(/\d+/.exec(name)?.[0] ?? 128);
    if (name === 'load') return this.read(at, 16);
    if (name === 'store') {
      this.write(at, 16, operand);
      return undefined;
    }
    const shift = BigInt(bits * lane);
    if (name.startsWith('store')) {
      this.write(at, bits / 8, (operand >> shift) & mask(bits));
      return undefined;
    }
    if (name.endsWith('_lane')) {
      return (operand & ~(mask(bits) << shift)) | (this.read(at, bits / 8) << shift);
    }
    if (name.endsWith('_zero')) return this.read(at, bits / 8);
    if (name.endsWith('_splat')) {
      const value = this.read(at, bits / 8);
      let all = 0n;
      for (let i = 0; i < 128; i += bits) all |= value << BigInt(i);
      return all;
    }
    return this.extend(this.read(at, 8), bits, name.endsWith('_s'));
  }

  private extend(value: bigint, bits: number, withSign: boolean): bigint {
    let all = 0n;
    for (let i = 0; i < 64 / bits; i++) {
      const element = (value >> BigInt(i * bits)) & mask(bits);
      const wide = withSign ? signed(element, bits) & mask(bits * 2) : element;
      all |= wide << BigInt(i * bits * 2);
    }
    return all;
  }

  private agents(name: string, at: number): bigint {
    if (name !== 'notify') throw new ModelFault('wait');
    if (this.inRam(at, 4) && at % 4 !== 0) throw new ModelFault('misaligned');
    if (!this.inRam(at, 4)) throw new ModelFault('notify');
    return 0n;
  }

  private atomic(
    name: string,
    typeBits: number,
    at: number,
    operands: readonly bigint[],
  ): bigint | undefined {
    const bits = Number(/\d+/.exec(name)?.[0] ?? typeBits);
    const width = bits / 8;
    if (at % width !== 0) throw new ModelFault('misaligned');
    const operand = (operands[0] ?? 0n) & mask(bits);
    if (name.startsWith('store')) {
      this.write(at, width, operand);
      return undefined;
    }
    const old = this.read(at, width);
    const op = /\.(\w+?)(_u)?$/.exec(name)?.[1];
    if (op === 'cmpxchg') {
      if (old === operand) this.write(at, width, operands[1]! & mask(bits));
    } else if (op !== undefined) {
      const results: Record<string, bigint> = {
        add: old + operand,
        sub: old - operand,
        and: old & operand,
        or: old | operand,
        xor: old ^ operand,
        xchg: operand,
      };
      this.write(at, width, results[op]! & mask(bits));
    }
    return old;
  }

  /** memory.copy; with a device in it: word by word where both ends are aligned, downwards by bytes where they overlap. */
  copy(dst: number, src: number, length: number): void {
    if (length === 0) return;
    if (this.inRam(dst, length) && this.inRam(src, length)) {
      const bytes = this.ram.slice(src, src + length);
      this.ram.set(bytes, dst);
      this.wrote(dst, length);
    } else if (dst > src && dst < src + length) {
      for (let i = length - 1; i >= 0; i--) this.write(dst + i, 1, this.read(src + i, 1));
    } else {
      for (let i = 0; i < length; ) {
        const width = (dst + i) % 4 === 0 && (src + i) % 4 === 0 && length - i >= 4 ? 4 : 1;
        this.write(dst + i, width, this.read(src + i, width));
        i += width;
      }
    }
  }

  fill(dst: number, value: number, length: number): void {
    if (length === 0) return;
    const byte = BigInt(value & 255);
    if (this.inRam(dst, length)) {
      this.ram.fill(value, dst, dst + length);
      this.wrote(dst, length);
      return;
    }
    for (let i = 0; i < length; ) {
      const width = (dst + i) % 4 === 0 && length - i >= 4 ? 4 : 1;
      this.write(dst + i, width, width === 4 ? byte * 0x01010101n : byte);
      i += width;
    }
  }

  /** memory.init goes to RAM only. */
  init(segment: Uint8Array, dst: number, src: number, length: number): void {
    const inSegment = src + length <= segment.length;
    if (length !== 0 && !this.inRam(dst, length)) throw new ModelFault('address');
    if (!inSegment) throw new ModelFault('segment');
    if (length === 0) return;
    this.ram.set(segment.subarray(src, src + length), dst);
    this.wrote(dst, length);
  }
}
