// The Workers runtime hands WebAssembly over as a compiled module and takes the handlers as a default export.
import { fetch, initSync } from "./build/nearshelf_worker.js";
import module from "./build/nearshelf_worker_bg.wasm";

initSync({ module });

export default { fetch };
