/** The first line of a record, from what a run begins with. */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { configToJson, type MachineConfig } from '../machine/config.ts';
import type { GuestModule } from '../machine/guest-module.ts';
import type { RunGuestOptions } from '../machine/run-guest.ts';
import { REWRITER_VERSION } from '../vcpu/rewrite/version.ts';
import { embed, sha256 } from './embed.ts';
import { type GuestHeader, RECORD_FORMAT, RECORD_VERSION, type RecordHeader } from './format.ts';

export interface Beginning {
  /** Version of tsvmm. */
  readonly program: string;
  /** Null: machine none. */
  readonly config: MachineConfig | null;
  /** Files of plugins. */
  readonly plugins: readonly string[];
  /** Absent: clients of qtest drive the machine. */
  readonly guest?: {
    readonly module: GuestModule;
    readonly options: Pick<RunGuestOptions, 'args' | 'env' | 'files' | 'fuelLimit' | 'timeLimit'>;
  };
}

export function headerOf({ program, config, plugins, guest }: Beginning): RecordHeader {
  return {
    format: RECORD_FORMAT,
    version: RECORD_VERSION,
    tsvmm: program,
    rewriter: REWRITER_VERSION,
    machine: config === null ? null : configToJson(config),
    plugins: plugins.map((file) => ({ file, sha256: sha256(readFileSync(file)) })),
    guest: guest === undefined ? null : guestHeader(guest.module, guest.options),
  };
}

function guestHeader(module: GuestModule, options: NonNullable<Beginning['guest']>['options']): GuestHeader {
  return {
    name: module.file,
    path: resolve(module.file),
    module: embed(module.original),
    stackLow: module.stackLow ?? null,
    args: options.args,
    env: options.env,
    files: [...(options.files ?? [])].map(([path, bytes]) => ({ path, ...embed(bytes) })),
    fuel: options.fuelLimit,
    timeout: options.timeLimit ?? null,
  };
}
