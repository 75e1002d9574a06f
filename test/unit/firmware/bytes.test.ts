import { expect, test } from 'vitest';
import { ByteWriter } from '../../../firmware/acpi/bytes.ts';

test('values are little-endian', () => {
  const bytes = new ByteWriter('T')
    .u8(1)
    .u16(0x2030)
    .u32(0x8070_6050)
    .u64(0x1f_0403_0201)
    .ascii('A')
    .zeros(1)
    .done();
  expect([...bytes]).toEqual([1, 0x30, 0x20, 0x50, 0x60, 0x70, 0x80, 1, 2, 3, 4, 0x1f, 0, 0, 0, 0x41, 0]);
});

test.each<[string, (w: ByteWriter) => void]>([
  ['T: -1 does not fit in 8 bits', (w) => w.u8(-1)],
  ['T: 65536 does not fit in 16 bits', (w) => w.u16(65536)],
  ['T: 4294967296 does not fit in 32 bits', (w) => w.u32(2 ** 32)],
  ['T: 0.5 does not fit in 8 bits', (w) => w.u8(0.5)],
  ['T: 9007199254740992 is not an address or length below 2^53', (w) => w.u64(2 ** 53)],
  ['T: "é" holds a character that is not printable ASCII', (w) => w.ascii('é')],
])('%s', (message, write) => {
  expect(() => write(new ByteWriter('T'))).toThrow(message);
});
