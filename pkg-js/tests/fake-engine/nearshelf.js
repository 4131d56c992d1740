// Stands in for what wasm-bindgen makes, for tests that run without a Rust build: the same calls, the same order of
// questions, the same refusals; its tower counts shared words. `release.mjs` writes what it reads.
import { hexadecimal, sha256 } from "./sha256.js";

let started;

/** @param {{ module_or_path: unknown }} [source] */
export default async function start(source) {
  if (started) return started;
  let module = await source?.module_or_path;
  if (module === undefined) throw new TypeError("the glue has no address of its own");
  if (module instanceof URL) module = await fetch(module);
  if (module instanceof Response) module = await module.arrayBuffer();
  // Of a compiled module an instance comes alone. An edge runtime compiles in another realm, so what came tells, and not what was given.
  const made = await WebAssembly.instantiate(module);
  started ??= (made.instance ?? made).exports;
  return started;
}

const fail = (code, message) => Object.assign(new Error(message), { code });
const parse = (bytes) => JSON.parse(new TextDecoder().decode(bytes));
const place = ({ digest, size, kind }) => ({ path: `objects/${digest}`, digest, size, kind });

export class Engine {
  #held = new Map();
  #next;
  #serving;
  #segment;
  /** What the last overlay said that arrived. */
  #stock;

  constructor() {
    if (!started) throw new Error("the module was not loaded");
  }

  /** The fake release is in one shard; only `nowhere` has none. */
  setSegment(segment) {
    this.#segment = segment;
  }

  /** Only the real engine knows signatures and budgets. */
  setPin() {}
  setBudget() {}
  rootBefore() {}
  nextRoot() {}
  restore() {}

  setHead(bytes) {
    if (this.#segment === "nowhere") throw fail("request/segment", 'segment: found "nowhere", expected one of ["de"]');
    let head;
    try {
      head = parse(bytes).signed;
    } catch {
      throw fail("sync/head-malformed", "head.json: not JSON; publish the release again");
    }
    if (head.format !== 1) throw fail("sync/head-format", `head.json: format ${head.format}, this build reads 1`);
    if (this.#serving && head.version < this.#serving.version) {
      throw fail("sync/version-went-back", `head.json: version ${head.version}, held ${this.#serving.version}`);
    }
    this.#next = { head };
    return this.#missing();
  }

  accept(digest, bytes, computed) {
    const manifests = [this.#next?.head.manifest.digest, this.#serving?.digest];
    const named = manifests.filter((manifest) => this.#held.has(manifest)).flatMap((manifest) => parse(this.#held.get(manifest)).objects);
    const object = named.find((object) => object.digest === digest);
    const isStock = this.#next?.head.overlay?.digest === digest;
    if (object === undefined && !isStock && !manifests.includes(digest)) throw fail("sync/unexpected", `objects/${digest}: not missing`);
    if (this.#held.has(digest) && object?.kind !== "cards" && object?.kind !== "lists") return this.#missing();
    const found = computed ? hexadecimal(computed) : sha256(bytes);
    if (found !== digest) throw fail("sync/digest-mismatch", `objects/${digest}: digest ${found}; download it again`);
    // esbuild sets RUNS_ONNX.
    if (!RUNS_ONNX && digest === this.#next.head.manifest.digest && parse(bytes).engine === "tract") {
      throw fail("towers/engine", "query tower: an ONNX graph, which this build does not run; load nearshelf/onnx");
    }
    if (isStock && parse(bytes).of !== this.#next.head.manifest.digest) throw fail("overlay/manifest", "overlay: made for another manifest");
    if (isStock) this.#stock = { digest, ...parse(bytes) };
    else this.#held.set(digest, bytes);
    return this.#missing();
  }

  #missing() {
    const { digest, size } = this.#next.head.manifest;
    if (!this.#held.has(digest)) return JSON.stringify([place({ digest, size, kind: "manifest" })]);
    const manifest = parse(this.#held.get(digest));
    const one = manifest.objects.filter(({ kind }) => kind === "cards").length === 1;
    const wanted = manifest.objects.filter(({ kind }) => (kind !== "cards" || one) && kind !== "lists");
    const missing = wanted.filter((object) => !this.#held.has(object.digest)).map(place);
    if (missing.every(({ kind }) => kind === "cards")) this.#serve(manifest, digest);
    const { overlay } = this.#next.head;
    if (overlay && overlay.digest !== this.#stock?.digest) missing.push(place({ ...overlay, kind: "overlay" }));
    if (!overlay) this.#stock = undefined;
    return JSON.stringify(missing);
  }

  #serve(manifest, digest) {
    const bytes = (kind) => manifest.objects.filter((object) => object.kind === kind).map(({ digest }) => this.#held.get(digest));
    const items = new Map(bytes("shard").flatMap(parse).map(([id, words, popularity]) => [id, { words, popularity }]));
    this.#serving = { version: this.#next.head.version, manifest, digest, items, tower: manifest.objects.find(({ kind }) => kind === "tower").digest };
  }

  isReady() {
    return this.#serving !== undefined;
  }

  status() {
    const { version, manifest, items, tower } = this.#serving;
    const stock = this.#stock && { made: this.#stock.made, out: this.#stock.out.length, priced: Object.keys(this.#stock.prices).length };
    const shards = manifest.objects.filter(({ kind }) => kind === "shard");
    return JSON.stringify({
      name: manifest.name, version, stock, trust: { freshness: "unsigned" }, towers: tower, items: items.size, dim: 64,
      shards: shards.length, bytes: shards.reduce((sum, { size }) => sum + size, 0),
    });
  }

  absent() {
    return "[]";
  }

  /** One file of cards for all products, or one for each half. */
  cards(wanted) {
    const { manifest } = this.#serving;
    const files = manifest.objects.filter(({ kind }) => kind === "cards");
    const shards = manifest.objects.filter(({ kind }) => kind === "shard").map(({ digest }) => parse(this.#held.get(digest)));
    const shown = (_, at) => wanted === undefined || files.length === 1 || shards[at].some(([id]) => id === wanted);
    return JSON.stringify(files.filter(shown).map(place));
  }

  /** One file of all lists. */
  lists() {
    return JSON.stringify(this.#serving.manifest.objects.filter(({ kind }) => kind === "lists").map(place));
  }

  recommend(json) {
    const { limit, exclude, where, context, like, candidates, ...request } = JSON.parse(json);
    const history = like === undefined ? request.history : [{ id: like, type: "view" }];
    if (!Number.isInteger(limit) || limit < 1) throw fail("request/limit", `limit ${limit}: expected a whole number from 1`);
    if (!Number.isFinite(context.now)) throw fail("request/now", `now ${context.now}: expected milliseconds`);
    for (const column of Object.keys(where)) {
      if (column !== "words") throw fail("request/column", `columns: found no column ${column}, expected one of ["words"]`);
    }
    const passes = (words) => (where.words ?? words).some((word) => words.includes(word));
    const { items } = this.#serving;
    const used = history.filter(({ id }) => items.has(id)).slice(-10);
    const wanted = new Map();
    used.forEach(({ id, type }, age) => {
      const weight = (type === "view" ? 1 : 2) * (age + 1);
      for (const word of items.get(id).words) wanted.set(word, (wanted.get(word) ?? 0) + weight);
    });
    const dropped = new Set([...exclude, ...(this.#stock?.out ?? [])]);
    const priced = (row) => ({ ...row, ...(this.#stock?.prices[row.id] === undefined ? {} : { price: this.#stock.prices[row.id] }) });
    if (candidates) {
      const given = candidates.filter(([id]) => items.has(id) && !dropped.has(id) && passes(items.get(id).words));
      const rows = given.map(([id, score]) => ({ id, score })).sort((a, b) => b.score - a.score).slice(0, limit);
      return JSON.stringify({ items: rows, history: [], source: "default", timings: { tower: 0, search: 0.25, rank: 0.0625 } });
    }
    const rows = [...items].filter(([id, { words }]) => !dropped.has(id) && passes(words)).map(([id, { words, popularity }]) => ({
      id, score: words.reduce((sum, word) => sum + (wanted.get(word) ?? 0), 0) / Math.sqrt(words.length) + popularity / 1e4,
    }));
    rows.sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1));
    return JSON.stringify({
      items: rows.slice(0, limit).map(priced),
      history: used.map(({ id }) => id).toReversed(),
      source: used.length > 0 ? "history" : "default",
      timings: { tower: 0.125, search: 0.25, rank: 0.0625 },
    });
  }

  free() {
    this.#held = this.#serving = undefined;
  }
}
