import { badDescription } from './bytes.ts';

/** The few AML encodings that the DSDT needs. ACPI 6.3: ACPI Machine Language (AML) Specification. */

/** Plain arrays: the DSDT is some thousand pieces, and typed arrays of a few bytes are slow to make. */
export type Aml = readonly number[];

const NAME_OP = 0x08;
const BYTE_PREFIX = 0x0a;
const WORD_PREFIX = 0x0b;
const DWORD_PREFIX = 0x0c;
const STRING_PREFIX = 0x0d;
const SCOPE_OP = 0x10;
const BUFFER_OP = 0x11;
const PACKAGE_OP = 0x12;
const EXT_OP_PREFIX = 0x5b;
const DEVICE_OP = 0x82;
/** The longest package, its length included, whose length takes one byte. */
const SHORT_PACKAGE = 0x3f;

/** NameString of one four-character segment, padded with `_`. */
function nameString(name: string): Aml {
  if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(name))
    throw badDescription('DSDT', `"${name}" is not an ACPI name segment`);
  return characters(name.padEnd(4, '_'));
}

function characters(text: string): number[] {
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i++) bytes.push(text.charCodeAt(i));
  return bytes;
}

/** The shortest form of a constant: ZeroOp, OneOp, then a prefix and 1, 2 or 4 bytes. */
export function integer(value: number): Aml {
  const bytes: number[] = [];
  appendInteger(bytes, value);
  return bytes;
}

function appendInteger(bytes: number[], value: number): void {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff)
    throw badDescription('DSDT', `${value} does not fit in 32 bits`);
  if (value <= 1) bytes.push(value);
  else if (value <= 0xff) bytes.push(BYTE_PREFIX, value);
  else if (value <= 0xffff) bytes.push(WORD_PREFIX, value & 0xff, value >>> 8);
  else bytes.push(DWORD_PREFIX, value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
}

/** A hardware id: three letters and four hex digits are compressed to an EISA id, anything else is a string. */
export function hardwareId(id: string): Aml {
  if (!/^[A-Z]{3}[0-9A-F]{4}$/.test(id)) return [STRING_PREFIX, ...printable(id), 0];
  const letter = (i: number) => id.charCodeAt(i) - 0x40;
  const vendor = (letter(0) << 10) | (letter(1) << 5) | letter(2);
  const product = Number.parseInt(id.slice(3), 16);
  return [DWORD_PREFIX, vendor >> 8, vendor & 0xff, product >> 8, product & 0xff];
}

function printable(text: string): number[] {
  if (!/^[ -~]*$/.test(text))
    throw badDescription('DSDT', `"${text}" holds a character that is not printable ASCII`);
  return characters(text);
}

export function name(segment: string, value: Aml): Aml {
  return [NAME_OP, ...nameString(segment), ...value];
}

export function scope(path: string, ...terms: readonly Aml[]): Aml {
  return packaged([SCOPE_OP], nameString(path), ...terms);
}

export function device(segment: string, ...terms: readonly Aml[]): Aml {
  return packaged([EXT_OP_PREFIX, DEVICE_OP], nameString(segment), ...terms);
}

export function buffer(content: Uint8Array): Aml {
  return packaged([BUFFER_OP], integer(content.length), [...content]);
}

/**
 * A package of packages of integers. One array for all of it: a machine's interrupt routing has 128 rows, and as pieces
 * that are put together they would be most of the garbage of a start.
 */
export function packageOfRows(rows: readonly (readonly number[])[]): Aml {
  if (rows.length > 0xff) throw badDescription('DSDT', `${rows.length} does not fit in 8 bits`);
  const bytes: number[] = [rows.length];
  for (const row of rows) {
    const start = bytes.push(PACKAGE_OP, 0, row.length) - 2;
    for (const value of row) appendInteger(bytes, value);
    const length = bytes.length - start;
    if (length > SHORT_PACKAGE) throw badDescription('DSDT', `a row of ${row.length} integers is too long`);
    bytes[start] = length;
  }
  return packaged([PACKAGE_OP], bytes);
}

/** Opcode, PkgLength, content. */
function packaged(opcode: Aml, ...content: readonly Aml[]): Aml {
  let length = 0;
  for (const part of content) length += part.length;
  const bytes = [...opcode, ...packageLength(length)];
  for (const part of content) bytes.push(...part);
  return bytes;
}

/**
 * ACPI 6.3: Package Length Encoding. The length counts its own bytes: up to 63 in one byte; otherwise the low four bits in the
 * lead byte, whose bits 7:6 count the following bytes.
 */
export function packageLength(contentLength: number): Aml {
  if (contentLength + 1 <= SHORT_PACKAGE) return [contentLength + 1];
  let following = 1;
  while (contentLength + 1 + following >= 1 << (4 + 8 * following)) following++;
  if (following > 3) throw badDescription('DSDT', `a package of ${contentLength} bytes is too long for AML`);
  const total = contentLength + 1 + following;
  const bytes = [(following << 6) | (total & 0xf)];
  for (let i = 0; i < following; i++) bytes.push((total >> (4 + 8 * i)) & 0xff);
  return bytes;
}
