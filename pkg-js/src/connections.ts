import { download } from "./download.js";
import { NearshelfError } from "./errors.js";
import type { Downloaded } from "./host.js";

/** Downloads at a time: as many connections as a browser keeps to one host. */
export const CONNECTIONS = 6;

/** The longest that a host's `Retry-After` is kept to, in milliseconds: a longer one would be a way to keep a page at what it has. */
const LONGEST_WAIT = 3_600_000;

/** What a host answers that has too much to do. */
const BUSY = new Set([429, 503]);

/**
 * Downloads files of one release: six at a time, those of a row first, none while the host has asked for time, and none once it is closed.
 * @internal
 */
export class Connections {
  readonly downloaded: Downloaded = { files: 0, bytes: 0 };
  readonly #base: URL;
  readonly #fetch: typeof fetch;
  #isClosed = false;
  /** What is on its way, each with a signal of its own: Cloudflare lets no request to a Worker use one that an earlier request made. */
  readonly #ongoing = new Set<AbortController>();
  #free = CONNECTIONS;
  readonly #waiting: (() => void)[] = [];
  /** Until when the host is not asked, and what it said. */
  #busy: { until: number; error: NearshelfError } | undefined;

  constructor(base: URL, fetchFrom: typeof fetch) {
    this.#base = base;
    this.#fetch = fetchFrom;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  close(): void {
    this.#isClosed = true;
    for (const ending of this.#ongoing) ending.abort();
  }

  /** A closed recommender has freed the engine. */
  checkOpen(): void {
    if (this.#isClosed) throw new NearshelfError("recommender/closed", "the recommender was closed while it downloaded");
  }

  /** Work that ends when the recommender is closed. */
  async endable<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.checkOpen();
    const ending = new AbortController();
    this.#ongoing.add(ending);
    return work(ending.signal).finally(() => this.#ongoing.delete(ending));
  }

  /** The bytes of the file at `path`, `limit` of them at most; before all that wait where a row waits for it. */
  async get(path: string, limit: number, cache: RequestCache, isUrgent = false): Promise<Uint8Array<ArrayBuffer>> {
    const url = new URL(path, this.#base);
    if (!url.href.startsWith(this.#base.href)) {
      throw new NearshelfError("download/outside-release", `${path} points outside ${this.#base.href}; publish the release again`);
    }
    await this.#connection(isUrgent);
    try {
      this.#checkBusy();
      const wait = (response: Response) => this.#wait(response);
      const bytes = await this.endable((signal) => download({ url, limit, cache, fetch: this.#fetch, signal, refused: wait }));
      this.checkOpen();
      // What is copied out of the browser's cache was counted when it came.
      if (cache !== "force-cache") {
        this.downloaded.files += 1;
        this.downloaded.bytes += bytes.length;
      }
      return bytes;
    } finally {
      // Whoever waits gets it from here, before anybody who comes.
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }

  async #connection(isUrgent: boolean): Promise<void> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => (isUrgent ? this.#waiting.unshift(resolve) : this.#waiting.push(resolve)));
  }

  #checkBusy(): void {
    if (this.#busy !== undefined && this.#busy.until > Date.now()) throw this.#busy.error;
  }

  /** Notes for how long a host that is busy wants to be left alone. */
  #wait(response: Response): void {
    const said = response.headers.get("retry-after");
    if (!BUSY.has(response.status) || said === null) return;
    const milliseconds = Number.isNaN(Number(said)) ? Date.parse(said) - Date.now() : Number(said) * 1000;
    // What is no time asks for none.
    if (!(milliseconds > 0)) return;
    const error = new NearshelfError("download/busy", `${response.url}: HTTP ${response.status}; it asks to be left alone until ${said}, and is until then`);
    this.#busy = { until: Date.now() + Math.min(milliseconds, LONGEST_WAIT), error };
  }
}
