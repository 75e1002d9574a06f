import type { DeviceFacts } from './facts.ts';

/** The capabilities of shared virtual memory, which the VMM can emulate for a device that has them physically. */
export type SvmKey = 'pasid' | 'ats' | 'pri';
export const SVM_KEYS: readonly SvmKey[] = ['pasid', 'ats', 'pri'];

/** Their sizes and ids (PCI Express Base: PASID, ATS and Page Request Extended Capability Structure). */
export const SVM_SHAPE = {
  pasid: { id: 0x1b, version: 1, length: 8 },
  ats: { id: 0x0f, version: 1, length: 8 },
  pri: { id: 0x13, version: 1, length: 16 },
} as const satisfies Record<SvmKey, { id: number; version: number; length: number }>;

/** Outstanding page requests that the virtual capability offers. */
const PRI_CAPACITY = 512;

/** Whether a device can serve the capability. */
export function serves(facts: DeviceFacts, key: SvmKey): boolean {
  return key === 'pasid' ? facts.pasidWidth > 0 : facts[key];
}

/** What every device of a list can do. */
export function meetFacts(list: readonly DeviceFacts[]): DeviceFacts {
  return list.reduce((a, b) => ({
    pasidWidth: Math.min(a.pasidWidth, b.pasidWidth),
    pasidExec: a.pasidExec && b.pasidExec,
    pasidPriv: a.pasidPriv && b.pasidPriv,
    ats: a.ats && b.ats,
    pri: a.pri && b.pri,
  }));
}

/** The capability's bytes with the next pointer 0 and everything disabled. */
export function svmContents(key: SvmKey, facts: DeviceFacts): Uint8Array {
  const { id, version, length } = SVM_SHAPE[key];
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, id | (version << 16), true);
  switch (key) {
    case 'pasid':
      view.setUint16(
        4,
        (facts.pasidExec ? 2 : 0) | (facts.pasidPriv ? 4 : 0) | (facts.pasidWidth << 8),
        true,
      );
      break;
    case 'ats':
      // Queue depth 0 stands for 32; requests are page-aligned.
      view.setUint16(4, 0x20, true);
      break;
    default:
      // Stopped; responses need the PASID of a request that had one.
      view.setUint16(6, 0x8100, true);
      view.setUint32(8, PRI_CAPACITY, true);
  }
  return bytes;
}
