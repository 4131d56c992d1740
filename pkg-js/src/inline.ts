// `nearshelf/inline`: one script with the WASM inside, for builds that move no files.
import { unpacked } from "./inline-wasm.js";
import { single } from "./single.js";

const here = single(unpacked);

export * from "./shared.js";

/** As of the default entry. */
export const { init, createRecommender } = here;
