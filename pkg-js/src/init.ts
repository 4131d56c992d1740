import start from "nearshelf-engine";
import { NearshelfError, text } from "./errors.js";

/** Where the WASM comes from: its address, its response, its bytes, or the compiled module (the only form that Workers allow). */
export type WasmSource = string | URL | Response | Promise<Response> | BufferSource | WebAssembly.Module;

let loading: Promise<void> | undefined;

/**
 * Loads the engine. It may be called any number of times, also at once: the first call that succeeds decides the source,
 * and a call after a failure tries again. [`createRecommender`] calls it, so only a shop that chooses the source needs to.
 */
export function init(source?: WasmSource): Promise<void> {
  loading ??= load(source).catch((cause: unknown) => {
    loading = undefined;
    throw cause instanceof NearshelfError
      ? cause
      : new NearshelfError("init/wasm", `the WASM engine did not start: ${text(cause)}; pass init() its address`, { cause });
  });
  return loading;
}

async function load(source: WasmSource | undefined): Promise<void> {
  const found = await (source ?? besideThisFile());
  const response = typeof found === "string" || found instanceof URL ? await fetch(found) : found;
  if (typeof Response === "function" && response instanceof Response && !response.ok) {
    throw new NearshelfError(
      "init/http-status",
      `${response.url || "the WASM engine"}: HTTP ${response.status}, expected 200; serve nearshelf_bg.wasm there`,
    );
  }
  await start(response === undefined ? undefined : { module_or_path: response });
}

interface NodeLike {
  getBuiltinModule?(name: "node:fs"): { readFileSync(path: URL): Uint8Array<ArrayBuffer> };
}

/**
 * Node's fetch reads no `file:` address, so there the bytes are read from the package. `getBuiltinModule` needs no import
 * that a browser's bundler would trip over. Elsewhere the engine's own loader knows its file, and bundlers rewrite it there.
 */
function besideThisFile(): BufferSource | undefined {
  if (!import.meta.url.startsWith("file:")) return undefined;
  const { process } = globalThis as { process?: NodeLike };
  return process?.getBuiltinModule?.("node:fs").readFileSync(new URL("../wasm/nearshelf_bg.wasm", import.meta.url));
}
