import type { Engine } from "nearshelf-engine";
import { NearshelfError, text } from "./errors.js";

/**
 * Where the WASM comes from: its address, its response, its bytes, or the compiled module (the only form that Workers allow). Served as
 * `application/wasm` it is compiled while it arrives.
 */
export type WasmSource = string | URL | Response | Promise<Response> | BufferSource | WebAssembly.Module;

/** An engine and how it is loaded. @internal */
export interface Loader {
  /**
   * Loads the engine. It may be called any number of times, also at once: the first call that succeeds decides the source,
   * and a call after a failure tries again. `createRecommender` calls it, so only a shop that chooses the source needs to.
   */
  init(source?: WasmSource): Promise<void>;
  /** Once it is loaded. */
  Engine: new () => Engine;
}

/** What wasm-bindgen makes: what starts it, the class, and where its WASM comes from where nobody says. @internal */
export function loader(
  start: (source?: { module_or_path: unknown }) => Promise<unknown>,
  engine: new () => Engine,
  own?: () => WasmSource,
): Loader {
  let loading: Promise<void> | undefined;
  const load = async (source: WasmSource | undefined) => {
    const found = await (source ?? own?.());
    if (found === undefined) throw new NearshelfError("init/source", "this entry brings no WASM; call init() with its address, bytes or module first");
    const response = typeof found === "string" || found instanceof URL ? await fetch(found) : found;
    if (typeof Response === "function" && response instanceof Response) checkOk(response);
    await start({ module_or_path: response });
  };
  const init = (source?: WasmSource) => {
    loading ??= load(source).catch((cause: unknown) => {
      loading = undefined;
      throw notStarted(cause);
    });
    return loading;
  };
  return { init, Engine: engine };
}

/** Compiles a source, off this thread where the host can. @internal */
export async function compiled(source: WasmSource): Promise<WebAssembly.Module> {
  try {
    const given = await source;
    if (given instanceof WebAssembly.Module) return given;
    const found = typeof given === "string" || given instanceof URL ? await fetch(given) : given;
    if (!(found instanceof Response)) return await WebAssembly.compile(found);
    checkOk(found);
    return await WebAssembly.compile(await found.arrayBuffer());
  } catch (cause) {
    throw notStarted(cause);
  }
}

function checkOk(response: Response): void {
  if (!response.ok) {
    throw new NearshelfError("init/http-status", `${response.url || "the WASM engine"}: HTTP ${response.status}, expected 200; serve its file there`);
  }
}

function notStarted(cause: unknown): NearshelfError {
  return cause instanceof NearshelfError
    ? cause
    : new NearshelfError("init/wasm", `the WASM engine did not start: ${text(cause)}; pass init() its address`, { cause });
}

interface NodeLike {
  getBuiltinModule?(name: "node:fs"): { readFileSync(path: URL): Uint8Array<ArrayBuffer> };
}

/**
 * A file of this package. Node's fetch reads no `file:` address, so there the bytes are read; `getBuiltinModule` needs no import that a
 * browser's bundler would trip over. @internal
 */
export function packaged(file: URL): WasmSource {
  if (file.protocol !== "file:") return file;
  const { process } = globalThis as { process?: NodeLike };
  return process?.getBuiltinModule?.("node:fs").readFileSync(file) ?? file;
}
