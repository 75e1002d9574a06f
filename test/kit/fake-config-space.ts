import type { ConfigAccess } from '../../firmware/boot/config.ts';

/** A function of a made-up PCI hierarchy; the space behaves as hardware does, bus numbers of bridges included. */
export interface FakeFunction {
  readonly device: number;
  readonly fn?: number;
  readonly bars?: readonly FakeBar[];
  /** Interrupt Pin register. */
  readonly pin?: number;
  /** Makes it a bridge. */
  readonly behind?: readonly FakeFunction[];
  readonly noIoWindow?: boolean;
  /** Absent: a 64-bit prefetchable window. */
  readonly prefetchWindow?: '32-bit' | 'none';
}

export interface FakeBar {
  readonly index: number;
  readonly kind: 'io' | 'mem32' | 'mem64' | 'pref32' | 'pref64';
  readonly size: number;
}

export interface DecodedRange {
  readonly base: number;
  /** Last byte. */
  readonly last: number;
}

/** A BAR as the registers now decode it, with the windows of all bridges above it. */
export interface DecodedBar extends DecodedRange {
  readonly owner: FakeFunction;
  readonly bar: FakeBar;
  readonly above: readonly { io: DecodedRange; memory: DecodedRange; prefetchable: DecodedRange }[];
}

const FLAGS = { io: 1, mem32: 0, mem64: 4, pref32: 8, pref64: 0xc } as const;

class FakeNode {
  readonly bytes = new Uint8Array(256);
  readonly writable = new Uint8Array(256);
  readonly behind: FakeNode[] | undefined;
  readonly spec: FakeFunction;

  constructor(spec: FakeFunction, multifunction: boolean) {
    this.spec = spec;
    this.behind = spec.behind === undefined ? undefined : nodesOf(spec.behind);
    this.set(0x00, 4, 0x1234_1b36);
    this.set(0x08, 4, spec.behind === undefined ? 0xff000001 : 0x06040001);
    this.set(0x0e, 1, (spec.behind === undefined ? 0 : 1) | (multifunction ? 0x80 : 0));
    this.set(0x3d, 1, spec.pin ?? 0);
    this.allow(0x04, 2, 0x0547);
    this.allow(0x3c, 1, 0xff);
    this.allow(spec.behind === undefined ? 0x30 : 0x38, 4, 0xffff0001);
    for (const bar of spec.bars ?? []) this.#addBar(bar);
    if (spec.behind !== undefined) this.#addBridge(spec);
  }

  set(offset: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) this.bytes[offset + i] = Math.floor(value / 2 ** (8 * i)) & 0xff;
  }

  get(offset: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value += this.bytes[offset + i]! * 2 ** (8 * i);
    return value;
  }

  write(offset: number, size: number, value: number): void {
    const bars = this.behind === undefined ? 0x28 : 0x18;
    if (offset >= 0x10 && offset < bars && (this.get(0x04, 1) & 3) !== 0)
      throw new Error(`BAR at ${offset} is written while the function decodes`);
    for (let i = 0; i < size; i++) {
      const mask = this.writable[offset + i]!;
      const byte = Math.floor((value >>> 0) / 2 ** (8 * i)) & 0xff;
      this.bytes[offset + i] = (this.bytes[offset + i]! & ~mask) | (byte & mask);
    }
  }

  allow(offset: number, size: number, mask: number): void {
    for (let i = 0; i < size; i++) this.writable[offset + i] = Math.floor(mask / 2 ** (8 * i)) & 0xff;
  }

  #addBar({ index, kind, size }: FakeBar): void {
    const offset = 0x10 + 4 * index;
    this.set(offset, 4, FLAGS[kind]);
    const wide = kind === 'mem64' || kind === 'pref64';
    // An I/O BAR of a PC decodes 16 bits only.
    const end = kind === 'io' ? 2 ** 16 : 2 ** 32;
    this.allow(offset, 4, Math.max(0, end - size));
    // The upper half masks what is left of sizes above 4 GiB.
    if (wide) this.allow(offset + 4, 4, 2 ** 32 - Math.max(1, size / 2 ** 32));
  }

  #addBridge(spec: FakeFunction): void {
    this.allow(0x18, 3, 0xffffff);
    if (spec.noIoWindow !== true) this.allow(0x1c, 2, 0xf0f0);
    this.allow(0x20, 4, 0xfff0fff0);
    if (spec.prefetchWindow === 'none') return;
    this.allow(0x24, 4, 0xfff0fff0);
    if (spec.prefetchWindow === '32-bit') return;
    this.set(0x24, 4, 0x00010001);
    this.allow(0x28, 4, 0xffffffff);
    this.allow(0x2c, 4, 0xffffffff);
  }
}

function nodesOf(functions: readonly FakeFunction[]): FakeNode[] {
  return functions.map(
    (spec) =>
      new FakeNode(
        spec,
        functions.some((other) => other.device === spec.device && (other.fn ?? 0) > 0),
      ),
  );
}

export class FakeConfigSpace implements ConfigAccess {
  readonly #firstBus: number;
  readonly #root: FakeNode[];
  writes = 0;

  constructor(functions: readonly FakeFunction[], firstBus = 0) {
    this.#root = nodesOf(functions);
    this.#firstBus = firstBus;
  }

  read(bdf: number, offset: number, size: number): number {
    return this.#find(bdf)?.get(offset, size) ?? 2 ** (8 * size) - 1;
  }

  write(bdf: number, offset: number, size: number, value: number): void {
    this.writes++;
    this.#find(bdf)?.write(offset, size, value);
  }

  /** A register of a function, however the buses are numbered. */
  registerOf(spec: FakeFunction, offset: number, size: number): number {
    return findSpec(this.#root, spec)!.get(offset, size);
  }

  decodedBars(): DecodedBar[] {
    return decode(this.#root, []);
  }

  #find(bdf: number): FakeNode | undefined {
    let bus = this.#firstBus;
    let nodes: readonly FakeNode[] = this.#root;
    while (bus !== bdf >> 8) {
      const claims = nodes.filter((node) => {
        const secondary = node.get(0x19, 1);
        return (
          node.behind !== undefined &&
          secondary !== 0 &&
          secondary <= bdf >> 8 &&
          bdf >> 8 <= node.get(0x1a, 1)
        );
      });
      if (claims.length > 1) throw new Error(`bus ${bdf >> 8} is claimed by ${claims.length} bridges`);
      if (claims.length === 0) return undefined;
      bus = claims[0]!.get(0x19, 1);
      nodes = claims[0]!.behind!;
    }
    return nodes.find(({ spec }) => ((spec.device << 3) | (spec.fn ?? 0)) === (bdf & 0xff));
  }
}

function findSpec(nodes: readonly FakeNode[], spec: FakeFunction): FakeNode | undefined {
  for (const node of nodes) {
    const found = node.spec === spec ? node : findSpec(node.behind ?? [], spec);
    if (found !== undefined) return found;
  }
  return undefined;
}

function decode(nodes: readonly FakeNode[], above: DecodedBar['above']): DecodedBar[] {
  return nodes.flatMap((node) => [
    ...(node.spec.bars ?? []).map((bar) => decodeBar(node, bar, above)),
    ...decode(node.behind ?? [], [...above, windowsOf(node)]),
  ]);
}

function decodeBar(node: FakeNode, bar: FakeBar, above: DecodedBar['above']): DecodedBar {
  const wide = bar.kind === 'mem64' || bar.kind === 'pref64';
  const raw = node.get(0x10 + 4 * bar.index, wide ? 8 : 4);
  const base = raw - (raw % (bar.kind === 'io' ? 4 : 16));
  return { owner: node.spec, bar, base, last: base + bar.size - 1, above };
}

function windowsOf(node: FakeNode): DecodedBar['above'][number] {
  const high = 2 ** 16;
  return {
    io: { base: (node.get(0x1c, 1) & 0xf0) * 0x100, last: (node.get(0x1d, 1) & 0xf0) * 0x100 + 0xfff },
    memory: {
      base: (node.get(0x20, 2) & 0xfff0) * high,
      last: (node.get(0x22, 2) & 0xfff0) * high + 0xfffff,
    },
    prefetchable: {
      base: node.get(0x28, 4) * 2 ** 32 + (node.get(0x24, 2) & 0xfff0) * high,
      last: node.get(0x2c, 4) * 2 ** 32 + (node.get(0x26, 2) & 0xfff0) * high + 0xfffff,
    },
  };
}
