import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'tsvmm-processes-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const KERNEL = 'test/system/guests/process-kernel.c';
const SAVED = 'test/system/guests/process-snapshot.c';

function tsvmm(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'bin/tsvmm.js'), ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

const failures = (text: string) => text.split('\n').filter((line) => line.startsWith('not ok'));

function outcome(json: string) {
  const { verdict, exitStatus, instructions, virtualNs, tap } = JSON.parse(json);
  return { verdict, exitStatus, instructions, virtualNs, tap };
}

/** A kernel of its own and programs beside it; returns the kernel's path. */
function project(name: string, files: Readonly<Record<string, string>>): string {
  for (const [file, text] of Object.entries(files)) writeFileSync(join(scratch, `${name}-${file}`), text);
  return join(scratch, `${name}-kernel.c`);
}

test('processes have heaps, faults, children and preemption', () => {
  const run = tsvmm('run', KERNEL);

  expect(failures(run.stdout)).toEqual([]);
  expect(run.status).toBe(0);
  expect(run.stdout).toContain('1..57');
  expect(run.stderr).not.toMatch(/warning|error/);
});

test('a killed process is reported with its functions and lines, and nothing else ends', () => {
  const { stdout } = tsvmm('run', KERNEL);

  expect(stdout).toMatch(
    /# process \d+ \(faults\) killed: page fault, not present \(error code 6\): write to 0x30000000\n# {3}#0 write_unmapped \(test\/system\/guests\/process-faults\.c:33\)\n# {3}#1 status_of/,
  );
});

test('two runs of processes are the same to the instruction', () => {
  const [first, second] = [tsvmm('run', KERNEL, '--json'), tsvmm('run', KERNEL, '--json')];

  expect(outcome(second.stdout)).toEqual(outcome(first.stdout));
});

describe('a kernel saved between the turns of its processes', () => {
  test.each([1, 4, 9, 14])('ends, saved at turn %i and loaded, as if it never was', (turn) => {
    const whole = tsvmm('run', SAVED);
    const dir = join(scratch, `turn-${turn}`);

    const before = tsvmm('snapshot', 'save', SAVED, '--out', dir, '--at', String(turn));
    const after = tsvmm('snapshot', 'load', dir);

    expect(before.status).toBe(0);
    expect(after.status).toBe(0);
    expect(before.stdout + after.stdout).toBe(whole.stdout);
    expect(outcome(tsvmm('snapshot', 'load', dir, '--json').stdout)).toEqual(
      outcome(tsvmm('run', SAVED, '--json').stdout),
    );
  });

  test('is in the same state at a later turn, whether it was saved before or not', () => {
    const at = (name: string) => join(scratch, name);
    tsvmm('snapshot', 'save', SAVED, '--out', at('three'), '--at', '3');
    tsvmm('snapshot', 'load', at('three'), '--at', '4', '--out', at('seven'));
    tsvmm('snapshot', 'save', SAVED, '--out', at('direct'), '--at', '7');

    expect(tsvmm('snapshot', 'diff', at('seven'), at('direct'))).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    });
  });
});

describe('what goes wrong around processes is said', () => {
  const headers = '#include <tsvmm/kernel.h>\n';

  test('a program that does not compile, by its own name', () => {
    const kernel = project('broken', {
      'kernel.c': `${headers}TSVMM_PROGRAM("a", "broken-a.c");\nint main(void) { return 0; }\n`,
      'a.c': 'int main(void) { return nothing; }\n',
    });

    const run = tsvmm('run', kernel);

    expect(run.status).toBe(2);
    expect(run.stderr).toMatch(/broken-a\.c:1:\d+: error: use of undeclared identifier 'nothing'/);
  });

  test('two programs of one name', () => {
    const kernel = project('twice', {
      'kernel.c': `${headers}TSVMM_PROGRAM("a", "x.c");\nTSVMM_PROGRAM("a", "y.c");\nint main(void) { return 0; }\n`,
    });

    const run = tsvmm('run', kernel);

    expect(run.status).toBe(2);
    expect(run.stderr).toContain("names a second program 'a'");
  });

  test('a kernel that crashes in a system call: the kernel, not the process', () => {
    const kernel = project('oops', {
      'kernel.c': `${headers}TSVMM_PROGRAM("a", "oops-a.c");
static s32 sys_oops(struct process *p, u32 a, u32 b, u32 c, u32 d, u32 e, u32 f) { __builtin_trap(); }
int main(void) {
	register_syscall(SYSCALL_DRIVER, sys_oops);
	process_spawn("a");
	schedule_until_exit();
	return 0;
}
`,
      'a.c': '#include <user.h>\nint main(void) { return syscall(SYSCALL_DRIVER); }\n',
    });

    const run = tsvmm('run', kernel);

    expect(run.status).toBe(1);
    expect(run.stderr).toContain('guest crashed: executed unreachable code');
    expect(run.stderr).toMatch(/#0 sys_oops \(.*oops-kernel\.c:3\)/);
  });

  test.each([
    ['tsvmm_process_run(77);', 'process_run of process 77, which does not exist'],
    ['tsvmm_process_suspend();', 'process_suspend outside of a system call or fault of a process'],
    ['tsvmm_process_fork(0);', 'process_fork outside of a system call of a process'],
    ['tsvmm_process_create(9, 0, 4);', 'process_create of program 9, which does not exist'],
    ['tsvmm_process_create(0, 0, 3);', 'process_create with 3 levels of tables'],
    ['tsvmm_process_image_read(0, 0, (void *)-1, 8);', 'process_image_read to what is not all RAM'],
    ['tsvmm_syscall_entry((void *)12345);', 'syscall_entry with a function pointer that is not one'],
  ])('a kernel that calls %s', (call, reason) => {
    const kernel = project('misuse', {
      'kernel.c': `${headers}TSVMM_PROGRAM("a", "misuse-a.c");\nint main(void) { ${call} return 0; }\n`,
      'a.c': 'int main(void) { return 0; }\n',
    });

    const run = tsvmm('run', kernel);

    expect(run.status).toBe(1);
    expect(run.stderr).toContain(`guest crashed: ${reason}`);
  });
});

test('a process that is too deep to be suspended is killed, and its frames do no harm to others', () => {
  const run = tsvmm('run', 'test/system/guests/process-deep-stacks.c');

  expect(run.stdout).toContain(
    '# process 1 (deep) killed: its call stack is too deep to be suspended (256 KiB)',
  );
  expect([run.status, failures(run.stdout)]).toEqual([0, []]);
});
