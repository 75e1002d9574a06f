/** What a record begins with, as things to run. */

import { readFileSync } from 'node:fs';
import { TsvmmError } from '../core/errors.ts';
import type { Zod } from '../core/zod.ts';
import { type MachineConfig, parseMachineConfig } from '../machine/config.ts';
import { type GuestModule, type GuestStage, guestOfWasm } from '../machine/guest-module.ts';
import { addressMapOf } from '../machine/platforms/platforms.ts';
import { growLimitOf } from '../machine/ram-plan.ts';
import type { Registry } from '../machine/registry.ts';
import type { RunGuestOptions } from '../machine/run-guest.ts';
import { hiddenLayout } from '../mem/layout.ts';
import type { DiskCache } from '../vcpu/cache/disk-cache.ts';
import { REWRITER_VERSION } from '../vcpu/rewrite/version.ts';
import { sha256 } from './embed.ts';
import type { GuestHeader, PluginHeader } from './format.ts';
import { type Recorded, unpacked } from './read-record.ts';

/** @throws TsvmmError */
export function configOf({ path, header }: Recorded, registry: Registry, z: Zod): MachineConfig | null {
  if (header.machine === null) return null;
  return parseMachineConfig(z, registry, header.machine, `${path}: machine`);
}

/** @throws TsvmmError */
export async function guestOf(
  { path }: Recorded,
  header: GuestHeader,
  config: MachineConfig,
  cache: DiskCache,
  onStage: (stage: GuestStage) => void,
): Promise<{
  module: GuestModule;
  options: Pick<RunGuestOptions, 'args' | 'env' | 'files' | 'fuelLimit' | 'timeLimit'>;
}> {
  const wasm = unpacked(path, 'guest', header.module);
  const map = addressMapOf(config.machine);
  const layout = hiddenLayout(map.ramBase, config.memory);
  const source = { file: header.name, onStage };
  const stackLow = header.stackLow ?? undefined;
  const files = new Map(header.files.map((file) => [file.path, unpacked(path, `file '${file.path}'`, file)]));
  const { args, env, fuel, timeout } = header;
  return {
    module: await guestOfWasm(source, wasm, stackLow, layout, growLimitOf(map, config.memory), cache),
    options: { args, env, files, fuelLimit: fuel, ...(timeout === null ? {} : { timeLimit: timeout }) },
  };
}

/**
 * A record does not bring the plugins it was made with: whoever replays it says what is to be loaded.
 * @throws TsvmmError when that is not what it was
 */
export function checkPlugins({ path, header }: Recorded, given: readonly string[]): void {
  const hashes = given.map((file) => sha256(pluginBytes(file)));
  const missing = header.plugins.find((plugin) => !hashes.includes(plugin.sha256));
  if (missing !== undefined) throw pluginWanted(path, missing, given.length);
  if (hashes.length === header.plugins.length) return;
  throw new TsvmmError({
    code: 'foreign-plugin',
    object: path,
    why: 'was recorded without some of these plugins',
    mend: 'leave out --plugin for those',
  });
}

function pluginBytes(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new TsvmmError({ code: 'bad-plugin', object: file, why: 'cannot be read', cause });
  }
}

function pluginWanted(path: string, { file, sha256: hash }: PluginHeader, given: number): TsvmmError {
  return new TsvmmError({
    code: 'missing-plugin',
    object: path,
    why: `was recorded with the plugin '${file}'${given === 0 ? '' : `, which is none of these: its SHA-256 begins with ${hash.slice(0, 12)}`}`,
    mend: `give it with --plugin, as it was`,
  });
}

/** What a person is to know before a replay; undefined when there is nothing. */
export function cautionOf({ path, header, end }: Recorded, program: string): string | undefined {
  if (header.tsvmm !== program || header.rewriter !== REWRITER_VERSION)
    return `${path} was recorded by tsvmm ${header.tsvmm}, and this is ${program}: the run may go another way`;
  if (end === undefined) return `${path} was not recorded to its end: the run goes on alone from there`;
  return undefined;
}
