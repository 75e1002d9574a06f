/** The functions of a world, and what they send; the same in front of either architecture. */
import {
  AT_TRANSLATED,
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  DMA_OK,
  type DmaPort,
  EXEC,
  READ,
  WRITE,
} from '../../vmm/bus/dma.ts';
import { hi32, lo32 } from '../../vmm/core/u64.ts';
import type { Access, Device, Grant, Landing, World } from './world.ts';
import { REFUSED } from './world.ts';

export class BusMasters {
  readonly #ports = new Map<number, DmaPort>();
  readonly #open: (requester: number) => DmaPort;

  constructor(open: (requester: number) => DmaPort) {
    this.#open = open;
  }

  forget(): void {
    this.#ports.clear();
  }

  /** Set for untranslated requests of the device. */
  port(device: Device): DmaPort {
    let port = this.#ports.get(device.requester);
    if (port === undefined) {
      port = this.#open(device.requester);
      this.#ports.set(device.requester, port);
    }
    port.pasid = device.pasid;
    port.privileged = false;
    port.at = AT_UNTRANSLATED;
    return port;
  }

  /** Returns the status; where it leads to is in the port. */
  request(device: Device, at: bigint, how: Access): number {
    const port = this.port(device);
    port.privileged = how.privileged === true;
    const wanted = how.execute === true ? READ | EXEC : how.write === true ? WRITE : READ;
    return port.translate(lo32(at), hi32(at), wanted);
  }

  landing(device: Device, status: number): Landing {
    const port = this.port(device);
    return status === DMA_OK ? address(port.outLo, port.outHi) : REFUSED;
  }

  translationRequest(device: Device, at: bigint, write: boolean): Grant | 'nothing' | typeof REFUSED {
    const port = this.port(device);
    port.at = AT_TRANSLATION;
    if (port.translate(lo32(at), hi32(at), write ? READ | WRITE : READ) !== DMA_OK) return REFUSED;
    if (port.outAccess === 0) return 'nothing';
    return { at: address(port.outLo, port.outHi), write: (port.outAccess & WRITE) !== 0 };
  }

  translated(device: Device, at: bigint): Landing {
    const port = this.port(device);
    port.at = AT_TRANSLATED;
    return this.landing(device, port.translate(lo32(at), hi32(at), READ));
  }

  requestPage(device: Device, at: bigint, write: boolean, group: number, last: boolean): void {
    this.port(device).pageRequest(lo32(at), hi32(at), write ? WRITE : READ, group, last);
  }
}

/** World.recover of a function with ATS and PRI. */
export function recoverByPageRequest(
  world: World,
  device: Device,
  at: bigint,
  mend: () => void,
  answer: 'retry' | 'give up',
): Landing {
  const before = world.translationRequest(device, at);
  if (typeof before === 'object') return world.translated(device, before.at);
  world.requestPage(device, at, false, 1, true);
  const [request] = world.pageRequests();
  mend();
  world.respond(request!, answer === 'retry' ? 'success' : 'invalid');
  if (world.responses.at(-1)?.[3] !== 'success') return REFUSED;
  const grant = world.translationRequest(device, at);
  return typeof grant === 'object' ? world.translated(device, grant.at) : REFUSED;
}

export function address(lo: number, hi: number): bigint {
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
}
