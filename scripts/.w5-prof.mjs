import { build } from 'esbuild';
import { changing, keepUrls } from '/tmp/wt/w5/scripts/import-typescript.mjs';
import { withLiterals } from '/tmp/wt/w5/scripts/literals.mjs';
await build({entryPoints:[process.argv[2]],outfile:process.argv[3],bundle:true,format:'esm',platform:'node',target:'node20',minifySyntax:true,external:['bun:jsc','@mitata/counters'],plugins:[changing(withLiterals,keepUrls)],logLevel:'warning'});
