/** `--plugin FILE`: kinds of devices and IOMMUs from outside. */

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { TsvmmError } from '../core/errors.ts';
import type { AnyIommuKind, AnyPciKind, Plugin, Registry } from '../machine/registry.ts';
import { packageRoot } from './package-files.ts';

/** @throws TsvmmError when a file cannot be loaded or exports no plugin */
export async function loadPlugins(files: readonly string[], registry: Registry, cwd: string): Promise<void> {
  if (files.length > 0) bringOwnApi();
  for (const file of files) registry.add(await loadPlugin(file, cwd));
}

/** `import 'tsvmm'` of a plugin is the API of this very package, wherever the plugin lies and however tsvmm was installed. */
function bringOwnApi(): void {
  const url = pathToFileURL(join(packageRoot(), 'dist', 'lib', 'vmm', 'api', 'index.js')).href;
  const { register, registerHooks } = process.getBuiltinModule('node:module') as {
    register: typeof import('node:module').register;
    registerHooks?: RegisterHooks;
  };
  if (registerHooks !== undefined) {
    registerHooks({
      resolve: (specifier, context, next) =>
        specifier === 'tsvmm' ? { url, shortCircuit: true } : next(specifier, context),
    });
    return;
  }
  // Node 20 has only hooks that live in a module of their own.
  const hooks = `export const resolve = (specifier, context, next) =>
    specifier === 'tsvmm' ? { url: ${JSON.stringify(url)}, shortCircuit: true } : next(specifier, context);`;
  register(`data:text/javascript,${encodeURIComponent(hooks)}`);
}

type Resolve = (specifier: string, context: unknown) => unknown;

/** Of Node 22.15 and later. */
type RegisterHooks = (hooks: {
  resolve: (specifier: string, context: unknown, next: Resolve) => unknown;
}) => unknown;

async function loadPlugin(file: string, cwd: string): Promise<Plugin> {
  let module: { readonly plugin?: unknown };
  try {
    module = (await import(pathToFileURL(resolve(cwd, file)).href)) as { readonly plugin?: unknown };
  } catch (cause) {
    const missing = !existsSync(resolve(cwd, file));
    throw bad(file, missing ? 'there is no such file' : `cannot be loaded: ${firstLine(cause)}`, cause);
  }
  const { plugin } = module;
  if (!isPlugin(plugin)) throw bad(file, "exports no 'plugin' record");
  return {
    name: plugin.name,
    devices: plugin.devices?.map((kind) => guarded(kind, file, ['device', 'fn', 'views'])) ?? [],
    iommus: plugin.iommus?.map((kind) => guarded(kind, file, IOMMU_PARTS)) ?? [],
  };
}

const IOMMU_PARTS = ['device', 'translator', 'mmio', 'views', 'explain'];

/** The kind, its mistakes told as the plugin's. */
function guarded<K extends AnyPciKind | AnyIommuKind>(kind: K, file: string, parts: readonly string[]): K {
  const watched = <A extends unknown[], R>(what: string, act: (...args: A) => R) => {
    return (...args: A): R => {
      try {
        return act(...args);
      } catch (cause) {
        if (cause instanceof Error && cause.name === 'TsvmmError') throw cause;
        throw failed(file, `${what} of '${kind.name}' fails: ${firstLine(cause)}`, cause);
      }
    };
  };
  const create = watched('create', (...args: never[]) => {
    const made: unknown = (kind.create as (...args: never[]) => unknown)(...args);
    const missing = parts.find((part) => (made as Record<string, unknown> | undefined)?.[part] === undefined);
    if (missing !== undefined) throw new Error(`it returns no '${missing}'`);
    return made;
  });
  const presets = kind.presets === undefined ? {} : { presets: watched('presets', kind.presets) };
  return { ...kind, ...presets, create, schema: watched('schema', kind.schema) } as unknown as K;
}

function failed(file: string, why: string, cause: unknown): TsvmmError {
  return new TsvmmError({ code: 'plugin-failed', object: file, why, cause });
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
