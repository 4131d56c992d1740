// What is measured of a library, the same in Node and in a page. A library gives `open(host, set)`, which returns an engine without an
// index: `build`, `load`, `serialise`, `setEf`, `search` and `memoryBytes`. A library that only searches names the `files` of the bench
// set that hold what it is given instead of rows, and `loadFilter` and `searchGroup` belong to one that filters. A host is what
// differs between the two runtimes.

import { edgevec } from "./libraries/edgevec.mjs";
import { flatF32, flatInt8 } from "./libraries/flat.mjs";
import { hnswlibWasm } from "./libraries/hnswlib-wasm.mjs";
import { nearshelf6Bit, nearshelf8Bit } from "./libraries/nearshelf.mjs";

export const LIBRARIES = {
  "hnswlib-wasm": hnswlibWasm, edgevec, "flat-f32": flatF32, "flat-int8": flatInt8, "nearshelf-6bit": nearshelf6Bit, "nearshelf-8bit": nearshelf8Bit,
};

/** Small steps, so that a library is measured close to the cheapest setting that reaches the recall. The native peers have the same. */
const EF_SEARCH = [
  10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 100, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024, 1536, 2048, 4096,
];
const RECALL = 0.95;
/** For each k, the recall at which its sweep ends. */
const SWEEPS = [{ k: 10, until: 0.99 }, { k: 100, until: RECALL }];
/** A sweep that `stops` also ends when so many settings together found less than this share more: what is lost then is lost to its codes. */
const STALLED = { settings: 3, gain: 0.001 };
const ROUNDS = 5;
const LOADS = 5;
/** `truth_filter.u32` is of the rows whose number leaves this rest modulo 100. */
const FILTER_GROUP = 7;
/** Rows that the truth holds for each query. */
const TRUTH = 100;

const MS_PER_S = 1000;
const US_PER_MS = 1000;

const MEASURED_BY_ALL = ["set.json", "queries.f32", "truth.u32"];

/** The files of a bench set that a library is measured with. */
export function filesOf(name) {
  return [...MEASURED_BY_ALL, ...(LIBRARIES[name].files ?? ["base.f32"])];
}

/** A set from its files' bytes by name. */
export function parseSet(files) {
  const { name, n, dim, queries } = JSON.parse(new TextDecoder().decode(files["set.json"]));
  const read = (file, Type, length) => {
    const bytes = files[file];
    const expected = length * Type.BYTES_PER_ELEMENT;
    if (bytes.byteLength !== expected) throw new Error(`${file}: ${bytes.byteLength} bytes, and set.json says ${expected}; make the set again`);
    return new Type(bytes.slice().buffer);
  };
  const given = (file, Type, length) => (Object.hasOwn(files, file) ? read(file, Type, length) : null);
  const all = read("queries.f32", Float32Array, queries * dim);
  return {
    name, n, dim, files,
    base: given("base.f32", Float32Array, n * dim),
    queries: Array.from({ length: queries }, (_, i) => all.subarray(i * dim, (i + 1) * dim)),
    truth: read("truth.u32", Uint32Array, queries * TRUTH),
    filterTruth: given("truth_filter.u32", Uint32Array, queries * TRUTH),
  };
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Also the round that warms up. */
function recallAtK(search, set, best, k) {
  let hits = 0;
  set.queries.forEach((query, i) => {
    const truth = new Set(best.subarray(i * TRUTH, i * TRUTH + k));
    for (const row of new Set(search(query, k))) hits += truth.has(row);
  });
  return hits / (set.queries.length * k);
}

/** p50: the median over queries of each query's fastest round. mean and cpu: a whole round's time over its queries, of the fastest round. */
function timed(search, set, k, host) {
  const fastest = new Float64Array(set.queries.length).fill(Infinity);
  let round_ms = Infinity;
  let cpu_us = Infinity;
  for (let round = 0; round < ROUNDS; round += 1) {
    const cpuBefore = host.cpuUs();
    const began = host.now();
    set.queries.forEach((query, i) => {
      const before = host.now();
      search(query, k);
      fastest[i] = Math.min(fastest[i], host.now() - before);
    });
    round_ms = Math.min(round_ms, host.now() - began);
    cpu_us = cpuBefore === null ? null : Math.min(cpu_us, host.cpuUs() - cpuBefore);
  }
  const each = (total) => total / set.queries.length;
  return { p50_us: median(fastest) * US_PER_MS, mean_us: each(round_ms) * US_PER_MS, cpu_us: cpu_us === null ? null : each(cpu_us) };
}

/** The settings that a library is swept through for k results. */
function settingsOf(library, k) {
  return library.settings ?? (library.hasEf ? EF_SEARCH.filter((ef) => ef >= k) : [null]);
}

function stalled(points) {
  const before = points.at(-1 - STALLED.settings);
  return before !== undefined && points.at(-1).recall < before.recall + STALLED.gain;
}

function swept(library, engine, set, { k, until, stops, best, search }, host) {
  const points = [];
  for (const ef of settingsOf(library, k)) {
    engine.setEf(ef);
    const recall = recallAtK(search, set, best, k);
    points.push({ k, ef, recall, ...timed(search, set, k, host) });
    if (recall >= until || (stops === true && stalled(points))) break;
  }
  return points;
}

/** Searches that only rows of one group may be results of, for a library that can. */
async function filtered(library, engine, set, host) {
  if (engine.loadFilter === undefined) return undefined;
  await engine.loadFilter(set);
  const search = (query, k) => engine.searchGroup(query, k, FILTER_GROUP);
  return swept(library, engine, set, { k: SWEEPS[0].k, until: RECALL, best: set.filterTruth, search }, host);
}

/** From bytes in memory to the first result, in an engine that is ready and holds no index. */
async function loaded(library, bytes, set, ef, host) {
  const times = [];
  let engine;
  let first;
  for (let load = 0; load < LOADS; load += 1) {
    engine = await library.open(host, set);
    // A loader may keep or change what it is given.
    const own = bytes.slice();
    const before = host.now();
    await engine.load(own, set);
    engine.setEf(ef);
    first = engine.search(set.queries[0], SWEEPS[0].k);
    times.push(host.now() - before);
  }
  return { load_ms: median(times), first: Array.from(first), memory_bytes: engine.memoryBytes() };
}

async function loadedOrNot(library, built, bytes, set, ef, host) {
  try {
    const { load_ms, first, memory_bytes } = await loaded(library, bytes, set, ef, host);
    built.setEf(ef);
    const same = String(first) === String(Array.from(built.search(set.queries[0], SWEEPS[0].k)));
    return { load_ms, memory_bytes, remark: same ? null : "the loaded index answers otherwise than the built one" };
  } catch (error) {
    const reason = error?.message ?? JSON.stringify(error);
    return { load_ms: null, memory_bytes: built.memoryBytes(), remark: `its saved index does not load (${reason}), so memory is that of the built index` };
  }
}

export async function measure(name, set, host) {
  const library = LIBRARIES[name];
  const engine = await library.open(host, set);
  const before = host.now();
  engine.build(set);
  // What comes built was built natively.
  const build_s = library.files === undefined ? (host.now() - before) / MS_PER_S : null;
  const search = (query, k) => engine.search(query, k);
  const sweeps = library.sweeps ?? SWEEPS;
  const points = sweeps.flatMap((sweep) => swept(library, engine, set, { ...sweep, best: set.truth, search }, host));
  const filter = await filtered(library, engine, set, host);

  const tens = points.filter(({ k }) => k === SWEEPS[0].k);
  const { ef } = tens.find(({ recall }) => recall >= RECALL) ?? tens.at(-1);
  const bytes = await engine.serialise();
  const { load_ms, memory_bytes, remark } = await loadedOrNot(library, engine, bytes, set, ef, host);
  return {
    library: name, version: await library.version(host), runtime: host.runtime, set: set.name, n: set.n,
    build_s, load_ms, bytes_raw: bytes.byteLength, bytes_brotli: await host.compressedBytes(bytes), memory_bytes, points,
    filter, index_memory_bytes: engine.indexMemoryBytes?.(),
    note: [library.note, host.note, remark].filter((part) => part !== null).join("; "),
  };
}
