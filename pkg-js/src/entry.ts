import { Trial } from "./experiment.js";
import type { Host, HostOptions } from "./host.js";
import { DeviceHistory } from "./device-history.js";
import { memoryStorage } from "./history.js";
import { compiled, type WasmSource } from "./init.js";
import { Keeper } from "./keeper.js";
import { Outbox } from "./outbox.js";
import type { Mode, RecommenderOptions } from "./options.js";
import { newId, Recommender, releaseAddress } from "./recommender.js";
import { NoWorker, RemoteHost, startWorker } from "./remote.js";

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
  let chosen: Promise<WebAssembly.Module> | undefined;

  const isPage = () => worker !== undefined && typeof document === "object" && typeof Worker === "function";

  async function init(source?: WasmSource): Promise<void> {
    if (!isPage()) return (await local()).engine.init(source);
    if (source === undefined) return;
    chosen ??= compiled(source).catch((cause: unknown) => {
      chosen = undefined;
      throw cause;
    });
    await chosen;
  }

  async function open(options: RecommenderOptions): Promise<[Host, Mode]> {
    const given = options.wasm ?? (await chosen);
    const { segment, publicKey, hardLimit, memory = DEFAULT_MEMORY, cards = false, fetch } = options;
    const pinned = publicKey === undefined ? undefined : { publicKey, hardLimit };
    // Of the larger entry, either name says where its one engine is.
    const [wasm, wasmOnnx] = isLarger ? [given ?? options.wasmOnnx, given ?? options.wasmOnnx] : [given, options.wasmOnnx];
    const budget = isKept(options) ? (options.budget ?? DEFAULT_BUDGET) : 0;
    const keep = options.consent === true;
    const all: HostOptions = { base: releaseAddress(options.release), segment, pinned, memory, cards, wasm, wasmOnnx, fetch, budget, keep };
    const mode = options.mode ?? (options.fetch === undefined ? "worker" : "main");
    if (mode === "worker" && isPage() && worker !== undefined) {
      try {
        const script = options.worker;
        const started = startWorker(() => (script instanceof Worker ? script : worker(script)));
        return [await RemoteHost.open(started, all, isLarger), "worker"];
      } catch (cause) {
        if (!(cause instanceof NoWorker)) throw cause;
      }
    }
    const { engine } = await local();
    return [await engine.open(all), "main"];
  }

  async function createRecommender(options: RecommenderOptions): Promise<Recommender> {
    const { experiment, consent = false } = options;
    const trial = experiment && new Trial(experiment, isKept(options), consent, newId);
    // The history is the shop's, whatever release a variant has.
    const keeper = keeperOf(options);
    let outbox: Outbox | undefined;
    try {
      outbox = options.events && new Outbox(options.events);
      if (outbox !== undefined) outbox.assignment = trial?.assignment;
      const loading = options.consent === true ? keeper.allow() : undefined;
      // Both end before a failure is reported, so that the next call meets nothing of this one.
      const host = await open({ ...options, release: trial?.variant?.release ?? options.release }).finally(() => loading);
      return new Recommender(host, keeper, options, outbox, trial);
    } catch (cause) {
      // Another tab withdrew the consent, after which this one stored what it was loading.
      if (options.consent === true && !keeper.isAllowed) await keeper.eraseStored().catch(() => undefined);
      outbox?.close();
      keeper.close();
      throw cause;
    }
  }

  return { init, createRecommender };
}

/** Most bytes of releases on a device: some shards of a large catalogue, or a whole one of some 400,000 products. */
const DEFAULT_BUDGET = 32 << 20;

/** Most bytes of a release in memory: some seventy times what a catalogue stays in one shard up to, and what phones can spare. */
const DEFAULT_MEMORY = 256 << 20;

/** Whether the release is kept on the device after consent. */
const isKept = ({ storage }: RecommenderOptions): boolean =>
  storage === "device" || (storage === undefined && typeof indexedDB === "object");

function keeperOf(options: RecommenderOptions): Keeper {
  const { storage } = options;
  if (typeof storage === "object") return new Keeper(storage);
  if (!isKept(options)) return new Keeper(memoryStorage());
  return new Keeper(new DeviceHistory(releaseAddress(options.release)));
}
