import { NearshelfError } from "./errors.js";

/** What some of the visitors see. */
export interface Variant {
  /** As results and events call it. */
  name: string;
  /** The share of the visitors, 0 to 1; of variants without one, an equal part of what the others leave. */
  share?: number;
  /** The rules of its rows, in place of the recommender's; what a row asks for itself goes first. */
  scenario?: string;
  /** The folder of its release, in place of the recommender's. The history is the same. */
  release?: string | URL;
}

/** An experiment: every visitor sees one of its variants, always the same one. */
export interface ExperimentOptions {
  /** As events call it. */
  name: string;
  /** What the visitor's id is hashed with, the name unless told: another salt deals visitors anew. */
  salt?: string;
  /**
   * The visitor's id, of the shop's own; not empty. Without it, one by chance: kept in the browser after consent (`localStorage`, where the history
   * is kept on the device), and else gone with the page, so that its next page may see another variant.
   */
  visitor?: string;
  /** In this order; shares sum to 1 at most, and the rest of the visitors takes no part. */
  variants: readonly Variant[];
}

/** What events say of an experiment. */
export interface Assignment {
  /** The experiment's name. */
  experiment: string;
  /** The variant's name. */
  variant: string;
  /** The visitor's id. */
  visitor: string;
}

/** Where an id of chance is kept after consent. */
const KEY = "nearshelf visitor";

/**
 * The variant of a visitor, for a server, say, that has to know it, too; `undefined` for who takes no part. A visitor's place between 0 and 1 is version 2 of
 * GrowthBook's hash of salt and id, in steps of 1/10,000, and each variant has its share of them, in their order.
 * @throws `request/experiment` for names that are missing or not distinct, shares below 0, or more than 1 in all
 */
export function assignedVariant({ name, salt = name, variants }: Omit<ExperimentOptions, "visitor">, visitor: string): Variant | undefined {
  const given = variants.reduce((sum, { share = 0 }) => sum + share, 0);
  const open = (1 - given) / variants.filter(({ share }) => share === undefined).length;
  const names = new Set(variants.map((variant) => variant.name));
  if (!name || variants.length === 0 || names.size < variants.length || names.has("") || !(given <= 1 + NEARLY) || variants.some(({ share = 0 }) => !(share >= 0))) {
    const found = variants.map((variant) => `${variant.name} ${variant.share ?? "open"}`).join(", ");
    throw new NearshelfError("request/experiment", `experiment "${name}": found variants ${found || "none"}; expected distinct names, and shares from 0 that sum to 1 at most`);
  }
  // Here and not in the engine: a variant may say which release the engine loads.
  const unit = (fnv(String(fnv(salt + visitor))) % 10_000) / 10_000;
  let end = 0;
  return variants.find(({ share = open }) => unit < (end += share));
}

/** Shares such as 1/3 come to a little more or less than 1. */
const NEARLY = 1e-9;

/** FNV-1a, 32 bits, over UTF-16 code units. */
function fnv(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

/** A visitor in an experiment. @internal */
export class Trial {
  readonly visitor: string;
  readonly variant: Variant | undefined;
  /** What results and events say; nothing of who takes no part. */
  readonly assignment: Assignment | undefined;
  readonly #isOwn: boolean;

  /** `isKept`: an id of chance may outlive the page after consent. */
  constructor(options: ExperimentOptions, isKept: boolean, isAllowed: boolean, newId: () => string) {
    const { visitor, name } = options;
    if (visitor === "") throw new NearshelfError("request/experiment", `experiment "${name}": found an empty visitor; give an id, or none`);
    this.#isOwn = isKept && visitor === undefined;
    const stored = this.#isOwn && isAllowed ? storage((store) => store.getItem(KEY)) : undefined;
    this.visitor = visitor ?? (stored || newId());
    this.variant = assignedVariant(options, this.visitor);
    this.assignment = this.variant && { experiment: name, variant: this.variant.name, visitor: this.visitor };
  }

  /** After consent: keeps the id for later pages, or what an earlier page kept. After its withdrawal: keeps none. */
  keep(isAllowed: boolean): void {
    if (!this.#isOwn) return;
    storage((store) => {
      if (!isAllowed) store.removeItem(KEY);
      else if (store.getItem(KEY) === null) store.setItem(KEY, this.visitor);
    });
  }
}

/** Browsers may have no such storage, or a full or forbidden one: then the id goes with the page. */
function storage<T>(use: (store: Storage) => T): T | undefined {
  try {
    return typeof localStorage === "object" ? use(localStorage) : undefined;
  } catch {
    return undefined;
  }
}
