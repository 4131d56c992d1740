// node benches/towers/generate.mjs OUT
// Sequences and a catalogue of the size of Amazon Beauty, for measuring time where that is not at hand: few items have most of the
// events, and titles and categories are random.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [out] = process.argv.slice(2);
const [USERS, ITEMS, LEVELS, WORDS] = [22_363, 12_101, 5, 8];

let state = 1;
/** A number from 0 to below 1 (mulberry32). */
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const below = (limit) => Math.floor(random() * limit);

const levels = Array.from({ length: LEVELS }, (_, level) => `category_${level + 1}`);
const items = [["item", "title", "brand", ...levels]];
for (let item = 0; item < ITEMS; item += 1) {
  const title = Array.from({ length: WORDS }, () => `word${below(5000)}`).join(" ");
  const depth = 2 + below(LEVELS - 1);
  const path = levels.map((_, level) => (level < depth ? `c${below(4)}` : ""));
  items.push([`i${String(item).padStart(5, "0")}`, title, `brand${below(2000)}`, ...path]);
}
const events = [["user", "item", "position"]];
for (let user = 0; user < USERS; user += 1) {
  const length = 5 + Math.floor(-3.9 * Math.log(1 - random()));
  for (let position = 0; position < length; position += 1) {
    const item = Math.floor(ITEMS * random() ** 3);
    events.push([`u${String(user).padStart(5, "0")}`, `i${String(item).padStart(5, "0")}`, String(position)]);
  }
}

mkdirSync(out, { recursive: true });
const csv = (name, rows) => writeFileSync(join(out, name), rows.map((row) => `${row.join(",")}\n`).join(""));
csv("events.csv", events);
csv("items.csv", items);
console.log(`${events.length - 1} events and ${items.length - 1} items in ${out}`);
