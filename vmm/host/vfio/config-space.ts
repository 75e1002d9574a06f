import {
  type CapabilityKind,
  lengthInVfio,
  read16,
  read32,
} from '../../../devices/vconfig/capability-table.ts';
import { dissect } from '../../../devices/vconfig/space.ts';
import { vfioView } from '../../../devices/vconfig/vfio-view.ts';
import { demand } from '../kernel/errno.ts';
import type { Process } from '../kernel/process.ts';
import {
  AF_FLR,
  type CapabilityPermissions,
  DEVCTL_FLR,
  DEVCTL_MRRS,
  HEADER_PERMISSIONS,
  PM_PME,
  PM_PME_SUPPORT,
  PM_STATE,
  permissionsOf,
} from './config-permissions.ts';
import type { PhysicalFunction } from './physical.ts';
import { readSpace } from './raw-space.ts';

const HEADER_BYTES = 0x40;
const COMMAND = 0x04;
const COMMAND_IO = 1;
export const COMMAND_MEMORY = 2;
export const COMMAND_INTX_DISABLE = 0x400;
const BAR0 = 0x10;
const ROM_BAR = 0x30;
const INTERRUPT_PIN = 0x3d;
const BARS = 6;
const EXTENDED = 0x100;
/** A byte that no capability claims: reads and writes go to the hardware as they are. */
const UNCLAIMED = -1;
const HEADER = 0;
const MSI_ENABLE = 1;
const MSI_QSIZE = 0x70;
const VPD_FLAG = 0x8000;

/** What writes to configuration space make the driver do. */
export interface ConfigEffects {
  /** The user set Initiate FLR of a device that has it. */
  reset(): void;
  /** The user's INTx Disable changed. */
  intxDisabled(disabled: boolean): void;
  /** The user asked for power state D0 to D3 (0 to 3). */
  power(state: number): void;
  /** Of MSI: whether the user enabled it by SET_IRQS, and for log2 of how many vectors. */
  msi(): { readonly enabled: boolean; readonly order: number };
}

/** A capability that the user sees, and whose bytes are whose. */
interface Claimed {
  readonly kind: CapabilityKind | undefined;
  readonly start: number;
  readonly permissions: CapabilityPermissions;
}

/**
 * Configuration space as vfio-pci shows it (Linux, drivers/vfio/pci/vfio_pci_config.c): a shadow, for each byte the capability that
 * claims it, and for each bit whether it is the shadow's and whether it can be written.
 */
export class VirtualConfig {
  readonly bytes: number;
  readonly #fn: PhysicalFunction;
  readonly #effects: ConfigEffects;
  readonly #shadow: Uint8Array;
  /** Index into `claimed` by byte, or UNCLAIMED. */
  readonly #owner: Int16Array;
  readonly #claimed: Claimed[] = [];
  readonly #virt: Uint8Array;
  readonly #write: Uint8Array;
  /** The BARs as the host placed them: a reset behind our back loses them. */
  readonly #placed: Uint32Array;
  #intxDisabled = false;

  constructor(fn: PhysicalFunction, effects: ConfigEffects) {
    this.#fn = fn;
    this.#effects = effects;
    this.bytes = fn.configBytes;
    const space = readSpace(fn);
    this.#shadow = vfioView(space);
    this.#owner = new Int16Array(this.bytes).fill(UNCLAIMED);
    this.#virt = new Uint8Array(this.bytes);
    this.#write = new Uint8Array(this.bytes);
    this.#claim({ kind: undefined, start: 0, permissions: HEADER_PERMISSIONS }, HEADER_BYTES);
    this.#claimCapabilities(space);
    this.#placed = Uint32Array.from({ length: BARS + 1 }, (_, i) =>
      read32(space, i < BARS ? BAR0 + 4 * i : ROM_BAR),
    );
    this.#patch(space);
  }

  /** Registers that differ from the start: ids and memory enable of virtual functions, PME, which no guest can handle. */
  #patch(space: Uint8Array): void {
    const { virtual } = this.#fn;
    if (virtual !== undefined) {
      this.#put16(0, virtual.vendor);
      this.#put16(2, virtual.device);
      this.#shadow[INTERRUPT_PIN] = 0;
      this.#put16(COMMAND, read16(space, COMMAND) | COMMAND_MEMORY);
    }
    const pm = this.find('standard', 'pm');
    if (pm === undefined) return;
    this.#put16(pm + 2, read16(this.#shadow, pm + 2) & ~PM_PME_SUPPORT);
    this.#put16(pm + 4, read16(this.#shadow, pm + 4) & ~PM_PME);
  }

  #claimCapabilities(space: Uint8Array): void {
    for (const { kind, offset } of dissect(space).capabilities) {
      const shown = lengthInVfio(kind, { space, at: offset });
      // The extended chain has a fixed start: the header of a first capability that is hidden stays as an anchor.
      const length = shown === 0 && offset === EXTENDED ? 4 : shown;
      if (length === 0) continue;
      const permissions = permissionsOf(kind.chain, kind.key, space, offset);
      this.#claim({ kind, start: offset, permissions }, length);
    }
  }

  /** The last to claim a byte has it. */
  #claim(one: Claimed, length: number): void {
    const end = Math.min(one.start + length, this.bytes);
    const index = this.#claimed.push(one) - 1;
    this.#owner.fill(index, one.start, end);
    this.#virt.fill(0, one.start, end);
    this.#write.fill(0, one.start, end);
    for (const { at, bytes, virt, write } of one.permissions.fields) {
      for (let i = 0; i < bytes && one.start + at + i < end; i++) {
        this.#virt[one.start + at + i] = virt >>> (8 * i);
        this.#write[one.start + at + i] = write >>> (8 * i);
      }
    }
  }

  /** Where the shown capability of this key is. */
  find(chain: 'standard' | 'extended', key: string): number | undefined {
    return this.#claimed.find(({ kind }) => kind?.chain === chain && kind.key === key)?.start;
  }

  /** The user's memory enable: a virtual function has none of its own and always decodes. */
  get memoryEnabled(): boolean {
    return this.#fn.virtual !== undefined || (read16(this.#shadow, COMMAND) & COMMAND_MEMORY) !== 0;
  }

  get intxDisabled(): boolean {
    return this.#intxDisabled;
  }

  /** Copies out. Throws EFAULT for what is outside of the space, and for bad addresses. */
  read(caller: Process, address: bigint, count: number, offset: number): number {
    this.#check(offset, count);
    for (let done = 0; done < count; ) {
      const size = this.#piece(offset + done, count - done);
      const value = this.load(offset + done, size);
      const bytes = caller.bytes(address + BigInt(done), size, true);
      for (let i = 0; i < size; i++) bytes[i] = value >>> (8 * i);
      done += size;
    }
    return count;
  }

  write(caller: Process, address: bigint, count: number, offset: number): number {
    this.#check(offset, count);
    for (let done = 0; done < count; ) {
      const size = this.#piece(offset + done, count - done);
      const bytes = caller.bytes(address + BigInt(done), size, false);
      let value = 0;
      for (let i = 0; i < size; i++) value |= (bytes[i] as number) << (8 * i);
      this.store(offset + done, size, value >>> 0);
      done += size;
    }
    return count;
  }

  #check(offset: number, count: number): void {
    const inside = offset < this.bytes && offset + count <= this.bytes;
    demand(inside, 'EFAULT', `configuration space has ${this.bytes} bytes`);
  }

  /** An aligned piece of 4, 2 or 1 bytes that belongs to one capability. */
  #piece(offset: number, count: number): number {
    const owner = this.#owner[offset];
    let same = 1;
    while ((offset + same) % 4 !== 0 && this.#owner[offset + same] === owner) same++;
    const most = Math.min(count, same);
    if (most >= 4 && offset % 4 === 0) return 4;
    return most >= 2 && offset % 2 === 0 ? 2 : 1;
  }

  /** What the user reads: a piece that belongs to one owner. */
  load(offset: number, size: number): number {
    if (this.#owner[offset] === UNCLAIMED) return this.#fn.configRead(offset, size);
    if (this.#owner[offset] === HEADER && isBar(offset)) this.#sizeBars();
    const virt = get(this.#virt, offset, size);
    const shadow = get(this.#shadow, offset, size);
    if (virt === mask(size)) return shadow;
    const value = ((this.#fn.configRead(offset, size) & ~virt) | (shadow & virt)) >>> 0;
    // A virtual function's own Memory Space Enable reads 0.
    if (offset === COMMAND && this.#fn.virtual !== undefined)
      return value | (read16(this.#shadow, COMMAND) & COMMAND_MEMORY);
    return value;
  }

  /** A write of the user's of one piece. */
  store(offset: number, size: number, value: number): void {
    const owner = this.#owner[offset] as number;
    const claimed = this.#claimed[owner];
    if (owner === UNCLAIMED || claimed === undefined || claimed.permissions.rawWrites === true) {
      this.#fn.configWrite(offset, size, value);
      return;
    }
    const at = offset - claimed.start;
    if (claimed.kind === undefined) this.#storeHeader(offset, size, value);
    else if (claimed.kind.chain === 'extended') this.#storeMasked(offset, size, value);
    else this.#storeStandard(claimed.kind.key, claimed.start, at, size, value);
  }

  #storeStandard(key: string, start: number, at: number, size: number, value: number): void {
    const mrrs = key === 'pcie' ? read16(this.#shadow, start + 8) & DEVCTL_MRRS : 0;
    this.#storeMasked(start + at, size, value);
    switch (key) {
      case 'pm':
        if (at === 4) this.#effects.power(value & PM_STATE);
        return;
      case 'vpd':
        if (at <= 3 && at + size > 3) this.#vpd(start);
        return;
      case 'msi':
        if (at <= 2 && at + size >= 2) this.#msiControl(start);
        return;
      case 'pcie':
        this.#express(start, mrrs);
        return;
      case 'af':
        this.#advanced(start);
    }
  }

  /** Writable bits: virtual ones to the shadow, the others to the hardware by read and write; the rest is dropped. */
  #storeMasked(offset: number, size: number, value: number): void {
    const write = get(this.#write, offset, size);
    if (write === 0) return;
    const virt = get(this.#virt, offset, size);
    if ((write & virt) !== 0) {
      const shadow = get(this.#shadow, offset, size);
      put(this.#shadow, offset, size, (shadow & ~(write & virt)) | (value & write & virt));
    }
    const hard = write & ~virt;
    if (hard !== 0) {
      const old = this.#fn.configRead(offset, size);
      this.#fn.configWrite(offset, size, ((old & ~hard) | (value & hard)) >>> 0);
    }
  }

  #storeHeader(offset: number, size: number, value: number): void {
    if (offset === COMMAND) this.#restoreBars(value);
    this.#storeMasked(offset, size, value);
    if (offset === COMMAND) {
      const enables = COMMAND_MEMORY | COMMAND_IO;
      this.#put16(COMMAND, (read16(this.#shadow, COMMAND) & ~enables) | (value & enables));
    }
    if (offset !== COMMAND && offset !== COMMAND + 1) return;
    const disabled = (read16(this.#shadow, COMMAND) & COMMAND_INTX_DISABLE) !== 0;
    if (disabled === this.#intxDisabled) return;
    this.#intxDisabled = disabled;
    this.#effects.intxDisabled(disabled);
  }

  /** The user enables decoding that it had enabled, and the hardware has not: the device was reset, and its BARs are gone. */
  #restoreBars(value: number): void {
    const fn = this.#fn;
    if (fn.virtual !== undefined) return;
    const lost = value & read16(this.#shadow, COMMAND) & ~fn.configRead(COMMAND, 2);
    const moved = this.#placed
      .subarray(0, BARS)
      .some((bar, i) => bar !== 0 && fn.configRead(BAR0 + 4 * i, 4) !== bar);
    if ((lost & (COMMAND_IO | COMMAND_MEMORY)) === 0 && !moved) return;
    this.#placed.forEach((bar, i) => {
      fn.configWrite(i < BARS ? BAR0 + 4 * i : ROM_BAR, 4, bar);
    });
  }

  /** The shadow of the BARs as hardware would show it: type bits, and no address bits below the size. */
  #sizeBars(): void {
    for (let i = 0; i < BARS; i++) {
      const bar = this.#fn.bars[i];
      const at = BAR0 + 4 * i;
      if (bar === undefined) {
        put(this.#shadow, at, 4, 0);
        continue;
      }
      const low = bar.size >= 2 ** 32 ? 0 : ~(bar.size - 1);
      const flags = bar.kind === 'io' ? 1 : (bar.kind === 'memory64' ? 4 : 0) | (bar.prefetchable ? 8 : 0);
      put(this.#shadow, at, 4, (get(this.#shadow, at, 4) & low) | flags);
      if (bar.kind !== 'memory64') continue;
      i++;
      const high = bar.size > 2 ** 32 ? ~(bar.size / 2 ** 32 - 1) : -1;
      put(this.#shadow, at + 4, 4, get(this.#shadow, at + 4, 4) & high);
    }
    const { rom } = this.#fn;
    const size = rom === undefined ? 0 : romBytes(rom);
    put(this.#shadow, ROM_BAR, 4, size === 0 ? 0 : get(this.#shadow, ROM_BAR, 4) & (~(size - 1) | 1));
  }

  /** A write that ends with the flag starts the access; the flag turned says that it is done. */
  #vpd(start: number): void {
    const address = read16(this.#shadow, start + 2);
    const { vpd } = this.#fn;
    if ((address & VPD_FLAG) !== 0) {
      if (vpd?.write(address & ~VPD_FLAG, read32(this.#shadow, start + 4)) !== true) return;
    } else {
      const data = vpd?.read(address);
      if (data === undefined) return;
      put(this.#shadow, start + 4, 4, data);
    }
    this.#put16(start + 2, address ^ VPD_FLAG);
  }

  /** Enable and size take effect only within what SET_IRQS set up. */
  #msiControl(start: number): void {
    const { enabled, order } = this.#effects.msi();
    let control = read16(this.#shadow, start + 2);
    if (!enabled) control &= ~MSI_ENABLE;
    if ((control & MSI_QSIZE) >> 4 > order) control = (control & ~MSI_QSIZE) | (order << 4);
    this.#put16(start + 2, control);
    this.#fn.configWrite(start + 2, 2, control);
  }

  #express(start: number, mrrsBefore: number): void {
    const control = read16(this.#shadow, start + 8);
    if ((control & DEVCTL_FLR) !== 0) {
      this.#put16(start + 8, control & ~DEVCTL_FLR);
      if ((this.#fn.configRead(start + 4, 4) & (1 << 28)) !== 0) this.#effects.reset();
    }
    const mrrs = control & DEVCTL_MRRS;
    if (mrrs === mrrsBefore) return;
    // Reads are no smaller than writes: the user does not see what else is on the way.
    const hard = this.#fn.configRead(start + 8, 2);
    const order = Math.max(mrrs >> 12, (hard >> 5) & 7);
    this.#fn.configWrite(start + 8, 2, (hard & ~(DEVCTL_MRRS | DEVCTL_FLR)) | (order << 12));
  }

  #advanced(start: number): void {
    const control = this.#shadow[start + 4] as number;
    if ((control & AF_FLR) === 0) return;
    this.#shadow[start + 4] = control & ~AF_FLR;
    // AF Capabilities: FLR and transactions pending.
    if ((this.#fn.configRead(start + 3, 1) & 3) === 3) this.#effects.reset();
  }

  #put16(offset: number, value: number): void {
    put(this.#shadow, offset, 2, value);
  }
}

/** The ROM BAR's size: the contents, up to a power of two of at least 2 KiB. */
export function romBytes(rom: Uint8Array): number {
  return rom.length === 0 ? 0 : Math.max(0x800, 2 ** Math.ceil(Math.log2(rom.length)));
}

const isBar = (offset: number): boolean =>
  (offset >= BAR0 && offset < BAR0 + 4 * BARS) || (offset >= ROM_BAR && offset < ROM_BAR + 4);

const mask = (size: number): number => (size === 4 ? 0xffff_ffff : 2 ** (8 * size) - 1);

function get(bytes: Uint8Array, offset: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value |= (bytes[offset + i] as number) << (8 * i);
  return value >>> 0;
}

function put(bytes: Uint8Array, offset: number, size: number, value: number): void {
  for (let i = 0; i < size; i++) bytes[offset + i] = value >>> (8 * i);
}
