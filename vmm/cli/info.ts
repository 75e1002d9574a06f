/** `tsvmm info TOPIC`. */

import { ABI_EXPORTS, ABI_IMPORTS } from '../../guest/abi/imports.ts';
import type { DeviceView } from '../bus/device.ts';
import { EXIT, type ExitCode, TsvmmError } from '../core/errors.ts';
import { configToJson } from '../machine/config.ts';
import type { Registry } from '../machine/registry.ts';
import type { Invocation } from './command.ts';
import type { Context } from './context.ts';
import { columns, kindHelp } from './kind-help.ts';
import { machineFrom } from './machine-options.ts';
import { loadPlugins } from './plugins.ts';
import { type INFO_OPTIONS, INFO_TOPICS } from './table.ts';

type Topic = keyof typeof INFO_TOPICS;

export async function info(context: Context, invocation: Invocation<typeof INFO_OPTIONS>): Promise<ExitCode> {
  const topic = invocation.operands[0] as Topic;
  const { options } = invocation;
  const { host } = context;
  if (options.lspci && topic !== 'pci') {
    throw new TsvmmError({
      code: 'bad-value',
      object: '--lspci',
      why: `'${topic}' has no such form`,
      mend: 'write tsvmm info pci --lspci',
    });
  }
  const views = await viewsOf(context, topic, invocation);
  if (options.json) {
    const shown = views.map((v) => ({ name: v.name, doc: v.doc, data: v.json() }));
    host.out(`${JSON.stringify({ topic, views: shown })}\n`);
    return EXIT.ok;
  }
  host.out(views.map((v) => `${v.text().trimEnd()}\n`).join(''));
  return EXIT.ok;
}

async function viewsOf(
  context: Context,
  topic: Topic,
  { options }: Invocation<typeof INFO_OPTIONS>,
): Promise<readonly DeviceView[]> {
  if (topic === 'abi') return [abiView()];
  const backend = await context.backend();
  const registry = backend.registry();
  await loadPlugins(options.plugin, registry, context.host.cwd);
  if (topic === 'devices') return [await devicesView(registry)];
  const config = await machineFrom(options, registry, undefined);
  if (topic === 'config') {
    const json = configToJson(config);
    return [
      {
        name: 'config',
        doc: INFO_TOPICS.config,
        json: () => json,
        text: () => JSON.stringify(json, null, 2),
      },
    ];
  }
  const name = options.lspci ? 'lspci' : topic;
  return backend.views(config, registry).filter((view) => view.name === name);
}

function abiView(): DeviceView {
  const functions: readonly (readonly [string, string])[] = [
    ...Object.entries(ABI_IMPORTS).map(([name, decl]) => [`import ${name}`, decl.doc] as const),
    ...Object.entries(ABI_EXPORTS).map(([name, doc]) => [`export ${name}`, doc] as const),
  ];
  return {
    name: 'abi',
    doc: INFO_TOPICS.abi,
    json: () => ({ imports: ABI_IMPORTS, exports: ABI_EXPORTS }),
    text: () => columns(functions),
  };
}

async function devicesView(registry: Registry): Promise<DeviceView> {
  const devices = await kindHelp('--device', ['help'], registry);
  const iommus = await kindHelp('--viommu', ['help'], registry);
  const row = ({ name, summary, defaults }: { name: string; summary: string; defaults: unknown }) => ({
    name,
    summary,
    defaults,
  });
  return {
    name: 'devices',
    doc: INFO_TOPICS.devices,
    json: () => ({ devices: registry.pciKinds.map(row), iommus: registry.iommuKinds.map(row) }),
    text: () => `devices:\n${devices}IOMMUs:\n${iommus}`,
  };
}
