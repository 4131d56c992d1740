import { NearshelfError, text } from "./errors.js";

/** Products with scores, the best first. @internal */
export type Candidates = [id: string, score: number][];

const FORMAT = 1;
/** Scores are whole numbers in the file. */
const THOUSANDTHS = 1000;

interface ListsFile {
  format: number;
  items: string[];
  /** Places in `items` and scores, by turns. */
  lists: Record<string, number[]>;
}

/** The name that the origin gave a list: what it is, and of what. @internal */
export const listName = (...parts: readonly string[]): string => parts.join("\u001f");

/** Reads a bucket of lists. Its digest was checked, so only a release written by another version can fail here. @internal */
export function parseLists(bytes: Uint8Array): Map<string, Candidates> {
  try {
    const { format, items, lists } = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as ListsFile;
    if (format !== FORMAT) throw new Error(`format ${format}, this package reads ${FORMAT}`);
    const candidates = (pairs: number[]) => {
      const found: Candidates = [];
      for (let at = 0; at < pairs.length; at += 2) {
        const [place = -1, score = NaN] = [pairs[at], pairs[at + 1]];
        const id = items[place];
        if (typeof id !== "string" || !Number.isFinite(score)) throw new Error(`${place} and ${score} are no product and score`);
        found.push([id, score / THOUSANDTHS]);
      }
      return found;
    };
    return new Map(Object.entries(lists).map(([name, pairs]) => [name, candidates(pairs)]));
  } catch (cause) {
    throw new NearshelfError("lists/malformed", `lists: ${text(cause)}; publish the release with this package's version`, { cause });
  }
}

/** One list of several: what is in more than one has the sum of its scores. @internal */
export function merged(lists: readonly Candidates[]): Candidates {
  const sums = new Map<string, number>();
  for (const [id, score] of lists.flat()) sums.set(id, (sums.get(id) ?? 0) + score);
  return [...sums];
}
