import type { Engine } from "nearshelf-engine";
import type { Card, Cards } from "./cards.js";
import { engineError, NearshelfError, text } from "./errors.js";
import type { Host, HostOptions, HostStatus, ReleaseStatus, Request, Row } from "./host.js";
import type { Loader, WasmSource } from "./init.js";
import { merged } from "./lists.js";
import type { Explanation } from "./recommendation.js";
import { ReleaseSync } from "./sync.js";

/** An engine that serves, and what brings it releases. */
interface Serving {
  engine: Engine;
  sync: ReleaseSync;
}

/** What an engine says of a release whose query tower it cannot run. */
const OTHER_ENGINE = "towers/engine";

/** Starts an engine and brings it the release; where that fails, the last one that was whole on the device. */
async function serve(options: HostOptions, { init, Engine }: Loader, wasm: WasmSource | undefined, before?: ReleaseSync): Promise<Serving> {
  await init(wasm);
  try {
    return await begin(options, new Engine(), undefined, before);
  } catch (thrown) {
    const cause = engineError(thrown);
    if (!options.keep || options.budget === 0 || cause.code === OTHER_ENGINE || cause.code.startsWith("request/")) throw cause;
    // The engine that has seen a newer head takes no older one.
    return begin(options, new Engine(), cause, before).catch((failed: unknown) => {
      throw engineError(failed).code === OTHER_ENGINE ? failed : cause;
    });
  }
}

/** Brings an engine the release, after what the one `before` it had seen; where that failed by `cause`, what the device has. */
async function begin(options: HostOptions, engine: Engine, cause: NearshelfError | undefined, before: ReleaseSync | undefined): Promise<Serving> {
  engine.setBudget(options.memory);
  if (options.segment !== undefined) engine.setSegment(options.segment);
  const fetchFrom: typeof fetch = options.fetch ?? ((input, request) => fetch(input, request));
  const sync = new ReleaseSync(engine, new URL(options.base), fetchFrom, options.cards, options.pinned);
  try {
    if (before !== undefined) sync.adopt(before);
    if (options.keep && options.budget > 0) await sync.keep(options.budget);
    await (cause === undefined ? sync.run() : sync.runKept(cause));
    if (!engine.isReady()) throw new NearshelfError("sync/incomplete", `${options.base}: nothing to serve; publish the release again`);
    return { engine, sync };
  } catch (failed) {
    sync.close();
    engine.free();
    throw failed;
  }
}

/** An engine on this thread. @internal */
export class LocalHost implements Host {
  readonly #options: HostOptions;
  #serving: Serving;
  /** Brings the release into the larger engine, where there is one that is not used yet. */
  #serveLarger: ((before?: ReleaseSync) => Promise<Serving>) | undefined;
  #changing: Promise<void> | undefined;
  #lastError: NearshelfError | undefined;
  /** What failed when the last row was brought together. */
  #rowError: NearshelfError | undefined;
  #closed = false;

  private constructor(options: HostOptions, serving: Serving, serveLarger: ((before?: ReleaseSync) => Promise<Serving>) | undefined) {
    this.#options = options;
    this.#serving = serving;
    this.#serveLarger = serveLarger;
  }

  /** Begins with the engine of `loader`, or, where the release asks for it, that of `larger`. */
  static async open(options: HostOptions, loader: Loader, larger?: () => Promise<Loader>): Promise<LocalHost> {
    const serveLarger = larger && (async (before?: ReleaseSync) => serve(options, await larger(), options.wasmOnnx, before));
    const serving = await serve(options, loader, options.wasm).catch((cause: unknown) => {
      if (serveLarger === undefined || engineError(cause).code !== OTHER_ENGINE) throw cause;
      return serveLarger();
    });
    return new LocalHost(options, serving, serveLarger);
  }

  async row(request: Request): Promise<Row> {
    this.#open();
    // The whole row comes from one engine.
    const { engine, sync } = this.#serving;
    const before = sync.downloaded.bytes;
    const { lists: names, show, ...rest } = request;
    const found = names && (await Promise.all(names.map((name) => sync.list(name)))).filter((list) => list !== undefined);
    this.#open();
    const asked = found ? { ...rest, candidates: merged(found) } : rest;
    const json = JSON.stringify(asked);
    try {
      await sync.bring(() => engine.absent(json));
      if (this.#lastError === this.#rowError) this.#lastError = undefined;
      this.#rowError = undefined;
    } catch (cause) {
      this.#open();
      const error = engineError(cause);
      if (error.code.startsWith("request/")) throw error;
      this.#lastError = this.#rowError = error;
      // What an item of the history needs may be gone for good; the clusters of a row without history are not.
      const withoutHistory = JSON.stringify({ ...asked, history: [] });
      await sync.bring(() => engine.absent(withoutHistory)).catch(() => undefined);
    }
    this.#open();
    const answer = this.#ask<Row>(() => engine.recommend(json));
    if (show !== undefined) answer.items = answer.history.slice(0, show).map((id, place) => ({ id, score: 0 - place }));
    // A row without cards is a row.
    await sync.cardsOf(answer.items.map(({ id }) => id)).catch(() => undefined);
    for (const item of answer.items) {
      const card = sync.shown?.get(item.id);
      if (card !== undefined) item.card = card;
    }
    if (found) answer.lists = found.length;
    answer.bytes = sync.downloaded.bytes - before;
    return answer;
  }

  async explain(request: Request, id: string): Promise<Explanation> {
    this.#open();
    const { engine, sync } = this.#serving;
    const json = JSON.stringify(request);
    await sync.bring(() => engine.absent(json));
    // Where it is, and what is known of it, its own row asks for.
    const alike = JSON.stringify({ ...request, history: [], like: id });
    await sync.bring(() => engine.absent(alike));
    this.#open();
    return this.#ask<Explanation>(() => engine.explain(json, id));
  }

  async cards(): Promise<Cards> {
    this.#open();
    return this.#serving.sync.cards();
  }

  card(id: string): Card | undefined {
    return this.#serving.sync.shown?.get(id);
  }

  status(): HostStatus {
    this.#open();
    const { engine, sync } = this.#serving;
    const release = this.#ask<ReleaseStatus>(() => engine.status(Date.now() / 1000));
    return { release, downloaded: { ...sync.downloaded }, lastError: this.#lastError ?? sync.stale ?? sync.stockError ?? sync.storeError, isStale: sync.stale !== undefined };
  }

  async sync(): Promise<void> {
    this.#open();
    try {
      await this.#serving.sync.run().catch((cause: unknown) => {
        if (this.#serveLarger === undefined || engineError(cause).code !== OTHER_ENGINE) throw cause;
        this.#changing ??= this.#change(this.#serveLarger).finally(() => {
          this.#changing = undefined;
        });
        return this.#changing;
      });
      this.#lastError = undefined;
    } catch (cause) {
      this.#lastError = engineError(cause);
      throw this.#lastError;
    }
  }

  async keep(isAllowed: boolean): Promise<void> {
    this.#open();
    this.#options.keep = isAllowed;
    if (this.#options.budget === 0) return;
    const { sync } = this.#serving;
    if (isAllowed) return sync.keep(this.#options.budget);
    await sync.erase().catch((cause: unknown) => {
      throw new NearshelfError("storage/failed", `the release was not erased from the device: ${text(cause)}; delete the site's data in the browser`, { cause });
    });
  }

  /** Goes on with the larger engine. Rows that are on their way end with the one before, which goes with the last of them. */
  async #change(serveLarger: (before?: ReleaseSync) => Promise<Serving>): Promise<void> {
    const wasKept = this.#options.keep;
    try {
      this.#take(await serveLarger(this.#serving.sync));
    } finally {
      // The consent of that moment counts, not the one that this began with.
      if (!this.#closed && (wasKept || this.#options.keep)) await this.keep(this.#options.keep);
    }
  }

  #take({ engine, sync }: Serving): void {
    if (this.#closed) {
      sync.close();
      engine.free();
      this.#open();
    }
    sync.downloaded.files += this.#serving.sync.downloaded.files;
    sync.downloaded.bytes += this.#serving.sync.downloaded.bytes;
    this.#serving.sync.leave();
    this.#serving = { engine, sync };
    this.#serveLarger = undefined;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#serving.sync.close();
    this.#serving.engine.free();
  }

  #open(): void {
    if (this.#closed) throw new NearshelfError("recommender/closed", "the recommender was closed; create a new one");
  }

  #ask<T>(call: () => string): T {
    try {
      return JSON.parse(call()) as T;
    } catch (cause) {
      throw engineError(cause);
    }
  }
}
