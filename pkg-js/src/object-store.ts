import { Connection, ended, resultOf, STORES } from "./database.js";

/** When an object was read or written last. */
interface Use {
  digest: string;
  size: number;
  used: number;
}

/**
 * The objects of releases on this device, by digest, and the last head of each release that was whole. What was not used for longest
 * goes when the budget is full, or when the device is.
 * @internal
 */
export class ObjectStore {
  readonly #connection = new Connection();
  /** In bytes. */
  readonly budget: number;

  private constructor(budget: number) {
    this.budget = budget;
  }

  static async open(budget: number): Promise<ObjectStore> {
    const store = new ObjectStore(budget);
    await store.#connection.open();
    return store;
  }

  async #transaction(stores: string | string[], mode?: IDBTransactionMode): Promise<IDBTransaction> {
    return (await this.#connection.open()).transaction(stores, mode);
  }

  /** The bytes that were put, as fresh as the device has them: whoever reads them checks their digest. */
  async get(digest: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const transaction = await this.#transaction([STORES.objects, STORES.uses], "readwrite");
    const bytes = plain(await resultOf<unknown>(transaction.objectStore(STORES.objects).get(digest)));
    if (bytes !== undefined) transaction.objectStore(STORES.uses).put({ digest, size: bytes.length, used: Date.now() } satisfies Use);
    await ended(transaction);
    return bytes;
  }

  /** Whether all of these are there. */
  async has(digests: ReadonlySet<string>): Promise<boolean> {
    const kept = new Set(await resultOf((await this.#transaction(STORES.objects)).objectStore(STORES.objects).getAllKeys()));
    return [...digests].every((digest) => kept.has(digest));
  }

  /** Keeps an object; where the device is full, older ones go first. It throws where that does not help. */
  async put(digest: string, bytes: Uint8Array): Promise<void> {
    if (bytes.length > this.budget) return;
    try {
      await this.#put(digest, bytes, this.budget);
    } catch (cause) {
      if ((cause as DOMException | null)?.name !== "QuotaExceededError") throw cause;
      await this.#evict(Math.floor((await this.#total()) / 2));
      await this.#put(digest, bytes, this.budget);
    }
  }

  async #put(digest: string, bytes: Uint8Array, budget: number): Promise<void> {
    const transaction = await this.#transaction([STORES.objects, STORES.uses], "readwrite");
    transaction.objectStore(STORES.objects).put(bytes, digest);
    transaction.objectStore(STORES.uses).put({ digest, size: bytes.length, used: Date.now() } satisfies Use);
    // Where the device is full, only the end of the transaction says so.
    const [end] = await Promise.allSettled([ended(transaction), shrink(transaction, budget, digest)]);
    if (end.status === "rejected") throw end.reason;
  }

  async #total(): Promise<number> {
    const uses = await resultOf<Use[]>((await this.#transaction(STORES.uses)).objectStore(STORES.uses).getAll());
    return uses.reduce((sum, { size }) => sum + size, 0);
  }

  async #evict(budget: number): Promise<void> {
    const transaction = await this.#transaction([STORES.objects, STORES.uses], "readwrite");
    await shrink(transaction, budget);
    await ended(transaction);
  }

  /** Deletes what was not used for `grace` milliseconds and is not `named`. */
  async collect(named: (digest: string) => boolean, grace: number): Promise<void> {
    const transaction = await this.#transaction([STORES.objects, STORES.uses], "readwrite");
    const old = IDBKeyRange.upperBound(Date.now() - grace);
    for (const { digest } of await resultOf<Use[]>(transaction.objectStore(STORES.uses).index("used").getAll(old))) {
      if (!named(digest)) remove(transaction, digest);
    }
    await ended(transaction);
  }

  /** The last head whose release was whole. */
  async head(base: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return plain(await resultOf<unknown>((await this.#transaction(STORES.heads)).objectStore(STORES.heads).get(base)));
  }

  async putHead(base: string, bytes: Uint8Array): Promise<void> {
    const transaction = await this.#transaction(STORES.heads, "readwrite");
    transaction.objectStore(STORES.heads).put(bytes, base);
    await ended(transaction);
  }

  close(): void {
    this.#connection.close();
  }
}

/** Deletes what was not used for longest until the rest fits, but not `kept`. */
async function shrink(transaction: IDBTransaction, budget: number, kept?: string): Promise<void> {
  const uses = await resultOf<Use[]>(transaction.objectStore(STORES.uses).index("used").getAll());
  let total = uses.reduce((sum, { size }) => sum + size, 0);
  for (const { digest, size } of uses) {
    if (total <= budget) return;
    if (digest === kept) continue;
    remove(transaction, digest);
    total -= size;
  }
}

/** Bytes as they were put; what else may lie there is as good as nothing. */
const plain = (value: unknown): Uint8Array<ArrayBuffer> | undefined => (value instanceof Uint8Array ? (value as Uint8Array<ArrayBuffer>) : undefined);

function remove(transaction: IDBTransaction, digest: string): void {
  transaction.objectStore(STORES.objects).delete(digest);
  transaction.objectStore(STORES.uses).delete(digest);
}
