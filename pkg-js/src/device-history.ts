import { Connection, ended, eraseIn, resultOf, STORES } from "./database.js";
import { type HistoryEvent, type HistoryStorage, MAX_HISTORY } from "./history.js";

type Stored = HistoryEvent & { base: string };

/** What tabs tell each other. @internal */
export type News = { kind: "event"; event: HistoryEvent } | { kind: "erased" } | { kind: "revoked" } | { kind: "release"; version: number };

/** The channel of an origin's tabs; `base` is the release that the news is of. Withdrawn consent is news for all. @internal */
export const CHANNEL = "nearshelf";

/**
 * The history of one shop's release on this device. Events are added one by one, so two tabs never overwrite each other's.
 * @internal
 */
export class DeviceHistory implements HistoryStorage {
  readonly base: string;
  readonly #connection = new Connection();

  constructor(base: string) {
    this.base = base;
  }

  async load(): Promise<HistoryEvent[]> {
    const index = (await this.#connection.open()).transaction(STORES.events).objectStore(STORES.events).index("base");
    const stored = await resultOf<Stored[]>(index.getAll(this.base));
    return stored.map(({ id, type, at }) => ({ id, type, at }));
  }

  /** Adds events behind those that are there, of which the oldest go. */
  async append(events: readonly HistoryEvent[]): Promise<void> {
    const transaction = (await this.#connection.open()).transaction(STORES.events, "readwrite");
    const store = transaction.objectStore(STORES.events);
    for (const event of events) store.add({ ...event, base: this.base } satisfies Stored);
    const keys = await resultOf(store.index("base").getAllKeys(this.base));
    for (const key of keys.slice(0, Math.max(0, keys.length - MAX_HISTORY))) store.delete(key);
    await ended(transaction);
  }

  async save(events: readonly HistoryEvent[]): Promise<void> {
    await this.erase();
    await this.append(events);
  }

  async erase(): Promise<void> {
    await eraseIn(async (transaction) => {
      const store = transaction.objectStore(STORES.events);
      for (const key of await resultOf(store.index("base").getAllKeys(this.base))) store.delete(key);
    });
  }

  close(): void {
    this.#connection.close();
  }
}
