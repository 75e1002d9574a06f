// Writes the SDK's generated headers: `npm run gen`. With --check, writes nothing and fails when one is out of date.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const include = join(root, 'guest/sdk/include');
const check = process.argv.includes('--check');

const { generatedHeaders } = await importTypeScript(join(root, 'guest/sdk/headers.ts'));

for (const { path, text } of generatedHeaders()) {
  const file = join(include, path);
  if (read(file) === text) continue;
  if (check) {
    console.error(`${relative(root, file)}: out of date; run npm run gen`);
    process.exitCode = 1;
    continue;
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  console.log(`wrote ${relative(root, file)}`);
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** The baseline Node runs no TypeScript: the module and what it imports become one file first. */
async function importTypeScript(entry) {
  const dir = mkdtempSync(join(tmpdir(), 'tsvmm-gen-'));
  const outfile = join(dir, 'bundle.mjs');
  try {
    await build({ entryPoints: [entry], bundle: true, outfile, format: 'esm', platform: 'node' });
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
