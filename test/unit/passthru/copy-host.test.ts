import { expect, test } from 'vitest';
import * as zod from 'zod';
import type { MmioHandler } from '../../../vmm/bus/mmio.ts';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import { configToJson, type HostConfig, parseMachineConfig } from '../../../vmm/machine/config.ts';
import type { Machine } from '../../../vmm/machine/machine.ts';
import type { Passthrough } from '../../../vmm/passthru/passthrough.ts';
import { assigned } from '../../kit/assigned.ts';
import { bootedMachine } from '../../kit/machine.ts';
import { shippedHost } from '../../kit/running-host.ts';

const PORTS = ['rp0', 'rp1'].map((id) => ({ kind: 'pcie-root-port', id, options: {} }));
const [FULL, WITHOUT_PASIDS, OLD] = ['0000:16:00.0', '0000:27:00.0', '0000:81:00.0'];
/** CAP and ECAP. */
const CAPABILITIES = [0x08, 0x0c, 0x10, 0x14];

/** What `--viommu copy-host --host xeon-mixed` with these devices makes. */
function copied(...devices: string[]): Machine {
  const registry = builtinRegistry();
  const { hosts } = registry;
  const source = 'xeon-mixed.json';
  const file = hosts!.check(zod, registry, shippedHost('xeon-mixed'), source);
  const host: HostConfig = { file, source, fallback: 'explain' };
  const { unit, kind, options } = hosts!.copy(host, registry, devices);
  return bootedMachine({
    viommu: { kind, options },
    host: { ...host, copied: { unit, devices } },
    devices: [...PORTS, ...devices.map((address, i) => assigned(address, `dev${i}`, `rp${i}`))],
  });
}

const capabilities = (m: Machine): number[] => {
  const unit = m.iommu!.mmio[0]!.handler as MmioHandler;
  return CAPABILITIES.map((offset) => unit.read(offset, 4, m.mmio) >>> 0);
};

const paths = (m: Machine) => {
  const passthrough = m.host!.passthrough as Passthrough;
  return passthrough.assignments.map((one) => [one.device.host.name, passthrough.pathOf(one)]);
};

test('devices behind lesser units than the copied one are served by software, and say by which bits', () => {
  const m = copied(FULL as string, OLD as string);

  const text = m.host!.views.find(({ name }) => name === 'passthrough')!.text();

  expect(paths(m)).toEqual([
    [FULL, 'nested'],
    [OLD, 'software'],
  ]);
  expect(text).toMatch(
    /^vIOMMU: a copy of dmar0 of xeon-mixed, .*\(0000:16:00\.0\), dmar2 \(0000:81:00\.0\)\n/,
  );
  expect(text).toContain("  because ECAP.SMTS (bit 43) of the host's unit is 0\n");
});

test('a device behind a lesser unit that is plugged in later changes nothing of what the guest sees', () => {
  const m = copied(FULL as string);
  const before = capabilities(m);

  m.plug(assigned(OLD as string, 'late', 'rp1'));

  expect(capabilities(m)).toEqual(before);
  expect(before[3]! & (1 << (43 - 32))).not.toBe(0);
  expect(paths(m)).toEqual([
    [FULL, 'nested'],
    [OLD, 'software'],
  ]);
  const { layout } = m.pciDevice('late')!.fn.w;
  // PASIDs and page requests, too, which its unit does not have.
  expect([layout.pasid, layout.ats, layout.pri].every((at) => at !== 0)).toBe(true);
});

test('a better unit of a device that is plugged in later brings nothing that the guest has not been promised', () => {
  const m = copied(WITHOUT_PASIDS as string);
  const before = capabilities(m);

  m.plug(assigned(FULL as string, 'late', 'rp1'));

  expect(capabilities(m)).toEqual(before);
  // ECAP.PASID (40).
  expect(before[3]! & (1 << (40 - 32))).toBe(0);
  expect(paths(m)).toEqual([
    [WITHOUT_PASIDS, 'nested'],
    [FULL, 'nested'],
  ]);
  expect(m.pciDevice('late')!.fn.w.layout.pasid).toBe(0);
});

test('what was copied is part of the description: the vIOMMU with its options, the unit, and the devices that counted', () => {
  const { config } = copied(FULL as string, OLD as string);

  const again = parseMachineConfig(
    zod,
    builtinRegistry(),
    JSON.parse(JSON.stringify(configToJson(config))),
    'dumped',
  );

  expect(again.viommu).toEqual(config.viommu);
  expect(again.host?.copied).toEqual({ unit: 'dmar0', devices: [FULL, OLD] });
});
