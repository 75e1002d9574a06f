import type { FadtDescription } from '../description.ts';
import { ByteWriter } from './bytes.ts';
import { buildTable, HEADER_LENGTH } from './header.ts';

/** ACPI 6.3: Fixed ACPI Description Table (FADT); major version in the header, minor in the body. */
const MAJOR_VERSION = 6;
const MINOR_VERSION = 3;
const FADT_LENGTH = 276;

/** ACPI 6.3: Fixed ACPI Description Table Fixed Feature Flags. */
const WBINVD = 1 << 0;
/** Set where there is no fixed-hardware button. */
const PWR_BUTTON = 1 << 4;
const SLP_BUTTON = 1 << 5;
const RESET_REG_SUP = 1 << 10;
const HW_REDUCED_ACPI = 1 << 20;

/** ACPI 6.3: ARM Architecture Boot Flags. */
const PSCI_COMPLIANT = 1 << 0;
const PSCI_USE_HVC = 1 << 1;

/** Latencies above 100 and 1000 microseconds say that there is no C2 and no C3 state. */
const NO_C2 = 101;
const NO_C3 = 1001;

const GAS_LENGTH = 12;
const GAS_BYTE_ACCESS = 1;

/**
 * The hardware-reduced model: there is no PM register block, so every PM field is zero and the FADT asks for none.
 *
 * @param dsdtAddress where the DSDT lies
 */
export function fadt(description: FadtDescription, dsdtAddress: number): Uint8Array {
  const reset = description.resetRegister;
  const body = new ByteWriter('FADT')
    .u32(0) // FIRMWARE_CTRL: hardware-reduced machines need no FACS
    // The 32-bit field repeats X_DSDT for readers that know only ACPI 1.0.
    .u32(dsdtAddress < 2 ** 32 ? dsdtAddress : 0)
    .zeros(96 - 44)
    .u16(NO_C2)
    .u16(NO_C3)
    .zeros(109 - 100)
    .u16(bootArchitecture(description))
    .u8(0)
    .u32(WBINVD | PWR_BUTTON | SLP_BUTTON | HW_REDUCED_ACPI | (reset === undefined ? 0 : RESET_REG_SUP));
  writeResetRegister(body, reset);
  body
    .u16(armBootArchitecture(description))
    .u8(MINOR_VERSION)
    .u64(0) // X_FIRMWARE_CTRL
    .u64(dsdtAddress);
  body.zeros(FADT_LENGTH - HEADER_LENGTH - body.length);
  return buildTable('FACP', MAJOR_VERSION, body.done());
}

/** RESET_REG (Generic Address Structure) and RESET_VALUE. */
function writeResetRegister(body: ByteWriter, reset: FadtDescription['resetRegister']): void {
  if (reset === undefined) {
    body.zeros(GAS_LENGTH + 1);
    return;
  }
  body
    .u8(reset.space === 'memory' ? 0 : 1)
    .u8(8)
    .u8(0)
    .u8(GAS_BYTE_ACCESS)
    .u64(reset.address)
    .u8(reset.value);
}

function armBootArchitecture({ armBoot }: FadtDescription): number {
  return (armBoot?.psci === true ? PSCI_COMPLIANT : 0) | (armBoot?.hvc === true ? PSCI_USE_HVC : 0);
}

/** ACPI 6.3: IA-PC Boot Architecture Flags. */
function bootArchitecture({ bootArchitecture: flags }: FadtDescription): number {
  return (
    (flags?.legacyDevices === true ? 1 << 0 : 0) |
    (flags?.i8042 === true ? 1 << 1 : 0) |
    (flags?.vgaAbsent === true ? 1 << 2 : 0) |
    (flags?.msiUnsupported === true ? 1 << 3 : 0) |
    (flags?.cmosRtcAbsent === true ? 1 << 5 : 0)
  );
}
