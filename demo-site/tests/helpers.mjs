import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";
import { fakeProducts, writeFakeEngine, writeFakeRelease } from "../../pkg-js/tests/fake-engine/release.mjs";
import { buildSite } from "../build.mjs";
import { serveSite } from "../serve.mjs";

/** A new folder that goes with the test. */
export function temporaryFolder(t) {
  const folder = mkdtempSync(join(tmpdir(), "larder-lane-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The site under test: the built one that NEARSHELF_SITE names, or one of the made-up release and engine. */
export async function siteFolder(t) {
  const given = process.env.NEARSHELF_SITE;
  if (given !== undefined) {
    if (!existsSync(join(given, "index.html"))) throw new Error(`NEARSHELF_SITE=${given}: no index.html there; build it: node demo-site/build.mjs --release DIR --out ${given}`);
    return given;
  }
  t.diagnostic("NEARSHELF_SITE names no site, so this one has a made-up release and a stand-in for the engine");
  const folder = temporaryFolder(t);
  const [release, engine, out] = ["release", "engine", "site"].map((name) => join(folder, name));
  const items = fakeProducts().slice(0, 8).map(({ id }) => id);
  writeFakeRelease(release, { lists: { format: 1, bucket: 0, buckets: 1, items, lists: { trending: items.flatMap((_, place) => [place, 2000 - place]) } } });
  writeFakeEngine(engine);
  await buildSite({ release, engine, out });
  return out;
}

/** A copy of a site, to be damaged. */
export function copyOf(t, site) {
  const copy = join(temporaryFolder(t), "site");
  cpSync(site, copy, { recursive: true, dereference: true });
  return copy;
}

/** Where Chromium is: what CHROME_PATH names, or the system's. */
export function chromiumPath() {
  const named = process.env.CHROME_PATH;
  if (named !== undefined) return named;
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const found = (process.env.PATH ?? "").split(delimiter).flatMap((folder) => names.map((name) => join(folder, name))).find(existsSync);
  if (found === undefined) throw new Error("no Chromium: apt-get install -y chromium, or set CHROME_PATH to one");
  return found;
}

/** A browser that asks nobody but the page's server. */
export async function openBrowser(t) {
  const browser = await chromium.launch({
    executablePath: chromiumPath(),
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  t.after(() => browser.close());
  return browser;
}

export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };
/** The hour and weekday enter the query, so a test that compares rows stops the clock. */
const NOW = new Date(2024, 4, 15, 17, 30);

/** A server and the pages that are opened on it; what a page prints or asks for is kept. `now: null` leaves the clock alone. */
export async function storefront(t, site, browser) {
  const server = await serveSite(site);
  t.after(() => server.close());
  return {
    address: server.address,
    open: async ({ now = NOW, route, init, ...options } = {}) => {
      const context = await browser.newContext({ viewport: DESKTOP, ...options });
      t.after(() => context.close());
      if (init !== undefined) await context.addInitScript(init);
      const page = await context.newPage();
      const printed = [];
      const requests = [];
      page.on("console", (message) => printed.push(`${message.type()}: ${message.text()}`));
      page.on("pageerror", (error) => printed.push(`uncaught: ${error.message}`));
      page.on("request", (request) => requests.push(request.url()));
      if (route !== undefined) await page.route("**/*", route);
      if (now !== null) await page.clock.setFixedTime(now);
      await page.goto(server.address);
      return { page, printed, requests };
    },
  };
}

/** The ids in the row, once it follows a history of `events` events. */
export async function row(page, events) {
  await page.locator(`#picked[data-history="${events}"]`).waitFor();
  return (await page.locator("#picked").getAttribute("data-row")).split(" ");
}

/** Opens a product from anywhere in the page. */
export async function openProduct(page, id) {
  await page.locator(`[data-id="${id}"] a.name`).first().click();
  await page.waitForURL((url) => url.hash === `#/item/${id}`);
}
