import { ABI_IMPORTS, ABI_MODULE, type ImportDecl } from '../../../guest/abi/imports.ts';
import { USER_IMPORTS, USER_MODULE } from '../../../guest/abi/user-imports.ts';
import { checkAbiImport, loweredParams, loweredResults, needsShim } from './abi-shims.ts';
import { RewriteError } from './error.ts';
import { MMU_IMPORTS, MMU_SIGNATURES } from './mmu-path.ts';
import { I32 } from './opcodes.ts';
import type { Reader } from './reader.ts';
import type { ExternKind, ImportInfo } from './result.ts';
import { type Limits, memoryLimits, tableType, valueType } from './sections.ts';
import { SLOW_IMPORTS, SLOW_SIGNATURES, VM_MODULE } from './slow-path.ts';
import type { FuncType, TypePool } from './types.ts';
import { Writer } from './writer.ts';

/** WebAssembly's limit: 4 GiB. */
const MOST_PAGES = 65536;

export const KINDS: readonly ExternKind[] = ['func', 'table', 'memory', 'global', 'tag'];

/** What the VMM itself gives a module, in import order behind the module's own functions. */
export interface VmImport {
  readonly name: string;
  /** Numbers of i32 parameters and results. */
  readonly signature: readonly [params: number, results: number];
}

export function vmImports(userMode: boolean): readonly VmImport[] {
  if (userMode) return MMU_IMPORTS.map((name) => ({ name, signature: MMU_SIGNATURES[name] }));
  return SLOW_IMPORTS.map((name) => ({ name, signature: SLOW_SIGNATURES[name] }));
}

/** The functions of tsvmm that a module may import. */
export interface Abi {
  readonly module: string;
  readonly functions: Readonly<Record<string, ImportDecl>>;
  readonly header: string;
}

const KERNEL_ABI: Abi = { module: ABI_MODULE, functions: ABI_IMPORTS, header: 'tsvmm.h' };
const USER_ABI: Abi = { module: USER_MODULE, functions: USER_IMPORTS, header: 'user.h' };

export interface ImportedFunction {
  readonly info: ImportInfo;
  readonly typeIndex: number;
  readonly shim: boolean;
}

export interface ImportedGlobal {
  readonly type: number;
  readonly mutable: boolean;
}

/** The import section: read, checked, and written anew with the VMM's own imports behind the guest's. */
export class Imports {
  readonly infos: ImportInfo[] = [];
  readonly functions: ImportedFunction[] = [];
  readonly globals: ImportedGlobal[] = [];
  readonly tables: number[] = [];
  memory: Limits | undefined;
  private readonly out = new Writer(1024);
  private count = 0;
  private readonly types: readonly FuncType[];
  private readonly pool: TypePool;
  private readonly userMode: boolean;
  private readonly abi: Abi;

  constructor(types: readonly FuncType[], pool: TypePool, userMode: boolean) {
    this.types = types;
    this.pool = pool;
    this.userMode = userMode;
    this.abi = userMode ? USER_ABI : KERNEL_ABI;
  }

  read(reader: Reader): void {
    for (let n = reader.count(); n > 0; n--) this.one(reader);
  }

  private one(reader: Reader): void {
    const start = reader.pos;
    const module = reader.name();
    const name = reader.name();
    const kindAt = reader.pos;
    const kind = KINDS[reader.u8()];
    if (kind === undefined) reader.fail('unknown kind of import', kindAt);
    if (module === VM_MODULE) reader.fail(`module name ${VM_MODULE} is reserved`, start);
    if (this.userMode && module !== USER_MODULE && kind !== 'memory')
      reader.fail(`import ${module}.${name}: a program of user mode imports from ${USER_MODULE} only`, start);
    if (module === this.abi.module && kind !== 'func')
      reader.fail(`import ${module}.${name} is a ${kind}; ${module} has functions only`, start);
    const info = { module, name, kind };
    if (kind === 'memory') {
      if (this.memory !== undefined) reader.fail('more than one memory is not supported', start);
      this.memory = memoryLimits(reader);
      return;
    }
    this.infos.push(info);
    this.count++;
    if (kind === 'func') this.function(reader, info, start);
    else {
      if (kind === 'table') this.tables.push(tableType(reader));
      else if (kind === 'global') this.globals.push(readGlobalType(reader));
      else tagType(reader);
      this.out.range(reader.bytes, start, reader.pos);
    }
  }

  private function(reader: Reader, info: ImportInfo, start: number): void {
    const { out } = this;
    const typeAt = reader.pos;
    const typeIndex = reader.u32();
    const type = this.types[typeIndex];
    if (type === undefined) reader.fail('unknown type', typeAt);
    const abi = info.module === this.abi.module;
    if (abi) checkAbiImport(this.abi, info.name, type, start);
    const shim = abi && needsShim(type);
    this.functions.push({ info, typeIndex, shim });
    out.name(info.module);
    out.name(info.name);
    out.u8(0);
    out.u32(shim ? this.pool.intern(loweredParams(type), loweredResults(type)) : typeIndex);
  }

  /** The whole section's contents. The memory has at least so many pages: machines differ in what lies behind. */
  emit(leastPages: number): Writer {
    const section = new Writer(1024);
    const added = vmImports(this.userMode);
    section.u32(this.count + added.length + 1);
    section.append(this.out);
    for (const { name, signature } of added) {
      const [params, results] = signature;
      section.name(VM_MODULE);
      section.name(name);
      section.u8(0);
      section.u32(
        this.pool.intern(new Array<number>(params).fill(I32), new Array<number>(results).fill(I32)),
      );
    }
    section.name(VM_MODULE);
    section.name('memory');
    section.u8x2(2, 1);
    section.u32(leastPages);
    section.u32(MOST_PAGES);
    return section;
  }
}

export function readGlobalType(reader: Reader): ImportedGlobal {
  const type = valueType(reader);
  const at = reader.pos;
  const mutability = reader.u8();
  if (mutability > 1) throw new RewriteError('bad mutability', at);
  return { type, mutable: mutability === 1 };
}

export function tagType(reader: Reader): void {
  const at = reader.pos;
  if (reader.u8() !== 0) reader.fail('unknown tag attribute', at);
  reader.u32();
}
