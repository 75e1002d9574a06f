import { type Chain, lengthInVfio } from './capability-table.ts';
import { dissect, EXPRESS_BYTES } from './space.ts';

/**
 * What a guest would see through vfio-pci: hidden capabilities are taken out of their chains, though their bytes can still be read;
 * of a hidden first extended capability the header stays as an anchor with id 0, because that chain has a fixed start (Linux,
 * drivers/vfio/pci/vfio_pci_config.c: vfio_ecap_init).
 */
export function vfioView(space: Uint8Array): Uint8Array {
  const view = new Uint8Array(space);
  const shown = dissect(space).capabilities.filter(
    ({ kind, offset }) => lengthInVfio(kind, { space, at: offset }) > 0,
  );
  const of = (chain: Chain) => shown.filter(({ kind }) => kind.chain === chain).map(({ offset }) => offset);
  linkStandard(view, of('standard'));
  if (space.length === EXPRESS_BYTES) linkExtended(view, of('extended'));
  return view;
}

/** Rewrites the pointers of the standard chain so that it visits `offsets`, and the status bit that says there is one. */
export function linkStandard(space: Uint8Array, offsets: readonly number[]): void {
  space[6] = ((space[6] as number) & ~0x10) | (offsets.length > 0 ? 0x10 : 0);
  space[0x34] = offsets[0] ?? 0;
  offsets.forEach((offset, index) => {
    space[offset + 1] = offsets[index + 1] ?? 0;
  });
}

/** The same for the extended chain, which starts at 100h: with an anchor where nothing of `offsets` is there. */
export function linkExtended(space: Uint8Array, offsets: readonly number[]): void {
  const view = new DataView(space.buffer, space.byteOffset, space.byteLength);
  const order =
    offsets.length > 0 && offsets[0] !== 0x100 ? [0x100, ...offsets.filter((one) => one !== 0x100)] : offsets;
  if (!offsets.includes(0x100)) view.setUint32(0x100, 0, true);
  order.forEach((offset, index) => {
    const header = view.getUint32(offset, true) & 0x000f_ffff;
    view.setUint32(offset, (header | ((order[index + 1] ?? 0) << 20)) >>> 0, true);
  });
}
