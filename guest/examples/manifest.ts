import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The packaged examples: guest/examples/NAME/NAME.c with the NAME.wasm that `npm run build:examples` made of it, so that
 * they start without a compiler. The manifest keeps a hash of all they were made of, so that a test sees stale ones. They are
 * linked for q35, and those that are nothing without an SMMU for virt (NAME.virt.wasm); elsewhere their source is compiled.
 */

export const EXAMPLES = [
  'hello',
  'mmio-plain',
  'edu',
  'stale-iotlb',
  'irq-remap',
  'processes',
  'pasid',
  'ats',
  'pri',
  'nested',
  'fork-dma',
  'unmap-race',
  'fault-storm',
  'prq-overflow',
  'stall',
  'svm',
] as const;
export type ExampleName = (typeof EXAMPLES)[number];

const FOR_VIRT: readonly string[] = ['stall'];

/** The machine type whose RAM a packaged example is linked for. */
export function exampleMachine(name: string): 'q35' | 'virt' {
  return FOR_VIRT.includes(name) ? 'virt' : 'q35';
}

/** guest/examples/manifest.json */
export type ExamplesManifest = Readonly<Record<string, { readonly sources: string; readonly wasm: string }>>;

export function examplePath(name: string, extension: 'c' | 'wasm'): string {
  const linked = extension === 'wasm' && exampleMachine(name) === 'virt' ? '.virt' : '';
  return `guest/examples/${name}/${name}${linked}.${extension}`;
}

export function sha256(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(String(part.length)).update('\n').update(part);
  return hash.digest('hex');
}

/** Hash of an example's sources, its programs of user mode among them, and of the SDK; the names count as well. */
export function sourcesHash(root: string, name: string): string {
  const files = [...filesBelow(root, `guest/examples/${name}`), ...filesBelow(root, 'guest/sdk')];
  return sha256(...files.flatMap((file) => [file, readFileSync(join(root, file))]));
}

function filesBelow(root: string, dir: string): string[] {
  return readdirSync(join(root, dir), { withFileTypes: true })
    .flatMap((entry) => {
      const path = `${dir}/${entry.name}`;
      return entry.isDirectory() ? filesBelow(root, path) : [path];
    })
    .filter((path) => /\.[ch]$/.test(path))
    .sort();
}
