// The WebAssembly build against what the native build answered: embeddings, lists and scores, bit for bit.
// `cargo xtask test` has both made: NEARSHELF_WASM_FIXTURES holds a release and answers.json.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const fixtures = resolve(process.env.NEARSHELF_WASM_FIXTURES ?? 'target/wasm-fixtures');
const wasm = resolve(process.env.NEARSHELF_WASM_DIR ?? 'pkg-js/wasm');
const release = join(fixtures, 'release');

const { default: init, Engine } = await import(pathToFileURL(join(wasm, 'nearshelf.js')));
await init({ module_or_path: await readFile(join(wasm, 'nearshelf_bg.wasm')) });

async function engine(release) {
  const engine = new Engine();
  let missing = JSON.parse(engine.setHead(await readFile(join(release, 'head.json'))));
  while (missing.length > 0) {
    const [{ digest, path }] = missing;
    missing = JSON.parse(engine.accept(digest, await readFile(join(release, path))));
  }
  return engine;
}

const bits = (numbers) => [...new Uint32Array(Float32Array.from(numbers).buffer)];

const bitsOf = (number) => (number === undefined ? null : bits([number])[0]);
const listed = ({ id, score, value, propensity, insteadOf }) => [id, bitsOf(score), bitsOf(value), bitsOf(propensity), insteadOf ?? null];

async function repeats(name, count, release) {
  const answers = JSON.parse(await readFile(join(fixtures, name), 'utf8'));
  assert.equal(answers.length, count);
  const wasmEngine = await engine(release);
  for (const [index, expected] of answers.entries()) {
    const request = JSON.stringify(expected.request);
    assert.deepEqual(bits(wasmEngine.embed(request)), expected.embedding, `embedding of request ${index}`);
    const answer = JSON.parse(wasmEngine.recommend(request));
    assert.deepEqual(answer.history, expected.history, `history of request ${index}`);
    const items = answer.items.map(listed);
    assert.deepEqual(items, expected.items, `items of request ${index}`);
    assert.deepEqual(answer.items.map(({ because }) => because ?? null), expected.because, `reasons of request ${index}`);
    assert.deepEqual(answer.items.map(({ price }) => price ?? null), expected.prices, `prices of request ${index}`);
  }
  wasmEngine.free();
}

test('the WebAssembly build repeats the native answers bit for bit', () => repeats('answers.json', 1000, release));

test('it does so with stock and prices of now', async () => {
  await repeats('stocked.json', 200, join(fixtures, 'stocked'));
  const prices = JSON.parse(await readFile(join(fixtures, 'stocked.json'), 'utf8')).flatMap(({ prices }) => prices);
  assert.ok(prices.some((price) => price !== null) && prices.includes(null));
});

for (const encoder of ['attention', 'gru', 'lstm']) {
  test(`it does so with histories read by ${encoder}`, () => repeats(`${encoder}.json`, 200, join(fixtures, encoder)));
}

test('clusters are fetched when a request visits them, and answer as the native build does', async () => {
  const clusters = join(fixtures, 'clusters');
  const answers = JSON.parse(await readFile(join(fixtures, 'clusters.json'), 'utf8'));
  const wasmEngine = new Engine();
  let missing = JSON.parse(wasmEngine.setHead(await readFile(join(clusters, 'head.json'))));
  const kinds = [];
  while (missing.length > 0 && missing[0].kind !== 'cards') {
    const [{ digest, path, kind }] = missing;
    kinds.push(kind);
    missing = JSON.parse(wasmEngine.accept(digest, await readFile(join(clusters, path))));
  }
  assert.deepEqual(kinds, ['manifest', 'tower', 'routing', 'rules', 'ranker']);
  assert.ok(wasmEngine.isReady());
  const fetched = new Set();
  for (const [index, expected] of answers.entries()) {
    const request = JSON.stringify(expected.request);
    for (let round = 0; ; round += 1) {
      const absent = JSON.parse(wasmEngine.absent(request));
      if (absent.length === 0) break;
      assert.ok(round < 3, `request ${index} asks for ever more: ${JSON.stringify(absent)}`);
      for (const { digest, path } of absent) {
        assert.ok(!fetched.has(digest), `${path} is asked for twice`);
        fetched.add(digest);
        wasmEngine.accept(digest, await readFile(join(clusters, path)));
      }
    }
    const answer = JSON.parse(wasmEngine.recommend(request));
    assert.deepEqual(answer.history, expected.history, `history of request ${index}`);
    const items = answer.items.map(listed);
    assert.deepEqual(items, expected.items, `items of request ${index}`);
  }
  wasmEngine.free();
});

test('what is no request is an error with a code, and the engine goes on', async () => {
  const wasmEngine = await engine(release);
  const broken = ['', '{', '{"limit":0}', '{"limit":1001}', '{"limit":-1}', '{"limit":1,"history":7}', '{"limit":1e99}'];
  for (const request of broken) {
    assert.throws(() => wasmEngine.recommend(request), (error) => {
      assert.ok(error instanceof Error);
      assert.match(error.code, /^request\/[a-z-]+$/);
      return true;
    }, request);
  }
  assert.equal(JSON.parse(wasmEngine.recommend('{"limit":3}')).items.length, 3);
  wasmEngine.free();
});

test('every object that is cut or changed is refused by a code, and the whole one is taken afterwards', async () => {
  const wasmEngine = new Engine();
  const head = await readFile(join(release, 'head.json'));
  assert.throws(() => wasmEngine.setHead(head.subarray(0, head.length - 3)), { code: /^release\// });
  let missing = JSON.parse(wasmEngine.setHead(head));
  while (missing.length > 0) {
    const [{ digest, path }] = missing;
    const bytes = await readFile(join(release, path));
    const flipped = Uint8Array.from(bytes);
    flipped[bytes.length >> 1] ^= 1;
    for (const wrong of [bytes.subarray(0, bytes.length - 1), flipped, new Uint8Array()]) {
      assert.throws(() => wasmEngine.accept(digest, wrong), { code: /^(sync|shard|release|towers)\/[a-z-]+$/ });
    }
    const computed = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
    const other = new Uint8Array(await crypto.subtle.digest('SHA-256', flipped));
    assert.throws(() => wasmEngine.accept(digest, bytes, other), { code: 'release/digest' });
    assert.throws(() => wasmEngine.accept(digest, bytes, computed.subarray(1)), { code: 'request/digest' });
    missing = JSON.parse(wasmEngine.accept(digest, bytes, computed));
  }
  assert.ok(wasmEngine.isReady());
  wasmEngine.free();
});
