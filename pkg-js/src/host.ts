import type { Card, Cards } from "./cards.js";
import type { NearshelfError } from "./errors.js";
import type { WasmSource } from "./init.js";
import type { Explanation } from "./recommendation.js";

/** The release that serves. */
export interface ReleaseStatus {
  /** As in the shop's `nearshelf.toml`. */
  name: string;
  /** Counts up with every published release. */
  version: number;
  /** The digest of the towers, SHA-256 in hexadecimal: embeddings of others do not mix. */
  towers: string;
  /** How many products it has, or the segment of this shopper. */
  items: number;
  /** Numbers in an embedding. */
  dim: number;
  /** How many shards it is cut into; 1 unless it is in clusters or by column. */
  shards: number;
  /** What is held of it in memory, without cards; of a release in clusters it grows with the rows. */
  bytes: number;
  /** What is known of stock and prices, where the shop publishes that and it could be had. */
  stock?: StockStatus;
  /** Who says that it is the shop's, and until when. */
  trust: TrustStatus;
}

/** Who says that this is the shop's release, and how old that is. */
export interface TrustStatus {
  /**
   * `"unsigned"` where no `publicKey` was given; `"fresh"` until the shop's signature ends, with a day for clocks that are wrong; then `"stale"` for as long as
   * `hardLimit` says, then `"expired"`. The release serves on; whether the page shows its rows is the page's choice.
   */
  freshness: "unsigned" | "fresh" | "stale" | "expired";
  /** When the signature ends, in seconds since 1970; absent where none is checked. */
  ends?: number;
  /** Seconds by which this device's clock is behind what the shop signed; 0 where it is not, absent where no signature is checked. */
  behind?: number;
}

/** What a release knows of stock and prices right now. */
export interface StockStatus {
  /** The moment that it is of, in milliseconds like `Date.now()`. */
  made: number;
  /** Products out of stock, which no row shows. */
  out: number;
  /** Products with another price than the catalogue's. */
  priced: number;
}

/** What was downloaded since the recommender was created, in bytes after HTTP's own decompression. */
export interface Downloaded {
  /** How many; of the release alone, without scripts and WASM. */
  files: number;
  /** Their bytes. What came from the device is none of them; what came from the browser's own cache is. */
  bytes: number;
}

/** An event as the engine reads it. @internal */
export interface Asked {
  id: string;
  type: string;
  at: number;
}

/** What an engine is asked for, as it reads it. @internal */
export interface Request {
  limit: number;
  history: Asked[];
  /** Asks for what is like this item; the history then has no say. */
  like?: string;
  /** Names of lists whose products are the candidates; neither the history nor the query tower has a say then. */
  lists?: string[];
  /** Shows so many products of the history that this release knows, in place of what is recommended; the latest first, scores count down from 0. */
  show?: number;
  /** What the shopper did, where the history says another thing: for rules. */
  past?: Asked[];
  /** How often products were shown to the shopper since the page was opened, or since the shopper last did something with them. */
  shown: [id: string, times: number][];
  scenario?: string;
  boosts: { where: object; by: number }[];
  /** How many events of the history are left out one by one to see what moved the scores. */
  reasons?: number;
  /** Whether the history is not the shopper's, so that no ranker orders by it. */
  unranked?: true;
  /** One number for a visit. */
  seed: number;
  exclude: string[];
  where: object;
  context: object;
}

/** A row and what it was made of. @internal */
export interface Row {
  items: { id: string; score: number; card?: Card; price?: number | null; pinned?: true; propensity?: number; insteadOf?: string; value?: number; because?: string }[];
  history: string[];
  source: "history" | "default";
  /** Of a row of lists: how many of them there are. */
  lists?: number;
  timings: { tower: number; search: number; rank: number };
  /** Downloaded for this row. */
  bytes: number;
}

/** @internal */
export interface HostStatus {
  release: ReleaseStatus;
  downloaded: Downloaded;
  lastError: NearshelfError | undefined;
  /** Whether the last release on the device serves, because that at the release's address could not be had whole. */
  isStale: boolean;
}

/** Whose signatures count. @internal */
export interface Pinned {
  /** As `nearshelf keys` prints it. */
  publicKey: string;
  /** Seconds after its end that a head is still taken. */
  hardLimit: number | undefined;
}

/** What an engine needs to begin. @internal */
export interface HostOptions {
  /** The folder that holds `head.json`, ending in a slash. */
  base: string;
  segment: string | undefined;
  pinned: Pinned | undefined;
  /** Most bytes of a release in memory. */
  memory: number;
  cards: boolean;
  wasm: WasmSource | undefined;
  wasmOnnx: WasmSource | undefined;
  fetch: typeof fetch | undefined;
  /** Most bytes of objects that are kept on the device; 0 where none are. */
  budget: number;
  /** Whether the shopper has agreed to that. */
  keep: boolean;
}

/**
 * An engine with a release and what brings it newer ones: on this thread ([`LocalHost`]) or on another ([`RemoteHost`]).
 * @internal
 */
export interface Host {
  row(request: Request): Promise<Row>;
  /** What every stage decides of a product when it answers. */
  explain(request: Request, id: string): Promise<Explanation>;
  sync(): Promise<void>;
  cards(): Promise<Cards>;
  /** Keeps what was and will be downloaded on the device, or erases it there. */
  keep(isAllowed: boolean): Promise<void>;
  /** Where it was loaded. */
  card(id: string): Card | undefined;
  status(): HostStatus;
  close(): void;
}
