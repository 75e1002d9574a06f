import { hiddenLayout } from '../../vmm/mem/layout.ts';
import { RewriteError, type RewriteOptions, rewrite } from '../../vmm/vcpu/rewrite/index.ts';
import { WasmBuilder } from './wasm-builder.ts';
import { TestDevice, TrapWorld } from './wasm-trap-world.ts';

export type Guest = Record<string, (...args: (number | bigint)[]) => unknown>;

export const layout = hiddenLayout(0, 0x100000);
export const DEVICE = 0xfed90000;
export const I32_LOAD = [0x28];
export const I32_STORE = [0x36];

export function guestWithMemory(): WasmBuilder {
  const builder = new WasmBuilder();
  return builder;
}

export function boot(
  wasm: Uint8Array,
  options: Partial<RewriteOptions> = {},
  imports: WebAssembly.Imports = {},
): { guest: Guest; world: TrapWorld; result: ReturnType<typeof rewrite>; exports: WebAssembly.Exports } {
  const world = new TrapWorld(options.layout ?? layout, new TestDevice(DEVICE, 0x1000));
  const result = rewrite(wasm, { layout, fuel: 'off', ...options });
  const exports = world.instantiate(result, imports);
  return { guest: exports as unknown as Guest, world, result, exports };
}

export function refusal(wasm: Uint8Array, options: Partial<RewriteOptions> = {}): string {
  try {
    rewrite(wasm, { layout, fuel: 'off', ...options });
  } catch (error) {
    if (error instanceof RewriteError) return error.message;
    throw error;
  }
  return 'accepted';
}

export const END = 0x0b;
