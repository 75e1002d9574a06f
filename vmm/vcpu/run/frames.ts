/** Guest stack frames out of a JavaScript stack: V8 writes `at name (wasm://wasm/hash:wasm-function[12]:0x1a2b)`. */

/** One frame of the guest, innermost first in a list. Offsets are those of the module the guest author compiled. */
export interface GuestFrame {
  readonly function: string;
  /** `driver.c:120`, where debug information has it. */
  readonly line?: string;
  /** The user program it belongs to; the kernel's frames have none. */
  readonly program?: string;
}

/** A frame as V8 reports it: function index and byte offset in the rewritten module. */
export interface RawFrame {
  readonly name: string;
  readonly index: number;
  readonly offset: number;
  /** The module's name, where it has one. */
  readonly module?: string;
}

const FRAME =
  /at (?:(.*?) \()?wasm:\/\/wasm\/(?:([^)\s]*)-)?[0-9a-f]+:wasm-function\[(\d+)\]:0x([0-9a-f]+)\)?/;

export function rawFrames(stack: string): RawFrame[] {
  const out: RawFrame[] = [];
  for (const line of stack.split('\n')) {
    const m = FRAME.exec(line);
    if (m === null) continue;
    const index = Number(m[3]);
    const frame = { name: m[1] ?? `function ${index}`, index, offset: Number.parseInt(m[4]!, 16) };
    out.push(m[2] === undefined ? frame : { ...frame, module: m[2] });
  }
  return out;
}
