// hnswlib-wasm is compiled for a browser's window and keeps its file system to itself, with IndexedDB behind it. Three things make
// it run in Node and let a bench hand it bytes:
// - it asks whether there is a `window`, and an empty object is enough;
// - a copy of its glue code is imported as a data: URL with one statement replaced, so that the emscripten file system can be reached;
// - syncing with IndexedDB, which each read and write of an index starts, becomes a call that does nothing.
// Search and build stay the package's own code.

const GLUE = "hnswlib-wasm/dist/hnswlib-317962d7.js";
const HIDES_FILE_SYSTEM = "unexportedSymbols.forEach(unexportedRuntimeSymbol);";
const EXPORTS_FILE_SYSTEM = "Object.assign(Module, { FS, IDBFS });";
/** Where the module mounts what it reads and writes. */
const FOLDER = "/hnswlib-index";
const FILE = "index.bin";

const M = 16;
const EF_CONSTRUCTION = 200;
const SEED = 100;

let factory;

async function importFactory(host) {
  globalThis.window ??= {};
  const glue = new TextDecoder().decode(await host.packageFile(GLUE));
  if (!glue.includes(HIDES_FILE_SYSTEM)) throw new Error(`${GLUE}: no "${HIDES_FILE_SYSTEM}" there; install what package-lock.json pins: npm ci`);
  const changed = glue.replace(HIDES_FILE_SYSTEM, EXPORTS_FILE_SYSTEM);
  return (await import(`data:text/javascript,${encodeURIComponent(changed)}`)).default;
}

async function newModule(host) {
  factory ??= await importFactory(host);
  const module = await factory();
  module.IDBFS.syncfs = (_mount, _populate, done) => done(null);
  module.EmscriptenFileSystemManager.initializeFileSystem("IDBFS");
  return module;
}

class Hnswlib {
  constructor(module, dim) {
    this.module = module;
    this.dim = dim;
    this.index = new module.HierarchicalNSW("ip", dim, "");
  }

  build({ base, n }) {
    this.n = n;
    this.index.initIndex(n, M, EF_CONSTRUCTION, SEED);
    for (let row = 0; row < n; row += 1) {
      this.index.addPoint(base.subarray(row * this.dim, (row + 1) * this.dim), row, false);
    }
  }

  setEf(ef) {
    this.index.setEfSearch(ef);
  }

  search(query, k) {
    return this.index.searchKnn(query, k, undefined).neighbors;
  }

  async serialise() {
    this.index.writeIndex(FILE);
    const bytes = this.module.FS.readFile(`${FOLDER}/${FILE}`);
    this.module.FS.unlink(`${FOLDER}/${FILE}`);
    return bytes;
  }

  async load(bytes, { n }) {
    this.module.FS.writeFile(`${FOLDER}/${FILE}`, bytes, { canOwn: true });
    this.index.readIndex(FILE, n);
  }

  memoryBytes() {
    return this.module.HEAPU8.length;
  }
}

export const hnswlibWasm = {
  version: (host) => host.packageVersion("hnswlib-wasm"),
  hasEf: true,
  note: `M=${M}, ef_construction=${EF_CONSTRUCTION}, inner product; memory is the WebAssembly memory`,
  open: async (host, { dim }) => new Hnswlib(await newModule(host), dim),
};
