/** `--plugin FILE`: kinds of devices and IOMMUs from outside. */

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { TsvmmError } from '../core/errors.ts';
import type { Plugin, Registry } from '../machine/registry.ts';

/** @throws TsvmmError when a file cannot be loaded or exports no plugin */
export async function loadPlugins(files: readonly string[], registry: Registry, cwd: string): Promise<void> {
  for (const file of files) registry.add(await loadPlugin(file, cwd));
}

async function loadPlugin(file: string, cwd: string): Promise<Plugin> {
  let module: { readonly plugin?: unknown };
  try {
    module = (await import(pathToFileURL(resolve(cwd, file)).href)) as { readonly plugin?: unknown };
  } catch (cause) {
    const error = cause as NodeJS.ErrnoException;
    const missing = error.code === 'ERR_MODULE_NOT_FOUND' && error.message.includes(resolve(cwd, file));
    throw bad(file, missing ? 'there is no such file' : `cannot be loaded: ${firstLine(error)}`, cause);
  }
  const { plugin } = module;
  if (!isPlugin(plugin)) throw bad(file, "exports no 'plugin' record");
  return plugin;
}

function isPlugin(value: unknown): value is Plugin {
  if (typeof value !== 'object' || value === null) return false;
  const { name, devices = [], iommus = [] } = value as Plugin;
  return (
    typeof name === 'string' &&
    [devices, iommus].every((kinds) => Array.isArray(kinds) && kinds.every(isKind))
  );
}

function isKind(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { name, defaults, schema, create } = value as Record<string, unknown>;
  return (
    typeof name === 'string' &&
    typeof defaults === 'object' &&
    typeof schema === 'function' &&
    typeof create === 'function'
  );
}

function bad(file: string, why: string, cause?: unknown): TsvmmError {
  return new TsvmmError({
    code: 'bad-plugin',
    object: file,
    why,
    mend: "export { name, devices, iommus } as 'plugin'",
    cause,
  });
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}
