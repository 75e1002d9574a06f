import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { completeOptions, type Iommu } from '../../../vmm/bus/iommu.ts';
import { type MachineOptions, machineFrom } from '../../../vmm/cli/machine-options.ts';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import { configToJson, parseMachineConfig } from '../../../vmm/machine/config.ts';
import { parseQemuArguments } from '../../../vmm/qtest/args.ts';
import { bootedMachine } from '../../kit/machine.ts';

const registry = builtinRegistry();

type Options = Readonly<Record<string, unknown>>;

/** As the command line reads them. */
async function fromCommandLine(viommu: string): Promise<Options> {
  const { viommu: unit } = await machineFrom(
    { viommu, device: [] } as unknown as MachineOptions,
    registry,
    undefined,
  );
  return unit!.options;
}

/** As a machine description has them. */
function fromFile(viommu: Options): Options {
  const machine = viommu['kind'] === 'smmuv3' ? 'virt' : 'q35';
  return parseMachineConfig(z, registry, { machine, viommu }, 'm.json').viommu!.options;
}

const INTEL_SVM = {
  'scalable-mode': true,
  fsts: true,
  nested: true,
  'pasid-bits': 20,
  'device-iotlb': true,
  'rid-pasid': true,
  'supervisor-requests': true,
  'execute-requests': true,
  'accessed-dirty': true,
  'first-stage-5-level': true,
  'page-requests': true,
};

const SMMU_SVM = {
  ssidsize: 20,
  ats: true,
  pri: true,
  pps: true,
  stall: 'optional',
  httu: 'dirty',
  'two-level-cds': true,
  'attribute-overrides': true,
  'ats-record-errors': true,
  'ats-split-stage': true,
  msi: true,
  epan: true,
  e0pd: true,
  hyp: true,
};

const NO_ATS = { ats: false, pri: false, pps: false, 'ats-record-errors': false, 'ats-split-stage': false };

describe.each([
  ['intel,svm=on', { kind: 'intel', svm: true }, INTEL_SVM],
  [
    'intel,svm=on,pasid-bits=8',
    { kind: 'intel', svm: true, 'pasid-bits': 8 },
    { ...INTEL_SVM, 'pasid-bits': 8 },
  ],
  [
    'intel,svm=on,page-requests=off',
    { kind: 'intel', svm: true, 'page-requests': false },
    { ...INTEL_SVM, 'page-requests': false },
  ],
  [
    'intel,device-iotlb=off,svm=on',
    { kind: 'intel', 'device-iotlb': false, svm: true },
    { ...INTEL_SVM, 'device-iotlb': false, 'page-requests': false },
  ],
  ['intel,svm=on,nested=off', { kind: 'intel', svm: true, nested: false }, { ...INTEL_SVM, nested: false }],
  [
    'intel,scalable-mode=on,nested=on',
    { kind: 'intel', 'scalable-mode': true, nested: true },
    { 'scalable-mode': true, nested: true, fsts: true, 'pasid-bits': 0 },
  ],
  ['smmuv3,svm=on', { kind: 'smmuv3', svm: true }, SMMU_SVM],
  ['smmuv3,svm=on,httu=none', { kind: 'smmuv3', svm: true, httu: 'none' }, { ...SMMU_SVM, httu: 'none' }],
  ['smmuv3,svm=on,ats=off', { kind: 'smmuv3', svm: true, ats: false }, { ...SMMU_SVM, ...NO_ATS }],
  [
    'smmuv3,svm=on,pri=off,stall=terminate',
    { kind: 'smmuv3', svm: true, pri: false, stall: 'terminate' },
    { ...SMMU_SVM, pri: false, pps: false, stall: 'terminate' },
  ],
  [
    'smmuv3,svm=on,stage=1',
    { kind: 'smmuv3', svm: true, stage: '1' },
    { ...SMMU_SVM, stage: '1', 'ats-split-stage': false },
  ],
])('%s', (text, description, expected) => {
  test('on the command line leaves what it says and brings the rest', async () => {
    expect(await fromCommandLine(text)).toMatchObject(expected);
  });

  test('in a file means the same', async () => {
    expect(fromFile(description)).toEqual(await fromCommandLine(text));
  });

  test('written to a file and read again is the same', async () => {
    const { kind } = description;
    const machine = kind === 'smmuv3' ? 'virt' : 'q35';
    const config = parseMachineConfig(z, registry, { machine, viommu: description }, 'm.json');

    expect(parseMachineConfig(z, registry, configToJson(config), 'm.json')).toEqual(config);
  });

  test('makes a unit', async () => {
    const { kind } = description;
    const options = await fromCommandLine(text);

    expect(() => boot(kind, options)).not.toThrow();
  });
});

function boot(kind: string, options: Options): Iommu | undefined {
  const machine = kind === 'smmuv3' ? 'virt' : 'q35';
  return bootedMachine({ machine, devices: [], viommu: { kind, options } }).iommu;
}

test.each([
  [
    'intel,svm=on,scalable-mode=off',
    'intel: svm: it needs scalable-mode, which is off; switch scalable-mode on, or svm off',
  ],
  ['intel,svm=on,pasid-bits=0', 'intel: svm: it needs pasid-bits, which is off'],
  ['intel,svm=on,fsts=off', 'intel: svm: it needs fsts, which is off'],
  [
    'intel,svm=on,device-iotlb=off,page-requests=on',
    'intel: page-requests: it needs device-iotlb, which is off',
  ],
  ['intel,scalable-mode=on,nested=on,fsts=off', 'intel: nested: it needs fsts, which is off'],
  ['intel,nested=on', 'intel: fsts: it needs scalable-mode, which is off'],
  ['smmuv3,svm=on,stage=2', 'smmuv3: svm: it needs stage 1; use stage=1 or stage=nested'],
  ['smmuv3,svm=on,ssidsize=0', 'smmuv3: svm: it needs substreams, and ssidsize is 0; give ssidsize'],
  ['smmuv3,svm=on,ats=off,pri=on', 'smmuv3: pri: it needs ats, which is off; switch ats on'],
  ['smmuv3,svm=on,pri=off,pps=on', 'smmuv3: pps: it needs pri, which is off; switch pri on'],
])('%s is refused: %s', async (text, message) => {
  const options = await fromCommandLine(text);

  expect(() => boot(text.split(',')[0]!, options)).toThrow(message);
});

test('defaults with svm switched on, and all of its set off, are refused rather than without effect', () => {
  for (const [kind, message] of [
    ['intel', 'intel: svm: it needs scalable-mode'],
    ['smmuv3', 'smmuv3: svm: it needs substreams'],
  ] as const) {
    const options = { ...registry.iommu(kind).defaults, svm: true };

    expect(() => boot(kind, options)).toThrow(message);
  }
});

test("QEMU's svm is page requests only, and brings nothing along", () => {
  const { machine } = parseQemuArguments(
    ['-M', 'q35', '-qtest', 'unix:/s', '-device', 'intel-iommu,scalable-mode=on,device-iotlb=on,svm=on'],
    registry,
  );

  expect(machine!.viommu!.options).toEqual({
    ...registry.iommu('intel').defaults,
    'scalable-mode': true,
    'device-iotlb': true,
    'page-requests': true,
  });
});

test('a kind without presets has its defaults under what is given', () => {
  const options: Options = completeOptions<Options>({ defaults: { a: 1, b: 2 } }, { b: 3 });

  expect(options).toEqual({ a: 1, b: 3 });
});
