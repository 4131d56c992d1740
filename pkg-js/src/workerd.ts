// For Cloudflare Workers, which compile WASM when they are deployed and at no other time: it is imported as a module.
import module from "../wasm/nearshelf_bg.wasm";
import { single } from "./single.js";

const here = single(() => module);

export * from "./shared.js";

/** As of the default entry. */
export const { init, createRecommender } = here;
