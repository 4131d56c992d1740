/**
 * The recommender and what it takes and gives. `nearshelf/onnx`, `nearshelf/slim` and `nearshelf/inline` have the same calls.
 * @module nearshelf
 */
import { entry } from "./entry.js";
import type { WasmSource } from "./init.js";
import { ownWorker } from "./own-worker.js";
import type { RecommenderOptions } from "./options.js";
import type { Recommender } from "./recommender.js";

export * from "./shared.js";

const here = entry({
  local: () => import("./local.js"),
  worker: ownWorker,
});

/**
 * Says where the engine's WASM is, and loads it where the engine works on this thread. It may be called any number of times, also at
 * once: the first call that succeeds decides the source, and a call after a failure tries again. {@link createRecommender} calls it, so only
 * a shop that chooses the source needs to. Without a source it is the file of this package.
 * @throws `init/http-status` where the address answers with another status than 200 to 299, `init/wasm` where the WASM does not start, because a
 * policy forbids it or the bytes are others; with `nearshelf/slim`, `init/source` without a source
 */
export const init = (source?: WasmSource): Promise<void> => here.init(source);

/**
 * Loads a release and answers with a recommender that is ready. Where there is nothing to serve, it throws a {@link NearshelfError}, and the
 * next call starts over.
 * @throws `release/address` for an address that is none, `request/segment`, `request/events`, `request/experiment`, `init/…` as {@link init}, and, where the device holds no whole release,
 * `download/…` where a file cannot be had, or the code of what is wrong with the release: `sync/…`, `release/…`, `shard/…`, `towers/…`, `directory/…`, `columns/…`
 */
export const createRecommender = (options: RecommenderOptions): Promise<Recommender> => here.createRecommender(options);
