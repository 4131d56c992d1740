import { NAMES } from "./names.js";

/** The grocer's till names, in capitals and cut at 30 letters, as a shopper would read them. */
const ABBREVIATIONS = new Map(Object.entries({
  frzn: "frozen", sft: "soft", drnk: "drink", drnks: "drinks", drnkng: "drinking", btl: "bottle", carb: "", car: "",
  incl: "", sngl: "single", srv: "serve", ss: "single-serve", sgl: "single", sv: "serve", dnrs: "dinners",
  dsh: "dishes", veg: "vegetables", pnt: "peanut", btr: "butter", brkfst: "breakfast", whlsm: "wholesome", bkd: "baked",
  fd: "food", sald: "salad", drsng: "dressings", sndwch: "sandwich", sprd: "spreads", pwdr: "powder", crystl: "crystal",
  mx: "mixes", mxs: "mixes", mixs: "mixes", bn: "beans", refrgratd: "chilled", refrigerated: "chilled",
  refrig: "chilled", jce: "juice", conc: "concentrate", cleang: "cleaning", sherbts: "sherbets", pkld: "pickled",
  tiss: "tissues", dnr: "dinner", bg: "bags", trsh: "trash", misc: "assorted", miscellaneous: "assorted", mlt: "multi",
  pk: "pack", chix: "chicken", frd: "fried", pc: "piece", saus: "sausage", cnd: "canned", whl: "whole",
  fs: "french-style", crmd: "creamed", iws: "wrapped", rts: "ready", grnd: "ground", brd: "bread", br: "bread",
  choc: "chocolate", chococlate: "chocolate", flvrd: "flavoured", flvr: "flavoured", crbntd: "carbonated",
  mnrl: "mineral", wat: "water", wate: "water", wtr: "water", mnr: "mineral", fem: "feminine", hygn: "hygiene",
  plstc: "plastic", pkg: "packed", prpck: "packed", hbc: "care", fre: "fresh", frz: "frozen", rw: "raw", wt: "weight",
  handke: "handkerchiefs", specilaty: "speciality", mustar: "mustard", snks: "snacks", ckys: "cookies",
  crkr: "crackers", cndy: "candy", sply: "supplies", suppplies: "supplies", sweetners: "sweeteners",
  disposible: "disposable", beeralemalt: "beer, ale & malt", mg: "", ctlrytblclthstthpksst: "cutlery",
  saucessalsapicantee: "salsa", saltice: "salt", syrp: "syrup", lozng: "lozenges", drp: "drops", xpctrnt: "",
  wra: "wraps", containr: "containers", n: "and", mlk: "milk", sal: "salad", dps: "dips", prem: "premium", stk: "stick",
  may: "mayonnaise", chick: "chicken", et: "",
}));
const PROPER = new Map([
  "Italian", "French", "Mexican", "Hispanic", "Christmas", "Easter", "Halloween", "Valentine", "Gala", "Fuji", "English", "BBQ", "TV",
  "Roma", "Kosher", "Angus",
].map((word) => [word.toLowerCase(), word]));
/** Prefixes that say the department again. */
const PREFIX = /^(?:(?:SW GDS|PREP FD|SAL|DOMESTIC|CHIX|MEAT|CHEESE)\s*:|FLORAL\s*-)\s*(?=\S)/;
const UNIT = "(?:FL OZ|OZS?|LBS?|CT|GAL?|ML|LT?|DZ|PT|QT|PK|PACK|SQ ?FT|LOADS?|LD|FT|IN|GR?|PC|YD|ROLLS?|SHEETS?|EA)";
const NUMBER = String.raw`(?:\d+\s\d\/\d|[\d./-]*\d)`;
const SIZE = new RegExp(String.raw`\s+(?:\(\d+\)\s*)?(?:[A-Z]\s+)?(${NUMBER}\s*(?:${UNIT}\s*[/X]\s*${NUMBER}\s*)?${UNIT}\.?|PT|QT|GAL|CTN|DZ)$`);

const UNITS: readonly (readonly [RegExp, string])[] = [
  [/\bl\b/g, "L"], [/\bml\b/g, "mL"], [/\bga\b/g, "gal"], [/\bozs\b/g, "oz"], [/^(?:1 )?dz$/, "dozen"], [/^pt$/, "1 pt"],
];

/** Splits the package size off a title. */
export function splitSize(title: string): { name: string; size: string } {
  const found = SIZE.exec(title);
  if (found?.[1] === undefined) return { name: title, size: "" };
  const size = UNITS.reduce((text, [till, shopper]) => text.replace(till, shopper), found[1].toLowerCase());
  return { name: title.slice(0, found.index), size: size.replace(/\s+/g, "\u00a0") };
}

/** Sentence case without brackets, codes and abbreviations. */
export function readable(capitals: string): string {
  const plain = capitals.replace(PREFIX, "").replace(/\([^)]*\)?/g, " ").replace(/(?:\/| - )[A-Z]$/, "")
    .replace(/\bW\//g, "WITH ").replace(/\s*&\s*/g, " & ").replace(/[.]+(?=\s|$)/g, "").replace(/:\s*/g, ": ").replace(/\b\d+\/\d+(?: & ?\d+)?PK\b/g, "");
  const words = plain.toLowerCase().replace(/[a-z]+/g, (word) => ABBREVIATIONS.get(word) ?? PROPER.get(word) ?? word);
  const tidy = words.replace(/\s+/g, " ").replace(/\s+([,:/])/g, "$1").replace(/^[\s\-&/,:]+|[\s\-&/,:]+$/g, "");
  return tidy === "" ? capitals : tidy[0]!.toUpperCase() + tidy.slice(1);
}

/** Names that say nothing without their shelf: "Premium" of what? */
const QUALIFIERS = new Set([
  "premium", "super premium", "traditional", "economy", "mainstream", "enhanced", "primal", "lean", "blends", "fresh", "value", "regular garden", "garden plus",
  "poultry", "smoked/cooked", "assorted", "choice", "select", "natural", "patties", "links", "premium pints", "super premium pints", "better for you",
  "premium, meat", "premium, beef", "economy, meat", "links, raw", "patties, raw", "rolls, pork", "variety pack", "specialty", "organic", "angus", "thin", "flavoured",
  "regular", "mixed", "other", "all other", "bulk", "family size", "dry", "liquid", "deluxe", "light", "bagged", "fillets", "breaded", "steaks", "kids", "adult", "bone-in", "boneless",
]);

/** A product's name; a bare qualifier takes the name of its shelf with it. */
export function productName(title: string, shelf: string | undefined): string {
  const known = NAMES[title];
  if (known !== undefined) return known;
  const name = readable(title).replace(/ -(?: all)?$/, "").replace(/ - /g, ", ");
  if (shelf === undefined || !QUALIFIERS.has(name.toLowerCase())) return name;
  const noun = (readable(shelf).split(/[/,&-]/)[0] ?? "").trim().toLowerCase();
  return noun === "" || name.toLowerCase().includes(noun) ? name : `${name.replace(/, /g, " ")} ${noun}`;
}
