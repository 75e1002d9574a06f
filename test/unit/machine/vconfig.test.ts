import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import type { Plan } from '../../../devices/vconfig/plan.ts';
import { vfioView } from '../../../devices/vconfig/vfio-view.ts';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import { configToJson, type MachineConfig, parseMachineConfig } from '../../../vmm/machine/config.ts';
import { Machine } from '../../../vmm/machine/machine.ts';
import { loadMachineSnapshot, saveMachineSnapshot } from '../../../vmm/machine/snapshot-machine.ts';
import { layoutAt } from '../../../vmm/machine/vconfig.ts';
import { buildSpace, REAL } from '../../kit/config-spaces.ts';
import { enginePlan } from '../../kit/planned-engine.ts';
import { RecordedDevice } from '../../kit/vconfig-rig.ts';

const directory = mkdtempSync(join(tmpdir(), 'tsvmm-vconfig-'));
afterAll(() => rmSync(directory, { recursive: true }));
const registry = builtinRegistry();
const PASID = 0xe00;
const PLAN = enginePlan();

interface Options {
  readonly plan?: Plan;
  readonly viommu?: object | null;
  readonly engine?: object;
}

function configOf({
  plan = PLAN,
  viommu = { kind: 'intel', svm: true },
  engine = {},
}: Options = {}): MachineConfig {
  return parseMachineConfig(
    z,
    registry,
    {
      memory: '8M',
      viommu,
      devices: [
        { kind: 'pcie-root-port', id: 'rp0', addr: '05.0' },
        {
          kind: 'svm-engine',
          id: 'nic0',
          bus: 'rp0',
          vconfig: 'rack',
          frames: 2,
          'atc-entries': 16,
          ...engine,
        },
      ],
      vconfigs: { rack: plan },
    },
    'test',
  );
}

const machine = (options?: Options): Machine => new Machine(configOf(options), registry);
const nic = (m: Machine) => m.pciDevice('nic0')!.fn;
const dump = (m: Machine) => Array.from({ length: 4096 }, (_, at) => nic(m).configRead(at, 1));

const refusal = (act: () => unknown): TsvmmError => {
  try {
    act();
  } catch (error) {
    if (error instanceof TsvmmError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};
const advertised = (m: Machine) => {
  const view = m.views.find(({ name }) => name === 'vconfig')!;
  const json = view.json() as Record<string, { advertised: { key: string; reasons: string[] }[] }>;
  return json['nic0']!.advertised.map(({ key, reasons }) => [key, ...reasons]);
};

describe('a plan is part of the machine', () => {
  test('its description has the plan whole, and is read back', () => {
    const config = configOf();

    expect(parseMachineConfig(z, registry, JSON.parse(JSON.stringify(configToJson(config))), 'x')).toEqual(
      config,
    );
  });

  test('a plan that the machine does not have is refused, and so is one whose capabilities overlap', () => {
    const config = configOf();
    const unknown = { ...config, devices: [{ ...config.devices[1]!, bus: undefined, vconfig: 'rak' }] };
    const at = (key: string) => PLAN.capabilities.find((one) => one.key === key)!;
    const plan = { ...PLAN, capabilities: [at('pasid'), { ...at('ats'), offset: 0xe04 }] };

    expect(refusal(() => new Machine(unknown, registry)).message).toBe(
      "nic0: vconfig: the machine has no plan 'rak'; did you mean 'rack'?",
    );
    expect(refusal(() => configOf({ plan })).code).toBe('bad-vconfig-plan');
  });

  test('a kind with no PCI Express capability, and a port, cannot have it', () => {
    const devices = ['edu', 'pcie-root-port'].map((kind) => ({
      kind,
      id: 'x0',
      vconfig: 'rack',
      options: registry.pci(kind).defaults as object as Record<string, unknown>,
    }));

    expect(
      devices.map(
        (device) => refusal(() => new Machine({ ...configOf(), devices: [device] }, registry)).code,
      ),
    ).toEqual(['vconfig-misfit', 'vconfig-misfit']);
  });
});

test('a function that is integrated in the root complex where it was planned has a link behind a port', () => {
  const integrated = {
    ...PLAN,
    capabilities: PLAN.capabilities.map((one) =>
      one.key === 'pcie'
        ? {
            ...one,
            contents: `${one.contents.slice(0, 4)}92${one.contents.slice(6, 24)}00${one.contents.slice(26)}`,
          }
        : one,
    ),
  };
  const fn = nic(machine({ plan: integrated }));
  const at = fn.w.layout.pcie;

  // Type 0; one lane, 2.5 GT/s.
  expect([fn.configRead(at + 2, 1), fn.configRead(at + 0x0c, 1), fn.configRead(at + 0x12, 1)]).toEqual([
    0x02, 0x11, 0x11,
  ]);
});

describe('the layout is frozen', () => {
  test('over a reset of the machine, warm and cold', () => {
    const m = machine();
    const before = dump(m);
    nic(m).configWrite(PASID + 6, 2, 1);

    m.reset('warm');
    const warm = dump(m);
    m.reset('cold');

    expect([warm, dump(m)]).toEqual([before, before]);
  });

  test('over unplugging and plugging in again, also of a device that could do more', () => {
    const m = machine();
    const before = dump(m);
    const device = m.config.devices[1]!;

    m.unplug('nic0');
    m.plug({ ...device, options: { ...device.options, frames: 32, 'atc-entries': 512 } });

    expect(dump(m)).toEqual(before);
  });

  test('a device that fits no longer is not plugged in, and the place stays empty', () => {
    const m = machine();
    const device = m.config.devices[1]!;
    m.unplug('nic0');

    const { code, message } = refusal(() =>
      m.plug({ ...device, options: { ...device.options, pri: false, 'pasid-bits': 8 } }),
    );

    expect(code).toBe('vconfig-misfit');
    expect(message).toContain(
      'pasid: the plan has PASIDs of 16 bits, the device of 8; pri: the host reports no PRI',
    );
    expect(m.pciDevice('nic0')).toBeUndefined();
    m.root.configWrite(0x28, 0x18, 4, 0x00010100);
    expect(m.root.configRead(0x100, 0, 4)).toBe(0xffffffff);
  });

  test('over a snapshot, with what the guest has set', () => {
    const saved = machine();
    nic(saved).configWrite(PASID + 6, 2, 1);
    saveMachineSnapshot(saved, join(directory, 'same'), { program: 'test' });
    const loaded = machine();

    loadMachineSnapshot(loaded, join(directory, 'same'));

    expect(nic(loaded).configRead(PASID + 6, 2)).toBe(1);
    expect(dump(loaded)).toEqual(dump(saved));
  });

  test('a snapshot of another plan is refused, and the machine is as it was', () => {
    saveMachineSnapshot(machine(), join(directory, 'other'), { program: 'test' });
    const m = machine({ plan: enginePlan({ offsets: { pasid: 'ff0' } }) });
    const before = dump(m);

    expect(refusal(() => loadMachineSnapshot(m, join(directory, 'other'))).code).toBe('foreign-state');
    expect(dump(m)).toEqual(before);
  });

  test('what is advertised is part of it: in a machine whose vIOMMU does less the space is another', () => {
    const all = nic(machine());
    const less = nic(machine({ viommu: { kind: 'intel', 'scalable-mode': true, 'pasid-bits': 20 } }));
    const saved = all.stateDef().save(all.s);

    expect(refusal(() => less.stateDef().load(less.s, saved, 'nic0')).code).toBe('other-config-space');
  });
});

describe('PASID, ATS and PRI are advertised where platform, host and vIOMMU agree', () => {
  test('with all of them', () => {
    expect(advertised(machine())).toEqual([['pasid'], ['ats'], ['pri']]);
  });

  test('without an IOMMU, none is there, and the chain ends before them', () => {
    const m = machine({ viommu: null });
    const why = 'the machine has no IOMMU that does it';

    expect(advertised(m)).toEqual([
      ['pasid', why],
      ['ats', why],
      ['pri', why, 'it needs ATS'],
    ]);
    expect([0xe00, 0xe10, 0xe20].map((at) => nic(m).configRead(at, 4))).toEqual([0, 0, 0]);
  });

  test('what the vIOMMU has switched off is named', () => {
    const viommu = { kind: 'intel', 'scalable-mode': true, 'pasid-bits': 20 };

    expect(advertised(machine({ viommu }))).toEqual([
      ['pasid'],
      ['ats', 'the vIOMMU does not do it: device-iotlb is off'],
      ['pri', 'the vIOMMU does not do it: page-requests is off', 'it needs ATS'],
    ]);
  });

  test('what the plan leaves out is not there', () => {
    expect(advertised(machine({ plan: enginePlan({ want: ['ats'] }) }))).toEqual([
      ['pasid', 'the plan does not have it'],
      ['ats'],
      ['pri', 'the plan does not have it'],
    ]);
  });
});

describe('a held device without a plan', () => {
  const bytes = vfioView(buildSpace(REAL.skylakeGpu).bytes);
  const facts = { pasidWidth: 20, pasidExec: true, pasidPriv: false, ats: true, pri: true };
  const layout = (quirks?: string) => {
    const device = new RecordedDevice(bytes);
    const place = { plan: undefined, parent: undefined, viommu: machine().iommu!.svm, quirks };
    const spec = { vendor: 0, device: 0, classCode: 0, revision: 0, held: { bytes, facts, backing: device } };
    return { device, layout: layoutAt(place)('gpu0', spec) };
  };

  test('gets one of its own: PASID where it was hidden, as the host reports it', () => {
    const { pasid, ats, pri, block } = layout().layout;

    // Hidden first, it left an anchor at 100h; its bytes are free.
    expect([pasid, ats, pri]).toEqual([0x100, 0x200, 0x300]);
    expect(block.read32(block.fresh(), pasid + 4)).toBe(0x1402);
  });

  test('keeps registers that the list names', () => {
    const { device, layout: made } = layout('8086:191e 50-53,104-10f  # GGC, and a place that is taken');
    device.bytes.set([1, 2, 3, 4], 0x50);

    expect(made.planned?.read32(0x50, 0)).toBe(0x04030201);
    expect(made.pasid).toBe(0x110);
  });
});
