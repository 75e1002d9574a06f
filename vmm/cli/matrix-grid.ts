/** What two runs of a guest have in common, and the grid of `tsvmm matrix`. */

import type { PathMode } from '../passthru/guest-device.ts';
import { columns } from './kind-help.ts';

/** How a run ended, as the guest had it. */
export interface End {
  readonly verdict: string;
  readonly exitStatus: number | null;
  /** Why it did not pass; for people, not compared. */
  readonly reason: string | null;
}

/** All of a run that its guest could see. */
export interface Seen {
  readonly end: End;
  readonly console: Uint8Array;
}

/** The first thing that differs, counted from 1; null on the side that has no more. */
export interface Difference {
  readonly number: number;
  readonly emulated: string | null;
  readonly assigned: string | null;
}

export interface Cell {
  readonly mode: PathMode;
  readonly state: 'same' | 'differs' | 'cannot';
  /** Why the host cannot, or why the device moved to software. */
  readonly why: string | null;
  readonly moved: boolean;
  readonly end: End | null;
  readonly line: Difference | null;
  readonly event: Difference | null;
}

export interface Row {
  readonly host: string;
  readonly address: string | null;
  readonly device: string | null;
  /** Options of the host's device that are not those of the emulated one. */
  readonly unlike: readonly string[];
  readonly cells: readonly Cell[];
}

export interface MachineGrid {
  readonly machine: string;
  readonly viommu: string;
  readonly emulated: End;
  readonly rows: readonly Row[];
}

/** What --json prints; its schema is matrixSchema in schemas.ts. */
export interface Grid {
  readonly guest: string;
  readonly agree: boolean;
  /** Cells that ran. */
  readonly compared: number;
  readonly machines: readonly MachineGrid[];
}

export const MODES: readonly PathMode[] = ['nested', 'shadow', 'software'];

/** Console output byte for byte, and how it ended. TAP is in both. */
export function compare(emulated: Seen, assigned: Seen): Pick<Cell, 'state' | 'end' | 'line'> {
  const line = firstLine(emulated.console, assigned.console);
  const [a, b] = [emulated.end, assigned.end];
  const same = line === null && a.verdict === b.verdict && a.exitStatus === b.exitStatus;
  return { state: same ? 'same' : 'differs', end: b, line };
}

/** The first line that differs; null where none does. */
export function firstLine(emulated: Uint8Array, assigned: Uint8Array): Difference | null {
  const shorter = Math.min(emulated.length, assigned.length);
  let number = 1;
  let start = 0;
  for (let at = 0; at <= shorter; at++) {
    if (at === shorter ? emulated.length === assigned.length : emulated[at] === assigned[at]) {
      if (emulated[at] !== NEWLINE) continue;
      number++;
      start = at + 1;
      continue;
    }
    return { number, emulated: lineAt(emulated, start), assigned: lineAt(assigned, start) };
  }
  return null;
}

const NEWLINE = 0x0a;

/** Both sides are the same up to `start`; a side that ends there has no such line. */
function lineAt(bytes: Uint8Array, start: number): string | null {
  if (start >= bytes.length) return null;
  const end = bytes.indexOf(NEWLINE, start);
  return new TextDecoder().decode(bytes.subarray(start, end < 0 ? bytes.length : end));
}

export function gridOf(guest: string, machines: readonly MachineGrid[]): Grid {
  const cells = machines.flatMap(({ rows }) => rows.flatMap((row) => row.cells));
  return {
    guest,
    agree: cells.every(({ state }) => state !== 'differs'),
    compared: cells.filter(({ state }) => state !== 'cannot').length,
    machines,
  };
}

/** The grid for people: a table for each machine, below it what is to be said about its cells. */
export function gridText({ guest, machines, compared, agree }: Grid): string {
  const parts = machines.map((machine) => machineText(guest, machine));
  const differing = machines
    .flatMap(({ rows }) => rows.flatMap((row) => row.cells))
    .filter(({ state }) => state === 'differs').length;
  const total = agree
    ? `${compared} ${compared === 1 ? 'run' : 'runs'} on assigned devices, all as on emulated ones`
    : `${compared} ${compared === 1 ? 'run' : 'runs'} on assigned devices, ${differing} of them not as on emulated ones`;
  return `${parts.join('\n')}\n${total}\n`;
}

function machineText(guest: string, { machine, viommu, emulated, rows }: MachineGrid): string {
  const notes: string[] = [];
  const note = (text: string): string => {
    const known = notes.indexOf(text);
    return `(${known >= 0 ? known + 1 : notes.push(text)})`;
  };
  const table = [
    ['host', 'device', ...MODES],
    ...rows.map((row) => [
      row.host,
      row.address === null ? '-' : [row.address, ...row.unlike.map(note)].join(' '),
      ...row.cells.map((cell) => cellText(cell, note)),
    ]),
  ];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((cells) => cells[column]!.length)));
  const lines = table.map((cells) =>
    `  ${cells.map((text, column) => text.padEnd(widths[column]!)).join('  ')}`.trimEnd(),
  );
  const details = rows.flatMap((row) => row.cells.flatMap((cell) => differenceText(row, cell, emulated)));
  const head = `${guest} on ${machine} with ${viommu}; on emulated devices: ${endText(emulated)}\n`;
  const numbered = columns(notes.map((text, i) => [`(${i + 1})`, text] as const));
  return `${head}${lines.join('\n')}\n${numbered}${details.join('')}`;
}

function cellText({ state, moved, why }: Cell, note: (text: string) => string): string {
  const word = state === 'cannot' ? '-' : moved ? `${state}, moved to software` : state;
  return why === null ? word : `${word} ${note(why)}`;
}

function differenceText({ host, address }: Row, cell: Cell, emulated: End): string[] {
  if (cell.state !== 'differs') return [];
  const where = `${host} ${address}, ${cell.mode}`;
  const out = [`${where}: ${endText(cell.end!)}\n`];
  if (cell.line === null) out.push(`    the console is the same; emulated: ${endText(emulated)}\n`);
  else out.push(...sides(`line ${cell.line.number}`, cell.line));
  if (cell.event !== null) out.push(...sides(`event ${cell.event.number}`, cell.event));
  return out;
}

function sides(what: string, { emulated, assigned }: Difference): string[] {
  return [
    `    ${what}, emulated: ${emulated ?? '(no more)'}\n`,
    `    ${what}, assigned: ${assigned ?? '(no more)'}\n`,
  ];
}

function endText({ verdict, exitStatus, reason }: End): string {
  if (reason !== null) return `${verdict} (${reason})`;
  return exitStatus === null || exitStatus === 0 ? verdict : `${verdict}, exit status ${exitStatus}`;
}
