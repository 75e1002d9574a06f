import type { PciDeviceKind } from '../../../devices/pci/kind.ts';
import { completeOptions } from '../../bus/iommu.ts';
import { TsvmmError } from '../../core/errors.ts';
import { didYouMean } from '../../core/suggest.ts';
import type { Zod } from '../../core/zod.ts';
import { checkTopology } from './check-topology.ts';
import { type FunctionEntry, type HostFile, hostSchema } from './file.ts';

/** The device models that a host may name. @throws TsvmmError naming `source` */
// biome-ignore lint/suspicious/noExplicitAny: kinds of every configuration type
export type KindLookup = (name: string, source: string) => PciDeviceKind<any>;

/** Whether some JSON means to be a host. */
export function isHostFile(json: unknown): boolean {
  return (json as { readonly format?: unknown } | null)?.format === 'tsvmm-host';
}

/** Checks a host that came from outside. @throws TsvmmError naming `source` and the place in it */
export function parseHost(z: Zod, kinds: KindLookup, json: unknown, source: string): HostFile {
  if (!isHostFile(json)) {
    throw new TsvmmError({
      code: 'bad-host',
      object: source,
      why: 'is no host file: its format is not "tsvmm-host"',
      mend: "see 'tsvmm schema host'",
    });
  }
  const parsed = hostSchema(z).safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new TsvmmError({
      code: 'bad-host',
      object: `${source}${placeOf(issue.path)}`,
      why: issue.message.replace(/\.$/, '').replace(/^[A-Z](?=[a-z])/, (c) => c.toLowerCase()),
      mend: "see 'tsvmm schema host'",
    });
  }
  const host = parsed.data;
  checkUnits(host, source);
  checkTopology(host, (place, why, mend) => bad(source, place, why, mend));
  for (const fn of host.functions) if (fn.model !== undefined) checkModel(z, kinds, fn, source);
  return host;
}

const placeOf = (path: readonly PropertyKey[]): string =>
  path.length === 0 ? '' : ` at ${path.map(String).join('.')}`;

function bad(source: string, place: string, why: string, mend?: string): TsvmmError {
  const object = `${source} at ${place}`;
  return new TsvmmError({ code: 'bad-host', object, why, ...(mend === undefined ? {} : { mend }) });
}

function checkUnits({ units, functions }: HostFile, source: string): void {
  const addresses = functions.map(({ address }) => address);
  const ids = new Set<string>();
  const bases = new Map<bigint, string>();
  const named = new Map<string, string>();
  let rest: string | undefined;
  units.forEach((unit, index) => {
    const place = `units.${index}`;
    if (ids.has(unit.id)) throw bad(source, `${place}.id`, `another unit is '${unit.id}', too`);
    ids.add(unit.id);
    const base = BigInt(unit.base);
    const at = bases.get(base);
    if (at !== undefined) throw bad(source, `${place}.base`, `unit ${at} has its registers there`);
    bases.set(base, unit.id);
    if (unit.kind !== units[0]!.kind)
      throw bad(
        source,
        `${place}.kind`,
        `a host has units of one architecture, and ${units[0]!.id} is ${units[0]!.kind}`,
      );
    const misplaced = unit.quirks.find((quirk) => QUIRK_OF[quirk] !== unit.kind);
    if (misplaced !== undefined)
      throw bad(source, `${place}.quirks`, `'${misplaced}' is no erratum of a ${unit.kind} unit`);
    if (unit.devices === 'rest') {
      if (rest !== undefined)
        throw bad(source, `${place}.devices`, `unit ${rest} stands for the rest already`);
      rest = unit.id;
      return;
    }
    unit.devices.forEach((address, at) => {
      if (!addresses.includes(address))
        throw bad(
          source,
          `${place}.devices.${at}`,
          `there is no function ${address}`,
          didYouMean(address, addresses),
        );
      const other = named.get(address);
      if (other !== undefined)
        throw bad(source, `${place}.devices.${at}`, `unit ${other} stands for ${address}`);
      named.set(address, unit.id);
    });
  });
}

const QUIRK_OF = { 'read-only-parents': 'vtd', 'repeat-invalidations': 'smmuv3' } as const;

function checkModel(z: Zod, kinds: KindLookup, fn: FunctionEntry, source: string): void {
  const { kind: name, options } = fn.model!;
  const kind = kinds(name, `${source} at ${fn.address}`);
  if (kind.bridge === true) throw bad(source, `${fn.address} model`, `'${name}' is a bridge`);
  const parsed = kind.schema(z).safeParse(completeOptions(kind, options));
  if (parsed.success) return;
  const issue = parsed.error.issues[0]!;
  const keys = (issue as { readonly keys?: readonly string[] }).keys;
  throw new TsvmmError({
    code: 'bad-host',
    object: `${source} at ${fn.address} model${placeOf(issue.path).replace(' at ', '.')}`,
    why: issue.message.replace(/\.$/, '').replace(/^[A-Z](?=[a-z])/, (c) => c.toLowerCase()),
    mend:
      keys === undefined
        ? `see '--device ${name},help'`
        : didYouMean(keys[0]!, Object.keys(kind.defaults as object)),
  });
}
