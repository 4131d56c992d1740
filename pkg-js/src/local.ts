// The engine on the page's own thread, apart from the default entry: pages with a worker never fetch it.
import { core } from "./core.js";
import type { LocalEngine } from "./entry.js";
import { LocalHost } from "./local-host.js";

/** Only a release whose query tower is an ONNX graph makes this fetch anything. */
const larger = async () => (await import("./onnx-loader.js")).onnx;

/** @internal */
export const engine: LocalEngine = { init: (source) => core.init(source), open: (options) => LocalHost.open(options, core, larger) };
