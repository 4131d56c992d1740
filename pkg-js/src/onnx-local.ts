// The larger engine on the page's own thread.
import type { LocalEngine } from "./entry.js";
import { LocalHost } from "./local-host.js";
import { onnx } from "./onnx-loader.js";

/** @internal */
export const engine: LocalEngine = { init: (source) => onnx.init(source), open: (options) => LocalHost.open(options, onnx) };
