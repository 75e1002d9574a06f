/** `tsvmm schema NAME`. */

import { planSchema } from '../../devices/vconfig/plan.ts';
import { policySchema } from '../../devices/vconfig/policy.ts';
import { EXIT, type ExitCode } from '../core/errors.ts';
import type { Zod, ZodType } from '../core/zod.ts';
import { hostSchema } from '../host/model/file.ts';
import { machineSchema } from '../machine/config.ts';
import type { Registry } from '../machine/registry.ts';
import { monitorSchema } from '../monitor/schema.ts';
import { runSchema } from '../report/schema.ts';
import type { Invocation } from './command.ts';
import type { Context } from './context.ts';
import { hostListSchema, hostShowSchema } from './host-schemas.ts';
import { loadZod } from './machine-options.ts';
import { loadPlugins } from './plugins.ts';
import {
  errorSchema,
  infoSchema,
  matrixSchema,
  snapshotDiffSchema,
  vconfigCheckSchema,
  vconfigDiffSchema,
  vconfigShowSchema,
  verdictSchema,
  versionSchema,
} from './schemas.ts';
import type { SCHEMA, SchemaName } from './table.ts';

export async function schema(
  { host, backend }: Context,
  { operands, options }: Invocation<typeof SCHEMA.options>,
): Promise<ExitCode> {
  const name = operands[0] as SchemaName;
  const z = await loadZod();
  let registry: Registry | undefined;
  if (name === 'machine') {
    registry = (await backend()).registry();
    await loadPlugins(options.plugin, registry, host.cwd);
  }
  host.out(`${JSON.stringify(publishedSchema(z, name, registry), null, 2)}\n`);
  return EXIT.ok;
}

/** @param registry needed for the schema of a machine only */
export function publishedSchema(z: Zod, name: SchemaName, registry: Registry | undefined): unknown {
  // What is read may leave defaults out; what is printed has every field.
  const io = name === 'machine' || name === 'vconfig-policy' || name === 'host' ? 'input' : 'output';
  return z.toJSONSchema(schemaOf(z, name, registry), { io, unrepresentable: 'any' });
}

function schemaOf(z: Zod, name: SchemaName, registry: Registry | undefined): ZodType {
  switch (name) {
    case 'machine':
      return machineSchema(z, registry!);
    case 'verdict':
      return verdictSchema(z);
    case 'error':
      return errorSchema(z);
    case 'info':
      return infoSchema(z);
    case 'snapshot-diff':
      return snapshotDiffSchema(z);
    case 'version':
      return versionSchema(z);
    case 'monitor':
      return monitorSchema(z);
    case 'run':
      return runSchema(z, verdictSchema(z));
    case 'vconfig-plan':
      return planSchema(z);
    case 'vconfig-policy':
      return policySchema(z);
    case 'vconfig-check':
      return vconfigCheckSchema(z);
    case 'vconfig-show':
      return vconfigShowSchema(z);
    case 'vconfig-diff':
      return vconfigDiffSchema(z);
    case 'host':
      return hostSchema(z);
    case 'host-show':
      return hostShowSchema(z);
    case 'host-list':
      return hostListSchema(z);
    case 'matrix':
      return matrixSchema(z);
  }
}
