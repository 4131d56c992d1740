import type { ExperimentOptions } from "./experiment.js";
import type { HistoryStorage } from "./history.js";
import type { WasmSource } from "./init.js";
import type { EventsOptions } from "./outbox.js";
import type { Recommendation, RecommendedItem } from "./recommendation.js";
import type { Recommender } from "./recommender.js";

/** Where the engine works: on a thread of its own (`"worker"`), or on that of the page (`"main"`). */
export type Mode = "worker" | "main";

/**
 * What the query tower may know beside the history. What is left out takes the trained default; what this release's tower does not read has
 * no effect.
 */
export interface Context {
  /** The time that the row is for, in milliseconds like `Date.now()`, and its default; the tower reads the hour and the weekday on this device's clock. */
  now?: number;
  /** A store or region, as in the training data; a path there, `US/CA/Fresno`, may end at any of its parts. */
  location?: string;
  /** Household attributes by name, as in the training data; and `device`, where the training data have one. A value that they do not have counts as unknown. */
  attributes?: Record<string, string>;
  /**
   * The shopper's long-term vector, which `nearshelf user-vectors` computes at the origin: finite numbers, as many as this release's tower
   * reads, or rows fail with `towers/query`. Without it, a trained default.
   */
  user?: readonly number[];
}

/** What a recommender is made with. */
export interface RecommenderOptions {
  /** The address of the folder that holds `head.json`, relative to the page; where there is none, an absolute one. */
  release: string | URL;
  /**
   * Whose release this is: what `nearshelf keys show` prints, `1.` and 64 digits. With it, only what the shop's keys have signed is taken, nothing older than what was
   * seen, and `status().release.trust` says how old it is. Without it, whoever can write to the release's address says what is recommended. Rows fail with
   * `request/public-key` for another text, the download with `release/signatures` and `sync/root-pin` for another's release.
   */
  publicKey?: string;
  /** Seconds after its signature has ended that a release is still taken: 30 days unless told. One that serves already serves on. */
  hardLimit?: number;
  /**
   * Which part of a release by column, a market say, this shopper sees: one of the column's values. Other releases ignore it. Without one, or
   * with one that the release does not have, such a release is refused: `request/segment`.
   */
  segment?: string;
  /**
   * Where the history is kept after consent: on the device (`"device"`), the default where there is IndexedDB, together with the release;
   * `"memory"`, until the page is left; or a store of the shop's own, for the history alone.
   */
  storage?: "device" | "memory" | HistoryStorage;
  /** Whether the shopper has agreed that something is stored; `false` unless told, and nothing is. {@link Recommender.consent} changes it. */
  consent?: boolean;
  /** Posts what happens to an address of the shop's own, after consent; without it, nothing is ever sent. */
  events?: EventsOptions;
  /**
   * Most bytes of a release that are held in memory, 256 MiB unless told. One that needs more at once is refused (`sync/budget`), the one before serves on; clusters beyond it are
   * not downloaded, and rows are computed from what is held. What is opened takes up to twice its bytes.
   */
  memory?: number;
  /** Most bytes of releases that are kept on the device, 32 MiB unless told; what was not used for longest goes first; of a release that does not fit, `status().lastError` says so. 0 keeps none. */
  budget?: number;
  /** What the query tower may know beside the history, for every row; nothing unless told. {@link Recommender.setContext} replaces it. */
  context?: Context;
  /**
   * Download the product cards too, beside the rest; of a release in clusters, those of the products that rows show. A row waits for those of its
   * products; where they fail, it comes without. `false` unless told: {@link Recommender.cards} does so when first called.
   */
  cards?: boolean;
  /** Where the WASM comes from, when `init` was not called before; the entry's own unless told (`nearshelf/slim` has none). */
  wasm?: WasmSource;
  /** The same of `nearshelf_onnx_bg.wasm`, which is loaded when the release has a query tower that needs it. */
  wasmOnnx?: WasmSource;
  /**
   * `"worker"`, the default in pages, or `"main"`, the only one elsewhere and with `nearshelf/slim` and `nearshelf/inline`. Where a worker does not start, because the page's policy forbids it,
   * its script is not there or does not answer in ten seconds, the engine works on the page's thread all the same, and `status().mode` says so.
   */
  mode?: Mode;
  /**
   * Seconds from one look for newer stock, prices and releases to the next, while the page is in sight: 45 in pages unless told, 30 at least;
   * elsewhere nothing looks unless told. `false` looks only when {@link Recommender.sync} is called. Where only the stock is another, that
   * alone is downloaded; subscribers are told, and the next row follows it.
   */
  refresh?: number | false;
  /** The rules of rows, by their name in the release; those of the scenario `default`, if the release has it, unless told. */
  scenario?: string;
  /** Shows each visitor one of several variants, and says so in rows and events. */
  experiment?: ExperimentOptions;
  /** The worker, or its script's address, where a bundler does not find `nearshelf/worker` by itself. */
  worker?: Worker | string | URL;
  /** Asks in place of the global `fetch`, for the release alone; the engine then works on the page's thread. */
  fetch?: typeof fetch;
}

/**
 * What a column of the release is asked for: an array of what is allowed, a range of numbers, or `null`, that there is no value. In a column of categories a text
 * is an outermost category, an array of texts a path from there down; what lies below passes too.
 */
export type Condition =
  | readonly number[]
  | readonly (string | readonly string[])[]
  | {
    /** The least number that passes. */
    readonly min?: number;
    /** The greatest number that passes. */
    readonly max?: number;
  }
  | null;

/**
 * Conditions by column, all of which must hold; columns are those that the release was built with. A product of which nothing is known there
 * passes none but `null`. Or filters of which all hold, one holds, or one does not: `["or", { brand: ["69"] }, ["not", { price: { min: 500 } }]]`.
 */
export type Filters =
  | Readonly<Record<string, Condition>>
  | readonly ["and" | "or", ...Filters[]]
  | readonly ["not", Filters];

/** What is moved up, or down. */
export interface Boost {
  /** What is moved. */
  filters: Filters;
  /** How far, -1 to 1: 1 is the way from the worst candidate to the best. */
  by: number;
}

/** How a row is asked for. */
export interface RecommendOptions {
  /** How many products, at most: 1 to 1000, 12 unless told. */
  limit?: number;
  /** Only products with at least this score; no limit unless told. Scores of different calls are not comparable. */
  threshold?: number;
  /** Ids of products that must not appear, the basket's say; none unless told, so that what was bought may appear again. Unknown ids have no effect. */
  exclude?: Iterable<string>;
  /** Only products like these: `{ category: ["Bakery"], price: { max: 1000 } }`. Prices are in cents. No condition unless told. */
  filters?: Filters;
  /** Moves products up or down, beside what the rules of the release move. */
  boosts?: readonly Boost[];
  /** The rules that count for this row, by their name in the release: those of the recommender unless told. */
  scenario?: string;
  /**
   * Whether to say `because` of which of the shopper's latest 8 products each one is there. That is found out, not guessed: the query tower runs once
   * more for each of them.
   */
  reasons?: boolean;
  /**
   * Asked in place of a row that would be empty: `(shop, options) => shop.trendingItems(options)`. It gets the options of the row, but `threshold` and
   * `fallback`; what it throws, the call throws.
   */
  fallback?: (recommender: Recommender, options: RecommendOptions) => Promise<Recommendation>;
  /** Overrides of the recommender's context, field by field, for this row. */
  context?: Context;
  /** Changes the products of the row before it is given, and may leave some out. What it throws, the call throws. */
  transformItems?: (items: RecommendedItem[]) => RecommendedItem[];
  /** Ends the call: it then throws the signal's reason. What is being downloaded arrives for later rows. */
  signal?: AbortSignal;
}

/** Options of {@link Recommender.trendingItems}. */
export interface TrendingOptions extends RecommendOptions {
  /** A category's name, or its path from the outermost one down, as in the catalogue; of the whole shop where it is left out. */
  category?: string | readonly string[];
}
