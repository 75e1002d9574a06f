import type { GtdtDescription } from '../description.ts';
import { ByteWriter } from './bytes.ts';
import { buildTable, HEADER_LENGTH } from './header.ts';

/** ACPI 6.3: Generic Timer Description Table (GTDT). */
const GT_BLOCK = 0;
const BLOCK_HEADER = 20;
const FRAME_LENGTH = 40;
const GTDT_LENGTH = 104;
const NOT_PROVIDED = 0xffffffff;

/** The processor's own timers, and the counter's frames, are not provided. */
export function gtdt({ blocks }: GtdtDescription): Uint8Array {
  const body = new ByteWriter('GTDT');
  notProvided(body); // CntControlBase
  body.zeros(4 + 4 * 8);
  notProvided(body); // CntReadBase
  body.u32(blocks.length).u32(GTDT_LENGTH).zeros(8);
  body.zeros(GTDT_LENGTH - HEADER_LENGTH - body.length);
  for (const { control, frames } of blocks) {
    body
      .u8(GT_BLOCK)
      .u16(BLOCK_HEADER + FRAME_LENGTH * frames.length)
      .u8(0)
      .u64(control)
      .u32(frames.length)
      .u32(BLOCK_HEADER);
    for (const { number, base, gsi } of frames) {
      body.u8(number).zeros(3).u64(base);
      notProvided(body); // CntEL0BaseX
      // Physical timer: level-sensitive, active high. There is no virtual one.
      body.u32(gsi).u32(0).zeros(8).u32(0);
    }
  }
  return buildTable('GTDT', 3, body.done());
}

/** An address of all ones. */
function notProvided(body: ByteWriter): void {
  body.u32(NOT_PROVIDED).u32(NOT_PROVIDED);
}
