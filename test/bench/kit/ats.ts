import { AtsAgent, atsState } from '../../../devices/pci/ats-agent.ts';
import { ATS, atsCapability } from '../../../devices/pci/extended-capabilities.ts';
import { PciFunction } from '../../../devices/pci/function.ts';
import type { PciServices } from '../../../devices/pci/kind.ts';
import { Bug } from '../../../vmm/core/errors.ts';
import { DEVICE, type Mapped, mapped } from './dma.ts';

/** The ATC holds the largest set of pages that is measured. */
const ENTRIES = 16384;

/** The same pages for a unit that lets the function use ATS (context entry TT = 01). */
export function withAts(pages: number): Mapped & { readonly agent: AtsAgent } {
  const m = mapped(pages, { config: { 'device-iotlb': true, cache: 'unbounded' } });
  const { machine, port } = m;
  machine.context(DEVICE, { P: 1, TT: 1, AW: 2, DID: 5, SSPTPTR: firstTable(m) });
  const services: PciServices = {
    id: 'fn',
    dma: port,
    clock: machine.clock,
    tracer: machine.tracer,
    bypass: machine.memory,
    virtual: () => {
      throw new Bug('no virtual functions here');
    },
  };
  const fn = new PciFunction(services, {
    vendor: 0x1234,
    device: 1,
    classCode: 0xff0000,
    revision: 0,
    capabilities: [{ id: 'pcie', type: 'endpoint' }],
    extended: [atsCapability({ queueDepth: 32, globalInvalidate: true })],
  });
  fn.configWrite(fn.w.layout.ats + ATS.offset + 2, 2, 0x8000);
  return { ...m, agent: new AtsAgent(atsState(ENTRIES).fresh(), port, fn) };
}

/** mapped() makes the tables the first thing it asks a page for. */
function firstTable({ machine }: Mapped): number {
  return Number(machine.load(0x2000 + (DEVICE & 0xff) * 16) & 0xffff_f000n);
}
