import { describe, expect, test } from 'vitest';
import type { DmaTranslator } from '../../../vmm/bus/dma.ts';
import { DMA_MESSAGE, DMA_OK, DMA_UR } from '../../../vmm/bus/dma.ts';
import { describeDeviceRules } from '../../kit/device-rules.ts';
import { IOAPIC, PciRig } from '../../kit/pci-rig.ts';

/** Keeps every message instead of delivering it. */
function capture(status = DMA_OK) {
  const messages: string[] = [];
  const outcome = { status };
  const translator: DmaTranslator = {
    translate: () => DMA_MESSAGE,
    message(port, lo, _hi, data) {
      messages.push(`${port.requester.toString(16)} ${lo.toString(16)} ${data.toString(16)}`);
      return outcome.status;
    },
  };
  return { pci: new PciRig(translator), messages, outcome };
}

describe('registers', () => {
  test('version 20h with 24 entries, masked at reset', () => {
    const pci = new PciRig();

    expect([pci.ioapicRead(0), pci.ioapicRead(1), pci.ioapicRead(2)]).toEqual([0, 0x00170020, 0]);
    expect([pci.ioapicRead(0x10), pci.ioapicRead(0x3e), pci.ioapicRead(0x3f)]).toEqual([0x10000, 0x10000, 0]);
    expect(pci.ioapicRead(0x40)).toBe(0);
  });

  test('writes keep what is defined', () => {
    const pci = new PciRig();

    pci.ioapicWrite(0, 0xffffffff);
    pci.ioapicWrite(1, 0xffffffff);
    pci.ioapicWrite(0x10, 0xffffffff);
    pci.ioapicWrite(0x11, 0xffffffff);

    expect([0, 1, 0x10, 0x11].map((i) => pci.ioapicRead(i))).toEqual([
      0x0f000000, 0x00170020, 0x0001afff, 0xffff0000,
    ]);
    expect(pci.mmio.read(IOAPIC, 4)).toBe(0x11);
  });
});

describe('messages', () => {
  test('compatibility format: destination in the address, vector and mode in the data', () => {
    const { pci, messages } = capture();
    pci.ioapicWrite(0x11, 0x03000000);
    pci.ioapicWrite(0x10, 0x0000_0941);

    pci.ioapic.setIrq(0, true);

    // Destination 3, logical; lowest priority; edge, asserted; requester ff:00.0.
    expect(messages).toEqual(['ff00 fee03004 4141']);
  });

  test('remappable format: handle and format bit in the address', () => {
    const { pci, messages } = capture();
    // Handle 8005h: 14:0 in bits 63:49, bit 15 in bit 11; format bit 48.
    pci.ioapicWrite(0x13, (0x0005 << 17) | (1 << 16));
    pci.ioapicWrite(0x12, 0x0000_8841);

    pci.ioapic.setIrq(1, true);

    expect(messages).toEqual(['ff00 fee000b4 c041']);
  });
});

describe('edge-triggered pins', () => {
  test('send once for each rise', () => {
    const { pci, messages } = capture();
    pci.routePin(4, 0x41, { level: false });

    pci.ioapic.setIrq(4, true);
    pci.ioapic.setIrq(4, true);
    pci.ioapic.setIrq(4, false);
    pci.ioapic.setIrq(4, true);

    expect(messages.length).toBe(2);
  });

  test('masked, forget the edge', () => {
    const { pci, messages } = capture();
    pci.routePin(4, 0x41, { level: false, masked: true });

    pci.ioapic.setIrq(4, true);
    pci.routePin(4, 0x41, { level: false });

    expect(messages).toEqual([]);
  });
});

describe('level-triggered pins', () => {
  test('set Remote IRR and send again only after an end of interrupt', () => {
    const { pci, messages } = capture();
    pci.routePin(20, 0x41);

    pci.ioapic.setIrq(20, true);
    expect([messages.length, pci.ioapicRead(0x10 + 40)]).toEqual([1, 0xc041]);
    pci.ioapic.setIrq(20, false);
    pci.ioapic.setIrq(20, true);
    expect(messages.length).toBe(1);

    pci.mmio.write(IOAPIC + 0x40, 4, 0x41, 0);
    expect(messages.length).toBe(2);
    pci.ioapic.setIrq(20, false);
    pci.mmio.write(IOAPIC + 0x40, 4, 0x41, 0);
    expect([messages.length, pci.ioapicRead(0x10 + 40)]).toEqual([2, 0x8041]);
  });

  test('an end of interrupt for another vector changes nothing', () => {
    const { pci, messages } = capture();
    pci.routePin(20, 0x41);
    pci.ioapic.setIrq(20, true);

    pci.ioapic.endOfInterrupt(0x42);

    expect([messages.length, pci.ioapicRead(0x10 + 40)]).toEqual([1, 0xc041]);
  });

  test('masked, wait and send when unmasked if still asserted', () => {
    const { pci, messages } = capture();
    pci.routePin(20, 0x41, { masked: true });

    pci.ioapic.setIrq(20, true);
    expect(messages).toEqual([]);
    pci.ioapicWrite(0x10 + 40, 0x8041);

    expect(messages.length).toBe(1);
  });

  test('a message that is refused leaves Remote IRR clear, so the next unmask tries again', () => {
    const { pci, messages, outcome } = capture(DMA_UR);
    pci.routePin(20, 0x41);
    pci.ioapic.setIrq(20, true);
    expect(pci.ioapicRead(0x10 + 40)).toBe(0x8041);

    outcome.status = DMA_OK;
    pci.ioapicWrite(0x10 + 40, 0x8041);

    expect([messages.length, pci.ioapicRead(0x10 + 40)]).toEqual([2, 0xc041]);
  });

  test('a switch to edge and back clears Remote IRR', () => {
    const { pci, messages } = capture();
    pci.routePin(20, 0x41);
    pci.ioapic.setIrq(20, true);

    pci.ioapicWrite(0x10 + 40, 0x10041);
    pci.ioapicWrite(0x10 + 40, 0x8041);

    expect(messages.length).toBe(2);
  });
});

test('through a real local APIC, a level is delivered again after each EOI until it drops', () => {
  const pci = new PciRig();
  pci.routePin(20, 0x41);
  pci.ioapic.setIrq(20, true);

  for (let i = 0; i < 3; i++) {
    expect(pci.lapic.pending()).toBe(0x41);
    pci.lapic.accept(0x41);
    expect(pci.lapic.pending()).toBe(-1);
    if (i === 2) pci.ioapic.setIrq(20, false);
    pci.lapic.eoi();
  }

  expect(pci.lapic.pending()).toBe(-1);
});

test('a pin that does not exist is ignored', () => {
  const { pci, messages } = capture();

  pci.ioapic.setIrq(24, true);

  expect([messages, pci.ioapic.s.level]).toEqual([[], 0]);
});

describeDeviceRules('IOAPIC', () => {
  const { pci, messages } = capture();
  return {
    device: pci.ioapic,
    access(rng) {
      const choice = rng.below(4);
      if (choice === 0) pci.ioapic.setIrq(rng.below(24), rng.below(2) === 0);
      else if (choice === 1) pci.ioapicWrite(rng.below(0x40), rng.next());
      else if (choice === 2) pci.ioapic.endOfInterrupt(rng.below(256));
      else return pci.ioapicRead(rng.below(0x40));
      return messages.length;
    },
  };
});
