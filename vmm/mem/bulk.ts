/**
 * What WebAssembly does with many bytes of the linear memory faster than JavaScript: copyWithin needs 7 ns more before it begins,
 * and for some hundred bytes three times as long; looking through an empty table takes a tenth of the time.
 */

/** bulk.wat, assembled; a test compares the two. */
export const BULK_MODULE = [
  'AGFzbQEAAAABDQJgA39/fwBgAn9/AX8CDAEDcmFtA3JhbQIAAQMDAgABBxQCBGNvcHkAAAlza2lwWmVyb3MAAQpmAgwAIAAgASAC',
  '/AoAAAtXAAJAA0AgASAAa0EgSQ0BIAApAwAgACkDCIQgACkDECAAKQMYhIRQRQ0BIABBIGohAAwACwsCQANAIAAgAU8NASAAKQMA',
  'UEUNASAAQQhqIQAMAAsLIAAL',
].join('');

export interface Bulk {
  /** Moves bytes; the places may overlap. */
  readonly copy: (to: number, from: number, bytes: number) => void;
  /** The address of the first quadword from `at` on that is not 0, or `end`; signed. Both are aligned. */
  readonly skipZeros: (at: number, end: number) => number;
}

let compiled: WebAssembly.Module | undefined;

export function bulkOf(memory: WebAssembly.Memory): Bulk {
  compiled ??= new WebAssembly.Module(Buffer.from(BULK_MODULE, 'base64'));
  const { exports } = new WebAssembly.Instance(compiled, { ram: { ram: memory } });
  const { copy, skipZeros } = exports as unknown as Bulk;
  return { copy, skipZeros };
}
