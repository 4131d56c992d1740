// The script of the module worker that holds the engine, off the page's thread.
import { core } from "./core.js";
import { engineError } from "./errors.js";
import type { Host, Request } from "./host.js";
import { LocalHost } from "./local-host.js";
import { type Answer, type Ask, message, type OpenMessage } from "./remote.js";

/** This thread, which the library of types knows as a page. */
const thread = globalThis as unknown as { onmessage: (event: MessageEvent<Ask>) => void; postMessage(answer: Answer): void };
const onnx = async () => (await import("./onnx-loader.js")).onnx;
let host: Host | undefined;

async function open({ options, larger }: OpenMessage): Promise<void> {
  const all = { ...options, fetch: undefined };
  host = larger ? await LocalHost.open({ ...all, wasm: options.wasmOnnx }, await onnx()) : await LocalHost.open(all, core, onnx);
}

async function answer({ call, argument }: Ask): Promise<unknown> {
  if (call === "ready") return;
  if (call === "open") return open(argument as OpenMessage);
  if (call === "row") return host?.row(argument as Request);
  if (call === "explain") return host?.explain(...(argument as [Request, string]));
  if (call === "cards") return host?.cards();
  if (call === "keep") return host?.keep(argument === true);
  return host?.sync();
}

/** An engine that has stopped says nothing of itself; the page then goes on with what it knew. */
function status(): Pick<Answer, "status"> {
  try {
    if (host === undefined) return {};
    const { lastError, ...rest } = host.status();
    return { status: { ...rest, lastError: lastError && message(lastError) } };
  } catch {
    return {};
  }
}

thread.onmessage = ({ data }) => {
  answer(data).then(
    (value) => thread.postMessage({ id: data.id, value, ...status() }),
    (cause: unknown) => thread.postMessage({ id: data.id, error: message(engineError(cause)), ...status() }),
  );
};
