import { type DmaPort, READ } from '../../vmm/bus/dma.ts';
import { FORGET_PASID, FORGET_REQUESTER, type SecondOpinion } from '../port/second-opinion.ts';
import { ANY, type VtdBackend, WHOLE } from '../port/vtd.ts';
import { GSTS } from '../spec/vtd/registers.ts';
import { PGTT_SECOND } from '../spec/vtd/structures.ts';
import { silentServices } from '../watch/silent-services.ts';
import { FUNCTION_MASK } from './caches.ts';
import { VtdIommu } from './device.ts';
import { vtdState } from './state.ts';
import { VTD_EVENTS } from './trace.ts';

const GSTS_WORD = GSTS.offset / 4;
const EVERY_FUNCTION = 0xffff;
/** Upper half of an address that is canonical for no width: what leads to the first stage is read, and nothing of it. */
const NOT_CANONICAL = 0x7fff0000;

/** What is kept of a translation that is invalidated, until the guest waits: domain, PASID, address, pages, hint. */
const KEPT = 6;

/** A second unit on the same registers, with caches of its own. */
export function vtdSecondOpinion(real: VtdIommu): SecondOpinion<VtdBackend> {
  return new VtdSecondOpinion(real);
}

class VtdSecondOpinion implements SecondOpinion<VtdBackend>, VtdBackend {
  fault = '';
  readonly announced = this;
  readonly translator: VtdIommu;
  readonly #real: VtdIommu;
  readonly #kept: number[] = [];

  constructor(real: VtdIommu) {
    this.#real = real;
    const config = { ...real.w.config, cache: 'unbounded' as const };
    const services = silentServices(real.w.services, ({ code }) => {
      this.fault = code;
    });
    this.translator = new VtdIommu({
      config,
      services,
      block: real.w.block,
      stateDef: vtdState(config, real.w.block),
      trace: services.tracer.bind(VTD_EVENTS),
      forward: { to: null },
    });
    this.remappingChanged();
  }

  get #caches() {
    return this.translator.c.caches;
  }

  /** What is bound to what is looked at again; translations stay until they are invalidated. */
  remappingChanged(): void {
    const { s } = this.translator;
    const { regs, rootLo, rootHi } = this.#real.s;
    s.regs[GSTS_WORD] = regs[GSTS_WORD]!;
    s.rootLo = rootLo;
    s.rootHi = rootHi;
    this.#caches.contextGlobal();
    this.#caches.pasidGlobal();
  }

  contextsChanged(sid: number, free: number): void {
    if (free === EVERY_FUNCTION) this.#caches.contextGlobal();
    else this.#caches.contextDevice(sid, FUNCTION_MASK.indexOf(free as (typeof FUNCTION_MASK)[number]));
  }

  pasidsChanged(did: number, pasid: number): void {
    if (did === ANY) this.#caches.pasidGlobal();
    else if (pasid === ANY) this.#caches.pasidDomain(did);
    else this.#caches.pasidInDomain(did, pasid);
  }

  domainInvalidated(did: number, lo: number, hi: number, order: number, leaf: boolean): void {
    this.#kept.push(did, ANY, lo, hi, order, leaf ? 1 : 0);
  }

  pasidInvalidated(did: number, pasid: number, lo: number, hi: number, order: number, leaf: boolean): void {
    this.#kept.push(did, pasid, lo, hi, order, leaf ? 1 : 0);
  }

  sync(): void {
    const kept = this.#kept;
    for (let i = 0; i < kept.length; i += KEPT) {
      const [did, pasid, lo, hi, order, leaf] = kept.slice(i, i + KEPT) as [
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      if (pasid === ANY) this.#dropDomain(did, lo, hi, order, leaf === 1);
      else if (order === WHOLE) this.#caches.pasidIotlb(did, pasid);
      else this.#caches.pasidIotlbPages(did, pasid, lo, hi, order, leaf === 1);
    }
    kept.length = 0;
  }

  #dropDomain(did: number, lo: number, hi: number, order: number, leaf: boolean): void {
    if (did === ANY) this.#caches.iotlbGlobal();
    else if (order === WHOLE) this.#caches.iotlbDomain(did);
    else this.#caches.iotlbPages(did, lo, hi, order, leaf);
  }

  forget(port: DmaPort, lo: number, hi: number, access: number, depth: number): void {
    this.#dropPage(port, lo, hi, access, depth >= FORGET_PASID);
    if (depth >= FORGET_REQUESTER) this.#caches.contextDevice(port.requester, 0);
    // It may be bound to another domain now, which has a page of its own there.
    this.#dropPage(port, lo, hi, access, false);
  }

  #dropPage(port: DmaPort, lo: number, hi: number, access: number, binding: boolean): void {
    const { dma } = this.translator.c;
    dma.procedure(port, lo >>> 0, hi >>> 0, access, false);
    const { record } = dma;
    const page = lo & -4096;
    if (!record.scalable) {
      this.#caches.iotlbPages((record.context[2]! >>> 8) & 0xffff, page, hi, 0, false);
      return;
    }
    const did = record.pasidEntry[2]! & 0xffff;
    const second = ((record.pasidEntry[0]! >>> 6) & 7) === PGTT_SECOND;
    if (second) this.#caches.iotlbPages(did, page, hi, 0, false);
    else this.#caches.pasidIotlbPages(did, record.pasid, page, hi, 0, false);
    if (binding) this.#caches.pasidInDomain(did, record.pasid);
  }

  readAhead(port: DmaPort): void {
    this.translator.translate(port, 0, NOT_CANONICAL, READ);
  }
}
