// Writes the SDK's generated headers: `npm run gen`. With --check, writes nothing and fails when one is out of date.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { importTypeScript, root } from './import-typescript.mjs';

const include = join(root, 'guest/sdk/include');
const check = process.argv.includes('--check');
const { generatedHeaders } = await importTypeScript('guest/sdk/headers.ts');

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
