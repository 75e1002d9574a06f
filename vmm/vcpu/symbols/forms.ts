/** Attribute values. DWARF 5: 7.5.5 Classes and Forms, 7.5.6 Form Encodings. */

import type { DwarfReader, DwarfSections } from './dwarf-reader.ts';
import { MalformedError } from './wasm-reader.ts';

/** What of a unit's header and root entry its forms depend on. */
export interface FormContext {
  readonly sections: DwarfSections;
  readonly version: number;
  readonly addressSize: number;
  readonly wide: boolean;
  /** Offset of the unit in .debug_info: unit-relative references count from it. */
  readonly unitOffset: number;
  addrBase: number;
  strOffsetsBase: number;
  rnglistsBase: number;
}

const FORM = {
  addr: 0x01,
  block2: 0x03,
  block4: 0x04,
  data2: 0x05,
  data4: 0x06,
  data8: 0x07,
  string: 0x08,
  block: 0x09,
  block1: 0x0a,
  data1: 0x0b,
  flag: 0x0c,
  sdata: 0x0d,
  strp: 0x0e,
  udata: 0x0f,
  refAddr: 0x10,
  ref1: 0x11,
  ref2: 0x12,
  ref4: 0x13,
  ref8: 0x14,
  refUdata: 0x15,
  indirect: 0x16,
  secOffset: 0x17,
  exprloc: 0x18,
  flagPresent: 0x19,
  strx: 0x1a,
  addrx: 0x1b,
  refSup4: 0x1c,
  strpSup: 0x1d,
  data16: 0x1e,
  lineStrp: 0x1f,
  refSig8: 0x20,
  implicitConst: 0x21,
  loclistx: 0x22,
  rnglistx: 0x23,
  refSup8: 0x24,
  strx1: 0x25,
  strx4: 0x28,
  addrx1: 0x29,
  addrx4: 0x2c,
} as const;

/** Forms whose value is a number of ranges-list kind rather than an offset. */
export const FORM_RNGLISTX = FORM.rnglistx;
/** A `high_pc` of this form is an address; of any other, a length. */
export const FORM_ADDR = FORM.addr;

/** Strings as strings, references as offsets in .debug_info, the rest as numbers; blocks are skipped. */
export function readForm(
  reader: DwarfReader,
  form: number,
  context: FormContext,
  implicit = 0,
): number | string {
  switch (form) {
    case FORM.addr:
      return reader.uint(context.addressSize);
    case FORM.flag:
    case FORM.data1:
      return reader.u8();
    case FORM.data2:
      return reader.u16();
    case FORM.data4:
    case FORM.refSup4:
      return reader.fixed32();
    case FORM.data8:
    case FORM.refSig8:
    case FORM.refSup8:
      return reader.fixed64();
    case FORM.data16:
      return skipped(reader, 16);
    case FORM.sdata:
      return reader.sleb();
    case FORM.udata:
    case FORM.loclistx:
    case FORM.rnglistx:
      return reader.uleb();
    case FORM.string:
      return reader.cstring();
    case FORM.strp:
      return stringAt(context, '.debug_str', reader.sectionOffset(context.wide));
    case FORM.lineStrp:
      return stringAt(context, '.debug_line_str', reader.sectionOffset(context.wide));
    case FORM.strx:
      return indexedString(context, reader.uleb());
    case FORM.addrx:
      return indexedAddress(context, reader.uleb());
    case FORM.refAddr:
      return context.version <= 2 ? reader.uint(context.addressSize) : reader.sectionOffset(context.wide);
    case FORM.ref1:
      return context.unitOffset + reader.u8();
    case FORM.ref2:
      return context.unitOffset + reader.u16();
    case FORM.ref4:
      return context.unitOffset + reader.fixed32();
    case FORM.ref8:
      return context.unitOffset + reader.fixed64();
    case FORM.refUdata:
      return context.unitOffset + reader.uleb();
    case FORM.secOffset:
    case FORM.strpSup:
      return reader.sectionOffset(context.wide);
    case FORM.flagPresent:
      return 1;
    case FORM.implicitConst:
      return implicit;
    case FORM.block1:
      return skipped(reader, reader.u8());
    case FORM.block2:
      return skipped(reader, reader.u16());
    case FORM.block4:
      return skipped(reader, reader.fixed32());
    case FORM.block:
    case FORM.exprloc:
      return skipped(reader, reader.uleb());
    case FORM.indirect: {
      const actual = reader.uleb();
      if (actual === FORM.indirect) throw new MalformedError('indirect form of an indirect form');
      return readForm(reader, actual, context, implicit);
    }
    default:
      if (form >= FORM.strx1 && form <= FORM.strx4)
        return indexedString(context, reader.uint(form - FORM.strx1 + 1));
      if (form >= FORM.addrx1 && form <= FORM.addrx4)
        return indexedAddress(context, reader.uint(form - FORM.addrx1 + 1));
      throw new MalformedError(`unknown form ${form}`);
  }
}

function skipped(reader: DwarfReader, bytes: number): number {
  reader.skip(bytes);
  return 0;
}

function stringAt(context: FormContext, section: string, offset: number): string {
  return context.sections.need(section).from(offset).cstring();
}

function indexedString(context: FormContext, index: number): string {
  const width = context.wide ? 8 : 4;
  const offsets = context.sections.need('.debug_str_offsets').from(context.strOffsetsBase + index * width);
  return stringAt(context, '.debug_str', offsets.sectionOffset(context.wide));
}

export function indexedAddress(context: FormContext, index: number): number {
  const { addressSize } = context;
  return context.sections
    .need('.debug_addr')
    .from(context.addrBase + index * addressSize)
    .uint(addressSize);
}
