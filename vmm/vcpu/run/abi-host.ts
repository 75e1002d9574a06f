import type { AbiImportName } from '../../../guest/abi/imports.ts';
import { LINE_ACCEPTED, type MmioBus } from '../../bus/mmio.ts';
import type { PortBus } from '../../bus/ports.ts';
import { hiOf, loOf, numberOf } from '../../core/u64.ts';
import type { GuestRam } from '../../mem/ram.ts';
import type { ProcessHost } from '../process/no-processes.ts';

/** What the ABI's functions need of the vCPU. */
export interface AbiCpu {
  afterAccess(): void;
  crash(reason: string, address: number): never;
  exit(status: number): never;
  wfi(): void;
  yieldPoint(): void;
  relax(): void;
  setInterrupts(on: boolean): boolean;
  setHandler(vector: number, tableIndex: number): void;
  endOfInterrupt(): void;
  delay(ns: number): void;
  nowNs(): number;
}

/** Facts about the machine that the guest may ask for. */
export interface GuestPlatform {
  readonly rsdp: number;
  readonly heapStart: number;
  readonly heapEnd: number;
}

/**
 * The host's side of the guest ABI in lowered form: a 64-bit parameter arrives as (lo, hi), a 64-bit result is returned as
 * lo with hi in the hidden word.
 */
export function abiHost(
  ram: GuestRam,
  mmio: MmioBus,
  ports: PortBus,
  cpu: AbiCpu,
  platform: GuestPlatform,
  console: (bytes: Uint8Array) => void,
  processes: ProcessHost,
): Record<AbiImportName, (...args: number[]) => number | undefined> {
  const hiWord = ram.layout.hiWord >>> 2;
  const result64 = (lo: number, hi: number): number => {
    ram.u32[hiWord] = hi;
    return lo;
  };
  const inRam = (lo: number, hi: number, size: number) => ram.holds(lo, hi, size);
  const checkSize = (what: string, size: number, sizes: readonly number[], address: number) => {
    if (!sizes.includes(size)) cpu.crash(`${what} of ${size} bytes; it takes ${sizes.join(', ')}`, address);
  };
  const line = new Uint32Array(16);
  const lineBytes = new Uint8Array(line.buffer);
  const store64 = (what: string, lo: number, hi: number, src: number, deferrable: boolean): number => {
    const address = numberOf(lo, hi);
    if ((lo & 63) !== 0) cpu.crash(`${what} to an address that is no multiple of 64`, address);
    if (!ram.holds(src, 0, 64)) cpu.crash(`${what} of bytes that are not all RAM`, src >>> 0);
    const from = src >>> 0;
    for (let i = 0; i < 64; i++) lineBytes[i] = ram.u8[from + i]!;
    // Reserved bits of the source are a general-protection fault (Intel SDM: ENQCMDS).
    if (deferrable && (line[0]! & 0x7ff00000) !== 0)
      cpu.crash(`${what} of a command with bits 30:20 set`, from);
    if (inRam(lo, hi, 64)) {
      // Memory takes stores, but is no enqueue register.
      if (deferrable) return 1;
      ram.u8.set(lineBytes, lo >>> 0);
      ram.storedByCpu(lo >>> 0, 64);
      return 0;
    }
    if (address > Number.MAX_SAFE_INTEGER) cpu.crash(`${what} beyond 52 address bits`, address);
    const result = mmio.line(address, line, deferrable);
    if (!mmio.claimed) cpu.crash(`${what} to an address nothing is mapped at`, address);
    cpu.afterAccess();
    return result === LINE_ACCEPTED ? 0 : 1;
  };
  return {
    ...processes,
    movdir64b: (lo = 0, hi = 0, src = 0) => void store64('movdir64b', lo, hi, src, false),
    enqcmds: (lo = 0, hi = 0, src = 0) => store64('enqcmds', lo, hi, src, true),
    mmio_read(lo = 0, hi = 0, size = 0) {
      const address = numberOf(lo, hi);
      checkSize('mmio_read', size, [1, 2, 4, 8], address);
      if (inRam(lo, hi, size)) return result64(...readRam(ram, lo >>> 0, size));
      if (address > Number.MAX_SAFE_INTEGER) cpu.crash('mmio_read beyond 52 address bits', address);
      const value = mmio.read(address, size);
      if (!mmio.claimed) cpu.crash(`${size}-byte mmio_read from an address nothing is mapped at`, address);
      // An interrupt handler that runs now may read registers too.
      const upper = mmio.hi;
      cpu.afterAccess();
      return result64(value, upper);
    },
    mmio_write(lo = 0, hi = 0, size = 0, valueLo = 0, valueHi = 0) {
      const address = numberOf(lo, hi);
      checkSize('mmio_write', size, [1, 2, 4, 8], address);
      if (inRam(lo, hi, size)) {
        writeRam(ram, lo >>> 0, size, valueLo, valueHi);
        return undefined;
      }
      if (address > Number.MAX_SAFE_INTEGER) cpu.crash('mmio_write beyond 52 address bits', address);
      const mask = size === 1 ? 0xff : size === 2 ? 0xffff : 0xffffffff;
      mmio.write(address, size, (valueLo & mask) >>> 0, size === 8 ? valueHi >>> 0 : 0);
      if (!mmio.claimed) cpu.crash(`${size}-byte mmio_write to an address nothing is mapped at`, address);
      cpu.afterAccess();
      return undefined;
    },
    port_in(port = 0, size = 0) {
      checkSize('port_in', size, [1, 2, 4], port >>> 0);
      const value = ports.read(port, size);
      cpu.afterAccess();
      return value;
    },
    port_out(port = 0, size = 0, value = 0) {
      checkSize('port_out', size, [1, 2, 4], port >>> 0);
      ports.write(port, size, (size === 1 ? value & 0xff : size === 2 ? value & 0xffff : value) >>> 0);
      cpu.afterAccess();
      return undefined;
    },
    wfi: () => void cpu.wfi(),
    yield: () => void cpu.yieldPoint(),
    cpu_relax: () => void cpu.relax(),
    irq_save: () => (cpu.setInterrupts(false) ? 1 : 0),
    irq_restore: (flags = 0) => void cpu.setInterrupts(flags !== 0),
    irq_handler: (vector = 0, handler = 0) => void cpu.setHandler(vector >>> 0, handler >>> 0),
    irq_eoi: () => void cpu.endOfInterrupt(),
    clock_ns() {
      const now = cpu.nowNs();
      return result64(loOf(now), hiOf(now));
    },
    delay_ns: (lo = 0, hi = 0) => void cpu.delay(numberOf(lo, hi)),
    acpi_rsdp: () => platform.rsdp,
    ram_size: () => result64(loOf(ram.size), hiOf(ram.size)),
    ram_base: () => ram.base,
    heap_start: () => platform.heapStart,
    heap_end: () => platform.heapEnd,
    console_write(text = 0, length = 0) {
      if (!ram.holds(text, 0, length >>> 0))
        cpu.crash('console_write of bytes that are not all RAM', text >>> 0);
      console(ram.u8.slice(text >>> 0, (text >>> 0) + (length >>> 0)));
      return undefined;
    },
    exit: (status = 0) => cpu.exit(status),
  };
}

function readRam(ram: GuestRam, address: number, size: number): [number, number] {
  let lo = 0;
  let hi = 0;
  for (let i = 0; i < Math.min(size, 4); i++) lo |= ram.u8[address + i]! << (i * 8);
  for (let i = 4; i < size; i++) hi |= ram.u8[address + i]! << ((i - 4) * 8);
  return [lo >>> 0, hi >>> 0];
}

function writeRam(ram: GuestRam, address: number, size: number, lo: number, hi: number): void {
  for (let i = 0; i < Math.min(size, 4); i++) ram.u8[address + i] = lo >>> (i * 8);
  for (let i = 4; i < size; i++) ram.u8[address + i] = hi >>> ((i - 4) * 8);
  ram.storedByCpu(address, size);
}
