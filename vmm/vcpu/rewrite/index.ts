export { decodeRewritten, encodeRewritten } from './codec.ts';
export { RewriteError } from './error.ts';
export { type OffsetMap, type OriginalPosition, originalPosition } from './offset-map.ts';
export { type AccessFault, RamSlowPath, type SlowPathOwner } from './ram-slow-path.ts';
export type { ExportInfo, ExternKind, FuelMode, ImportInfo, MutableGlobal, SegmentInfo } from './result.ts';
export { EXPORTS, type RewriteOptions, type RewriteResult } from './result.ts';
export { rewrite } from './rewrite.ts';
export { FAULT, type SlowPath, slowPathImports, VM_MODULE } from './slow-path.ts';
export { REWRITER_VERSION } from './version.ts';
