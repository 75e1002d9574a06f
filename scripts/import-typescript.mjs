// The baseline Node runs no TypeScript: a module and what it imports become one file first.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

export const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * A plugin for esbuild that changes the text of modules before they are read.
 *
 * @param {((text: string, path: string) => string)[]} changes one after the other
 */
export function changing(...changes) {
  return {
    name: 'changing',
    setup(pluginBuild) {
      pluginBuild.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
        contents: changes.reduce((text, change) => change(text, path), readFileSync(path, 'utf8')),
        loader: 'ts',
      }));
    },
  };
}

/** Modules keep the `import.meta.url` of their source, so that they find the files beside them. */
export function keepUrls(text, path) {
  return text.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href));
}

/** @param {string} path of the module, relative to the repository */
export async function importTypeScript(path) {
  // Below node_modules, so that packages are found.
  const parent = join(root, 'node_modules/.cache');
  mkdirSync(parent, { recursive: true });
  const dir = mkdtempSync(join(parent, 'tsvmm-script-'));
  const outfile = join(dir, 'bundle.mjs');
  try {
    await build({
      entryPoints: [join(root, path)],
      bundle: true,
      packages: 'external',
      plugins: [changing(keepUrls)],
      format: 'esm',
      platform: 'node',
      outfile,
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
