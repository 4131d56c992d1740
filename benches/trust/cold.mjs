// node cold.mjs RELEASE VISITS: how much of a cold start is checking who signed, in a real Chromium. Each visit is of a browser that knows nothing. Prints JSON: the
// medians of the milliseconds from the page's first script to the first row, and of those that checking roots and heads took of them, on the thread that does it.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { serveSite } from "../../demo-site/serve.mjs";
import { openBrowser, site, withFolder } from "../package/site.mjs";
import { Shop } from "./shop.mjs";

const [release, visits] = process.argv.slice(2);

const page = (publicKey) => `
  import { createRecommender, init } from "nearshelf";
  import { Engine } from "nearshelf-glue";
  let checking = 0;
  for (const name of ["setPin", "rootBefore", "addRoot", "restore", "setHead"]) {
    const call = Engine.prototype[name];
    Engine.prototype[name] = function (...given) {
      const started = performance.now();
      try { return call.apply(this, given); } finally { checking += performance.now() - started; }
    };
  }
  await init("./nearshelf_bg.wasm");
  const recommender = await createRecommender({ release: new URL("release/", document.baseURI), publicKey: ${JSON.stringify(publicKey)}, mode: "main" });
  const row = await recommender.recommendedForYou();
  const all = performance.now();
  if (recommender.status().release.trust.freshness !== "fresh" || row.items.length === 0) throw new Error("no signed row");
  document.body.dataset.shown = JSON.stringify({ all, checking });
`;

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

await withFolder(async (folder) => {
  const { signed: { manifest } } = JSON.parse(readFileSync(join(release, "head.json"), "utf8"));
  const shop = new Shop([{ manifest }], new Map());
  shop.publish(0);
  const out = await site(folder, release, page(shop.publicKey));
  mkdirSync(join(out, "release/root"), { recursive: true });
  for (const [path, bytes] of shop.files) writeFileSync(join(out, "release", path), bytes);
  const server = await serveSite(out);
  const browser = await openBrowser();
  const found = [];
  for (let visit = 0; visit < Number(visits); visit += 1) {
    const context = await browser.newContext();
    const tab = await context.newPage();
    tab.on("pageerror", (error) => console.error(error));
    await tab.goto(server.address);
    await tab.locator("body[data-shown]").waitFor({ state: "attached", timeout: 20_000 });
    found.push(JSON.parse(await tab.locator("body").getAttribute("data-shown")));
    await context.close();
  }
  await browser.close();
  await server.close();
  console.log(JSON.stringify({ visits: found.length, all: median(found.map(({ all }) => all)), checking: median(found.map(({ checking }) => checking)), share: median(found.map(({ all, checking }) => checking / all)) }));
});
