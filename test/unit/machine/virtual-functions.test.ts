import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import * as z from 'zod';
import type { SvmEngine } from '../../../devices/ep/svm-engine.ts';
import { SRIOV_CONTROL, SRIOV_NUM } from '../../../devices/pci/sriov-registers.ts';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import { MIB, parseMachineConfig } from '../../../vmm/machine/config.ts';
import { Machine } from '../../../vmm/machine/machine.ts';
import { loadMachineSnapshot, saveMachineSnapshot } from '../../../vmm/machine/snapshot-machine.ts';
import { enableSvm } from '../../kit/svm-world.ts';

const directory = mkdtempSync(join(tmpdir(), 'tsvmm-vfs-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** An SVM engine with two virtual functions behind a root port, bus 1. */
function machine(): Machine {
  const registry = builtinRegistry();
  const json = {
    memory: '8M',
    viommu: { kind: 'intel', svm: true },
    devices: [
      { kind: 'pcie-root-port', id: 'rp0', addr: '05.0' },
      {
        kind: 'svm-engine',
        id: 'svm0',
        bus: 'rp0',
        ats: true,
        pri: true,
        'pasid-bits': 20,
        vfs: 2,
        frames: 2,
        'atc-entries': 16,
      },
    ],
  };
  const made = new Machine(parseMachineConfig(z, registry, json, 'test'), registry);
  made.root.configWrite(0x28, 0x18, 4, 0x00010100);
  made.root.configWrite(0x28, 4, 2, 6);
  return made;
}

function enableVirtual(m: Machine): void {
  const { fn } = m.pciDevice('svm0')!;
  fn.configWrite(fn.w.layout.sriov + SRIOV_NUM.offset, 2, 2);
  fn.configWrite(fn.w.layout.sriov + SRIOV_CONTROL.offset, 2, 1);
}

test('virtual functions are devices of the machine with ids of their own', () => {
  const m = machine();

  expect([...m.devices.keys()].filter((id) => id.startsWith('svm0'))).toEqual([
    'svm0',
    'svm0.pci',
    'svm0.vf1',
    'svm0.vf1.pci',
    'svm0.vf2',
    'svm0.vf2.pci',
  ]);
});

test('what a virtual function is in the middle of is saved and loaded', () => {
  const m = machine();
  enableVirtual(m);
  const vf = m.pciDevice('svm0.vf2')!;
  enableSvm(m.pciDevice('svm0')!.fn);
  vf.fn.configWrite(4, 2, 4);
  const { s } = vf.device as SvmEngine;
  // A group with one request outstanding, and its credit.
  s.ats.groups.set([1, 6, 0], 3 * 7);
  m.pciDevice('svm0')!.fn.s.pageRequests = 1;
  saveMachineSnapshot(m, join(directory, 'one'), { program: 'test' });
  const other = machine();

  loadMachineSnapshot(other, join(directory, 'one'));

  const loaded = other.pciDevice('svm0.vf2')!;
  expect(other.root.find(0x102)).toBe(loaded.fn);
  expect([loaded.fn.w.dma.enabled, loaded.fn.w.dma.requester]).toEqual([true, 0x102]);
  expect((loaded.device as SvmEngine).agent.outstanding).toBe(1);
  loaded.fn.ats!.pageResponse(5, 7, 0);
  expect(other.pciDevice('svm0')!.fn.s.pageRequests).toBe(0);
});

test('unplugging the physical function takes them away, and it can be plugged in again', () => {
  const m = machine();
  enableVirtual(m);
  const config = m.config.devices.find((d) => d.id === 'svm0')!;

  m.unplug('svm0');

  expect([...m.devices.keys()].filter((id) => id.startsWith('svm0'))).toEqual([]);
  expect(m.root.find(0x101)).toBeUndefined();
  m.plug(config);
  expect(m.devices.has('svm0.vf2')).toBe(true);
});

test('a virtual function is not unplugged by itself', () => {
  expect(() => machine().unplug('svm0.vf1')).toThrow(TsvmmError);
});

test('a device that cannot be plugged in leaves nothing behind', () => {
  const m = machine();
  const config = { ...m.config.devices.find((d) => d.id === 'svm0')!, id: 'svm1' };

  expect(() => m.plug(config)).toThrow(TsvmmError);
  m.unplug('svm0');
  m.plug(config);

  expect(m.devices.has('svm1.vf1')).toBe(true);
  expect(m.config.memory).toBe(8 * MIB);
});
