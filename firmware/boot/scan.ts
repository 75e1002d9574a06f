import { bdf as bdfOf, bdfText } from '../../vmm/core/bdf.ts';
import { sizeBars } from './bars.ts';
import {
  ABSENT,
  COMMAND_MASTER,
  type ConfigAccess,
  HEADER_LAYOUT,
  HEADER_MULTIFUNCTION,
  HEADER_TYPE_BRIDGE,
  REG,
} from './config.ts';
import type { Bar, BootFailure, BridgeWindows } from './types.ts';

/** A function found by the scan; bridges hold the bus below them. */
export interface ScannedFunction {
  readonly bdf: number;
  readonly vendor: number;
  readonly device: number;
  readonly classCode: number;
  readonly interruptPin: number;
  readonly bars: readonly Bar[];
  readonly bridge: ScannedBridge | undefined;
}

export interface ScannedBridge {
  readonly primary: number;
  readonly secondary: number;
  readonly subordinate: number;
  readonly functions: readonly ScannedFunction[];
  readonly hasIoWindow: boolean;
  /** Only a 64-bit prefetchable window is used; without one prefetchable BARs go to the memory window. */
  readonly hasPref64Window: boolean;
  /** Filled in by the assignment. */
  readonly windows: BridgeWindows;
}

/** By header layout. Other layouts (CardBus bridges) are listed, but nothing in them is assigned. */
const BAR_REGISTERS: readonly { readonly bars: number; readonly rom: number }[] = [
  { bars: 6, rom: REG.ROM },
  { bars: 2, rom: REG.BRIDGE_ROM },
];

export type ScanResult =
  | { readonly ok: true; readonly functions: ScannedFunction[]; readonly lastBus: number }
  | { readonly ok: false; readonly failure: BootFailure };

/**
 * Depth-first scan of a bus: numbers the buses below it and sizes all BARs. Bus numbers are assigned, BARs keep their values,
 * decoding (expansion ROMs too) and bus
 * mastering end up off.
 */
export function scanBus(config: ConfigAccess, bus: number, lastBus: number): ScanResult {
  const present = presentFunctions(config, bus);
  const bridges = present.filter((bdf) => layoutOf(config, bdf) === HEADER_TYPE_BRIDGE);
  // Numbers left by earlier code would make a sibling claim the buses that are handed out here.
  for (const bdf of bridges) setBuses(config, bdf, 0, 0, 0);
  const functions: ScannedFunction[] = [];
  let last = bus;
  for (const bdf of present) {
    const isBridge = bridges.includes(bdf);
    const registers = BAR_REGISTERS[layoutOf(config, bdf)];
    const bars = sizeBars(config, bdf, registers?.bars ?? 0);
    if (typeof bars === 'number') return { ok: false, failure: badBar(bdf, bars) };
    config.write(bdf, REG.COMMAND, 2, config.read(bdf, REG.COMMAND, 2) & ~COMMAND_MASTER);
    if (registers !== undefined) config.write(bdf, registers.rom, 4, 0);
    if (!isBridge) {
      functions.push(scanned(config, bdf, bars, undefined));
      continue;
    }
    if (last >= lastBus) return { ok: false, failure: noBusNumber(bdf, lastBus) };
    const secondary = last + 1;
    setBuses(config, bdf, bus, secondary, lastBus);
    const below = scanBus(config, secondary, lastBus);
    if (!below.ok) return below;
    last = below.lastBus;
    setBuses(config, bdf, bus, secondary, last);
    functions.push(
      scanned(config, bdf, bars, {
        primary: bus,
        secondary,
        subordinate: last,
        functions: below.functions,
        hasIoWindow: hasIoWindow(config, bdf),
        hasPref64Window: hasPref64Window(config, bdf),
        windows: { io: undefined, memory: undefined, prefetchable: undefined },
      }),
    );
  }
  return { ok: true, functions, lastBus: last };
}

/** Function 0 decides whether a device is there at all and whether it has further functions. */
function presentFunctions(config: ConfigAccess, bus: number): number[] {
  const present: number[] = [];
  for (let device = 0; device < 32; device++) {
    const first = bdfOf(bus, device, 0);
    if (config.read(first, REG.VENDOR, 2) === ABSENT) continue;
    present.push(first);
    if ((config.read(first, REG.HEADER_TYPE, 1) & HEADER_MULTIFUNCTION) === 0) continue;
    for (let fn = 1; fn < 8; fn++)
      if (config.read(first | fn, REG.VENDOR, 2) !== ABSENT) present.push(first | fn);
  }
  return present;
}

function scanned(
  config: ConfigAccess,
  bdf: number,
  bars: readonly Bar[],
  bridge: ScannedBridge | undefined,
): ScannedFunction {
  return {
    bdf,
    vendor: config.read(bdf, REG.VENDOR, 2),
    device: config.read(bdf, REG.DEVICE, 2),
    classCode: config.read(bdf, REG.CLASS_REVISION, 4) >>> 8,
    interruptPin: config.read(bdf, REG.INTERRUPT_PIN, 1),
    bars,
    bridge,
  };
}

function layoutOf(config: ConfigAccess, bdf: number): number {
  return config.read(bdf, REG.HEADER_TYPE, 1) & HEADER_LAYOUT;
}

function setBuses(
  config: ConfigAccess,
  bdf: number,
  primary: number,
  secondary: number,
  subordinate: number,
): void {
  config.write(bdf, REG.PRIMARY_BUS, 1, primary);
  config.write(bdf, REG.SECONDARY_BUS, 1, secondary);
  config.write(bdf, REG.SUBORDINATE_BUS, 1, subordinate);
}

/** PCI-to-PCI Bridge: a window that is not implemented is hardwired to zero. */
function hasIoWindow(config: ConfigAccess, bdf: number): boolean {
  return (probe(config, bdf, REG.IO_BASE, 1) & 0xf0) !== 0;
}

function hasPref64Window(config: ConfigAccess, bdf: number): boolean {
  const value = probe(config, bdf, REG.PREF_BASE, 2);
  return (value & 0xfff0) !== 0 && (value & 0xf) === 1;
}

/** The register with all ones written to it; its value is put back. */
function probe(config: ConfigAccess, bdf: number, offset: number, size: 1 | 2): number {
  const before = config.read(bdf, offset, size);
  config.write(bdf, offset, size, 2 ** (8 * size) - 1);
  const value = config.read(bdf, offset, size);
  config.write(bdf, offset, size, before);
  return value;
}

function badBar(bdf: number, bar: number): BootFailure {
  return { kind: 'bad-bar', bdf, bar, text: `${bdfText(bdf)} BAR ${bar} has a malformed type or size` };
}

function noBusNumber(bdf: number, lastBus: number): BootFailure {
  return {
    kind: 'no-bus-number',
    bdf,
    text: `${bdfText(bdf)} is a bridge, but no bus number is left below ${lastBus + 1}`,
  };
}
