/**
 * The machine a guest asks for: TSVMM_MACHINE("--viommu intel,svm=on --viommu smmuv3,svm=on --device dsa") in its source, which
 * the compiler leaves in a custom section of the module. Options on the command line replace what it asks for. A guest that runs
 * behind several IOMMUs names each: the first one counts, or the one that --viommu or --machine chooses, with the guest's keys
 * for it where the command line does not give them.
 */

import { readFileSync } from 'node:fs';
import { TsvmmError } from '../core/errors.ts';
import type { Registry } from '../machine/registry.ts';
import type { MachineOptions } from './machine-options.ts';
import { parseFor } from './parse.ts';
import { MACHINE_OPTIONS } from './table.ts';
import { kindSpecText, parseKindSpec } from './values.ts';

export const MACHINE_SECTION = 'tsvmm.machine';

const DIRECTIVE = /\bTSVMM_MACHINE\s*\(\s*((?:"[^"\n]*"\s*)+)\)/g;
const COMMENT = /\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
/** What a guest may say about its machine; where to read files from is not its business. */
const { config: _config, plugin: _plugin, seed: _seed, ...CHOOSABLE } = MACHINE_OPTIONS;
const ALLOWED = { ...CHOOSABLE, viommu: { ...CHOOSABLE.viommu, repeatable: true } } as const;

type Wanted = Omit<MachineOptions, 'viommu'> & { readonly viommu: readonly string[] };

/** @throws TsvmmError naming the guest where what it says is no option */
export function withGuestMachine(
  options: MachineOptions,
  file: string | undefined,
  registry: Registry,
): MachineOptions {
  if (file === undefined || options.config !== undefined) return options;
  const words = wordsOf(file);
  if (words.length === 0) return options;
  const wanted = parsed(file, words);
  return {
    ...options,
    machine: options.machine ?? wanted.machine,
    highmem: options.highmem ?? wanted.highmem,
    viommu: viommuOf(options, wanted.viommu, registry),
    memory: options.memory ?? wanted.memory,
    firmware: options.firmware ?? wanted.firmware,
    device: options.device.length > 0 ? options.device : wanted.device,
  };
}

/** The IOMMUs that the guest says it runs behind, the one it runs behind without further options first; none: it says nothing. */
export function viommusOf(file: string): readonly string[] {
  const words = wordsOf(file);
  return words.length === 0 ? [] : parsed(file, words).viommu;
}

function viommuOf(
  { machine, viommu }: MachineOptions,
  wanted: readonly string[],
  registry: Registry,
): string | undefined {
  if (viommu !== undefined) return withKeysOf(viommu, wanted);
  if (machine === undefined) return wanted[0];
  return wanted.find((text) => standsOn(text, machine, registry)) ?? wanted[0];
}

function standsOn(text: string, machine: string, registry: Registry): boolean {
  const { kind } = parseKindSpec(text, '--viommu');
  if (kind === 'none') return true;
  const { machines } = registry.iommu(kind);
  return machines.length === 0 || (machines as readonly string[]).includes(machine);
}

/** The IOMMU of the command line, with the keys that the guest wants of this kind and the command line does not give. */
function withKeysOf(text: string, wanted: readonly string[]): string {
  const given = parseKindSpec(text, '--viommu');
  const like = wanted
    .map((other) => parseKindSpec(other, '--viommu'))
    .find((other) => other.kind === given.kind);
  if (like === undefined || given.help) return text;
  const kept = like.entries.filter(([key]) => !given.entries.some(([k]) => k === key));
  return kindSpecText(given.kind, [...kept, ...given.entries]);
}

function parsed(file: string, words: readonly string[]): Wanted {
  const command = { name: `run ${file}`, summary: '', operands: [], options: ALLOWED };
  try {
    return parseFor(command, words).options as unknown as Wanted;
  } catch (cause) {
    if (!(cause instanceof TsvmmError)) throw cause;
    throw new TsvmmError({
      code: 'bad-guest-machine',
      object: `${file}: TSVMM_MACHINE`,
      why: cause.message.split(';')[0]!.replace(/ of 'tsvmm [^']*'/, ' a guest can choose'),
      mend: `it takes ${Object.keys(ALLOWED)
        .map((name) => `--${name}`)
        .join(', ')}`,
      cause,
    });
  }
}

function wordsOf(file: string): string[] {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch {
    // Whoever loads the guest says what is wrong with its file.
    return [];
  }
  const text = file.endsWith('.c') ? ofSource(bytes) : file.endsWith('.wasm') ? ofModule(bytes) : '';
  return text.split(/\s+/).filter((word) => word !== '');
}

function ofSource(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
  if (!text.includes('TSVMM_MACHINE')) return '';
  const found = [...text.replace(COMMENT, '').matchAll(DIRECTIVE)];
  return found.map(([, strings]) => strings!.replace(/"\s*"/g, '').replaceAll('"', '')).join(' ');
}

const CUSTOM = 0;
const HEADER_BYTES = 8;

/** WebAssembly Core Specification: Modules (binary format): a section is an id, its size and its contents. */
function ofModule(bytes: Uint8Array): string {
  let at = HEADER_BYTES;
  const found: string[] = [];
  while (at < bytes.length) {
    const id = bytes[at++]!;
    const [size, body] = leb128(bytes, at);
    const end = body + size;
    if (id === CUSTOM) {
      const [length, name] = leb128(bytes, body);
      if (text(bytes, name, name + length) === MACHINE_SECTION) found.push(text(bytes, name + length, end));
    }
    at = end;
  }
  return found.join(' ');
}

function text(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.subarray(from, to)).toString('utf8');
}

function leb128(bytes: Uint8Array, from: number): [value: number, end: number] {
  let value = 0;
  let at = from;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = bytes[at++] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  return [value, at];
}
