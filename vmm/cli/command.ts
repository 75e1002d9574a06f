/**
 * What a command is, as data. Parsing, --help, the man page, shell completion and docs/cli.md all read the same records.
 */

/** What a shell offers for a value. */
export type Completion = 'file' | 'directory' | readonly string[];

export interface OptionDecl {
  /** Placeholder of the value in help texts; absent for a flag. */
  readonly value?: string;
  readonly short?: string;
  readonly repeatable?: true;
  /** One or two sentences, without a full stop at the end. */
  readonly doc: string;
  /** The only values allowed. */
  readonly choices?: readonly string[];
  readonly complete?: Completion;
  /** What holds when the option is absent, for help texts. */
  readonly fallback?: string;
}

export type OptionTable = Readonly<Record<string, OptionDecl>>;

export interface OperandDecl {
  readonly name: string;
  readonly doc: string;
  readonly optional?: true;
  /** The last operand may be given any number of times. */
  readonly repeatable?: true;
  readonly choices?: readonly string[];
  readonly complete?: Completion;
}

export interface CommandDecl {
  /** One or two words: `run`, `snapshot save`. */
  readonly name: string;
  readonly summary: string;
  /** Paragraphs for the man page and the docs. */
  readonly details?: readonly string[];
  readonly operands: readonly OperandDecl[];
  readonly options: OptionTable;
  /** The command has an option syntax of its own: everything after its name goes to it as it is, in `rest`. */
  readonly raw?: true;
  /** What stands after `--`. */
  readonly rest?: { readonly name: string; readonly doc: string };
  /** Name of the published schema that its --json output follows. */
  readonly json?: string;
  readonly examples?: readonly string[];
}

type ValueOf<D extends OptionDecl> = D extends { readonly value: string }
  ? D extends { readonly repeatable: true }
    ? readonly string[]
    : string | undefined
  : boolean;

/** The parsed options of a table: flags are booleans, repeatable options lists, others a text or undefined. */
export type OptionsOf<T extends OptionTable> = { readonly [K in keyof T]: ValueOf<T[K]> };

/** A command line that has been checked against its command's record. */
export interface Invocation<T extends OptionTable = OptionTable> {
  readonly command: CommandDecl;
  readonly options: OptionsOf<T>;
  readonly operands: readonly string[];
  /** After `--`. */
  readonly rest: readonly string[];
  readonly help: boolean;
}

/** Gives an option table its narrow type. */
export function options<const T extends OptionTable>(table: T): T {
  return table;
}
