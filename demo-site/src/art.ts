import type { Product } from "./catalogue.js";
import { h, symbols } from "./dom.js";
import { LABELS, MARKS, SYMBOLS } from "./symbols.js";

/**
 * Every product gets a drawing: its words choose the shape, its aisle the colours, its maker the mark and the shade. There
 * are no photographs in the data, and the same product must look the same wherever it turns up.
 */

/** The first rule that matches "CATEGORY|TITLE" chooses the shape, and a hue where nature has one. */
const SHAPES: readonly [RegExp, string, number?][] = [
  [/FLORAL|ROSE|FLOWER|GARDEN CENTER|BOUQUET/, "flower"], [/DIAPER|TRAINING PANTS/, "nappy"], [/BABY.*(?:JUICE|FORMULA)|INFANT FORMULA/, "babybottle"], [/BABY FOOD/, "jar"], [/BABY/, "babybottle"],
  [/(?:CAT|DOG) FOOD.*(?:CAN|MOIST)|CANNED (?:CAT|DOG)/, "tin"], [/LITTER|DRY (?:CAT|DOG)|BIRD SEED/, "sack"], [/DOG (?:FOOD|TREAT|BISC)|\bCAT |\bPET\b/, "paw"],
  [/BANANA/, "banana", 51], [/STRAWBERR|BERRIES|CHERR|RASPB/, "berry", 350], [/GRAPES WHITE/, "grapes", 90], [/\|GRAPES|RAISIN/, "grapes", 285], [/\|LIME/, "citrus", 95], [/LEMON(?!ADE)/, "citrus", 52],
  [/CITRUS\||ORANGES NAV|GRAPEFRUIT|MANDARIN|TANGERINE|PINEAPPLE|MELON|CANTALOUPE/, "citrus", 30], [/APPLES GRANNY|PEARS/, "apple", 85], [/APPLES|STONE FRUIT|PEACH|NECTARINE|PLUM/, "apple", 5],
  [/CARROT/, "carrot", 24], [/TOMATOES (?!:)|\|TOMATOES|PEPPERS RED/, "tomato", 6], [/ONION|GARLIC/, "onion", 28], [/POTATOES(?!:)|MUSHROOM|SQUASH|YAM|GINGER ROOT/, "root", 32],
  [/LETTUCE|SALAD(?! DR| BAR)|SPINACH|BROCCOLI|CABBAGE|GREENS|HERBS|CELERY|CUCUMBER|PEPPERS GREEN|ASPARAGUS|VEGETABLES -? ?(?:ALL|SALAD)|PEPPERS-ALL|ORGANICS/, "leaf", 110],
  [/SALAD BAR|VALUE ADDED|TROPICAL/, "apple", 18], [/CORN YELLOW|\|CORN ON/, "carrot", 48],
  [/PIZZA/, "pizza", 14], [/ICE CREAM|SHERB|FRZN NOVEL.*(?:CONE|SUNDAE)/, "icecream"], [/NOVELTIES|WTR ICE|POPS/, "pop"], [/FRZN|FROZEN/, "frozenbox"],
  [/SHRIMP|CRAB|LOBSTER|SHELLFISH/, "shrimp", 12], [/TUNA|SALMON: CAN|SEAFOOD - SHELF/, "tin", 205], [/SEAFOOD|FISH|SALMON/, "fish", 205],
  [/CHICKEN|CHIX|TURKEY|POULTRY|WINGS/, "drumstick", 28], [/HOT DOGS|SAUSAGE|BACON|LUNCHMEAT|DELI MEATS|PEPPERONI|SALAMI|FRANK/, "sausage", 8], [/^(?:BEEF|PORK|VEAL|LAMB|SMOKED MEATS|MEAT - MISC|HEAT\/SERVE|EXOTIC)/, "steak", 2],
  [/TISSUE|TOWEL|NAPKIN|FOIL|WRAPS\/BAGS/, "roll"], [/LAUNDRY|BLEACH|DETERGENT|SOFTENER/, "jug"], [/CLEAN|AIR CARE|INSECT|STARCH/, "spray"], [/ORAL|TOOTHPASTE|HAND\/BODY|FIRST AID|LIPCARE|SHAVING/, "tube"],
  [/HAIR|SOAP|DEODORANT|BATH|MAKEUP|SHAMPOO|LOTION/, "pump"], [/COLD AND|ANALGES|SINUS|ANTACID|LAXATIVE|VITAMIN|DIETARY|EYE AND/, "pills"], [/CARDS|MAGAZINE|NEWSPAPER|STATIONERY|BOOK/, "page"], [/BATTER|ELECTRIC|BULB/, "bulb"],
  [/DOUGH PRODUCTS/, "tin", 210], [/CANDY.*BAR|GRANOLA BAR|CEREAL BAR|\|BARS/, "bar"], [/CANDY|GUM|MINTS/, "candy"], [/\|.*(?:COOKIE|WAFER|CRACKER|GRAHAM)|COOKIES/, "cookie", 30],
  [/\|.*(?:BUNS|ROLLS|BAGEL|MUFFIN|SANDWICH(?! BAG| SAUCE))|(?<!\/)ROLLS\|/, "bun", 32], [/DONUT|SWEET GOODS|SNACK CAKE|BREAKFAST SWEETS/, "donut"], [/CAKES|PIES|CUPCAKE/, "cake"], [/BREAD|TORTILLAS/, "loaf", 32],
  [/EGGS/, "egg", 215], [/CHEESES?\||CHEESE(?! CRACK)/, "cheese", 44], [/BUTTER(?:\||$)|MARGARINE.*STICK/, "butter", 48], [/YOGURT|MARGARINE|DIPS|SOUR CREAM|COTTAGE|PUDDING|WHIPPED|GELATIN/, "tub"], [/MILK|CREAM|EGGNOG/, "milk", 210],
  [/COFFEE FILTER/, "box"], [/WINE|LIQUOR/, "wine"], [/BEER|ALE|CAN CAR|CANS?\b.*CARB|ENERGY/, "can"], [/COFFEE|TEAS?\b|COCOA/, "mug"], [/ASEPTIC|JUICE|CIDER/, "carton"], [/SOFT DRINK|WATER|SFT DRNK|ISOTONIC|DRINK/, "bottle"],
  [/BAG SNACKS|CHIPS|PRETZEL|NUTS|POPCORN|SNACKS|MARSHMALLOW/, "bag"],
  [/SPICE|SEASONING|SALT|EXTRACT/, "shaker"], [/OATMEAL|HOT CEREAL/, "bowl", 40], [/SOUP|CANNED|CHILI|BEANS - CAN|SHELF STABLE|BROTH/, "tin"], [/FLOUR|SUGAR|RICE -|DRY BN|CHARCOAL/, "sack"],
  [/JELLY|JAM|PEANUT BUTTER|SAUCE|PICKLE|RELISH|OLIVE|CONDIMENT|HONEY|SYRUP|MAYO|SALSA/, "jar"], [/DRSNG|OIL|VINEGAR|DRESSING/, "bottle"],
  [/CEREAL|MIX|DINNER|PASTA|NOODLE|RICE|BRKFST|DESSERT|BAKING/, "box"],
];

/** A small, even hash of text (FNV-1a). */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

/** The drawing of a product. */
export function art(product: Product): SVGSVGElement {
  const words = `${product.card.category.slice(1).join("|")}|${product.card.title}`;
  const [shape, natural] = SHAPES.find(([pattern]) => pattern.test(words))?.slice(1) as [string, number?] | undefined ?? ["parcel"];
  const maker = hash(`maker ${product.card.brand ?? product.shelf}`);
  const label = LABELS[shape] !== undefined;
  // A package takes a shade of its maker's; nature keeps to its own colour.
  const spread = natural === undefined ? (label ? 150 : 70) : 14;
  const own = hash(product.shelf + product.id);
  const hue = (natural ?? product.aisle.hue) + ((label && natural === undefined ? maker : own) % spread) - spread / 2;
  const svg = symbols("art", `art-${shape}`, ...(label ? [`mark-${shape}-${maker % MARKS.length}`] : []));
  svg.style.setProperty("--hue", String(Math.round(hue + 360) % 360));
  if (own % 2 === 1 && !label) svg.classList.add("flipped");
  return svg;
}

/** The drawing on the ground colour of its aisle. */
export function picture(product: Product): HTMLElement {
  const element = h("div", { class: "picture" }, art(product));
  element.style.setProperty("--ground", String(product.aisle.hue));
  return element;
}

/** The drawings as a sprite, once per page. */
export function sprite(): SVGSVGElement {
  const svg = symbols("sprite");
  const marks = Object.entries(LABELS).flatMap(([shape, [x, y, scale]]) =>
    MARKS.map((mark, i) => `<symbol id="mark-${shape}-${i}" viewBox="0 0 64 64"><g class="mark" transform="translate(${x} ${y}) scale(${scale})">${mark}</g></symbol>`));
  const shapes = Object.entries(SYMBOLS).map(([shape, drawing]) => `<symbol id="art-${shape}" viewBox="0 0 64 64">${drawing}</symbol>`);
  svg.innerHTML = [...shapes, ...marks].join("");
  return svg;
}
