import type { MmioHandler } from '../../vmm/bus/mmio.ts';
import type { PortHandler } from '../../vmm/bus/ports.ts';
import type { PciFunction } from './function.ts';
import { IO_WINDOW, MEMORY_WINDOW, PREF_BASE_UPPER, PREF_LIMIT_UPPER, PREF_WINDOW } from './header.ts';
import type { BarSpec } from './kind.ts';

/** A BAR that decodes: what it answers at, as its own and its bridges' registers say. */
export interface DecodedBar {
  readonly fn: PciFunction;
  readonly bar: BarSpec;
  readonly base: number;
  readonly handler: MmioHandler | PortHandler;
}

/** Both ends inclusive; closed when base > limit. */
interface Window {
  readonly base: number;
  readonly limit: number;
}

/** What reaches a bus: undefined on the root bus, where everything does. */
export interface Reach {
  readonly parent: Reach | undefined;
  readonly io: Window;
  readonly memory: Window;
  readonly prefetchable: Window;
  /** Every bridge above passes requests upstream. */
  readonly upstream: boolean;
}

const CLOSED: Window = { base: 1, limit: 0 };
/** MmioBus routes addresses below 2^52. */
const MEMORY_END = 2 ** 52;
const IO_END = 2 ** 16;

/** PCI-to-PCI Bridge 1.2: Address Decoding: the windows of a bridge, closed while its Command does not enable them. */
export function reachBehind(bridge: PciFunction, parent: Reach | undefined): Reach {
  return {
    parent,
    io: bridge.ioEnabled ? ioWindow(bridge.s.config) : CLOSED,
    memory: bridge.memoryEnabled ? memoryWindow(bridge.s.config) : CLOSED,
    prefetchable: bridge.memoryEnabled ? prefetchableWindow(bridge.s.config) : CLOSED,
    upstream: bridge.busMaster && (parent?.upstream ?? true) && bridge.secondary !== 0,
  };
}

function ioWindow(config: Uint32Array): Window {
  const at = IO_WINDOW.offset / 4;
  return {
    base: IO_WINDOW.get.BASE(config, at) * 0x1000,
    limit: IO_WINDOW.get.LIMIT(config, at) * 0x1000 + 0xfff,
  };
}

function memoryWindow(config: Uint32Array): Window {
  const at = MEMORY_WINDOW.offset / 4;
  return {
    base: MEMORY_WINDOW.get.BASE(config, at) * 0x100000,
    limit: MEMORY_WINDOW.get.LIMIT(config, at) * 0x100000 + 0xfffff,
  };
}

function prefetchableWindow(config: Uint32Array): Window {
  const at = PREF_WINDOW.offset / 4;
  const upper = 2 ** 32;
  return {
    base: config[PREF_BASE_UPPER.offset / 4]! * upper + PREF_WINDOW.get.BASE(config, at) * 0x100000,
    limit:
      config[PREF_LIMIT_UPPER.offset / 4]! * upper + PREF_WINDOW.get.LIMIT(config, at) * 0x100000 + 0xfffff,
  };
}

/**
 * The BARs of a function that answer now. Zero is an address like any other on paper, but no BAR is programmed to it: a BAR
 * at 0 counts as not yet assigned, as in QEMU.
 */
export function decodedBars(fn: PciFunction, reach: Reach | undefined): DecodedBar[] {
  const out: DecodedBar[] = [];
  for (const bar of fn.w.layout.bars) {
    const io = bar.kind === 'io';
    if (!(io ? fn.ioEnabled : fn.memoryEnabled)) continue;
    const base = fn.barAddress(bar);
    if (base === 0 || base + bar.size > (io ? IO_END : MEMORY_END)) continue;
    if (!reaches(bar, base, reach)) continue;
    out.push({ fn, bar, base, handler: fn.barHandler(bar) });
  }
  return out;
}

/** LIMIT: a BAR that a window covers in part does not answer at all. */
function reaches(bar: BarSpec, base: number, reach: Reach | undefined): boolean {
  if (reach === undefined) return true;
  const last = base + bar.size - 1;
  const inside = ({ base: from, limit }: Window) => base >= from && last <= limit;
  const open = bar.kind === 'io' ? inside(reach.io) : inside(reach.memory) || inside(reach.prefetchable);
  return open && reaches(bar, base, reach.parent);
}
