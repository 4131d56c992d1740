// nearshelf searches in WebAssembly and builds natively: it is given the shard that `bench-search measure` left in the bench set, and
// the columns beside it. What it exports is in `../../wasm`, and `cargo xtask bench search` puts its build into `../wasm`.

const GLUE = "wasm/nearshelf_bench_wasm.js";
const MODULE = "wasm/nearshelf_bench_wasm_bg.wasm";

/** Cells that are scanned, as in `../../../search/measure.rs`. */
const PROBES = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 160, 192, 256, 384, 512];

class Nearshelf {
  constructor(package_, wasm, { shard, columns }) {
    Object.assign(this, { package_, wasm, shard, columns, probes: 1 });
  }

  build({ files }) {
    this.bytes = files[this.shard];
    this.library = new this.package_.Library(this.bytes);
  }

  setEf(probes) {
    this.probes = probes;
  }

  search(query, k) {
    return this.library.search(query, k, this.probes);
  }

  async loadFilter({ files }) {
    this.library.setColumns(files[this.columns]);
  }

  searchGroup(query, k, group) {
    return this.library.searchGroup(query, k, this.probes, group);
  }

  async serialise() {
    return this.bytes;
  }

  async load(bytes) {
    this.library = new this.package_.Library(bytes);
  }

  memoryBytes() {
    return this.wasm.memory.buffer.byteLength;
  }

  indexMemoryBytes() {
    return this.library.memory();
  }
}

let opened = 0;

/** A module keeps one WebAssembly instance, so each index gets a module of its own. */
async function open(host, files) {
  const package_ = await import(`${host.ownUrl(GLUE)}?${opened++}`);
  const wasm = await package_.default({ module_or_path: await host.ownFile(MODULE) });
  return new Nearshelf(package_, wasm, files);
}

function withCodesOf(bits) {
  const files = { shard: `nearshelf-${bits}bit.shard`, columns: `nearshelf-${bits}bit.columns` };
  return {
    version: async (host) => (await open(host, files)).package_.version(),
    files: ["truth_filter.u32", files.shard, files.columns],
    settings: PROBES,
    sweeps: [{ k: 10, until: 0.99, stops: true }, { k: 100, until: 0.99, stops: true }],
    note: "ef is the number of cells scanned; built natively; memory is the WebAssembly memory",
    open: (host) => open(host, files),
  };
}

export const nearshelf6Bit = withCodesOf(6);
export const nearshelf8Bit = withCodesOf(8);
