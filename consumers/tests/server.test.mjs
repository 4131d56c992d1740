// The packed package without a page: in Node, in workerd, and under the eyes of the linters of packages.
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { build as esbuild } from "esbuild";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { serveSite } from "../../demo-site/serve.mjs";
import { pack, project, root, subject } from "./helpers.mjs";

let tarball;
let release;
before((t) => {
  const found = subject(t);
  release = found.release;
  tarball = pack(t, found.folder);
});

const rows = (recommender) => `
  const first = await ${recommender}.recommendedForYou();
  ${recommender}.track("view", first.items[0].id);
  const row = await ${recommender}.recommendedForYou({ exclude: [first.items[0].id] });
  const shown = JSON.stringify({ first, row, mode: ${recommender}.status().mode });
`;

function assertShown(text) {
  const { first, row, mode } = JSON.parse(text);
  assert.equal(first.items.length, 12);
  assert.deepEqual(row.history, [first.items[0].id]);
  assert.equal(mode, "main");
}

async function served(t) {
  const server = await serveSite(release);
  t.after(() => server.close());
  return server.address;
}

test("Node, imported and from CommonJS, with each entry", async (t) => {
  const address = await served(t);
  const folder = project(t, tarball, {
    "esm.js": `import { createRecommender } from "nearshelf";
      const recommender = await createRecommender({ release: process.argv[2] }); ${rows("recommender")} console.log(shown);`,
    "common.cjs": `(async () => {
      const { createRecommender } = await import("nearshelf");
      const recommender = await createRecommender({ release: process.argv[2] }); ${rows("recommender")} console.log(shown);
    })();`,
    "inline.js": `import { createRecommender } from "nearshelf/inline";
      const recommender = await createRecommender({ release: process.argv[2] }); ${rows("recommender")} console.log(shown);`,
    "slim.js": `import { readFileSync } from "node:fs"; import { createRequire } from "node:module";
      import { createRecommender, init } from "nearshelf/slim";
      await createRecommender({ release: process.argv[2] }).then(() => { throw new Error("without a WASM"); }, (error) => { if (error.code !== "init/source") throw error; });
      await init(readFileSync(createRequire(import.meta.url).resolve("nearshelf/nearshelf_bg.wasm")));
      const recommender = await createRecommender({ release: process.argv[2] }); ${rows("recommender")} console.log(shown);`,
  });
  for (const script of ["esm.js", "common.cjs", "inline.js", "slim.js"]) {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [script, address], { cwd: folder, maxBuffer: 1 << 24 });
    assert.equal(stderr, "", script);
    assertShown(stdout);
  }
});

test("workerd takes the compiled module by its condition, and downloads in later requests, too", async (t) => {
  const { Miniflare } = createRequire(join(root, "worker/package.json"))("miniflare");
  const address = await served(t);
  const folder = project(t, tarball, {
    "worker.js": `
      import { createRecommender } from "nearshelf";
      let recommender;
      export default { async fetch(request, env) {
        if (recommender !== undefined) {
          await recommender.sync();
          return new Response(String((await recommender.cards()).size));
        }
        recommender = await createRecommender({ release: env.RELEASE }); ${rows("recommender")}
        return new Response(shown);
      } };
    `,
  });
  const { warnings, outputFiles } = await esbuild({
    absWorkingDir: folder, entryPoints: ["worker.js"], bundle: true, format: "esm", write: false, conditions: ["workerd", "worker"], logLevel: "silent",
    // As wrangler has it: WASM stays a module of its own.
    plugins: [{ name: "wasm", setup: ({ onResolve }) => onResolve({ filter: /\.wasm$/ }, () => ({ path: "./nearshelf_bg.wasm", external: true })) }],
  });
  assert.deepEqual(warnings, []);
  const workerd = new Miniflare({
    modules: [
      { type: "ESModule", path: "worker.js", contents: outputFiles[0].text },
      { type: "CompiledWasm", path: "nearshelf_bg.wasm", contents: readFileSync(join(folder, "node_modules/nearshelf/wasm/nearshelf_bg.wasm")) },
    ],
    bindings: { RELEASE: address },
    compatibilityDate: "2026-01-01",
  });
  t.after(() => workerd.dispose());
  const response = await workerd.dispatchFetch("http://shop.test/");
  const text = await response.text();
  assert.equal(response.status, 200, text);
  assertShown(text);
  // What a later request downloads uses nothing that the first one made, which workerd refuses.
  const later = await (await workerd.dispatchFetch("http://shop.test/")).text();
  assert.ok(Number(later) > 12, later);
});

test("publint and arethetypeswrong find nothing", async (t) => {
  const folder = project(t, tarball, {});
  const installed = join(folder, "node_modules/nearshelf");
  const { messages, pkg } = await publint({ pkgDir: installed, pack: false });
  assert.deepEqual(messages.map((message) => formatMessage(message, pkg)), []);
  const attw = join(root, "node_modules/@arethetypeswrong/cli/dist/index.js");
  // It ends with an error where it finds something.
  execFileSync(process.execPath, [attw, tarball, "--profile", "esm-only", "--exclude-entrypoints", "worker", "--format", "ascii", "--no-color"], { encoding: "utf8" });
});
