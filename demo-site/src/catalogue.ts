import type { Card, Cards } from "nearshelf";
import { type Aisle, AISLES, aisleOf, shelfName, slug } from "./aisles.js";
import { productName, splitSize } from "./words.js";

/** A product as the shop shows it. */
export class Product {
  readonly id: string;
  readonly card: Card;
  readonly aisle: Aisle;
  readonly shelf: string;
  #text: { name: string; size: string } | undefined;

  constructor(card: Card, aisle: Aisle, shelf: string) {
    this.id = card.id;
    this.card = card;
    this.aisle = aisle;
    this.shelf = shelf;
  }

  get name(): string {
    return this.#read().name;
  }

  get size(): string {
    return this.#read().size;
  }

  /** Names are made when a product is first shown: a catalogue holds thousands that nobody looks at. */
  #read(): { name: string; size: string } {
    if (this.#text === undefined) {
      const { name, size } = splitSize(this.card.title);
      // The size of fresh produce is that of the carton it came in.
      this.#text = { name: productName(name, this.card.category[1]), size: this.card.category[0] === "PRODUCE" ? "" : size };
    }
    return this.#text;
  }
}

/** A shelf of an aisle. */
export interface Shelf {
  slug: string;
  name: string;
  products: Product[];
}

/** All products, the most popular first, and where they stand. */
export class Catalogue {
  readonly all: readonly Product[];
  readonly #byId: ReadonlyMap<string, Product>;
  readonly #aisles = new Map<Aisle, { products: Product[]; shelves: Map<string, Shelf> }>();

  constructor(cards: Cards) {
    const places = new Map<readonly string[], { aisle: Aisle; shelf: string }>();
    const products: Product[] = [];
    for (const card of cards.values()) {
      let place = places.get(card.category);
      if (place === undefined) places.set(card.category, place = { aisle: aisleOf(card.category), shelf: shelfName(card.category) });
      products.push(new Product(card, place.aisle, place.shelf));
    }
    products.sort((a, b) => b.card.popularity - a.card.popularity || (a.id < b.id ? -1 : 1));
    this.all = products;
    this.#byId = new Map(products.map((product) => [product.id, product]));
    for (const product of products) this.#place(product);
  }

  #place(product: Product): void {
    let aisle = this.#aisles.get(product.aisle);
    if (aisle === undefined) this.#aisles.set(product.aisle, aisle = { products: [], shelves: new Map() });
    aisle.products.push(product);
    const key = slug(product.shelf);
    const shelf = aisle.shelves.get(key);
    if (shelf === undefined) aisle.shelves.set(key, { slug: key, name: product.shelf, products: [product] });
    else shelf.products.push(product);
  }

  get(id: string): Product | undefined {
    return this.#byId.get(id);
  }

  /** The aisles that hold anything, in the order of the shop. */
  aisles(): Aisle[] {
    return AISLES.filter((aisle) => this.#aisles.has(aisle));
  }

  inAisle(aisle: Aisle): readonly Product[] {
    return this.#aisles.get(aisle)?.products ?? [];
  }

  /** The shelves of an aisle, the fullest first. */
  shelves(aisle: Aisle): Shelf[] {
    return [...this.#aisles.get(aisle)?.shelves.values() ?? []].sort((a, b) => b.products.length - a.products.length);
  }

  /** Products with a word that begins with each word of `query`; those whose name matches come before those whose shelf does. */
  search(query: string): Product[] {
    const wanted = query.toLowerCase().split(/[^a-z0-9]+/).filter(Boolean);
    if (wanted.length === 0) return [];
    const has = (text: string) => {
      const padded = ` ${text.toLowerCase().replace(/[^a-z0-9]+/g, " ")}`;
      return wanted.every((word) => padded.includes(` ${word}`));
    };
    const byName: Product[] = [];
    const byShelf: Product[] = [];
    for (const product of this.all) {
      if (has(product.name)) byName.push(product);
      else if (has(`${product.name} ${product.shelf} ${product.aisle.name}`)) byShelf.push(product);
    }
    return [...byName, ...byShelf];
  }
}
