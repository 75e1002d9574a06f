import { read16, read32 } from './capability-table.ts';
import { type FleetDevice, labelOf } from './fleet.ts';
import type { PlanBar } from './plan.ts';
import type { Policy } from './policy.ts';
import type { Bar } from './space.ts';

/** The MMIO side of a plan: which BARs guests see, how large, and where the table of MSI-X is. */
export interface MmioPlan {
  /** Absent where the BARs of some device are not known: then each device shows its own. */
  readonly bars: readonly PlanBar[] | undefined;
  /** Why a BAR of some device is not shown, by `bar N`. */
  readonly losses: ReadonlyMap<string, string>;
  readonly messages: MessagePlace;
}

/** MSI-X: where all devices have it; in a BAR of the VMM's; or not at all. */
export type MessagePlace =
  | { readonly kind: 'kept' }
  | { readonly kind: 'moved'; readonly index: number; readonly pbaOffset: number }
  | { readonly kind: 'lost'; readonly why: string };

const SLOTS = 6;
const KEPT: MessagePlace = { kind: 'kept' };
const MAX_MEMORY32 = 2 ** 31;

const barKey = (index: number): string => `bar ${index}`;

export function planMmio(devices: readonly FleetDevice[], policy: Policy): MmioPlan {
  const unknown = devices.find(({ bars }) => bars === undefined);
  const losses = new Map<string, string>();
  const bars = unknown === undefined ? meetBars(devices, policy, losses) : undefined;
  const messages = placeMessages(devices, bars, unknown);
  if (bars !== undefined && messages.kind === 'moved') bars.push(messageBar(messages));
  return { bars: bars?.sort((a, b) => a.index - b.index), losses, messages };
}

/** What guests may use of a BAR is what every device has of it: registers from its start. */
function meetBars(devices: readonly FleetDevice[], policy: Policy, losses: Map<string, string>): PlanBar[] {
  const shown: PlanBar[] = [];
  for (let index = 0; index < SLOTS; index++) {
    const owners = devices.flatMap((device) =>
      (device.bars ?? []).filter((bar) => bar.index === index).map((bar) => ({ device, bar })),
    );
    const [first] = owners;
    if (first === undefined) continue;
    const lose = (why: string) => losses.set(barKey(index), why);
    const without = devices.find((device) => !owners.some((owner) => owner.device === device));
    const other = owners.find(({ bar }) => (bar.kind === 'io') !== (first.bar.kind === 'io'));
    const below = shown.at(-1);
    const needed = policy.missing === 'drop' || first.bar.kind === 'io';
    if (without !== undefined && needed) lose(`${labelOf(without)} does not have it`);
    else if (other !== undefined) lose(`it is memory on one device, and I/O ports on another`);
    else if (below?.kind === 'memory64' && below.index === index - 1)
      lose(`it belongs to bar ${below.index}`);
    else shown.push(meetBar(owners.map(({ bar }) => bar)));
  }
  return shown;
}

function meetBar(bars: readonly Bar[]): PlanBar {
  const size = Math.min(...bars.map((bar) => bar.size));
  const { index, kind } = bars[0] as Bar;
  const memory =
    bars.every((bar) => bar.kind === 'memory64') || size > MAX_MEMORY32 ? 'memory64' : 'memory32';
  const prefetchable = bars.every((bar) => bar.prefetchable);
  return { index, kind: kind === 'io' ? 'io' : memory, prefetchable, size, served: 'device' };
}

/** Where a device has table and pending bits, and how many vectors; nothing without MSI-X. */
export function messagesOf({ anatomy, space }: FleetDevice) {
  const found = anatomy.capabilities.find(({ key }) => key === 'msix');
  if (found === undefined || found.length < 12) return undefined;
  const vectors = (read16(space.bytes, found.offset + 2) & 0x7ff) + 1;
  return {
    vectors,
    table: read32(space.bytes, found.offset + 4),
    pending: read32(space.bytes, found.offset + 8),
  };
}

function placeMessages(
  devices: readonly FleetDevice[],
  bars: readonly PlanBar[] | undefined,
  unknown: FleetDevice | undefined,
): MessagePlace {
  const owners = devices.flatMap((device) => {
    const messages = messagesOf(device);
    return messages === undefined ? [] : [{ device, ...messages }];
  });
  const [first, ...others] = owners;
  if (first === undefined) return KEPT;
  const elsewhere = others.find(({ table, pending }) => table !== first.table || pending !== first.pending);
  const inside = bars === undefined || fitsBars(first, bars);
  if (elsewhere === undefined && inside) return KEPT;
  const reason =
    elsewhere === undefined
      ? 'its table is outside of what all devices have of that BAR'
      : `its table is elsewhere on ${labelOf(elsewhere.device)}`;
  if (unknown !== undefined)
    return { kind: 'lost', why: `${reason}, and the BARs of ${labelOf(unknown)} are not known` };
  const index = freeSlot(devices);
  if (index === undefined) return { kind: 'lost', why: `${reason}, and no BAR is free for it` };
  const most = Math.max(...owners.map(({ vectors }) => vectors));
  return { kind: 'moved', index, pbaOffset: Math.max(0x800, 2 ** Math.ceil(Math.log2(most * 16))) };
}

function fitsBars(
  { vectors, table, pending }: { vectors: number; table: number; pending: number },
  bars: readonly PlanBar[],
): boolean {
  const inside = (place: number, bytes: number) =>
    bars.some(({ index, size }) => index === (place & 7) && ((place & ~7) >>> 0) + bytes <= size);
  return inside(table, vectors * 16) && inside(pending, Math.ceil(vectors / 64) * 8);
}

/** A register that is a BAR of no device. */
function freeSlot(devices: readonly FleetDevice[]): number | undefined {
  const taken = new Set(
    devices.flatMap(({ bars }) =>
      (bars ?? []).flatMap(({ index, kind }) => (kind === 'memory64' ? [index, index + 1] : [index])),
    ),
  );
  return [0, 1, 2, 3, 4, 5].find((index) => !taken.has(index));
}

/** The table in the lower half, the pending bits in the upper. */
function messageBar({ index, pbaOffset }: { index: number; pbaOffset: number }): PlanBar {
  return { index, kind: 'memory32', prefetchable: false, size: 2 * pbaOffset, served: 'vmm' };
}

/** What guests do not see of a device's BARs; nothing where BARs are each device's own. */
export function barLosses(
  own: readonly Bar[],
  planned: readonly PlanBar[] | undefined,
  losses: ReadonlyMap<string, string>,
): { key: string; why: string }[] {
  if (planned === undefined) return [];
  return own.flatMap(({ index, size }) => {
    const key = barKey(index);
    const bar = planned.find((one) => one.index === index);
    if (bar === undefined) return [{ key, why: losses.get(key) ?? 'the plan does not have it' }];
    return bar.size < size ? [{ key, why: `the plan shows ${bar.size} of its ${size} bytes` }] : [];
  });
}

/** Why a device cannot stand behind the BARs of a plan, by `bar N`. */
export function checkBars(
  bars: readonly PlanBar[] | undefined,
  own: readonly Bar[] | undefined,
  missing: Policy['missing'],
): { key: string; why: string }[] {
  if (bars === undefined || own === undefined) return [];
  return bars.flatMap((bar) => {
    if (bar.served === 'vmm') return [];
    const why = barMisfit(
      bar,
      own.find(({ index }) => index === bar.index),
      missing,
    );
    return why === undefined ? [] : [{ key: barKey(bar.index), why }];
  });
}

/** A larger BAR fits: guests see its beginning. Of a smaller one the rest can be emulated: it reads 0. */
function barMisfit(bar: PlanBar, own: Bar | undefined, missing: Policy['missing']): string | undefined {
  const emulated = missing === 'emulate' && bar.kind !== 'io';
  if (own === undefined) return emulated ? undefined : 'the device does not have it';
  if ((own.kind === 'io') !== (bar.kind === 'io'))
    return `the plan has ${bar.kind === 'io' ? 'I/O ports' : 'memory'}, the device ${own.kind === 'io' ? 'I/O ports' : 'memory'}`;
  if (own.size >= bar.size || emulated) return undefined;
  return `the plan has ${bar.size} bytes, the device ${own.size}`;
}
