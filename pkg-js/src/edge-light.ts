// For edge runtimes as Vercel's, where a module of WASM is asked for by name.
import module from "../wasm/nearshelf_bg.wasm?module";
import { single } from "./single.js";

const here = single(() => module);

export * from "./shared.js";

/** As of the default entry. */
export const { init, createRecommender } = here;
