/**
 * Where interrupts end: the local APICs. Numbers, not objects, because every device interrupt comes through here.
 * mode is the APIC delivery mode (0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT).
 */
export interface InterruptTarget {
  deliver(vector: number, mode: number, logical: boolean, destination: number, level: boolean): void;
}

/** First and last address of the message window of x86 platforms, upper half 0. */
export const MSI_WINDOW_PAGE = 0xfee;

/** True for (lo, hi) in FEE0_0000h .. FEEF_FFFFh. */
export function inMsiWindow(lo: number, hi: number): boolean {
  return hi === 0 && lo >>> 20 === MSI_WINDOW_PAGE;
}

/** Delivers a message in compatibility format (address 31:20 = FEEh, bit 4 = 0) as the Local APIC chapter decodes it. */
export function deliverCompatible(target: InterruptTarget, addressLo: number, data: number): void {
  target.deliver(
    data & 0xff,
    (data >>> 8) & 7,
    (addressLo & 4) !== 0,
    (addressLo >>> 12) & 0xff,
    (data & 0x8000) !== 0,
  );
}
