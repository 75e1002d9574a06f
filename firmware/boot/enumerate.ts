import { hiOf, loOf } from '../../vmm/core/u64.ts';
import type { AddressRange } from '../description.ts';
import { assign } from './assign.ts';
import { programBar } from './bars.ts';
import { COMMAND_IO, COMMAND_MASTER, COMMAND_MEMORY, type ConfigAccess, REG } from './config.ts';
import { type ScannedFunction, scanBus } from './scan.ts';
import type { BootFunction, BootOptions, BootResult, BridgeWindows } from './types.ts';

/**
 * PCI enumeration as boot code does it: number the buses, size the BARs, hand out addresses, program BARs, bridge windows,
 * interrupt lines and COMMAND. Functions are listed in scan order, each bridge before what lies behind it.
 *
 * LIMIT: expansion ROM BARs and SR-IOV VF BARs are left unassigned, and ARI is not used (functions 0..7 only).
 */
export function enumeratePci(config: ConfigAccess, options: BootOptions): BootResult {
  const scan = scanBus(config, options.firstBus, options.lastBus);
  if (!scan.ok) return scan;
  const failure = assign(scan.functions, options.windows);
  if (failure !== undefined) return { ok: false, failure };
  const functions: BootFunction[] = [];
  program(config, options, scan.functions, options.interruptLine, functions);
  return { ok: true, functions, lastBus: scan.lastBus };
}

/** Interrupt routing seen from one bus: (device, pin 1..4) to a line. */
type Route = BootOptions['interruptLine'];

function program(
  config: ConfigAccess,
  options: BootOptions,
  functions: readonly ScannedFunction[],
  route: Route,
  done: BootFunction[],
): void {
  for (const fn of functions) {
    for (const bar of fn.bars) programBar(config, fn.bdf, bar);
    const interruptLine = programInterruptLine(config, fn, route);
    done.push(record(fn, interruptLine));
    if (fn.bridge !== undefined) {
      programWindows(config, fn.bdf, fn.bridge.windows, fn.bridge.hasPref64Window);
      program(config, options, fn.bridge.functions, routeBehind(fn.bdf, route), done);
    }
    // After what lies behind a bridge is set up, so that it forwards nothing too early.
    programCommand(config, fn, options.command);
  }
}

/** The public part of what the scan knows. */
function record(fn: ScannedFunction, interruptLine: number | undefined): BootFunction {
  const { bdf, vendor, device, classCode, bars, interruptPin, bridge } = fn;
  return {
    bdf,
    vendor,
    device,
    classCode,
    bars,
    interruptPin,
    interruptLine,
    bridge: bridge && {
      primary: bridge.primary,
      secondary: bridge.secondary,
      subordinate: bridge.subordinate,
      windows: bridge.windows,
    },
  };
}

function programCommand(
  config: ConfigAccess,
  { bdf, bridge }: ScannedFunction,
  wanted: BootOptions['command'],
): void {
  const bits =
    (wanted.io ? COMMAND_IO : 0) |
    (wanted.memory ? COMMAND_MEMORY : 0) |
    (wanted.bridgeMaster && bridge !== undefined ? COMMAND_MASTER : 0);
  config.write(bdf, REG.COMMAND, 2, config.read(bdf, REG.COMMAND, 2) | bits);
}

function programInterruptLine(
  config: ConfigAccess,
  { bdf, interruptPin }: ScannedFunction,
  route: Route,
): number | undefined {
  if (route === undefined || interruptPin < 1 || interruptPin > 4) return undefined;
  const line = route(deviceOf(bdf), interruptPin);
  config.write(bdf, REG.INTERRUPT_LINE, 1, line);
  return line;
}

/** PCI-to-PCI Bridge: Interrupt Support: pin P of device D behind a bridge is the bridge's pin (P + D) mod 4. */
function routeBehind(bridge: number, route: Route): Route {
  if (route === undefined) return undefined;
  return (device, pin) => route(deviceOf(bridge), ((pin - 1 + device) % 4) + 1);
}

function deviceOf(bdf: number): number {
  return (bdf >> 3) & 0x1f;
}

/** A window with base above limit is closed: the highest base and limit 0. */
function programWindows(config: ConfigAccess, bdf: number, windows: BridgeWindows, pref64: boolean): void {
  const io = bounds(windows.io, 0xf000);
  config.write(bdf, REG.IO_BASE, 1, (io.base >> 8) & 0xf0);
  config.write(bdf, REG.IO_LIMIT, 1, (io.last >> 8) & 0xf0);
  config.write(bdf, REG.IO_BASE_UPPER, 2, 0);
  config.write(bdf, REG.IO_LIMIT_UPPER, 2, 0);
  const memory = bounds(windows.memory, 0xfff00000);
  config.write(bdf, REG.MEMORY_BASE, 2, (memory.base >>> 16) & 0xfff0);
  config.write(bdf, REG.MEMORY_LIMIT, 2, (memory.last >>> 16) & 0xfff0);
  const pref = bounds(windows.prefetchable, 0xfff00000);
  config.write(bdf, REG.PREF_BASE, 2, (loOf(pref.base) >>> 16) & 0xfff0);
  config.write(bdf, REG.PREF_LIMIT, 2, (loOf(pref.last) >>> 16) & 0xfff0);
  if (!pref64) return;
  config.write(bdf, REG.PREF_BASE_UPPER, 4, hiOf(pref.base));
  config.write(bdf, REG.PREF_LIMIT_UPPER, 4, hiOf(pref.last));
}

function bounds(window: AddressRange | undefined, closedBase: number): { base: number; last: number } {
  if (window === undefined) return { base: closedBase, last: 0 };
  return { base: window.base, last: window.base + window.length - 1 };
}
