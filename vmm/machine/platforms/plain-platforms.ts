import { Bug } from '../../core/errors.ts';
import type { MachineConfig } from '../config.ts';
import type { AddressMap, Platform, PlatformOptions, PlatformServices } from './platform.ts';
import { Q35Platform } from './q35.ts';
import { Q35 } from './q35-map.ts';

type MachineName = MachineConfig['machine'];

/** What dist/run.cjs has in place of platforms.ts: a command line that names another machine type is for the whole bundle. */
export function createPlatform(
  name: MachineName,
  services: PlatformServices,
  _options: PlatformOptions,
): Platform {
  if (name !== 'q35') throw new Bug(`machine ${name} is not in run.cjs`);
  return new Q35Platform(services);
}

export function addressMapOf(_name: MachineName): AddressMap {
  return Q35;
}
