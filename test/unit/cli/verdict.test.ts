import { expect, test } from 'vitest';
import { verdictLine, verdictOf } from '../../../vmm/cli/verdict.ts';
import { TapParser } from '../../../vmm/machine/tap.ts';

test('a run that was saved half-way is not blamed for the results still to come', () => {
  const tap = new TapParser();
  tap.write(Buffer.from('TAP version 14\nok 1 - so far\n'));

  const verdict = verdictOf({
    guest: 'a.c',
    seed: 1,
    outcome: { end: 'saved', virtualNs: 5, instructions: 5, faults: [] },
    tap: tap.end(),
    console: '',
  });

  expect(verdict).toMatchObject({ verdict: 'saved', exitCode: 0, reason: null });
  expect(verdictLine(verdict)).toBe('a.c: tests: 1 passed; 5 ns of virtual time, 5 instructions');
});
