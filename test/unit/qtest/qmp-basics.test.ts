import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { QmpBasics } from '../../../vmm/qtest/qmp-basics.ts';
import { runs } from '../../kit/runs.ts';

function client() {
  const done: string[] = [];
  const basics = new QmpBasics({
    program: '1.2.3',
    held: false,
    machines: [
      {
        name: 'none',
        'cpu-max': 1,
        'hotpluggable-cpus': false,
        'numa-mem-supported': false,
        deprecated: false,
        acpi: false,
      },
    ],
    quit: () => done.push('quit'),
    now: () => 1_500_000_000,
  });
  const texts: string[] = [];
  const connection = basics.openQmp((text) => {
    texts.push(text);
    done.push('answer');
  });
  const take = () => texts.splice(0).map((text) => JSON.parse(text) as Record<string, unknown>);
  const ask = (text: string) => {
    connection.input(Buffer.from(text));
    return take();
  };
  return { done, ask, take, connection };
}

const ready = () => {
  const c = client();
  c.ask('{"execute":"qmp_capabilities"}\n');
  c.done.length = 0;
  return c;
};

describe('a QMP client', () => {
  test('is greeted, negotiates, and gets its id back', () => {
    const { take, ask } = client();

    expect(Object.keys(take()[0]!)).toEqual(['QMP']);
    expect(ask('{"execute":"query-machines"}')).toMatchObject([{ error: { class: 'CommandNotFound' } }]);
    expect(ask('{"execute":"qmp_capabilities","id":7}')).toEqual([{ return: {}, id: 7 }]);
    expect(ask('{"execute":"query-machines"}')).toMatchObject([{ return: [{ name: 'none' }] }]);
  });

  test('is told of a reset when it is complete', () => {
    const { ask, done } = ready();

    expect(ask('{"execute":"system_reset"}\n')).toEqual([
      {
        timestamp: { seconds: 1_704_067_201, microseconds: 500000 },
        event: 'RESET',
        data: { guest: false, reason: 'host-qmp-system-reset' },
      },
      { return: {} },
    ]);
    expect(done).toEqual(['answer', 'answer']);
  });

  test.each([
    ['{"execute":"nosuch"}', 'CommandNotFound', 'The command nosuch has not been found'],
    ['{"execute":"constructor"}', 'CommandNotFound', 'The command constructor has not been found'],
    ['[1]', 'GenericError', 'QMP input must be a JSON object'],
    ['{"execute":1}', 'GenericError', "QMP input member 'execute' must be a string"],
    ['{"arguments":{}}', 'GenericError', "QMP input lacks member 'execute'"],
    ['{"execute":"quit","x":1}', 'GenericError', "QMP input member 'x' is unexpected"],
    ['{"execute":"quit","arguments":{"x":1}}', 'GenericError', "Parameter 'x' is unexpected"],
    ['{"execute":"quit","arguments":[]}', 'GenericError', "QMP input member 'arguments' must be an object"],
  ])('%s is refused', (text, className, desc) => {
    expect(ready().ask(text)).toEqual([{ error: { class: className, desc } }]);
  });

  test('stops and goes on, and says so only where that changes something', () => {
    const { ask } = ready();

    expect(ask('{"execute":"cont"}')).toEqual([{ return: {} }]);
    expect(ask('{"execute":"stop"}')).toMatchObject([{ event: 'STOP' }, { return: {} }]);
    expect(ask('{"execute":"stop"}')).toEqual([{ return: {} }]);
    expect(ask('{"execute":"query-status"}')).toEqual([{ return: { running: false, status: 'paused' } }]);
    expect(ask('{"execute":"cont"}')).toMatchObject([{ event: 'RESUME' }, { return: {} }]);
    expect(ask('{"execute":"query-cpus-fast"}')).toEqual([{ return: [] }]);
  });

  test('bytes that are no JSON are answered, and the next command works', () => {
    const { ask } = ready();

    expect(ask('{"execute" quit}\n')).toMatchObject([{ error: { class: 'GenericError' } }]);
    expect(ask('{"execute":"query-version"}\n')).toMatchObject([{ return: { qemu: { major: 11 } } }]);
  });

  test('a command arrives whole however it is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 60, maxLength: 60 }), (cuts) => {
        const { connection, take } = ready();
        const bytes = Buffer.from('{"execute": "query-version", "id": "\u00e4{\\"}"}\n');
        let at = 0;
        for (const n of cuts) {
          connection.input(bytes.subarray(at, at + n));
          at += n;
        }
        expect(take()).toMatchObject([{ id: '\u00e4{"}' }]);
      }),
      { seed: 7, numRuns: runs(50) },
    );
  });
});
