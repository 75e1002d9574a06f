import { TsvmmError } from '../../core/errors.ts';
import type { MachineConfig } from '../config.ts';
import type { AddressMap, Platform, PlatformOptions, PlatformServices } from './platform.ts';
import { Q35Platform } from './q35.ts';
import { Q35 } from './q35-map.ts';
import { VirtPlatform } from './virt.ts';
import { VIRT } from './virt-map.ts';

type MachineName = MachineConfig['machine'];

interface PlatformKind {
  readonly map: AddressMap;
  readonly create: (services: PlatformServices, options: PlatformOptions) => Platform;
}

const PLATFORMS: Readonly<Record<MachineName, PlatformKind>> = {
  q35: { map: Q35, create: (services) => new Q35Platform(services) },
  virt: { map: VIRT, create: (services, options) => new VirtPlatform(services, options) },
};

export function createPlatform(
  name: MachineName,
  services: PlatformServices,
  options: PlatformOptions,
): Platform {
  if (!options.highmem && name !== 'virt') {
    throw new TsvmmError({
      code: 'wrong-machine',
      object: 'highmem off',
      why: `does not exist on machine '${name}'`,
      mend: 'leave it out, or use machine virt',
    });
  }
  return PLATFORMS[name].create(services, options);
}

export function addressMapOf(name: MachineName): AddressMap {
  return PLATFORMS[name].map;
}
