import type { Card, Cards } from "./cards.js";
import { NearshelfError } from "./errors.js";
import { type EventType, type HistoryEvent, type HistoryStorage, isHistoryEvent } from "./history.js";
import type { Downloaded, Host, ReleaseStatus } from "./host.js";
import type { WasmSource } from "./init.js";
import type { Keeper } from "./keeper.js";

/** Where the engine works: on a thread of its own, or on that of the page. */
export type Mode = "worker" | "main";

/** What the query tower may know beside the history. What is left out takes the trained default. */
export interface Context {
  /** The time that the row is for, like `Date.now()`, and its default. */
  now?: number;
  /** A store or region, as in the training data; a path there, `US/CA/Fresno`, may end at any of its parts. */
  location?: string;
  /** Household attributes, as in the training data; and `device`, where the training data have one. */
  attributes?: Record<string, string>;
  /** The shopper's long-term vector, which `nearshelf user-vectors` computes at the origin; without it, a trained default. */
  user?: readonly number[];
}

export interface RecommenderOptions {
  /** The folder that holds `head.json`. */
  release: string | URL;
  /** Which part of a release by column, a market say, this shopper sees: one of the column's values. Other releases ignore it. */
  segment?: string;
  /**
   * Where the history is kept after consent: on the device, the default in pages, together with the release; `"memory"`, until the page is
   * left; or a store of the shop's own.
   */
  storage?: "device" | "memory" | HistoryStorage;
  /** Whether the shopper has agreed that something is stored; without it, nothing is. */
  consent?: boolean;
  /** Most bytes of a release that are kept on the device, 32 MiB unless told. */
  budget?: number;
  context?: Context;
  /**
   * Download the product cards too, beside the rest; of a release in clusters, those of the products that rows show. Without it,
   * [`Recommender.cards`] does so when first called.
   */
  cards?: boolean;
  /** Where the WASM comes from, when `init` was not called before. */
  wasm?: WasmSource;
  /** The same of `nearshelf_onnx_bg.wasm`, which is loaded when the release has a query tower that needs it. */
  wasmOnnx?: WasmSource;
  /**
   * `"worker"`, the default in pages, or `"main"`, elsewhere. Where a worker does not start, because the page's policy forbids it or
   * its script is not there, the engine works on the page's thread all the same, and `status().mode` says so.
   */
  mode?: Mode;
  /** The worker, or its script's address, where a bundler does not find `nearshelf/worker` by itself. */
  worker?: Worker | string | URL;
  /** Asks in place of the global `fetch`; the engine then works on the page's thread. */
  fetch?: typeof fetch;
}

/**
 * What a column of the release is asked for: an array of what is allowed, or a range of numbers. In a column of categories a text
 * is an outermost category, an array of texts a path from there down; what lies below passes too.
 */
export type Condition = readonly number[] | readonly (string | readonly string[])[] | { readonly min?: number; readonly max?: number };

/** Conditions by column, all of which must hold. A product of which nothing is known there passes none. */
export type Where = Readonly<Record<string, Condition>>;

export interface RecommendOptions {
  /** How many products, at most; 12 unless told. */
  limit?: number;
  /** Products that must not appear, the basket's say. */
  exclude?: Iterable<string>;
  /** Only products like these: `{ category: ["Bakery"], price: { max: 1000 } }`. Prices are in cents. */
  where?: Where;
  /** Overrides of the recommender's context, for this row. */
  context?: Context;
}

export interface RecommendedItem {
  id: string;
  /** Larger is better; comparable within one row only. */
  score: number;
  /** Where cards are loaded and hold the product. */
  card?: Card;
}

export interface Recommendation {
  /** Best first. */
  items: RecommendedItem[];
  /** The ids of the history that entered the query. */
  history: string[];
  /** `default` where no event of the history was of a known product. */
  source: "history" | "default";
  /** Milliseconds that each stage took. */
  timings: { tower: number; search: number; rank: number };
  /** What was downloaded for this row, after HTTP's own decompression. */
  bytes: number;
}

/** The shopper's consent to what is stored on the device. It is not stored itself: the shop says it every time. */
export interface Consent {
  readonly granted: boolean;
  /** From now on, history and release are kept; what was stored earlier is read. */
  grant(): Promise<void>;
  /** Erases what is stored, and stores nothing more. This page goes on with what it remembers; [`Recommender.erase`] forgets that, too. */
  revoke(): Promise<void>;
}

export interface Status {
  release: ReleaseStatus;
  /** `stale` where the release's address could not be reached, so that the last release on the device serves. */
  freshness: "fresh" | "stale";
  downloaded: Readonly<Downloaded>;
  mode: Mode;
  /** What failed last, a sync, a row or the storage; the release above serves on. */
  lastError?: NearshelfError;
}

const DEFAULT_LIMIT = 12;

/** The folder of a release. @internal */
export function releaseAddress(release: string | URL): string {
  const page = (globalThis as { document?: { baseURI: string } }).document?.baseURI;
  try {
    const url = new URL(release, page);
    if (!url.pathname.endsWith("/")) url.pathname += "/";
    url.search = url.hash = "";
    return url.href;
  } catch (cause) {
    throw new NearshelfError("release/address", `${release} is no address; outside a page it must begin with https://`, { cause });
  }
}

/** Recommends from what one shopper did. Made by [`createRecommender`]. */
export class Recommender {
  readonly #host: Host;
  readonly #mode: Mode;
  readonly #keeper: Keeper;
  #context: Context;
  #closed = false;
  /** The shopper's consent to what is stored on the device. */
  readonly consent: Consent;

  /** @internal */
  constructor([host, mode]: [Host, Mode], keeper: Keeper, context: Context) {
    this.#host = host;
    this.#mode = mode;
    this.#keeper = keeper;
    this.#context = context;
    const ask = async (isAllowed: boolean) => {
      this.#open();
      await Promise.all([isAllowed ? keeper.allow() : keeper.forbid(), host.keep(isAllowed)]);
    };
    this.consent = {
      get granted() {
        return keeper.isAllowed;
      },
      grant: () => ask(true),
      revoke: () => ask(false),
    };
    keeper.onRelease = (version) => {
      if (!this.#closed && host.status().release.version < version) void this.sync().catch(() => undefined);
    };
  }

  /** Notes what the shopper just did. Nothing is sent. */
  track(type: EventType, itemId: string): void {
    this.#open();
    const event = { id: itemId, type, at: Date.now() };
    if (!isHistoryEvent(event)) {
      throw new NearshelfError("request/event", `track(${String(type)}, ${String(itemId)}): expected "view", "cart" or "purchase", and an id`);
    }
    this.#keeper.add(event);
  }

  /**
   * The row for this shopper, computed here. Of a release in one shard no request goes out once it is loaded; of one in
   * clusters, those are fetched that this shopper's row needs and that are not held yet. Where that fails, the row is
   * computed from what is held, and [`status`] keeps the reason.
   */
  async recommendedForYou(options: RecommendOptions = {}): Promise<Recommendation> {
    this.#open();
    const { now = Date.now(), ...context } = { ...this.#context, ...options.context };
    return this.#host.row({
      limit: options.limit ?? DEFAULT_LIMIT,
      history: this.#keeper.events.map(({ id, type, at }) => ({ id, type, at: wallClock(at) })),
      exclude: [...(options.exclude ?? [])],
      where: options.where ?? {},
      context: { ...context, now: wallClock(now) },
    });
  }

  /** What the shopper did, oldest first. */
  history(): HistoryEvent[] {
    return this.#keeper.events.map((event) => ({ ...event }));
  }

  /** Forgets the history, here at once and in the storage when the promise ends. */
  async erase(): Promise<void> {
    this.#open();
    await this.#keeper.erase();
  }

  /** Replaces what the query tower knows beside the history. */
  setContext(context: Context): void {
    this.#open();
    this.#context = { ...context };
  }

  /** The product cards of the whole release, downloaded by the first call: a file, or, of a release in clusters, one for each. */
  async cards(): Promise<Cards> {
    this.#open();
    return this.#host.cards();
  }

  /** One card, where the cards are loaded. */
  card(id: string): Card | undefined {
    return this.#host.card(id);
  }

  status(): Status {
    this.#open();
    const { release, downloaded, isStale, lastError = this.#keeper.error } = this.#host.status();
    const freshness = isStale ? "stale" : "fresh";
    return { release, freshness, downloaded, mode: this.#mode, ...(lastError === undefined ? {} : { lastError }) };
  }

  /** Looks for a newer release. It throws when that fails, and [`status`] keeps the reason; the present release serves on. */
  async sync(): Promise<void> {
    this.#open();
    const { version } = this.#host.status().release;
    await this.#host.sync();
    this.#keeper.error = undefined;
    if (this.#host.status().release.version > version) this.#keeper.tellRelease(this.#host.status().release.version);
  }

  /** Ends downloads and frees the engine's memory. */
  close(): void {
    this.#closed = true;
    this.#keeper.close();
    this.#host.close();
  }

  #open(): void {
    if (this.#closed) throw new NearshelfError("recommender/closed", "the recommender was closed; create a new one");
  }
}

/** The hour that the shopper's clock shows, as milliseconds: the query tower reads hours and weekdays, not time zones. */
function wallClock(at: number): number {
  return at - new Date(at).getTimezoneOffset() * 60_000;
}
