import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ABI_IMPORTS, ABI_MODULE } from '../../../guest/abi/imports.ts';
import {
  EXAMPLES,
  type ExamplesManifest,
  examplePath,
  sha256,
  sourcesHash,
} from '../../../guest/examples/manifest.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const manifest: ExamplesManifest = JSON.parse(readFileSync(`${root}guest/examples/manifest.json`, 'utf8'));

test('the manifest lists the examples and no others', () => {
  expect(Object.keys(manifest).sort()).toEqual([...EXAMPLES].sort());
});

test.each(EXAMPLES)(
  '%s.wasm was made of the sources that are here (else: npm run build:examples)',
  (name) => {
    expect(sourcesHash(root, name)).toBe(manifest[name]?.sources);
  },
);

test.each(EXAMPLES)('%s.wasm is the file the manifest names', (name) => {
  expect(existsSync(`${root}${examplePath(name, 'wasm')}`)).toBe(true);
  expect(sha256(readFileSync(`${root}${examplePath(name, 'wasm')}`))).toBe(manifest[name]?.wasm);
});

test.each(EXAMPLES)('%s.wasm imports nothing but the ABI and WASI', async (name) => {
  const module = await WebAssembly.compile(readFileSync(`${root}${examplePath(name, 'wasm')}`));
  const imports = WebAssembly.Module.imports(module);

  for (const { module: from, name: what } of imports) {
    expect([ABI_MODULE, 'wasi_snapshot_preview1']).toContain(from);
    if (from === ABI_MODULE) expect(Object.keys(ABI_IMPORTS)).toContain(what);
  }
});

test('the example without the SDK imports nothing of it', async () => {
  const module = await WebAssembly.compile(readFileSync(`${root}${examplePath('mmio-plain', 'wasm')}`));

  expect(WebAssembly.Module.imports(module).filter((i) => i.module === ABI_MODULE)).toEqual([]);
});
