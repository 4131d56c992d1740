import type { Card, Cards } from "./cards.js";
import { type ErrorCode, NearshelfError, text } from "./errors.js";
import type { Host, HostOptions, HostStatus, Request, Row } from "./host.js";
import { compiled, type WasmSource } from "./init.js";
import type { Explanation } from "./recommendation.js";

/** An error as it goes from one thread to another, which keeps no class and no code. */
interface ErrorMessage {
  code: ErrorCode;
  message: string;
}

type StatusMessage = Omit<HostStatus, "lastError"> & { lastError: ErrorMessage | undefined };

/** What the page asks of the worker. @internal */
export interface Ask {
  id: number;
  call: "ready" | "open" | "row" | "explain" | "sync" | "cards" | "keep";
  argument?: unknown;
}

/** What the worker answers: with the id of the question, and the status after it. @internal */
export interface Answer {
  id: number;
  value?: unknown;
  error?: ErrorMessage;
  status?: StatusMessage;
}

/** What a worker begins with. @internal */
export interface OpenMessage {
  options: Omit<HostOptions, "fetch" | "wasm" | "wasmOnnx"> & { wasm: string | WebAssembly.Module | undefined; wasmOnnx: string | WebAssembly.Module | undefined };
  /** Whether to begin with the larger engine. */
  larger: boolean;
}

/** @internal */
export const message = ({ code, message }: NearshelfError): ErrorMessage => ({ code, message });

const revived = ({ code, message }: ErrorMessage): NearshelfError => new NearshelfError(code, message);

/** That a worker did not begin: the page goes on without. @internal */
export class NoWorker extends Error {}

/** How long a worker may take until its script answers, in milliseconds: one that was closed never does, and no event says so. */
const READY_WITHIN = 10_000;

/** An engine on a worker's thread. @internal */
export class RemoteHost implements Host {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  #asked = 0;
  #status: HostStatus | undefined;
  /** Cards of the release of this version. */
  readonly #shown = new Map<string, Card>();
  #shownOf = 0;
  #closed = false;
  /** Why the worker answers no more. */
  #failed: Error | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      if (data.status !== undefined) {
        const { lastError } = data.status;
        this.#status = { ...data.status, lastError: lastError && revived(lastError) };
      }
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.error === undefined) waiting?.resolve(data.value);
      else waiting?.reject(revived(data.error));
    };
    // A script that is not there, or that the page's policy forbids, is known by this alone.
    worker.onerror = ({ message }) => this.#fail(this.#status === undefined ? new NoWorker(message) : stopped(message));
  }

  /** Begins in `worker`. It throws [`NoWorker`] where that does not start. */
  static async open(worker: Worker, options: HostOptions, larger: boolean): Promise<RemoteHost> {
    const host = new RemoteHost(worker);
    try {
      const { base, segment, pinned, memory, cards, budget, keep } = options;
      const [wasm, wasmOnnx] = await Promise.all([portable(options.wasm), portable(options.wasmOnnx)]);
      await host.#ready();
      const opening: OpenMessage = { options: { base, segment, pinned, memory, cards, budget, keep, wasm, wasmOnnx }, larger };
      await host.#ask("open", opening);
      return host;
    } catch (cause) {
      worker.terminate();
      throw cause;
    }
  }

  async #ready(): Promise<void> {
    const late = setTimeout(() => this.#fail(new NoWorker("its script does not answer")), READY_WITHIN);
    await this.#ask("ready").finally(() => clearTimeout(late));
  }

  async row(request: Request): Promise<Row> {
    const row = (await this.#ask("row", request)) as Row;
    this.#show(row.items.flatMap(({ id, card }) => (card === undefined ? [] : [[id, card]])));
    return row;
  }

  async explain(request: Request, id: string): Promise<Explanation> {
    return (await this.#ask("explain", [request, id])) as Explanation;
  }

  async sync(): Promise<void> {
    await this.#ask("sync");
  }

  async cards(): Promise<Cards> {
    const cards = (await this.#ask("cards")) as Cards;
    this.#show([...cards]);
    return cards;
  }

  /** Those of a release before go when the first of a newer one come. */
  #show(cards: [string, Card][]): void {
    const { version } = this.status().release;
    if (cards.length > 0 && version !== this.#shownOf) {
      this.#shown.clear();
      this.#shownOf = version;
    }
    for (const [id, card] of cards) this.#shown.set(id, card);
  }

  async keep(isAllowed: boolean): Promise<void> {
    await this.#ask("keep", isAllowed);
  }

  card(id: string): Card | undefined {
    return this.#shown.get(id);
  }

  status(): HostStatus {
    if (this.#closed || this.#status === undefined) throw closed();
    return this.#status;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#fail(closed());
    this.#worker.terminate();
  }

  #ask(call: Ask["call"], argument?: unknown): Promise<unknown> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    const id = (this.#asked += 1);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, call, argument } satisfies Ask);
    });
  }

  #fail(error: Error): void {
    this.#failed ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

const closed = () => new NearshelfError("recommender/closed", "the recommender was closed; create a new one");
const stopped = (reason: string) => new NearshelfError("engine/failed", `the worker stopped: ${reason}; create a new recommender`);

/** A source that another thread can be given. */
async function portable(source: WasmSource | undefined): Promise<string | WebAssembly.Module | undefined> {
  if (source === undefined || source instanceof WebAssembly.Module) return source;
  return typeof source === "string" || source instanceof URL ? new URL(source, document.baseURI).href : compiled(source);
}

/** Starts a worker; [`NoWorker`] where the host forbids it. @internal */
export function startWorker(start: () => Worker): Worker {
  try {
    return start();
  } catch (cause) {
    throw new NoWorker(text(cause));
  }
}
