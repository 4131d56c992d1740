// `nearshelf/onnx`: the same calls with the engine that also runs query towers which are ONNX graphs. The default entry loads it by
// itself for a release that needs it; a shop that knows that its release does saves the detour by importing this one.
import { entry } from "./entry.js";
import type { WasmSource } from "./init.js";
import { ownWorker } from "./own-worker.js";
import type { RecommenderOptions } from "./options.js";
import type { Recommender } from "./recommender.js";

export * from "./shared.js";

const here = entry({
  local: () => import("./onnx-local.js"),
  isLarger: true,
  worker: ownWorker,
});

/** As of the default entry. */
export const init = (source?: WasmSource): Promise<void> => here.init(source);

/** As of the default entry. */
export const createRecommender = (options: RecommenderOptions): Promise<Recommender> => here.createRecommender(options);
