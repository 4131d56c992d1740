// The calls beside the shopper's own row, and what goes out to the shop.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeProducts, writeFakeRelease } from "./fake-engine/release.mjs";
import { EVENTS, folderFetch, freshPackage, inbox, RELEASE, settled, temporaryFolder } from "./helpers.mjs";

async function shop(t, { lists, products, ...options } = {}) {
  const nearshelf = await freshPackage(t);
  const folder = temporaryFolder(t);
  writeFakeRelease(folder, { lists, products });
  const { fetch, asked } = folderFetch(folder);
  const recommender = await nearshelf.createRecommender({ release: RELEASE, fetch, ...options });
  t.after(() => recommender.close());
  return { nearshelf, folder, recommender, asked };
}

const ids = ({ items }) => items.map(({ id }) => id);
const [first, second, third] = fakeProducts().map(({ id }) => id);

test("a row says what it was made of, why each product is in it, and names itself", async (t) => {
  const { recommender } = await shop(t);
  const before = await recommender.recommendedForYou({ limit: 3 });
  assert.deepEqual(before.items.map(({ reason }) => reason), ["default", "default", "default"]);
  assert.deepEqual(before.status, { name: "made-up", version: 1, freshness: "fresh" });
  recommender.track("view", first);
  const row = await recommender.recommendedForYou();
  assert.ok(row.items.every(({ reason }) => reason === "history") && row.source === "history");
  assert.match(row.recommendationId, /^[0-9a-f-]{32,36}$/);
  assert.notEqual(row.recommendationId, before.recommendationId);
  assert.equal(row.empty, undefined);
});

test("a row of a shop that asks for cards waits for them, and comes without where they fail", async (t) => {
  const { createRecommender } = await freshPackage(t);
  const folder = temporaryFolder(t);
  const { cards } = writeFakeRelease(folder);
  const { fetch } = folderFetch(folder);
  const firstRow = async (cardsFetch) => {
    const answer = (address, options) => (cards.endsWith(address.split("/").at(-1)) ? cardsFetch(address, options) : fetch(address, options));
    const recommender = await createRecommender({ release: RELEASE, cards: true, fetch: answer });
    t.after(() => recommender.close());
    return (await recommender.recommendedForYou()).items.map(({ card }) => card?.title !== undefined);
  };
  const late = (...asked) => new Promise((done) => { setTimeout(() => done(fetch(...asked)), 100); });
  assert.deepEqual(await firstRow(late), Array(12).fill(true));
  assert.deepEqual(await firstRow(() => Promise.reject(new TypeError("offline"))), Array(12).fill(false));
});

test("products of a product are the same whoever asks, without it, and none of one that is not known", async (t) => {
  const { recommender } = await shop(t);
  for (const [call, reason] of [["relatedProducts", "related"], ["lookingSimilar", "similar"]]) {
    const row = await recommender[call](first, { limit: 5 });
    assert.equal(row.items.length, 5);
    assert.ok(!ids(row).includes(first) && row.items.every((item) => item.reason === reason) && row.source === "item");
    recommender.track("purchase", third);
    assert.deepEqual(ids(await recommender[call](first, { limit: 5 })), ids(row));
    const none = await recommender[call]("no such product");
    assert.deepEqual([none.items, none.empty], [[], "unknown-item"]);
  }
});

test("a threshold, filters, a transformation and a signal shape a row", async (t) => {
  const { recommender } = await shop(t);
  recommender.track("view", first);
  const whole = await recommender.recommendedForYou({ limit: 8 });
  const least = whole.items[3].score;
  const best = await recommender.recommendedForYou({ limit: 8, threshold: least });
  assert.deepEqual(ids(best), ids(whole).slice(0, best.items.length));
  assert.ok(best.items.length >= 4 && best.items.every(({ score }) => score >= least));
  const reversed = await recommender.recommendedForYou({ limit: 8, transformItems: (items) => items.toReversed() });
  assert.deepEqual(ids(reversed), ids(whole).toReversed());
  const nothing = await recommender.recommendedForYou({ threshold: Infinity });
  assert.deepEqual([nothing.items, nothing.empty], [[], "nothing-passed"]);
  await assert.rejects(recommender.recommendedForYou({ signal: AbortSignal.abort() }), { name: "AbortError" });
  const controller = new AbortController();
  const row = recommender.recommendedForYou({ signal: controller.signal });
  controller.abort(new Error("left"));
  await assert.rejects(row, /left/);
});

const LISTS = {
  format: 1, bucket: 0, buckets: 1, items: [first, second, third, "gone from the shop"],
  lists: {
    [`together\u001f${first}`]: [1, 500, 2, 250, 3, 900],
    [`together\u001f${second}`]: [2, 400, 0, 500],
    trending: [2, 3500, 0, -1200],
    "trending\u001fGROCERY\u001fSOUP": [1, 100],
  },
};

test("what is bought together comes from the release's baskets, for a product and for a cart", async (t) => {
  const { recommender, asked } = await shop(t, { lists: LISTS });
  const before = asked.length;
  const row = await recommender.frequentlyBoughtTogether(first);
  assert.equal(asked.length, before + 1, "lists are fetched when they are first asked for");
  assert.deepEqual(row.items.map(({ id, score, reason }) => [id, score, reason]), [[second, 0.5, "together"], [third, 0.25, "together"]]);
  assert.deepEqual([row.source, row.empty], ["item", undefined]);
  const cart = await recommender.frequentlyBoughtTogether([first, second, "unheard of"], { limit: 3 });
  assert.deepEqual(cart.items.map(({ id, score }) => [id, score]), [[third, 0.65]]);
  assert.deepEqual(ids(await recommender.frequentlyBoughtTogether(first, { threshold: 0.3, exclude: [third] })), [second]);
  assert.equal((await recommender.frequentlyBoughtTogether(first, { exclude: [second, third] })).empty, "nothing-passed");
  for (const nothing of [third, [], "unheard of"]) {
    const none = await recommender.frequentlyBoughtTogether(nothing);
    assert.deepEqual([none.items, none.empty], [[], "no-data"]);
  }
  assert.equal(asked.length, before + 1);
});

test("what sells better than it did is listed for the shop and for each category", async (t) => {
  const { recommender } = await shop(t, { lists: LISTS });
  const row = await recommender.trendingItems();
  assert.deepEqual(row.items.map(({ id, score, reason }) => [id, score, reason]), [[third, 3.5, "trending"], [first, -1.2, "trending"]]);
  assert.equal(row.source, "shop");
  assert.deepEqual(ids(await recommender.trendingItems({ threshold: 0 })), [third]);
  assert.deepEqual(ids(await recommender.trendingItems({ category: ["GROCERY", "SOUP"] })), [second]);
  assert.equal((await recommender.trendingItems({ category: "GROCERY" })).empty, "no-data");
});

test("a list, a card and all cards that are asked for while a newer release comes are of the newer one", async (t) => {
  const { createRecommender } = await freshPackage(t);
  const folder = temporaryFolder(t);
  const withScore = (score) => ({ ...LISTS, lists: { [`together\u001f${first}`]: [1, score] } });
  const before = writeFakeRelease(folder, { lists: withScore(500) });
  const { fetch } = folderFetch(folder);
  let go;
  const gate = new Promise((resolve) => { go = resolve; });
  const held = [before.lists, before.cards].map((path) => path.split("/").at(-1));
  const answer = async (address, options) => {
    const response = await fetch(address, options);
    if (held.some((name) => address.endsWith(name))) await gate;
    return response;
  };
  const recommender = await createRecommender({ release: RELEASE, fetch: answer, cards: true });
  t.after(() => recommender.close());
  const asked = [recommender.frequentlyBoughtTogether(first), recommender.cards()];
  await settled();
  writeFakeRelease(folder, { version: 2, lists: withScore(600), products: fakeProducts().map((product) => ({ ...product, price: 1 })) });
  await recommender.sync();
  go();
  const [row, cards] = await Promise.all(asked);
  assert.deepEqual(row.items.map(({ id, score, card }) => [id, score, card?.price]), [[second, 0.6, 1]]);
  assert.equal(cards.get(first).price, 1);
});

test("a release without lists says that it has no data, and a malformed one what is wrong", async (t) => {
  const { recommender } = await shop(t);
  assert.equal((await recommender.trendingItems()).empty, "no-data");
  for (const broken of [{ ...LISTS, format: 2 }, { ...LISTS, lists: { trending: [9, 1] } }, { ...LISTS, lists: { trending: [0] } }]) {
    const { recommender } = await shop(t, { lists: broken });
    await assert.rejects(recommender.trendingItems(), { name: "NearshelfError", code: "lists/malformed" });
    assert.ok((await recommender.recommendedForYou()).items.length > 0);
  }
});

test("cards hold texts and numbers, whatever is in their file", async (t) => {
  const odd = { brand: { a: 1 }, category: [1, "a"], price: "79", popularity: "<b>" };
  const { recommender } = await shop(t, { products: fakeProducts().map((product) => ({ ...product, ...odd })) });
  const { brand, category, price, popularity } = (await recommender.cards()).get(first);
  assert.deepEqual({ brand, category, price, popularity }, { brand: "[object Object]", category: ["1", "a"], price: 79, popularity: NaN });
});

test("scenario, boosts, what was shown and one number for the visit reach the engine, and what is pinned says so", async (t) => {
  const { nearshelf, recommender } = await shop(t, { scenario: "home" });
  const asked = [];
  const { recommend } = nearshelf.Engine.prototype;
  nearshelf.Engine.prototype.recommend = function (json) {
    asked.push(JSON.parse(json));
    const answer = JSON.parse(recommend.call(this, json));
    answer.items[0].pinned = true;
    return JSON.stringify(answer);
  };
  recommender.track("impression", second);
  recommender.track("impression", second);
  recommender.track("purchase", third);
  const row = await recommender.recommendedForYou({ threshold: 1e9, boosts: [{ filters: ["not", { words: ["COLA"] }], by: -0.5 }] });
  assert.deepEqual(row.items.map(({ reason }) => reason), ["pinned"], "what is pinned has no threshold");
  await recommender.relatedProducts(first, { scenario: "product" });
  assert.deepEqual(asked.map(({ scenario, boosts, shown }) => ({ scenario, boosts, shown })), [
    { scenario: "home", boosts: [{ where: ["not", { words: ["COLA"] }], by: -0.5 }], shown: [[second, 2]] },
    { scenario: "product", boosts: [], shown: [[second, 2]] },
  ]);
  assert.deepEqual(asked.map(({ history, past }) => [history.map(({ id }) => id), past.map(({ id }) => id)]), [[[third], []], [[first], [third]]]);
  assert.ok(Number.isInteger(asked[0].seed) && asked[0].seed === asked[1].seed);
  await recommender.erase();
  await recommender.recommendedForYou();
  assert.deepEqual(asked.at(-1).shown, []);
});

test("another row stands in for one that would be empty", async (t) => {
  const { recommender } = await shop(t, { lists: LISTS });
  const row = await recommender.frequentlyBoughtTogether(third, { limit: 1, fallback: (shop, options) => shop.trendingItems(options) });
  assert.deepEqual([ids(row), row.source, row.empty], [[third], "shop", undefined]);
  const none = await recommender.relatedProducts("unheard of", { fallback: (shop, options) => shop.frequentlyBoughtTogether(third, options) });
  assert.deepEqual([none.items, none.empty], [[], "no-data"]);
});

test("what is open comes back, the last first, until it is bought", async (t) => {
  const { recommender } = await shop(t);
  assert.equal((await recommender.continueShopping()).empty, "no-history");
  for (const [type, id] of [["view", first], ["cart", second], ["view", "gone from the shop"], ["purchase", third], ["view", first]]) recommender.track(type, id);
  const row = await recommender.continueShopping();
  assert.deepEqual(row.items.map(({ id, reason }) => [id, reason]), [[first, "viewed"], [second, "viewed"]]);
  assert.deepEqual(ids(await recommender.continueShopping({ limit: 1 })), [first]);
  assert.deepEqual(ids(await recommender.continueShopping({ exclude: [first] })), [second]);
  recommender.track("purchase", first);
  assert.deepEqual(ids(await recommender.continueShopping()), [second]);
});

test("what is open comes with its cards, where each shelf has its own, and downloads no others", async (t) => {
  const { createRecommender } = await freshPackage(t);
  const folder = temporaryFolder(t);
  writeFakeRelease(folder, { cardsByShard: true });
  const { fetch, asked } = folderFetch(folder);
  const recommender = await createRecommender({ release: RELEASE, fetch, cards: true });
  t.after(() => recommender.close());
  const last = fakeProducts().at(-1);
  for (const [type, id] of [["view", last.id], ["cart", first], ["view", "gone from the shop"]]) recommender.track(type, id);
  const before = asked.length;
  const { items } = await recommender.continueShopping({ limit: 1 });
  assert.deepEqual(items.map(({ id, score, card }) => [id, score, card?.id]), [[first, 0, first]]);
  assert.equal(asked.length, before + 1);
  const { items: all } = await recommender.continueShopping();
  assert.deepEqual(all.map(({ id, score, card }) => [id, score, card?.title]), [[first, 0, fakeProducts()[0].title], [last.id, -1, last.title]]);
});

test("everything known of a shopper can be had, a vector comes and goes, and listeners hear of changes", async (t) => {
  const { folder, recommender } = await shop(t, { context: { location: "north" } });
  const heard = [];
  const end = recommender.subscribe(({ release }) => heard.push(release.version));
  recommender.track("view", first);
  recommender.setUser([0.5, 0.25]);
  assert.deepEqual(recommender.export().context, { location: "north", user: [0.5, 0.25] });
  assert.deepEqual(recommender.export().history.map(({ id, type }) => [id, type]), [[first, "view"]]);
  recommender.unsetUser();
  assert.deepEqual(recommender.export(), { history: recommender.history(), context: { location: "north" }, consent: false });
  writeFakeRelease(folder, { version: 2 });
  await recommender.sync();
  assert.deepEqual([heard[0], heard.at(-1)], [1, 2]);
  end();
  const before = heard.length;
  await recommender.prefetch();
  assert.equal(heard.length, before);
});

test("listeners hear of a consent, and one that throws stops nothing", async (t) => {
  const storage = { load: () => { throw new Error("forbidden"); }, save: () => undefined, erase: () => undefined };
  const { recommender } = await shop(t, { storage });
  const heard = [];
  recommender.subscribe(({ lastError }) => heard.push(lastError?.code));
  await recommender.consent.grant();
  await recommender.consent.revoke();
  assert.deepEqual(heard, [undefined, "storage/failed", "storage/failed"]);
  const reported = [];
  globalThis.reportError = ({ message }) => reported.push(message);
  t.after(() => delete globalThis.reportError);
  let calls = 0;
  recommender.subscribe(() => {
    if (calls++ > 0) throw new Error("a bug of the shop");
  });
  assert.equal((await recommender.recommendedForYou()).items.length, 12);
  await recommender.sync();
  assert.deepEqual([heard.length, reported], [5, ["a bug of the shop", "a bug of the shop"]]);
});

test("nothing is sent without consent, and then in batches, attributed to the row that showed the product", async (t) => {
  const posts = inbox(t);
  const { recommender } = await shop(t, { events: EVENTS });
  t.mock.timers.enable({ apis: ["setTimeout"] });
  recommender.track("view", second);
  t.mock.timers.tick(60_000);
  await recommender.consent.grant();
  const row = await recommender.recommendedForYou();
  recommender.track("impression", row.items[0].id);
  recommender.track("click", row.items[0].id);
  t.mock.timers.tick(999);
  assert.deepEqual(posts, []);
  t.mock.timers.tick(1);
  await settled();
  const { recommendationId } = row;
  const told = ({ type, id, ...rest }) => [type, id, rest.recommendationId];
  assert.deepEqual(posts.map(({ events }) => events.map(told)), [[["impression", row.items[0].id, recommendationId], ["click", row.items[0].id, recommendationId]]]);
  assert.ok(posts[0].keepalive);
  // Impressions and clicks are no history.
  assert.deepEqual(recommender.history().map(({ type }) => type), ["view"]);
  // A full batch does not wait.
  for (const id of [first, second, third]) recommender.track("view", id, { recommendationId: "own" });
  t.mock.timers.tick(0);
  await settled();
  assert.deepEqual(posts[1].events.map(told), [first, second, third].map((id) => ["view", id, "own"]));
  recommender.track("cart", first);
  await recommender.consent.revoke();
  t.mock.timers.tick(60_000);
  await settled();
  assert.equal(posts.length, 2);
  assert.throws(() => recommender.track("glance", first), { code: "request/event" });
  assert.throws(() => recommender.track("click", ""), { code: "request/event" });
});

test("what nobody takes is tried again, ever later and in order, and what is refused for good is not", async (t) => {
  const posts = inbox(t, [503, 0, 429, 204, 400]);
  const { recommender } = await shop(t, { events: EVENTS, consent: true });
  t.mock.timers.enable({ apis: ["setTimeout"] });
  recommender.track("view", first);
  t.mock.timers.tick(1000);
  await settled();
  recommender.track("cart", second);
  for (const wait of [2000, 4000, 8000]) {
    const before = posts.length;
    t.mock.timers.tick(wait / 2 - 1);
    await settled();
    assert.equal(posts.length, before, "tried again too early");
    t.mock.timers.tick(wait / 2 + 1);
    await settled();
    assert.equal(posts.length, before + 1);
  }
  assert.deepEqual(posts.map(({ status }) => status), [503, 0, 429, 204]);
  assert.deepEqual(posts.at(-1).events.map(({ id }) => id), [first, second]);
  recommender.track("view", third);
  t.mock.timers.tick(1000);
  await settled();
  t.mock.timers.tick(600_000);
  await settled();
  assert.equal(posts.length, 5);
});

/** A page whose visitor looks at another tab and back; `beacons` are the numbers of events that were left to the browser. */
function tabbed(t) {
  const heard = {};
  const beacons = [];
  const page = {
    visibilityState: "visible", baseURI: "https://shop.test/",
    addEventListener: (name, listener) => (heard[name] ??= []).push(listener), removeEventListener: () => undefined,
  };
  const stand = { document: page, addEventListener: () => undefined, removeEventListener: () => undefined, navigator: { sendBeacon: (_, body) => beacons.push(JSON.parse(body).events.length) } };
  for (const [name, value] of Object.entries(stand)) {
    const kept = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => (kept === undefined ? delete globalThis[name] : Object.defineProperty(globalThis, name, kept)));
  }
  const lookAway = () => {
    page.visibilityState = "hidden";
    for (const listener of heard.visibilitychange) listener();
    page.visibilityState = "visible";
  };
  return { beacons, lookAway };
}

test("events are posted on after a failed post and a look at another tab", async (t) => {
  const posts = inbox(t, [503]);
  const { beacons, lookAway } = tabbed(t);
  const { recommender } = await shop(t, { events: EVENTS, consent: true });
  t.mock.timers.enable({ apis: ["setTimeout"] });
  recommender.track("view", first);
  t.mock.timers.tick(1000);
  await settled();
  lookAway();
  assert.deepEqual([posts.map(({ status }) => status), beacons], [[503], [1]]);
  recommender.track("view", second);
  t.mock.timers.tick(1000);
  await settled();
  assert.deepEqual(posts.slice(1).map(({ events }) => events.map(({ id }) => id)), [[second]]);
});

test("events are posted anew after a failed post and a consent that went and came", async (t) => {
  const posts = inbox(t, [503]);
  const { recommender } = await shop(t, { events: EVENTS, consent: true });
  t.mock.timers.enable({ apis: ["setTimeout"] });
  recommender.track("view", first);
  t.mock.timers.tick(1000);
  // Withdrawn while the post is on its way: it is not tried again.
  await Promise.all([recommender.consent.revoke(), recommender.consent.grant()]);
  await settled();
  recommender.track("view", second);
  t.mock.timers.tick(1000);
  await settled();
  assert.deepEqual(posts.map(({ status, events }) => [status, ...events.map(({ id }) => id)]), [[503, first], [204, second]]);
});

test("posts that could not end or never come are refused at the start", async (t) => {
  for (const wrong of [{ batch: 0 }, { batch: 1.5 }, { batch: "x" }, { every: 0 }, { every: -1 }, { every: NaN }, { every: Infinity }]) {
    await assert.rejects(shop(t, { events: { ...EVENTS, ...wrong } }), { name: "NearshelfError", code: "request/events" });
  }
});

test("reasons and explanations are asked of the engine, and come as it gives them", async (t) => {
  const { nearshelf, recommender } = await shop(t);
  const asked = [];
  const { recommend } = nearshelf.Engine.prototype;
  nearshelf.Engine.prototype.recommend = function (json) {
    const request = JSON.parse(json);
    asked.push(request.reasons);
    const answer = JSON.parse(recommend.call(this, json));
    for (const item of answer.items) Object.assign(item, { value: 0.25, ...(request.reasons && { because: third }) });
    return JSON.stringify(answer);
  };
  recommender.track("view", third);
  const plain = await recommender.recommendedForYou({ limit: 1 });
  const row = await recommender.recommendedForYou({ limit: 1, reasons: true });
  assert.deepEqual([plain.items[0].because, row.items[0].because, row.items[0].value], [undefined, third, 0.25]);
  assert.deepEqual(asked, [undefined, 8]);
  const why = { known: true, excluded: null, slot: 1, because: [{ id: third, score: 0.5 }] };
  nearshelf.Engine.prototype.explain = (json, id) => {
    const { history, exclude, reasons } = JSON.parse(json);
    assert.deepEqual([history.map((event) => event.id), exclude, reasons, id], [[third], [first], 8, second]);
    return JSON.stringify(why);
  };
  assert.deepEqual(await recommender.explain(second, { exclude: [first] }), why);
  nearshelf.Engine.prototype.explain = () => { throw Object.assign(new Error("no"), { code: "request/scenario" }); };
  await assert.rejects(recommender.explain(second), { name: "NearshelfError", code: "request/scenario" });
  recommender.close();
  await assert.rejects(recommender.explain(second), { code: "recommender/closed" });
});
