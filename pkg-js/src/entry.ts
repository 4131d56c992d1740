import type { Host, HostOptions } from "./host.js";
import { loadHistory, memoryStorage } from "./history.js";
import type { WasmSource } from "./init.js";
import { type Mode, Recommender, type RecommenderOptions, releaseAddress } from "./recommender.js";
import { NoWorker, portable, RemoteHost, startWorker } from "./remote.js";

/** The engine on this thread. @internal */
export interface LocalEngine {
  init(source?: WasmSource): Promise<void>;
  open(options: HostOptions): Promise<Host>;
}

/** What the engine of an entry is, and where it may work. @internal */
export interface Engines {
  /** Loaded when it is first needed. */
  local(): Promise<{ engine: LocalEngine }>;
  /** Whether the first engine is the larger one. */
  isLarger?: boolean;
  /** Starts the worker; without it, the engine works on this thread. */
  worker?: (script?: string | URL) => Worker;
}

/** @internal */
export interface Entry {
  init(source?: WasmSource): Promise<void>;
  createRecommender(options: RecommenderOptions): Promise<Recommender>;
}

/** The calls of an entry. @internal */
export function entry({ local, isLarger = false, worker }: Engines): Entry {
  /** What a page said before any engine is asked for. */
  let chosen: Promise<string | WebAssembly.Module | undefined> | undefined;

  const isPage = () => worker !== undefined && typeof document === "object" && typeof Worker === "function";

  async function init(source?: WasmSource): Promise<void> {
    if (!isPage()) return (await local()).engine.init(source);
    if (source === undefined) return;
    chosen ??= portable(source).catch((cause: unknown) => {
      chosen = undefined;
      throw cause;
    });
    await chosen;
  }

  async function open(options: RecommenderOptions): Promise<[Host, Mode]> {
    const wasm = options.wasm ?? (await chosen);
    const { segment, cards = false, wasmOnnx, fetch } = options;
    const all: HostOptions = { base: releaseAddress(options.release), segment, cards, wasm, wasmOnnx, fetch };
    const mode = options.mode ?? (options.fetch === undefined ? "worker" : "main");
    if (mode === "worker" && isPage() && worker !== undefined) {
      try {
        const given = options.worker;
        const started = startWorker(() => (given instanceof Worker ? given : worker(given)));
        return [await RemoteHost.open(started, isLarger ? { ...all, wasmOnnx: wasm } : all, isLarger), "worker"];
      } catch (cause) {
        if (!(cause instanceof NoWorker)) throw cause;
      }
    }
    const { engine } = await local();
    return [await engine.open(all), "main"];
  }

  async function createRecommender(options: RecommenderOptions): Promise<Recommender> {
    const storage = options.storage ?? memoryStorage();
    const loading = loadHistory(storage);
    // Both end before a failure is reported, so that the next call meets nothing of this one.
    const host = await open(options).finally(() => loading);
    return new Recommender(host, storage, await loading, options.context ?? {});
  }

  return { init, createRecommender };
}
