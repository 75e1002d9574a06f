import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { completeOptions } from '../../vmm/bus/iommu.ts';
import { builtinRegistry } from '../../vmm/machine/builtin.ts';
import { defaultConfig, type MachineConfig } from '../../vmm/machine/config.ts';
import { prepareGuest } from '../../vmm/machine/guest-module.ts';
import type { Machine } from '../../vmm/machine/machine.ts';
import { addressMapOf } from '../../vmm/machine/platforms/platforms.ts';
import { growLimitOf } from '../../vmm/machine/ram-plan.ts';
import type { Plugin } from '../../vmm/machine/registry.ts';
import { type RunResult, runGuest } from '../../vmm/machine/run-guest.ts';
import { hiddenLayout } from '../../vmm/mem/layout.ts';
import { openCache } from '../../vmm/vcpu/cache/disk-cache.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface RunC {
  /** Changes to the default machine. */
  readonly config?: Partial<MachineConfig>;
  /** Options of the vIOMMU other than the defaults. */
  readonly viommu?: Readonly<Record<string, unknown>>;
  /** Kinds and options of the devices, in the order of their slots. */
  readonly devices?: readonly (readonly [kind: string, options?: Readonly<Record<string, unknown>>])[];
  readonly plugin?: Plugin;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly files?: ReadonlyMap<string, Uint8Array>;
  readonly fuelLimit?: number;
  readonly prepare?: (machine: Machine) => void;
}

export interface RanC extends RunResult {
  readonly console: string;
  /** Lines of TAP points, `ok 3 - name`. */
  readonly points: readonly string[];
  readonly failed: readonly string[];
}

/** Compiles a C guest (once: the result is cached on disk) and runs it in this process. */
export async function runC(file: string, options: RunC = {}): Promise<RanC> {
  const registry = builtinRegistry();
  if (options.plugin !== undefined) registry.add(options.plugin);
  const base = defaultConfig(registry, options.config?.machine);
  const config: MachineConfig = {
    ...base,
    memory: 64 << 20,
    viommu:
      base.viommu === null
        ? null
        : {
            kind: base.viommu.kind,
            options: completeOptions(registry.iommu(base.viommu.kind), { ...options.viommu }),
          },
    ...(options.devices === undefined
      ? {}
      : {
          devices: options.devices.map(([kind, change], i) => ({
            kind,
            id: `${kind}-${i}`,
            options: { ...(registry.pci(kind).defaults as object), ...change },
          })),
        }),
    ...options.config,
  };
  const map = addressMapOf(config.machine);
  let diagnostics = '';
  const guest = await prepareGuest(
    {
      file: join(root, file),
      sdkDir: join(root, 'guest/sdk'),
      onDiagnostics: (text) => {
        diagnostics += text;
      },
    },
    hiddenLayout(map.ramBase, config.memory),
    growLimitOf(map, config.memory),
    openCache(),
  );
  if (diagnostics !== '') throw new Error(diagnostics);
  const chunks: Uint8Array[] = [];
  const keep = (bytes: Uint8Array) => void chunks.push(bytes.slice());
  const result = await runGuest(config, registry, guest, {
    args: [file, ...(options.args ?? [])],
    env: options.env ?? {},
    stdout: keep,
    stderr: keep,
    fuelLimit: options.fuelLimit ?? 20_000_000_000,
    ...(options.files === undefined ? {} : { files: options.files }),
    ...(options.prepare === undefined ? {} : { prepare: options.prepare }),
  });
  const text = Buffer.concat(chunks).toString('utf8');
  const lines = text.split('\n');
  return {
    ...result,
    console: text,
    points: lines.filter((line) => /^(not )?ok \d/.test(line)),
    failed: lines.filter((line) => /^(not ok|Bail out)/.test(line)),
  };
}
