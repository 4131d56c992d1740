import type { News } from "./device-history.js";
import { NearshelfError, text } from "./errors.js";
import { type HistoryEvent, type HistoryStorage, loadHistory, MAX_HISTORY } from "./history.js";

/**
 * What one shopper did: in memory always, and in a storage from the moment of consent on. Tabs that share the storage hear of each
 * other's events.
 * @internal
 */
export class Keeper {
  readonly #storage: HistoryStorage;
  #events: readonly HistoryEvent[] = [];
  #isAllowed = false;
  /** Whether what is stored is still being read: what is tracked meanwhile is stored behind it. */
  #isLoading = false;
  /** Counts consents and withdrawals: what an earlier one began does not end in a later one. */
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

  /** `channel` is what tabs of this history call each other by. */
  constructor(storage: HistoryStorage, channel?: string) {
    this.#storage = storage;
    this.#channel = channel !== undefined && typeof BroadcastChannel === "function" ? new BroadcastChannel(channel) : undefined;
    if (this.#channel) this.#channel.onmessage = ({ data }: MessageEvent<News>) => this.#hear(data);
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
    if (tracked.length > 0) await this.#store(tracked);
  }

  /** Stores nothing more, and erases what is stored. What this page remembers stays until it is left. */
  async forbid(): Promise<void> {
    this.#withdraw();
    this.#tell({ kind: "revoked" });
    await this.#write(() => this.#storage.erase());
  }

  #withdraw(): void {
    this.#isAllowed = this.#isLoading = false;
    this.#round += 1;
  }

  add(event: HistoryEvent): void {
    this.#events = [...this.#events, event].slice(-MAX_HISTORY);
    if (!this.#isAllowed || this.#isLoading) return;
    void this.#store([event]);
    this.#tell({ kind: "event", event });
  }

  async erase(): Promise<void> {
    this.#events = [];
    if (!this.#isAllowed) return;
    await this.#write(() => this.#storage.erase());
    this.#tell({ kind: "erased" });
  }

  /** Tells other tabs of a release. */
  tellRelease(version: number): void {
    if (this.#isAllowed) this.#tell({ kind: "release", version });
  }

  close(): void {
    this.#channel?.close();
  }

  #tell(news: News): void {
    this.#channel?.postMessage(news);
  }

  #hear(news: News): void {
    // What another tab stores while this one reads is read, or is there for the next page.
    if (!this.#isAllowed || (this.#isLoading && news.kind === "event")) return;
    if (news.kind === "event") this.#events = [...this.#events, news.event].sort((a, b) => a.at - b.at).slice(-MAX_HISTORY);
    else if (news.kind === "erased") this.#events = [];
    else if (news.kind === "revoked") {
      this.#withdraw();
      this.onRevoked();
    } else this.onRelease(news.version);
  }

  #store(added: readonly HistoryEvent[]): Promise<void> {
    const events = this.#events;
    const { append } = this.#storage;
    return this.#write(() => (append === undefined ? this.#storage.save(events) : append.call(this.#storage, added)));
  }

  /**
   * Writes after every earlier write has ended: a slow store must not keep an old history over a newer one, or over an
   * erased one. A full or forbidden storage must not stop a page; the history in memory is right, and `status` tells.
   */
  #write(write: () => void | Promise<void>): Promise<void> {
    this.#writes = this.#writes.then(write).catch((cause: unknown) => {
      this.error = new NearshelfError("storage/failed", `the history was not stored: ${text(cause)}`, { cause });
    });
    return this.#writes;
  }
}
