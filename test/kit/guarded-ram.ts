import { GuestRam } from '../../vmm/mem/ram.ts';

/** Somebody reached for memory of the host that is not the guest's RAM. */
export class OutsideRam extends Error {}

/**
 * RAM whose views refuse every index that is not RAM: below its base, in the hidden region behind it, or beyond the memory.
 * Slow: each access is a call.
 */
export function guardedRam(size: number): GuestRam {
  const ram = new GuestRam(0, size);
  Object.defineProperty(ram, 'u8', { value: guarded(ram.u8, ram.base, ram.end) });
  Object.defineProperty(ram, 'u32', { value: guarded(ram.u32, ram.base / 4, ram.end / 4) });
  guardMethods(ram);
  return ram;
}

/** What RAM does by methods of its own, past its views. */
function guardMethods(ram: GuestRam): void {
  const check = (from: number, to: number): void => {
    if (!(from >= ram.base && to <= ram.end && from <= to)) throw new OutsideRam(`${from} to ${to}`);
  };
  const { put, copy, skipZeros } = GuestRam.prototype;
  const plain = new Uint8Array(ram.memory.buffer);
  ram.put = (bytes, to) => {
    check(to, to + bytes.length);
    put.call({ u8: plain } as GuestRam, bytes, to);
  };
  ram.copy = (to, from, bytes) => {
    check(to, to + bytes);
    check(from, from + bytes);
    copy.call(ram, to, from, bytes);
  };
  ram.skipZeros = (at, end) => {
    check(at, end);
    return skipZeros.call(ram, at, end);
  };
}

function guarded<T extends Uint8Array | Uint32Array>(view: T, first: number, end: number): T {
  const check = (from: number, to: number): void => {
    if (!(from >= first && to <= end && from <= to)) throw new OutsideRam(`${from} to ${to}`);
  };
  const methods: Record<string, (...args: never[]) => unknown> = {
    set: (from: ArrayLike<number>, at = 0) => {
      check(at, at + from.length);
      view.set(from, at);
    },
    subarray: (from: number, to: number) => {
      check(from, to);
      return view.subarray(from, to);
    },
    slice: (from: number, to: number) => {
      check(from, to);
      return view.slice(from, to);
    },
    fill: (value: number, from: number, to: number) => {
      check(from, to);
      view.fill(value, from, to);
    },
    copyWithin: (to: number, from: number, end: number) => {
      check(from, end);
      check(to, to + end - from);
      view.copyWithin(to, from, end);
    },
  };
  const indexOf = (key: string | symbol): number => (typeof key === 'string' ? Number(key) : Number.NaN);
  return new Proxy(view, {
    get(_, key) {
      const index = indexOf(key);
      if (!Number.isNaN(index)) {
        check(index, index + 1);
        return view[index];
      }
      return methods[key as string] ?? Reflect.get(view, key, view);
    },
    set(_, key, value) {
      const index = indexOf(key);
      check(index, index + 1);
      view[index] = value;
      return true;
    },
  });
}
