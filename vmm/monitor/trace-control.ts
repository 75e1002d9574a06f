import { globToRegExp, recordText, type TraceRecord, type Tracer } from '../trace/tracer.ts';

/** Trace events as the monitor switches them: what is on is printed where the monitor's user wants it. */
export class TraceControl {
  readonly #enabled = new Set<string>();
  readonly #print: (line: string) => void;
  #tracer: Tracer;
  #stop: () => void;

  constructor(tracer: Tracer, print: (line: string) => void) {
    this.#tracer = tracer;
    this.#print = print;
    this.#stop = () => {};
  }

  /** The machine was replaced. */
  follow(tracer: Tracer): void {
    this.#tracer = tracer;
    this.#refresh();
  }

  /** Events whose names match, in order. */
  matching(glob: string): readonly string[] {
    const pattern = globToRegExp(glob);
    const names = this.#tracer.declared().map((event) => event.name);
    return names.filter((name) => pattern.test(name)).sort();
  }

  isEnabled(name: string): boolean {
    return this.#enabled.has(name);
  }

  set(names: readonly string[], on: boolean): void {
    for (const name of names) {
      if (on) this.#enabled.add(name);
      else this.#enabled.delete(name);
    }
    this.#refresh();
  }

  #refresh(): void {
    this.#stop();
    this.#stop =
      this.#enabled.size === 0
        ? () => {}
        : this.#tracer.watch(
            (name) => this.#enabled.has(name),
            (record: TraceRecord) => this.#print(recordText(record)),
          );
  }
}
