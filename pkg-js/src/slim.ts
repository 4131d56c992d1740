// `nearshelf/slim`: one script that names no other file. `init` must be called with the WASM.
import { single } from "./single.js";

const here = single();

export * from "./shared.js";

/** As of the default entry. */
export const { init, createRecommender } = here;
