import type { AddressRange } from '../description.ts';

export type ResourceKind = 'io' | 'memory' | 'prefetchable';

export interface Bar {
  /** 0..5; a 64-bit BAR has the index of its lower half. */
  readonly index: number;
  readonly kind: ResourceKind;
  readonly is64: boolean;
  /** A power of two. */
  readonly size: number;
  /** Filled in by the assignment. */
  address: number;
}

/** What a bridge forwards; undefined is a closed window. */
export type BridgeWindows = { [K in ResourceKind]: AddressRange | undefined };

export interface BridgeInfo {
  readonly primary: number;
  readonly secondary: number;
  readonly subordinate: number;
  readonly windows: BridgeWindows;
}

export interface BootFunction {
  readonly bdf: number;
  readonly vendor: number;
  readonly device: number;
  /** Base class, subclass, programming interface. */
  readonly classCode: number;
  readonly bars: readonly Bar[];
  /** 0 none, 1..4 INTA..INTD. */
  readonly interruptPin: number;
  /** What was written to the Interrupt Line register, if anything. */
  readonly interruptLine: number | undefined;
  readonly bridge: BridgeInfo | undefined;
}

export interface BootOptions {
  readonly firstBus: number;
  readonly lastBus: number;
  /**
   * What may be handed out, tried in order. 64-bit prefetchable BARs take a prefetchable window and fall back to a memory
   * window; every other memory BAR takes a memory window below 4 GiB (a 64-bit BAR on the root bus: any memory window).
   */
  readonly windows: {
    readonly io: readonly AddressRange[];
    readonly memory: readonly AddressRange[];
    readonly prefetchable: readonly AddressRange[];
  };
  /** Interrupt Line for a pin (1..4) of a device on the root bus, after the swizzle; absent: the register is left alone. */
  readonly interruptLine?: (device: number, pin: number) => number;
  /** Which COMMAND bits are set at the end; bus mastering of endpoints is the driver's business. */
  readonly command: {
    readonly memory: boolean;
    readonly io: boolean;
    readonly bridgeMaster: boolean;
  };
}

export type BootFailure = {
  readonly bdf: number;
  /** One line: function, BAR and what is lacking. */
  readonly text: string;
} & (
  | { readonly kind: 'no-bus-number' }
  | { readonly kind: 'bad-bar'; readonly bar: number }
  | {
      readonly kind: 'no-space';
      readonly bar: number;
      readonly resource: ResourceKind;
      readonly size: number;
      /** The bridge whose window could not be placed or is not implemented, when it is not the BAR itself. */
      readonly bridge: number | undefined;
    }
);

/** On failure decoding is off everywhere and no BAR or window has been programmed. */
export type BootResult =
  | { readonly ok: true; readonly functions: readonly BootFunction[]; readonly lastBus: number }
  | { readonly ok: false; readonly failure: BootFailure };
