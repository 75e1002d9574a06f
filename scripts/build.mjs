// `npm run build`: dist/tsvmm.cjs (the command line in one file), dist/run.cjs (what running a guest needs of it), their code
// caches, and dist/lib (the package's API with types). With --quick the API is left out.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { changing } from './import-typescript.mjs';
import { withLiterals } from './literals.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const quick = process.argv.includes('--quick');

/** Loaded from node_modules when they are needed: too large for the bundle, or found there by their own files. */
const EXTERNAL = ['zod', 'wabt', 'binaryen', '@yowasp/clang'];

/** The command line as a folder, and what a plain `tsvmm run` needs of the modules that it loads by import(). */
const CLI = join(root, 'vmm/cli');
const RUN_NEEDS = [
  ...['run.ts', 'machine-backend.ts', '../vcpu/cache/disk-cache.ts'],
  // For a run that fails.
  '../replay/record-run.ts',
].map((file) => join(CLI, file));

/** Of the registry of kinds, and of the machine types, too it has a part only. */
const PLAIN = [
  [/\/machine\/builtin\.ts$/, join(root, 'vmm/machine/plain-kinds.ts')],
  [/\/platforms\/platforms\.ts$/, join(root, 'vmm/machine/platforms/plain-platforms.ts')],
];

if (!quick) rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
for (const name of readdirSync(dist)) if (/^code-/.test(name)) rmSync(join(dist, name));
await bundle('tsvmm.cjs', () => true);
await bundle('run.cjs', (from, to) => from !== CLI || RUN_NEEDS.includes(to), PLAIN);
copyWorkers();
if (!quick) buildLibrary();
warmCodeCache();

/**
 * One CommonJS file. Modules that the source loads by import() stay in it but are evaluated only then; V8 compiles none of
 * their functions before. It does read them, and makes an object of each, which is why there is a smaller bundle for the
 * command whose start matters.
 *
 * @param {string} name
 * @param {(from: string, to: string) => boolean} keeps whether what files in the folder `from` load by import() is in it;
 * loading what is not throws
 * @param {[RegExp, string][]} instead which files stand in for which
 */
async function bundle(name, keeps, instead = []) {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'vmm/cli/main.ts')],
    bundle: true,
    write: false,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    charset: 'ascii',
    minifyWhitespace: true,
    minifySyntax: true,
    external: EXTERNAL,
    legalComments: 'inline',
    define: { 'import.meta.url': 'launched.url', TSVMM_CHECKED: 'true' },
    logLevel: 'warning',
    plugins: [
      { name: 'left-out', setup: (build) => leaveOut(build, name, keeps, instead) },
      changing(withLiterals),
    ],
  });
  // A vm.Script has no import() of its own: the launcher passes one.
  const code = outputFiles[0].text.replaceAll(/\bimport\(/g, 'importModule(');
  const hash = createHash('sha256').update(code).digest('hex').slice(0, 16);
  const open = `(function (require, module, importModule, launched) { const TSVMM_BUILD = '${hash}';`;
  writeFileSync(join(dist, name), `// ${hash}\n${open}\n${code}\n})\n`);
}

function leaveOut(build, name, keeps, instead) {
  for (const [filter, path] of instead) build.onResolve({ filter }, () => ({ path }));
  build.onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) =>
    kind === 'dynamic-import' && !keeps(resolveDir, join(resolveDir, path))
      ? { path, namespace: 'left-out' }
      : undefined,
  );
  build.onLoad({ filter: /./, namespace: 'left-out' }, ({ path }) => ({
    contents: `throw new Error(${JSON.stringify(`${path} is not in ${name}`)});`,
  }));
}

/** Scripts of child processes and of reports are looked for beside the module that uses them, here the bundle. */
function copyWorkers() {
  for (const room of ['vmm/vcpu', 'vmm/monitor', 'vmm/report']) {
    for (const name of readdirSync(join(root, room), { recursive: true })) {
      if (/\.(mjs|css)$/.test(name)) copyFileSync(join(root, room, name), join(dist, basename(name)));
    }
  }
}

function buildLibrary() {
  const config = join(dist, 'tsconfig.lib.json');
  const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'));
  const emit = {
    noEmit: false,
    declaration: true,
    rootDir: '..',
    outDir: './lib',
    typeRoots: ['../node_modules/@types'],
  };
  const options = { ...compilerOptions, ...emit };
  writeFileSync(config, JSON.stringify({ compilerOptions: options, files: ['../vmm/api/index.ts'] }));
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', config], {
    stdio: 'inherit',
  });
  rmSync(config);
  // The compiler rewrites the extensions in imports of the JavaScript only.
  for (const name of readdirSync(join(dist, 'lib'), { recursive: true })) {
    if (!name.endsWith('.d.ts')) continue;
    const file = join(dist, 'lib', name);
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replaceAll(/(['"]\.{1,2}\/[^'"\n]+)\.ts(['"])/g, '$1.js$2'),
    );
  }
}

/**
 * The flagship guest twice: the first run fills the cache of modules, and the second, which is a warm start as users will
 * have it, leaves behind just the functions that warm starts need. Then the other bundle, with a machine built.
 */
function warmCodeCache() {
  const env = { ...process.env, NODE_OPTIONS: '', TSVMM_CACHE_DIR: join(dist, 'warm') };
  const run = ['run', '--example', 'edu', '--quiet'];
  const starts = [
    { args: run, keep: '' },
    { args: run, keep: '1' },
    { args: ['info', 'pci'], keep: '1' },
  ];
  try {
    for (const { args, keep } of starts) {
      const stdio = ['ignore', 'ignore', 'pipe'];
      const tsvmm = [join(root, 'bin/tsvmm.js'), ...args];
      execFileSync(process.execPath, tsvmm, { env: { ...env, TSVMM_BUILD_CACHE: keep }, stdio });
      for (const name of readdirSync(env.TSVMM_CACHE_DIR))
        if (/^code-/.test(name)) rmSync(join(env.TSVMM_CACHE_DIR, name));
    }
  } catch (error) {
    console.error(`build: the flagship guest does not run:\n${error.stderr}`);
    process.exitCode = 1;
  } finally {
    rmSync(env.TSVMM_CACHE_DIR, { recursive: true, force: true });
  }
}
