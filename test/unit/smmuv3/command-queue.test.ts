import { describe, expect, test } from 'vitest';
import type { SmmuConfig } from '../../../viommu/smmuv3/config.ts';
import { DEVICE_TLB_PENDING, DEVICE_TLB_TIMEOUT } from '../../../vmm/bus/iommu.ts';
import { CMDQEN, COMMANDS, DATA, REG, SMMUEN, SmmuMachine } from '../../kit/smmu-machine.ts';

const SYNC = 0x46n;
const SYNC_IRQ = 0x1046n;
const ILL: [number, number] = [1, 0];
const DONE: [number, number] = [0, 1];
const GERROR_WIRE = 109;
const SYNC_WIRE = 108;

function started(config: Partial<SmmuConfig> = {}, answers: number[] = []) {
  const m = new SmmuMachine({ config, answers });
  m.start(CMDQEN | SMMUEN);
  return m;
}

const SVM = { svm: true } as const;
const STAGE1 = { stage: '1' } as const;
const STAGE2 = { stage: '2' } as const;

describe('a command is consumed', () => {
  test.each<[string, bigint, bigint, Partial<SmmuConfig>]>([
    ['PREFETCH_CONFIG', 0x18_0000_1801n, 0n, {}],
    ['PREFETCH_ADDR', 0x18_0000_0002n, 0x1234_5025n, {}],
    ['CFGI_STE', 0x18_0000_0003n, 1n, {}],
    ['CFGI_STE_RANGE', 0x18_0000_0004n, 5n, {}],
    ['CFGI_ALL', 0x4n, 0x1fn, {}],
    ['CFGI_CD', 0x18_0000_1005n, 1n, {}],
    ['CFGI_CD_ALL', 0x18_0000_0006n, 0n, {}],
    ['TLBI_NH_ALL', 0x7_0000_0010n, 0n, {}],
    ['TLBI_NH_ASID', 0x3_0007_0000_0011n, 0n, {}],
    ['TLBI_NH_VA', 0x3_0007_0000_0012n, 0x1234_5001n, {}],
    ['TLBI_NH_VA with range', 0x3_0007_0031_f012n, 0xffff_1234_5000_0401n | 0x800n, {}],
    ['TLBI_NH_VAA', 0x7_0000_0013n, 0x1234_5001n, {}],
    ['TLBI_EL2_ALL', 0x20n, 0n, SVM],
    ['TLBI_EL2_ASID', 0x3_0000_0000_0021n, 0n, SVM],
    ['TLBI_EL2_VA', 0x3_0000_0000_0022n, 0x5000n, SVM],
    ['TLBI_EL2_VAA', 0x23n, 0x5000n, SVM],
    ['TLBI_S12_VMALL', 0x7_0000_0028n, 0n, {}],
    ['TLBI_S2_IPA', 0x7_0000_002an, 0x1234_5001n, {}],
    ['TLBI_S2_IPA with a level only', 0x7_0000_002an, 0x1234_5700n, {}],
    ['TLBI_NSNH_ALL', 0x30n, 0n, STAGE2],
    ['ATC_INV', 0x18_0000_0040n, 52n, SVM],
    ['PRI_RESP', 0x18_0000_0041n, 0x2007n, SVM],
    ['RESUME', 0x18_0000_1044n, 5n, SVM],
    ['STALL_TERM', 0x18_0000_0045n, 0n, SVM],
    ['SYNC', SYNC, 0n, {}],
    ['SYNC with a message nobody can send', 0x1234_0fc0_1046n, 0x4010_0000n, {}],
    ['CFGI_STE of a stream beyond 16 bits', 0x1_0018_0000_0003n, 0n, {}],
    ['ATC_INV of a stream beyond 16 bits', 0x1_0018_0000_0040n, 52n, SVM],
  ])('%s', (_name, q0, q1, config) => {
    const m = started(config);

    m.submit(q0, q1);

    expect([m.stopped, m.read32(REG.gerror)]).toEqual([DONE, 0]);
  });
});

describe('CERROR_ILL', () => {
  test.each<[string, bigint, bigint, Partial<SmmuConfig>]>([
    ['an unknown opcode', 0xffn, 0n, SVM],
    ['opcode 0', 0n, 0n, SVM],
    ['TLBI_EL3_ALL', 0x18n, 0n, SVM],
    ['CFGI_VMS_PIDM', 0x7n, 0n, SVM],
    ['SSec', 0x18_0000_0403n, 0n, {}],
    ['a reserved bit of SYNC', 0x4046n, 0n, {}],
    ['a reserved bit of the second word', 0x10n, 1n, {}],
    ['CS 3', 0x3046n, 0n, {}],
    ['CFGI_CD without stage 1', 0x5n, 0n, STAGE2],
    ['TLBI_NH_ALL without stage 1', 0x10n, 0n, STAGE2],
    ['TLBI_S12_VMALL without stage 2', 0x28n, 0n, STAGE1],
    ['TLBI_S2_IPA without stage 2', 0x2an, 0n, STAGE1],
    ['TLBI_EL2_ALL without EL2', 0x20n, 0n, {}],
    ['ATC_INV without ATS', 0x40n, 52n, {}],
    ['ATC_INV of 2^53 pages', 0x40n, 53n, SVM],
    ['PRI_RESP without PRI', 0x41n, 0x2000n, { ats: true }],
    ['PRI_RESP with response 3', 0x41n, 0x3000n, SVM],
    ['RESUME where nothing stalls', 0x1044n, 0n, {}],
    ['STALL_TERM where nothing stalls', 0x45n, 0n, {}],
    ['NUM without TG', 0x1012n, 0n, {}],
    ['SCALE without TG', 0x10_0012n, 0n, {}],
    ['TTL without TG', 0x12n, 0x100n, {}],
    ['TG with NUM, SCALE and TTL 0', 0x12n, 0x400n, {}],
    ['a range without RIL', 0x1012n, 0x400n, { ril: false }],
  ])('%s', (_name, q0, q1, config) => {
    const m = started(config);

    m.submit(q0, q1);

    expect([m.stopped, m.read32(REG.gerror), m.pulses]).toEqual([ILL, 1, [GERROR_WIRE]]);
  });

  test('comes before what SMMUEN = 0 makes ignored', () => {
    const m = new SmmuMachine({ config: SVM });
    m.start(CMDQEN);

    m.submit(0x41n, 0x3000n);

    expect(m.stopped).toEqual(ILL);
  });

  test('stops the queue until it is acknowledged; the command is then read again', () => {
    const m = started();
    m.submit(SYNC);
    m.submit(0xff);
    m.submit(SYNC);
    const stopped = m.stopped;

    m.store(COMMANDS + 16, SYNC);
    m.write32(REG.cmdqProd, 3);
    const held = m.stopped;
    m.write32(REG.gerrorn, 1);

    expect([stopped, held, m.stopped[1], m.read32(REG.gerror), m.read32(REG.gerrorn)]).toEqual([
      [1, 1],
      [1, 1],
      3,
      1,
      1,
    ]);
  });

  test('a second error after the first toggles GERROR back', () => {
    const m = started();
    m.submit(0xff);

    m.write32(REG.gerrorn, 1);

    expect([m.stopped, m.read32(REG.gerror), m.pulses]).toEqual([ILL, 0, [GERROR_WIRE, GERROR_WIRE]]);
  });
});

describe('fetch', () => {
  test('outside memory is CERROR_ABT', () => {
    const m = new SmmuMachine();
    m.write64(REG.cmdqBase, 0x9000_0004n);
    m.write32(REG.cr0, CMDQEN);

    m.write32(REG.cmdqProd, 1);

    expect([m.stopped, m.read32(REG.gerror)]).toEqual([[2, 0], 1]);
  });

  test('goes around, with the wrap bit', () => {
    const m = started();
    for (let i = 0; i < 20; i++) m.submit(SYNC);

    expect(m.stopped).toEqual([0, 20]);
    for (let i = 0; i < 13; i++) m.submit(SYNC);
    expect(m.stopped).toEqual([0, 1]);
  });

  test('a queue of one entry has its wrap bit at bit 0', () => {
    const m = new SmmuMachine();
    m.start(CMDQEN, 0);
    m.store(COMMANDS, SYNC_IRQ);

    m.write32(REG.cmdqProd, 1);
    const first = m.read32(REG.cmdqCons);
    m.write32(REG.cmdqProd, 0);

    expect([first, m.read32(REG.cmdqCons), m.pulses]).toEqual([1, 0, [SYNC_WIRE, SYNC_WIRE]]);
  });

  test('consumes nothing where the indices do not belong together', () => {
    const m = started();
    m.submit(SYNC);

    m.write32(REG.cmdqProd, 0);

    expect([m.stopped, m.read32(REG.gerror)]).toEqual([DONE, 0]);
  });

  test('LOG2SIZE is capped by IDR1.CMDQS, and the base aligned to the queue', () => {
    const m = new SmmuMachine({ config: { cmdqs: 1 } });
    m.write64(REG.cmdqBase, COMMANDS | 0x1f);
    m.write32(REG.cr0, CMDQEN);
    for (const at of [0, 16, 32]) m.store(COMMANDS + at, at === 32 ? 0xff : SYNC);

    m.write32(REG.cmdqProd, 2);
    const two = m.read32(REG.cmdqCons);
    m.write32(REG.cmdqProd, 3);

    expect([two, m.read32(REG.cmdqCons)]).toEqual([2, 3]);
  });

  test('waits for CMDQEN', () => {
    const m = new SmmuMachine();
    m.start(0);
    m.submit(SYNC_IRQ);
    const before = [m.stopped, m.pulses.length];

    m.write32(REG.cr0, CMDQEN);

    expect([before, m.stopped, m.pulses]).toEqual([[[0, 0], 0], DONE, [SYNC_WIRE]]);
  });
});

describe('CMD_SYNC', () => {
  test.each([
    ['SIG_NONE', SYNC, {}, []],
    ['SIG_IRQ', SYNC_IRQ, {}, [SYNC_WIRE]],
    ['SIG_SEV', 0x2046n, { sev: true }, []],
  ])('%s', (_name, q0, config, pulses) => {
    const m = started(config);

    m.submit(q0);

    expect([m.stopped, m.pulses]).toEqual([DONE, pulses]);
  });

  test('writes its message and pulses no wire', () => {
    const m = started({ msi: true });

    m.submit(0xdead_beef_0fc0_1046n, BigInt(DATA + 4));

    expect([m.load(DATA), m.pulses, m.stopped]).toEqual([0xdead_beef_0000_0000n, [], DONE]);
  });

  test('a message that is aborted is MSI_CMDQ_ABT_ERR and stops nothing', () => {
    const m = started({ msi: true });

    m.submit(SYNC_IRQ, 0x9000_0000n);
    m.submit(SYNC);

    expect([m.read32(REG.gerror), m.stopped, m.pulses]).toEqual([0x10, [0, 2], [GERROR_WIRE]]);
  });

  test('may feed its own queue, and other work gets its turn', () => {
    const m = started({ msi: true });
    // Two commands that move PROD past each other for ever.
    m.store(COMMANDS, 0x0002_0000_1046n);
    m.store(COMMANDS + 8, BigInt(m.config.base + REG.cmdqProd));
    for (let i = 1; i < 16; i++) {
      m.store(COMMANDS + i * 16, (BigInt(i + 2) << 32n) | 0x1046n);
      m.store(COMMANDS + i * 16 + 8, BigInt(m.config.base + REG.cmdqProd));
    }

    m.write32(REG.cmdqProd, 1);

    expect(m.stopped[0]).toBe(0);
  });
});

describe('ATC_INV', () => {
  test.each<[string, bigint, bigint, number[]]>([
    ['one page', 0x18_0000_0040n, 0x1234_5000n, [0x18, -1, 0x12345000, 0, 0, 0]],
    ['8 pages, aligned', 0x18_0000_0040n, 0x5_1234_5003n, [0x18, -1, 0x12340000, 5, 3, 0]],
    ['2^22 pages', 0x18_0000_0040n, 0x7_ffff_f016n, [0x18, -1, 0, 4, 22, 0]],
    ['everything', 0x18_0000_0040n, 52n, [0x18, -1, 0, 0, 52, 0]],
    ['of a PASID', 0x18_0000_7840n, 0x5000n, [0x18, 7, 0x5000, 0, 0, 0]],
    ['of every PASID', 0x18_0000_7a40n, 0x5000n, [0x18, -2, 0x5000, 0, 0, 0]],
    ['Global without SSV', 0x18_0000_7240n, 0x5000n, [0x18, -1, 0x5000, 0, 0, 0]],
  ])('reaches the function: %s', (_name, q0, q1, call) => {
    const m = started(SVM);

    m.submit(q0, q1);
    m.submit(SYNC);

    expect([m.invalidations, m.stopped]).toEqual([[call], [0, 2]]);
  });

  test('is ignored while SMMUEN is 0', () => {
    const m = new SmmuMachine({ config: SVM });
    m.start(CMDQEN);

    m.submit(0x18_0000_0040n, 52n);

    expect([m.invalidations, m.stopped]).toEqual([[], DONE]);
  });

  test('is awaited by CMD_SYNC and by nothing else', () => {
    const m = started(SVM, [DEVICE_TLB_PENDING, DEVICE_TLB_PENDING]);
    m.submit(0x18_0000_0040n, 52n);
    m.submit(0x18_0000_0003n);
    m.submit(0x19_0000_0040n, 52n);
    m.submit(SYNC_IRQ);
    const before = m.stopped;

    m.port(0x18).invalidationComplete(0);
    const between = m.stopped;
    m.port(0x19).invalidationComplete(0);

    expect([before, between, m.stopped, m.pulses]).toEqual([[0, 3], [0, 3], [0, 4], [SYNC_WIRE]]);
  });

  test('without a completion is CERROR_ATC_INV_SYNC at the next CMD_SYNC, once', () => {
    const m = started(SVM, [DEVICE_TLB_TIMEOUT, DEVICE_TLB_PENDING]);
    m.submit(0x18_0000_0040n, 52n);
    m.submit(0x19_0000_0040n, 52n);
    m.submit(SYNC);
    m.clock.advanceTo(9_999_999);
    const before = m.stopped;

    m.clock.advanceTo(10_000_000);
    const failed = m.stopped;
    m.write32(REG.gerrorn, 1);

    expect([before, failed, m.stopped[1], m.read32(REG.gerror)]).toEqual([[0, 2], [3, 2], 3, 1]);
  });

  test('the 33rd of one function waits for a tag', () => {
    const m = new SmmuMachine({ config: SVM, answers: new Array(40).fill(DEVICE_TLB_PENDING) });
    m.start(CMDQEN | SMMUEN, 6);
    for (let i = 0; i < 33; i++) {
      m.store(COMMANDS + i * 16, 0x18_0000_0040n);
      m.store(COMMANDS + i * 16 + 8, 52n);
    }
    m.write32(REG.cmdqProd, 33);
    const before = m.stopped;

    m.port(0x18).invalidationComplete(7);

    expect([before, m.stopped, m.invalidations.at(-1)]).toEqual([
      [0, 32],
      [0, 33],
      [0x18, -1, 0, 0, 52, 7],
    ]);
  });
});

describe('PRI_RESP', () => {
  test.each([
    ['Response Failure', 0n, 15],
    ['Invalid Request', 1n, 1],
    ['Success', 2n, 0],
  ])('%s', (_name, response, code) => {
    const m = started(SVM);

    m.submit(0x18_0000_7841n, (response << 12n) | 0x1ffn);
    m.submit(0x18_0000_7041n, (response << 12n) | 1n);

    expect(m.responses).toEqual([
      [0x18, 7, 0x1ff, code],
      [0x18, -1, 1, code],
    ]);
  });

  test('is ignored while SMMUEN is 0', () => {
    const m = new SmmuMachine({ config: SVM });
    m.start(CMDQEN);

    m.submit(0x18_0000_0041n, 0x2000n);

    expect([m.responses, m.stopped]).toEqual([[], DONE]);
  });
});

describe('invalidation: async', () => {
  test('one command every 200 ns', () => {
    const m = started({ invalidation: 'async' });
    m.queue(SYNC);
    m.submit(SYNC_IRQ);
    const seen = [m.stopped[1]];

    for (const at of [199, 200, 400]) {
      m.clock.advanceTo(at);
      seen.push(m.stopped[1]);
    }

    expect([seen, m.pulses]).toEqual([[0, 0, 1, 2], [SYNC_WIRE]]);
  });

  test('stops with CMDQEN, at the border of a command', () => {
    const m = started({ invalidation: 'async' });
    m.queue(SYNC);
    m.submit(SYNC);
    m.clock.advanceTo(200);

    m.write32(REG.cr0, SMMUEN);
    m.clock.advanceTo(10_000);

    expect(m.stopped).toEqual(DONE);
  });
});
