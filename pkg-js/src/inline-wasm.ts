import { WASM } from "nearshelf-inline-wasm";
import type { WasmSource } from "./init.js";

/** The WASM, which the script holds compressed. @internal */
export function unpacked(): WasmSource {
  const bytes = Uint8Array.from(atob(WASM), (character) => character.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(plain, { headers: { "Content-Type": "application/wasm" } });
}
