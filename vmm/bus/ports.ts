import { TsvmmError } from '../core/errors.ts';

/** A device's answer to port I/O; sizes 1, 2 or 4. */
export interface PortHandler {
  read(port: number, size: number): number;
  write(port: number, size: number, value: number): void;
}

export interface PortRange {
  readonly name: string;
  readonly base: number;
  readonly size: number;
  readonly handler: PortHandler;
}

/** The 64 KiB I/O port space. A port nobody claims reads all ones and ignores writes. */
export class PortBus {
  #ranges: PortRange[] = [];

  /** @throws TsvmmError naming both owners when the ranges overlap */
  add(range: PortRange): void {
    const clash = this.#ranges.find((r) => range.base < r.base + r.size && r.base < range.base + range.size);
    if (clash !== undefined) {
      throw new TsvmmError({
        code: 'overlapping-claims',
        object: range.name,
        why: `claims ports 0x${range.base.toString(16)}+${range.size}, which overlap those of ${clash.name}`,
        mend: 'move one of them or leave one out',
      });
    }
    this.#ranges.push(range);
  }

  remove(range: PortRange): void {
    this.#ranges = this.#ranges.filter((r) => r !== range);
  }

  get ranges(): readonly PortRange[] {
    return this.#ranges;
  }

  read(port: number, size: number): number {
    const r = this.#find(port & 0xffff);
    return r === undefined ? 2 ** (size * 8) - 1 : r.handler.read((port & 0xffff) - r.base, size);
  }

  write(port: number, size: number, value: number): void {
    const r = this.#find(port & 0xffff);
    r?.handler.write((port & 0xffff) - r.base, size, value);
  }

  #find(port: number): PortRange | undefined {
    for (const r of this.#ranges) if (port >= r.base && port < r.base + r.size) return r;
    return undefined;
  }
}
