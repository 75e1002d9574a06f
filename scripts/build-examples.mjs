// Compiles the packaged examples with the bundled compiler and writes guest/examples/manifest.json.
// Names on the command line restrict it to those.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { importTypeScript, root } from './import-typescript.mjs';

// Names in diagnostics and DWARF are relative to here, so that the result does not depend on the checkout's place.
process.chdir(root);
const { EXAMPLES, exampleMachine, examplePath, sha256, sourcesHash } = await importTypeScript(
  'guest/examples/manifest.ts',
);
const { compileC } = await importTypeScript('vmm/vcpu/compile/compile.ts');
const { layoutAt } = await importTypeScript('vmm/vcpu/compile/types.ts');
const { addressMapOf } = await importTypeScript('vmm/machine/platforms/platforms.ts');

const names = process.argv.length > 2 ? process.argv.slice(2) : EXAMPLES;
const manifestPath = join(root, 'guest/examples/manifest.json');
const manifest = readManifest();

for (const name of names) {
  const { wasm } = await compileC({
    file: examplePath(name, 'c'),
    sdkDir: 'guest/sdk',
    layout: layoutAt(addressMapOf(exampleMachine(name)).ramBase),
    onDiagnostics: (text) => process.stderr.write(text),
  });
  writeFileSync(examplePath(name, 'wasm'), wasm);
  manifest[name] = { sources: sourcesHash(root, name), wasm: sha256(wasm) };
  console.log(`${examplePath(name, 'wasm')}: ${wasm.length} bytes`);
}
const sorted = Object.fromEntries(
  EXAMPLES.filter((name) => manifest[name]).map((name) => [name, manifest[name]]),
);
writeFileSync(manifestPath, `${JSON.stringify(sorted, null, 2)}\n`);

function readManifest() {
  try {
    return JSON.parse(readFileSync(manifestPath, 'utf8'));
  } catch {
    return {};
  }
}
