// A shop that signs releases, written apart from the library that checks them: Node's own Ed25519 over canonical JSON.
import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto";

/** Seconds that a head counts. */
const LIFE = 7 * 86_400;
/** What stands before the 32 bytes of an Ed25519 seed in PKCS#8 (RFC 8410). */
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

const keyOf = (number) => createPrivateKey({ key: Buffer.concat([PKCS8, Buffer.alloc(32, number)]), format: "der", type: "pkcs8" });
const publicHex = (number) => createPublicKey(keyOf(number)).export({ format: "der", type: "spki" }).subarray(-32).toString("hex");

/** RFC 8785 for what heads and roots hold: objects, arrays, texts and whole numbers. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join()}}`;
}

function signed(content, keys) {
  const message = canonical(content);
  const signatures = keys.map((number) => ({ key: publicHex(number), signature: sign(null, Buffer.from(message), keyOf(number)).toString("hex") }));
  return Buffer.from(JSON.stringify({ signed: content, signatures }));
}

export class Shop {
  /** What a host serves, by path. */
  files = new Map();
  /** The content of each version. */
  versions = new Map();
  version = 0;
  #contents;
  #root = 0;
  #headKey = 2;

  /** `contents` are releases as `{ manifest }`, `objects` all their files by path. */
  constructor(contents, objects) {
    this.#contents = contents;
    for (const [path, bytes] of objects) this.files.set(path, bytes);
    this.publishRoot();
  }

  get publicKey() {
    const { signed: content } = JSON.parse(this.files.get("root/1.json"));
    return `1.${createHash("sha256").update(canonical(content)).digest("hex")}`;
  }

  publishRoot() {
    this.#root += 1;
    const roles = { root: { keys: [publicHex(1)], threshold: 1 }, head: { keys: [publicHex(this.#headKey)], threshold: 1 } };
    const expires = Math.floor(Date.now() / 1000) + 365 * 86_400;
    this.files.set(`root/${this.#root}.json`, signed({ type: "root", format: 1, name: "shop", version: this.#root, expires, roles }, [1]));
  }

  /** Other keys for heads, from the next publication on. */
  rotate() {
    this.#headKey = 2 + ((this.#headKey - 1) % 250);
    this.publishRoot();
  }

  publish(content) {
    this.version += 1;
    this.versions.set(this.version, content);
    this.files.set("head.json", this.head(content));
  }

  /** A head of this content, as the shop signs it now unless told otherwise. */
  head(content, { version = this.version, root = this.#root, key = this.#headKey } = {}) {
    const made = Math.floor(Date.now() / 1000);
    const { manifest } = this.#contents[content];
    return signed({ type: "head", format: 1, name: "shop", root, version, made, expires: made + LIFE, manifest }, [key]);
  }
}
