/** `tsvmm report`, and the files that --report writes. */

import { readFileSync } from 'node:fs';
import { EXIT, type ExitCode, TsvmmError } from '../core/errors.ts';
import { type RunData, type RunInside, runData } from '../report/data.ts';
import { reportPage } from '../report/page.ts';
import { runSchema } from '../report/schema.ts';
import type { Invocation } from './command.ts';
import type { Context } from './context.ts';
import { loadZod } from './machine-options.ts';
import { checkWritable, writeWhole } from './output-file.ts';
import { packageVersion } from './package-files.ts';
import { run } from './run.ts';
import { verdictSchema } from './schemas.ts';
import type { REPORT } from './table.ts';
import type { Verdict } from './verdict.ts';

const DEFAULT_PAGE = 'report.html';

export async function report(
  context: Context,
  invocation: Invocation<typeof REPORT.options>,
): Promise<ExitCode> {
  // To `run`, --out is where a snapshot goes.
  const { out = DEFAULT_PAGE, ...options } = invocation.options;
  const [operand] = invocation.operands;
  if (operand === undefined || !isData(operand)) return run(context, { ...invocation, options }, out);
  const { json, quiet: _, ...ofRuns } = options;
  refuseRunOptions(ofRuns, invocation.rest, operand);
  checkWritable(out);
  const data = await readRun(operand);
  writeWhole(out, reportPage(data));
  if (json) context.host.out(`${JSON.stringify(data.verdict)}\n`);
  return EXIT.ok;
}

/** Nothing is run: what describes a run would do nothing. */
function refuseRunOptions(
  options: Readonly<Record<string, boolean | string | readonly string[] | undefined>>,
  args: readonly string[],
  file: string,
): void {
  const given = Object.entries(options).find(([, value]) =>
    Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false,
  );
  if (given === undefined && args.length === 0) return;
  throw new TsvmmError({
    code: 'nothing-runs',
    object: given === undefined ? 'ARGS' : `--${given[0]}`,
    why: `is for a run, and ${file} is what a run left`,
    mend: 'leave it out, or name a guest',
  });
}

function isData(file: string): boolean {
  return /\.json$/i.test(file);
}

export function writeReport(file: string, verdict: Verdict, machine: unknown, inside: RunInside): void {
  const data = runData(packageVersion(), verdict, machine, inside);
  writeWhole(file, isData(file) ? `${JSON.stringify(data)}\n` : reportPage(data));
}

/** @throws TsvmmError for a file that is not what a run leaves */
async function readRun(file: string): Promise<RunData> {
  const value = parse(file, read(file));
  const z = await loadZod();
  const parsed = runSchema(z, verdictSchema(z)).safeParse(value);
  if (parsed.success) return value as RunData;
  const issue = parsed.error.issues[0]!;
  const at = issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  throw notARun(file, `${at}${issue.message}`);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : `cannot be read (${code})`;
    throw new TsvmmError({
      code: 'unreadable-run',
      object: file,
      why,
      mend: "'tsvmm run GUEST --report run.json' makes one",
      cause,
    });
  }
}

function parse(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw notARun(file, 'it is not JSON', cause);
  }
}

function notARun(file: string, why: string, cause?: unknown): TsvmmError {
  return new TsvmmError({
    code: 'bad-run',
    object: file,
    why: `is not what a run leaves: ${why}`,
    mend: "make it with 'tsvmm run GUEST --report run.json'",
    ...(cause === undefined ? {} : { cause }),
  });
}
