/**
 * WASI preview 1 for guests: console, arguments, environment and in-memory files.
 *
 * Files are @bjorn3/browser_wasi_shim's, extended in files.ts. The calls themselves are this room's: the shim's take signed
 * pointers as they come, write guest memory unseen by dirty log and watches, read the host's clock and randomness, busy-wait
 * in poll_oneoff, count argument sizes in UTF-16 units, throw strings for sockets and never reuse a descriptor number.
 *
 * Whatever the guest passes, a call returns an errno or, for proc_exit, throws WasiExit.
 */

import { TsvmmError } from '../../core/errors.ts';
import type { SnapshotUnit } from '../../state/unit.ts';
import { WASI_MODULE } from './abi.ts';
import { consoleInput, consoleOutput, type Descriptor, DescriptorTable } from './descriptors.ts';
import { fdCalls } from './fd-calls.ts';
import { WasiErrno, type WasiMemory, WasiView } from './memory.ts';
import { processCalls, WasiExit, type WasiSources } from './process-calls.ts';
import { badWasi, consoleOf, KIND, savedDescriptor, WASI_STATE } from './saved.ts';

export interface WasiOptions extends WasiSources {
  /** argv, the program's name first. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Content by path; the guest sees them below "/". */
  readonly files?: ReadonlyMap<string, Uint8Array>;
  readonly stdout: (bytes: Uint8Array) => void;
  readonly stderr: (bytes: Uint8Array) => void;
  /** At most `size` bytes of input; none is its end. Absent: the end at once. */
  readonly stdin?: (size: number) => Uint8Array;
  readonly memory: WasiMemory;
  /** What the guest imports from WASI: without path calls among them the shim is not loaded. */
  readonly imports: readonly string[];
}

export interface Wasi {
  readonly module: typeof WASI_MODULE;
  /** Every function of the interface, for `{ [wasi.module]: wasi.functions }`. */
  readonly functions: Readonly<Record<string, (...args: never[]) => number>>;
  /** Descriptors and files, for a snapshot. */
  readonly unit: SnapshotUnit;
}

/** First inode number after those of stdin, stdout and stderr. */
const FIRST_FILE_INO = 4n;

/** @throws TsvmmError for arguments, environment or files no C program could be given. */
export async function createWasi(options: WasiOptions): Promise<Wasi> {
  const args = options.args.map((arg) => cString('argument', arg));
  const env = Object.entries(options.env).map(([name, value]) => cString('environment', `${name}=${value}`));
  const view = new WasiView(options.memory);
  const stdio: Descriptor[] = [
    consoleInput(1n, options.stdin ?? (() => new Uint8Array(0))),
    consoleOutput(2n, options.stdout),
    consoleOutput(3n, options.stderr),
  ];
  const files = needsFiles(options.imports) ? await openFiles(options) : undefined;
  const table = new DescriptorTable(files === undefined ? stdio : [...stdio, files.root]);
  const calls: Record<string, (...args: never[]) => number> = {
    ...processCalls(view, table, options, args, env),
    ...fdCalls(view, table),
    ...(files?.calls(view, table) ?? {}),
  };
  return { module: WASI_MODULE, functions: guarded(calls), unit: snapshotUnit(table, stdio, files) };
}

/** The guest's exit status where `error` is its proc_exit; undefined for any other error. */
export function wasiExitStatus(error: unknown): number | undefined {
  return error instanceof WasiExit ? error.status : undefined;
}

function needsFiles(imports: readonly string[]): boolean {
  return imports.some((name) => name.startsWith('path_') || name === 'fd_readdir');
}

async function openFiles(options: WasiOptions) {
  const [{ FileSystem }, { pathCalls }, saved] = await Promise.all([
    import('./files.ts'),
    import('./path-calls.ts'),
    import('./saved-files.ts'),
  ]);
  const fs = new FileSystem(FIRST_FILE_INO);
  for (const [path, bytes] of options.files ?? []) fs.add(path, bytes);
  return {
    fs,
    saved,
    root: fs.preopen('/'),
    calls(view: WasiView, table: DescriptorTable) {
      fs.openFiles = () => saved.openInodes(table.slots);
      return pathCalls(view, table);
    },
  };
}

function snapshotUnit(
  table: DescriptorTable,
  consoles: readonly Descriptor[],
  files: Awaited<ReturnType<typeof openFiles>> | undefined,
): SnapshotUnit {
  let contents: Uint8Array = new Uint8Array(0);
  return {
    id: 'wasi',
    save() {
      const state = WASI_STATE.fresh();
      state.descriptors = table.slots.map(files?.saved.saveFileDescriptor ?? savedDescriptor);
      if (files !== undefined) contents = files.saved.saveFiles(files.fs, files.fs.openFiles(), state);
      return WASI_STATE.save(state);
    },
    bulk: { save: () => contents, load: (bytes) => void (contents = bytes) },
    load(unit) {
      const state = WASI_STATE.fresh();
      WASI_STATE.load(state, unit, 'wasi');
      const inodes = files?.saved.loadFiles(files.fs, state, contents);
      table.restore(
        state.descriptors.map((d) => {
          if (d.kind === KIND.closed) return undefined;
          if (d.kind === KIND.console) return consoleOf(d, consoles);
          if (files === undefined || inodes === undefined)
            throw badWasi('has files, and the guest uses none');
          return files.saved.loadFileDescriptor(d, inodes);
        }),
      );
    },
  };
}

/** A call's errno, whether returned or thrown, is its result. */
function guarded(calls: Record<string, (...args: never[]) => number>): Wasi['functions'] {
  return Object.fromEntries(
    Object.entries(calls).map(([name, call]) => [
      name,
      (...args: never[]): number => {
        try {
          return call(...args);
        } catch (error) {
          if (error instanceof WasiErrno) return error.errno;
          throw error;
        }
      },
    ]),
  );
}

function cString(what: string, text: string): Uint8Array {
  if (text.includes('\0')) {
    throw new TsvmmError({ code: 'guest-string-nul', object: `guest ${what}`, why: 'holds a NUL character' });
  }
  return new TextEncoder().encode(text);
}
