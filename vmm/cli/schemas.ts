/** The published schemas of what --json prints; functions of zod, which no fast path loads. */

import type { Zod } from '../core/zod.ts';

export function verdictSchema(z: Zod) {
  const step = z.strictObject({
    what: z.string(),
    address: z.string().optional(),
    raw: z.array(z.string()),
    fields: z.string(),
    source: z.enum(['memory', 'cache']),
    lastWriter: z.string().optional(),
  });
  const fault = z.strictObject({
    iommu: z.string(),
    requester: z.number().int(),
    pasid: z.number().int().describe('-1 for a request without PASID'),
    address: z.string(),
    access: z.enum(['read', 'write', 'execute', 'atomic', 'interrupt']),
    code: z.string(),
    name: z.string(),
    why: z.string(),
    steps: z.array(step),
    recorded: z.boolean(),
    note: z.string().optional(),
  });
  const tap = z.strictObject({
    planned: z.number().int().nullable(),
    passed: z.number().int(),
    failed: z.number().int(),
    skipped: z.number().int(),
    todo: z.number().int(),
    failures: z.array(z.strictObject({ number: z.number().int(), description: z.string() })),
    bailOut: z.string().nullable(),
    problems: z.array(z.string()),
  });
  return z
    .strictObject({
      verdict: z.enum(['passed', 'failed', 'crashed', 'hung', 'saved', 'stopped']),
      exitCode: z.number().int().describe('exit code of tsvmm'),
      guest: z.string(),
      exitStatus: z.number().int().nullable().describe('exit status of the guest, null when it did not exit'),
      reason: z.string().nullable().describe('why it did not pass'),
      tap: tap.nullable().describe('what the TAP lines on the console said; null without any'),
      virtualNs: z.number().describe('virtual time from power-on'),
      instructions: z.number().int(),
      seed: z.number().int().nullable(),
      faults: z.array(fault).describe('DMA faults, each explained entry by entry'),
      report: z.string().nullable().describe('crash or hang report for people'),
      replay: z.string().nullable().describe('the command that does a failed run again'),
      console: z.string().describe('everything the guest printed'),
    })
    .describe('What tsvmm run --json prints');
}

export function errorSchema(z: Zod) {
  return z
    .strictObject({
      verdict: z.literal('error'),
      exitCode: z.number().int(),
      error: z.strictObject({ code: z.string(), object: z.string(), message: z.string() }),
    })
    .describe('What any command prints with --json when it is refused');
}

export function infoSchema(z: Zod) {
  const view = z.strictObject({ name: z.string(), doc: z.string(), data: z.unknown() });
  return z
    .strictObject({ topic: z.string(), views: z.array(view) })
    .describe('What tsvmm info TOPIC --json prints');
}

export function snapshotDiffSchema(z: Zod) {
  const difference = z.strictObject({ path: z.string(), a: z.string(), b: z.string() });
  return z
    .strictObject({ same: z.boolean(), differences: z.array(difference) })
    .describe('What tsvmm snapshot diff --json prints');
}

export function versionSchema(z: Zod) {
  return z
    .strictObject({ tsvmm: z.string(), node: z.string(), v8: z.string() })
    .describe('What tsvmm version --json prints');
}

export function vconfigCheckSchema(z: Zod) {
  const device = z.strictObject({
    device: z.string(),
    fits: z.boolean(),
    misfits: z.array(z.strictObject({ key: z.string(), why: z.string() })),
    served: z.array(z.strictObject({ key: z.string(), by: z.string() })),
  });
  return z
    .strictObject({ fits: z.boolean(), devices: z.array(device) })
    .describe('What tsvmm vconfig check --json prints');
}

export function vconfigShowSchema(z: Zod) {
  const capability = z.strictObject({
    key: z.string(),
    name: z.string(),
    chain: z.enum(['standard', 'extended']),
    offset: z.number().int(),
    length: z.number().int(),
    version: z.number().int(),
    exact: z.boolean().describe('false where only an upper bound of the length is known'),
    hidden: z.boolean().describe('vfio-pci takes it out of the chain'),
  });
  const space = z.strictObject({
    device: z.string(),
    bytes: z.string().describe('the space, in hex'),
    capabilities: z.array(capability),
    free: z.array(z.string()).describe('bytes that nothing claims, in hex, inclusive'),
    diagnoses: z.array(z.strictObject({ offset: z.number().int(), why: z.string() })),
  });
  return z.strictObject({ spaces: z.array(space) }).describe('What tsvmm vconfig show --json prints');
}

export function vconfigDiffSchema(z: Zod) {
  const difference = z.strictObject({ what: z.string(), a: z.string(), b: z.string() });
  return z
    .strictObject({ same: z.boolean(), differences: z.array(difference) })
    .describe('What tsvmm vconfig diff --json prints');
}

export function matrixSchema(z: Zod) {
  const text = z.string();
  const end = z.strictObject({
    verdict: text,
    exitStatus: z.number().int().nullable().describe('null when the guest did not exit'),
    reason: text.nullable().describe('why it did not pass'),
  });
  const sides = { emulated: text.nullable(), assigned: text.nullable() };
  const cell = z.strictObject({
    mode: z.enum(['nested', 'shadow', 'software']),
    state: z.enum(['same', 'differs', 'cannot']),
    why: text.nullable().describe('why the host cannot, or why the device moved to software'),
    moved: z.boolean().describe('the device moved to software while the guest ran'),
    end: end.nullable().describe('null where the host cannot'),
    line: z
      .strictObject({ number: z.number().int(), ...sides })
      .nullable()
      .describe('the first line of console output that differs; null on a side that has no more'),
    event: z
      .strictObject({ number: z.number().int(), ...sides })
      .nullable()
      .describe('the first event of --trace that differs, counted from 1'),
  });
  const row = z.strictObject({
    host: text,
    address: text.nullable().describe('null where the host has no such device'),
    device: text.nullable().describe('id of the device of the guest that it stands for'),
    unlike: z.array(text).describe('options of the model that differ from those of the emulated device'),
    cells: z.array(cell),
  });
  const machine = z.strictObject({ machine: text, viommu: text, emulated: end, rows: z.array(row) });
  return z
    .strictObject({
      guest: text,
      agree: z.boolean().describe('no cell differs'),
      compared: z.number().int().describe('cells that ran'),
      machines: z.array(machine),
    })
    .describe('What tsvmm matrix --json prints');
}
