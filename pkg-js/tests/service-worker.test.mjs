// `serveOffline` in a made-up service worker: what a page waits for, and what is kept. A real one is in consumers/tests.
import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { packageFolder, temporaryFolder } from "./helpers.mjs";

const SHOP = "https://shop.test/shop.js";

/** A service worker with this shell; `put` is what its cache does with a copy. `kept` is what is in it, by address. */
async function serviceWorker(t, { put = async (kept, address, response) => { kept.set(address, await response.text()); }, shell = ["./shop.js"] } = {}) {
  const listeners = {};
  const caches = new Map();
  const open = async (name) => {
    if (!caches.has(name)) caches.set(name, new Map());
    const kept = caches.get(name);
    return {
      addAll: async (addresses) => { for (const address of addresses) kept.set(address, "installed"); },
      put: (address, response) => put(kept, address, response),
    };
  };
  const stubs = {
    addEventListener: (type, listener) => { listeners[type] = listener; },
    location: { href: "https://shop.test/service.js" },
    registration: { active: null },
    caches: {
      open,
      match: async (address, { cacheName }) => (caches.get(cacheName)?.has(address) ? new Response(caches.get(cacheName).get(address)) : undefined),
      has: async (name) => caches.has(name),
      keys: async () => [...caches.keys()],
      delete: async (name) => caches.delete(name),
    },
    fetch: globalThis.fetch,
  };
  const before = Object.keys(stubs).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]);
  for (const [name, value] of Object.entries(stubs)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  t.after(() => {
    for (const [name, descriptor] of before) {
      delete globalThis[name];
      if (descriptor !== undefined) Object.defineProperty(globalThis, name, descriptor);
    }
  });
  const module = join(temporaryFolder(t), "service-worker.mjs");
  copyFileSync(join(packageFolder, "dist/service-worker.js"), module);
  const { serveOffline, forgetOffline } = await import(pathToFileURL(module).href);
  serveOffline({ shell });
  const waiting = [];
  const install = async () => {
    listeners.install({ waitUntil: (done) => waiting.push(done) });
    await Promise.all(waiting.splice(0));
    globalThis.registration.active = {};
  };
  await install();
  return {
    caches, forgetOffline, install,
    kept: () => Object.fromEntries(caches.get("nearshelf-shell 1") ?? []),
    tell: async (data) => {
      listeners.message({ data, waitUntil: (done) => waiting.push(done) });
      await Promise.all(waiting.splice(0));
    },
    /** The answer to a request, `undefined` where it is left to the browser; and everything that the worker stays alive for. */
    ask: async (url, network, mode = "cors") => {
      globalThis.fetch = async () => network();
      let answer;
      listeners.fetch({ request: { url, method: "GET", mode }, respondWith: (given) => { answer = given; }, waitUntil: (done) => waiting.push(done) });
      return { answer: await answer, done: () => Promise.all(waiting.splice(0)) };
    },
  };
}

const offline = () => { throw new TypeError("no network"); };

test("with the device full, the page has the network's answer, and the earlier copy stays", async (t) => {
  const { ask, kept } = await serviceWorker(t, { put: async () => { throw new DOMException("full", "QuotaExceededError"); } });
  const { answer, done } = await ask(SHOP, () => new Response("new"));
  assert.equal(await answer.text(), "new");
  await done();
  assert.deepEqual(kept(), { [SHOP]: "installed" });
  assert.equal(await (await ask(SHOP, offline)).answer.text(), "installed");
});

test("an answer is handed over while it still arrives, and kept when it is whole", async (t) => {
  const { ask, kept } = await serviceWorker(t);
  let end;
  const body = new ReadableStream({ start: (controller) => {
    controller.enqueue(new TextEncoder().encode("first, "));
    end = () => {
      controller.enqueue(new TextEncoder().encode("last"));
      controller.close();
    };
  } });
  const { answer, done } = await ask(SHOP, () => new Response(body));
  assert.deepEqual(kept(), { [SHOP]: "installed" });
  end();
  assert.equal(await answer.text(), "first, last");
  await done();
  assert.deepEqual(kept(), { [SHOP]: "first, last" });
});

test("without the network a page comes for any query, a script for its own address alone", async (t) => {
  const shell = ["./", "./shop.js", "./list?page=2"];
  const { ask, kept } = await serviceWorker(t, { shell });
  const installed = kept();
  const { answer, done } = await ask("https://shop.test/?utm_source=letter#top", () => new Response("for the letter"), "navigate");
  assert.equal(await answer.text(), "for the letter");
  await done();
  assert.deepEqual(kept(), installed, "what is of a query is not the page");
  assert.equal(await (await ask("https://shop.test/?utm_source=letter#top", offline, "navigate")).answer.text(), "installed");
  assert.equal(await (await ask("https://shop.test/list?page=2", offline, "navigate")).answer.text(), "installed");
  for (const [url, mode] of [["list?page=3", "navigate"], ["list", "navigate"], ["shop.js?v=2", "cors"], ["?of=data", "cors"]]) {
    assert.equal((await ask(`https://shop.test/${url}`, offline, mode)).answer, undefined, url);
  }
});

test("what is forgotten is not kept until a page asks for it", async (t) => {
  const { ask, caches, forgetOffline, install, kept, tell } = await serviceWorker(t);
  caches.set("the shop's own", new Map());
  await forgetOffline();
  await assert.rejects(ask(SHOP, offline), /no network/);
  const { answer, done } = await ask(SHOP, () => new Response("new"));
  assert.equal(await answer.text(), "new");
  await done();
  await install();
  await tell("something of the shop's own");
  assert.deepEqual([...caches.keys()], ["the shop's own"]);
  await tell("nearshelf keep");
  assert.deepEqual(kept(), { [SHOP]: "installed" });
});
