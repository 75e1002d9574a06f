import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { QmpStream, type StreamItem } from '../../../vmm/monitor/qmp-stream.ts';
import { idleMonitor } from '../../kit/monitor.ts';
import { runs } from '../../kit/runs.ts';

function pushed(text: string | Uint8Array, stream = new QmpStream()): StreamItem[] {
  return stream.push(typeof text === 'string' ? Buffer.from(text) : text);
}

const message = (value: unknown) => ({ kind: 'message', value });
const error = (why: string) => ({ kind: 'error', desc: `JSON parse error, ${why}` });

describe('what is a value', () => {
  test.each([
    ['{"a":1}', [message({ a: 1 })]],
    ['{"a":1}{"b":[2,{}]}\n[]', [message({ a: 1 }), message({ b: [2, {}] }), message([])]],
    [' \r\n\t{ "a" : "}\\"{" } ', [message({ a: '}"{' })]],
    ['12 true "x"\n', [message(12), message(true), message('x')]],
    ['{"a":-1.5e3,"b":null}', [message({ a: -1500, b: null })]],
    ['"\\u00e4ä"', [message('ää')]],
    [`{'a':'b"\\'\\\\','c':"d'\\""}`, [message({ a: `b"'\\`, c: `d'"` })]],
    ['{"a":{"b":1},"b":[{"a":1},{"a":2}]}', [message({ a: { b: 1 }, b: [{ a: 1 }, { a: 2 }] })]],
  ])('%j', (text, items) => {
    expect(pushed(text)).toEqual(items);
  });
});

describe('what is none is one error, and the next line counts again', () => {
  test.each([
    ['foo\n{"a":1}\n', [error("invalid keyword 'foo'"), message({ a: 1 })]],
    ['}\n{"a":1}', [error('expecting value'), message({ a: 1 })]],
    ['{"a":1]\n{"a":1}', [error("unexpected ']'"), message({ a: 1 })]],
    ['{"a" 1}\n{"a":1}', [error("expecting ':'"), message({ a: 1 })]],
    ['{a:{"b":[1]}, "}":2} {"b":2}', [error("expecting string or '}'"), message({ b: 2 })]],
    ['{"execute": @} {"execute":"stop"}', [error("stray '@'"), message({ execute: 'stop' })]],
    ['@@ {"a":1}', [error("stray '@'"), message({ a: 1 })]],
    ['@@{"a":1}', [error("stray '@'"), message({ a: 1 })]],
    ['{"a":"b\x00c\\"}"}{"a":1}', [error('unterminated string'), message({ a: 1 })]],
    ['{"a":1,"b":{"a":1,"\\u0061":2}}{"a":1}', [error('duplicate key'), message({ a: 1 })]],
    ['{"a":1,}\n{"a":1}', [error('expecting string'), message({ a: 1 })]],
    ['[1,]\n{"a":1}', [error('expecting value'), message({ a: 1 })]],
    ['{"a":"x\n{"a":1}', [error('unterminated string'), message({ a: 1 })]],
    ['{"a":1\n{"a":1}\n', [error("expecting ',' or end of value"), message({ a: 1 })]],
    ['\xff\n{"a":1}', [error("stray '\\xff'"), message({ a: 1 })]],
    ['{"a":["\xff{"a":1}', [error("stray '\\xff'"), message({ a: 1 })]],
    ['{a:["\xfe{"a":1}', [error("expecting string or '}'"), message({ a: 1 })]],
    ['{"a":tru}\n{"a":1}', [error('invalid value \'{"a":tru}\''), message({ a: 1 })]],
  ])('%j', (text, items) => {
    expect(pushed(Buffer.from(text, 'latin1'))).toEqual(items);
  });

  test('bytes that are not UTF-8 in a string', () => {
    expect(pushed(Buffer.from('"\xc3\x28"{}', 'latin1'))).toEqual([
      error('invalid UTF-8 sequence in string'),
      message({}),
    ]);
  });

  test('a message that is too long is dropped up to its end, or that of its line', () => {
    const stream = new QmpStream({ bytes: 20, depth: 9 });

    expect(pushed('{"a":"0123456789', stream)).toEqual([]);
    expect(pushed('0123456789', stream)).toEqual([error('message is too long')]);
    expect(pushed('0123456789"}', stream)).toEqual([]);
    expect(pushed('{"a":1}{"a":"01234567890123456789"', stream)).toEqual([
      message({ a: 1 }),
      error('message is too long'),
    ]);
    expect(pushed('\n{"a":1}', stream)).toEqual([message({ a: 1 })]);
  });

  test('nesting that is too deep', () => {
    const stream = new QmpStream({ bytes: 1000, depth: 3 });

    expect(pushed('[[[]]]', stream)).toEqual([message([[[]]])]);
    expect(pushed('[[[[]]]]\n[]', stream)).toEqual([error('nesting is too deep'), message([])]);
  });
});

test('however the bytes are cut, the same items come out', () => {
  const lines = fc.oneof(
    fc.json().map((text) => `${text}\n`),
    fc.string({ unit: 'binary' }).map((text) => `${text}\n`),
    fc.constantFrom('{"execute":"stop"}\n', '{"a":', '"', '\\', '\n', '}', '[[['),
  );
  fc.assert(
    fc.property(fc.array(lines), fc.array(fc.nat(60)), (texts, cuts) => {
      const bytes = Buffer.from(texts.join(''));
      const whole = pushed(bytes);
      const stream = new QmpStream();
      const pieces: StreamItem[] = [];
      let at = 0;
      for (const cut of cuts) pieces.push(...pushed(bytes.subarray(at, (at += cut)), stream));
      pieces.push(...pushed(bytes.subarray(at), stream));

      expect(pieces).toEqual(whole);
    }),
    { numRuns: runs(500) },
  );
});

test('1,000 malformed inputs, cut at random: every one is answered, and the commands between them are', () => {
  const { client } = idleMonitor();
  // What ends where a value may follow goes on with the next line, as JSON over several lines does.
  const closed = (text: string) => !/[[:,]\s*$/.test(text);
  const junk = fc
    .oneof(
      fc
        .string({ unit: 'binary', minLength: 1 })
        .map((text) => text.replaceAll('\n', ' '))
        .filter((text) => text.trim() !== ''),
      fc.json().filter((text) => !text.includes('execute')),
      fc
        .tuple(fc.constant('{"execute":"query-status","arguments":{"x":[1,2'), fc.nat(46))
        .map(([text, n]) => text.slice(0, n + 1)),
    )
    .filter(closed);
  let id = 0;
  fc.assert(
    fc.property(junk, fc.array(fc.nat(30), { maxLength: 6 }), (text, cuts) => {
      id++;
      const bytes = Buffer.from(`${text}\n\n{"execute":"query-status","id":${id}}\n`);
      let at = 0;
      client.take();
      for (const cut of cuts) client.send(bytes.subarray(at, (at += cut)));
      client.send(bytes.subarray(at));
      const answers = client.take() as { error?: object; id?: number }[];

      expect(answers.at(-1)).toEqual({ return: { running: false, status: 'prelaunch' }, id });
      expect(answers.length).toBeGreaterThanOrEqual(2);
      expect(answers.slice(0, -1).every((a) => a.error !== undefined)).toBe(true);
    }),
    { numRuns: runs(1000) },
  );
});

test('a client that goes away in the middle of a command leaves the others alone', () => {
  const { client, open } = idleMonitor();
  const other = open();
  other.send('{"execute":"cont"}{"execute":"query-');
  other.close();

  expect(client.take()).toMatchObject([{ event: 'RESUME' }]);
  expect(client.value('query-status')).toEqual({ running: true, status: 'running' });
});
