import { EXEC, READ, WRITE } from '../bus/dma.ts';
import type { ExplainedFault } from '../bus/iommu.ts';
import type { HostFile } from '../host/model/file.ts';
import { describeHost } from '../host/model/host.ts';
import { parseHost } from '../host/model/parse.ts';
import { RunningHost } from '../host/model/running-host.ts';
import { type HostFault, Passthrough } from '../passthru/passthrough.ts';
import type { HostSupport, Registry } from './registry.ts';

const kindsOf = (registry: Registry) => (name: string, where: string) => registry.pci(name, where);

const ACCESS = { read: READ, write: WRITE, execute: READ | EXEC, atomic: READ | WRITE, interrupt: WRITE };

function hostFault(running: RunningHost, fault: ExplainedFault): HostFault {
  const address = BigInt(fault.address);
  return {
    device: running.addressOf(fault.requester) ?? '',
    pasid: fault.pasid,
    lo: Number(address & 0xffffffffn) | 0,
    hi: Number(address >> 32n) | 0,
    access: ACCESS[fault.access],
    what: `${fault.access} of ${fault.address} refused: ${fault.code} (${fault.name})`,
  };
}

/** Machines on modelled hosts. */
export const HOSTS: HostSupport = {
  check: (z, registry, json, source) =>
    parseHost(z, kindsOf(registry), json, source) as unknown as Readonly<Record<string, unknown>>,
  create({ config, registry, ram, iommu, clock, tracer }) {
    const kinds = kindsOf(registry);
    const description = describeHost(config.file as unknown as HostFile, config.source, kinds);
    const running = new RunningHost(description, { ram, clock, tracer, kinds });
    const passthrough = new Passthrough(
      {
        sys: running.sys,
        devices: running.devices,
        fallback: config.fallback,
        pathOf: (address) => running.pathOf(address),
        onFault: (listener) => running.faultListeners.push((fault) => listener(hostFault(running, fault))),
        route: (address, to) => running.route(address, to),
        endpoint: (address) => {
          const { endpoints } = running;
          const requester = running.requesterOf(address);
          return {
            invalidate: (...args) => endpoints.invalidate(requester, ...args),
            pageResponse: (...args) => endpoints.pageResponse(requester, ...args),
            resume: (...args) => endpoints.resume(requester, ...args),
          };
        },
      },
      ram,
      iommu,
    );
    return { passthrough, views: passthrough.views, release: (id) => passthrough.releaseId(id) };
  },
};
