import type { AccessRecord } from './access-record.ts';

/** What a walk has read: the descriptors from level `first` on to `level`, the last one only where it was `opened`. */
export interface WalkReads {
  readonly first: number;
  readonly level: number;
  readonly opened: boolean;
  readonly address: Uint32Array;
  readonly addressHi: Uint32Array;
}

/** Who is told which structures the procedure read from memory. */
export interface ReadSink {
  /** True while the unit itself stores into a table: access flags and dirty state are no news to it. */
  updating: boolean;
  /** The level 1 descriptor, and the STE if it came to that. */
  sawStream(sid: number, record: AccessRecord): void;
  sawContext(sid: number, record: AccessRecord): void;
  /** @param indirect pointers are inputs of the other stage */
  sawWalk(walk: WalkReads, stage: 1 | 2, granule: number, indirect: boolean): void;
}

/** Which structures a command announces changes of. */
export const ANNOUNCES_STREAM = 0;
/** 2^`range` + 1 streams, aligned. */
export const ANNOUNCES_STREAMS = 1;
export const ANNOUNCES_ALL = 2;
export const ANNOUNCES_CONTEXT = 3;
export const ANNOUNCES_CONTEXTS = 4;

/** Told of every command that invalidates: the 'announced' half of a change. */
export interface Announcements {
  /** Something was stored that no command has announced. */
  readonly on: boolean;
  /**
   * CFGI commands: `name` in traces, one of the scopes above.
   * @param x SubstreamID, or Range
   * @param leaf level 1 descriptors are not announced
   */
  announced(name: string, scope: number, sid: number, x: number, leaf: boolean): void;
  /** TLBI commands; `all`: of every address. */
  announcedTranslations(name: string, all: boolean): void;
}
