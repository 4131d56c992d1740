// `nearshelf/react`: rendered on a server, taken over by a page in a real Chromium, and following what the shopper does.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { build as esbuild } from "esbuild";
import { serveSite } from "../../demo-site/serve.mjs";
import { borrow, prepared, project, withRelease } from "./helpers.mjs";

const APP = `
  import { createElement as h, StrictMode } from "react";
  import { RecommendationRow, RecommenderProvider } from "nearshelf/react";
  const related = (recommender, options) => recommender.relatedProducts(globalThis.product, options);
  export const App = ({ recommender, initial, product }) => h(StrictMode, {}, h(RecommenderProvider, { recommender },
    h(RecommendationRow, { label: "For you", initial, of: product, fallback: h("p", {}, "one moment"), ...(product === undefined ? {} : { request: related }),
      children: ({ id, reason }) => h("a", { href: "#" + id }, id + " " + reason) })));
`;
const SERVER = `
  import { createElement as h } from "react";
  import { renderToString } from "react-dom/server";
  import { createRecommender } from "nearshelf";
  import { App } from "./app.js";
  export async function render(release) {
    const recommender = await createRecommender({ release });
    const initial = await recommender.recommendedForYou({ limit: 6 });
    const html = renderToString(h(App, { initial }));
    recommender.close();
    return { html, initial, empty: renderToString(h(App, {})) };
  }
`;
const CLIENT = `
  import { createElement as h } from "react";
  import { hydrateRoot } from "react-dom/client";
  import { createRecommender } from "nearshelf";
  import { App } from "./app.js";
  const initial = JSON.parse(document.getElementById("state").textContent);
  globalThis.asked = 0;
  globalThis.tracked = [];
  const root = hydrateRoot(document.getElementById("app"), h(App, { initial }));
  const recommender = await createRecommender({ release: new URL("release/", document.baseURI) });
  const { recommendedForYou, track } = recommender;
  recommender.recommendedForYou = (...options) => { globalThis.asked += 1; return recommendedForYou.apply(recommender, options); };
  recommender.track = (...event) => { globalThis.tracked.push(event); track.apply(recommender, event); };
  globalThis.show = (more) => root.render(h(App, { recommender, initial, ...more }));
  globalThis.show({});
  document.body.dataset.shown = "true";
`;

// Recommenders that answer when a test lets them.
const FOLLOWS = `
  import { createElement as h, StrictMode } from "react";
  import { createRoot } from "react-dom/client";
  import { RecommenderProvider, useRecommendations } from "nearshelf/react";
  globalThis.asked = [];
  globalThis.answers = [];
  const madeUp = (name) => ({
    recommendedForYou: () => new Promise((resolve, reject) => {
      asked.push(name);
      answers.push((error) => error ? reject(new Error(error)) : resolve({ items: [], recommendationId: name }));
    }),
  });
  const recommenders = { a: madeUp("a"), b: madeUp("b") };
  function State({ of, initial }) {
    const { row, isLoading, error } = useRecommendations({ of, initial });
    return [row?.recommendationId ?? "none", isLoading ? "loading" : "still", error?.message ?? "well"].join(" ");
  }
  const root = createRoot(document.querySelector("#app"));
  globalThis.show = ({ by, ...row }) => root.render(h(RecommenderProvider, { recommender: recommenders[by] }, h(State, row)));
  document.body.dataset.shown = "true";
`;

let browser;
let folder;
let release;
before(async (t) => {
  let tarball;
  ({ browser, tarball, release } = await prepared(t));
  folder = project(t, tarball, { "app.js": APP, "server.js": SERVER, "client.js": CLIENT, "follows.js": FOLLOWS });
  borrow(folder, "react", "react-dom", "scheduler");
});

test("a server's row is taken over without a question, and then follows what it is of", async (t) => {
  const bundle = { absWorkingDir: folder, bundle: true, format: "esm", logLevel: "silent", define: { "process.env.NODE_ENV": `"development"` } };
  const { warnings } = await esbuild({ ...bundle, entryPoints: { client: "client.js", worker: "nearshelf/worker" }, outdir: "dist", target: "es2022" });
  assert.deepEqual(warnings.filter(({ text }) => !/use client/.test(text)), []);
  withRelease(join(folder, "dist"), release);
  const origin = await serveSite(join(folder, "dist"));
  t.after(() => origin.close());

  const { render } = await import(pathToFileURL(join(folder, "server.js")).href);
  const { html, initial, empty } = await render(`${origin.address}release/`);
  assert.match(html, /<ul role="list" aria-label="For you">/);
  assert.match(empty, /one moment/);
  const state = JSON.stringify(initial).replaceAll("<", "\\u003c");
  writeFileSync(join(folder, "dist/index.html"), `<!doctype html><meta charset="utf-8"><title>shop</title><link rel="icon" href="data:,"><div id="app">${html}</div>
    <script id="state" type="application/json">${state}</script><script type="module" src="./client.js"></script>`);
  // The package looks for its WASM beside the folder of its scripts; of a script at the root that is the root.
  mkdirSync(join(folder, "dist/wasm"));
  cpSync(join(folder, "node_modules/nearshelf/wasm/nearshelf_bg.wasm"), join(folder, "dist/wasm/nearshelf_bg.wasm"));

  const context = await browser.newContext();
  t.after(() => context.close());
  const tab = await context.newPage();
  const printed = [];
  tab.on("console", (message) => { if (message.type() !== "info" && message.type() !== "debug") printed.push(message.text()); });
  tab.on("pageerror", (error) => printed.push(`uncaught: ${error.message}`));
  await tab.goto(origin.address);
  await tab.locator("body[data-shown]").waitFor({ state: "attached" });
  const shown = () => tab.getByRole("list", { name: "For you" }).getByRole("listitem").evaluateAll((items) => items.map((item) => item.dataset.id));
  assert.deepEqual(await shown(), initial.items.map(({ id }) => id));
  await tab.waitForFunction((id) => tracked.some(([type, , { recommendationId }]) => type === "impression" && recommendationId === id), initial.recommendationId);
  assert.equal(await tab.evaluate(() => asked), 0);

  const product = initial.items[2].id;
  await tab.evaluate((of) => { globalThis.product = of; show({ product: of }); }, product);
  await tab.getByText("related").first().waitFor();
  const related = await shown();
  assert.ok(related.length === 12 && !related.includes(product));
  await tab.getByRole("listitem").first().getByRole("link").click();
  assert.deepEqual(await tab.evaluate(() => tracked.find(([type]) => type === "click").slice(0, 2)), ["click", related[0]]);
  assert.deepEqual(printed, []);
});

test("it asks another recommender anew, and nobody about what is shown already", async (t) => {
  await esbuild({ absWorkingDir: folder, entryPoints: ["follows.js"], outdir: "follows", bundle: true, format: "esm", logLevel: "error", define: { "process.env.NODE_ENV": `"production"` } });
  writeFileSync(join(folder, "follows/index.html"), `<!doctype html><meta charset="utf-8"><title>shop</title><link rel="icon" href="data:,"><div id="app"></div><script type="module" src="./follows.js"></script>`);
  const origin = await serveSite(join(folder, "follows"));
  t.after(() => origin.close());
  const context = await browser.newContext();
  t.after(() => context.close());
  const tab = await context.newPage();
  await tab.goto(origin.address);
  await tab.locator("body[data-shown]").waitFor({ state: "attached" });
  const becomes = (text) => tab.getByText(text, { exact: true }).waitFor({ timeout: 2000 });
  const show = (what) => tab.evaluate((given) => show(given), what);
  const answer = async (error) => {
    await tab.waitForFunction(() => answers.length > 0, undefined, { timeout: 2000 });
    await tab.evaluate((given) => answers.splice(0).at(-1)(given), error);
  };
  await show({ by: "a", of: "p1" });
  await answer();
  await becomes("a still well");
  await show({ by: "a", of: "p2" });
  await becomes("a loading well");
  await show({ by: "a", of: "p1" });
  await becomes("a still well");
  await show({ by: "a", of: "p2" });
  await becomes("a loading well");
  await answer("no");
  await becomes("a still no");
  await show({ by: "a", of: "p1" });
  await becomes("a still well");
  assert.deepEqual(await tab.evaluate(() => asked), ["a", "a", "a"]);
  await show({ by: "b", of: "p1" });
  await becomes("a loading well");
  await answer();
  await becomes("b still well");

  // A server's row is the first one's, whoever that is, and no other's.
  const initial = { items: [], recommendationId: "server" };
  await show({ by: "a", initial, key: "server's" });
  await becomes("server still well");
  assert.equal(await tab.evaluate(() => asked.length), 4);
  await show({ by: "b", initial, key: "server's" });
  await becomes("server loading well");
  await answer();
  await becomes("b still well");
});
