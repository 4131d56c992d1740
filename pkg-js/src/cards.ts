import { NearshelfError, text } from "./errors.js";

/** What a shop shows of a product. */
export interface Card {
  readonly id: string;
  readonly title: string;
  readonly brand?: string;
  /** From the department down. */
  readonly category: readonly string[];
  /** In the smallest unit of the shop's currency. */
  readonly price?: number;
  /** The number of shoppers who bought it. */
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

function card(file: CardsFile, [id, title, brand, category, price, popularity]: CardsFile["items"][number]): Card {
  if (typeof id !== "string" || typeof title !== "string") throw new Error("an item without id or title");
  const maker = file.brands[brand];
  return {
    id,
    title,
    category: file.categories[category] ?? [],
    popularity,
    ...(maker === undefined ? {} : { brand: maker }),
    ...(price >= 0 ? { price } : {}),
  };
}
