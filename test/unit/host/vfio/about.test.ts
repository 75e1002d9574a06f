import { expect, test } from 'vitest';
import { TsvmmError } from '../../../../vmm/core/errors.ts';
import { checkIntents, type DmaIntents } from '../../../../vmm/host/vfio/intents.ts';
import { groupsOf } from '../../../../vmm/host/vfio/topology.ts';
import { DATA, VfioRig } from '../../../kit/vfio-rig.ts';

function text(rig: VfioRig, path: string): string {
  const fd = rig.calls.open(path);
  let all = '';
  for (let n = rig.calls.read(fd, DATA, 16); n > 0; n = rig.calls.read(fd, DATA, 16))
    all += new TextDecoder().decode(rig.caller.bytes(DATA, n).slice());
  return all;
}

test('a group says what must hold for its devices, in a call and in a file', () => {
  const rig = new VfioRig();
  rig.vfio.describe(
    groupsOf([
      { name: 'a', type: 'rc-endpoint', device: 1, fn: 0 },
      { name: 'b', type: 'rc-endpoint', device: 1, fn: 1 },
    ]),
  );
  const why =
    'all devices of group 0 must use the same address space, because b: a has no ACS capability, and it is a function of the same device';

  expect([
    rig.vfio.constraint(0),
    rig.vfio.constraint(1),
    text(rig, '/sys/kernel/iommu_groups/0/constraint'),
  ]).toEqual([{ group: 0, functions: ['a', 'b'], oneAddressSpace: true, why }, undefined, `${why}\n`]);
});

test('a device says what its driver declared, and where its requests with PASID may stray', () => {
  const rig = new VfioRig();
  rig.add();
  rig.add({
    path: { verdict: 'reserve', windows: [{ start: 0x1000n, last: 0x1fffn }], why: 'd0 has no ACS' },
  });

  expect(
    ['0/dma_intents', '0/pasid_path', '1/pasid_path'].map((one) =>
      text(rig, `/sys/class/vfio-dev/vfio${one}`),
    ),
  ).toEqual(['requester pasid-tlp\n', 'free\n', 'reserve\n0x1000-0x1fff\nd0 has no ACS\n']);
});

test('a function that takes deferrable writes is one of ENQCMD', () => {
  const rig = new VfioRig();
  const words = [0x1000_8002, 0x2820, 0, 0, 0, 0, 0, 0, 1 << 28];
  const { device } = rig.add({ fn: { standard: [{ at: 0x40, id: 0x10, head: 2, words }] } });

  expect(device.intents.intents).toEqual(['requester', 'pasid-tlp', 'enqcmd']);
});

const software = { bound: () => {}, unmap: () => {} };
const BAD: readonly (readonly [string, DmaIntents])[] = [
  ['no DMA', { intents: [] }],
  ['software and requests', { intents: ['software-table', 'requester'], software }],
  ['software without a driver', { intents: ['software-table'] }],
  ['a driver without software', { intents: ['requester'], software }],
  ['an address space without its PASID', { intents: ['pasid-address-space'] }],
  ['a PASID without its address space', { intents: ['requester'], linkedPasid: 4 }],
  ['a PASID of its own, and others', { intents: ['pasid-address-space', 'pasid-tlp'], linkedPasid: 4 }],
  ['ENQCMD without PASIDs', { intents: ['requester', 'enqcmd'] }],
];
test.each(BAD)('intents that contradict each other are refused: %s', (_, intents) => {
  expect(() => checkIntents('x', intents)).toThrow(TsvmmError);
});

test('a function is registered once', () => {
  const rig = new VfioRig();
  rig.add({ fn: { name: '0000:03:00.0' } });

  expect(() => rig.add({ fn: { name: '0000:03:00.0' } })).toThrow(TsvmmError);
});
