/**
 * The bundled compiler's process: one build request in by IPC, one answer out, then the end.
 *
 * A process of its own because V8's flags are process-wide and LLVM leaves 500 MB behind. Plain JavaScript because the
 * baseline Node runs no TypeScript. The flags that make it quick are given on the command line (see bundled.ts).
 */

/**
 * The package reads 105 MB through fetch-like objects and counts the bytes as they pass through web streams, which costs
 * more than compiling does. These stand-ins hand the bytes over as they are. Only this process sees them.
 */
function shortcutFetch() {
  class DirectResponse {
    constructor(body) {
      this.bytes = body instanceof DirectBody ? body.bytes : body;
      this.body = new DirectBody(this.bytes);
    }
    async arrayBuffer() {
      const { buffer, byteOffset, byteLength } = this.bytes;
      return byteOffset === 0 && byteLength === buffer.byteLength
        ? buffer
        : buffer.slice(byteOffset, byteOffset + byteLength);
    }
  }
  class DirectBody {
    constructor(bytes) {
      this.bytes = bytes;
    }
    pipeThrough() {
      return this;
    }
  }
  globalThis.Response = DirectResponse;
  globalThis.TransformStream = class {};
  WebAssembly.compileStreaming = async (response) => WebAssembly.compile((await response).bytes);
}

/** Runs one LLVM tool; the text it wrote and the file it made, undefined where it failed. */
async function runTool(runLLVM, Exit, args, files, output) {
  const decoder = new TextDecoder();
  let text = '';
  const collect = (bytes) => {
    if (bytes) text += decoder.decode(bytes, { stream: true });
  };
  try {
    const tree = await runLLVM(
      args,
      { '@': files },
      { stdout: collect, stderr: collect, decodeASCII: false },
    );
    return { text, bytes: tree['@'][output] };
  } catch (error) {
    if (!(error instanceof Exit)) throw error;
    return { text, bytes: undefined };
  }
}

async function build(request) {
  shortcutFetch();
  const { runLLVM, Exit } = await import('@yowasp/clang');
  await runLLVM(null, {}, { fetchProgress() {} });
  const units = [];
  for (const args of request.units) {
    units.push(await runTool(runLLVM, Exit, args, { ...request.files }, 'out.o'));
  }
  const objects = { ...request.objects };
  request.unitNames.forEach((name, i) => {
    objects[name] = units[i].bytes;
  });
  if (units.some((unit) => unit.bytes === undefined)) return { units };
  process.send({ stage: 'linking' });
  return { units, link: await runTool(runLLVM, Exit, request.link, objects, 'out.wasm') };
}

process.once('message', async (request) => {
  let answer;
  try {
    answer = await build(request);
  } catch (error) {
    answer = { crash: String(error?.stack ?? error) };
  }
  process.send(answer, () => process.exit(0));
});
