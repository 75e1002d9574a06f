import type { ViommuPort } from '../../viommu/port/port.ts';
import { FORGET_PAGE, FORGET_REQUESTER, type SecondOpinion } from '../../viommu/port/second-opinion.ts';
import type { SmmuBackend } from '../../viommu/port/smmuv3.ts';
import { ANY, type VtdBackend, WHOLE } from '../../viommu/port/vtd.ts';
import {
  AT_TRANSLATED,
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  DMA_MESSAGE,
  DMA_OK,
  DMA_UR,
  DmaPort,
  type DmaTranslator,
  EXEC,
  NO_PASID,
  READ,
  WRITE,
} from '../bus/dma.ts';
import { SystemMemory } from '../bus/memory.ts';
import { MmioBus } from '../bus/mmio.ts';
import { bdfText } from '../core/bdf.ts';
import { EXIT, TsvmmError } from '../core/errors.ts';
import { hex, u64 } from '../core/u64.ts';
import type { GuestRam } from '../mem/ram.ts';
import type { Bound, GuestDevice } from './guest-device.ts';
import type { HostFault } from './passthrough.ts';

/** What of a host is needed. */
export interface VerifyingHost {
  route(address: string, to: DmaTranslator | undefined): void;
  /** The IOMMU that a device is behind. */
  hardware(address: string): DmaTranslator;
}

const NEVER = -1;
const GRANTS = READ | WRITE | EXEC;
/** Invalidations that a report has. */
const REMEMBERED = 8;
/**
 * Faults of the guest's first stage, by which hardware and model can be compared; all others depend on what the host has put above
 * and below (VT-d: Fault Reason Encodings, SFS and SGN; SMMUv3: F_TRANSLATION to F_PERMISSION).
 */
const OF_FIRST_STAGE = { vtd: /^[78][0-9A-F]h$/, smmuv3: /^1[0-3]h$/ };

interface Parts {
  readonly host: VerifyingHost;
  readonly port: ViommuPort;
  readonly ram: GuestRam;
  /** Where the host has the first byte of the linear memory. */
  readonly offset: number;
  /** The PASID that the guest knows a request's by. */
  readonly guestPasid: (pasid: number) => number;
  readonly attachments: (device: GuestDevice) => readonly (readonly [pasid: number, bound: Bound])[];
}

/**
 * What the hardware translates is translated by the guest's IOMMU model, too, on caches that are told what the guest announces. Both
 * may be stale, but then by the same; the hardware may be ahead, because it may drop what it has at any time. Anything else is a
 * mistake of who forwards, and ends the run.
 */
export class Verification {
  /** Requests that were compared. */
  checked = 0;
  readonly parts: Parts;
  readonly opinion: SecondOpinion<VtdBackend> | SecondOpinion<SmmuBackend>;
  readonly #devices = new Map<string, CheckedDma>();
  /** The last invalidations, the oldest first. */
  readonly last: string[] = [];

  constructor(parts: Parts) {
    this.parts = parts;
    this.opinion = parts.port.secondOpinion();
  }

  add(device: GuestDevice): void {
    const checked = new CheckedDma(this, device);
    this.#devices.set(device.host.name, checked);
    this.parts.host.route(device.host.name, checked);
    this.readAhead();
  }

  /** The device is given back, or is served by software from now on. */
  remove(device: GuestDevice): void {
    if (this.#devices.delete(device.host.name)) this.parts.host.route(device.host.name, undefined);
  }

  faulted({ device, code }: HostFault): void {
    const found = this.#devices.get(device);
    if (found !== undefined) found.fault = code;
  }

  /** The hardware knows what it is bound to from the moment on that it is: called when it may be bound to something else. */
  readAhead(): void {
    for (const checked of this.#devices.values()) checked.readAhead();
  }

  /** What is to be connected to the guest's VT-d in place of `forwarder`. */
  aroundVtd(forwarder: VtdBackend): VtdBackend {
    const { announced } = this.opinion as SecondOpinion<VtdBackend>;
    const bindings = (text: string, tell: (to: VtdBackend) => void) => {
      this.#note(text);
      tell(forwarder);
      tell(announced);
      this.readAhead();
    };
    return {
      remappingChanged: () => bindings('root table or translation enable', (to) => to.remappingChanged()),
      contextsChanged: (sid, free) =>
        bindings(`context cache: ${free === 0xffff ? 'all' : bdfText(sid)}`, (to) =>
          to.contextsChanged(sid, free),
        ),
      pasidsChanged: (did, pasid) =>
        bindings(`PASID cache: ${scopeText(did, pasid)}`, (to) => to.pasidsChanged(did, pasid)),
      domainInvalidated: (did, lo, hi, order, leaf) => {
        this.#note(`IOTLB: ${scopeText(did, ANY)}${rangeText(lo, hi, order, leaf)}`);
        forwarder.domainInvalidated(did, lo, hi, order, leaf);
        announced.domainInvalidated(did, lo, hi, order, leaf);
      },
      pasidInvalidated: (did, pasid, lo, hi, order, leaf) => {
        this.#note(`PASID-based IOTLB: ${scopeText(did, pasid)}${rangeText(lo, hi, order, leaf)}`);
        forwarder.pasidInvalidated(did, pasid, lo, hi, order, leaf);
        announced.pasidInvalidated(did, pasid, lo, hi, order, leaf);
      },
      sync: () => {
        forwarder.sync();
        announced.sync();
      },
    };
  }

  /** The same of an SMMUv3. */
  aroundSmmu(forwarder: SmmuBackend): SmmuBackend {
    const { announced } = this.opinion as SecondOpinion<SmmuBackend>;
    return {
      get failedAt() {
        return forwarder.failedAt;
      },
      configurationChanged: () => {
        this.#note('SMMUEN or GBPA');
        forwarder.configurationChanged();
        announced.configurationChanged();
        this.readAhead();
      },
      streamsChanged: (sid, order, cons) => {
        this.#note(`CFGI_STE: ${order > 31 ? 'all' : `${2 ** order} from ${hex(BigInt(sid))}`}`);
        forwarder.streamsChanged(sid, order, cons);
        announced.streamsChanged(sid, order, cons);
        this.readAhead();
      },
      command: (w0, w1, w2, w3, cons) => {
        this.#note(`command ${[w0, w1, w2, w3].map((word) => (word >>> 0).toString(16)).join(' ')}`);
        forwarder.command(w0, w1, w2, w3, cons);
        announced.command(w0, w1, w2, w3, cons);
      },
      sync: () => {
        const error = forwarder.sync();
        announced.sync();
        return error;
      },
    };
  }

  #note(text: string): void {
    this.last.push(`${text} (after ${this.checked} requests)`);
    if (this.last.length > REMEMBERED) this.last.shift();
  }
}

/** Between a function of the host and its IOMMU. */
class CheckedDma implements DmaTranslator {
  /** Code of the hardware's last fault. */
  fault = '';
  readonly #all: Verification;
  readonly #device: GuestDevice;
  readonly #hardware: DmaTranslator;
  /** Puts the same to the model. */
  readonly #asked: DmaPort;
  /** What was read ahead of each PASID. */
  readonly #read = new Map<number, string>();

  constructor(all: Verification, device: GuestDevice) {
    const { host, ram } = all.parts;
    this.#all = all;
    this.#device = device;
    this.#hardware = host.hardware(device.host.name);
    const nowhere = new SystemMemory(ram, new MmioBus());
    this.#asked = new DmaPort(device.id, device.dma.requester, all.opinion.translator, nowhere);
    this.#asked.enabled = true;
  }

  readAhead(): void {
    const asked = this.#as(NO_PASID);
    const bound = this.#all.parts.attachments(this.#device);
    for (const [pasid, { kind, key }] of bound) {
      if (kind === 'blocked' || this.#read.get(pasid) === key) continue;
      this.#read.set(pasid, key);
      asked.pasid = pasid;
      this.#all.opinion.readAhead(asked);
    }
    if (this.#read.size <= bound.length) return;
    const live = new Set(bound.map(([pasid]) => pasid));
    for (const pasid of this.#read.keys()) if (!live.has(pasid)) this.#read.delete(pasid);
  }

  #as(pasid: number): DmaPort {
    const asked = this.#asked;
    asked.setRequester(this.#device.dma.requester);
    asked.pasid = pasid;
    asked.privileged = false;
    asked.at = 0;
    asked.atomic = false;
    return asked;
  }

  translate(port: DmaPort, lo: number, hi: number, access: number): number {
    this.fault = '';
    const status = this.#hardware.translate(port, lo, hi, access);
    // LIMIT passthru-pasid-0. Translated addresses are the host's, and nothing is left to be translated.
    const others =
      port.at === AT_TRANSLATED || (port.pasid === 0 && this.#all.parts.port.architecture === 'vtd');
    if (!others) this.#check(port, lo, hi, access, status);
    return status;
  }

  #check(port: DmaPort, lo: number, hi: number, access: number, status: number): void {
    const all = this.#all;
    all.checked++;
    const asked = this.#as(all.parts.guestPasid(port.pasid));
    asked.privileged = port.privileged;
    asked.at = port.at;
    asked.atomic = port.atomic;
    for (let depth = NEVER; depth <= FORGET_REQUESTER; depth++) {
      if (depth >= FORGET_PAGE) all.opinion.forget(asked, lo, hi, access, depth);
      all.opinion.fault = '';
      const said = this.#ask(port, lo, hi, access);
      if (!this.#agree(port, status, asked, said)) continue;
      // The next page is asked for again where the model knows less of them at once.
      if (said === DMA_OK && asked.outSpan < port.outSpan) port.outSpan = asked.outSpan;
      return;
    }
    throw this.#difference(port, lo, hi, access, status);
  }

  /** Translation requests of a guest that does not use ATS are the host's: the device may do what it may untranslated. */
  #ask(port: DmaPort, lo: number, hi: number, access: number): number {
    const asked = this.#asked;
    asked.at = port.at;
    const said = asked.translate(lo, hi, access);
    if (said === DMA_OK || port.at !== AT_TRANSLATION) return said;
    asked.at = AT_UNTRANSLATED;
    let granted = 0;
    for (const one of [READ, WRITE, EXEC])
      if ((access & one) !== 0 && asked.translate(lo, hi, one === EXEC ? READ | EXEC : one) === DMA_OK)
        granted |= one;
    asked.outAccess = granted;
    return DMA_OK;
  }

  #agree(port: DmaPort, status: number, asked: DmaPort, said: number): boolean {
    if (status === DMA_MESSAGE || said === DMA_MESSAGE) return status === said;
    if (port.at === AT_TRANSLATION) {
      const grants = grantsOf(port, status);
      if (grants !== grantsOf(asked, said)) return false;
      if (grants === 0) return true;
    }
    if (status !== DMA_OK)
      return said !== DMA_OK ? this.#faultsAgree() : this.#place(asked.outLo, asked.outHi) < 0;
    if (said !== DMA_OK) return false;
    return this.#place(asked.outLo, asked.outHi) === port.outHi * 2 ** 32 + (port.outLo >>> 0);
  }

  #faultsAgree(): boolean {
    const { opinion, parts } = this.#all;
    const comparable = OF_FIRST_STAGE[parts.port.architecture];
    if (!comparable.test(this.fault) || !comparable.test(opinion.fault)) return true;
    return this.fault === opinion.fault;
  }

  /** Where the host has a guest physical address; -1: nowhere. */
  #place(lo: number, hi: number): number {
    const { ram, offset } = this.#all.parts;
    const at = ram.locate(lo | 0, hi | 0, 1);
    return at < 0 ? -1 : at + offset;
  }

  #difference(port: DmaPort, lo: number, hi: number, access: number, status: number): TsvmmError {
    const { opinion, last, checked } = this.#all;
    const asked = this.#asked;
    const said = this.#ask(port, lo, hi, access);
    const pasid = port.pasid === NO_PASID ? 'no PASID' : `PASID ${port.pasid} (${hex(BigInt(port.pasid))})`;
    const place = this.#place(asked.outLo, asked.outHi);
    const model =
      said !== DMA_OK
        ? refusalText(opinion.fault)
        : `guest address ${hex(u64(asked.outLo, asked.outHi))}, ${place < 0 ? 'which is no RAM' : `which the host has at ${hex(BigInt(place))}`}`;
    const hardware =
      status === DMA_OK ? `address ${hex(u64(port.outLo, port.outHi))} of the host` : refusalText(this.fault);
    return new TsvmmError({
      code: 'verify-differs',
      object: `${this.#device.id}: --verify`,
      why: [
        "the host's IOMMU does not translate as the guest's would",
        `request ${checked}: ${port.at === AT_TRANSLATION ? 'translation request' : 'request'} (${accessText(access)}) for ${hex(u64(lo, hi))}, requester ${bdfText(asked.requester)} (${this.#device.host.name} on the host), ${pasid}`,
        `hardware: ${hardware}${port.at === AT_TRANSLATION ? grantText(port, status) : ''}`,
        `model: ${model}${port.at === AT_TRANSLATION ? grantText(asked, said) : ''}`,
        `last invalidations: ${last.length === 0 ? 'none' : ''}`,
        ...last.map((line) => `  ${line}`),
      ].join('\n  '),
      exit: EXIT.verifyDiffers,
    });
  }

  message(port: DmaPort, lo: number, hi: number, data: number, length: number): number {
    return this.#hardware.message(port, lo, hi, data, length);
  }

  pageRequest(port: DmaPort, lo: number, hi: number, access: number, group: number, last: boolean): number {
    return this.#hardware.pageRequest?.(port, lo, hi, access, group, last) ?? DMA_UR;
  }

  invalidationComplete(port: DmaPort, tag: number): void {
    this.#hardware.invalidationComplete?.(port, tag);
  }
}

function scopeText(did: number, pasid: number): string {
  const domain = did === ANY ? 'every domain' : `domain ${did}`;
  return pasid === ANY ? domain : `${domain}, PASID ${pasid}`;
}

function rangeText(lo: number, hi: number, order: number, leaf: boolean): string {
  if (order >= WHOLE) return '';
  const text = order === 0 ? 'the page' : `${2 ** order} pages from`;
  return `, ${text} ${hex(u64(lo, hi))}${leaf ? ', leaves only' : ''}`;
}

function refusalText(fault: string): string {
  return fault === '' ? 'refused' : `refused, fault ${fault}`;
}

function accessText(access: number): string {
  const names = [
    [READ, 'read'],
    [WRITE, 'write'],
    [EXEC, 'execute'],
  ] as const;
  return (
    names
      .filter(([bit]) => (access & bit) !== 0)
      .map(([, name]) => name)
      .join(' and ') || 'nothing'
  );
}

/** Of a translation request. */
function grantsOf(port: DmaPort, status: number): number {
  return status === DMA_OK ? port.outAccess & GRANTS : 0;
}

function grantText(port: DmaPort, status: number): string {
  return status === DMA_OK ? `, grants ${accessText(grantsOf(port, status))}` : '';
}
