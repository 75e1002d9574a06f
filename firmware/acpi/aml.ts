import { ByteWriter, badDescription } from './bytes.ts';

/** The few AML encodings that the DSDT needs. ACPI 6.3: ACPI Machine Language (AML) Specification. */

export type Aml = Uint8Array;

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

/** NameString of one four-character segment, padded with `_`. */
function nameString(name: string): Aml {
  if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(name))
    throw badDescription('DSDT', `"${name}" is not an ACPI name segment`);
  return aml().ascii(name.padEnd(4, '_')).done();
}

/** The shortest form of a constant: ZeroOp, OneOp, then a prefix and 1, 2 or 4 bytes. */
export function integer(value: number): Aml {
  if (value === 0 || value === 1) return aml().u8(value).done();
  if (value <= 0xff) return aml().u8(BYTE_PREFIX).u8(value).done();
  if (value <= 0xffff) return aml().u8(WORD_PREFIX).u16(value).done();
  return aml().u8(DWORD_PREFIX).u32(value).done();
}

/** A hardware id: three letters and four hex digits are compressed to an EISA id, anything else is a string. */
export function hardwareId(id: string): Aml {
  if (!/^[A-Z]{3}[0-9A-F]{4}$/.test(id)) return aml().u8(STRING_PREFIX).ascii(id).u8(0).done();
  const letter = (i: number) => id.charCodeAt(i) - 0x40;
  const vendor = (letter(0) << 10) | (letter(1) << 5) | letter(2);
  const product = Number.parseInt(id.slice(3), 16);
  return aml()
    .u8(DWORD_PREFIX)
    .u8(vendor >> 8)
    .u8(vendor & 0xff)
    .u8(product >> 8)
    .u8(product & 0xff)
    .done();
}

export function name(segment: string, value: Aml): Aml {
  return aml().u8(NAME_OP).bytes(nameString(segment)).bytes(value).done();
}

export function scope(path: string, ...terms: readonly Aml[]): Aml {
  return packaged([SCOPE_OP], nameString(path), ...terms);
}

export function device(segment: string, ...terms: readonly Aml[]): Aml {
  return packaged([EXT_OP_PREFIX, DEVICE_OP], nameString(segment), ...terms);
}

export function buffer(content: Uint8Array): Aml {
  return packaged([BUFFER_OP], integer(content.length), content);
}

export function packageOf(...elements: readonly Aml[]): Aml {
  return packaged([PACKAGE_OP], aml().u8(elements.length).done(), ...elements);
}

/** Opcode, PkgLength, content. */
function packaged(opcode: readonly number[], ...content: readonly Aml[]): Aml {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  const w = aml().bytes(opcode).bytes(packageLength(length));
  for (const part of content) w.bytes(part);
  return w.done();
}

/**
 * ACPI 6.3: Package Length Encoding. The length counts its own bytes: up to 63 in one byte; otherwise the low four bits in the
 * lead byte, whose bits 7:6 count the following bytes.
 */
export function packageLength(contentLength: number): Aml {
  if (contentLength + 1 <= 0x3f)
    return aml()
      .u8(contentLength + 1)
      .done();
  let following = 1;
  while (contentLength + 1 + following >= 1 << (4 + 8 * following)) following++;
  if (following > 3) throw badDescription('DSDT', `a package of ${contentLength} bytes is too long for AML`);
  const total = contentLength + 1 + following;
  const w = aml().u8((following << 6) | (total & 0xf));
  for (let i = 0; i < following; i++) w.u8((total >> (4 + 8 * i)) & 0xff);
  return w.done();
}

function aml(): ByteWriter {
  return new ByteWriter('DSDT');
}
