// Who sees which variant, and what rows and events say of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EVENTS, freshPackage, inbox, settled, shop as closed } from "./helpers.mjs";

/** An open shop. */
async function shop(t, options) {
  const { create, nearshelf } = await closed(t);
  const recommender = await create(options);
  t.after(() => recommender.close());
  return { recommender, nearshelf };
}

const AB = [{ name: "a", scenario: "as it was" }, { name: "b", scenario: "new" }];

test("visitors are where GrowthBook and the origin put them", async (t) => {
  const { assignedVariant } = await freshPackage(t);
  // The same lines are in src/experiments/assign.rs. A variant that begins or ends at a visitor's place says where that is.
  for (const [salt, visitor, unit] of [
    ["seed", "a", 0.0505],
    ["seed", "b", 0.2696],
    ["foo", "ab", 0.2575],
    ["foo", "def", 0.2019],
    ["row order", "6f1c2d0e-8f0b-4a52-9d0c-0d6f2f3c1a77", 0.7806],
    ["Größe", "жена 7", 0.6089],
  ]) {
    const below = (share) => assignedVariant({ name: "x", salt, variants: [{ name: "below", share }, { name: "rest", share: 0 }] }, visitor)?.name;
    assert.deepEqual([below(unit - 0.00005), below(unit), below(unit + 0.00005)], [undefined, undefined, "below"], `${salt} ${visitor}`);
  }
});

test("shares are kept, open ones are what is left, and the rest takes no part", async (t) => {
  const { assignedVariant } = await freshPackage(t);
  const counts = (variants) => {
    const found = {};
    for (let visitor = 0; visitor < 20_000; visitor += 1) {
      const name = assignedVariant({ name: "test", variants }, `visitor ${visitor}`)?.name ?? "none";
      found[name] = (found[name] ?? 0) + 1;
    }
    return found;
  };
  const near = (found, expected) => Math.abs(found / 20_000 - expected) < 0.015;
  const half = counts([{ name: "a", share: 0.5 }, { name: "b" }, { name: "c" }]);
  assert.ok(near(half.a, 0.5) && near(half.b, 0.25) && near(half.c, 0.25) && half.none === undefined, JSON.stringify(half));
  const part = counts([{ name: "a", share: 0.1 }, { name: "b", share: 0.1 }]);
  assert.ok(near(part.a, 0.1) && near(part.none, 0.8), JSON.stringify(part));
  for (const variants of [[], [{ name: "a" }, { name: "a" }], [{ name: "" }], [{ name: "a", share: 0.7 }, { name: "b", share: 0.7 }], [{ name: "a", share: -1 }], [{ name: "a", share: NaN }]]) {
    assert.throws(() => assignedVariant({ name: "x", variants }, "1"), { code: "request/experiment" }, JSON.stringify(variants));
  }
});

test("the variant's rules count, a row's own go first, and rows and events say what was seen where", async (t) => {
  const posts = inbox(t);
  const { recommender, nearshelf } = await shop(t, { events: EVENTS, consent: true, scenario: "mine", experiment: { name: "rules", visitor: "7", variants: AB } });
  const { name: variant, scenario } = nearshelf.assignedVariant({ name: "rules", variants: AB }, "7");
  const asked = [];
  const { recommend } = nearshelf.Engine.prototype;
  nearshelf.Engine.prototype.recommend = function (json) {
    asked.push(JSON.parse(json));
    const answer = JSON.parse(recommend.call(this, json));
    answer.items[0].propensity = 1;
    Object.assign(answer.items[1], { propensity: 0.05, insteadOf: "other" });
    return JSON.stringify(answer);
  };
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const row = await recommender.recommendedForYou();
  assert.deepEqual([row.variant, row.scenario, row.items[0].reason, row.items[1].reason, row.items[1].insteadOf], [variant, scenario, "default", "explored", "other"]);
  recommender.track("impression", row.items[1].id);
  recommender.track("purchase", row.items[0].id, { recommendationId: row.recommendationId });
  recommender.track("view", "elsewhere");
  t.mock.timers.tick(0);
  await settled();
  const all = { experiment: "rules", variant, visitor: "7" };
  const { recommendationId } = row;
  assert.deepEqual(posts[0].events.map(({ at, ...event }) => event), [
    { type: "impression", id: row.items[1].id, recommendationId, slot: 2, propensity: 0.05, insteadOf: "other", scenario, ...all },
    { type: "purchase", id: row.items[0].id, recommendationId, slot: 1, propensity: 1, scenario, ...all },
    { type: "view", id: "elsewhere", ...all },
  ]);
  await recommender.recommendedForYou({ scenario: "of this row" });
  assert.deepEqual(asked.map((request) => request.scenario), [scenario, "of this row"]);
  assert.equal(recommender.export().visitor, "7");
});

test("who takes no part has the recommender's rules, and events that say nothing of it", async (t) => {
  const posts = inbox(t);
  const none = { name: "x", visitor: "7", variants: [{ name: "a", share: 0, scenario: "a" }] };
  const { recommender } = await shop(t, { events: EVENTS, consent: true, scenario: "mine", experiment: none });
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const row = await recommender.recommendedForYou();
  assert.deepEqual(["variant" in row, row.scenario], [false, "mine"]);
  for (const { id } of row.items.slice(0, 3)) recommender.track("impression", id);
  t.mock.timers.tick(0);
  await settled();
  assert.deepEqual(posts[0].events.map(({ visitor, experiment }) => [visitor, experiment]), Array(3).fill([undefined, undefined]));
});

test("an id of chance is kept after consent, goes with its withdrawal, and is never read or written before", async (t) => {
  const kept = new Map();
  const touched = [];
  const store = {
    getItem: (key) => (touched.push("get"), kept.get(key) ?? null),
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
  };
  Object.defineProperty(globalThis, "localStorage", { value: store, configurable: true });
  t.after(() => delete globalThis.localStorage);
  const experiment = { name: "x", variants: AB };
  const open = async (consent) => (await shop(t, { consent, storage: "device", budget: 0, experiment })).recommender;
  const first = await open(false);
  assert.deepEqual([kept.size, touched], [0, []]);
  await first.consent.grant().catch(() => undefined);
  const { visitor } = first.export();
  assert.deepEqual([...kept.values()], [visitor]);
  assert.equal((await open(true)).export().visitor, visitor);
  assert.notEqual((await open(false)).export().visitor, visitor);
  await first.consent.revoke().catch(() => undefined);
  assert.equal(kept.size, 0);
  assert.notEqual((await open(true)).export().visitor, visitor);
});

test("a variant may have a release of its own, and a wrong experiment is refused at the start", async (t) => {
  const variants = [{ name: "new", release: "https://shop.test/release/nowhere/" }];
  await assert.rejects(shop(t, { experiment: { name: "x", variants } }), { code: "download/http-status" });
  await assert.rejects(shop(t, { experiment: { name: "x", variants: [] } }), { code: "request/experiment" });
  await assert.rejects(shop(t, { experiment: { name: "x", visitor: "", variants } }), { code: "request/experiment" });
});

test("what the shopper does with a product begins its count anew", async (t) => {
  const { recommender, nearshelf } = await shop(t);
  const asked = [];
  const { recommend } = nearshelf.Engine.prototype;
  nearshelf.Engine.prototype.recommend = function (json) {
    asked.push(JSON.parse(json).shown);
    return recommend.call(this, json);
  };
  for (const type of ["impression", "impression"]) recommender.track(type, "1");
  recommender.track("impression", "2");
  recommender.track("click", "1");
  await recommender.recommendedForYou();
  assert.deepEqual(asked, [[["2", 1]]]);
});
