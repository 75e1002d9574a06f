import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'tsvmm-snapshot-'));
const GUEST = ['test/system/guests/snapshot.c'];
const ARGS = ['--', 'argument'];
/** The guest waits nine times and yields nine times. */
const POINTS = 18;

afterAll(() => rmSync(scratch, { recursive: true }));

/** One process. */
function tsvmm(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'bin/tsvmm.js'), ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

const at = (name: string) => join(scratch, name);

function save(name: string, ...options: string[]) {
  return tsvmm('snapshot', 'save', ...GUEST, '--out', at(name), ...options, ...ARGS);
}

/** What must not depend on how often a run was interrupted. */
function outcome(json: string) {
  const { verdict, exitStatus, instructions, virtualNs, tap, faults } = JSON.parse(json);
  return { verdict, exitStatus, instructions, virtualNs, tap, faults };
}

describe('a guest asleep in recursion, behind function pointers, with DMA under way and files open', () => {
  let whole: ReturnType<typeof tsvmm>;
  let printed: string;

  beforeAll(() => {
    whole = tsvmm('run', ...GUEST, '--json', ...ARGS);
    printed = tsvmm('run', ...GUEST, ...ARGS).stdout;
  });

  test('passes when nobody interrupts it', () => {
    expect(whole.status).toBe(0);
    expect(printed).toContain('1..5');
  });

  test('saved at every wfi and yield and continued each time in a new process, ends as if it never was', () => {
    let text = save('chain-1').stdout;
    for (let n = 2; n <= POINTS; n++) {
      const next = tsvmm('snapshot', 'load', at(`chain-${n - 1}`), '--at', '1', '--out', at(`chain-${n}`));
      expect(next.status).toBe(0);
      text += next.stdout;
    }
    const last = at(`chain-${POINTS}`);
    text += tsvmm('snapshot', 'load', last).stdout;

    expect(text).toBe(printed);
    expect(outcome(tsvmm('snapshot', 'load', last, '--json').stdout)).toEqual(outcome(whole.stdout));
  });

  test('is in the same state at each point, whether it was saved before or not', () => {
    for (const n of [2, 5, 11, POINTS]) {
      save(`direct-${n}`, '--at', String(n));
      const diff = tsvmm('snapshot', 'diff', at(`direct-${n}`), at(`chain-${n}`));
      expect(diff).toEqual({ status: 0, stdout: '', stderr: '' });
    }
  });

  test('differs between two points in its registers, its clock and its memory', () => {
    const { status, stdout } = tsvmm('snapshot', 'diff', at('chain-3'), at('chain-4'), '--json');
    const paths = JSON.parse(stdout).differences.map((d: { path: string }) => d.path);

    expect(status).toBe(1);
    expect(paths).toEqual(expect.arrayContaining(['clock.now', 'edu0.regs.STATUS', 'vcpu.yields']));
    expect(paths.some((path: string) => path.startsWith('ram 0x'))).toBe(true);
  });

  test('can be saved at its waits alone', () => {
    expect(save('waits', '--point', 'wfi', '--at', '9').status).toBe(0);
    expect(save('no-tenth', '--point', 'wfi', '--at', '10')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('the guest ended with status 0 after 9 of 10 calls of wfi'),
    });
    expect(readdirSync(scratch)).not.toContain('no-tenth');
  });
});

describe('snapshots that cannot be', () => {
  const line = (stderr: string) => stderr.trimEnd().split('\n');

  test('a place that is taken is refused, and replaced when asked', () => {
    save('twice');
    const again = save('twice');
    expect(again.status).toBe(2);
    expect(line(again.stderr).at(-1)).toBe(
      `tsvmm: ${at('twice')}: is there already; give another -o, or --force`,
    );
    expect(save('twice', '--force').status).toBe(0);
  });

  test('a directory of something else is never touched', () => {
    writeFileSync(join(mkdtempSync(at('other-')), 'precious'), 'x');
    const other = readdirSync(scratch).find((name) => name.startsWith('other-'))!;
    expect(save(other, '--force').status).toBe(2);
    expect(readdirSync(at(other))).toEqual(['precious']);
  });

  test('a damaged one is one line and exit code 2', () => {
    save('good');
    cpSync(at('good'), at('bad'), { recursive: true });
    const ram = readFileSync(at('bad/ram.bin'));
    ram[ram.length >> 1]! ^= 1;
    writeFileSync(at('bad/ram.bin'), ram);

    const loaded = tsvmm('snapshot', 'load', at('bad'));

    expect(loaded).toEqual({
      status: 2,
      stdout: '',
      stderr: `tsvmm: ${at('bad/ram.bin')}: does not match its checksum; save the snapshot again\n`,
    });
  });

  test('what is no snapshot at all is one line and exit code 2', () => {
    const { status, stderr } = tsvmm('snapshot', 'load', root);
    expect(status).toBe(2);
    expect(line(stderr)).toHaveLength(1);
    expect(stderr).toContain("is not a tsvmm snapshot; give a directory that 'snapshot save' made");
  });
});
