import { describe, expect, test } from 'vitest';
import { type SmmuBackend, type SmmuPort, streamBinding } from '../../../viommu/port/smmuv3.ts';
import { smmuPort } from '../../../viommu/smmuv3/port.ts';
import { GBPA } from '../../../viommu/spec/smmuv3/registers.ts';
import { EVENTQEN, REG, SMMUEN, SmmuMachine } from '../../kit/smmu-machine.ts';

const CMDQEN = 8;
const SYNC = 0x46n;

interface Recorder extends SmmuBackend {
  readonly calls: unknown[][];
  outcome: number;
}

function recorder(): Recorder {
  const calls: unknown[][] = [];
  return {
    calls,
    outcome: 0,
    failedAt: 0,
    configurationChanged: () => {
      calls.push(['configuration']);
    },
    streamsChanged: (sid, order) => {
      calls.push(['streams', sid, order]);
    },
    command: (w0, _w1, _w2, _w3, cons) => {
      calls.push(['command', w0 & 0xff, cons]);
    },
    sync() {
      calls.push(['sync']);
      return this.outcome;
    },
  };
}

function started() {
  const m = new SmmuMachine();
  m.start(CMDQEN | EVENTQEN | SMMUEN);
  const port: SmmuPort = smmuPort(m.device);
  const backend = recorder();
  port.connect(backend);
  return { m, port, backend };
}

describe('a backend of an SMMUv3 is told', () => {
  test('configuration of one stream, of an aligned range, and of all', () => {
    const { m, backend } = started();

    m.submit(0x0000_0013_0000_0003n, 1n);
    m.submit(0x0000_0013_0000_0004n, 3n);
    m.submit(0x0000_0013_0000_0004n, 31n);

    expect(backend.calls.filter(([name]) => name === 'streams')).toEqual([
      ['streams', 0x13, 0],
      ['streams', 0x10, 4],
      ['streams', 0, 32],
    ]);
  });

  test('translations and contexts with their place in the queue, and the sync behind them', () => {
    const { m, backend } = started();
    m.queue(0x0001_0000_0000_0011n);
    m.queue(0x0000_0013_0000_0005n);

    m.submit(SYNC);

    expect(backend.calls).toEqual([['command', 0x11, 0], ['command', 0x05, 1], ['sync'], ['sync']]);
  });

  test('what has no sync behind it is done at the end of the queue', () => {
    const { m, backend } = started();

    m.submit(0x0001_0000_0000_0011n);

    expect(backend.calls.at(-1)).toEqual(['sync']);
  });

  test('a command that fails stops the queue at its place', () => {
    const { m, backend } = started();
    m.queue(0x10n);
    m.queue(0x0001_0000_0000_0011n);
    backend.outcome = 1;
    Object.assign(backend, { failedAt: 1 });

    m.submit(SYNC);

    expect(m.stopped).toEqual([1, 1]);
  });

  test('SMMUEN, GBPA, and a reset', () => {
    const { m, backend } = started();

    m.write32(REG.cr0, CMDQEN);
    m.write32(GBPA.offset, 0x8010_0000);
    m.device.reset('cold');

    expect(backend.calls.filter(([name]) => name === 'configuration')).toHaveLength(3);
  });
});

describe('a binding of an SMMUv3', () => {
  test('with SMMUEN 0 follows GBPA', () => {
    const { m, port } = started();
    const out = streamBinding();
    m.write32(REG.cr0, CMDQEN);
    port.binding(3, out);
    const before = out.kind;
    m.write32(GBPA.offset, 0x8010_0000);

    port.binding(3, out);

    expect([before, out.kind]).toEqual(['bypass', 'abort']);
  });

  test('of a stage 1 stream has its STE', () => {
    const { m, port } = started();
    m.stage1(3);
    const out = streamBinding();

    port.binding(3, out);

    expect([out.kind, out.fault, out.words[0]! & 0xf]).toEqual(['stage1', 0, 0xb]);
  });

  test('of a stream whose STE is not valid is an abort with C_BAD_STE', () => {
    const { port } = started();
    const out = streamBinding();

    port.binding(3, out);

    expect([out.kind, out.fault]).toEqual(['abort', 4]);
  });
});

test('an event from outside is written as it is, with an interrupt', () => {
  const { m, port } = started();

  port.event(Uint32Array.of(0x0000_0010, 0x13, 0, 0, 0x1000, 0, 0, 0));

  expect(m.event(0)).toEqual([0x0000_0013_0000_0010n, 0n, 0x1000n, 0n]);
});
