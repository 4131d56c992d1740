// node benches/ranking/same.mjs FIXTURES
// The requests of tests/path/fixtures.rs, answered by the WebAssembly build in Node and in workerd: how many answers differ from the native ones, and
// between the two as bytes. Prints a line of JSON.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import init, { Engine } from "../../pkg-js/wasm/nearshelf.js";
import { fill } from "./shop.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const [fixtures] = process.argv.slice(2);
const expected = JSON.parse(await readFile(join(fixtures, "answers.json"), "utf8"));
const requests = expected.map(({ request }) => JSON.stringify(request));

/** Times differ from run to run; nothing else of an answer may. */
const untimed = (answer) => answer.replace(/,"timings":\{[^}]*\}/, "");

await init({ module_or_path: await readFile(join(root, "pkg-js/wasm/nearshelf_bg.wasm")) });
const engine = new Engine();
const files = await fill(engine, join(fixtures, "release"));
const inNode = requests.map((request) => untimed(engine.recommend(request)));
const inWorkerd = (await workerd()).map(untimed);

const bits = (number) => (number === undefined ? null : new Uint32Array(Float32Array.of(number).buffer)[0]);
const listed = ({ id, score, value, propensity, insteadOf }) => [id, bits(score), bits(value), bits(propensity), insteadOf ?? null];
function isNative(answer, index) {
  const { items, history } = JSON.parse(answer);
  const found = [items.map(listed), history, items.map(({ because }) => because ?? null), items.map(({ price }) => price ?? null)];
  const { [index]: native } = expected;
  return JSON.stringify(found) === JSON.stringify([native.items, native.history, native.because, native.prices]);
}
const differ = (isSame) => requests.filter((_, index) => !isSame(index)).length;
console.log(JSON.stringify({
  requests: requests.length,
  filled: inNode.filter((answer) => JSON.parse(answer).items.length > 0).length,
  node: differ((index) => isNative(inNode[index], index)),
  workerd: differ((index) => isNative(inWorkerd[index], index)),
  between: differ((index) => inNode[index] === inWorkerd[index]),
}));

/** The answers of a Worker that holds the same release. */
async function workerd() {
  const { resolve } = createRequire(join(root, "worker/package.json"));
  const { Miniflare } = await import(pathToFileURL(resolve("miniflare")));
  const worker = new Miniflare({
    compatibilityDate: "2026-04-01",
    modules: true,
    modulesRoot: root,
    scriptPath: join(root, "benches/ranking/worker.mjs"),
    modulesRules: [
      { type: "ESModule", include: ["**/*.mjs", "**/*.js"] },
      { type: "CompiledWasm", include: ["**/*.wasm"] },
    ],
  });
  try {
    const encoded = Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, bytes.toString("base64")]));
    const response = await worker.dispatchFetch("http://worker/", { method: "POST", body: JSON.stringify({ files: encoded, requests }) });
    if (response.status !== 200) throw new Error(`workerd: ${response.status} ${await response.text()}`);
    return await response.json();
  } finally {
    await worker.dispose();
  }
}
