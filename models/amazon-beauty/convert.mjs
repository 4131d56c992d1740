// cargo xtask data FOLDER, or: node models/amazon-beauty/convert.mjs FOLDER OUT
// Turns the sequences of Amazon Beauty (one line per user) into events.csv and items.csv, which `nearshelf prepare` reads.
//
// The source has an order and no times: an event's time is its place in the sequence, in seconds. `attributes` is a category path
// behind the brand, where there is one: the six departments are what a path starts with, so anything else in front is a brand.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

const DEPARTMENTS = ["Bath & Body", "Fragrance", "Hair Care", "Makeup", "Skin Care", "Tools & Accessories"];
const LEVELS = 5;
const ENTITIES = { "&#39;": "'", "&amp;": "&", "&quot;": '"', "&lt;": "<", "&gt;": ">" };

const [from, out] = process.argv.slice(2);
if (!from || !out) {
  console.error("usage: node models/amazon-beauty/convert.mjs FOLDER OUT; FOLDER holds sequences.tsv.gz and items.tsv.gz");
  process.exit(1);
}

/** The rows of a table behind its header, each cut at its tabs. */
function rows(name, header) {
  const [first, ...lines] = gunzipSync(readFileSync(join(from, name))).toString("utf8").trimEnd().split("\n");
  if (first !== header.join("\t")) {
    throw new Error(`${name}: header '${first}', expected ${header.join(", ")}; take the files that the model card names`);
  }
  return lines.map((line) => line.split("\t"));
}

const plain = (text) => text.replace(/&(#39|amp|quot|lt|gt);/g, (entity) => ENTITIES[entity]);
const field = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const csv = (name, lines) => writeFileSync(join(out, name), lines.map((line) => `${line.map(field).join(",")}\n`).join(""));

const events = [["user", "item", "position"]];
for (const [user, sequence] of rows("sequences.tsv.gz", ["user_id", "item_ids_in_time_order"])) {
  sequence.split(" ").forEach((item, position) => events.push([user, item, String(position)]));
}

const levels = Array.from({ length: LEVELS }, (_, level) => `category_${level + 1}`);
const items = [["item", "title", "brand", ...levels]];
for (const [item, title, attributes] of rows("items.tsv.gz", ["item_id", "title", "attributes"])) {
  const parts = attributes.split("|").map(plain);
  const brand = DEPARTMENTS.includes(parts[0]) ? "" : parts.shift();
  items.push([item, plain(title), brand, ...levels.map((_, level) => parts[level] ?? "")]);
}

mkdirSync(out, { recursive: true });
csv("events.csv", events);
csv("items.csv", items);
console.log(`${events.length - 1} events and ${items.length - 1} items in ${out}`);
