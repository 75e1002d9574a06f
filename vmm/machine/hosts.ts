import type { DeviceView } from '../bus/device.ts';
import { EXEC, READ, WRITE } from '../bus/dma.ts';
import type { DmaEndpoints, ExplainedFault } from '../bus/iommu.ts';
import { type CopyReport, copyOf, copyText, reportCopy } from '../host/model/copy.ts';
import { createHost, type Host } from '../host/model/create.ts';
import type { HostFile } from '../host/model/file.ts';
import { describeHost } from '../host/model/host.ts';
import { parseHost } from '../host/model/parse.ts';
import type { GuestRam } from '../mem/ram.ts';
import { type DeviceEndpoint, type HostFault, Passthrough } from '../passthru/passthrough.ts';
import type { HostConfig } from './config.ts';
import { HostControls } from './host-controls.ts';
import type { HostSupport, Registry } from './registry.ts';

const kindsOf = (registry: Registry) => (name: string, where: string) => registry.pci(name, where);
const PAGE = 4096;
const ACCESS = { read: READ, write: WRITE, execute: READ | EXEC, atomic: READ | WRITE, interrupt: WRITE };

/** Machines on modelled hosts. */
export const HOSTS: HostSupport = {
  check: (z, registry, json, source) =>
    parseHost(z, kindsOf(registry), json, source) as unknown as Readonly<Record<string, unknown>>,
  copy: (config, registry, devices) => copyOf(described(config, registry), devices),
  create({ config, registry, ram, iommu, viommu, clock, tracer }) {
    const kinds = kindsOf(registry);
    const description = described(config, registry);
    const { copied } = config;
    const report =
      copied === undefined || viommu === null
        ? undefined
        : reportCopy(description, copied.unit, copied.devices, viommu.options);
    const listeners: ((fault: ExplainedFault) => void)[] = [];
    const onFault = (fault: ExplainedFault) => {
      for (const listener of listeners) listener(fault);
    };
    const host = createHost(description, { kinds, ram, clock, tracer, onFault });
    const controls = new HostControls(host.functions);
    const passthrough = new Passthrough(
      {
        sys: processOf(host, ram),
        devices: [...host.functions.keys()],
        fallback: config.fallback,
        viommu: report === undefined ? undefined : { json: report, text: copyText(report) },
        pathsOf: (address) => {
          const device = host.pathOf(address);
          const group = host.functions.get(address)?.host.group.number;
          return device === undefined ? undefined : { device, group: `/dev/vfio/${group}` };
        },
        verify: config.verify === true,
        hardware: (address) => {
          const { unit } = host.functions.get(address)!.described;
          return host.units.find(({ model }) => model === unit)!.unit.iommu.translator;
        },
        onFault: (listener) => listeners.push((fault) => listener(hostFault(host, fault))),
        route: (address, to) => host.route(address, to),
        own: (address) => host.functions.get(address)!.described.own,
        caught: (address, to) => controls.set(address, to),
        rearm: (address) => controls.rearm(address),
        endpoint: (address) => endpointOf(host.endpoints, host.functions.get(address)!.described.routingId),
      },
      ram,
      iommu,
    );
    return {
      passthrough,
      running: host,
      views: passthrough.views,
      iommuViews: report === undefined ? [] : [copyView(report)],
      release: (id) => passthrough.releaseId(id),
      afterReset: () => passthrough.afterReset(),
      rebuild: () => passthrough.rebuild(),
      // Addresses and `host:`: ids of a guest's devices have no colon.
      owns: (dev) => dev.includes(':'),
    };
  },
};

const described = (config: HostConfig, registry: Registry) =>
  describeHost(config.file as unknown as HostFile, config.source, kindsOf(registry));

const copyView = (report: CopyReport): DeviceView => ({
  name: 'copied',
  doc: 'Which unit of the host it is made after, and where its registers are not as those of the unit',
  json: () => report,
  text: () => copyText(report).join('\n'),
});

/** The VMM as a process of the host: guest RAM at the addresses of the linear memory, and a piece behind it for what it passes. */
function processOf(host: Host, ram: GuestRam) {
  const { asyncifyEnd, tlbRead } = ram.layout;
  const range = (start: number, end: number) => ({
    start: BigInt(start),
    last: BigInt(end) - 1n,
    writable: true,
  });
  return host.kernel.process({
    backing: { buffer: () => ram.memory.buffer },
    ranges: [
      range(ram.base, ram.end),
      ...(ram.highSize > 0 ? [range(ram.highAt, ram.highAt + ram.highSize)] : []),
      range(Math.ceil(asyncifyEnd / PAGE) * PAGE, tlbRead),
    ],
  });
}

function hostFault(host: Host, fault: ExplainedFault): HostFault {
  const address = BigInt(fault.address);
  const found = [...host.functions.values()].find(({ described }) => described.routingId === fault.requester);
  return {
    device: found?.described.address ?? '',
    pasid: fault.pasid,
    lo: Number(address & 0xffffffffn) | 0,
    hi: Number(address >> 32n) | 0,
    access: ACCESS[fault.access],
    code: fault.code,
    what: `${fault.access} of ${fault.address} refused: ${fault.code} (${fault.name})`,
  };
}

/** What the guest's IOMMU sends to a device, under the id that the host knows it by. */
function endpointOf(endpoints: DmaEndpoints, requester: number): DeviceEndpoint {
  return {
    invalidate: (pasid, lo, hi, order, tag) => endpoints.invalidate(requester, pasid, lo, hi, order, tag),
    pageResponse: (pasid, group, code) => endpoints.pageResponse(requester, pasid, group, code),
    resume: (tag, retry) => endpoints.resume(requester, tag, retry),
  };
}
