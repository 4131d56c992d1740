// Times a query tower in WebAssembly under Node: node time.mjs GLUE.js MODULE.wasm TOWER. Prints JSON: items of its history, median
// microseconds of a run, bytes of the file, raw and brotli.

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { brotliCompressSync } from "node:zlib";

const ROUNDS = 30;
const RUNS = 100;

const [glue, module, file] = process.argv.slice(2);
const { initSync, Tower } = await import(pathToFileURL(glue));
initSync({ module: await readFile(module) });
const bytes = await readFile(file);
const tower = new Tower(bytes);

const rounds = Array.from({ length: ROUNDS }, () => {
  const start = performance.now();
  for (let run = 0; run < RUNS; run += 1) tower.run();
  return ((performance.now() - start) * 1000) / RUNS;
});
rounds.sort((a, b) => a - b);
const microseconds = rounds[ROUNDS / 2];
console.log(JSON.stringify({ items: tower.items, microseconds, raw: bytes.length, brotli: brotliCompressSync(bytes).length }));
