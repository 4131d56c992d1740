// `nearshelf/onnx`: the same calls with the engine that also runs query towers which are ONNX graphs. The default entry loads it by
// itself for a release that needs it; a shop that knows that its release does saves the detour by importing this one.
import start, { Engine } from "nearshelf-engine-onnx";
import { loader, type WasmSource } from "./init.js";
import { open, type Recommender, type RecommenderOptions } from "./recommender.js";

export * from "./shared.js";

/** @internal */
export const onnx = loader(start, Engine, () => new URL("../wasm-onnx/nearshelf_onnx_bg.wasm", import.meta.url));

/** As of the default entry. */
export const init = (source?: WasmSource): Promise<void> => onnx.init(source);

/** As of the default entry. */
export const createRecommender = (options: RecommenderOptions): Promise<Recommender> => open(options, onnx);
