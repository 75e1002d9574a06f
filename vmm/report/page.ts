/**
 * The report as one file for a browser: data, style and scripts inside, nothing from a network. Strings of the guest are data
 * to the scripts, which show them as text; the content security policy lets nothing run that is not one of them.
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RunData } from './data.ts';

/** In the order in which they are put together: each uses what stands before it. */
const SCRIPTS = [
  'page-elements.mjs',
  'page-scale.mjs',
  'page-timeline.mjs',
  'page-faults.mjs',
  'page-tables.mjs',
  'page-main.mjs',
] as const;

export function reportPage(data: RunData): string {
  const script = `(() => {\n'use strict';\n${SCRIPTS.map((name) => inlined(pageFile(name))).join('\n')}\n})();\n`;
  const style = pageFile('page.css');
  const policy = `default-src 'none'; script-src '${hashOf(script)}'; style-src '${hashOf(style)}'; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>tsvmm report</title>
<style>${style}</style>
</head>
<body>
<noscript>This report is drawn by scripts of its own: allow them for this file.</noscript>
<script id="run" type="application/json">${inScript(JSON.stringify(data))}</script>
<script>${script}</script>
</body>
</html>
`;
}

/** JSON that cannot end the script element it stands in. */
function inScript(json: string): string {
  return json.replaceAll('<', '\\u003c').replaceAll('>', '\\u003e').replaceAll('&', '\\u0026');
}

/** A module as a part of one script: without its imports, which stand before it, and with its exports as plain names. */
function inlined(module: string): string {
  return module.replaceAll(/^import [^;]*;\n/gm, '').replaceAll(/^export /gm, '');
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

/** Beside this module, or beside the bundle. */
function pageFile(name: string): string {
  return readFileSync(join(dirname(fileURLToPath(import.meta.url)), name), 'utf8');
}
