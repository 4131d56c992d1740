// What is written about the package: the reference is what the doc comments say, and links lead somewhere.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { generate } from "../../docs/generate.mjs";
import { packageFolder, temporaryFolder } from "./helpers.mjs";

const root = join(packageFolder, "..");

/** The pages of a folder, by their path in it. */
const pagesIn = (folder) => readdirSync(folder, { recursive: true })
  .filter((path) => path.endsWith(".md") && !path.includes("node_modules"))
  .map((path) => path.replaceAll("\\", "/"))
  .sort();

test("the reference is what the doc comments say", async (t) => {
  const [written, made] = [join(root, "docs/api"), temporaryFolder(t)];
  await generate(made);
  assert.deepEqual(pagesIn(written), pagesIn(made), "docs/api is stale: npm run docs -w pkg-js");
  for (const page of pagesIn(made)) {
    assert.equal(readFileSync(join(written, page), "utf8"), readFileSync(join(made, page), "utf8"), `docs/api/${page} is stale: npm run docs -w pkg-js`);
  }
});

/** The names that a page's headings and anchors can be reached by, as GitHub makes them. */
function anchorsOf(markdown) {
  const plain = markdown.replace(/^```[\s\S]*?^```$/gm, "");
  const anchors = new Set([...plain.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id));
  const seen = new Map();
  for (const [, heading] of plain.matchAll(/^#+ +(.+)$/gm)) {
    const slug = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s/g, "-");
    const before = seen.get(slug) ?? 0;
    seen.set(slug, before + 1);
    anchors.add(before === 0 ? slug : `${slug}-${before}`);
  }
  return anchors;
}

test("links lead somewhere", () => {
  const pages = [...readdirSync(root).filter((name) => name.endsWith(".md")), "pkg-js/README.md", ...pagesIn(join(root, "docs")).map((page) => `docs/${page}`)];
  const broken = pages.flatMap((page) => {
    const text = readFileSync(join(root, page), "utf8").replace(/^```[\s\S]*?^```$/gm, "").replace(/`[^`\n]*`/g, "`code`");
    return [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link).filter((link) => !/^[a-z]+:/.test(link)).filter((link) => {
      const [path, anchor] = link.split("#");
      const target = path === "" ? join(root, page) : resolve(root, dirname(page), path);
      if (!existsSync(target)) return true;
      return anchor !== undefined && (statSync(target).isDirectory() || !anchorsOf(readFileSync(target, "utf8")).has(anchor));
    }).map((link) => `${page}: ${link}`);
  });
  assert.ok(pages.length > 10, `found only ${pages.join(", ")}`);
  assert.deepEqual(broken, []);
});
