// The code of the pages in docs/frameworks/: what a shop would copy is what the tests run.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./helpers.mjs";

/** A file's name in bold, then its text. */
const FILE = /^\*\*`([^`\n]+)`\*\*\n\n```\w+\n([\s\S]*?)^```$/gm;

/** The files of a page, by name. */
export function filesOf(name) {
  const text = readFileSync(join(root, "docs/frameworks", `${name}.md`), "utf8");
  const files = Object.fromEntries([...text.matchAll(FILE)].map(([, path, content]) => [path, content]));
  if (Object.keys(files).length === 0) throw new Error(`docs/frameworks/${name}.md: no file; write its name as **\`name\`** above its code`);
  return files;
}
