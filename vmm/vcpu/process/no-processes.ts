import { PROCESS_IMPORTS, type ProcessImportName } from '../../../guest/abi/process-imports.ts';

export type ProcessHost = Record<ProcessImportName, (...args: number[]) => number | undefined>;

/** For guests that carry no programs: nothing of user mode is loaded. */
export function noProcesses(crash: (reason: string) => never): ProcessHost {
  const refuse = (name: string) => () => crash(`${name} in a guest that carries no programs`);
  const names = Object.keys(PROCESS_IMPORTS) as ProcessImportName[];
  const host = Object.fromEntries(names.map((name) => [name, refuse(name)])) as unknown as ProcessHost;
  return { ...host, process_image: () => -1, process_current: () => 0 };
}
