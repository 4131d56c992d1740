// `nearshelf/inline`: one script with the WASM inside, for builds that move no files.
import { WASM } from "nearshelf-inline-wasm";
import type { WasmSource } from "./init.js";
import { single } from "./single.js";

/** The WASM, which the script holds compressed. */
function unpacked(): WasmSource {
  const bytes = Uint8Array.from(atob(WASM), (character) => character.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(plain, { headers: { "Content-Type": "application/wasm" } });
}

const here = single(unpacked);

export * from "./shared.js";

/** As of the default entry. */
export const { init, createRecommender } = here;
