import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import { configToJson, defaultConfig, parseMachineConfig } from '../../../vmm/machine/config.ts';

const registry = builtinRegistry();
const parse = (json: unknown) => parseMachineConfig(z, registry, json, 'm.json');

describe('a machine description', () => {
  test('round-trips through its file form', () => {
    const config = defaultConfig(registry);
    expect(parse(JSON.parse(JSON.stringify(configToJson(config))))).toEqual(config);
  });

  test('takes sizes with a unit and fills in what is left out', () => {
    const config = parse({
      memory: '64M',
      devices: [{ kind: 'edu', dma_mask: 0xffffffff }, { kind: 'edu' }],
    });
    expect(config.memory).toBe(64 << 20);
    expect(config.viommu).toBeNull();
    expect(config.devices.map((d) => d.id)).toEqual(['edu0', 'edu1']);
    expect(config.devices[0]!.options['dma_mask']).toBe(0xffffffff);
  });

  test('has defaults that its schema agrees with, for every kind', () => {
    for (const kind of [...registry.pciKinds, ...registry.iommuKinds]) {
      expect(kind.schema(z).parse({}), kind.name).toEqual(kind.defaults);
    }
  });

  test.each([
    [{ devices: [{ kind: 'edus' }] }, "m.json: there is no device kind 'edus'; did you mean 'edu'?"],
    [{ devices: [{ kind: 'edu', dma_msk: 1 }] }, "did you mean 'dma_mask'?"],
    [{ viommu: { kind: 'intel', 'aw-bit': 39 } }, "did you mean 'aw-bits'?"],
    [{ viommu: { kind: 'intel', 'aw-bits': 40 } }, 'm.json at viommu.aw-bits'],
    [{ machin: 'q35' }, "did you mean 'machine'?"],
    [{ memory: '3K' }, 'm.json: memory: 3K is not a RAM size'],
    [{ memory: 65537 * 64 }, 'is not a RAM size'],
    [
      {
        devices: [
          { kind: 'edu', id: 'a' },
          { kind: 'edu', id: 'a' },
        ],
      },
      'a: two devices have this id',
    ],
    [{ seed: -1 }, 'm.json at seed'],
    [[], 'm.json'],
    ['x', 'm.json'],
  ])('is refused with its place and a remedy: %j', (json, message) => {
    expect(() => parse(json)).toThrow(message);
  });
});
