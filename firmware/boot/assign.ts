import { bdfText } from '../../vmm/core/bdf.ts';
import { hex } from '../../vmm/core/u64.ts';
import type { AddressRange } from '../description.ts';
import { FreeRanges } from './free-ranges.ts';
import type { ScannedFunction } from './scan.ts';
import type { Bar, BootFailure, BootOptions, ResourceKind } from './types.ts';

/** PCI-to-PCI Bridge: windows are whole 4 KiB of ports or 1 MiB of memory. */
const GRANULARITY = { io: 0x1000, memory: 0x100000, prefetchable: 0x100000 } as const;

const END_OF = { io: 2 ** 16, memory: 2 ** 32, anywhere: Number.MAX_SAFE_INTEGER } as const;

/** Something that needs an address: a BAR, or a bridge window with what lies in it. */
interface Request {
  readonly size: number;
  readonly align: number;
  /** First address it must not reach. */
  readonly limit: number;
  /** The biggest BAR in it, to name on failure. */
  readonly bdf: number;
  readonly bar: Bar;
  /** The bridge, when it is a window. */
  readonly bridge: number | undefined;
  place(address: number): void;
}

type Requests = { [K in ResourceKind]: Request[] };

/** Gives every BAR and every bridge window an address, in the scan's records only: nothing is written to the hardware. */
export function assign(
  functions: readonly ScannedFunction[],
  windows: BootOptions['windows'],
): BootFailure | undefined {
  const requests = collect(functions, true);
  if (!('io' in requests)) return requests;
  const memory = new FreeRanges(windows.memory);
  const prefetchable = new FreeRanges(windows.prefetchable);
  return (
    placeAll('io', requests.io, [new FreeRanges(windows.io)]) ??
    // Memory first: a prefetchable request that falls back must not take the only place of one that cannot.
    placeAll('memory', requests.memory, [memory]) ??
    placeAll('prefetchable', requests.prefetchable, [prefetchable, memory])
  );
}

function placeAll(
  kind: ResourceKind,
  requests: readonly Request[],
  spaces: readonly FreeRanges[],
): BootFailure | undefined {
  for (const request of largestFirst(requests)) {
    const address = takeFirst(spaces, request);
    if (address === undefined) return noSpace(request, kind, 'has no room in the windows of the host bridge');
    request.place(address);
  }
  return undefined;
}

function takeFirst(spaces: readonly FreeRanges[], { size, align, limit }: Request): number | undefined {
  for (const space of spaces) {
    const address = space.take(size, align, limit);
    if (address !== undefined) return address;
  }
  return undefined;
}

/** What the functions of one bus ask of it; a bridge asks for its windows. */
function collect(functions: readonly ScannedFunction[], onRootBus: boolean): Requests | BootFailure {
  const requests: Requests = { io: [], memory: [], prefetchable: [] };
  for (const fn of functions) {
    for (const bar of fn.bars) requests[bar.kind].push(barRequest(fn.bdf, bar, onRootBus));
    if (fn.bridge === undefined) continue;
    const below = collect(fn.bridge.functions, false);
    if (!('io' in below)) return below;
    if (!fn.bridge.hasPref64Window) below.memory.push(...below.prefetchable.splice(0));
    if (!fn.bridge.hasIoWindow && below.io.length > 0)
      return noSpace({ ...below.io[0]!, bridge: fn.bdf }, 'io', 'lies behind a bridge without an I/O window');
    for (const kind of ['io', 'memory', 'prefetchable'] as const)
      if (below[kind].length > 0) requests[kind].push(windowRequest(fn, kind, below[kind]));
  }
  return requests;
}

function barRequest(bdf: number, bar: Bar, onRootBus: boolean): Request {
  return {
    size: bar.size,
    align: bar.size,
    limit: barLimit(bar, onRootBus),
    bdf,
    bar,
    bridge: undefined,
    place(address) {
      bar.address = address;
    },
  };
}

/** A bridge's memory window is 32 bits wide, so only on the root bus may a 64-bit memory BAR lie above 4 GiB. */
function barLimit({ kind, is64 }: Bar, onRootBus: boolean): number {
  if (kind === 'prefetchable' || (is64 && onRootBus)) return END_OF.anywhere;
  return kind === 'io' ? END_OF.io : END_OF.memory;
}

/** Packs what lies behind a bridge; offsets in the window hold at any base that has the window's alignment. */
function windowRequest(fn: ScannedFunction, kind: ResourceKind, inside: readonly Request[]): Request {
  const sorted = largestFirst(inside);
  const biggest = sorted[0]!;
  const granularity = GRANULARITY[kind];
  const space = new FreeRanges([{ base: 0, length: END_OF.anywhere }]);
  const offsets = sorted.map(({ size, align }) => space.take(size, align, END_OF.anywhere)!);
  const end = Math.max(...sorted.map(({ size }, i) => offsets[i]! + size));
  const size = Math.ceil(end / granularity) * granularity;
  return {
    size,
    align: Math.max(granularity, biggest.align),
    limit: kind === 'prefetchable' ? END_OF.anywhere : END_OF[kind],
    bdf: biggest.bdf,
    bar: biggest.bar,
    bridge: fn.bdf,
    place(address) {
      const window: AddressRange = { base: address, length: size };
      fn.bridge!.windows[kind] = window;
      sorted.forEach((request, i) => {
        request.place(address + offsets[i]!);
      });
    },
  };
}

/** Decreasing alignment, then size: power-of-two BARs packed so leave no holes. The sort keeps the order of equals. */
function largestFirst(requests: readonly Request[]): Request[] {
  return requests.toSorted((a, b) => b.align - a.align || b.size - a.size);
}

function noSpace(request: Request, resource: ResourceKind, why: string): BootFailure {
  const { bdf, bar, bridge } = request;
  const where =
    bridge === undefined ? '' : ` (window of bridge ${bdfText(bridge)}, ${hex(request.size)} bytes)`;
  return {
    kind: 'no-space',
    bdf,
    bar: bar.index,
    resource,
    size: bar.size,
    bridge,
    text: `${bdfText(bdf)} BAR ${bar.index} (${resource}, ${hex(bar.size)} bytes) ${why}${where}`,
  };
}
