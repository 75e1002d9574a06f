import type { GuestRam } from '../../mem/ram.ts';
import { layoutOfProgram } from './image-layout.ts';
import type { ProcessHost } from './no-processes.ts';
import { type ProgramImage, readInitialMemory } from './program.ts';

const NAME_BYTES = 256;
/** struct tsvmm_image_layout */
const LAYOUT_BYTES = 16;

type Crash = (reason: string, address?: number) => never;

export function imageAt(
  images: readonly ProgramImage[],
  what: string,
  index: number,
  crash: Crash,
): ProgramImage {
  return images[index] ?? crash(`${what} of program ${index}, which does not exist`);
}

/** What a kernel can ask about the programs that it carries. */
export function imageCalls(
  ram: GuestRam,
  images: readonly ProgramImage[],
  crash: Crash,
): Pick<ProcessHost, 'process_image' | 'process_image_layout' | 'process_image_read'> {
  return {
    process_image(nameAt = 0) {
      const address = nameAt >>> 0;
      const end = ram.u8.indexOf(0, address);
      const length = end < 0 ? NAME_BYTES : Math.min(end - address, NAME_BYTES);
      if (!ram.holds(address, 0, length)) crash('process_image with a name that is not in RAM', address);
      const name = new TextDecoder().decode(ram.u8.subarray(address, address + length));
      return images.findIndex((image) => image.name === name);
    },
    process_image_layout(index = 0, to = 0) {
      const place = layoutOfProgram(imageAt(images, 'process_image_layout', index, crash));
      if (!ram.holds(to, 0, LAYOUT_BYTES)) crash('process_image_layout to what is not all RAM', to >>> 0);
      const view = new DataView(ram.memory.buffer, to >>> 0, LAYOUT_BYTES);
      [place.stackTop, place.dataStart, place.dataEnd, place.heapBase].forEach((value, i) => {
        view.setUint32(i * 4, value, true);
      });
      ram.storedByCpu(to >>> 0, LAYOUT_BYTES);
      return undefined;
    },
    process_image_read(index = 0, address = 0, toAt = 0, size = 0) {
      const image = imageAt(images, 'process_image_read', index, crash);
      const [to, length] = [toAt >>> 0, size >>> 0];
      if (!ram.holds(to, 0, length)) crash('process_image_read to what is not all RAM', to);
      readInitialMemory(image, address >>> 0, ram.u8.subarray(to, to + length));
      if (length > 0) ram.storedByCpu(to, length);
      return undefined;
    },
  };
}
