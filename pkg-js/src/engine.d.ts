/**
 * What `wasm/nearshelf.js` and `wasm-onnx/nearshelf_onnx.js` export. It is declared here because wasm-bindgen writes that file, and this package has to
 * type-check before it exists. `build.mjs` points the names at the files and, where the first is there, compares the two.
 */
declare module "nearshelf-engine" {
  export class Engine {
    constructor();
    setSegment(segment: string): void;
    /** Most bytes of releases that may be held. */
    setBudget(bytes: number): void;
    /** Has signatures count: those of the root of this pin, of heads until `hardLimit` seconds after their end. */
    setPin(pin: string, hardLimit?: number): void;
    /** The path of the root that `addRoot` needs before this head can be taken. */
    rootBefore(head: Uint8Array): string | undefined;
    /** The path of the root that may follow the newest one that is known. */
    nextRoot(): string | undefined;
    addRoot(bytes: Uint8Array): void;
    /** Takes up the head that an earlier visit took last: no lower one passes from now on. */
    restore(head: Uint8Array): void;
    /** `now` is in seconds; without it nothing has ended. */
    setHead(bytes: Uint8Array, now?: number): string;
    /** `computed` is the SHA-256 of exactly these bytes; without it the engine computes it. */
    accept(digest: string, bytes: Uint8Array, computed?: Uint8Array): string;
    isReady(): boolean;
    status(now?: number): string;
    absent(request: string): string;
    recommend(request: string): string;
    explain(request: string, id: string): string;
    cards(id?: string): string;
    lists(name: string): string;
    free(): void;
  }
  export default function start(source?: { module_or_path: unknown }): Promise<unknown>;
}

declare module "nearshelf-engine-onnx" {
  export { default, Engine } from "nearshelf-engine";
}

declare module "nearshelf-inline-wasm" {
  /** `nearshelf_bg.wasm`, gzip, as base64. */
  export const WASM: string;
}

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

declare module "*.wasm?module" {
  const module: WebAssembly.Module;
  export default module;
}
