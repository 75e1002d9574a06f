/** What the vconfig commands read: dumps, plans, policies, quirk lists. */

import { readFileSync } from 'node:fs';
import type { DeviceFacts } from '../../devices/vconfig/facts.ts';
import { asVirtualOf, type FleetDevice, fleetOf } from '../../devices/vconfig/fleet.ts';
import { parseDump } from '../../devices/vconfig/parse.ts';
import { checkPlan, type Plan, planSchema } from '../../devices/vconfig/plan.ts';
import { DEFAULT_POLICY, type Policy, policySchema } from '../../devices/vconfig/policy.ts';
import { parseQuirks, type Quirk } from '../../devices/vconfig/quirks.ts';
import type { ConfigSpace } from '../../devices/vconfig/space.ts';
import { TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';
import type { Zod, ZodType } from '../core/zod.ts';
import { isPort } from '../host/model/check-topology.ts';
import type { Registry } from '../machine/registry.ts';
import { loadZod } from './machine-options.ts';
import { hostNames, hostOrFile, quirkListFile } from './package-files.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'is a directory',
  EACCES: 'cannot be read: permission denied',
};

export function readBytes(file: string, mend?: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = REASONS[code ?? ''] ?? message;
    throw new TsvmmError({
      code: 'cannot-read',
      object: file,
      why,
      ...(mend === undefined ? {} : { mend }),
      cause,
    });
  }
}

const readText = (file: string): string => new TextDecoder().decode(readBytes(file));

/** The text of a list that can be read. @throws TsvmmError naming the line */
export function quirksText(file: string | undefined): string {
  const name = file ?? quirkListFile();
  const text = readText(name);
  parseQuirks(name, text);
  return text;
}

export function readQuirks(file: string | undefined): readonly Quirk[] {
  const name = file ?? quirkListFile();
  return parseQuirks(name, readText(name));
}

/**
 * The devices of all dumps and hosts, in order; hosts that come with tsvmm by name. Ports of hosts are left out: nobody is given one.
 * @param registry asked for where there is a host: its files name device kinds
 */
export async function readFleet(
  files: readonly string[],
  quirks: readonly Quirk[],
  registry: () => Promise<Registry>,
): Promise<readonly FleetDevice[]> {
  const spaces: ConfigSpace[] = [];
  const told = new Map<ConfigSpace, DeviceFacts>();
  for (const file of files) {
    const bytes = readDump(file);
    const host = isJson(bytes) ? await readHostOf(file, bytes, registry) : undefined;
    if (host === undefined) spaces.push(...parseDump(file, bytes));
    else {
      for (const { entry, space, facts } of host.functions) {
        if (space === undefined || isPort(entry)) continue;
        const physical = host.functions.find(({ address }) => address === entry.of)?.space;
        const shown = physical === undefined ? space : asVirtualOf(space, physical.bytes);
        spaces.push(shown);
        told.set(shown, facts);
      }
    }
  }
  const short = spaces.find(({ bytes }) => bytes.length < 256);
  if (short !== undefined) {
    throw new TsvmmError({
      code: 'bad-config-dump',
      object: `${short.source}: ${short.name}`,
      why: 'has the first 64 bytes only',
      mend: 'read it as root: others are not shown the rest',
    });
  }
  return fleetOf(spaces, quirks, told);
}

/** @throws TsvmmError with the host of a similar name, where there is one */
function readDump(file: string): Uint8Array {
  const mend = /[/\\.]/.test(file) ? undefined : didYouMean(file, hostNames());
  return readBytes(hostOrFile(file), mend);
}

export async function readPlan(file: string): Promise<Plan> {
  const json = parseJson(file);
  if ((json as { format?: unknown } | null)?.format !== 'tsvmm-vconfig-plan') {
    throw new TsvmmError({ code: 'bad-vconfig-plan', object: file, why: 'is no plan of tsvmm vconfig plan' });
  }
  const plan = await checked<Plan>(file, 'vconfig-plan', planSchema, json);
  checkPlan(plan, file);
  return plan;
}

/** The policy of a file over the default one. */
export async function readPolicy(file: string | undefined): Promise<Policy> {
  if (file === undefined) return DEFAULT_POLICY;
  const given = await checked<Partial<Policy>>(file, 'vconfig-policy', policySchema, parseJson(file));
  return { ...DEFAULT_POLICY, ...given };
}

/** JSON that is no host is a plan, good or bad. */
export function isPlan(file: string): boolean {
  const text = new TextDecoder().decode(readDump(file));
  return text.trimStart().startsWith('{') && !text.includes('"tsvmm-host"');
}

const isJson = (bytes: Uint8Array): boolean =>
  /^\s*\{/.test(new TextDecoder().decode(bytes.subarray(0, 256)));

async function readHostOf(file: string, bytes: Uint8Array, registry: () => Promise<Registry>) {
  const { hostFrom } = await import('./hosts.ts');
  const host = await hostFrom(new TextDecoder().decode(bytes), file, await registry());
  if (host !== undefined) return host;
  throw new TsvmmError({
    code: 'bad-config-dump',
    object: file,
    why: 'is JSON, and no host file',
    mend: "see 'tsvmm schema host'",
  });
}

function parseJson(file: string): unknown {
  try {
    return JSON.parse(readText(file));
  } catch (cause) {
    if (cause instanceof TsvmmError) throw cause;
    throw new TsvmmError({
      code: 'bad-json',
      object: file,
      why: `is no JSON: ${(cause as Error).message}`,
      cause,
    });
  }
}

async function checked<T>(
  file: string,
  schemaName: string,
  schema: (z: Zod) => ZodType,
  json: unknown,
): Promise<T> {
  const parsed = schema(await loadZod()).safeParse(json);
  if (parsed.success) return parsed.data as T;
  const issue = parsed.error.issues[0]!;
  throw new TsvmmError({
    code: `bad-${schemaName}`,
    object: `${file}${issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`}`,
    why: issue.message.replace(/\.$/, '').toLowerCase(),
    mend: `see 'tsvmm schema ${schemaName}'`,
  });
}
