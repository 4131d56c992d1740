import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { fakeProducts, writeFakeRelease } from "./fake-engine/release.mjs";
import { sha256 } from "./fake-engine/sha256.js";
import { folderFetch, RELEASE, shop } from "./helpers.mjs";

const ids = ({ items }) => items.map(({ id }) => id);
const damage = (path) => {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] ^= 1;
  writeFileSync(path, bytes);
};

test("a release is fetched once, the head never from a cache, and cards only when asked for", async (t) => {
  const { folder, objects, asked, create } = await shop(t);
  const recommender = await create();
  assert.deepEqual(asked[0], { path: "head.json", cache: "no-store" });
  assert.equal(asked.length, 5);
  assert.equal(new Set(asked.map(({ path }) => path)).size, 5);
  assert.equal(recommender.card("100000"), undefined);

  const [cards, same] = await Promise.all([recommender.cards(), recommender.cards()]);
  assert.equal(cards, same);
  assert.equal(cards.size, fakeProducts().length);
  assert.equal(asked.filter(({ path }) => objects.cards.endsWith(path)).length, 1);

  const bytes = readdirSync(join(folder, "objects")).reduce((sum, name) => sum + statSync(join(folder, "objects", name)).size, statSync(join(folder, "head.json")).size);
  assert.deepEqual(recommender.status().downloaded, { files: 6, bytes });
  assert.equal(recommender.status().release.items, cards.size);
});

test("a row follows the history, leaves out what it is told, and is full", async (t) => {
  const { asked, create } = await shop(t);
  const recommender = await create({ cards: true });
  const cards = await recommender.cards();
  const requests = asked.length;
  const first = await recommender.recommendedForYou();
  assert.equal(first.source, "default");
  assert.equal(first.items.length, 12);

  const seen = [first.items[3].id, first.items[5].id];
  recommender.track("view", seen[0]);
  recommender.track("cart", seen[1]);
  recommender.track("view", "no such product");
  const exclude = [...seen, first.items[0].id];
  const row = await recommender.recommendedForYou({ limit: 20, exclude });
  assert.equal(row.source, "history");
  assert.deepEqual(row.history, seen.toReversed());
  assert.equal(row.items.length, 20);
  assert.ok(exclude.every((id) => !ids(row).includes(id)));
  assert.equal(row.items[0].card, cards.get(row.items[0].id));
  assert.notDeepEqual(ids(row).slice(0, 12), ids(first));

  await recommender.erase();
  assert.deepEqual(recommender.history(), []);
  assert.deepEqual(ids(await recommender.recommendedForYou()), ids(first));
  assert.equal(asked.length, requests, "a row must not go to the network");
});

/** Has the engine ask for these objects, round after round until each was accepted, as of a release in clusters. */
function inClusters({ nearshelf, folder }, rounds) {
  const objects = rounds.map((round) => round.map((name) => {
    const bytes = new TextEncoder().encode(name);
    const digest = sha256(bytes);
    writeFileSync(join(folder, "objects", digest), bytes);
    return { path: `objects/${digest}`, digest, size: bytes.length, kind: "shard" };
  }));
  const accepted = new Set();
  const { accept } = nearshelf.Engine.prototype;
  nearshelf.Engine.prototype.accept = function (...object) {
    const [digest] = object;
    if (!objects.flat().some((one) => one.digest === digest)) return accept.apply(this, object);
    accepted.add(digest);
    return "[]";
  };
  const asked = [];
  nearshelf.Engine.prototype.absent = (request) => {
    asked.push(JSON.parse(request));
    const open = (round) => round.filter(({ digest }) => !accepted.has(digest));
    return JSON.stringify(open(objects.find((round) => open(round).length > 0) ?? []));
  };
  return { objects: objects.flat(), asked };
}

test("a filter reaches the engine, and one that it refuses is the shop's error, not a failed download", async (t) => {
  const { create } = await shop(t);
  const recommender = await create({ cards: true });
  const cards = await recommender.cards();
  const { items } = await recommender.recommendedForYou({ filters: { words: ["BEEF", "BREAD"] } });
  assert.ok(items.length > 0 && items.every(({ id }) => /BEEF|BREAD/.test(cards.get(id).title + cards.get(id).category)));
  const refused = { name: "NearshelfError", code: "request/column" };
  await assert.rejects(recommender.recommendedForYou({ filters: { colour: ["red"] } }), refused);
  assert.equal(recommender.status().lastError, undefined);
});

test("where every part of the catalogue has its own cards, a row brings those of what it shows", async (t) => {
  const made = await shop(t);
  writeFakeRelease(made.folder, { version: 2, cardsByShard: true });
  const recommender = await made.create({ cards: true });
  const before = made.asked.length;
  const products = fakeProducts();
  const half = Math.ceil(products.length / 2);
  const place = (id) => products.findIndex((product) => product.id === id);
  const first = await recommender.recommendedForYou({ limit: 5, exclude: products.slice(half).map(({ id }) => id) });
  assert.ok(first.items.every(({ id, card }) => place(id) < half && card.title === products[place(id)].title));
  assert.equal(made.asked.length, before + 1, "the cards of the other half were not needed");
  await recommender.recommendedForYou({ limit: 5, exclude: products.slice(half).map(({ id }) => id) });
  assert.equal(made.asked.length, before + 1, "cards are fetched once");
  const all = await recommender.cards();
  assert.deepEqual([...all.keys()], products.map(({ id }) => id));
  assert.equal(made.asked.length, before + 2);
  assert.equal(await recommender.cards(), all);

  const dearer = products.map((product) => ({ ...product, price: 1 }));
  dearer[0] = { ...dearer[0], id: "new" };
  writeFakeRelease(made.folder, { version: 3, cardsByShard: true, products: dearer });
  await recommender.sync();
  const { items: renewed } = await recommender.recommendedForYou({ limit: products.length });
  assert.ok(renewed.some(({ id }) => id === "new"));
  assert.ok(renewed.every(({ card }) => card?.price === 1), "a card is of the release before");

  const plain = await made.create();
  const { items } = await plain.recommendedForYou();
  assert.ok(items.every(({ card }) => card === undefined), "a shop that asks for no cards gets none");
});

test("what a release before named goes when a newer one serves", async (t) => {
  for (const cardsByShard of [false, true]) {
    const { folder, asked, create } = await shop(t);
    const lists = { format: 1, bucket: 0, buckets: 1, items: [], lists: {} };
    const products = fakeProducts();
    const renamed = products.map((product) => ({ ...product, id: `new ${product.id}` }));
    const old = writeFakeRelease(folder, { version: 2, cardsByShard, lists });
    const recommender = await create({ cards: true });
    const { items: [before] } = await recommender.recommendedForYou();
    await recommender.trendingItems();
    assert.ok(recommender.card(before.id));
    for (const [version, next] of [[3, { products: renamed }], [4, { products, lists }]]) {
      writeFakeRelease(folder, { version, cardsByShard, ...next });
      await recommender.sync();
      const { items: [after] } = await recommender.recommendedForYou();
      assert.ok(recommender.card(after.id));
      assert.equal(recommender.card(before.id) === undefined, version === 3);
    }
    // What was held of it is fetched again when it is named again.
    await recommender.trendingItems();
    assert.equal(asked.filter(({ path }) => old.lists.endsWith(path)).length, 2);
  }
});

test("the engine is told the segment before the head, and refuses one that there is not", async (t) => {
  const { create, asked } = await shop(t);
  await create({ segment: "de" });
  const before = asked.length;
  await assert.rejects(create({ segment: "nowhere" }), { name: "NearshelfError", code: "request/segment" });
  assert.equal(asked.length, before + 1, "it is no damaged download, which would be tried again");
});

test("clusters are fetched round by round before the row, once for rows at the same time, and not again", async (t) => {
  const made = await shop(t);
  const { objects } = inClusters(made, [["bucket"], ["cluster 1", "cluster 2", "cluster 3"]]);
  const recommender = await made.create();
  const before = made.asked.length;
  await Promise.all([recommender.recommendedForYou(), recommender.recommendedForYou()]);
  const paths = made.asked.slice(before).map(({ path }) => path);
  assert.equal(paths[0], objects[0].path, "where the history is comes first");
  assert.deepEqual(paths.slice(1).sort(), objects.slice(1).map(({ path }) => path).sort());
  await recommender.recommendedForYou();
  assert.equal(made.asked.length, before + objects.length);
});

test("a cluster that cannot be had costs no row, and the reason goes when it comes", async (t) => {
  const made = await shop(t);
  const { objects: [gone], asked } = inClusters(made, [["cluster"]]);
  const recommender = await made.create();
  const kept = readFileSync(join(made.folder, gone.path));
  rmSync(join(made.folder, gone.path));
  recommender.track("view", "100000");
  assert.equal((await recommender.recommendedForYou()).items.length, 12);
  assert.equal(recommender.status().lastError.code, "download/http-status");
  assert.deepEqual(asked.at(-1).history, [], "what a row without history needs is brought all the same");
  writeFileSync(join(made.folder, gone.path), kept);
  await recommender.recommendedForYou();
  assert.equal(recommender.status().lastError, undefined);
});

test("the engine is told the shopper's wall clock, and the context of the row before that of the recommender", async (t) => {
  const { nearshelf, create } = await shop(t);
  const recommender = await create({ context: { location: "north", attributes: { age: "25-34" } } });
  const { recommend } = nearshelf.Engine.prototype;
  const requests = [];
  nearshelf.Engine.prototype.recommend = function (json) {
    requests.push(JSON.parse(json));
    return recommend.call(this, json);
  };
  const now = new Date(2024, 6, 1, 18, 30).getTime();
  recommender.track("view", "100000");
  await recommender.recommendedForYou({ context: { now, location: "south" } });
  recommender.setContext({});
  await recommender.recommendedForYou({ context: { now } });
  const wallClock = Date.UTC(2024, 6, 1, 18, 30);
  assert.deepEqual(requests[0].context, { now: wallClock, location: "south", attributes: { age: "25-34" } });
  assert.deepEqual(requests[1].context, { now: wallClock });
  const [{ at }] = recommender.history();
  assert.equal(requests[0].history[0].at, at - new Date(at).getTimezoneOffset() * 60_000);
});

test("what must not be tracked or asked is refused by name", async (t) => {
  const { nearshelf, create } = await shop(t);
  const recommender = await create();
  assert.throws(() => recommender.track("glance", "100000"), { name: "NearshelfError", code: "request/event" });
  assert.throws(() => recommender.track("view", ""), { code: "request/event" });
  const refused = recommender.recommendedForYou({ limit: 0 });
  await assert.rejects(refused, (error) => error instanceof nearshelf.NearshelfError && error.code === "request/limit");
  recommender.close();
  recommender.close();
  assert.throws(() => recommender.status(), { code: "recommender/closed" });
  await assert.rejects(recommender.recommendedForYou(), { code: "recommender/closed" });
});

test("the engine is freed only when neither the release nor the storage is being read", async (t) => {
  const { nearshelf, create } = await shop(t);
  const log = [];
  nearshelf.Engine.prototype.free = () => log.push("freed");
  const load = () => new Promise((_, reject) => setImmediate(() => {
    log.push("load ended");
    reject(new Error("forbidden"));
  }));
  const fetch = () => Promise.reject(new TypeError("offline"));
  await assert.rejects(create({ fetch, storage: { load }, consent: true }), { code: "download/network" });
  assert.deepEqual(log, ["load ended", "freed"]);
});

test("a damaged object is asked for past the cache, then named, and a new attempt starts clean", async (t) => {
  const { objects, asked, create } = await shop(t);
  const good = readFileSync(objects.shard);
  damage(objects.shard);
  await assert.rejects(create(), { name: "NearshelfError", code: "sync/digest-mismatch" });
  const path = objects.shard.slice(objects.shard.indexOf("objects/"));
  assert.deepEqual(asked.filter((request) => request.path === path).map(({ cache }) => cache), [undefined, "reload"]);
  writeFileSync(objects.shard, good);
  assert.equal((await (await create()).recommendedForYou()).items.length, 12);
});

/** Has `crypto` be something else until the test ends. */
function withCrypto(t, value) {
  const kept = Object.getOwnPropertyDescriptor(globalThis, "crypto");
  Object.defineProperty(globalThis, "crypto", { value, configurable: true });
  t.after(() => Object.defineProperty(globalThis, "crypto", kept));
}

/** What the engine was given as the digest of each object. */
function computedDigests({ nearshelf }) {
  const given = [];
  const { accept } = nearshelf.Engine.prototype;
  nearshelf.Engine.prototype.accept = function (digest, bytes, computed) {
    given.push([digest, computed && Buffer.from(computed).toString("hex")]);
    return accept.call(this, digest, bytes, computed);
  };
  return given;
}

test("the host computes the digest of every object, cards too, and damage is found by it", async (t) => {
  const made = await shop(t);
  const given = computedDigests(made);
  const recommender = await made.create({ cards: true });
  await recommender.cards();
  assert.equal(given.length, 5);
  for (const [named, computed] of given) assert.equal(computed, named);
  damage(made.objects.tower);
  await assert.rejects(made.create(), { code: "sync/digest-mismatch" });
  const [named, computed] = given.at(-1);
  assert.match(computed, /^[0-9a-f]{64}$/);
  assert.notEqual(computed, named);
});

test("where the host computes no digest, or fails to, the engine does, and finds damage too", async (t) => {
  const failing = { subtle: { digest: () => Promise.reject(new DOMException("no", "OperationError")) } };
  for (const crypto of [undefined, {}, failing]) {
    await t.test(JSON.stringify(crypto) ?? "no crypto", async (t) => {
      const made = await shop(t);
      const given = computedDigests(made);
      withCrypto(t, crypto);
      assert.equal((await (await made.create()).recommendedForYou()).items.length, 12);
      assert.deepEqual(given.map(([, computed]) => computed), [undefined, undefined, undefined, undefined]);
      damage(made.objects.shard);
      await assert.rejects(made.create(), { code: "sync/digest-mismatch" });
    });
  }
});

test("closing while the host computes a digest hands nothing to the freed engine", async (t) => {
  const made = await shop(t);
  const { subtle } = crypto;
  let digesting;
  const started = new Promise((resolve) => {
    digesting = resolve;
  });
  const recommender = await made.create();
  writeFakeRelease(made.folder, { version: 2, products: fakeProducts().slice(40) });
  let go;
  const held = new Promise((resolve) => {
    go = resolve;
  });
  withCrypto(t, { subtle: { digest: async (...request) => {
    digesting();
    await held;
    return subtle.digest(...request);
  } } });
  const given = computedDigests(made);
  const syncing = recommender.sync();
  await started;
  recommender.close();
  go();
  await assert.rejects(syncing, { code: "recommender/closed" });
  assert.deepEqual(given, []);
});

test("failures of the transport carry their own codes", async (t) => {
  const { nearshelf, folder, create } = await shop(t);
  const answering = (answer) => create({ fetch: async (address, request) => answer(address) ?? folderFetch(folder).fetch(address, request) });
  await assert.rejects(create({ release: "https://shop.test/elsewhere" }), { code: "download/http-status" });
  await assert.rejects(create({ release: "no address" }), { code: "release/address" });
  await assert.rejects(answering(() => Promise.reject(new TypeError("offline"))), { code: "download/network" });
  await assert.rejects(answering(() => new Response(new Uint8Array(2049))), { code: "download/too-large" });
  await assert.rejects(answering(() => new Response("{")), { code: "sync/head-malformed" });
  nearshelf.Engine.prototype.setHead = () => JSON.stringify([{ path: "https://elsewhere.test/x", digest: "", size: 1, kind: "manifest" }]);
  await assert.rejects(create(), { code: "download/outside-release" });
  nearshelf.Engine.prototype.setHead = () => {
    throw new WebAssembly.RuntimeError("unreachable");
  };
  await assert.rejects(create(), { code: "engine/failed" });
});

test("what the engine says of any part of a release keeps its code, and the part is fetched once more past the cache", async (t) => {
  for (const code of ["shard/digest", "delta/base", "columns/truncated", "directory/magic"]) {
    const { nearshelf, asked, create } = await shop(t);
    nearshelf.Engine.prototype.accept = () => {
      throw Object.assign(new Error("damaged; download it again"), { code });
    };
    await assert.rejects(create(), { code });
    assert.deepEqual(asked.slice(1).map(({ cache }) => cache), [undefined, "reload"], code);
  }
});

test("an endless body is cut at the declared size", async (t) => {
  const { create } = await shop(t);
  let pulled = 0;
  let cancelled = false;
  const endless = () => new Response(new ReadableStream({
    pull: (controller) => {
      pulled += 1000;
      controller.enqueue(new Uint8Array(1000));
    },
    cancel: () => {
      cancelled = true;
    },
  }));
  await assert.rejects(create({ fetch: async () => endless() }), { code: "download/too-large" });
  assert.ok(cancelled);
  assert.ok(pulled < 10_000, `${pulled} bytes were read`);
});

test("a newer release swaps whole; a failed sync keeps the last good one and says why", async (t) => {
  const { folder, asked, create } = await shop(t);
  const recommender = await create({ cards: true });
  await recommender.cards();
  const before = ids(await recommender.recommendedForYou());

  const fewer = fakeProducts().slice(40).map((product) => ({ ...product, popularity: 500 - product.popularity }));
  const objects = writeFakeRelease(folder, { version: 2, products: fewer });
  damage(objects.shard);
  await assert.rejects(recommender.sync(), { code: "sync/digest-mismatch" });
  assert.equal(recommender.status().release.version, 1);
  assert.equal(recommender.status().lastError.code, "sync/digest-mismatch");
  assert.deepEqual(ids(await recommender.recommendedForYou()), before);

  damage(objects.shard);
  const requests = asked.length;
  await Promise.all([recommender.sync(), recommender.sync()]);
  assert.equal(asked.slice(requests).filter(({ path }) => path === "head.json").length, 1);
  assert.equal(recommender.status().release.version, 2);
  assert.equal(recommender.status().lastError, undefined);
  assert.equal((await recommender.cards()).size, fewer.length);
  assert.notDeepEqual(ids(await recommender.recommendedForYou()), before);
});

test("closing ends the downloads", async (t) => {
  const { create, folder } = await shop(t);
  const release = folderFetch(folder);
  let hold = () => undefined;
  const recommender = await create({ fetch: (...request) => hold(...request) ?? release.fetch(...request) });
  hold = (_, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const syncing = recommender.sync();
  recommender.close();
  await assert.rejects(syncing, { code: "recommender/closed" });
});

test("a release that needs the larger engine gets it, at the start or with a sync, and others do not load it", async (t) => {
  const { nearshelf, folder, asked, create } = await shop(t);
  const larger = join(nearshelf.folder, "wasm-onnx/nearshelf_onnx.js");
  const started = async () => {
    const { Engine } = await import(pathToFileURL(larger).href);
    try {
      return Boolean(new Engine());
    } catch {
      return false;
    }
  };
  const recommender = await create();
  recommender.track("view", fakeProducts()[3].id);
  assert.equal(await started(), false, "the release in use needs no larger engine");

  const manifest = writeFakeRelease(folder, { version: 2, engine: "tract" }).manifest;
  const requests = asked.length;
  const { downloaded } = recommender.status();
  const row = recommender.recommendedForYou();
  await Promise.all([recommender.sync(), recommender.sync(), row]);
  assert.ok(await started());
  const { release, downloaded: now, lastError } = recommender.status();
  assert.deepEqual([release.version, lastError], [2, undefined]);
  assert.ok(now.files > downloaded.files && now.bytes > downloaded.bytes);
  // Once for each engine: what an engine cannot run is not fetched again as if it were damaged.
  assert.equal(asked.slice(requests).filter(({ path }) => manifest.endsWith(path)).length, 2);
  assert.deepEqual((await recommender.recommendedForYou()).history, (await row).history);

  const another = await create();
  assert.equal(another.status().release.version, 2);
  writeFakeRelease(folder, { version: 3 });
  await recommender.sync();
  assert.equal(recommender.status().release.version, 3);
});

test("the larger engine alone serves any release, and where it cannot be loaded the reason is said", async (t) => {
  const { nearshelf, folder, create } = await shop(t);
  const recommender = await create();
  writeFakeRelease(folder, { version: 2, engine: "tract" });
  const broken = join(nearshelf.folder, "wasm-onnx/nearshelf_onnx_bg.wasm");
  const wasm = readFileSync(broken);
  writeFileSync(broken, "no module");
  await assert.rejects(recommender.sync(), { code: "init/wasm" });
  assert.equal(recommender.status().release.version, 1);
  await assert.rejects(create(), { code: "init/wasm" });
  writeFileSync(broken, wasm);
  await recommender.sync();
  assert.equal(recommender.status().release.version, 2);

  const onnx = await import(pathToFileURL(join(nearshelf.folder, "dist/onnx.js")).href);
  for (const options of [{ version: 3, engine: "tract" }, { version: 4 }]) {
    writeFakeRelease(folder, options);
    const direct = await onnx.createRecommender({ release: RELEASE, fetch: folderFetch(folder).fetch });
    assert.equal((await direct.recommendedForYou()).items.length, 12);
  }
});

test("the larger entry takes its one engine by either name", async (t) => {
  const { nearshelf, folder } = await shop(t);
  const onnx = await import(pathToFileURL(join(nearshelf.folder, "dist/onnx.js")).href);
  const { fetch } = folderFetch(folder);
  for (const name of ["wasm", "wasmOnnx"]) {
    await assert.rejects(onnx.createRecommender({ release: RELEASE, fetch, [name]: Uint8Array.of(1, 2, 3) }), { code: "init/wasm" });
  }
});
