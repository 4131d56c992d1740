/** Starts the worker of this package, or the one whose script is named. @internal */
export function ownWorker(script?: string | URL): Worker {
  const options = { type: "module", name: "nearshelf" } as const;
  if (script !== undefined) return new Worker(script, options);
  // Bundlers look for exactly this expression.
  return new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "nearshelf" });
}
