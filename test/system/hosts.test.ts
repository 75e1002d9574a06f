import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { hostListSchema, hostShowSchema } from '../../vmm/cli/host-schemas.ts';
import { type Cli, copyOfCli } from '../kit/run-cli.ts';

const scratch = mkdtempSync(join(tmpdir(), 'tsvmm-hosts-'));
let cli: Cli;
beforeAll(() => {
  cli = copyOfCli();
});
afterAll(() => {
  cli.remove();
  rmSync(scratch, { recursive: true });
});
const run = (...args: readonly string[]) => cli.run(args, { cwd: scratch });

describe('the hosts that ship', () => {
  test('are listed and shown, for people and as the published schemas say', () => {
    const listed = hostListSchema(z).parse(JSON.parse(run('host', 'list', '--json').stdout));

    expect(listed.hosts.length).toBeGreaterThanOrEqual(6);
    for (const { name, iommu } of listed.hosts) {
      const text = run('host', 'show', name);
      const json = run('host', 'show', name, '--json');
      expect([text.status, text.stderr]).toEqual([0, '']);
      expect(text.stdout).toContain(`\nThis is ${iommu}, `);
      expect(hostShowSchema(z).parse(JSON.parse(json.stdout)).iommu).toBe(iommu);
    }
  });

  test('units that differ are a warning with the differing bits', () => {
    const { stdout } = run('host', 'show', 'core-alder-lake');

    expect(stdout).toContain('warning: the units differ in ');
    expect(stdout).toContain('  device TLBs (ATS): dmar0 yes, dmar1 no\n');
    expect(stdout).toContain('  ECAP.DT (2): dmar0 1, dmar1 0: Device-TLBs\n');
  });

  test('can be planned for as dumps can', () => {
    const host = join(cli.directory, 'vmm/host/hosts/xeon-sapphire-rapids.json');
    const planned = run(
      'vconfig',
      'plan',
      host,
      '--device',
      '16:00.0',
      '--device',
      '6a:01.0',
      '-o',
      'plan.json',
    );
    const checked = run('vconfig', 'check', 'plan.json', host, '--device', '29:00.0');

    expect([planned.status, planned.stderr]).toEqual([0, '']);
    expect(checked.stdout).toContain('0000:29:00.0: fits\n');
    expect(run('vconfig', 'show', host, '--device', '38:00.0').stdout).toContain('1002:731f');
  });
});

describe('a file that is no host is refused in one line with exit code 2', () => {
  const good = JSON.parse(readFileSync('vmm/host/hosts/xeon-westmere.json', 'utf8'));
  test.each([
    ['no such file', 'none.json', undefined, 'none.json: there is no such file'],
    ['no such name', 'xeon-westmer', undefined, "did you mean 'xeon-westmere'?"],
    ['no JSON', 'text.json', 'host', 'text.json: is no JSON: '],
    ['another JSON', 'other.json', '{}', 'other.json: is no host file'],
    [
      'a bad register',
      'register.json',
      JSON.stringify({
        ...good,
        units: [{ ...good.units[0], registers: { VER: '0x10', CAP: 'x', ECAP: '0x0' } }],
      }),
      'register.json at units.0.registers.CAP: write a number as 0x1f',
    ],
    [
      'bits that no unit of the model can have',
      'bits.json',
      JSON.stringify({
        ...good,
        units: [{ ...good.units[0], registers: { VER: '0x10', CAP: '0xc9008010e60062', ECAP: '0xf0207a' } }],
      }),
      'bits.json: unit dmar0: CAP.SAGAW (12:8): has no width',
    ],
  ])('%s', (_, file, text, message) => {
    if (text !== undefined) writeFileSync(join(scratch, file), text);

    const { status, stdout, lines } = run('host', 'show', file);

    expect([status, stdout, lines.length]).toEqual([2, '', 1]);
    expect(lines[0]).toContain(message);
  });
});
