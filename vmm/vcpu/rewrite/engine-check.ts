import { RewriteError } from './error.ts';

/** What the rewriter does not check itself (types above all) the engine does, on the original bytes: its offsets are true. */
export function checkByEngine(wasm: Uint8Array): void {
  const source = wasm as Uint8Array<ArrayBuffer>;
  if (WebAssembly.validate(source)) return;
  let message = 'the WebAssembly engine refuses it';
  try {
    new WebAssembly.Module(source);
  } catch (error) {
    message = String((error as Error).message).replace(/^WebAssembly\.Module\(\): /, '');
  }
  const at = /@\+(\d+)/.exec(message);
  throw new RewriteError(message.replace(/ @\+\d+$/, ''), at === null ? 0 : Number(at[1]));
}
