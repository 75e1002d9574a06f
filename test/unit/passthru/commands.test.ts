import { describe, expect, test } from 'vitest';
import { BLOCK, CR, FILL, NOOP } from '../../kit/dsa-rig.ts';
import { NestedDsa, type NestedDsaOptions } from '../../kit/nested-dsa.ts';

const PAGE_1 = 0x40_0000;
const PAGE_2 = 0x40_1000;
const command = (pasid: number) => ({ op: NOOP, pasid });
const SUCCESS = 1;

/** The status byte of the completion record that a page holds at the place of CR. */
const status = (d: NestedDsa, page: number) => d.vtd.ram.u8[page + (CR & 0xfff)]!;

describe.each<[string, NestedDsaOptions]>([
  ['emulated', { host: false }],
  ['nested', {}],
  ['by software', { mode: 'software' }],
])('commands of an accelerator, %s', (_, options) => {
  test('are done in the address space of the PASID that they name', () => {
    const d = new NestedDsa(options);
    d.bind(1, PAGE_1);
    d.bind(2, PAGE_2);

    expect(d.enqueue(command(2))).toBe(0);
    d.run();

    expect([status(d, PAGE_1), status(d, PAGE_2)]).toEqual([0, SUCCESS]);
  });

  test('are done where the PASID is bound only after they were sent', () => {
    const d = new NestedDsa(options);
    d.enqueue(command(1));
    d.bind(1, PAGE_1);
    d.passthrough.settle();

    d.run();

    expect(status(d, PAGE_1)).toBe(SUCCESS);
  });

  test('of a PASID that was unbound while they were on their way write nothing', () => {
    const d = new NestedDsa(options);
    d.bind(1, PAGE_1);
    d.enqueue(command(1));

    d.unbind(1);
    d.run();

    expect(status(d, PAGE_1)).toBe(0);
  });

  test('of a PASID that is another’s by then write there, as those with the PASID would', () => {
    const d = new NestedDsa(options);
    d.bind(1, PAGE_1);
    d.enqueue(command(1));
    d.run();
    d.enqueue(command(1));

    d.unbind(1);
    d.bind(1, PAGE_2);
    d.flushDevice(1);
    d.passthrough.settle();
    d.run();

    expect(status(d, PAGE_2)).toBe(SUCCESS);
  });
});

describe('commands of an assigned accelerator', () => {
  test('reach it with a PASID of the host, which is attached like the guest’s own', () => {
    const d = new NestedDsa();
    d.bind(1, PAGE_1);
    d.enqueue(command(1));

    const [device] = d.passthrough.assignments;
    const { commands } = d.passthrough.forwarders;

    // The highest 65536 of 2^20.
    expect(commands!.hostOf(1)).toBe(0xf0000);
    expect(d.passthrough.attachments(device!.device).map(([pasid]) => pasid)).toContain(1);
  });

  test('are to be tried again when the host has no PASID left, until the device is reset', () => {
    // 4 PASIDs: 2 and 3 are for commands.
    const d = new NestedDsa({ hostPasids: 2 });
    const before = [1, 60, 61].map((pasid) => d.enqueue(command(pasid)));

    d.passthrough.dropPageRequests(d.passthrough.assignments[0]!.device);

    expect([before, d.enqueue(command(61)), d.enqueue(command(1))]).toEqual([[0, 0, 1], 0, 0]);
  });

  test('keep the PASID of one that is bound, whoever else asks', () => {
    const d = new NestedDsa({ hostPasids: 2 });
    d.bind(1, PAGE_1);
    d.passthrough.settle();
    d.enqueue(command(1));
    d.enqueue(command(60));
    d.passthrough.dropPageRequests(d.passthrough.assignments[0]!.device);

    const later = [61, 62].map((pasid) => d.enqueue(command(pasid)));
    d.enqueue(command(1));
    d.run();

    expect([later, status(d, PAGE_1)]).toEqual([[0, 1], SUCCESS]);
  });

  test('are served by software when the guest binds a PASID that they have on the host', () => {
    const d = new NestedDsa({ hostPasids: 6 });
    d.bind(40, PAGE_1);
    d.passthrough.settle();
    const [assignment] = d.passthrough.assignments;

    d.enqueue(command(40));
    d.run();

    expect([d.passthrough.pathOf(assignment!), status(d, PAGE_1)]).toEqual(['software', SUCCESS]);
    expect(d.passthrough.reasonsOf(assignment!).join()).toContain('PASID 40');
  });

  test('have page requests and faults under the PASID that the guest knows', () => {
    const d = new NestedDsa();
    d.bind(1, PAGE_1);
    d.enqueue({ op: FILL, flags: BLOCK, pasid: 1, dst: 0x9000, size: 8 });

    d.run();

    const requests = d.vtd.ram.u32.slice(0x40000 >>> 2, (0x40000 >>> 2) + 2);
    expect([d.requests, requests[1]! & 0xfffff]).toEqual([1, 1]);
  });
});
