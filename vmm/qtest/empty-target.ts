/** Machine `none`: no memory, no devices; only time. */

import type { InterceptAnswer, QtestTarget } from './protocol.ts';

export class EmptyTarget implements QtestTarget {
  hi = 0;
  now = 0;
  readonly nextEvent = Number.POSITIVE_INFINITY;

  load(): number {
    this.hi = 0;
    return 0;
  }

  store(): void {}

  read(_lo: number, _hi: number, length: number): Buffer {
    return Buffer.alloc(length);
  }

  write(): void {}

  fill(): boolean {
    return true;
  }

  in(_port: number, size: 1 | 2 | 4): number {
    return 2 ** (size * 8) - 1;
  }

  out(): void {}

  advanceTo(ns: number): void {
    this.now = ns;
  }

  knows(): boolean {
    return false;
  }

  interceptIn(): InterceptAnswer {
    return 'no-pins';
  }

  interceptOut(): InterceptAnswer {
    return 'no-pins';
  }

  setIrq(): boolean {
    return false;
  }
}
