import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { MACHINE_SECTION, withGuestMachine as withMachineOf } from '../../../vmm/cli/guest-machine.ts';
import type { MachineOptions } from '../../../vmm/cli/machine-options.ts';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';

const dir = mkdtempSync(join(tmpdir(), 'tsvmm-guest-machine-'));
afterAll(() => rmSync(dir, { recursive: true }));

const NONE = {
  machine: undefined,
  viommu: undefined,
  device: [],
  memory: undefined,
  firmware: undefined,
  seed: undefined,
  config: undefined,
  plugin: [],
} as unknown as MachineOptions;

const registry = builtinRegistry();

function withGuestMachine(options: MachineOptions, file: string): MachineOptions {
  return withMachineOf(options, file, registry);
}

function source(text: string): string {
  const file = join(dir, 'guest.c');
  writeFileSync(file, text);
  return file;
}

const SAYS = 'TSVMM_MACHINE("--viommu intel,svm=on "\n\t"--device dsa");\n';

describe('a guest that says what machine it is written for', () => {
  test('gets it where the command line says nothing', () => {
    expect(withGuestMachine(NONE, source(SAYS))).toMatchObject({
      viommu: 'intel,svm=on',
      device: ['dsa'],
    });
  });

  test('gets what the command line says where that says something', () => {
    const options = { ...NONE, device: ['edu'], memory: '64M' };

    expect(withGuestMachine(options, source(SAYS))).toMatchObject({
      viommu: 'intel,svm=on',
      device: ['edu'],
      memory: '64M',
    });
  });

  test('gets the machine of --config, whatever it says', () => {
    const options = { ...NONE, config: 'machine.json' };

    expect(withGuestMachine(options, source(SAYS))).toBe(options);
  });

  test('in a comment says nothing', () => {
    expect(withGuestMachine(NONE, source(`// ${SAYS.split('\n')[0]}\n/* ${SAYS} */`))).toBe(NONE);
  });

  test('as a module says it in a custom section', () => {
    const name = new TextEncoder().encode(MACHINE_SECTION);
    const body = new TextEncoder().encode('--memory 32M ');
    const section = [0, 1 + name.length + body.length, name.length, ...name, ...body];
    const file = join(dir, 'guest.wasm');
    writeFileSync(file, Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 3, 1, 0, ...section));

    expect(withGuestMachine(NONE, file).memory).toBe('32M');
  });

  test.each([
    ['--viommo intel', '--viommo: is no option a guest can choose; it takes --machine'],
    ['--config x.json', '--config: is no option a guest can choose; it takes --machine'],
    ['edu', 'TSVMM_MACHINE: '],
  ])('by %s is told what it can say', (words, message) => {
    expect(() => withGuestMachine(NONE, source(`TSVMM_MACHINE("${words}");`))).toThrow(message);
  });
});

describe('a guest that runs behind several IOMMUs', () => {
  const SAYS_TWO = 'TSVMM_MACHINE("--viommu intel,svm=on,aw-bits=39 --viommu smmuv3,svm=on --device dsa");\n';

  test.each([
    ['gets the first of them', {}, 'intel,svm=on,aw-bits=39'],
    ['gets the one that stands on the machine asked for', { machine: 'virt' }, 'smmuv3,svm=on'],
    ['gets the first of them on its own machine', { machine: 'q35' }, 'intel,svm=on,aw-bits=39'],
    ['keeps its keys for the one asked for', { viommu: 'smmuv3' }, 'smmuv3,svm=on'],
    [
      'keeps those that are not given',
      { viommu: 'intel,aw-bits=48,cache=none' },
      'intel,svm=on,aw-bits=48,cache=none',
    ],
    ['can be told to do without one', { viommu: 'smmuv3,svm=off' }, 'smmuv3,svm=off'],
    ['or without any', { viommu: 'none' }, 'none'],
  ])('%s', (_, given, viommu) => {
    expect(withGuestMachine({ ...NONE, ...given } as MachineOptions, source(SAYS_TWO)).viommu).toBe(viommu);
  });

  test('of which none stands on the machine asked for gets the first, which says so', () => {
    const intel = source('TSVMM_MACHINE("--viommu intel,svm=on");\n');

    expect(withGuestMachine({ ...NONE, machine: 'virt' }, intel).viommu).toBe('intel,svm=on');
  });
});

test('a damaged module, and a file that is not there, say nothing', () => {
  const file = join(dir, 'bad.wasm');
  writeFileSync(file, Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 5));

  expect([withGuestMachine(NONE, file), withGuestMachine(NONE, join(dir, 'none.c'))]).toEqual([NONE, NONE]);
});
