// A release whose query tower is an ONNX graph: the core refuses it with a code, and the build with tract answers as the native one does, up
// to the order of sums. `cargo xtask test` has all made, as for native.test.mjs.
import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const fixtures = resolve(process.env.NEARSHELF_WASM_FIXTURES ?? 'target/wasm-fixtures');
const folders = {
  nearshelf: resolve(process.env.NEARSHELF_WASM_DIR ?? 'pkg-js/wasm'),
  nearshelf_onnx: resolve(process.env.NEARSHELF_WASM_ONNX_DIR ?? 'pkg-js/wasm-onnx'),
};
/** It takes minutes to build, so that is asked for apart. */
const built = join(folders.nearshelf_onnx, 'nearshelf_onnx_bg.wasm');
// Where it is not, a stand-in of some bytes has its name.
const absent = existsSync(built) && statSync(built).size > 1000 ? false : 'not built: cargo xtask wasm --onnx';
/** Kernels of other machines sum in other orders. */
const TOLERANCE = 1e-5;

async function start(name) {
  const { default: init, Engine } = await import(pathToFileURL(join(folders[name], `${name}.js`)));
  await init({ module_or_path: await readFile(join(folders[name], `${name}_bg.wasm`)) });
  return new Engine();
}

async function bring(engine, release) {
  let missing = JSON.parse(engine.setHead(await readFile(join(release, 'head.json'))));
  while (missing.length > 0) {
    const [{ digest, path }] = missing;
    missing = JSON.parse(engine.accept(digest, await readFile(join(release, path))));
  }
}

test('the core refuses a release that needs tract when it sees the manifest, and says so by a code', async () => {
  const engine = await start('nearshelf');
  const release = join(fixtures, 'onnx');
  const [{ digest, path }] = JSON.parse(engine.setHead(await readFile(join(release, 'head.json'))));
  const manifest = await readFile(join(release, path));
  assert.equal(JSON.parse(manifest).engine, 'tract');
  assert.throws(() => engine.accept(digest, manifest), { code: 'towers/engine', message: /nearshelf\/onnx/ });
  assert.equal(engine.isReady(), false);
  // What it can run it still takes.
  await bring(await start('nearshelf'), join(fixtures, 'release'));
});

test('the build with tract answers as the native one does, up to the order of sums', { skip: absent }, async (t) => {
  const engine = await start('nearshelf_onnx');
  await bring(engine, join(fixtures, 'onnx'));
  const answers = JSON.parse(await readFile(join(fixtures, 'onnx.json'), 'utf8'));
  let worst = 0;
  let equal = 0;
  for (const [index, { history, embedding, items }] of answers.entries()) {
    const events = history.map((id) => ({ id, type: 'view', at: 0 }));
    const request = JSON.stringify({ limit: 10, history: events, exclude: [], context: {} });
    const found = [...engine.embed(request)];
    assert.equal(found.length, embedding.length);
    found.forEach((number, at) => {
      worst = Math.max(worst, Math.abs(number - embedding[at]));
    });
    const row = JSON.parse(engine.recommend(request)).items;
    assert.equal(row.length, 10);
    equal += Number(row.every(({ id }, at) => id === items[at][0]));
    row.forEach(({ score }, at) => assert.ok(Math.abs(score - items[at][1]) <= TOLERANCE, `request ${index}: ${score} and ${items[at][1]}`));
  }
  t.diagnostic(`embeddings differ by at most ${worst}; ${equal} of ${answers.length} rows are the same`);
  assert.ok(worst <= TOLERANCE, `${worst}`);
});

test('the build with tract runs programs bit for bit, too', { skip: absent }, async () => {
  const engine = await start('nearshelf_onnx');
  await bring(engine, join(fixtures, 'release'));
  const answers = JSON.parse(await readFile(join(fixtures, 'answers.json'), 'utf8'));
  for (const expected of answers.slice(0, 100)) {
    const found = [...new Uint32Array(Float32Array.from(engine.embed(JSON.stringify(expected.request))).buffer)];
    assert.deepEqual(found, expected.embedding);
  }
});
