/**
 * The file of a recorded run: JSON, one object a line.
 *
 *     line 1        everything the run begins with: versions, machine, guest, arguments, files
 *     then          what was asked from outside, each with its place in the run, as it came
 *     last line     `end`: how it ended, so that a replay can tell whether it was the same
 *
 * Each line begins with the CRC-32 of its own rest and of all lines before: a line that is changed, lost or moved is noticed.
 * Lines are only ever appended, whole, and the first one is there before the file has its name. Without `end` the recording
 * was interrupted: what is there is a record of the run up to then.
 */

import { crc32 } from 'node:zlib';
import { hex32 } from '../core/u64.ts';
import type { Zod } from '../core/zod.ts';

export const RECORD_FORMAT = 'tsvmm-record';
export const RECORD_VERSION = 1;

/** A file by content. `data`: base64 of its gzip. */
export interface Embedded {
  readonly sha256: string;
  readonly data: string;
}

export interface GuestHeader {
  /** As it was typed: reports name it. */
  readonly name: string;
  /** Where it was, for people: what runs is in here. */
  readonly path: string;
  readonly module: Embedded;
  readonly stackLow: number | null;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly files: readonly (Embedded & { readonly path: string })[];
  /** Limits, in instructions and ns of virtual time. */
  readonly fuel: number;
  readonly timeout: number | null;
}

export interface PluginHeader {
  readonly file: string;
  readonly sha256: string;
}

export interface RecordHeader {
  readonly format: typeof RECORD_FORMAT;
  readonly version: number;
  /** Version of tsvmm, and of what makes a guest countable: another one may count otherwise. */
  readonly tsvmm: string;
  readonly rewriter: number;
  /** As --config reads it; null for machine none. */
  readonly machine: unknown;
  readonly plugins: readonly PluginHeader[];
  /** Null: clients of qtest drove the machine. */
  readonly guest: GuestHeader | null;
}

/** Where in the run of a guest: see vmm/monitor/history.ts. `ns`: virtual time. */
export interface At {
  readonly run: number;
  readonly polls: number;
  readonly executed: number;
  readonly ns: number;
}

export interface QmpCommand {
  readonly execute: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** One line after the first. */
export type RecordLine =
  | { readonly at: At; readonly monitor: string }
  | { readonly at: At; readonly qmp: QmpCommand }
  | { readonly ns: number; readonly qtest: string }
  | { readonly ns: number; readonly qmp: QmpCommand }
  | { readonly cut: number }
  | { readonly end: RecordEnd };

/** What a replay must come to, too. */
export interface RecordEnd {
  readonly how: 'exit' | 'crash' | 'hung' | 'stopped' | 'closed';
  /** Exit status of a guest that exited. */
  readonly status: number | null;
  readonly ns: number;
  readonly instructions: number;
  /** CRC-32 of every byte the guest printed, or of every reply of qtest. */
  readonly output: string;
}

// Lines and checksums

const PREFIX = /^\{"crc32":"([0-9a-f]{8})",/;
const PREFIX_BYTES = 20;

/** Lines one after the other, each vouching for those before. */
export class LineChain {
  #crc = 0;

  /** The line, with its end. */
  encode(line: RecordHeader | RecordLine): Buffer {
    const rest = Buffer.from(`${JSON.stringify(line).slice(1)}\n`);
    this.#crc = crc32(rest, this.#crc);
    return Buffer.concat([Buffer.from(`{"crc32":"${hex32(this.#crc).replace('0x', '')}",`), rest]);
  }

  /** Whether a line, with its end, is the one that was written here. */
  accepts(line: Uint8Array): boolean {
    const said = PREFIX.exec(Buffer.from(line.subarray(0, PREFIX_BYTES)).toString('latin1'))?.[1];
    this.#crc = crc32(line.subarray(PREFIX_BYTES), this.#crc);
    return said === hex32(this.#crc).replace('0x', '');
  }
}

// Schemas

const COUNT_MAX = Number.MAX_SAFE_INTEGER;

/** zod types of the lines. */
export function recordSchemas(z: Zod) {
  const count = z.number().int().min(0).max(COUNT_MAX);
  const embedded = { sha256: z.string().regex(/^[0-9a-f]{64}$/), data: z.base64() };
  const header = z.strictObject({
    format: z.literal(RECORD_FORMAT),
    version: z.literal(RECORD_VERSION),
    tsvmm: z.string(),
    rewriter: count,
    machine: z.unknown(),
    plugins: z.array(z.strictObject({ file: z.string(), sha256: z.string() })),
    guest: z
      .strictObject({
        name: z.string(),
        path: z.string(),
        module: z.strictObject(embedded),
        stackLow: count.nullable(),
        args: z.array(z.string()),
        env: z.record(z.string(), z.string()),
        files: z.array(z.strictObject({ path: z.string(), ...embedded })),
        fuel: count,
        timeout: count.nullable(),
      })
      .nullable(),
  });
  const at = z.strictObject({ run: count, polls: count, executed: count, ns: count });
  const qmp = z.strictObject({ execute: z.string(), arguments: z.record(z.string(), z.unknown()) });
  const end = z.strictObject({
    how: z.enum(['exit', 'crash', 'hung', 'stopped', 'closed']),
    status: z.number().int().nullable(),
    ns: count,
    instructions: count,
    output: z.string(),
  });
  const line = z.union([
    z.strictObject({ at, monitor: z.string() }),
    z.strictObject({ at, qmp }),
    z.strictObject({ ns: count, qtest: z.string() }),
    z.strictObject({ ns: count, qmp }),
    z.strictObject({ cut: count }),
    z.strictObject({ end }),
  ]);
  return { header, line };
}
