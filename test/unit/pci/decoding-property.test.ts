import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PCIE_ROOT_PORT } from '../../../devices/pci/root-port.ts';
import { PciRig, RecordingBackend } from '../../kit/pci-rig.ts';
import { runs } from '../../kit/runs.ts';

const MIB = 0x100000;

interface Programmed {
  readonly base: number;
  readonly command: number;
}

const bars = fc.record({ base: fc.nat(7), command: fc.constantFrom(0, 2, 6, 7) });
const windows = fc.record({ base: fc.nat(7), limit: fc.nat(7), command: fc.constantFrom(0, 2, 7) });

test('an address is answered by the first function whose BAR holds it and whose bridge lets it pass', () => {
  fc.assert(
    fc.property(
      fc.array(bars, { minLength: 3, maxLength: 3 }),
      windows,
      fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
      ([a, b, behind], window, order) => {
        const pci = new PciRig();
        const spec = { bars: [{ index: 0, kind: 'memory32' as const, size: MIB }] };
        const first = pci.plugFunction(spec, { id: 'a', device: 1 }, new RecordingBackend(0));
        const port = pci.plug(PCIE_ROOT_PORT, { id: 'rp', device: 2 }).fn;
        const inner = pci.plugFunction(spec, { id: 'c', parent: port }, new RecordingBackend(0));
        const last = pci.plugFunction(spec, { id: 'b', device: 3 }, new RecordingBackend(0));
        const program = (fn: typeof first, { base, command }: Programmed) => {
          fn.configWrite(0x10, 4, 0xe0000000 + base * MIB);
          fn.configWrite(0x04, 2, command);
        };
        // In any order: what answers depends on the registers, not on their history.
        const steps = [
          () => program(first, a!),
          () => program(inner, behind!),
          () => program(last, b!),
          () => {
            port.configWrite(0x20, 2, 0xe000 + window.base * 16);
            port.configWrite(0x22, 2, 0xe000 + window.limit * 16);
            port.configWrite(0x24, 4, 0x0000fff0);
            port.configWrite(0x04, 2, window.command);
          },
        ];
        for (const i of order) steps[i]!();

        for (let mib = 0; mib < 8; mib++) {
          const decodes = ({ base, command }: Programmed) => base === mib && (command & 2) !== 0;
          const passes = window.base <= mib && mib <= window.limit && (window.command & 2) !== 0;
          const owner = decodes(a!) ? 'a' : decodes(behind!) && passes ? 'c' : decodes(b!) ? 'b' : undefined;
          const range = pci.mmio.ranges.find((r) => r.base === 0xe0000000 + mib * MIB);
          expect(range?.name).toBe(owner === undefined ? undefined : `${owner} BAR 0`);
        }
      },
    ),
    { numRuns: runs(300), seed: 1 },
  );
});
