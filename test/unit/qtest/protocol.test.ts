import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LineSplitter } from '../../../vmm/qtest/lines.ts';
import { NumberReader } from '../../../vmm/qtest/number.ts';
import { QTEST_COMMANDS } from '../../../vmm/qtest/protocol.ts';
import { EduDriver, QtestMachine } from '../../kit/qtest-machine.ts';
import { runs } from '../../kit/runs.ts';

const IOMMU = ['-machine', 'q35', '-m', '64', '-device', 'intel-iommu'];

/** Sessions: a line, and the reply QEMU gives to it. */
const SESSIONS: Readonly<Record<string, readonly (readonly [string, string | undefined])[]>> = {
  'byte order and what is no command': [
    ['endianness', 'OK little'],
    ['', undefined],
    [' readl 0', "FAIL Unknown command ''"],
    ['nosuch 1', "FAIL Unknown command 'nosuch'"],
    ['module_load a b', 'FAIL'],
  ],
  'accesses of every width, values as 16 digits': [
    ['writeq 0x1000 0x1122334455667788', 'OK'],
    ['readq 0x1000', 'OK 0x1122334455667788'],
    ['readl 0x1000', 'OK 0x0000000055667788'],
    ['readw 4096', 'OK 0x0000000000007788'],
    ['readb 0x1007', 'OK 0x0000000000000011'],
    ['writel 0x1000 -1', 'OK'],
    ['writew 0x1004 0x12345', 'OK'],
    ['writeb 0x1006 0x1ff', 'OK'],
    ['readq 0x1000', 'OK 0x11ff2345ffffffff'],
    ['readq 0x1003', 'OK 0x00000011ff2345ff'],
  ],
  'bulk data in hex and base 64': [
    ['write 0x2000 4 0x1122', 'OK'],
    ['read 0x2000 4', 'OK 0x11220000'],
    ['write 0x2000 2 0xaabbccdd', 'OK'],
    ['read 0x2000 010', 'OK 0xaabb000000000000'],
    ['write 0x2000 4 0x', 'ERR invalid argument size'],
    ['b64write 0x2000 3 AQID', 'OK'],
    ['b64read 0x2000 4', 'OK AQIDAA=='],
    ['memset 0x2000 2 0x155', 'OK'],
    ['memset 0x2000 0 0x00', 'OK'],
    ['read 0x2000 4', 'OK 0x55550300'],
  ],
  'what nobody answers reads 0 and ports read ones': [
    ['readl 0xd0000000', 'OK 0x0000000000000000'],
    ['readq 0xfffffffffffffff8', 'OK 0x0000000000000000'],
    ['read 0xd0000000 3', 'OK 0x000000'],
    ['writel 0xd0000000 1', 'OK'],
    ['inb 0x9000', 'OK 0x00ff'],
    ['inl 0x9000', 'OK 0xffffffff'],
  ],
  'low bits of the configuration address select bytes': [
    ['outl 0xcf8 0x80000000', 'OK'],
    ['inw 0xcfc', 'OK 0x8086'],
    ['outl 0xcf8 0x80000002', 'OK'],
    ['inw 0xcfc', 'OK 0x29c0'],
    ['outl 0xcf8 0x80001800', 'OK'],
    ['inw 0xcfc', 'OK 0xffff'],
  ],
  'registers of VT-d, in one access and in bulk': [
    ['readq 0xfed90008', 'OK 0x80d2008c222f0606'],
    ['readq 0xfed90010', 'OK 0x0000000000f00f4a'],
    ['read 0xfed90000 0x10', 'OK 0x100000000000000006062f228c00d280'],
    ['readb 0xfed9000b', 'OK 0x0000000000000022'],
    ['readl 0xfed90038', 'OK 0x0000000080000000'],
    ['writeq 0xfed90020 0x10000000', 'OK'],
    ['readq 0xfed90020', 'OK 0x0000000010000000'],
  ],
  'time goes on when it is told to': [
    ['clock_step', 'FAIL cannot advance clock to the next deadline because there is no pending deadline'],
    ['clock_step 0', 'FAIL could not advance time'],
    ['clock_step 100', 'OK 100'],
    ['clock_set 50', 'FAIL 100'],
    ['clock_set 100', 'OK 100'],
    ['clock_set 5000', 'OK 5000'],
    ['clock_step -1', 'FAIL could not advance time'],
  ],
  'interrupt pins': [
    ['irq_intercept_in nosuch', 'FAIL Unknown device'],
    ['irq_intercept_in ioapic named', 'FAIL Interception of named in-GPIOs not yet supported'],
    ['irq_intercept_out ioapic', 'FAIL No intercepts installed'],
    ['irq_intercept_in lapic', 'FAIL No intercepts installed'],
    ['irq_intercept_in /machine/q35/ioapic', 'OK'],
    ['irq_intercept_in ioapic', 'OK'],
    ['irq_intercept_in lapic', 'FAIL IRQ intercept already enabled'],
    ['set_irq_in ioapic unnamed-gpio-in 5 1', 'OK'],
    ['set_irq_in nosuch unnamed-gpio-in 5 1', 'FAIL Unknown device'],
    ['set_irq_in ioapic unnamed-gpio-in 99 1', "FAIL 'ioapic' has no input pin unnamed-gpio-in 99"],
  ],
  'arguments that are missing or wrong are answered': [
    ['readl', "FAIL 'readl' needs 1 arguments"],
    ['writel 0x1000', "FAIL 'writel' needs 2 arguments"],
    ['readl zz', "FAIL 'zz' is no number of 64 bits"],
    ['readl 0x10000000000000000', "FAIL '0x10000000000000000' is no number of 64 bits"],
    ['inb 0x10000', 'FAIL there is no port 0x10000'],
    ['read 0 0', 'FAIL length 0 is not between 1 and 67108864'],
    ['read 0 0xffffffffff', 'FAIL length 0xffffffffff is not between 1 and 67108864'],
    ['memset 0 0x80000000 0', 'FAIL more than 16777216 bytes from 0 on are not RAM'],
  ],
};

describe('replies', () => {
  test.each(Object.entries(SESSIONS))('%s', (_, session) => {
    const q = new QtestMachine(...IOMMU);

    for (const [line, reply] of session) expect([line, q.reply(line)]).toEqual([line, reply]);
  });

  test('an intercepted pin reports its changes only, and the interrupt of a device among them', () => {
    const q = new QtestMachine(...IOMMU, '-device', 'edu,addr=3');
    new EduDriver(q, 0x18, 0xe0000000);
    q.command('irq_intercept_in ioapic');
    q.command('set_irq_in ioapic unnamed-gpio-in 5 1');
    q.command('set_irq_in ioapic unnamed-gpio-in 5 7');
    q.command('set_irq_in ioapic unnamed-gpio-in 5 0');
    q.write(0xe0000060n, 4, 1n);
    q.write(0xe0000064n, 4, 1n);

    expect(q.irqs.slice(0, 2)).toEqual(['IRQ raise 5', 'IRQ lower 5']);
    expect(q.irqs.slice(2).map((irq) => irq.slice(0, 9))).toEqual(['IRQ raise', 'IRQ lower']);
  });

  test('a read or write of four bytes is one access of 32 bits', () => {
    const q = new QtestMachine('-machine', 'q35', '-m', '64', '-device', 'iommu-testdev');
    q.configWrite(0x10, 0x10, 4, 0xe0000000);
    q.configWrite(0x10, 4, 2, 7);
    q.command('write 0xe0000004 4 0x00200010');

    expect(q.command('read 0xe0000004 4')).toBe('0x00200010');
    expect(q.command('read 0xe0000010 4')).toBe('0xffffffff');
  });
});

test('no input is left without its answer, and none throws', () => {
  const q = new QtestMachine(...IOMMU);
  const word = fc.oneof(
    fc.constantFrom(...QTEST_COMMANDS, 'ioapic', 'unnamed-gpio-in', '0x', '-1', '0xfed90018', '0xb0000000'),
    fc.integer({ min: 0, max: 0xffff }).map((n) => `0x${n.toString(16)}`),
    fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((n) => `0x${n.toString(16)}`),
    fc.string({ maxLength: 12 }).filter((s) => !/[\r\n]/.test(s)),
  );
  const line = fc
    .array(word, { minLength: 1, maxLength: 5 })
    .map((words) => words.join(' '))
    .filter((text) => text !== '' && !/^(read|b64read|memset|clock_set|clock_step) /.test(text));

  fc.assert(
    fc.property(line, (text) => {
      expect(q.reply(text)).toMatch(/^(OK|FAIL|ERR)/);
    }),
    { numRuns: runs(1000), seed: 7 },
  );
});

describe('lines', () => {
  function lines(limit = 100) {
    const seen: string[] = [];
    const splitter = new LineSplitter(limit, {
      line: (text) => seen.push(text),
      tooLong: () => seen.push('<too long>'),
    });
    return { seen, push: (text: string) => splitter.push(Buffer.from(text)) };
  }

  test('the same lines come out however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', 'bc', '\n', '\r\n', ' x')),
        fc.infiniteStream(fc.nat(5)),
        (parts, cuts) => {
          const text = parts.join('');
          const whole = lines();
          whole.push(text);
          const cut = lines();
          for (let at = 0; at < text.length; ) {
            const n = cuts.next().value + 1;
            cut.push(text.slice(at, at + n));
            at += n;
          }
          expect(cut.seen).toEqual(whole.seen);
        },
      ),
      { seed: 7 },
    );
  });

  test('a carriage return before the end is not part of the line', () => {
    const { seen, push } = lines();
    push('endianness\r\nreadl 0\n');

    expect(seen).toEqual(['endianness', 'readl 0']);
  });

  test('a line that is too long is reported once, and the next one is read', () => {
    const { seen, push } = lines(8);
    push('0123456789');
    push('0123456789');
    push('\nok\n');

    expect(seen).toEqual(['<too long>', 'ok']);
  });
});

test.each([
  ['0', 0, 0],
  ['42', 42, 0],
  ['017', 15, 0],
  ['0xfFfFfFfFfFfFfFfF', 0xffffffff, 0xffffffff],
  ['18446744073709551615', 0xffffffff, 0xffffffff],
  ['0x100000000', 0, 1],
  ['-1', 0xffffffff, 0xffffffff],
  ['-0x100000000', 0, 0xffffffff],
])('%s is read as C does', (text, lo, hi) => {
  const reader = new NumberReader();

  expect(reader.read(text)).toBe(true);
  expect([reader.lo, reader.hi]).toEqual([lo, hi]);
});

test.each(['', '-', '0x', '08', '1g', '18446744073709551616', ' 1'])('%j is no number', (text) => {
  expect(new NumberReader().read(text)).toBe(false);
});
