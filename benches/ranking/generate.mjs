// node benches/ranking/generate.mjs OUT
// Events and a catalogue of 100,000 items for large.toml: few items have most of the events, and shoppers keep to some shelves.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ITEMS, idOf, random } from "./shop.mjs";

const [out] = process.argv.slice(2);
const [USERS, BASKETS, SHELVES, FROM, DAYS] = [1500, 8, 40, Date.UTC(2025, 8, 1) / 1000, 210];

const below = random(1);
const items = [["item", "title", "brand", "price", "category_1", "category_2"]];
for (let item = 0; item < ITEMS; item += 1) {
  const shelf = item % SHELVES;
  const title = Array.from({ length: 4 }, () => `word${below(5000)}`).join(" ");
  items.push([idOf(item), title, `brand ${below(500)}`, (0.2 + below(5000) / 100).toFixed(2), `shelf ${shelf}`, `board ${shelf}-${below(10)}`]);
}
const events = [["user", "item", "time", "basket"]];
for (let user = 0; user < USERS; user += 1) {
  const shelves = [below(SHELVES), below(SHELVES), below(SHELVES)];
  for (let basket = 0; basket < BASKETS; basket += 1) {
    const time = FROM + Math.floor(((basket + below(1000) / 1000) * DAYS * 86_400) / BASKETS);
    for (let left = 1 + below(6); left > 0; left -= 1) {
      // To the fourth power: most of what is sold is some of what there is.
      const rank = Math.floor((ITEMS / SHELVES) * (below(2 ** 30) / 2 ** 30) ** 4);
      events.push([`u${user}`, idOf(rank * SHELVES + shelves[below(3)]), time, `${user}-${basket}`]);
    }
  }
}
// What nobody bought is not in the catalogue: everything is bought once.
for (let item = 0; item < ITEMS; item += 1) {
  const [user, basket] = [item % USERS, below(BASKETS)];
  events.push([`u${user}`, idOf(item), FROM + Math.floor(((basket + 0.5) * DAYS * 86_400) / BASKETS), `${user}-${basket}`]);
}

mkdirSync(out, { recursive: true });
const csv = (name, rows) => writeFileSync(join(out, name), rows.map((row) => `${row.join(",")}\n`).join(""));
csv("events.csv", events);
csv("items.csv", items);
console.log(`${events.length - 1} events and ${items.length - 1} items in ${out}`);
