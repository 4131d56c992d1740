import type { Card } from "./cards.js";
import type { NearshelfError } from "./errors.js";
import type { HistoryEvent } from "./history.js";
import type { Downloaded, ReleaseStatus } from "./host.js";
import type { Context, Mode } from "./options.js";
import type { Recommender } from "./recommender.js";

/**
 * Why a product is in a row: the shopper's `"history"`; the trained `"default"`, where there is none; `"related"` or `"similar"` to the product that
 * the row is for; `"viewed"` before; bought `"together"` with the products that the row is for; `"trending"`, selling better than it did; `"pinned"` by a
 * rule of the shop; `"explored"`, drawn by chance because a rule asks for that.
 */
export type Reason = "history" | "default" | "related" | "similar" | "viewed" | "together" | "trending" | "pinned" | "explored";

/** A product of a row. */
export interface RecommendedItem {
  /** As in the shop's catalogue. */
  id: string;
  /** Larger is better, of any sign; comparable within one row only. */
  score: number;
  /** Why it is in the row. */
  reason: Reason;
  /** Where the rules explore: how probable it was that it is in this row, above 0 to 1. */
  propensity?: number;
  /** Of an explored product: the one that would be here otherwise. */
  insteadOf?: string;
  /** Where the release has a ranker: the value of the shop's objective for the product, such as how probable a purchase is. */
  value?: number;
  /** Where reasons are asked for: the id of what the shopper did without which the score would be lowest; the product's own, if that is it. */
  because?: string;
  /** Where cards are loaded and hold the product. */
  card?: Card;
  /** The price right now, in cents, where it is another than the catalogue's; it goes before that of the card. */
  price?: number;
}

/**
 * Why a row is empty: the shopper did nothing that it could be made of (`"no-history"`), the product is not in this release (`"unknown-item"`), the
 * release has no such list (`"no-data"`), or filters, threshold and exclusions left nothing (`"nothing-passed"`).
 */
export type Empty = "no-history" | "unknown-item" | "no-data" | "nothing-passed";

/** A row. */
export interface Recommendation {
  /** Best first, at most as many as were asked for. */
  items: RecommendedItem[];
  /** Names this row, so that clicks and purchases are attributed to it. */
  recommendationId: string;
  /** The rules that counted, where they were named. */
  scenario?: string;
  /** The visitor's variant, of who takes part in an experiment. */
  variant?: string;
  /** The ids of the history that entered the query: those that this release knows, the latest first. */
  history: string[];
  /**
   * What the row was made of: `default` where no event of the history was of a known product, `item` where it is for a product or
   * several, `shop` where it is the same for every shopper.
   */
  source: "history" | "default" | "item" | "shop";
  /** The release that served. */
  status: {
    /** As in {@link ReleaseStatus}. */
    name: string;
    /** As in {@link ReleaseStatus}. */
    version: number;
    /** As in {@link Status}. */
    freshness: Freshness;
  };
  /** Milliseconds that each stage took; downloads are in none. */
  timings: {
    /** The query embedding. */
    tower: number;
    /** The nearest candidates. */
    search: number;
    /** Their order. */
    rank: number;
  };
  /** Bytes that were downloaded for this row, after HTTP's own decompression. */
  bytes: number;
  /** Of an empty row: why. */
  empty?: Empty;
}

/** What every stage decided of one product. */
export interface Explanation {
  /** Whether the release has it; where not, nothing else is known. */
  known: boolean;
  /** Whose exclusion leaves it out. */
  excluded: "request" | "rules" | null;
  /** Whose filter it does not pass. */
  filtered: "request" | "rules" | null;
  /** Whether it is out of stock. */
  outOfStock: boolean;
  /** How many candidates retrieval found. */
  candidates: number;
  /** Its place among them, from 1, and its score; `null` where it is none of them. */
  retrieved: {
    /** From 1. */
    place: number;
    /** As in {@link RecommendedItem}. */
    score: number;
  } | null;
  /** Its place by the ranker, from 1, and the value of the shop's objective; `null` without a ranker, or where it is no candidate. */
  ranked: {
    /** From 1. */
    place: number;
    /** As in {@link RecommendedItem}. */
    value: number;
  } | null;
  /** What boosts add to its relevance, or take from it. */
  boost: number;
  /** How often it was shown, and nothing was done with it. */
  shown: number;
  /** Its slot, from 1; `null` where others, caps, diversity or chance leave none. */
  slot: number | null;
  /** Whether a rule gave it that slot. */
  pinned: boolean;
  /** What the shopper did without which its score would be lower, and by how much: the largest first. */
  because: {
    /** The product that the shopper had to do with. */
    id: string;
    /** How much lower the score would be without it. */
    score: number;
  }[];
}

/** Everything that is known of a shopper. */
export interface Exported {
  /** What the shopper did, oldest first; at most 200 events. */
  history: HistoryEvent[];
  /** What was set beside it, the long-term vector, too. */
  context: Context;
  /** Whether anything is stored. */
  consent: boolean;
  /** Where there is an experiment, the visitor's id in it. */
  visitor?: string;
}

/** The shopper's consent to what is stored on the device. It is not stored itself: the shop says it every time. */
export interface Consent {
  /** Whether it is given now; another tab may withdraw it. */
  readonly granted: boolean;
  /**
   * From now on, history and release are kept; what was stored earlier is read. A storage that fails is not thrown but in
   * {@link Status.lastError}.
   */
  grant(): Promise<void>;
  /**
   * Erases what is stored, and stores nothing more, in all tabs; on the device histories and releases of the whole origin, of other addresses
   * too. This page goes on with what it remembers; {@link Recommender.erase} forgets that, too.
   * @throws `recommender/closed`, or `storage/failed` where the storage or the browser does not erase; nothing is stored from then on all the same
   */
  revoke(): Promise<void>;
}

/** How new a release is. */
export type Freshness = "fresh" | "stale" | "expired";

/** How a recommender is. */
export interface Status {
  /** The release that serves. */
  release: ReleaseStatus;
  /**
   * `"stale"` where the release could not be had whole from its address, so that the last one on the device serves, `lastError` says why; and where the shop's signature has
   * ended. `"expired"` where that was longer ago than `hardLimit` allows.
   */
  freshness: Freshness;
  /** What was downloaded since the recommender was created. */
  downloaded: Readonly<Downloaded>;
  /** Where the engine works. */
  mode: Mode;
  /** What failed last, a sync, a row's downloads or the storage; the release above serves on. A success takes it away. */
  lastError?: NearshelfError;
}
