// edgevec is measured with squared Euclidean distance: its dot and cosine return the farthest rows first, and on unit vectors the
// order is the same.

const M = 16;
const EF_CONSTRUCTION = 200;
/** A value that no list of settings holds, so that it marks the place of ef_search in the memory. */
const FIRST_EF = 10007;
const NAME = "index";

/** As much of IndexedDB as edgevec calls, over a map: its index then comes from bytes in memory, in Node too. */
function indexedDbOver(files) {
  const soon = (then) => queueMicrotask(then);
  const objectStore = (transaction) => ({
    put(bytes, name) {
      files.set(name, bytes.slice());
      soon(() => transaction.oncomplete());
    },
    get(name) {
      const request = { result: files.get(name) };
      soon(() => request.onsuccess());
      return request;
    },
  });
  const database = {
    transaction() {
      const transaction = { objectStore: () => objectStore(transaction) };
      return transaction;
    },
  };
  return {
    open() {
      const request = { result: database };
      soon(() => request.onsuccess({ target: request }));
      return request;
    },
  };
}

function provideFiles() {
  const files = new Map();
  Object.defineProperty(globalThis, "indexedDB", { value: indexedDbOver(files), configurable: true });
  return files;
}

class EdgeVec {
  constructor(package_, wasm, dim) {
    Object.assign(this, { package_, wasm, dim, ef: FIRST_EF });
  }

  build({ base, n }) {
    const config = new this.package_.EdgeVecConfig(this.dim);
    config.setMetricType(this.package_.MetricType.L2);
    config.m = M;
    config.m0 = 2 * M;
    config.ef_construction = EF_CONSTRUCTION;
    config.ef_search = FIRST_EF;
    this.index = new this.package_.EdgeVec(config);
    for (let row = 0; row < n; row += 1) this.index.insert(base.subarray(row * this.dim, (row + 1) * this.dim));
  }

  /**
   * The package fixes ef_search when an index is made, and to build one for each setting would take an hour. The setting is found in
   * the WebAssembly memory by its neighbours in the configuration: m, m0, ef_construction, ef_search, dim.
   */
  setEf(ef) {
    const words = new Uint32Array(this.wasm.memory.buffer);
    const configuration = [M, 2 * M, EF_CONSTRUCTION, this.ef, this.dim];
    let found = 0;
    for (let at = words.indexOf(this.ef, 3); at !== -1; at = words.indexOf(this.ef, at + 1)) {
      if (!configuration.every((value, i) => words[at - 3 + i] === value)) continue;
      words[at] = ef;
      found += 1;
    }
    if (found === 0) throw new Error("edgevec: no configuration found in its memory; install what package-lock.json pins: npm ci");
    this.ef = ef;
  }

  search(query, k) {
    // Its ids start at 1.
    return this.index.search(query, k).map(({ id }) => id - 1);
  }

  async serialise() {
    const files = provideFiles();
    await this.index.save(NAME);
    return files.get(NAME);
  }

  async load(bytes) {
    provideFiles().set(NAME, bytes);
    this.index = await this.package_.EdgeVec.load(NAME);
  }

  memoryBytes() {
    return this.wasm.memory.buffer.byteLength;
  }
}

let opened = 0;

export const edgevec = {
  version: (host) => host.packageVersion("edgevec"),
  hasEf: true,
  note: `M=${M}, ef_construction=${EF_CONSTRUCTION}, L2; memory is the WebAssembly memory`,
  async open(host, { dim }) {
    // A module keeps one WebAssembly instance, so each index gets a module of its own.
    const package_ = await import(`${host.packageUrl("edgevec/edgevec.js")}?${opened++}`);
    const wasm = await package_.default({ module_or_path: await host.packageFile("edgevec/edgevec_bg.wasm") });
    return new EdgeVec(package_, wasm, dim);
  },
};
