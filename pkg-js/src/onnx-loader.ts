import start, { Engine } from "nearshelf-engine-onnx";
import { loader, packaged } from "./init.js";

/** The engine that also runs query towers which are ONNX graphs. @internal */
export const onnx = loader(start, Engine, () => packaged(new URL("../wasm-onnx/nearshelf_onnx_bg.wasm", import.meta.url)));
