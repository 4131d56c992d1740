// An empty project with the packed package in it, and what is built there opened in a real Chromium.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { serveSite } from "../../demo-site/serve.mjs";
import { openBrowser } from "../../demo-site/tests/helpers.mjs";
import { fakeProducts, writeFakeRelease } from "../../pkg-js/tests/fake-engine/release.mjs";
import { fakePackageFolder, temporaryFolder } from "../../pkg-js/tests/helpers.mjs";


export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** The package's folder and a release: the real ones where NEARSHELF_RELEASE names one, else stand-ins. */
export function subject(t) {
  const given = process.env.NEARSHELF_RELEASE;
  if (given !== undefined) return { folder: join(root, "pkg-js"), release: given };
  t.diagnostic("NEARSHELF_RELEASE names no release, so these have a made-up one and a stand-in for the engine");
  const release = temporaryFolder(t);
  const items = fakeProducts().slice(0, 8).map(({ id }) => id);
  const all = items.flatMap((_, place) => [place, 2000 - place]);
  writeFakeRelease(release, { lists: { format: 1, bucket: 0, buckets: 1, items, lists: { trending: all, [`together\u001f${items[0]}`]: all } } });
  return { folder: fakePackageFolder(t), release };
}

/** Packs a folder as npm would publish it; the tarball's path. */
export function pack(t, folder) {
  const out = temporaryFolder(t);
  const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", folder, "--json", "--loglevel=error"], { cwd: out, encoding: "utf8" }));
  return join(out, filename);
}

/** An empty project with the tarball installed, and the files of `files`; in a new folder unless one is given. */
export function project(t, tarball, files, folder = temporaryFolder(t)) {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  execFileSync("npm", ["install", "--offline", "--no-audit", "--no-fund", "--loglevel=error", tarball], { cwd: folder });
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

/** What every file of tests in a browser begins with. */
export async function prepared(t) {
  const { folder, release } = subject(t);
  return { release, tarball: pack(t, folder), browser: await openBrowser(t) };
}

/** Puts a release beside a built site. */
export function withRelease(site, release) {
  cpSync(release, join(site, "release"), { recursive: true, dereference: true });
}

/** Links a package of this workspace into a project, for its build. */
export function borrow(folder, ...names) {
  for (const name of names) {
    mkdirSync(dirname(join(folder, "node_modules", name)), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
  }
}

/** A shop's few lines: a click, two rows, and what became of them in `document.body.dataset.shown`. */
export const shopScript = ({ entry = "nearshelf", before = "", options = "", imports = "createRecommender" } = {}) => `
  import { ${imports} } from "${entry}";
  ${before}
  const recommender = await createRecommender({ release: new URL("release/", document.baseURI), ${options} });
  const first = await recommender.recommendedForYou();
  recommender.track("view", first.items[0].id);
  const row = await recommender.recommendedForYou({ exclude: [first.items[0].id] });
  document.body.dataset.shown = JSON.stringify({ first, row, mode: recommender.status().mode });
`;

export const page = (script) => `<!doctype html><meta charset="utf-8"><title>shop</title><link rel="icon" href="data:,">${script}<body></body>`;

/** Serves a built site and gives what its page showed and printed. */
export async function shown(t, browser, site) {
  const server = await serveSite(site);
  t.after(() => server.close());
  const context = await browser.newContext();
  t.after(() => context.close());
  const tab = await context.newPage();
  const printed = [];
  tab.on("console", (message) => printed.push(`${message.type()}: ${message.text()}`));
  tab.on("pageerror", (error) => printed.push(`uncaught: ${error.message}`));
  await tab.goto(server.address);
  try {
    await tab.locator("body[data-shown]").waitFor({ state: "attached", timeout: 20_000 });
  } catch (error) {
    throw new Error(`nothing was shown; printed: ${printed.join("; ")}`, { cause: error });
  }
  const result = JSON.parse(await tab.locator("body").getAttribute("data-shown"));
  return { ...result, printed };
}
