/** The published schemas of what the host commands print. */

import type { Zod } from '../core/zod.ts';

export function hostShowSchema(z: Zod) {
  const text = z.string();
  const whole = z.number().int();
  const ability = z.strictObject({
    ability: text,
    value: text.describe('yes, no, or how much'),
    modelled: text.optional().describe('what the model of the unit has, where it is something else'),
    bits: text.describe('the fields that say so'),
  });
  const limit = z.strictObject({
    register: text,
    field: text,
    bits: text,
    stated: z.number(),
    modelled: z.number(),
    told: z.enum(['registers', 'model']).describe('whose value iommufd tells'),
    doc: text,
  });
  const unit = z.strictObject({
    id: text,
    kind: z.enum(['vtd', 'smmuv3']),
    title: text,
    about: text.describe('where the register values come from'),
    base: text,
    quirks: z.array(text),
    caches: text.describe('how the caches of the model behave'),
    cacheSeed: whole.optional().describe('random caches: where their chance begins'),
    invalidation: text.describe('when the model carries out queued invalidations'),
    registers: z.array(z.strictObject({ name: text, value: text, fields: text })),
    abilities: z.array(ability),
    limits: z.array(limit).describe('where the model of the unit is not as its registers say'),
  });
  const divergence = z.strictObject({
    register: text,
    field: text,
    bits: text,
    doc: text,
    values: z.array(z.strictObject({ value: z.number(), units: z.array(text) })),
  });
  const range = z.strictObject({ start: text, last: text });
  const device = z.strictObject({
    address: text,
    type: text,
    title: text,
    id: text.optional().describe('vendor and device'),
    model: text.optional(),
    unit: text,
    group: whole,
    can: z
      .strictObject({
        pasidWidth: whole,
        pasidExec: z.boolean(),
        pasidPriv: z.boolean(),
        ats: z.boolean(),
        pri: z.boolean(),
      })
      .describe('what both the device and its unit can do'),
    loses: z.array(text).describe('what the device could do and its unit does not'),
    pasidPath: z
      .strictObject({ verdict: z.enum(['reserve', 'refused']), windows: z.array(range), why: text })
      .optional()
      .describe('where requests with PASID may go astray'),
    reserved: z.array(range),
  });
  return z
    .strictObject({
      name: text,
      about: text,
      iommu: text.describe('the rolled-up answer: what the IOMMUs of the host are'),
      can: z.strictObject({ every: z.array(text), some: z.array(text), none: z.array(text) }),
      mostCapable: text,
      units: z.array(unit),
      divergences: z.array(divergence).describe('fields that the units do not agree in'),
      unlike: z.array(
        z.strictObject({ ability: text, values: z.array(z.strictObject({ unit: text, value: text })) }),
      ),
      devices: z.array(device),
      groups: z.array(z.strictObject({ number: whole, devices: z.array(text), reasons: z.array(text) })),
    })
    .describe('What tsvmm host show --json prints');
}

export function hostListSchema(z: Zod) {
  const host = z.strictObject({
    name: z.string(),
    iommu: z.string(),
    units: z.number().int(),
    about: z.string(),
  });
  return z.strictObject({ hosts: z.array(host) }).describe('What tsvmm host list --json prints');
}
