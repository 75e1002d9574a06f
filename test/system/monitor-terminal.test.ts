import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { describeWithTool } from '../kit/outside-tool.ts';
import { copyOfCli } from '../kit/run-cli.ts';

const cli = copyOfCli();
afterAll(() => cli.remove());

/** Never gives up the processor and touches nothing. */
const SPIN = '(module (memory 1) (func (export "main") (result i32) (loop $l (br $l)) (i32.const 0)))';

const TAB = '\t';
const ENTER = '\r';
const UP = '\x1b[A';
const CTRL_C = '\x03';
const CTRL_D = '\x04';

/** A monitor on a terminal, which `script` provides. */
class Terminal {
  readonly exit: Promise<number | null>;
  #text = '';
  #wake: () => void = () => {};
  readonly #child;

  constructor(script: string, args: readonly string[]) {
    const command = [process.execPath, join(cli.directory, 'bin/tsvmm.js'), ...args].join(' ');
    this.#child = spawn(script, ['-qec', command, '/dev/null'], {
      cwd: cli.directory,
      env: { ...process.env, TERM: 'xterm' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text;
      this.#wake();
    });
    this.exit = new Promise((done) => this.#child.once('close', done));
  }

  press(keys: string): void {
    this.#child.stdin.write(keys);
  }

  /** What is on the screen up to the end of the match. */
  async shows(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.#text);
      if (match !== null) {
        const taken = this.#text.slice(0, match.index + match[0].length);
        this.#text = this.#text.slice(taken.length);
        return taken;
      }
      await new Promise<void>((done) => {
        this.#wake = done;
      });
    }
  }
}

const PROMPT = /\(tsvmm\) .\[9G/;

describeWithTool('script', 'the monitor on a terminal', (script, toolTest) => {
  toolTest('Tab completes commands, topics and devices; the arrow brings back the line before', async () => {
    const t = new Terminal(script, 'run --example edu -S --quiet --monitor stdio'.split(' '));

    await t.shows(PROMPT);
    t.press('info sta');
    await t.shows(/info sta/);
    t.press(TAB);
    await t.shows(/tus/);
    t.press(ENTER);
    await t.shows(/VM status: prelaunch/);
    await t.shows(PROMPT);
    t.press(UP);
    await t.shows(/\(tsvmm\) info status/);
    t.press(ENTER);
    await t.shows(/VM status: prelaunch/);
    await t.shows(PROMPT);
    t.press('xlate 00:02');
    await t.shows(/xlate 00:02/);
    t.press(TAB);
    await t.shows(/\.0/);
    t.press(` 0x100000${ENTER}`);
    await t.shows(/translates to 0x100000/);
    t.press(`quit${ENTER}`);

    expect(await t.exit).toBe(0);
  });

  toolTest('Ctrl-C stops a guest that runs; Ctrl-D leaves a held one to nobody, which ends it', async () => {
    writeFileSync(join(cli.directory, 'spin.wat'), SPIN);
    const t = new Terminal(script, ['run', 'spin.wat', '--quiet', '--monitor', 'stdio']);

    await t.shows(PROMPT);
    t.press(CTRL_C);
    await t.shows(/stopped/);
    t.press(`info status --json${ENTER}`);
    await t.shows(/\{"running":false,"status":"paused"\}/);
    t.press(CTRL_D);

    expect(await t.exit).toBe(0);
  });
});
