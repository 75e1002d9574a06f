import { TsvmmError } from '../../vmm/core/errors.ts';
import type { Zod } from '../../vmm/core/zod.ts';
import type { Chain } from './capability-table.ts';
import type { Policy } from './policy.ts';
import { policySchema } from './policy.ts';
import type { Bar } from './space.ts';

/** One capability of a planned space. */
export interface PlanCapability {
  readonly key: string;
  readonly chain: Chain;
  readonly id: number;
  readonly version: number;
  readonly offset: number;
  readonly length: number;
  /** What its bytes are at first, in hex, without the pointer to the next one. */
  readonly contents: string;
  /** Bytes, from its start, that each device brings along: `04-0b`. */
  readonly varies: readonly string[];
  /** Who serves it: the device's own registers (moved, where they are elsewhere), or the VMM alone. */
  readonly served: 'device' | 'vmm';
}

/** A BAR as guests see it. */
export interface PlanBar extends Bar {
  /** The VMM's own has the table of MSI-X. */
  readonly served: 'device' | 'vmm';
}

/** The virtual configuration space of a fleet: what guests see, wherever they run. Part of a migratable machine. */
export interface Plan {
  readonly format: 'tsvmm-vconfig-plan';
  readonly version: 1;
  /** 256 or 4096. */
  readonly bytes: number;
  /** The first 64 bytes, in hex: BARs and command are 0. */
  readonly header: string;
  readonly capabilities: readonly PlanCapability[];
  /** Absent where the sizes of some device's BARs were not known: then they are each device's own. */
  readonly bars?: readonly PlanBar[];
  readonly policy: Policy;
  /** The devices that it was made for. */
  readonly devices: readonly { readonly name: string; readonly source: string; readonly id: string }[];
}

export const PLAN_VERSION = 1;

export const planSchema = (z: Zod) => {
  const hex = z.string().regex(/^([0-9a-f]{2})*$/);
  const capability = z.strictObject({
    key: z.string().min(1),
    chain: z.enum(['standard', 'extended']),
    id: z.number().int().min(1).max(0xffff),
    version: z.number().int().min(0).max(15),
    offset: z.number().int().min(0x40).max(0xffc).multipleOf(4),
    length: z.number().int().min(2).max(0xf00),
    contents: hex,
    varies: z.array(z.string().regex(/^[0-9a-f]{2,3}(-[0-9a-f]{2,3})?$/)),
    served: z.enum(['device', 'vmm']),
  });
  return z
    .strictObject({
      format: z.literal('tsvmm-vconfig-plan'),
      version: z.literal(PLAN_VERSION),
      bytes: z.union([z.literal(256), z.literal(4096)]),
      header: hex.length(128),
      capabilities: z.array(capability),
      bars: z
        .array(
          z.strictObject({
            index: z.number().int().min(0).max(5),
            kind: z.enum(['memory32', 'memory64', 'io']),
            prefetchable: z.boolean(),
            size: z.number().int().min(4),
            served: z.enum(['device', 'vmm']),
          }),
        )
        .optional(),
      policy: policySchema(z).required(),
      devices: z.array(z.strictObject({ name: z.string(), source: z.string(), id: z.string() })),
    })
    .describe('The virtual configuration space of a fleet, as tsvmm vconfig plan writes it');
};

/** What the schema does not say: everything lies inside, and apart. @throws TsvmmError naming `source` */
export function checkPlan(plan: Plan, source: string): void {
  const refuse = (why: string) => new TsvmmError({ code: 'bad-vconfig-plan', object: source, why });
  const sorted = [...plan.capabilities].sort((a, b) => a.offset - b.offset);
  sorted.forEach((one, index) => {
    const next = sorted[index + 1];
    if (one.offset + one.length > plan.bytes) throw refuse(`${one.key} ends outside of the space`);
    if (next !== undefined && one.offset + one.length > next.offset)
      throw refuse(`${one.key} and ${next.key} overlap`);
    if (one.contents.length !== 2 * one.length)
      throw refuse(`${one.key} has not as many bytes as its length`);
  });
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, index) =>
    Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16),
  );
}
