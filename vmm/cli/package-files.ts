/** Where the files that come with the package are: in a checkout, an install and a bundle alike. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Bug, TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';

let root: string | undefined;

/** The directory of package.json. */
export function packageRoot(): string {
  if (root !== undefined) return root;
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory);
    if (parent === directory) throw new Bug('the package has no package.json');
    directory = parent;
  }
  return (root = directory);
}

export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}

export function exampleNames(): string[] {
  const directory = join(packageRoot(), 'guest', 'examples');
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && exampleFile(entry.name) !== undefined)
    .map((entry) => entry.name)
    .sort();
}

/** Each example with the first sentence of its source. */
export function exampleList(): (readonly [name: string, summary: string])[] {
  return exampleNames().map((name) => [name, summaryOf(name)]);
}

function summaryOf(name: string): string {
  const source = readFileSync(join(packageRoot(), 'guest', 'examples', name, `${name}.c`), 'utf8');
  const [, block, line] = /\n(?:\/\*\n([\s\S]*?)\*\/|\/\/ (.*))/.exec(source) ?? [];
  const text = (line ?? block?.replace(/^ \* ?/gm, ' ') ?? '').replace(/\s+/g, ' ').trim();
  return /^(.*?)\.(?: |$)/.exec(text)?.[1] ?? text;
}

/** The guest of a packaged example: its WASM, which starts without a compiler, else its source. */
function exampleFile(name: string): string | undefined {
  const directory = join(packageRoot(), 'guest', 'examples', name);
  return [`${name}.wasm`, `${name}.virt.wasm`, `${name}.c`, `${name}.wat`]
    .map((file) => join(directory, file))
    .find((file) => existsSync(file));
}

/** The same example for a machine type: a packaged module is linked for one of them, on another one its source is compiled. */
export function exampleFor(file: string, machine: string): string {
  const source = file.replace(/(\.virt)?\.wasm$/, '.c');
  const linkedFor = file.endsWith('.virt.wasm') ? 'virt' : 'q35';
  return machine !== linkedFor && existsSync(source) ? source : file;
}

/** @throws TsvmmError with a suggestion */
export function exampleGuest(name: string): string {
  const file = /^[\w-]+$/.test(name) ? exampleFile(name) : undefined;
  if (file !== undefined) return file;
  throw new TsvmmError({
    code: 'unknown-example',
    object: '--example',
    why: `there is no example '${name}'`,
    mend: didYouMean(name, exampleNames()),
  });
}

/** The list of devices with registers that no capability claims: its path, for messages. */
export function quirkListFile(): string {
  return join(packageRoot(), 'devices', 'vconfig', 'quirks.list');
}

const hostDirectory = (): string => join(packageRoot(), 'vmm', 'host', 'hosts');

/** The hosts that come with tsvmm. */
export function hostNames(): string[] {
  return readdirSync(hostDirectory())
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length))
    .sort();
}

/** What a name stands for where files of other sorts can stand, too: a host that comes with tsvmm, else the file itself. */
export function hostOrFile(nameOrFile: string): string {
  return hostNames().includes(nameOrFile) ? join(hostDirectory(), `${nameOrFile}.json`) : nameOrFile;
}

/** The file of a host: what looks like a path is one, else it is a name. @throws TsvmmError with a suggestion */
export function hostFile(nameOrFile: string): string {
  if (/[/\\]|\.json$/.test(nameOrFile)) return nameOrFile;
  const names = hostNames();
  if (names.includes(nameOrFile)) return join(hostDirectory(), `${nameOrFile}.json`);
  throw new TsvmmError({
    code: 'unknown-host',
    object: nameOrFile,
    why: 'no host of this name comes with tsvmm',
    mend: didYouMean(nameOrFile, names),
  });
}
