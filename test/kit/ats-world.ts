import { AtsAgent, type AtsHooks, type AtsState, atsState } from '../../devices/pci/ats-agent.ts';
import { DEVCTL2 } from '../../devices/pci/capabilities.ts';
import {
  ATS,
  atsCapability,
  PASID,
  PRI,
  PRI_ALLOCATION,
  pasidCapability,
  priCapability,
} from '../../devices/pci/extended-capabilities.ts';
import type { PciFunction } from '../../devices/pci/function.ts';
import {
  AT_TRANSLATED,
  AT_TRANSLATION,
  DMA_CA,
  DMA_OK,
  DMA_UR,
  type DmaPort,
  type DmaTranslator,
  NO_PASID,
} from '../../vmm/bus/dma.ts';
import { PciRig } from './pci-rig.ts';

/** One translation the fake IOMMU knows. */
export interface FakePage {
  /** NO_PASID if absent. */
  readonly pasid?: number;
  readonly at: number;
  readonly hi?: number;
  readonly to: number;
  /** 4096 if absent. */
  readonly bytes?: number;
  /** As DmaPort.outAccess. */
  readonly access: number;
}

/** A translator with a list of pages instead of tables; it keeps every request as text. */
export class FakeIommu implements DmaTranslator {
  pages: FakePage[] = [];
  readonly seen: string[] = [];
  readonly completed: number[] = [];
  /** Answer to page requests, and what happens at one. */
  takes = DMA_OK;
  onPageRequest: ((group: number, last: boolean) => void) | undefined;
  /** Outcome of the next request instead of the usual one. */
  next: number | undefined;

  translate(port: DmaPort, lo: number, hi: number, access: number): number {
    const kind = ['untranslated', 'translation', 'translated'][port.at]!;
    const pasid = port.pasid === NO_PASID ? '' : ` pasid ${port.pasid}${port.privileged ? ' priv' : ''}`;
    this.seen.push(`${kind} ${address(lo, hi)} ${access}${port.atomic ? ' atomic' : ''}${pasid}`);
    if (this.next !== undefined) {
      const status = this.next;
      this.next = undefined;
      return status;
    }
    if (port.at === AT_TRANSLATED) return identity(port, lo, hi);
    const page = this.#find(port.pasid, lo, hi);
    if (port.at === AT_TRANSLATION) return answer(port, page, lo, hi);
    if (page === undefined || (access & ~page.access) !== 0) return DMA_UR;
    port.outLo = page.to + inside(page, lo);
    port.outHi = 0;
    port.outSpan = 4096 - (lo & 4095);
    return DMA_OK;
  }

  #find(pasid: number, lo: number, hi: number): FakePage | undefined {
    return this.pages.find(
      (p) =>
        (p.pasid ?? NO_PASID) === pasid &&
        (p.hi ?? 0) === hi >>> 0 &&
        lo >>> 0 >= p.at &&
        lo >>> 0 < p.at + (p.bytes ?? 4096),
    );
  }

  message(): number {
    return DMA_CA;
  }

  pageRequest(port: DmaPort, lo: number, hi: number, access: number, group: number, last: boolean): number {
    const flags = `${last ? ' last' : ''}${port.pasid === NO_PASID ? '' : ` pasid ${port.pasid}`}`;
    this.seen.push(`page request ${address(lo, hi)} ${access} group ${group}${flags}`);
    this.onPageRequest?.(group, last);
    return this.takes;
  }

  invalidationComplete(_port: DmaPort, tag: number): void {
    this.completed.push(tag);
  }
}

function address(lo: number, hi: number): string {
  return (BigInt(hi >>> 0) * 0x100000000n + BigInt(lo >>> 0)).toString(16);
}

function inside(page: FakePage, lo: number): number {
  return (lo >>> 0) & ((page.bytes ?? 4096) - 1);
}

function identity(port: DmaPort, lo: number, hi: number): number {
  port.outLo = lo >>> 0;
  port.outHi = hi >>> 0;
  port.outSpan = 4096 - (lo & 4095);
  return DMA_OK;
}

function answer(port: DmaPort, page: FakePage | undefined, lo: number, hi: number): number {
  port.outAccess = page?.access ?? 0;
  port.outSize = page?.bytes ?? 4096;
  port.outLo = page === undefined ? 0 : page.to + inside(page, lo);
  port.outHi = page === undefined ? hi : 0;
  return DMA_OK;
}

export interface AtsWorldOptions {
  readonly hooks?: AtsHooks;
  readonly rows?: number;
  readonly pasidWidth?: number;
}

/** A function with PASID, ATS and PRI, its agent, and a fake IOMMU; everything is off. */
export class AtsWorld {
  readonly iommu = new FakeIommu();
  readonly rig = new PciRig(this.iommu);
  readonly fn: PciFunction;
  readonly s: AtsState;
  readonly agent: AtsAgent;
  readonly dma: DmaPort;

  constructor({ hooks = {}, rows = 64, pasidWidth = 20 }: AtsWorldOptions = {}) {
    this.fn = this.rig.plugFunction(
      {
        capabilities: [{ id: 'pcie', type: 'rc-endpoint', flr: true }],
        extended: [
          pasidCapability({ width: pasidWidth, execute: true, privileged: true }),
          atsCapability({ queueDepth: 32, globalInvalidate: true }),
          priCapability(32),
        ],
      },
      { device: 3 },
      { ats: () => this.agent },
    );
    this.dma = this.fn.w.dma;
    this.s = atsState(rows).fresh();
    this.agent = new AtsAgent(this.s, this.dma, this.fn, hooks);
    this.fn.configWrite(4, 2, 4);
    this.fn.configWrite(this.fn.w.layout.pcie + DEVCTL2.offset, 2, DEVCTL2.pack({ ATOMIC: 1 })[0]!);
  }

  enablePasid(extra = 0): void {
    this.fn.configWrite(this.fn.w.layout.pasid + PASID.offset + 2, 2, 1 | extra);
  }

  /** @param stu smallest translation unit, log2 of pages */
  enableAts(stu = 0): void {
    this.fn.configWrite(this.fn.w.layout.ats + ATS.offset + 2, 2, 0x8000 | stu);
  }

  disableAts(): void {
    this.fn.configWrite(this.fn.w.layout.ats + ATS.offset + 2, 2, 0);
  }

  enablePri(allocation = 8): void {
    const { pri } = this.fn.w.layout;
    this.fn.configWrite(pri + PRI_ALLOCATION.offset, 4, allocation);
    this.fn.configWrite(pri + PRI.offset, 2, 1);
  }

  /** PASID, ATS and PRI on. */
  enableAll(): void {
    this.enablePasid();
    this.enableAts();
    this.enablePri();
  }

  get priStatus(): number {
    return this.fn.configRead(this.fn.w.layout.pri + PRI.offset + 2, 2);
  }

  get priControl(): number {
    return this.fn.configRead(this.fn.w.layout.pri + PRI.offset, 2);
  }
}
