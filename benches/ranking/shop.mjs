// What the scripts of this folder share: ids and chance of the generated shop, and an engine with a release.
import { readFile } from "node:fs/promises";
import { join } from "node:path";

export const ITEMS = 100_000;
export const idOf = (item) => `i${String(item).padStart(6, "0")}`;

/** Whole numbers from 0 to below a limit (mulberry32). */
export function random(seed) {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

/** Gives an engine all of a release that it asks for; the files by their paths in the folder. */
export async function fill(engine, folder) {
  const files = { "head.json": await readFile(join(folder, "head.json")) };
  let missing = JSON.parse(engine.setHead(files["head.json"]));
  while (missing.length > 0) {
    const [{ digest, path }] = missing;
    files[path] = await readFile(join(folder, path));
    missing = JSON.parse(engine.accept(digest, files[path]));
  }
  return files;
}
