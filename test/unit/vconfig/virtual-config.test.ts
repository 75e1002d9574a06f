import { describe, expect, test } from 'vitest';
import { dissect } from '../../../devices/vconfig/space.ts';
import { REAL } from '../../kit/config-spaces.ts';
import { planned, VconfigRig } from '../../kit/vconfig-rig.ts';

const chain = (rig: VconfigRig) =>
  dissect(rig.dump()).capabilities.map(({ key, offset }) => `${key}@${offset.toString(16)}`);

describe('what a guest reads', () => {
  test('both chains are as planned, with PASID that vfio-pci hides', () => {
    const rig = new VconfigRig(REAL.dsa, { plan: planned([REAL.dsa]) });

    expect(chain(rig)).toEqual([
      'pcie@40',
      'msix@80',
      'pm@90',
      'aer@100',
      'ltr@150',
      'tph@160',
      'vc@170',
      'dvsec.8086.0005@200',
      'ats@220',
      'pasid@230',
      'pri@240',
    ]);
  });
});
