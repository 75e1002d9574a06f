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
  test('keep a PASID that the device has on the host, too: its registers name it', () => {
    const d = new NestedDsa();
    d.bind(1, PAGE_1);

    d.enqueue(command(1));

    expect(d.passthrough.forwarders.commands!.hostOf(1)).toBe(-1);
  });

  test('have another PASID on a host that has not so many, with the page table of the guest’s own', () => {
    const d = new NestedDsa({ hostPasids: 5 });
    d.bind(40, PAGE_1);
    d.passthrough.settle();

    d.enqueue(command(40));
    d.run();

    expect([d.passthrough.forwarders.commands!.hostOf(40), status(d, PAGE_1)]).toEqual([31, SUCCESS]);
  });

  test('with such a PASID write nothing when it was unbound on their way, and it goes to no other one', () => {
    const d = new NestedDsa({ hostPasids: 5 });
    d.bind(40, PAGE_1);
    d.passthrough.settle();
    d.enqueue(command(40));

    d.unbind(40);
    d.bind(41, PAGE_2);
    d.passthrough.settle();
    d.enqueue(command(41));
    d.run();

    expect(d.passthrough.forwarders.commands!.hostOf(41)).toBe(30);
    expect([status(d, PAGE_1), status(d, PAGE_2)]).toEqual([0, SUCCESS]);
  });

  test('are to be tried again when the host has no PASID left, until the device is reset', () => {
    // 4 PASIDs: 2 and 3 are for commands.
    const d = new NestedDsa({ hostPasids: 2 });
    const before = [60, 61, 62].map((pasid) => d.enqueue(command(pasid)));

    d.passthrough.dropPageRequests(d.passthrough.assignments[0]!.device);

    expect([before, d.enqueue(command(62))]).toEqual([[0, 0, 1], 0]);
  });

  test('keep the PASID of one that is bound, whoever else asks', () => {
    const d = new NestedDsa({ hostPasids: 2 });
    d.bind(60, PAGE_1);
    d.passthrough.settle();
    d.enqueue(command(60));
    d.enqueue(command(61));
    d.passthrough.dropPageRequests(d.passthrough.assignments[0]!.device);

    const later = [62, 63].map((pasid) => d.enqueue(command(pasid)));
    d.enqueue(command(60));
    d.run();

    expect([later, status(d, PAGE_1)]).toEqual([[0, 1], SUCCESS]);
  });

  test('are served by software when the guest binds a PASID that was taken on the host', () => {
    const d = new NestedDsa({ hostPasids: 5 });
    d.enqueue(command(60));
    d.bind(31, PAGE_1);
    d.passthrough.settle();
    const [assignment] = d.passthrough.assignments;

    expect(d.passthrough.pathOf(assignment!)).toBe('software');
    expect(d.passthrough.reasonsOf(assignment!).join()).toContain('PASID 31');
  });

  test('have page requests under the PASID that the guest knows', () => {
    const d = new NestedDsa({ hostPasids: 5 });
    d.bind(40, PAGE_1);
    d.enqueue({ op: FILL, flags: BLOCK, pasid: 40, dst: 0x9000, size: 8 });

    d.run();

    const requests = d.vtd.ram.u32.slice(0x40000 >>> 2, (0x40000 >>> 2) + 2);
    expect([d.requests, requests[1]! & 0xfffff]).toEqual([1, 40]);
  });
});
