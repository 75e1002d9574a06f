import { expect, test } from 'vitest';
import { readFleet } from '../../../../vmm/cli/vconfig-files.ts';
import { builtinRegistry } from '../../../../vmm/machine/builtin.ts';

const registry = async () => builtinRegistry();

test('a host is a fleet: its devices without its ports, with what they can do behind their units', async () => {
  const fleet = await readFleet(['vmm/host/hosts/xeon-mixed.json'], [], registry);

  expect(fleet.map(({ space, facts }) => [space.name, facts.pasidWidth, facts.ats, facts.pri])).toEqual([
    ['0000:16:00.0', 20, true, true],
    ['0000:27:00.0', 0, true, false],
    ['0000:6a:01.0', 20, true, true],
    ['0000:81:00.0', 0, true, false],
  ]);
});

test('JSON that is no host is refused as such', async () => {
  await expect(readFleet(['package.json'], [], registry)).rejects.toThrow(
    'package.json: is JSON, and no host file',
  );
});
