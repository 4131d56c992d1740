// nearshelf searches in WebAssembly and builds natively: it is given the shard that `bench-search measure` left in the bench set, and
// the columns beside it. What it exports is in `../../wasm`, and `cargo xtask bench search` puts its build into `../wasm`.

const GLUE = "wasm/nearshelf_bench_wasm.js";
const MODULE = "wasm/nearshelf_bench_wasm_bg.wasm";

/** Cells that are scanned, as in `../../../search/measure.rs`. */
const PROBES = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 160, 192, 256, 384, 512];

/** As `../../../../pkg-js/src/download.ts` has it. */
async function sha256(bytes) {
  const digest = await globalThis.crypto?.subtle?.digest("SHA-256", bytes);
  return digest && new Uint8Array(digest);
}

class Nearshelf {
  constructor(package_, wasm, { shard, columns }, named) {
    Object.assign(this, { package_, wasm, shard, columns, named, probes: 1 });
  }

  build({ files }) {
    this.bytes = files[this.shard];
    this.library = new this.package_.Library(this.bytes, this.named, this.named);
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
    this.library = new this.package_.Library(bytes, this.named, await sha256(bytes));
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
async function start(host) {
  const package_ = await import(`${host.ownUrl(GLUE)}?${opened++}`);
  const wasm = await package_.default({ module_or_path: await host.ownFile(MODULE) });
  return { package_, wasm };
}

/** What the manifest says of the shard, its digest, is known before the shard is loaded. */
async function open(host, names, { files }) {
  const { package_, wasm } = await start(host);
  return new Nearshelf(package_, wasm, names, await sha256(files[names.shard]));
}

function withCodesOf(bits) {
  const files = { shard: `nearshelf-${bits}bit.shard`, columns: `nearshelf-${bits}bit.columns` };
  return {
    version: async (host) => (await start(host)).package_.version(),
    files: ["truth_filter.u32", files.shard, files.columns],
    settings: PROBES,
    sweeps: [{ k: 10, until: 0.99, stops: true }, { k: 100, until: 0.99, stops: true }],
    note: "ef is the number of cells scanned; built natively; memory is the WebAssembly memory; loading is as in the product: the host " +
      "computes the digest (crypto.subtle), every value is checked, and the table of ids waits for the first look-up by id",
    open: (host, set) => open(host, files, set),
  };
}

export const nearshelf6Bit = withCodesOf(6);
export const nearshelf8Bit = withCodesOf(8);
