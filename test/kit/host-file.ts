import * as z from 'zod';
import type { HostFile } from '../../vmm/host/model/file.ts';
import { describeHost, type HostDescription } from '../../vmm/host/model/host.ts';
import { parseHost } from '../../vmm/host/model/parse.ts';
import { builtinRegistry } from '../../vmm/machine/builtin.ts';

const registry = builtinRegistry();
export const hostKinds = (name: string, source: string) => registry.pci(name, source);

type Json = Record<string, unknown>;

/** A unit with everything that shared virtual memory uses. */
export const VTD_UNIT: Json = {
  id: 'dmar0',
  kind: 'vtd',
  about: 'test',
  base: '0xfed90000',
  registers: { VER: '0x60', CAP: '0x9ed008c40780466', ECAP: '0x3ef9ea6f050df' },
  devices: 'rest',
};

export const SMMU_UNIT: Json = {
  id: 'smmu0',
  kind: 'smmuv3',
  about: 'test',
  base: '0x9050000',
  registers: {
    IDR0: '0x80ff6bf',
    IDR1: '0xe739d20',
    IDR3: '0x1714',
    IDR5: '0xffff0475',
    IIDR: '0x4871043b',
    AIDR: '0x2',
  },
  devices: 'rest',
  lacks: ['IDR0.TTF', 'IDR0.TTENDIAN', 'IDR0.TERM_MODEL', 'IDR5.VAX'],
};

export const ACS_ON = ['SV', 'RR', 'CR', 'UF'];
export const ROOT_PORT: Json = { address: '0000:00:01.0', type: 'root-port', acs: ACS_ON };
export const ENGINE: Json = {
  address: '0000:01:00.0',
  type: 'endpoint',
  under: '0000:00:01.0',
  model: { kind: 'svm-engine' },
};

/** A host file as somebody writes it. */
export function hostJson(
  functions: readonly Json[] = [ROOT_PORT, ENGINE],
  units: readonly Json[] = [VTD_UNIT],
): Json {
  return { format: 'tsvmm-host', version: 1, name: 'test-host', about: 'a test', units, functions };
}

function parseHostJson(json: unknown): HostFile {
  return parseHost(z, hostKinds, json, 'test.json');
}

export function hostOf(json: unknown): HostDescription {
  return describeHost(parseHostJson(json), 'test.json', hostKinds);
}
