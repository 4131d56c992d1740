/** What went wrong where: `stage/what`, stable across versions, so that a shop can tell a damaged release from a lost connection. */
export type ErrorCode = `${string}/${string}`;

const ENGINE_CODE = /^(?:sync|shard|delta|release|towers|directory|columns|overlay|request)\/[a-z-]+$/;

/**
 * The one error this package throws; what was thrown before it is its `cause`. `code` is for programs, `message` for people: it says what was found,
 * what was expected and what helps.
 */
export class NearshelfError extends Error {
  /** Always this, also where a second copy of the package makes `instanceof` fail. */
  override readonly name = "NearshelfError";
  /** Stage and failure, `download/network` say. */
  readonly code: ErrorCode;

  /** For a shop's own storage or `fetch` that wants to say what went wrong in the same way. */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Gives any failure of the engine a code: its own, or `engine/failed` for a trap, after which only a new engine helps. */
export function engineError(cause: unknown): NearshelfError {
  if (cause instanceof NearshelfError) return cause;
  const code = (cause as { code?: unknown } | null)?.code;
  if (cause instanceof Error && typeof code === "string" && ENGINE_CODE.test(code)) {
    return new NearshelfError(code as ErrorCode, cause.message, { cause });
  }
  return new NearshelfError("engine/failed", `the engine stopped: ${text(cause)}; create a new recommender`, { cause });
}

/** What the engine answers, or its error with a code. */
export function asked<T>(call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw engineError(cause);
  }
}

/** The message of anything that was thrown. */
export function text(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
