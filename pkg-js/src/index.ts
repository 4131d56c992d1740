import start, { Engine } from "nearshelf-engine";
import { loader, type WasmSource } from "./init.js";
import { open, type Recommender, type RecommenderOptions } from "./recommender.js";

export * from "./shared.js";

const core = loader(start, Engine, () => new URL("../wasm/nearshelf_bg.wasm", import.meta.url));
/** Only a release whose query tower is an ONNX graph makes this fetch anything. */
const onnx = async () => (await import("./onnx.js")).onnx;

/**
 * Loads the engine. It may be called any number of times, also at once: the first call that succeeds decides the source,
 * and a call after a failure tries again. [`createRecommender`] calls it, so only a shop that chooses the source needs to.
 */
export const init = (source?: WasmSource): Promise<void> => core.init(source);

/**
 * Loads a release and answers with a recommender that is ready. It throws a [`NearshelfError`] where there is nothing to
 * serve; the next call starts over.
 */
export const createRecommender = (options: RecommenderOptions): Promise<Recommender> => open(options, core, onnx);
