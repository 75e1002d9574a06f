/**
 * The Test Anything Protocol, versions 12 to 14, in a console stream: guests print other text between its lines, so what
 * is no TAP is passed over. Subtests and YAML blocks are indented and belong to the test point after or before them.
 */

export interface TapPoint {
  readonly number: number;
  readonly description: string;
}

/** What a stream said, as counts; only what needs a person's eye is kept by name. */
export interface TapResult {
  /** Number of tests planned; undefined when no plan was printed. */
  readonly planned: number | undefined;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Failures that were marked as expected, and passes marked so. */
  readonly todo: number;
  readonly failures: readonly TapPoint[];
  /** Reason of `Bail out!`, or undefined. */
  readonly bailOut: string | undefined;
  /** What makes the stream itself wrong, in words; empty when it is complete. */
  readonly problems: readonly string[];
}

const MAX_LINE = 1 << 16;
const MAX_LISTED = 100;

const VERSION = /^TAP version \d+\s*$/;
const PLAN = /^1\.\.(\d+)\s*(?:#.*)?$/;
const POINT = /^(not )?ok(?:\s+(\d+))?(?=\s|$)\s*(.*)$/;
const BAIL_OUT = /^Bail out!\s*(.*)$/i;
/** TAP 14: Directives - a hash that no backslash escapes, then the word. */
const DIRECTIVE = /(?:^|[^\\])#\s*(skip|todo)\S*(?:\s|$)/i;

export class TapParser {
  #partial = '';
  #tooLong = false;
  readonly #decoder = new TextDecoder();
  #versionSeen = false;
  #numberSeen = false;
  readonly #numbers = new Set<number>();
  #points = 0;
  #planned: number | undefined;
  #passed = 0;
  #failed = 0;
  #skipped = 0;
  #todo = 0;
  #bailOut: string | undefined;
  readonly #failures: TapPoint[] = [];
  readonly #problems: string[] = [];

  /** The next bytes of the console, cut anywhere. */
  write(bytes: Uint8Array): void {
    const lines = this.#decoder.decode(bytes, { stream: true }).split('\n');
    const last = lines.pop()!;
    for (const line of lines) {
      if (!this.#tooLong) this.#line(this.#partial + line);
      this.#partial = '';
      this.#tooLong = false;
    }
    this.#partial += last;
    if (this.#partial.length > MAX_LINE) {
      this.#partial = '';
      this.#tooLong = true;
    }
  }

  /** What the whole stream said; undefined when it was no TAP. Call once, at the end. */
  end(): TapResult | undefined {
    if (!this.#tooLong) this.#line(this.#partial + this.#decoder.decode());
    this.#partial = '';
    const isTap =
      this.#versionSeen || this.#numberSeen || this.#planned !== undefined || this.#bailOut !== undefined;
    // A bare `ok` is a word that programs print; a bare `not ok` is taken seriously.
    if (!isTap && this.#failed === 0) return undefined;
    if (this.#bailOut === undefined) this.#checkPlan();
    return {
      planned: this.#planned,
      passed: this.#passed,
      failed: this.#failed,
      skipped: this.#skipped,
      todo: this.#todo,
      failures: this.#failures,
      bailOut: this.#bailOut,
      problems: this.#problems,
    };
  }

  #line(raw: string): void {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (this.#bailOut !== undefined) return;
    const point = POINT.exec(line);
    if (point !== null) {
      this.#point(point[1] !== undefined, point[2], point[3]!);
      return;
    }
    const plan = PLAN.exec(line);
    if (plan !== null) {
      if (this.#planned !== undefined) this.#problem('two plans');
      this.#planned = Number(plan[1]);
      return;
    }
    if (VERSION.test(line)) this.#versionSeen = true;
    const bail = BAIL_OUT.exec(line);
    if (bail !== null) this.#bailOut = bail[1]!.trim();
  }

  #point(failed: boolean, digits: string | undefined, text: string): void {
    this.#points++;
    if (digits !== undefined) this.#numberSeen = true;
    const number = digits === undefined ? this.#points : Number(digits);
    if (this.#numbers.has(number)) this.#problem(`test ${number} twice`);
    this.#numbers.add(number);
    const directive = DIRECTIVE.exec(text)?.[1]?.toLowerCase();
    if (directive === 'skip') this.#skipped++;
    else if (directive === 'todo') this.#todo++;
    else if (!failed) this.#passed++;
    else {
      this.#failed++;
      if (this.#failures.length < MAX_LISTED) {
        this.#failures.push({ number, description: text.replace(/^-\s*/, '').trim() });
      }
    }
  }

  #checkPlan(): void {
    if (this.#planned === undefined) {
      if (this.#versionSeen || this.#numberSeen) this.#problem('no plan');
      return;
    }
    if (this.#points !== this.#planned) {
      this.#problem(`${this.#planned} tests planned, ${this.#points} run`);
      return;
    }
    for (const number of this.#numbers) {
      if (number < 1 || number > this.#planned) this.#problem(`test ${number} is outside of the plan`);
    }
  }

  #problem(text: string): void {
    if (this.#problems.length < MAX_LISTED) this.#problems.push(text);
  }
}

/** Exit status and TAP decide together: each can only make the verdict worse. */
export function judge(exitStatus: number, tap: TapResult | undefined): 'passed' | 'failed' {
  if (exitStatus !== 0) return 'failed';
  if (tap === undefined) return 'passed';
  const clean = tap.failed === 0 && tap.bailOut === undefined && tap.problems.length === 0;
  return clean ? 'passed' : 'failed';
}
