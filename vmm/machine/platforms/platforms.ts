import type { MachineConfig } from '../config.ts';
import type { AddressMap, Platform, PlatformServices } from './platform.ts';
import { Q35Platform } from './q35.ts';
import { Q35 } from './q35-map.ts';

type MachineName = MachineConfig['machine'];

const PLATFORMS: Readonly<Record<MachineName, { map: AddressMap; create(s: PlatformServices): Platform }>> = {
  q35: { map: Q35, create: (services) => new Q35Platform(services) },
};

export function createPlatform(name: MachineName, services: PlatformServices): Platform {
  return PLATFORMS[name].create(services);
}

export function addressMapOf(name: MachineName): AddressMap {
  return PLATFORMS[name].map;
}
