import start, { Engine } from "nearshelf-engine";
import { type Entry, entry } from "./entry.js";
import { type Loader, loader, type WasmSource } from "./init.js";
import { LocalHost } from "./local-host.js";

/**
 * An entry that is one script: the engine works on this thread, and its WASM comes from `own`. `larger` brings the engine for ONNX graphs,
 * where the entry has one.
 * @internal
 */
export function single(own?: () => WasmSource, larger?: () => Promise<Loader>): Entry {
  const engine = loader(start, Engine, own);
  return entry({ local: async () => ({ engine: { init: (source) => engine.init(source), open: (options) => LocalHost.open(options, engine, larger) } }) });
}
