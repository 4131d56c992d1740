// What a host may do to a download, and how often it is asked again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { folderFetch, settled, shop } from "./helpers.mjs";

/** A page that looks by itself, over a host whose answers `answer` decides; `heads` counts how often it was asked for one. */
async function page(t, answer) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  const { folder, create } = await shop(t);
  const whole = folderFetch(folder).fetch;
  let heads = 0;
  const host = { fails: undefined };
  const fetch = async (address, request) => {
    if (address.endsWith("head.json")) heads += 1;
    return host.fails === undefined ? whole(address, request) : host.fails(address, request);
  };
  const recommender = await create({ fetch, ...answer });
  t.after(() => recommender.close());
  heads = 0;
  const pass = async (milliseconds) => {
    t.mock.timers.tick(milliseconds);
    for (let turn = 0; turn < 5; turn += 1) await settled();
    const asked = heads;
    heads = 0;
    return asked;
  };
  return { recommender, host, pass };
}

const code = (found) => ({ code: found });

test("a host that is busy is left alone for as long as it asks, an hour at most, and what serves serves on", async (t) => {
  const { recommender, host, pass } = await page(t, { refresh: false });
  for (const [status, said, milliseconds] of [[503, "120", 120_000], [429, new Date(1_000_000 + 120_000 + 90_000).toUTCString(), 90_000], [503, "1e9", 3_600_000]]) {
    host.fails = async () => new Response("", { status, headers: { "retry-after": said } });
    await assert.rejects(recommender.sync(), code("download/http-status"));
    assert.equal(await pass(milliseconds - 1000), 1);
    await assert.rejects(recommender.sync(), code("download/busy"));
    assert.equal(recommender.status().lastError.code, "download/busy");
    assert.equal((await recommender.recommendedForYou({ limit: 3 })).items.length, 3);
    assert.equal(await pass(1000), 0, "nobody was asked");
    host.fails = undefined;
    await recommender.sync();
    assert.equal(await pass(0), 1);
  }
  for (const said of ["soon", "-5", "0"]) {
    host.fails = async () => new Response("", { status: 503, headers: { "retry-after": said } });
    await assert.rejects(recommender.sync(), code("download/http-status"));
    await assert.rejects(recommender.sync(), code("download/http-status"));
  }
});

test("an answer that never comes, that stops coming, or that comes from another host is a failed download", async (t) => {
  const { recommender, host, pass } = await page(t, { refresh: false });
  const stopped = new Response(new ReadableStream({ start: (body) => body.enqueue(new Uint8Array([123])) }));
  const moved = new Response("{}");
  Object.defineProperty(moved, "url", { value: "https://elsewhere.test/release/head.json" });
  for (const [answer, expected] of [[new Promise(() => {}), "download/network"], [stopped, "download/network"], [moved, "download/redirected"]]) {
    host.fails = async () => answer;
    const failing = assert.rejects(recommender.sync(), code(expected));
    await pass(0);
    await pass(10_000);
    await failing;
    assert.equal((await recommender.recommendedForYou({ limit: 3 })).items.length, 3);
  }
});

test("looks that fail come ever later, and after one that does not as before", async (t) => {
  t.mock.method(Math, "random", () => 0.5);
  const { host, pass } = await page(t, { refresh: 40 });
  const regular = 40_000 * 1.1;
  assert.deepEqual([await pass(regular - 1), await pass(1)], [0, 1]);
  host.fails = async () => new Response("", { status: 500 });
  assert.equal(await pass(regular), 1);
  for (const factor of [1, 2, 4, 8, 16, 32]) assert.deepEqual([await pass(40_000 * factor * 1.5 - 1), await pass(1)], [0, 1], `${factor}`);
  for (const _ of [1, 2]) assert.deepEqual([await pass(3_600_000 - 1), await pass(1)], [0, 1], "an hour at most");
  host.fails = undefined;
  assert.equal(await pass(3_600_000), 1);
  assert.deepEqual([await pass(regular - 1), await pass(1)], [0, 1]);
});
