import { bytesOf, hexOf, type PlanCapability } from './plan.ts';

/** PCI Express Base: PCI Express Capabilities: Device/Port Type. */
const RC_ENDPOINT = 9;
/** One lane of 2.5 GT/s: speed and width of Link Capabilities and Link Status, Supported Link Speeds. */
const ONE_LANE: readonly (readonly [at: number, value: number])[] = [
  [0x0c, 0x11],
  [0x12, 0x11],
  [0x2c, 0x02],
];

/**
 * A function that is integrated in the root complex where it was planned, and behind a port here, is an endpoint with a link of one
 * lane (as QEMU shows assigned ones). The other way round the root bus shows an endpoint as an integrated one.
 */
export function behindPort(capability: PlanCapability): PlanCapability {
  if (capability.key !== 'pcie') return capability;
  return { ...capability, contents: withLink(bytesOf(capability.contents)) };
}

function withLink(contents: Uint8Array): string {
  if (contents[2]! >>> 4 !== RC_ENDPOINT) return hexOf(contents);
  contents[2]! &= 0xf;
  for (const [at, value] of ONE_LANE) if (at < contents.length) contents[at] = value;
  return hexOf(contents);
}
