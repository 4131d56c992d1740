import { readable } from "./words.js";

/** An aisle of the storefront: the grocer's departments are cut for its books, not for its shoppers. */
export interface Aisle {
  slug: string;
  name: string;
  /** The symbol that stands for it. */
  icon: string;
  /** The hue of its products' art, in degrees. */
  hue: number;
}

const aisle = (slug: string, name: string, icon: string, hue: number): Aisle => ({ slug, name, icon, hue });

export const AISLES: readonly Aisle[] = [
  aisle("fruit-veg", "Fruit & vegetables", "apple", 110),
  aisle("bakery", "Bakery", "loaf", 32),
  aisle("meat-fish", "Meat & fish", "steak", 2),
  aisle("deli", "Deli counter", "cheese", 40),
  aisle("dairy", "Dairy & eggs", "milk", 205),
  aisle("frozen", "Frozen", "pop", 195),
  aisle("cupboard", "Food cupboard", "jar", 22),
  aisle("breakfast", "Breakfast", "bowl", 42),
  aisle("snacks", "Snacks & sweets", "cookie", 335),
  aisle("drinks", "Drinks", "bottle", 265),
  aisle("natural", "Natural foods", "leaf", 90),
  aisle("baby", "Baby", "babybottle", 175),
  aisle("health-beauty", "Health & beauty", "pump", 305),
  aisle("household", "Household", "spray", 215),
  aisle("pets", "Pets", "paw", 20),
  aisle("flowers-garden", "Flowers & garden", "flower", 340),
  aisle("home", "Home & seasonal", "bulb", 230),
];
const BY_SLUG = new Map(AISLES.map((entry) => [entry.slug, entry]));

/** The first rule that matches "DEPARTMENT/CATEGORY" places a product. */
const RULES: readonly [RegExp, string][] = [
  [/BABY|DIAPER|INFANT/, "baby"],
  [/DOG FOOD|\bCAT |\bPET\b|BIRD SEED/, "pets"],
  [/^FLORAL|GARDEN|INSECTICIDE/, "flowers-garden"],
  [/^NUTRITION/, "natural"],
  [/^COSMETICS|ORAL HYG|HAIR CARE|SOAP|COLD AND FLU|FEMININE|DEODORANT|ANALGESIC|SHAVING|FIRST AID|HAND\/BODY|SINUS|ANTACID|LAXATIVE|VITAMIN|EYE AND EAR|DIETARY|FAMILY PLANNING|PERSONAL CARE/, "health-beauty"],
  [/POPCORN/, "snacks"],
  [/FRZN|FROZEN|ICE CREAM/, "frozen"],
  [/^(?:DELI|SALAD BAR|CHEF SHOPPE|RESTAURANT)/, "deli"],
  [/^(?:MEAT|SEAFOOD)/, "meat-fish"],
  [/^PRODUCE|^TRAVEL/, "fruit-veg"],
  [/^PASTRY|BAKED (?:BREAD|SWEET)/, "bakery"],
  [/CEREAL|SYRUP\/PANCAKE|CONVENIENT BRKFST/, "breakfast"],
  [/COFFEE FILTERS|CLEANG|LAUNDRY|DISHWASH|BLEACH|AIR CARE|TISSUE|TISS\/|PAPER (?:TOWEL|HOUSE)|WRAPS\/BAGS|BROOMS|FOILWARE|IRONING/, "household"],
  [/MILK PROD|CHEESE|YOGURT|DAIRY|MILK BY|MARGARINE|EGGS|BUTTER$|DOUGH/, "dairy"],
  [/SOFT DRINKS|JUICES|BEERS|WINE|LIQUOR|COFFEE|TEAS|WATER|ISOTONIC|DRNK MX|COCOA|NEW AGE|SPIRITS|JCE/, "drinks"],
  [/SNACK|COOKIES|CRACKERS|CANDY|NUTS$/, "snacks"],
  [/^GROCERY/, "cupboard"],
];

/** The aisle of a category path; what no rule names stands with the home goods. */
export function aisleOf(category: readonly string[]): Aisle {
  const path = category.join("/");
  const slug = RULES.find(([pattern]) => pattern.test(path))?.[1] ?? "home";
  return BY_SLUG.get(slug)!;
}

/** The aisle with this slug. */
export const aisleBySlug = (slug: string): Aisle | undefined => BY_SLUG.get(slug);

/** The shelf in its aisle, as a shopper reads it. */
export const shelfName = (category: readonly string[]): string => readable(category.at(-1) ?? "Everything else");

/** A name for an address. */
export const slug = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
