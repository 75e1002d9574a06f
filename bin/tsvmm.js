#!/usr/bin/env node
/**
 * Starts the bundle that `npm run build` made, with V8's code cache: without it, compiling the bundle would take longer
 * than all the rest of a warm start. There are two: a plain `tsvmm run` has one of its own, a third smaller.
 * CommonJS, because Node starts a module of this kind 4 ms sooner.
 *
 * The shebang has no options: `env -S` is missing from BusyBox, and the shims that npm writes on Windows cannot read it.
 */
'use strict';

const { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const { isAbsolute, join } = require('node:path');
const { Script } = require('node:vm');

/** Options that need nothing beyond dist/run.cjs (scripts/build.mjs: RUN_NEEDS). Any other is at home in the whole bundle. */
const PLAIN_OPTION =
  /^--(cc|env|example|file|firmware|fuel|json|memory|quiet|seed|timeout|trace|trace-file)(=|$)|^-[mq]$/;
/** As are kinds of devices and IOMMUs that it does not have (vmm/machine/plain-kinds.ts). */
const PLAIN_KIND = /^--(device=(edu|iommu-testdev|pcie-root-port)|viommu=(intel|none))(,|$)/;

const dist = join(__dirname, '..', 'dist');
const bundle = join(dist, isPlainRun(process.argv.slice(2)) ? 'run.cjs' : 'tsvmm.cjs');

const source = readBundle();
if (source !== undefined) start(source);

function start(source) {
  const cacheName = `code-${buildOf(source)}-${process.versions.v8}-${process.arch}.bin`;
  const { script, cached } = compile(source, cacheName);
  const module = { exports: {} };
  const importModule = (specifier) => import(specifier);
  const launched = {
    get url() {
      return require('node:url').pathToFileURL(bundle).href;
    },
  };
  script.runInThisContext()(require, module, importModule, launched);
  module.exports.main(cached ? undefined : () => remember(script, cacheName));
}

function isPlainRun([command, ...args]) {
  const end = args.indexOf('--');
  const own = end < 0 ? args : args.slice(0, end);
  return (
    command === 'run' &&
    own.every((arg, i) => arg[0] !== '-' || isPlain(arg, own[i + 1])) &&
    !own.some((arg, i) => asksForMachine(own[i - 1] === '--example' ? exampleFile(arg) : arg))
  );
}

/** Its source: short, and there whatever machine the packaged module is linked for. */
function exampleFile(name) {
  return join(__dirname, '..', 'guest', 'examples', name, `${name}.c`);
}

/** A guest that says TSVMM_MACHINE (tsvmm/machine.h) may want any kind of device. */
function asksForMachine(file) {
  if (!/\.(c|wasm)$/.test(file)) return false;
  try {
    const guest = readFileSync(file);
    return guest.includes('TSVMM_MACHINE') || guest.includes('tsvmm.machine');
  } catch {
    return false;
  }
}

function isPlain(option, next) {
  const kind = option === '--device' || option === '--viommu' ? `${option}=${next}` : option;
  return PLAIN_OPTION.test(option) || PLAIN_KIND.test(kind);
}

function readBundle() {
  try {
    // The bundle is pure ASCII: as latin1 it becomes a string without a pass over its bytes.
    return readFileSync(bundle, 'latin1');
  } catch {
    process.stderr.write(`tsvmm: ${bundle}: is not built; run npm ci\n`);
    process.exitCode = 2;
    return undefined;
  }
}

/** The build's hash in its first line, `// HASH`: V8 itself compares only the length of a source with its cache. */
function buildOf(source) {
  return source.slice(3, source.indexOf('\n'));
}

function compile(source, cacheName) {
  for (const directory of [dist, cacheDir()]) {
    const cachedData = directory && read(join(directory, cacheName));
    if (!cachedData) continue;
    const script = new Script(source, { filename: bundle, cachedData });
    if (!script.cachedDataRejected) return { script, cached: true };
  }
  return { script: new Script(source, { filename: bundle }), cached: false };
}

/** After a run, when the functions it needed are compiled. Anything that goes wrong only costs the next start time. */
function remember(script, cacheName) {
  // Flags of this one run would make a cache that no other run accepts.
  if (process.execArgv.length > 0 || process.env.NODE_OPTIONS) return;
  const directory = process.env.TSVMM_BUILD_CACHE ? dist : cacheDir();
  if (!directory) return;
  const file = join(directory, cacheName);
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    // V8 puts a hash of its flags into the cache; the run may have set this one, the next start has not.
    require('node:v8').setFlagsFromString('--no-experimental-wasm-branch-hinting');
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileSync(temporary, script.createCachedData());
    renameSync(temporary, file);
  } catch {
    rmSync(temporary, { force: true });
  }
}

/** As vmm/vcpu/cache has it, which is inside the bundle. */
function cacheDir() {
  const { env } = process;
  if (env.TSVMM_CACHE_DIR) return env.TSVMM_CACHE_DIR;
  if (env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME)) return join(env.XDG_CACHE_HOME, 'tsvmm');
  return env.HOME && join(env.HOME, '.cache', 'tsvmm');
}

function read(file) {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}
