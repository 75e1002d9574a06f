import {
  AT_UNTRANSLATED,
  DMA_OK,
  type DmaPort,
  EXEC,
  NO_PASID,
  PAGE_RESPONSE_FAILURE,
  PAGE_RESPONSE_INVALID,
  READ,
} from '../../vmm/bus/dma.ts';
import type { AtsControls } from './ats-controls.ts';

/** No page request was sent: PRI is not enabled, or the IOMMU does not take them. */
export const PRG_NONE = -1;
/** No page request was sent: as many as allocated are outstanding; a response makes room. */
export const PRG_NO_CREDIT = -2;

/** PRG indexes (9 bits). */
export const PAGE_REQUEST_GROUPS = 512;
/** Requests outstanding (0: free), PASID + 1, the endpoint's owner number. */
export const GROUP_WORDS = 3;

/** Told of the answer to a group: AtsHooks.onPageResponse. */
export type OnPageResponse = (pasid: number, group: number, code: number, owner: number) => void;

/** The part of a function's agent that speaks PRI (PCI Express Base: Page Request Services). */
export class PageRequester {
  readonly controls: AtsControls;
  readonly #groups: Uint32Array;
  /** 0: group index to look at next; 1: 1 + the group still open for more requests. */
  readonly #next: Uint32Array;
  readonly #dma: DmaPort;
  readonly #onResponse: OnPageResponse;

  /** @param groups GROUP_WORDS words for each group; both arrays are state of the device */
  constructor(
    groups: Uint32Array,
    next: Uint32Array,
    dma: DmaPort,
    controls: AtsControls,
    onResponse: OnPageResponse,
  ) {
    this.controls = controls;
    this.#groups = groups;
    this.#next = next;
    this.#dma = dma;
    this.#onResponse = onResponse;
  }

  /**
   * Sends a page request. Requests up to one with `last` form a group.
   * @param owner comes back with the response
   * @returns the page request group index, PRG_NONE or PRG_NO_CREDIT
   */
  requestPage(
    pasid: number,
    privileged: boolean,
    lo: number,
    hi: number,
    access: number,
    last: boolean,
    owner = 0,
  ): number {
    const open = this.#next[1]!;
    const group = open === 0 ? this.freeGroup() : open - 1;
    const status = this.requestPageIn(group, pasid, privileged, lo, hi, access, last, owner);
    if (status >= 0) this.#next[1] = last ? 0 : group + 1;
    return status;
  }

  /** A group index with nothing outstanding. With all in use, the next one in turn: PRI never has that many credits. */
  freeGroup(): number {
    const groups = this.#groups;
    const next = this.#next;
    const first = next[0]!;
    let group = first;
    do {
      if (groups[group * GROUP_WORDS] === 0) break;
      group = (group + 1) % PAGE_REQUEST_GROUPS;
    } while (group !== first);
    return group;
  }

  /** requestPage with a group index of the endpoint's choice. */
  requestPageIn(
    group: number,
    pasid: number,
    privileged: boolean,
    lo: number,
    hi: number,
    access: number,
    last: boolean,
    owner: number,
  ): number {
    const { controls } = this;
    if (!this.#dma.enabled || !controls.priEnabled) return PRG_NONE;
    if (pasid !== NO_PASID && !controls.allowsPasid(pasid)) return PRG_NONE;
    if (!controls.takeCredit()) return PRG_NO_CREDIT;
    const groups = this.#groups;
    const next = this.#next;
    const at = group * GROUP_WORDS;
    next[0] = (group + 1) % PAGE_REQUEST_GROUPS;
    groups[at]! += 1;
    groups[at + 1] = pasid + 1;
    groups[at + 2] = owner;
    const priv = privileged && pasid !== NO_PASID && controls.privilegedEnabled;
    const mayExecute = pasid !== NO_PASID && controls.executeEnabled;
    const wanted = mayExecute ? access : access & ~EXEC || READ;
    const status = this.sendPageRequest(group, pasid, priv, lo, hi, wanted, last);
    if (status === DMA_OK) return group;
    // A Response Failure that came with the refusal has given the group up already.
    if (groups[at] !== 0) {
      groups[at]! -= 1;
      controls.returnCredits(1);
    }
    return PRG_NONE;
  }

  /** Sends the message whatever the state of PRI, and remembers nothing: for functions that break the rules. */
  sendPageRequest(
    group: number,
    pasid: number,
    privileged: boolean,
    lo: number,
    hi: number,
    access: number,
    last: boolean,
  ): number {
    const dma = this.#dma;
    dma.pasid = pasid;
    dma.privileged = privileged;
    const status = dma.pageRequest(lo, hi, access, group, last);
    makePlain(dma);
    return status;
  }

  /** Stop marker: no more page requests of this PASID until it is used again. It has no response and takes no credit. */
  stopMarker(pasid: number): number {
    if (!this.controls.priEnabled || !this.controls.allowsPasid(pasid)) return PRG_NONE;
    return this.sendPageRequest(0, pasid, false, 0, 0, 0, true) === DMA_OK ? 0 : PRG_NONE;
  }

  /** Page requests of this function without an answer. */
  get outstanding(): number {
    const groups = this.#groups;
    let n = 0;
    for (let at = 0; at < groups.length; at += GROUP_WORDS) n += groups[at]!;
    return n;
  }

  pageResponse(pasid: number, group: number, code: number): void {
    const groups = this.#groups;
    const at = group * GROUP_WORDS;
    // PCI Express Base: PRG Response Message: after a failure further responses are ignored until PRI is enabled again.
    if (!this.controls.expectsResponses) return;
    const fits = (groups[at] ?? 0) !== 0 && (pasid === NO_PASID || groups[at + 1] === pasid + 1);
    if (!fits) {
      this.controls.unexpectedResponse();
      return;
    }
    // PCI Express Base: PRG Response Message: unused codes count as Response Failure.
    if (code > PAGE_RESPONSE_INVALID) {
      this.controls.responseFailure();
      return;
    }
    this.#release(group, code);
  }

  #release(group: number, code: number): void {
    const groups = this.#groups;
    const next = this.#next;
    const at = group * GROUP_WORDS;
    const pasid = groups[at + 1]! - 1;
    const owner = groups[at + 2]!;
    this.controls.returnCredits(groups[at]!);
    groups.fill(0, at, at + GROUP_WORDS);
    if (next[1] === group + 1) next[1] = 0;
    this.#onResponse(pasid, group, code, owner);
  }

  dropPageRequests(): void {
    const groups = this.#groups;
    for (let group = 0; group < PAGE_REQUEST_GROUPS; group++)
      if (groups[group * GROUP_WORDS] !== 0) this.#release(group, PAGE_RESPONSE_FAILURE);
  }

  /** With the device's reset: nothing is outstanding, nobody is told; the credits go back. */
  resetPageRequests(): void {
    // The credits of a virtual function are its physical function's.
    for (let at = 0; at < this.#groups.length; at += GROUP_WORDS)
      this.controls.returnCredits(this.#groups[at]!);
    this.#groups.fill(0);
    this.#next.fill(0);
  }
}

/** MSIs go by the same port, untranslated and without PASID: so it is left. */
export function makePlain(dma: DmaPort): void {
  dma.at = AT_UNTRANSLATED;
  dma.pasid = NO_PASID;
  dma.privileged = false;
}
