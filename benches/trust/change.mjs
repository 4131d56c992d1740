// node change.mjs FOLDER: what a change of a catalogue costs a client that holds all its shards, from end to end: FOLDER/before and FOLDER/after are releases of
// clusters, served over HTTP and signed here. Prints JSON: shards that were held, the bytes of the change as they went over the wire, those of the whole
// index, how many of 20 rows are not those of a client that begins with the new release, and the most
// requests at a time.
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { createRecommender } from "../../pkg-js/dist/node.js";
import { Shop } from "./shop.mjs";

const [folder] = process.argv.slice(2);
const ROWS = 20;

const releases = ["before", "after"].map((name) => {
  const files = (path) => readFileSync(join(folder, name, path));
  const { signed: { manifest } } = JSON.parse(files("head.json"));
  return { manifest, content: JSON.parse(files(`objects/${manifest.digest}`)), objects: readdirSync(join(folder, name, "objects")).map((object) => [`objects/${object}`, files(`objects/${object}`)]) };
});
const [before, after] = releases;
const shop = new Shop(releases, new Map(releases.flatMap(({ objects }) => objects)));
shop.publish(0);

const sent = new Map();
/** Answers on their way, and the most there were. */
let [asked, most] = [0, 0];
const server = createServer(async (request, response) => {
  const path = new URL(request.url, "http://host").pathname.slice(1);
  const bytes = shop.files.get(path);
  if (bytes === undefined) return response.writeHead(404).end();
  sent.set(path, (sent.get(path) ?? 0) + bytes.length);
  asked += 1;
  most = Math.max(most, asked);
  // Long enough that those of one row meet.
  await new Promise((resolve) => setTimeout(resolve, 5));
  asked -= 1;
  response.end(bytes);
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const release = `http://127.0.0.1:${server.address().port}/`;
const open = () => createRecommender({ release, publicKey: shop.publicKey });

const client = await open();
const shards = new Set(before.content.shards.map(({ object }) => `objects/${object.digest}`));
const held = () => [...sent.keys()].filter((path) => shards.has(path)).length;
/** Numbers by a fixed walk over the ids: every shopper sees another item. */
const item = (nth) => String((nth * 7919) % before.content.items);
for (let nth = 0; held() < shards.size && nth < 20_000; nth += 1) await client.relatedProducts(item(nth), { limit: 1 });
const holds = held();

sent.clear();
shop.publish(1);
await client.sync();
const bytes = [...sent.values()].reduce((sum, size) => sum + size, 0);
const whole = new Set([after.manifest.digest]);
JSON.stringify(after.content, (_, value) => {
  if (typeof value?.digest === "string") whole.add(value.digest);
  return value;
});
const all = [...whole].reduce((sum, digest) => sum + shop.files.get(`objects/${digest}`).length, 0);

const fresh = await open();
let differ = 0;
for (let nth = 0; nth < ROWS; nth += 1) {
  const rows = [];
  for (const one of [client, fresh]) rows.push(JSON.stringify((await one.relatedProducts(item(nth * 31), { limit: 20 })).items.map(({ id, score }) => [id, score])));
  if (rows[0] !== rows[1]) differ += 1;
}
console.log(JSON.stringify({ shards: shards.size, holds, bytes, all, rows: ROWS, differ, most, version: client.status().release.version }));
client.close();
fresh.close();
server.close();
server.closeAllConnections();
