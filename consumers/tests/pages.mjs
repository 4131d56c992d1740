// The code of the pages in docs/frameworks/: what a shop would copy is what the tests run.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { serveSite } from "../../demo-site/serve.mjs";
import { root, withRelease } from "./helpers.mjs";

/** Milliseconds until a row counts as not coming. */
export const PATIENCE = 20_000;

/** A file's name in bold, then its text. */
const FILE = /^\*\*`([^`\n]+)`\*\*\n\n```\w+\n([\s\S]*?)^```$/gm;

/** The files of a page, by name. */
export function filesOf(name) {
  const text = readFileSync(join(root, "docs/frameworks", `${name}.md`), "utf8");
  const files = Object.fromEntries([...text.matchAll(FILE)].map(([, path, content]) => [path, content]));
  if (Object.keys(files).length === 0) throw new Error(`docs/frameworks/${name}.md: no file; write its name as **\`name\`** above its code`);
  return files;
}

/** Serves a folder with the release in it. */
export async function served(t, folder, release) {
  withRelease(folder, release);
  const server = await serveSite(folder);
  t.after(() => server.close());
  return server;
}

/** Opens a shop as a shopper does: a row, a click, another row without the product. It must print nothing. `started` are its workers. */
export async function shop(t, browser, address, { limit = 8, route, headers = {} } = {}) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const tab = await context.newPage();
  const printed = [];
  const started = [];
  tab.on("console", (message) => { if (!/^\[vite\]/.test(message.text())) printed.push(`${message.type()}: ${message.text()}`); });
  tab.on("pageerror", (error) => printed.push(`uncaught: ${error.message}`));
  tab.on("worker", (worker) => started.push(worker.url()));
  if (route !== undefined) await context.route(...route);
  if (Object.keys(headers).length > 0) {
    // Where a header is the document's, it is its scripts', too.
    await context.route(address + "**", async (asked) => {
      const response = await asked.fetch();
      await asked.fulfill({ response, headers: { ...response.headers(), ...headers } });
    });
  }
  await tab.goto(address);
  const links = tab.getByRole("list", { name: "For you" }).getByRole("link");
  const ids = () => links.evaluateAll((found) => found.map((link) => link.hash.slice(1)));
  await links.nth(limit - 1).waitFor({ timeout: PATIENCE }).catch((cause) => {
    throw new Error(`no row came; printed: ${printed.join("; ")}`, { cause });
  });
  const [first, ...others] = await ids();
  assert.equal(others.length, limit - 1);
  await links.first().click();
  await tab.waitForFunction((id) => {
    const inside = (node) => [...node.querySelectorAll("*")].flatMap((element) => [element, ...(element.shadowRoot ? inside(element.shadowRoot) : [])]);
    const shown = inside(document).filter((element) => element.matches("li a")).map((link) => link.hash.slice(1));
    return shown.length > 0 && !shown.includes(id);
  }, first, { timeout: PATIENCE });
  assert.equal((await ids()).length, limit);
  assert.deepEqual(printed, []);
  return { tab, started };
}
