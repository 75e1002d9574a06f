import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { MACHINE_SECTION, withGuestMachine } from '../../../vmm/cli/guest-machine.ts';
import type { MachineOptions } from '../../../vmm/cli/machine-options.ts';

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

test('a damaged module, and a file that is not there, say nothing', () => {
  const file = join(dir, 'bad.wasm');
  writeFileSync(file, Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 5));

  expect([withGuestMachine(NONE, file), withGuestMachine(NONE, join(dir, 'none.c'))]).toEqual([NONE, NONE]);
});
