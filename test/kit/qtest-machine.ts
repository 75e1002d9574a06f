/** A machine behind the qtest protocol, in this process: lines in, replies out, no sockets. */

import { builtinRegistry } from '../../vmm/machine/builtin.ts';
import { Machine } from '../../vmm/machine/machine.ts';
import { parseQemuArguments } from '../../vmm/qtest/args.ts';
import { MachineTarget } from '../../vmm/qtest/machine-target.ts';
import { QtestProtocol } from '../../vmm/qtest/protocol.ts';
import { withUncountedMemory } from './uncounted-memory.ts';

const LETTER = { 1: 'b', 2: 'w', 4: 'l', 8: 'q' } as const;
type Size = keyof typeof LETTER;
/** Bytes of one read or write line. */
const PIECE = 0x8000;

export class QtestMachine {
  readonly machine: Machine;
  /** IRQ lines, as they came. */
  readonly irqs: string[] = [];
  readonly #protocol: QtestProtocol;

  constructor(...args: readonly string[]) {
    const registry = builtinRegistry();
    const request = parseQemuArguments([...args, '-qtest', 'unix:/nowhere', '-accel', 'qtest'], registry);
    this.machine = withUncountedMemory(() => new Machine(request.machine!, registry));
    const target = new MachineTarget(this.machine, (pin, raised) =>
      this.irqs.push(`IRQ ${raised ? 'raise' : 'lower'} ${pin}`),
    );
    this.#protocol = new QtestProtocol(target);
  }

  reply(line: string): string | undefined {
    return this.#protocol.reply(line);
  }

  /** What stands after OK. @throws Error for any other reply */
  command(line: string): string {
    const reply = this.reply(line);
    if (reply?.startsWith('OK') !== true) throw new Error(`${line.slice(0, 80)}: ${reply}`);
    return reply.slice(3);
  }

  read(address: bigint, size: Size): bigint {
    return BigInt(this.command(`read${LETTER[size]} 0x${address.toString(16)}`));
  }

  write(address: bigint, size: Size, value: bigint): void {
    this.command(`write${LETTER[size]} 0x${address.toString(16)} 0x${value.toString(16)}`);
  }

  bytes(address: bigint, length: number): Buffer {
    const pieces: Buffer[] = [];
    for (let at = 0; at < length; at += PIECE) {
      const line = `read 0x${(address + BigInt(at)).toString(16)} ${Math.min(PIECE, length - at)}`;
      pieces.push(Buffer.from(this.command(line).slice(2), 'hex'));
    }
    return Buffer.concat(pieces);
  }

  store(address: bigint, data: Buffer): void {
    for (let at = 0; at < data.length; at += PIECE) {
      const piece = data.subarray(at, at + PIECE);
      const start = `write 0x${(address + BigInt(at)).toString(16)} ${piece.length}`;
      this.command(`${start} 0x${piece.toString('hex')}`);
    }
  }

  /** PCI configuration space through ports 0xCF8 and 0xCFC. */
  configRead(requester: number, register: number): bigint {
    this.command(`outl 0xcf8 0x${(0x80000000 + requester * 256 + register).toString(16)}`);
    return BigInt(this.command('inl 0xcfc'));
  }

  configWrite(requester: number, register: number, size: 2 | 4, value: number): void {
    this.command(`outl 0xcf8 0x${(0x80000000 + requester * 256 + register).toString(16)}`);
    this.command(`out${LETTER[size]} 0xcfc 0x${value.toString(16)}`);
  }

  /** Bus 1 behind the root port at `requester`, with a memory window. */
  openBridge(requester: number, base: number, bytes: number): void {
    this.configWrite(requester, 0x18, 4, 0x10100);
    this.configWrite(requester, 0x20, 4, (((base + bytes - 1) & 0xfff00000) | (base >>> 16)) >>> 0);
    this.configWrite(requester, 4, 2, 6);
  }
}

const BUFFER = 0x40000n;
const TO_DEVICE = 1n;
const FROM_DEVICE = 3n;

/** An `edu` device: moves bytes between memory and its buffer. */
export class EduDriver {
  /** Next free byte of its buffer. */
  slot = 0;
  readonly #q: QtestMachine;
  readonly #bar: bigint;

  constructor(q: QtestMachine, requester: number, bar: number) {
    this.#q = q;
    this.#bar = BigInt(bar);
    q.configWrite(requester, 0x10, 4, bar);
    q.configWrite(requester, 4, 2, 6);
  }

  #dma(source: bigint, destination: bigint, length: number, command: bigint): void {
    const registers = [
      [0x80n, source],
      [0x88n, destination],
      [0x90n, BigInt(length)],
      [0x98n, command],
    ] as const;
    for (const [offset, value] of registers) this.#q.write(this.#bar + offset, 8, value);
    this.#q.command('clock_step 300000000');
  }

  load(address: bigint, at: number, length: number): void {
    this.#dma(address, BUFFER + BigInt(at), length, TO_DEVICE);
  }

  store(at: number, address: bigint, length: number): void {
    this.#dma(BUFFER + BigInt(at), address, length, FROM_DEVICE);
  }
}
