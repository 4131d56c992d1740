// For Node, and for servers that a build has bundled, as Next.js's: a script that was moved finds no file beside itself, so the WASM is
// inside. Only the engine for ONNX graphs, twenty times as large, stays a file.
import { unpacked } from "./inline-wasm.js";
import { single } from "./single.js";

const here = single(unpacked, async () => (await import("./onnx-loader.js")).onnx);

export * from "./shared.js";

/** As of the default entry. */
export const { init, createRecommender } = here;
