/** QEMU's device properties as options of our kinds: declared tables, read the same way for -device and -global. */

import { TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';

/** How a property's text becomes a value. */
export type PropertyType =
  | { readonly kind: 'bool' }
  /** on, off, or auto, which is what `auto` says. */
  | { readonly kind: 'auto'; readonly auto: boolean }
  | { readonly kind: 'number'; readonly choices?: readonly number[]; readonly max?: number }
  /** A number of 64 bits, kept as text. */
  | { readonly kind: 'mask' }
  | { readonly kind: 'text' }
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  /** Known to QEMU; here only `off` (or the value `only`) is possible. */
  | { readonly kind: 'refused'; readonly only: string; readonly why: string };

export interface Property {
  readonly type: PropertyType;
  /** Option of our kind; absent where the value only has to be right. */
  readonly to?: string;
  readonly doc: string;
}

export type PropertyTable = Readonly<Record<string, Property>>;

const BOOLS: Readonly<Record<string, boolean>> = {
  on: true,
  yes: true,
  true: true,
  y: true,
  off: false,
  no: false,
  false: false,
  n: false,
};

const PASID_MODE = 'its successor says how wide PASIDs are: pasid-bits=20';

export const INTEL_IOMMU_PROPERTIES: PropertyTable = {
  'aw-bits': { type: { kind: 'number', choices: [39, 48] }, to: 'aw-bits', doc: 'address width' },
  'caching-mode': { type: { kind: 'bool' }, to: 'caching-mode', doc: 'not-present entries are cached' },
  intremap: { type: { kind: 'auto', auto: true }, to: 'intremap', doc: 'interrupt remapping' },
  eim: { type: { kind: 'auto', auto: false }, to: 'eim', doc: 'extended interrupt mode' },
  'device-iotlb': { type: { kind: 'bool' }, to: 'device-iotlb', doc: 'device-TLBs' },
  pt: { type: { kind: 'bool' }, to: 'pt', doc: 'pass-through context entries' },
  'dma-drain': { type: { kind: 'bool' }, to: 'dma-drain', doc: 'report draining' },
  'snoop-control': { type: { kind: 'bool' }, to: 'snoop-control', doc: 'snoop bit of leaves' },
  'scalable-mode': { type: { kind: 'bool' }, to: 'scalable-mode', doc: 'scalable mode' },
  'x-scalable-mode': { type: { kind: 'bool' }, to: 'scalable-mode', doc: 'scalable mode' },
  fsts: { type: { kind: 'bool' }, to: 'fsts', doc: 'first-stage tables' },
  'x-flts': { type: { kind: 'bool' }, to: 'fsts', doc: 'first-stage tables' },
  svm: { type: { kind: 'bool' }, to: 'page-requests', doc: 'page requests; PASIDs are `pasid-bits`' },
  'pasid-bits': { type: { kind: 'number', max: 20 }, to: 'pasid-bits', doc: 'PASID width' },
  'x-pasid-mode': { type: { kind: 'refused', only: 'off', why: PASID_MODE }, doc: 'PASIDs' },
};

export const ARM_SMMUV3_PROPERTIES: PropertyTable = {
  stage: {
    type: { kind: 'choice', choices: ['1', '2', 'nested'] },
    to: 'stage',
    doc: 'stages of translation',
  },
  ril: { type: { kind: 'auto', auto: true }, to: 'ril', doc: 'range invalidation' },
  ats: { type: { kind: 'auto', auto: false }, to: 'ats', doc: 'address translation services' },
  oas: { type: { kind: 'number', choices: [32, 36, 40, 42, 44, 48] }, to: 'oas', doc: 'output address size' },
  ssidsize: { type: { kind: 'number', max: 20 }, to: 'ssidsize', doc: 'SubstreamID width' },
};

export const EDU_PROPERTIES: PropertyTable = {
  dma_mask: { type: { kind: 'mask' }, to: 'dma_mask', doc: 'address bits of its DMA' },
};

export const ROOT_PORT_PROPERTIES: PropertyTable = {
  chassis: { type: { kind: 'number', max: 255 }, doc: 'chassis number; with slot it must be unique' },
  slot: { type: { kind: 'number', max: 0x1fff }, to: 'slot', doc: 'physical slot number' },
};

/** Where a PCI device is; of every -device but the IOMMU. */
export const PLACE_PROPERTIES: PropertyTable = {
  id: { type: { kind: 'text' }, doc: 'name of the device' },
  bus: { type: { kind: 'text' }, doc: 'id of a root port, or pcie.0' },
  addr: { type: { kind: 'text' }, doc: 'slot and function in hex' },
  // The header-type bit follows from what is plugged in; a function 0 alone has none to announce.
  multifunction: { type: { kind: 'bool' }, doc: 'other functions share the slot' },
};

/** @param where the option and device, for messages */
export function readProperty(table: PropertyTable, key: string, text: string, where: string): unknown {
  const property = table[key];
  if (property === undefined) {
    throw new TsvmmError({
      code: 'unknown-property',
      object: where,
      why: `has no property '${key}'`,
      mend: didYouMean(key, Object.keys(table)),
    });
  }
  return convert(property.type, text, `${where}: ${key}`);
}

function convert(type: PropertyType, text: string, where: string): unknown {
  switch (type.kind) {
    case 'bool':
      return BOOLS[text] ?? bad(where, text, 'write on or off');
    case 'auto':
      return text === 'auto' ? type.auto : (BOOLS[text] ?? bad(where, text, 'write on, off or auto'));
    case 'number':
      return numberFrom(type, text, where);
    case 'mask':
      return /^(0x[0-9a-f]{1,16}|\d{1,19})$/i.test(text)
        ? text
        : bad(where, text, 'write a number of 64 bits');
    case 'text':
      return text === '' ? bad(where, text, 'write a name') : text;
    case 'choice':
      return type.choices.includes(text) ? text : bad(where, text, `use one of: ${type.choices.join(', ')}`);
    case 'refused':
      if (text === type.only || (type.only === 'off' && BOOLS[text] === false)) return undefined;
      throw new TsvmmError({ code: 'not-implemented', object: where, why: type.why, mend: 'leave it out' });
  }
}

function numberFrom(
  { choices, max }: { readonly choices?: readonly number[]; readonly max?: number },
  text: string,
  where: string,
): number {
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
  if (choices !== undefined && !choices.includes(value))
    return bad(where, text, `use one of: ${choices.join(', ')}`);
  return value <= (max ?? Number.MAX_SAFE_INTEGER)
    ? value
    : bad(where, text, `write a number up to ${max ?? 2 ** 53 - 1}`);
}

export function bad(where: string, text: string, mend: string): never {
  throw new TsvmmError({ code: 'bad-value', object: where, why: `'${text}' is not possible`, mend });
}
