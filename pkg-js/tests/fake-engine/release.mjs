// Writes a small made-up release that the fake engine beside this file reads, and the fake engine's package folder.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { sha256 } from "./sha256.js";

const here = dirname(fileURLToPath(import.meta.url));
/** The eight bytes of an empty module. */
export const EMPTY_WASM = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

/** What the real build leaves in `wasm/`, or with another name in `wasm-onnx/`, made of the fake engine. */
export function writeFakeEngine(folder, name = "nearshelf") {
  const define = { RUNS_ONNX: String(name !== "nearshelf") };
  buildSync({ entryPoints: [join(here, "nearshelf.js")], outfile: join(folder, `${name}.js`), bundle: true, format: "esm", define });
  writeFileSync(join(folder, `${name}_bg.wasm`), EMPTY_WASM);
}

const SHELVES = {
  "GROCERY/SOFT DRINKS": ["COLA", "GINGER ALE", "LEMON SODA", "ROOT BEER"],
  "GROCERY/BAG SNACKS": ["POTATO CHIPS", "TORTILLA CHIPS", "PRETZELS", "CORN CHIPS"],
  "GROCERY/FRZN NOVELTIES/WTR ICE": ["ICE POPS", "ICE CREAM SANDWICHES"],
  "GROCERY/SOUP": ["CONDENSED SOUP", "CHUNKY SOUP", "BROTH"],
  "GROCERY/CHEESE": ["SHREDDED CHEESE", "CREAM CHEESE", "STRING CHEESE"],
  "GROCERY/PAPER TOWELS": ["PAPER TOWELS"],
  "GROCERY/DOG FOODS": ["DRY DOG FOOD", "DOG BISCUITS"],
  "DRUG GM/BABY FOODS": ["BABY FOOD JUNIOR", "BABY FOOD CEREALS"],
  "DRUG GM/HAIR CARE PRODUCTS": ["SHAMPOO", "CONDITIONER"],
  "MEAT/BEEF": ["CHOICE BEEF", "LEAN BEEF"],
  "PRODUCE/APPLES": ["APPLES GALA", "APPLES FUJI"],
  "PRODUCE/TROPICAL FRUIT": ["BANANAS", "PINEAPPLE"],
  "PASTRY/BREAD": ["BREAD ITALIAN", "BREAD RYE"],
  "FLORAL/ROSES": ["ROSES RED"],
};
const SIZES = ["8 OZ", "12 OZ", "16 OZ", "2 L", ""];

/** The same products every time. */
export function fakeProducts() {
  const rows = Object.entries(SHELVES).flatMap(([shelf, types]) => {
    const category = [shelf.slice(0, shelf.indexOf("/")), shelf.slice(shelf.indexOf("/") + 1)];
    return types.flatMap((type) => SIZES.map((size) => ({ category, title: `${type} ${size}`.trim() })));
  });
  return rows.map((row, i) => ({ ...row, id: String(100_000 + i * 37), price: i % 23 === 7 ? -1 : 79 + (i * 131) % 900, popularity: 10 + (i * 7919) % 400, brand: String(i % 7) }));
}

const encode = (value) => new TextEncoder().encode(JSON.stringify(value));

/** Writes the release into `folder` and gives the path of each object by its kind. */
export function writeFakeRelease(folder, { version = 1, products = fakeProducts(), cards = true, cardsByShard = false, lists = undefined, engine = "program" } = {}) {
  mkdirSync(join(folder, "objects"), { recursive: true });
  const put = (kind, bytes) => {
    const digest = sha256(bytes);
    writeFileSync(join(folder, "objects", digest), bytes);
    return { kind, digest, size: bytes.length };
  };
  const half = Math.ceil(products.length / 2);
  const words = ({ id, category, title, popularity }) => [id, [...category, ...title.split(" ")], popularity];
  const cardFiles = !cards ? [] : cardsByShard ? [products.slice(0, half), products.slice(half)] : [products];
  const objects = [
    put("tower", encode({ tower: "words" })),
    put("shard", encode(products.slice(0, half).map(words))),
    put("shard", encode(products.slice(half).map(words))),
    ...cardFiles.map((file) => put("cards", encode(cardsFile(file)))),
    ...(lists ? [put("lists", encode(lists))] : []),
  ];
  const manifest = put("manifest", encode({ name: "made-up", version, engine, objects }));
  const { digest, size } = manifest;
  writeFileSync(join(folder, "head.json"), encode({ signed: { format: 1, version, manifest: { digest, size } }, signatures: [] }));
  return Object.fromEntries([manifest, ...objects].map(({ kind, digest }) => [kind, join(folder, "objects", digest)]));
}

/** Writes what is out of stock, and other prices, beside the release of `folder`; the path of the overlay. */
export function writeFakeStock(folder, { version, made = 1, out = [], prices = {}, of = undefined }) {
  const { signed } = JSON.parse(readFileSync(join(folder, "head.json"), "utf8"));
  const bytes = encode({ of: of ?? signed.manifest.digest, made, out, prices });
  const overlay = { digest: sha256(bytes), size: bytes.length };
  writeFileSync(join(folder, "objects", overlay.digest), bytes);
  writeFileSync(join(folder, "head.json"), encode({ signed: { ...signed, version, overlay }, signatures: [] }));
  return `objects/${overlay.digest}`;
}

function cardsFile(products) {
  const categories = [...new Map(products.map(({ category }) => [category.join("/"), category])).values()];
  const brands = [...new Set(products.map(({ brand }) => brand))];
  const index = new Map(categories.map((category, i) => [category.join("/"), i]));
  return {
    format: 1, brands, categories,
    items: products.map(({ id, title, category, price, popularity, brand }) => [id, title, brands.indexOf(brand), index.get(category.join("/")), price, popularity]),
  };
}
