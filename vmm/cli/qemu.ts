/** `tsvmm qemu`: the front end of QEMU's command line, for programs that start QEMU. */

import { closeSync, openSync, writeSync } from 'node:fs';
import { EXIT, type ExitCode } from '../core/errors.ts';
import { builtinRegistry } from '../machine/builtin.ts';
import { parseQemuArguments, type QemuRequest } from '../qtest/args.ts';
import { type QemuHost, type QtestRecorder, serveQemu } from '../qtest/server.ts';
import type { Context } from './context.ts';
import { cannotWrite, type Host } from './host.ts';
import { packageVersion } from './package-files.ts';

/** @param argv what stands after the word qemu */
export async function qemu({ host }: Context, argv: readonly string[]): Promise<ExitCode> {
  const registry = builtinRegistry();
  const request = parseQemuArguments(argv, registry);
  if (request.print !== undefined) {
    host.out(request.print);
    return EXIT.ok;
  }
  const recorder = request.record === undefined ? undefined : await recorderOf(request, request.record);
  await serveQemu(request, registry, processSide(host), recorder);
  return EXIT.ok;
}

async function recorderOf(request: QemuRequest, file: string): Promise<QtestRecorder> {
  const { recordQtest } = await import('../replay/record-qtest.ts');
  return recordQtest(request.machine, packageVersion(), file);
}

function processSide(host: Host): QemuHost {
  return {
    err: (text) => host.err(text),
    openLog,
    onTerminate(end) {
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, end);
    },
    parent: () => process.ppid,
    program: packageVersion,
  };
}

function openLog(file: string): (text: string) => void {
  let fd: number;
  try {
    fd = openSync(file, 'w');
  } catch (cause) {
    throw cannotWrite(file, (cause as NodeJS.ErrnoException).code, cause);
  }
  return (text) => {
    try {
      writeSync(fd, text);
    } catch (cause) {
      closeSync(fd);
      throw cannotWrite(file, (cause as NodeJS.ErrnoException).code, cause);
    }
  };
}
