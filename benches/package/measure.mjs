// node measure.mjs RELEASE: what a page with the package downloads and how long a click takes, in a real Chromium. Prints JSON: items, kilobytes of a first and
// a second visit as they went over the wire (page, scripts, WASM, release; the second without the browser's own cache), milliseconds from a click to
// the new row with the processor slowed down four times (95th percentile), and the longest task of the page's thread.
import { serveSite } from "../../demo-site/serve.mjs";
import { openBrowser, site, withFolder } from "./site.mjs";

const CLICKS = 100;
const SLOWER = 4;
const [release] = process.argv.slice(2);

const SHOP = `
  import { createRecommender, init } from "nearshelf";
  globalThis.longest = 0;
  new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) globalThis.longest = Math.max(globalThis.longest, duration); }).observe({ type: "longtask", buffered: true });
  await init("./nearshelf_bg.wasm");
  const recommender = await createRecommender({ release: new URL("release/", document.baseURI), consent: true });
  let row = await recommender.recommendedForYou();
  globalThis.items = recommender.status().release.items;
  globalThis.click = async () => {
    const { id } = row.items[Math.floor(Math.random() * row.items.length)];
    const started = performance.now();
    recommender.track("view", id);
    row = await recommender.recommendedForYou({ exclude: recommender.history().map((event) => event.id) });
    return performance.now() - started;
  };
  globalThis.kept = async () => (await indexedDB.databases()).length;
  document.body.dataset.shown = String(row.items.length);
`;

/** Opens the page, with what its requests weighed. */
async function visit(context, address) {
  const page = await context.newPage();
  const answers = [];
  // By what the server says of its answers: Chromium reports some short ones of workers as aborted, after the last byte was read.
  page.on("response", (response) => answers.push(response.allHeaders().then((headers) => {
    const names = Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0);
    return { url: response.url(), bytes: Number(headers["content-length"] ?? 0) + names };
  })));
  await page.goto(address);
  await page.locator("body[data-shown]").waitFor({ state: "attached" });
  await page.waitForLoadState("networkidle");
  return { page, answers: await Promise.all(answers) };
}

await withFolder(async (folder) => {
  const server = await serveSite(await site(folder, release, SHOP));
  const browser = await openBrowser();
  const context = await browser.newContext();
  const first = await visit(context, server.address);
  const weight = ({ answers }, wanted = () => true) => answers.filter(({ url }) => wanted(url)).reduce((sum, { bytes }) => sum + bytes, 0) / 1000;
  await first.page.close();
  // What the package itself does not keep, pages keep in the browser's cache: of the second visit, only the release counts.
  const second = await visit(context, server.address);
  const session = await context.newCDPSession(second.page);
  await session.send("Emulation.setCPUThrottlingRate", { rate: SLOWER });
  await second.page.evaluate(() => { globalThis.longest = 0; });
  const times = [];
  for (let click = 0; click < CLICKS; click += 1) times.push(await second.page.evaluate(() => globalThis.click()));
  times.sort((a, b) => a - b);
  const longest = await second.page.evaluate(() => globalThis.longest);
  const items = await second.page.evaluate(() => globalThis.items);
  await browser.close();
  await server.close();
  console.log(JSON.stringify({ items, cold: weight(first), warm: weight(second, (url) => url.includes("/release/")), click: times[Math.floor(CLICKS * 0.95)], longest }));
});
