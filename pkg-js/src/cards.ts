import { NearshelfError, text } from "./errors.js";

/** What a shop shows of a product. */
export interface Card {
  /** As in the shop's catalogue. */
  readonly id: string;
  /** Plain text: escape it in HTML. */
  readonly title: string;
  /** Plain text, where the catalogue has one. */
  readonly brand?: string;
  /** From the department down; empty where the catalogue has none. */
  readonly category: readonly string[];
  /** In the smallest unit of the shop's currency, cents say; as it was when the release was built. */
  readonly price?: number;
  /** How often it is in the training data: events, not shoppers. */
  readonly popularity: number;
}

/** The cards of a release, by id and in the order of the release. */
export type Cards = ReadonlyMap<string, Card>;

const FORMAT = 1;

interface CardsFile {
  format: number;
  brands: string[];
  categories: string[][];
  items: [id: string, title: string, brand: number, category: number, price: number, popularity: number][];
}

/** Reads the cards object. Its digest was checked, so only a release written by another version can fail here. */
export function parseCards(bytes: Uint8Array): Cards {
  try {
    const file = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as CardsFile;
    if (file.format !== FORMAT) throw new Error(`format ${file.format}, this package reads ${FORMAT}`);
    return new Map(file.items.map((row) => [row[0], card(file, row)]));
  } catch (cause) {
    throw new NearshelfError("cards/malformed", `product cards: ${text(cause)}; publish the release with this package's version`, { cause });
  }
}

// What a page writes into itself is text, and what it computes with are numbers, whatever the file holds.
function card(file: CardsFile, [id, title, brand, category, price, popularity]: CardsFile["items"][number]): Card {
  if (typeof id !== "string" || typeof title !== "string") throw new Error("an item without id or title");
  const maker = file.brands[brand];
  return {
    id,
    title,
    category: (file.categories[category] ?? []).map(String),
    popularity: +popularity,
    ...(maker === undefined ? {} : { brand: `${maker}` }),
    ...(price >= 0 ? { price: +price } : {}),
  };
}
