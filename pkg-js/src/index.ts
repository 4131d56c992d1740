import { entry } from "./entry.js";
import type { WasmSource } from "./init.js";
import { ownWorker } from "./own-worker.js";
import type { Recommender, RecommenderOptions } from "./recommender.js";

export * from "./shared.js";

const here = entry({
  local: () => import("./local.js"),
  worker: ownWorker,
});

/**
 * Says where the engine's WASM is, and loads it where the engine works on this thread. It may be called any number of times, also at
 * once: the first call that succeeds decides the source, and a call after a failure tries again. [`createRecommender`] calls it, so only
 * a shop that chooses the source needs to.
 */
export const init = (source?: WasmSource): Promise<void> => here.init(source);

/**
 * Loads a release and answers with a recommender that is ready. It throws a [`NearshelfError`] where there is nothing to
 * serve; the next call starts over.
 */
export const createRecommender = (options: RecommenderOptions): Promise<Recommender> => here.createRecommender(options);
