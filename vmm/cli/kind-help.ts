/** `--device help`, `--device KIND,help` and the same of --viommu, from the kinds' own records. */

import type { Zod, ZodType } from '../core/zod.ts';
import type { Registry } from '../machine/registry.ts';
import { COPY_HOST, loadZod, PLACE_KEYS } from './machine-options.ts';
import { parseKindSpec } from './values.ts';

interface Kind {
  readonly name: string;
  readonly summary: string;
  readonly defaults: unknown;
  readonly schema: (z: Zod) => ZodType;
}

/** The help that one of the option's values asks for; undefined when none does. */
export async function kindHelp(
  option: '--device' | '--viommu',
  values: readonly string[],
  registry: Registry,
): Promise<string | undefined> {
  const kinds: readonly Kind[] = option === '--device' ? registry.pciKinds : registry.iommuKinds;
  for (const text of values) {
    if (text === 'help' || text === '?') return kindList(option, kinds);
    const spec = parseKindSpec(text, option);
    if (!spec.help) continue;
    if (option === '--viommu' && spec.kind === COPY_HOST) return COPY_HELP;
    const kind = option === '--device' ? registry.pci(spec.kind) : registry.iommu(spec.kind);
    return keyList(option, kind, await loadZod());
  }
  return undefined;
}

const COPY_HELP = `${COPY_HOST} takes the keys of the kind that it becomes, intel or smmuv3, in place of what the unit says: see these\n`;

function kindList(option: string, kinds: readonly Kind[]): string {
  const rows = kinds.map((k): readonly [string, string] => [k.name, k.summary]);
  if (option === '--viommu') {
    rows.push([
      COPY_HOST,
      'made after the most capable unit of --host that boot-time vfio-pci devices are behind',
    ]);
    rows.push(['none', 'no IOMMU: DMA goes straight to memory']);
  }
  return columns(rows);
}

interface Property {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly description?: string;
}

function keyList(option: string, kind: Kind, z: Zod): string {
  const defaults = kind.defaults as Readonly<Record<string, unknown>>;
  const schema = z.toJSONSchema(kind.schema(z), { unrepresentable: 'any', io: 'input' });
  const properties = (schema.properties ?? {}) as Readonly<Record<string, Property>>;
  const rows = Object.entries(defaults).map(([key, fallback]): readonly [string, string] => [
    `${key}=${valueShape(properties[key])}`,
    [properties[key]?.description, `default ${shown(fallback)}`].filter((s) => s !== undefined).join('; '),
  ]);
  const place: readonly (readonly [string, string])[] =
    option === '--device'
      ? [
          [`${PLACE_KEYS[0]}=NAME`, 'names the device; default: its kind and a number'],
          [`${PLACE_KEYS[1]}=SLOT.FN`, 'its place on the bus; default: the next free slot'],
          [`${PLACE_KEYS[2]}=ID`, 'the root port it is plugged into; default: the root bus'],
          [`${PLACE_KEYS[3]}=PLAN`, "a virtual config space (tsvmm vconfig plan); default: the kind's own"],
        ]
      : [];
  return `${kind.name}: ${kind.summary}\n${columns([...rows, ...place])}`;
}

function valueShape(property: Property | undefined): string {
  if (property?.enum !== undefined) return property.enum.join('|');
  switch (property?.type) {
    case 'boolean':
      return 'on|off';
    case 'integer':
    case 'number':
      return range(property);
    default:
      return (property?.type ?? 'value').toUpperCase();
  }
}

function range({ minimum, maximum }: Property): string {
  const unbounded = minimum === undefined || maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER;
  return unbounded ? 'NUMBER' : `${minimum}..${maximum}`;
}

function shown(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (typeof value === 'number' && value > 0xffff) return `0x${value.toString(16)}`;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value);
}

export function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...rows.map(([term]) => term.length)) + 2;
  return rows.map(([term, doc]) => `  ${term.padEnd(width)}${doc}\n`).join('');
}
