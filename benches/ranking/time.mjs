// node benches/ranking/time.mjs RELEASE REQUESTS
// Times requests to the WebAssembly build under Node: the ranker over the candidates of retrieval alone, in the scenario `plain`, and whole requests
// in the scenario `row`. Prints a line of JSON: milliseconds, of the requests after some that only warm up.
import { readFile } from "node:fs/promises";
import init, { Engine } from "../../pkg-js/wasm/nearshelf.js";
import { ITEMS, fill, idOf, random } from "./shop.mjs";

const [folder, count] = process.argv.slice(2);
const WARM_UP = 100;
const NOW = Date.UTC(2026, 1, 28, 18);

await init({ module_or_path: await readFile(new URL("../../pkg-js/wasm/nearshelf_bg.wasm", import.meta.url)) });
const engine = new Engine();
await fill(engine, folder);

const below = random(2);
const popular = () => idOf(Math.floor(ITEMS * (below(2 ** 30) / 2 ** 30) ** 4));
function history() {
  return Array.from({ length: 30 }, (_, place) => ({
    id: popular(), type: ["view", "cart", "purchase"][below(3)], at: NOW - (31 - place) * 86_400_000 - below(3_600_000),
  }));
}

/** Sorted milliseconds of requests, whole and of the stage `rank`, and the products that they showed. */
function measure(scenario, limit, exclude) {
  const [whole, rank, shown] = [[], [], []];
  for (let run = -WARM_UP; run < Number(count); run += 1) {
    const events = history();
    const past = events.slice(0, 5);
    const request = JSON.stringify({
      limit, scenario, history: events, past, context: { now: NOW }, seed: run + WARM_UP, reasons: 0,
      exclude: exclude ? events.map(({ id }) => id) : [],
    });
    const start = performance.now();
    const answer = engine.recommend(request);
    const time = performance.now() - start;
    const { items, timings } = JSON.parse(answer);
    if (run < 0) continue;
    whole.push(time);
    rank.push(timings.rank);
    shown.push(items.length);
  }
  for (const times of [whole, rank, shown]) times.sort((a, b) => a - b);
  return { whole, rank, shown };
}
const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

// What the shopper had is left out, so that exactly the hundred that retrieval finds are ranked.
const plain = measure("plain", 100, true);
const row = measure("row", 20, false);
const { items } = JSON.parse(engine.status());
console.log(JSON.stringify({
  items, candidates: at(plain.shown, 0), shown: at(row.shown, 0),
  rank_p50: at(plain.rank, 0.5), rank_p95: at(plain.rank, 0.95), row_p50: at(row.whole, 0.5), row_p95: at(row.whole, 0.95),
}));
