// node look.mjs RELEASE: what a visitor sees of pages with rows, as an audit would: the storefront, page by page, and a page with the package's element, on a
// desktop and on a phone, over a slow line and with a processor four times slower. Prints JSON: how much moved without being asked to (the largest
// cumulative layout shift), lines on the console, violations that axe-core finds, and pages. What is found goes to the error output.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { buildSite } from "../../demo-site/build.mjs";
import { serveSite } from "../../demo-site/serve.mjs";
import { openBrowser, site, withFolder } from "./site.mjs";

const [release] = process.argv.slice(2);
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = [{ width: 1440, height: 900 }, { width: 390, height: 844 }];
/** Lighthouse's slow telephone: 1.6 Mbit/s, 150 ms, a processor four times slower. */
const LINE = { offline: false, latency: 150, downloadThroughput: 200_000, uploadThroughput: 94_000 };
const SLOWER = 4;

const ELEMENT = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>shop</title>
<link rel="icon" href="data:,"><style>nearshelf-row { display: block; min-height: 22rem; }</style><script type="module" src="./shop.js"></script>
<body><main><h1>Shop</h1><nearshelf-row heading="Picked for you" limit="8"></nearshelf-row><p>What comes after the row.</p></main></body></html>`;
const SHOP = `
  import { createRecommender, init } from "nearshelf";
  import { defineRow } from "nearshelf/row";
  defineRow();
  const row = document.querySelector("nearshelf-row");
  row.addEventListener("nearshelf-shown", () => { document.body.dataset.shown = ""; });
  await init("./nearshelf_bg.wasm");
  row.recommender = await createRecommender({ release: new URL("release/", document.baseURI), cards: true });
`;
const NOTE_SHIFTS = `
  globalThis.shift = 0;
  globalThis.moved = [];
  new PerformanceObserver((list) => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) {
    globalThis.shift += entry.value;
    globalThis.moved.push(entry.value.toFixed(4) + " " + entry.sources.map(({ node }) => node?.outerHTML?.slice(0, 120) ?? node?.textContent?.slice(0, 60)).join(" | "));
  } }).observe({ type: "layout-shift", buffered: true });
`;

/** Opens a page and does `steps` on it, each of which leads to something to look at. */
async function look(browser, viewport, address, steps) {
  // A tile that fades in stands out when it is there.
  const context = await browser.newContext({ viewport, reducedMotion: "reduce" });
  await context.addInitScript(NOTE_SHIFTS);
  const page = await context.newPage();
  const printed = [];
  page.on("console", (message) => printed.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => printed.push(`uncaught: ${error.message}`));
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", LINE);
  await session.send("Emulation.setCPUThrottlingRate", { rate: SLOWER });
  await page.goto(address);
  const violations = [];
  for (const step of steps) {
    await step(page);
    await page.evaluate(AXE);
    const found = await page.evaluate(async () => (await globalThis.axe.run()).violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 160)}`)));
    violations.push(...found.map((text) => `${page.url()} ${viewport.width}: ${text}`));
  }
  const { shift, moved } = await page.evaluate(() => ({ shift: globalThis.shift, moved: globalThis.moved }));
  for (const line of moved) console.error(`${address} ${viewport.width}: moved by ${line}`);
  await context.close();
  return { shift, printed, violations, pages: steps.length };
}

const slow = { timeout: 120_000 };
const STOREFRONT = [
  async (page) => { await page.locator("#picked[data-row]").waitFor(slow); await page.locator("#trending li:not(.blank)").first().waitFor(slow); },
  async (page) => { await page.locator("#picked a").first().click(); await page.locator("article.product").waitFor(slow); await page.locator("#similar li:not(.blank)").first().waitFor(slow); },
  async (page) => { await page.locator("article.product .add").click(); },
  async (page) => { await page.locator("#basket").click(); await page.locator(".lines .line").waitFor(slow); await page.locator("#together li:not(.blank)").first().waitFor(slow); },
  async (page) => { await page.locator("#search").pressSequentially("milk"); await page.locator("#above .shelf-list li").first().waitFor(slow); },
];

await withFolder(async (folder) => {
  const out = join(folder, "storefront");
  await buildSite({ release, out });
  const servers = [await serveSite(out), await serveSite(await site(folder, release, SHOP, ELEMENT))];
  const browser = await openBrowser();
  const seen = [];
  for (const viewport of SIZES) {
    seen.push(await look(browser, viewport, servers[0].address, STOREFRONT));
    seen.push(await look(browser, viewport, servers[1].address, [(page) => page.locator("body[data-shown]").waitFor({ state: "attached", ...slow })]));
  }
  await browser.close();
  await Promise.all(servers.map((server) => server.close()));
  const all = (what) => seen.flatMap((look) => look[what]);
  for (const line of [...all("printed"), ...all("violations")]) console.error(line);
  const sum = seen.reduce((sum, { pages }) => sum + pages, 0);
  console.log(JSON.stringify({ shift: Math.max(...seen.map(({ shift }) => shift)), printed: all("printed").length, violations: all("violations").length, pages: sum }));
});
