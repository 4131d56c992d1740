import start, { Engine } from "nearshelf-engine";
import { loader, packaged } from "./init.js";

/** The engine for query towers that are programs. @internal */
export const core = loader(start, Engine, () => packaged(new URL("../wasm/nearshelf_bg.wasm", import.meta.url)));
