import type { Zod } from '../../vmm/core/zod.ts';
import type { SvmKey } from './svm-capabilities.ts';

/** What an operator decides about the virtual configuration space of a fleet. */
export interface Policy {
  /** Capabilities of shared virtual memory that guests should have. */
  readonly want: readonly SvmKey[];
  /** Keys of capabilities that guests should not see although every device has them. */
  readonly drop: readonly string[];
  /** Bytes that stay free, `320-33f`. */
  readonly reserve: readonly string[];
  /** Places that are decided, by key: `{"pasid": "ff8"}`, in hex. */
  readonly offsets: Readonly<Record<string, string>>;
  /** Most bits of a PASID. */
  readonly pasidWidth: number;
  /** A capability that only some devices have: leave it out, or let the VMM emulate its bytes for the others. */
  readonly missing: 'drop' | 'emulate';
  /** `8086:0b25`: what guests see as vendor and device. Without it, the first device's. */
  readonly identity: string | null;
  /** Show a DVSEC that lists the free bytes, so that a VMM further down needs no list. */
  readonly declareFree: boolean;
}

export const DEFAULT_POLICY: Policy = {
  want: ['pasid', 'ats', 'pri'],
  // Only physical, or the host's alone: what QEMU drops for assigned devices, too.
  drop: ['sriov', 'ari', 'rebar', 'vfrebar'],
  reserve: [],
  offsets: {},
  pasidWidth: 20,
  missing: 'drop',
  identity: null,
  declareFree: false,
};

export const policySchema = (z: Zod) =>
  z
    .strictObject({
      want: z.array(z.enum(['pasid', 'ats', 'pri'])).describe('Capabilities that guests should have'),
      drop: z.array(z.string()).describe('Keys of capabilities that guests should not see'),
      reserve: z
        .array(z.string().regex(/^[0-9a-f]{1,3}(-[0-9a-f]{1,3})?$/i))
        .describe('Bytes that stay free, in hex'),
      offsets: z
        .record(z.string(), z.string().regex(/^[0-9a-f]{2,3}$/i))
        .describe('Places that are decided, in hex, by key'),
      pasidWidth: z.number().int().min(1).max(20),
      missing: z
        .enum(['drop', 'emulate'])
        .describe('What becomes of a capability that only some devices have'),
      identity: z
        .string()
        .regex(/^[0-9a-f]{4}:[0-9a-f]{4}$/i)
        .nullable()
        .describe('vendor:device that guests see; without it, those of the first device'),
      declareFree: z.boolean().describe('Show a DVSEC that lists the free bytes'),
    })
    .partial()
    .describe('What an operator decides about virtual configuration spaces');
