import type { GuestLayout, Unit } from './types.ts';

export interface Build {
  /** Units to compile, in link order together with `objects`. */
  readonly units: readonly Unit[];
  /** Objects known already: index in link order -> bytes. */
  readonly objects: ReadonlyMap<number, Uint8Array>;
  /** The sources' names for all objects in link order; units fill the places that `objects` leaves. */
  readonly shown: readonly string[];
  readonly freestanding: boolean;
  readonly layout: GuestLayout;
  readonly onProgress: (stage: 'compiling' | 'linking') => void;
}

/** What a tool printed, verbatim, and what it made; no bytes where it failed. */
export interface ToolOutput {
  readonly text: string;
  readonly bytes: Uint8Array | undefined;
}

export interface BuildOutput {
  /** One for each unit, in the order given. */
  readonly units: readonly ToolOutput[];
  /** Absent when a unit failed. */
  readonly link?: ToolOutput;
}

export interface Toolchain {
  /** Names the tools' exact versions: part of every cache key. */
  readonly id: string;
  /** Everything but the sources that decides an object file; part of its cache key. */
  unitFlags(unit: Unit): readonly string[];
  linkFlags(freestanding: boolean, layout: GuestLayout): readonly string[];
  build(build: Build): Promise<BuildOutput>;
}

/** Names of the objects in link order: the source's own, made unique and flat, as link errors show them. */
export function objectNames(shown: readonly string[]): string[] {
  const seen = new Set<string>();
  return shown.map((name) => {
    const base = (name.split('/').at(-1) ?? name).replace(/\.[^.]*$/, '').replace(/[^\w.-]/g, '_') || 'guest';
    let unique = `${base}.o`;
    for (let n = 2; seen.has(unique); n++) unique = `${base}-${n}.o`;
    seen.add(unique);
    return unique;
  });
}
