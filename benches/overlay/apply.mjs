// What an overlay costs the client: `node benches/overlay/apply.mjs RELEASE OVERLAY`, with an overlay that `bench-overlay MANIFEST OVERLAY` wrote for the
// manifest of that release, which is in one shard. Prints a line of JSON: medians in milliseconds.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import start, { Engine } from "../../pkg-js/wasm/nearshelf.js";

const RUNS = 51;
const [folder, file] = process.argv.slice(2);
await start({ module_or_path: readFileSync(new URL("../../pkg-js/wasm/nearshelf_bg.wasm", import.meta.url)) });

const digest = (bytes) => createHash("sha256").update(bytes).digest();
const overlay = readFileSync(file);
const { signed } = JSON.parse(readFileSync(join(folder, "head.json"), "utf8"));
/** The head of a version, with these bytes as its overlay or without one. */
const head = (version, bytes) => {
  const named = bytes && { overlay: { digest: digest(bytes).toString("hex"), size: bytes.length } };
  return new TextEncoder().encode(JSON.stringify({ signed: { ...signed, version, ...named }, signatures: [] }));
};
const engine = new Engine();
let missing = JSON.parse(engine.setHead(head(1)));
while (missing.length > 0) missing = JSON.parse(engine.accept(missing[0].digest, readFileSync(join(folder, missing[0].path))));

const request = JSON.stringify({ limit: 12, history: [], context: {}, where: {}, exclude: [], scenario: undefined });
const timed = (work) => {
  const before = performance.now();
  const value = work();
  return [performance.now() - before, value];
};
const times = { without: [], take: [], first: [], next: [] };
let row;
for (let run = 0; run < RUNS; run += 1) {
  times.without.push(timed(() => engine.recommend(request))[0]);
  // Another moment, so another object.
  const bytes = Buffer.from(overlay);
  bytes.writeUInt32LE(run, 8);
  const computed = digest(bytes);
  engine.setHead(head(run * 2 + 2, bytes));
  times.take.push(timed(() => engine.accept(computed.toString("hex"), bytes, computed))[0]);
  const [first, answer] = timed(() => engine.recommend(request));
  row = JSON.parse(answer);
  times.first.push(first);
  times.next.push(timed(() => engine.recommend(request))[0]);
  engine.setHead(head(run * 2 + 3));
}
const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
const { items, stock } = JSON.parse(engine.setHead(head(2 * RUNS + 2, overlay)) && (engine.accept(digest(overlay).toString("hex"), overlay), engine.status()));
console.log(JSON.stringify({
  items, out: stock.out, bytes: overlay.length, row: row.items.length,
  take_ms: median(times.take), row_ms: { without: median(times.without), first: median(times.first), next: median(times.next) },
}));
