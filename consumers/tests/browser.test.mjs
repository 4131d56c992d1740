// The packed package in builds that shops have, each opened in a real Chromium, beside those of docs/frameworks/ (frameworks.test.mjs).
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { build as esbuild } from "esbuild";
import { build as vite } from "vite";
import { page, prepared, project, shopScript, shown, withRelease } from "./helpers.mjs";

let browser;
let tarball;
let release;
before(async (t) => {
  ({ browser, tarball, release } = await prepared(t));
});

function assertShown({ first, row, mode, printed }, expected) {
  assert.deepEqual(printed, []);
  assert.equal(first.items.length, 12);
  assert.deepEqual([first.source, row.source], ["default", "history"]);
  assert.deepEqual(row.history, [first.items[0].id]);
  assert.equal(mode, expected);
}

const HTML = page(`<script type="module" src="./shop.js"></script>`);

test("esbuild with nearshelf/inline needs no other file", async (t) => {
  const folder = project(t, tarball, { "shop.js": shopScript({ entry: "nearshelf/inline" }), "dist/index.html": HTML });
  const { warnings } = await esbuild({ absWorkingDir: folder, entryPoints: ["shop.js"], outdir: "dist", bundle: true, format: "esm", logLevel: "silent" });
  assert.deepEqual(warnings, []);
  withRelease(join(folder, "dist"), release);
  assertShown(await shown(t, browser, join(folder, "dist")), "main");
});

test("esbuild with the files copied and named works off the page's thread", async (t) => {
  // A failure is said by init, and the next call tries again.
  const before = `await init("./nowhere.wasm").then(() => { throw new Error("found nowhere"); }, ({ code }) => { if (code !== "init/http-status") throw code; });
    await init("./nearshelf_bg.wasm");`;
  const script = shopScript({ imports: "createRecommender, init", before, options: `worker: "./worker.js"` });
  const folder = project(t, tarball, { "shop.js": script, "dist/index.html": HTML });
  const entryPoints = { shop: "shop.js", worker: "nearshelf/worker" };
  const { warnings } = await esbuild({ absWorkingDir: folder, entryPoints, outdir: "dist", bundle: true, splitting: true, format: "esm", logLevel: "silent" });
  assert.deepEqual(warnings, []);
  cpSync(join(folder, "node_modules/nearshelf/wasm/nearshelf_bg.wasm"), join(folder, "dist/nearshelf_bg.wasm"));
  withRelease(join(folder, "dist"), release);
  const { printed, ...result } = await shown(t, browser, join(folder, "dist"));
  // The browser itself notes what was not there.
  assertShown({ ...result, printed: printed.filter((line) => !/404/.test(line)) }, "worker");
});

test("a worker of the shop's own", async (t) => {
  const folder = project(t, tarball, {
    "index.html": HTML,
    "shop.js": `
      const worker = new Worker(new URL("./own.js", import.meta.url), { type: "module" });
      worker.onmessage = ({ data }) => { document.body.dataset.shown = data; };
      worker.postMessage(new URL("release/", document.baseURI).href);
    `,
    "own.js": `
      import { createRecommender } from "nearshelf";
      onmessage = async ({ data }) => {
        const recommender = await createRecommender({ release: data });
        const first = await recommender.recommendedForYou();
        recommender.track("view", first.items[0].id);
        const row = await recommender.recommendedForYou({ exclude: [first.items[0].id] });
        postMessage(JSON.stringify({ first, row, mode: recommender.status().mode }));
      };
    `,
  });
  await vite({ root: folder, base: "./", logLevel: "error", build: { target: "es2022" }, worker: { format: "es" } });
  withRelease(join(folder, "dist"), release);
  assertShown(await shown(t, browser, join(folder, "dist")), "main");
});

test("a service worker, which may import nothing when it runs", async (t) => {
  const folder = project(t, tarball, {
    "dist/index.html": HTML,
    "dist/shop.js": `
      await navigator.serviceWorker.register("./service.js", { type: "module" });
      const { active } = await navigator.serviceWorker.ready;
      navigator.serviceWorker.onmessage = ({ data }) => { document.body.dataset.shown = data; };
      navigator.serviceWorker.startMessages();
      active.postMessage(new URL("release/", document.baseURI).href);
    `,
    "service.js": `
      import { createRecommender } from "nearshelf/inline";
      addEventListener("message", (event) => event.waitUntil((async () => {
        const recommender = await createRecommender({ release: event.data });
        const first = await recommender.recommendedForYou();
        recommender.track("view", first.items[0].id);
        const row = await recommender.recommendedForYou({ exclude: [first.items[0].id] });
        event.source.postMessage(JSON.stringify({ first, row, mode: recommender.status().mode }));
      })()));
    `,
  });
  await esbuild({ absWorkingDir: folder, entryPoints: { service: "service.js" }, outdir: "dist", bundle: true, format: "esm", logLevel: "silent" });
  withRelease(join(folder, "dist"), release);
  assertShown(await shown(t, browser, join(folder, "dist")), "main");
});
