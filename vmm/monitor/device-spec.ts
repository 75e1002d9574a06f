/** The properties of a device as clients give them, and as its kind wants them. */

import { completeOptions } from '../bus/iommu.ts';
import { TsvmmError } from '../core/errors.ts';
import type { Zod } from '../core/zod.ts';
import { type DeviceConfig, nameDevices } from '../machine/config.ts';
import type { Machine } from '../machine/machine.ts';
import type { AnyPciKind, Registry } from '../machine/registry.ts';
import type { Values } from './command.ts';
import { MonitorError } from './error.ts';

/** Properties that say where a device is; they belong to the machine. */
const PLACE = ['id', 'addr', 'bus', 'vconfig'] as const;

/** `driver` and properties as a checked description. @throws MonitorError in QEMU's words where it has some */
export function deviceConfigOf(args: Values, machine: Machine, registry: Registry, z: Zod): DeviceConfig {
  const { driver, id, addr, bus, vconfig, ...given } = args;
  const kind = kindOf(registry, driver as string);
  const name = id as string | undefined;
  if (name !== undefined && !/^[A-Za-z][\w.-]*$/.test(name))
    throw new MonitorError(`Parameter 'id' expects an identifier`);
  if (name !== undefined && (machine.devices.has(name) || machine.pciDevice(name) !== undefined))
    throw new MonitorError(`Duplicate device ID '${name}'`);
  const place = {
    id: name,
    addr: addr === undefined ? undefined : addrText(addr),
    bus: bus as string | undefined,
    ...(vconfig === undefined ? {} : { vconfig: planName(vconfig, machine) }),
  };
  const draft = { kind: kind.name, ...place, options: optionsOf(kind, given, z) };
  return nameDevices([...machine.config.devices, draft]).at(-1)!;
}

/** A plan of the machine's description: it came with the machine, and goes with it. */
function planName(name: unknown, machine: Machine): string {
  const known = Object.keys(machine.config.vconfigs ?? {});
  if (typeof name === 'string' && known.includes(name)) return name;
  throw new MonitorError(`Property 'vconfig': the machine has no plan '${String(name)}'`);
}

function kindOf(registry: Registry, driver: string): AnyPciKind {
  const kind = registry.pciKinds.find((k) => k.name === driver);
  if (kind !== undefined) return kind;
  throw new MonitorError(`'${driver}' is not a valid device model name`);
}

/** A number is the slot, as in QEMU. */
function addrText(addr: unknown): string {
  if (typeof addr === 'number' && Number.isInteger(addr) && addr >= 0) return addr.toString(16);
  if (typeof addr === 'string') return addr;
  throw new MonitorError("Invalid parameter type for 'addr', expected: string");
}

function optionsOf(kind: AnyPciKind, given: Values, z: Zod): Readonly<Record<string, unknown>> {
  const defaults = kind.defaults as Readonly<Record<string, unknown>>;
  const typed: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(defaults, key)) throw new MonitorError(`Property '${kind.name}.${key}' not found`);
    typed[key] = typeof value === 'string' ? typedValue(value, defaults[key]) : value;
  }
  const parsed = kind.schema(z).safeParse(completeOptions(kind, typed));
  if (parsed.success) return parsed.data as Readonly<Record<string, unknown>>;
  const issue = parsed.error.issues[0]!;
  throw new MonitorError(`Property '${kind.name}.${issue.path.join('.')}': ${issue.message}`);
}

/** A text as the type that the default of the property has; what does not fit stays a text, and the schema refuses it. */
function typedValue(value: string, like: unknown): unknown {
  if (typeof like === 'boolean') {
    if (/^(on|true|yes)$/.test(value)) return true;
    return /^(off|false|no)$/.test(value) ? false : value;
  }
  if (typeof like === 'number' && /^(0x[0-9a-f]+|\d+)$/i.test(value) && Number.isSafeInteger(Number(value)))
    return Number(value);
  return value;
}

/** `KIND,key=val,...`; a doubled comma stands for one in a value, and a key alone means on. */
export function parseDeviceText(text: string): Values {
  const parts = text.split(/(?<!,),(?!,)/).map((part) => part.replaceAll(',,', ','));
  const [driver = '', ...properties] = parts;
  if (driver === '' || driver.includes('=')) throw new MonitorError('usage: device_add KIND[,KEY=VAL...]');
  const values: Record<string, string> = { driver };
  for (const property of properties) {
    const at = property.indexOf('=');
    const key = at < 0 ? property : property.slice(0, at);
    if (key === '' || Object.hasOwn(values, key)) throw new MonitorError(`bad property '${property}'`);
    values[key] = at < 0 ? 'on' : property.slice(at + 1);
  }
  return values;
}

/** Properties of a kind with their types, for device-list-properties. */
export function propertiesOf(kind: { readonly name: string; readonly defaults: unknown }, placed: boolean) {
  const own = Object.entries(kind.defaults as object).map(([name, value]) => ({
    name,
    type: qomType(value),
    'default-value': value as unknown,
  }));
  return [...(placed ? PLACE.map((name) => ({ name, type: 'str' })) : []), ...own];
}

function qomType(value: unknown): string {
  if (typeof value === 'boolean') return 'bool';
  return typeof value === 'number' ? 'int' : 'str';
}

/** Native hot-plug is a matter of root ports: the root bus itself takes no devices while the machine exists. */
export function checkHotPlug(bus: string | undefined): void {
  if (bus === undefined || bus === 'pcie.0')
    throw new MonitorError("Bus 'pcie.0' does not support hotplugging; name a root port with bus=");
}

/** A refusal of the machine as a client gets it. */
export function refusal(error: unknown): MonitorError | undefined {
  if (error instanceof MonitorError) return error;
  return error instanceof TsvmmError ? new MonitorError(error.message) : undefined;
}
