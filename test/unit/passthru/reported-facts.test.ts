import { describe, expect, test } from 'vitest';
import type { Host } from '../../../vmm/host/model/create.ts';
import type { Passthrough } from '../../../vmm/passthru/passthrough.ts';
import { machineOn } from '../../kit/assigned.ts';

/** What a plan is made from (tsvmm vconfig plan HOST) is what the host tells the VMM that holds the device. */
describe.each([
  'arm-mmu-600',
  'arm-mmu-700',
  'core-alder-lake',
  'xeon-mixed',
  'xeon-sapphire-rapids',
  'xeon-skylake-sp',
  'xeon-westmere',
])('GET_HW_INFO of the devices of %s', (name) => {
  test('says of PASIDs, execute and privileged requests what the description of the host does', () => {
    const machine = machineOn(name, [], { viommu: null });
    const { functions } = machine.host!.running as Host;
    const passthrough = machine.host!.passthrough as Passthrough;

    // A physical function whose virtual ones are enabled stays the host's.
    const held = [...functions].filter(([, { device }]) => !device?.fn.enabledVirtual);

    const rows = held.map(([address, { described }]) => {
      const { pasidBits, pasidExec, pasidPriv } = passthrough.open(address, address).info;
      const { pasidWidth, pasidExec: exec, pasidPriv: priv } = described.facts;
      return { address, reported: [pasidBits, pasidExec, pasidPriv], described: [pasidWidth, exec, priv] };
    });

    expect(rows.length).toBeGreaterThan(1);
    for (const { address, reported, described } of rows)
      expect([address, ...reported]).toEqual([address, ...described]);
  });
});
