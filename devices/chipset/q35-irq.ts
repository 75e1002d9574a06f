/** GSIs of PIRQE..PIRQH: where INTx of the root bus ends on q35. */
const FIRST_GSI = 20;

/**
 * INTx of the root bus to GSI as QEMU's q35 wires slots 0 to 24: rotated over PIRQE to PIRQH. One rule for all slots here,
 * since no chipset function with routing registers of its own sits in the others.
 */
export function q35GsiOf(device: number, pin: number): number {
  return FIRST_GSI + ((device + pin - 1) & 3);
}
