/** .debug_line of versions 2 to 5. DWARF 5: 6.2 Line Number Information. */

import type { DwarfReader, DwarfSections } from './dwarf-reader.ts';
import { type FormContext, readForm } from './forms.ts';
import { MalformedError, unlessMalformed } from './wasm-reader.ts';

export interface Line {
  readonly file: string;
  readonly line: number;
  /** 0 when not known. */
  readonly column: number;
}

interface Row {
  readonly address: number;
  readonly file: number;
  readonly line: number;
  readonly column: number;
}

/** Rows of consecutive code; the last row's address ends it. */
interface Sequence {
  readonly start: number;
  readonly end: number;
  readonly rows: readonly Row[];
  readonly program: LineProgram;
}

const CONTENT_PATH = 1;
const CONTENT_DIRECTORY = 2;

/** Names of files by the numbers that lines and calls use. */
export class LineProgram {
  readonly #files: readonly string[];
  readonly #base: number;

  constructor(files: readonly string[], base: number) {
    this.#files = files;
    this.#base = base;
  }

  file(number: number): string | undefined {
    return this.#files[number - this.#base];
  }
}

export class LineTable {
  readonly #sequences: Sequence[] = [];
  readonly #programs = new Map<number, LineProgram>();

  /** Reads as much as is well-formed. */
  static read(sections: DwarfSections): LineTable {
    const table = new LineTable();
    const reader = sections.find('.debug_line');
    if (reader === undefined) return table;
    unlessMalformed(() => {
      while (reader.at < reader.end) {
        const offset = reader.offset;
        const { end, wide } = reader.unitLength();
        const unit = reader.from(reader.offset, end);
        reader.skip(end - reader.offset);
        unlessMalformed(() => table.#readUnit(unit, offset, wide, sections));
      }
    });
    return table;
  }

  /** @param address offset in the code section's content */
  lookup(address: number): Line | undefined {
    const sequence = this.#sequences.find(({ start, end }) => start <= address && address < end);
    if (sequence === undefined) return undefined;
    let found: Row | undefined;
    for (const row of sequence.rows) {
      if (row.address > address) break;
      found = row;
    }
    const file = found === undefined ? undefined : sequence.program.file(found.file);
    // Line 0 is code that comes from no line.
    if (found === undefined || file === undefined || found.line <= 0) return undefined;
    return { file, line: found.line, column: found.column };
  }

  /** The file names of the unit whose line program is at this offset of .debug_line. */
  program(offset: number): LineProgram | undefined {
    return this.#programs.get(offset);
  }

  #readUnit(unit: DwarfReader, offset: number, wide: boolean, sections: DwarfSections): void {
    const version = unit.u16();
    if (version < 2 || version > 5) throw new MalformedError('line table version');
    const addressSize = version >= 5 ? unit.u8() : 4;
    if (version >= 5) unit.u8();
    const headerLength = unit.sectionOffset(wide);
    const programAt = unit.offset + headerLength;
    const settings = readSettings(unit, version, addressSize);
    const context = contextFor(sections, version, addressSize, wide);
    const program = version >= 5 ? readFiles5(unit, context) : readFiles4(unit);
    this.#programs.set(offset, program);
    runProgram(unit.from(programAt, unit.end - unit.origin), settings, (rows) => this.#add(rows, program));
  }

  #add(rows: readonly Row[], program: LineProgram): void {
    const start = rows[0]?.address ?? 0;
    const end = rows.at(-1)?.address ?? 0;
    // The linker sets the address of code it dropped to 0, where there can be none.
    if (start > 0 && end > start) this.#sequences.push({ start, end, rows, program });
  }
}

interface Settings {
  readonly addressSize: number;
  readonly minInstruction: number;
  readonly lineBase: number;
  readonly lineRange: number;
  readonly opcodeBase: number;
  /** Operands of each standard opcode, from 1. */
  readonly operands: readonly number[];
}

function readSettings(unit: DwarfReader, version: number, addressSize: number): Settings {
  const minInstruction = unit.u8();
  if (version >= 4) unit.u8(); // maximum operations per instruction: 1, WASM is no VLIW
  unit.u8(); // default_is_stmt: every row counts here
  const lineBase = (unit.u8() << 24) >> 24;
  const lineRange = unit.u8();
  const opcodeBase = unit.u8();
  if (lineRange === 0 || opcodeBase === 0) throw new MalformedError('line table header');
  const operands = [0];
  for (let opcode = 1; opcode < opcodeBase; opcode++) operands.push(unit.u8());
  return { addressSize, minInstruction, lineBase, lineRange, opcodeBase, operands };
}

function contextFor(
  sections: DwarfSections,
  version: number,
  addressSize: number,
  wide: boolean,
): FormContext {
  return {
    sections,
    version,
    addressSize,
    wide,
    unitOffset: 0,
    addrBase: 0,
    strOffsetsBase: 0,
    rnglistsBase: 0,
  };
}

/** Versions 2 to 4: directories and files count from 1; directory 0 is where the compiler ran. */
function readFiles4(unit: DwarfReader): LineProgram {
  const directories = [''];
  for (let name = unit.cstring(); name !== ''; name = unit.cstring()) directories.push(name);
  const files: string[] = [];
  for (let name = unit.cstring(); name !== ''; name = unit.cstring()) {
    const directory = directories[unit.uleb()] ?? '';
    unit.uleb();
    unit.uleb();
    files.push(joinPath(directory, name));
  }
  return new LineProgram(files, 1);
}

/** Version 5: self-describing tables that count from 0; directory 0 is where the compiler ran. */
function readFiles5(unit: DwarfReader, context: FormContext): LineProgram {
  const directories = readEntries(unit, context).map(({ path }) => path);
  const files = readEntries(unit, context).map(({ path, directory }) =>
    joinPath(directory === 0 ? '' : (directories[directory] ?? ''), path),
  );
  return new LineProgram(files, 0);
}

function readEntries(unit: DwarfReader, context: FormContext): { path: string; directory: number }[] {
  const formats = Array.from({ length: unit.u8() }, () => ({ content: unit.uleb(), form: unit.uleb() }));
  const count = unit.uleb();
  const entries: { path: string; directory: number }[] = [];
  if (formats.length === 0) return entries;
  for (let i = 0; i < count; i++) {
    const before = unit.at;
    let path = '';
    let directory = 0;
    for (const { content, form } of formats) {
      const value = readForm(unit, form, context);
      if (content === CONTENT_PATH) path = String(value);
      if (content === CONTENT_DIRECTORY) directory = Number(value);
    }
    // Forms without content could otherwise repeat for as long as the count says.
    if (unit.at === before) throw new MalformedError('empty line table entry');
    entries.push({ path, directory });
  }
  return entries;
}

function joinPath(directory: string, name: string): string {
  if (directory === '' || directory === '.' || name.startsWith('/')) return name;
  return `${directory}/${name}`;
}

/** DWARF 5: 6.2.5 The Line Number Program. */
function runProgram(reader: DwarfReader, settings: Settings, endSequence: (rows: Row[]) => void): void {
  const { lineBase, lineRange, opcodeBase, minInstruction } = settings;
  let rows: Row[] = [];
  let address = 0;
  let file = 1;
  let line = 1;
  let column = 0;
  const emit = (): void => {
    rows.push({ address, file, line, column });
  };
  const reset = (): void => {
    rows = [];
    address = 0;
    file = 1;
    line = 1;
    column = 0;
  };
  const advance = (adjusted: number): void => {
    address += Math.floor(adjusted / lineRange) * minInstruction;
  };
  const standard: Record<number, () => void> = {
    1: emit,
    2: () => (address += reader.uleb() * minInstruction),
    3: () => (line += reader.sleb()),
    4: () => (file = reader.uleb()),
    5: () => (column = reader.uleb()),
    6: () => {},
    7: () => {},
    8: () => advance(255 - opcodeBase),
    9: () => (address += reader.u16()),
    10: () => {},
    11: () => {},
    12: () => reader.uleb(),
  };
  const extended = (): void => {
    const next = reader.uleb() + reader.at;
    const opcode = reader.u8();
    if (opcode === 1) {
      emit();
      endSequence(rows);
      reset();
    } else if (opcode === 2) {
      address = reader.uint(settings.addressSize);
    }
    reader.skip(next - reader.at);
  };
  while (reader.at < reader.end) {
    const opcode = reader.u8();
    if (opcode >= opcodeBase) {
      const adjusted = opcode - opcodeBase;
      advance(adjusted);
      line += lineBase + (adjusted % lineRange);
      emit();
    } else if (opcode === 0) {
      extended();
    } else {
      const run = standard[opcode];
      if (run !== undefined) run();
      else for (let i = settings.operands[opcode] ?? 0; i > 0; i--) reader.uleb();
    }
  }
}
