import { parseBdf } from '../../core/bdf.ts';
import type { TsvmmError } from '../../core/errors.ts';
import { type FunctionEntry, type HostFile, PORT_TYPES } from './file.ts';

/** Makes the error for a place in the file. */
export type Complain = (place: string, why: string, mend?: string) => TsvmmError;

/** Functions before the present one, and the buses behind ports. */
interface Seen {
  readonly functions: Map<string, FunctionEntry>;
  /** Bus numbers by the address of the port before them. */
  readonly behind: Map<string, number>;
}

/** Ports are before what is behind them, buses have one number each, functions are where such functions can be. */
export function checkTopology({ functions }: HostFile, complain: Complain): void {
  const seen: Seen = { functions: new Map(), behind: new Map() };
  functions.forEach((fn, index) => {
    const here: Complain = (key, why, mend) =>
      complain(`functions.${index}.${key} (${fn.address})`, why, mend);
    if (seen.functions.has(fn.address)) throw here('address', 'another function has this address');
    checkParts(fn, here);
    if (fn.type === 'vf') checkVirtual(fn, seen, here);
    else checkPlace(fn, seen, here);
    seen.functions.set(fn.address, fn);
  });
  checkBuses(functions, seen.behind, complain);
}

function checkParts(fn: FunctionEntry, here: Complain): void {
  if (fn.config !== undefined && fn.model !== undefined)
    throw here('config', 'the model says the configuration space', 'leave out config or model');
  if (fn.model !== undefined && isPort(fn)) throw here('model', 'a port moves no data of its own');
  if (fn.of !== undefined && fn.type !== 'vf')
    throw here('of', `a ${fn.type} is no virtual function`, 'make its type vf');
  fn.config?.forEach((row, at, rows) => {
    const next = offsetOf(row);
    if (at > 0 && next <= offsetOf(rows[at - 1]!))
      throw here(
        `config.${at}`,
        `a row at ${hex2(next)} does not come after one at ${hex2(offsetOf(rows[at - 1]!))}`,
      );
  });
  fn.reserved.forEach(({ base, limit }, at) => {
    const [first, last] = [BigInt(base), BigInt(limit)];
    if (first > last || first % 4096n !== 0n || (last + 1n) % 4096n !== 0n)
      throw here(`reserved.${at}`, 'is no range of whole pages');
  });
}

function checkPlace(fn: FunctionEntry, { functions, behind }: Seen, here: Complain): void {
  if (fn.under === undefined) {
    if (fn.type === 'downstream-port' || fn.type === 'upstream-port')
      throw here('under', `a ${fn.type} is behind another port`, 'name the port');
    return;
  }
  const port = functions.get(fn.under);
  if (port === undefined) throw here('under', `there is no function ${fn.under} before it`);
  if (!isPort(port)) throw here('under', `${fn.under} is of type ${port.type}, and nothing is behind those`);
  if (fn.type === 'root-port' || fn.type === 'rc-endpoint')
    throw here('under', `a ${fn.type} is on a root bus`, 'leave it out');
  if ((fn.type === 'downstream-port') !== (port.type === 'upstream-port'))
    throw here('under', `a ${fn.type} is not behind a ${port.type}`);
  const bus = busOf(fn.address);
  const known = behind.get(fn.under) ?? bus;
  if (known !== bus) throw here('address', `the bus behind ${fn.under} is ${hex2(known)}`);
  if (bus <= busOf(fn.under)) throw here('address', `the bus behind ${fn.under} has a number above its own`);
  behind.set(fn.under, bus);
}

function checkVirtual(fn: FunctionEntry, { functions }: Seen, here: Complain): void {
  if (fn.under !== undefined)
    throw here('under', 'a virtual function is where its physical function is', 'leave it out');
  if (fn.of === undefined) throw here('of', 'a virtual function has a physical one', 'name it');
  const physical = functions.get(fn.of);
  if (physical === undefined) throw here('of', `there is no function ${fn.of} before it`);
  if (physical.type === 'vf' || isPort(physical))
    throw here('of', `a ${physical.type} has no virtual functions`);
  if (fn.model !== undefined) throw here('model', 'it is the one of its physical function', 'leave it out');
  if (physical.model !== undefined && fn.config !== undefined)
    throw here('config', `the model of ${fn.of} says the configuration space`, 'leave it out');
}

/** No two buses have the same number. */
function checkBuses(
  functions: readonly FunctionEntry[],
  behind: ReadonlyMap<string, number>,
  complain: Complain,
): void {
  const roots = functions.filter(({ under, type }) => under === undefined && type !== 'vf');
  const owners = new Map(roots.map(({ address }) => [busOf(address), 'a root bus']));
  for (const [port, bus] of behind) {
    const owner = owners.get(bus);
    if (owner !== undefined)
      throw complain(`the bus behind ${port}`, `${hex2(bus)} is the number of ${owner}, too`);
    owners.set(bus, `the bus behind ${port}`);
  }
}

export const isPort = ({ type }: FunctionEntry): boolean => (PORT_TYPES as readonly string[]).includes(type);

/** Bus 15:8, device 7:3, function 2:0 of an address that the schema has seen. */
export const routingId = (address: string): number => parseBdf(address)!;

export const busOf = (address: string): number => routingId(address) >>> 8;

/** Where a row of a dump begins. */
export const offsetOf = (row: string): number => Number.parseInt(row, 16);

const hex2 = (value: number): string => value.toString(16).padStart(2, '0');
