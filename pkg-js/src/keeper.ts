import { eraseAll } from "./database.js";
import { CHANNEL, DeviceHistory, type News } from "./device-history.js";
import { NearshelfError, text } from "./errors.js";
import { type HistoryEvent, type HistoryStorage, loadHistory, MAX_HISTORY } from "./history.js";

/**
 * What one shopper did: in memory always, and in a storage from the moment of consent on. Tabs that share the storage hear of each
 * other's events.
 * @internal
 */
export class Keeper {
  readonly #storage: HistoryStorage;
  /** The storage, where that is the device. */
  readonly #device: DeviceHistory | undefined;
  #events: readonly HistoryEvent[] = [];
  #isAllowed = false;
  /** Whether what is stored is still being read: what is tracked meanwhile is stored behind it. */
  #isLoading = false;
  /** Counts consents, withdrawals and erasures: what was begun before one does not end after it. */
  #round = 0;
  readonly #channel: BroadcastChannel | undefined;
  /** Ends with the last write that was asked for, and never rejects. */
  #writes: Promise<void> = Promise.resolve();
  /** Why the storage was not read or written last. */
  error: NearshelfError | undefined;
  /** Another tab was told that the consent is withdrawn. */
  onRevoked: () => void = () => undefined;
  /** Another tab has a newer release. */
  onRelease: (version: number) => void = () => undefined;

  constructor(storage: HistoryStorage) {
    this.#storage = storage;
    this.#device = storage instanceof DeviceHistory ? storage : undefined;
    this.#channel = this.#device && typeof BroadcastChannel === "function" ? new BroadcastChannel(CHANNEL) : undefined;
    if (this.#channel) this.#channel.onmessage = ({ data }: MessageEvent<News & { base: string }>) => this.#hear(data);
    // Node waits for open channels; a page does not.
    (this.#channel as { unref?: () => void } | undefined)?.unref?.();
  }

  get events(): readonly HistoryEvent[] {
    return this.#events;
  }

  get isAllowed(): boolean {
    return this.#isAllowed;
  }

  /** Reads what is stored and stores what was tracked so far. */
  async allow(): Promise<void> {
    if (this.#isAllowed) return;
    this.#isAllowed = this.#isLoading = true;
    const round = (this.#round += 1);
    const { events, error } = await loadHistory(this.#storage);
    if (round !== this.#round) return;
    this.#isLoading = false;
    this.error = error;
    const tracked = this.#events;
    this.#events = [...events, ...tracked].slice(-MAX_HISTORY);
    if (tracked.length > 0) await this.#store(tracked).catch(() => undefined);
  }

  /** Stores nothing more, and erases what is stored. What this page remembers stays until it is left. */
  async forbid(): Promise<void> {
    this.#isAllowed = false;
    this.#tell({ kind: "revoked" });
    await this.eraseStored();
  }

  /** Erases what is stored, on the device all there is, behind what is being written. */
  eraseStored(): Promise<void> {
    return this.#erase(() => (this.#device === undefined ? this.#storage.erase() : eraseAll()));
  }

  add(event: HistoryEvent): void {
    this.#events = [...this.#events, event].slice(-MAX_HISTORY);
    if (!this.#isAllowed || this.#isLoading) return;
    this.#store([event]).catch(() => undefined);
    this.#tell({ kind: "event", event });
  }

  async erase(): Promise<void> {
    this.#events = [];
    this.#tell({ kind: "erased" });
    await this.#erase(() => this.#storage.erase());
  }

  /** Tells other tabs of a release. */
  tellRelease(version: number): void {
    if (this.#isAllowed) this.#tell({ kind: "release", version });
  }

  /** Lets go of the device when what was asked for is written. */
  close(): void {
    this.#channel?.close();
    void this.#writes.then(() => this.#device?.close());
  }

  #tell(news: News): void {
    this.#channel?.postMessage({ ...news, base: this.#device?.base });
  }

  #hear(news: News & { base: string }): void {
    if (!this.#isAllowed || (news.kind !== "revoked" && news.base !== this.#device?.base)) return;
    // What another tab stores while this one reads is read, or is there for the next page.
    if (this.#isLoading && news.kind === "event") return;
    if (news.kind === "event") this.#events = [...this.#events, news.event].sort((a, b) => a.at - b.at).slice(-MAX_HISTORY);
    else if (news.kind === "erased") {
      this.#begin();
      this.#events = [];
    } else if (news.kind === "revoked") {
      this.#isAllowed = false;
      // What this tab stored before it heard is erased by no other.
      this.eraseStored().catch(() => undefined);
      this.onRevoked();
    } else this.onRelease(news.version);
  }

  /** Begins a round without what is stored and what waits to be. */
  #begin(): void {
    this.#round += 1;
    this.#isLoading = false;
  }

  /** A full or forbidden storage must not stop a page: the history in memory is right, and `status` tells. */
  #store(added: readonly HistoryEvent[]): Promise<void> {
    const [events, round] = [this.#events, this.#round];
    return this.#behind("not stored", () => {
      if (round !== this.#round) return;
      return this.#storage.append === undefined ? this.#storage.save(events) : this.#storage.append(added);
    });
  }

  #erase(erase: () => void | Promise<void>): Promise<void> {
    this.#begin();
    return this.#behind("not erased", erase);
  }

  /** Writes after every earlier write has ended: a slow store must not keep an old history over a newer one, or over an erased one. */
  #behind(otherwise: string, write: () => void | Promise<void>): Promise<void> {
    const written = this.#writes.then(write).catch((cause: unknown) => {
      this.error = new NearshelfError("storage/failed", `the history was ${otherwise}: ${text(cause)}`, { cause });
      throw this.error;
    });
    this.#writes = written.catch(() => undefined);
    return written;
  }
}
