/** The published schema of what `tsvmm run --report FILE.json` leaves. */

import type { Zod, ZodType } from '../core/zod.ts';
import { RUN_VERSION } from './data.ts';

/** @param verdict of what --json prints */
export function runSchema(z: Zod, verdict: ZodType): ZodType {
  return z
    .strictObject({
      tsvmmRun: z.literal(RUN_VERSION).describe('version of this format'),
      program: z.string().describe('version of tsvmm'),
      verdict,
      machine: z.looseObject({}).describe('the machine description, as --config reads it'),
      inside: z.strictObject({
        requesters: z.array(z.strictObject({ requester: z.string(), name: z.string() })),
        timeline: timelineSchema(z),
        moments: z.array(momentSchema(z)).describe('the tables when something happened, in order of time'),
      }),
    })
    .describe('What tsvmm run --report FILE.json writes and tsvmm report reads');
}

function timelineSchema(z: Zod): ZodType {
  const index = z.number().int().min(0);
  const time = z.number().min(0).describe('virtual time in ns');
  const lane = z.strictObject({
    group: z.enum(['guest', 'iommu', 'machine', 'requester']),
    name: z.string(),
    requester: z.string().optional(),
    pasid: index.optional(),
  });
  const item = z.strictObject({
    lane: index,
    kind: z.enum([
      'dma',
      'binding',
      'page-request',
      'fault',
      'store',
      'invalidation',
      'announcement',
      'mistake',
      'event',
    ]),
    name: z.string(),
    at: time,
    end: time.optional().describe('of what lasts'),
    open: z.literal(true).optional().describe('it had not ended when the trace did'),
    refused: z
      .literal(true)
      .optional()
      .describe('of a DMA: a fault fell into it, and can belong to no other'),
    args: z.record(z.string(), z.union([z.string(), z.number()])),
  });
  const flow = z
    .array(index)
    .min(2)
    .describe('a table store, the invalidation that announced it if one did, the faults it caused');
  return z
    .strictObject({
      lanes: z.array(lane),
      items: z.array(item),
      flows: z.array(flow),
      end: time,
      dropped: index.describe('not 0 when there were more events than are kept'),
    })
    .refine((t) => t.items.every((i) => i.lane < t.lanes.length), 'an item is in a lane that does not exist')
    .refine(
      (t) => t.flows.every((f) => f.every((i) => i < t.items.length)),
      'a flow leads to an item that does not exist',
    );
}

function momentSchema(z: Zod): ZodType {
  const field = z.strictObject({
    name: z.string(),
    bits: z.string(),
    value: z.string(),
    meaning: z.string().optional(),
    doc: z.string(),
  });
  const node = z.strictObject({
    what: z.string(),
    of: z.string(),
    address: z.string(),
    raw: z.array(z.string()),
    fields: z.array(field),
    lastWriter: z.string().optional(),
    note: z.string().optional(),
    get children(): ZodType {
      return z.array(node);
    },
  });
  return z.strictObject({
    label: z.string(),
    at: z.number().min(0).describe('virtual time in ns'),
    tables: z.strictObject({
      roots: z.array(node),
      cut: z.boolean().describe('there are more entries'),
    }),
  });
}
