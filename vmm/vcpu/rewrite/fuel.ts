import { constant, op1 } from './helpers.ts';
import { I64, OP } from './opcodes.ts';
import type { Writer } from './writer.ts';

/**
 * Instruction counting.
 *
 * Straight-line code only adds to `pending`, at rewrite time; one subtraction is emitted where control may leave or join.
 * The counter lives in a local and is spilled to the global around calls and slow paths; those see the exact count because
 * the spilled value has `pending` taken off, at no cost to the fast path. In functions with exception handlers the counter
 * stays in the global throughout: a catch clause could not tell how old its local is.
 */
export class Fuel {
  on = false;
  /** The counter's local, or -1 when the global itself is used. */
  local = -1;
  /** Instructions executed on this path but not yet subtracted. */
  pending = 0;
  private global = -1;
  private safepoint = -1;

  configure(global: number, safepoint: number): void {
    this.on = global >= 0;
    this.global = global;
    this.safepoint = safepoint;
  }

  /** fuel -= pending. */
  flush(out: Writer): void {
    if (this.pending === 0 || !this.on) return;
    this.push(out);
    this.less(out, this.pending);
    this.pop(out);
    this.pending = 0;
  }

  /** Makes the global exact before control leaves for good (return, throw, tail call). */
  leave(out: Writer): void {
    if (!this.on) return;
    if (this.local < 0) {
      this.flush(out);
      return;
    }
    this.push(out);
    this.less(out, this.pending);
    op1(out, OP.global_set, this.global);
    this.pending = 0;
  }

  reload(out: Writer): void {
    if (!this.on || this.local < 0) return;
    op1(out, OP.global_get, this.global);
    op1(out, OP.local_set, this.local);
  }

  /** Around a slow path inside straight-line code: the pending count is shown to the host and taken back. */
  beforeSlow(out: Writer): void {
    if (!this.on) return;
    this.push(out);
    this.less(out, this.pending);
    op1(out, OP.global_set, this.global);
  }

  afterSlow(out: Writer): void {
    if (!this.on) return;
    op1(out, OP.global_get, this.global);
    this.less(out, -this.pending);
    this.pop(out);
  }

  /** The sign test; leaves the condition of an `if` on the stack. */
  test(out: Writer): void {
    this.push(out);
    constant(out, 0, I64);
    out.u8(OP.i64_lt_s);
  }

  /** What the `if` of test() does. */
  askHost(out: Writer): void {
    if (this.local >= 0) {
      this.push(out);
      op1(out, OP.global_set, this.global);
    }
    op1(out, OP.call, this.safepoint);
    this.reload(out);
  }

  private push(out: Writer): void {
    if (this.local < 0) op1(out, OP.global_get, this.global);
    else op1(out, OP.local_get, this.local);
  }

  private pop(out: Writer): void {
    if (this.local < 0) op1(out, OP.global_set, this.global);
    else op1(out, OP.local_set, this.local);
  }

  private less(out: Writer, count: number): void {
    if (count === 0) return;
    constant(out, count, I64);
    out.u8(OP.i64_sub);
  }
}
