/** `tsvmm host show|list`, and reading a host for other commands. */

import { EXIT, type ExitCode } from '../core/errors.ts';
import { describeHost, type HostDescription } from '../host/model/host.ts';
import { isHostFile, parseHost } from '../host/model/parse.ts';
import { hostSummary, hostText } from '../host/model/summary.ts';
import type { Registry } from '../machine/registry.ts';
import type { Invocation } from './command.ts';
import type { Context } from './context.ts';
import { hostJson, parseJson } from './host-files.ts';
import { loadZod } from './machine-options.ts';
import { hostNames } from './package-files.ts';
import type { HOST_LIST, HOST_SHOW } from './table.ts';

export async function hostShow(
  { host, backend }: Context,
  { options, operands }: Invocation<typeof HOST_SHOW.options>,
): Promise<ExitCode> {
  const summary = hostSummary(await readHost(operands[0]!, (await backend()).registry()));
  host.out(options.json ? `${JSON.stringify(summary)}\n` : hostText(summary));
  return EXIT.ok;
}

export async function hostList(
  { host, backend }: Context,
  { options }: Invocation<typeof HOST_LIST.options>,
): Promise<ExitCode> {
  const registry = (await backend()).registry();
  const hosts = [];
  for (const name of hostNames()) {
    const { iommu, units, about } = hostSummary(await readHost(name, registry));
    hosts.push({ name, iommu, units: units.length, about });
  }
  if (options.json) host.out(`${JSON.stringify({ hosts })}\n`);
  else for (const { name, iommu, about } of hosts) host.out(`${name}\n    ${iommu}\n    ${about}\n`);
  return EXIT.ok;
}

/**
 * Reads a host: a file, or one that comes with tsvmm, by name.
 * @param registry whose device kinds the host may name
 * @throws TsvmmError naming the file and the place in it
 */
export async function readHost(nameOrFile: string, registry: Registry): Promise<HostDescription> {
  // People know the hosts that come with tsvmm by name.
  return hostOf(hostJson(nameOrFile), nameOrFile, registry);
}

/** A host from the text of a file, or undefined where the text is none. @throws TsvmmError */
export async function hostFrom(
  text: string,
  source: string,
  registry: Registry,
): Promise<HostDescription | undefined> {
  if (!text.trimStart().startsWith('{')) return undefined;
  const json = parseJson(text, source);
  return isHostFile(json) ? hostOf(json, source, registry) : undefined;
}

async function hostOf(json: unknown, source: string, registry: Registry): Promise<HostDescription> {
  const kinds = (name: string, where: string) => registry.pci(name, where);
  return describeHost(parseHost(await loadZod(), kinds, json, source), source, kinds);
}
