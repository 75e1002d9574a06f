import { NOT_READ } from '../watch/entry-steps.ts';

/** What the last slow translation read, kept in place so that a fault can be explained by what really was seen. */
export class AccessRecord {
  /** Root and context entry have the scalable layouts. */
  scalable = false;
  rootSource = NOT_READ;
  rootAddress = 0;
  rootUpper = 0;
  readonly root = new Uint32Array(4);
  contextSource = NOT_READ;
  contextAddress = 0;
  contextUpper = 0;
  /** 4 words in legacy mode, 8 in scalable mode. */
  readonly context = new Uint32Array(8);
  directorySource = NOT_READ;
  directoryAddress = 0;
  directoryUpper = 0;
  readonly directory = new Uint32Array(2);
  pasidSource = NOT_READ;
  pasidAddress = 0;
  pasidUpper = 0;
  readonly pasidEntry = new Uint32Array(16);
  /** PASID whose entry counts: that of the request, or the one requests without PASID use. */
  pasid = 0;
  privileged = false;
  /** IOTLB row that answered, or -1. */
  row = -1;
  /** True when second-stage entries were read. */
  walked = false;
  /** True when first-stage entries were read, and second-stage ones on their behalf. */
  firstWalked = false;
  /** FPD of an entry that was read: of the context entry, the PASID directory entry or the PASID table entry. */
  faultDisabled = false;

  clear(): void {
    this.scalable = false;
    this.rootSource = NOT_READ;
    this.contextSource = NOT_READ;
    this.directorySource = NOT_READ;
    this.pasidSource = NOT_READ;
    this.row = -1;
    this.walked = false;
    this.firstWalked = false;
    this.faultDisabled = false;
  }
}
