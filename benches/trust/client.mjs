// The client of the schedules: the package in a page or in a thread of Node, with a fast clock and a device that fails.
import { createRecommender, init } from "nearshelf";

/** So much faster do clocks run: what waits for a host that stalls takes tenths of seconds. */
const FASTER = 100;

const [timeout, now, started] = [globalThis.setTimeout, Date.now, Date.now()];
globalThis.setTimeout = (work, ms, ...rest) => timeout(work, (ms ?? 0) / FASTER, ...rest);
Date.now = () => started + (now() - started) * FASTER;

/** Numbers from 0 to 1, the same every time (mulberry32). */
let state = 0;
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
}

/** Of 16 requests to the device, so many fail. */
let faults = 0;
if (typeof IDBObjectStore === "function") {
  const { put, get } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = function (value, ...key) {
    if (random() * 16 >= faults) return put.call(this, value, ...key);
    const chance = random();
    if (chance < 0.4) throw new DOMException("the device is full", "QuotaExceededError");
    // Lost, or torn.
    if (chance < 0.7) return this.count();
    return put.call(this, value instanceof Uint8Array ? value.slice(0, Math.floor(random() * value.length)) : value, ...key);
  };
  IDBObjectStore.prototype.get = function (key) {
    if (random() * 16 < faults) throw new DOMException("the device cannot read", "UnknownError");
    return get.call(this, key);
  };
}

let recommender;
let options;

const code = async (work) => {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error.code ?? String(error);
  }
};

/** Deletes so many of the objects on the device, as a browser may. */
async function evict(share) {
  // Opening one that is not there would make an empty one.
  if (typeof indexedDB !== "object" || !(await indexedDB.databases()).some(({ name }) => name === "nearshelf")) return;
  const database = await new Promise((resolve, reject) => {
    const request = indexedDB.open("nearshelf");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const names = [...database.objectStoreNames].filter((name) => ["objects", "uses"].includes(name) || share === 1);
  if (names.length > 0) {
    const transaction = database.transaction(names, "readwrite");
    for (const name of names) {
      const store = transaction.objectStore(name);
      const keys = store.getAllKeys();
      keys.onsuccess = () => keys.result.filter(() => random() < share).forEach((key) => store.delete(key));
    }
    await new Promise((resolve) => { transaction.oncomplete = transaction.onabort = transaction.onerror = resolve; });
  }
  database.close();
}

export const calls = {
  /** Another schedule. */
  async begin(given) {
    await init(given.wasm);
    recommender?.close();
    recommender = undefined;
    ({ seed: state, ...options } = given);
    faults = 0;
    await evict(1);
  },
  visit: () => code(async () => {
    recommender?.close();
    recommender = undefined;
    recommender = await createRecommender({ release: options.release, publicKey: options.publicKey, mode: "main", consent: true, refresh: false });
  }),
  sync: () => (recommender === undefined ? calls.visit() : code(() => recommender.sync())),
  device: (share) => {
    faults = share;
  },
  evict,
  /** What serves, and what it recommends to whoever saw the item of its version. */
  async served(items) {
    if (recommender === undefined) return { version: 0 };
    const { release: { version, trust }, freshness: state } = recommender.status();
    const row = await recommender.relatedProducts(items[version] ?? "", { limit: 12 });
    return { version, freshness: trust.freshness, state, ids: row.items.map(({ id }) => id) };
  },
};
