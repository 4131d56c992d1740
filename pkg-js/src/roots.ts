import type { Engine } from "nearshelf-engine";
import type { Connections } from "./connections.js";
import { asked, engineError } from "./errors.js";

/** The most that a root may weigh. */
const ROOT_LIMIT = 16_384;

/** Failures that a copy in a cache has no part in. */
const NOT_CACHED = /^(?:download\/(?:network|busy)|recommender\/closed)$/;

/** Where roots are kept. @internal */
export interface RootStore {
  /** What is on the device, if that can be read. */
  get(path: string): Promise<Uint8Array<ArrayBuffer> | void | undefined> | undefined;
  put(path: string, bytes: Uint8Array): Promise<void>;
  /** The engine took it. */
  took(path: string, bytes: Uint8Array): void;
}

/**
 * Brings an engine roots, each of which the one before it vouches for. An engine without a public key asks for none.
 * @internal
 */
export class Roots {
  readonly #engine: Engine;
  readonly #connections: Connections;
  readonly #store: RootStore;
  /** Those that the engine took, in order. */
  readonly #taken = new Map<string, Uint8Array>();

  constructor(engine: Engine, connections: Connections, store: RootStore) {
    this.#engine = engine;
    this.#connections = connections;
    this.#store = store;
  }

  /** Those that this head needs, from the device or the address. */
  async bring(head: Uint8Array): Promise<void> {
    const next = () => asked(() => this.#engine.rootBefore(head));
    for (let path = next(); path !== undefined; path = next()) {
      if (await this.#kept(path)) continue;
      await this.#download(path, "default").catch((cause: unknown) => {
        if (NOT_CACHED.test(engineError(cause).code)) throw cause;
        // A browser keeps an answer for as long as its host said, a wrong one, too.
        return this.#download(path as string, "reload");
      });
    }
  }

  /** Those that earlier visits kept, whatever a head says of them: a key that was taken away stays away. */
  async follow(): Promise<void> {
    for (let path = this.#engine.nextRoot(); path !== undefined && (await this.#kept(path)); ) path = this.#engine.nextRoot();
  }

  /** Those that another engine took. */
  adopt(other: Roots): void {
    for (const [path, bytes] of other.#taken) this.#add(path, bytes);
  }

  #add(path: string, bytes: Uint8Array): void {
    asked(() => this.#engine.addRoot(bytes));
    this.#taken.set(path, bytes);
    this.#store.took(path, bytes);
  }

  /** Whether there is a good one on the device. */
  async #kept(path: string): Promise<boolean> {
    const kept = await this.#store.get(path);
    this.#connections.checkOpen();
    if (!kept) return false;
    try {
      this.#add(path, kept);
      return true;
    } catch {
      return false;
    }
  }

  async #download(path: string, cache: RequestCache): Promise<void> {
    const bytes = await this.#connections.get(path, ROOT_LIMIT, cache, true);
    this.#add(path, bytes);
    await this.#store.put(path, bytes);
  }
}
