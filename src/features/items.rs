//! The candidate tower's inputs: what an item is, as rows of tables and numbers.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::hashing::bucket;
use crate::data::Item;

/// Numbers per item beside the table rows: normalised log price, its rank in the category, and whether it is known.
pub const NUMBERS: usize = 3;

/// How items become table rows. Row 0 of every table is "unknown".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemSchema {
    /// Buckets of the hashed words of titles.
    pub token_buckets: u32,
    /// Words of a title that are read, the first ones.
    pub max_tokens: usize,
    /// Known category paths, each prefix an entry of its own, sorted: entry `i` is row `i + 1`.
    pub categories: Vec<String>,
    /// Levels of the category path that are read.
    pub levels: usize,
    /// Known brands, sorted: entry `i` is the row after all categories.
    pub brands: Vec<String>,
    /// Mean of the natural logarithm of known prices.
    pub log_price_mean: f32,
    /// Standard deviation of the same, never 0.
    pub log_price_std: f32,
}

/// One item, ready for the candidate tower.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ItemFeatures {
    /// Row of the id table; 0 where nothing is known of the item but its content.
    pub id: u32,
    /// Rows of the word table, at most `max_tokens`.
    pub tokens: Vec<u32>,
    /// Rows of the label table: one per category level, then the brand.
    pub labels: Vec<u32>,
    /// See [`NUMBERS`].
    pub numbers: [f32; NUMBERS],
}

impl ItemFeatures {
    /// The labels of the category path, one per level that towers read.
    pub(crate) fn path(&self) -> &[u32] {
        &self.labels[..self.labels.len() - 1]
    }

    /// The label of the longest known part of the path, which tells all others; 0 where nothing is known.
    pub(crate) fn deepest_label(&self) -> u32 {
        self.path().iter().copied().rfind(|label| *label != 0).unwrap_or(0)
    }

    /// The label of the brand.
    pub(crate) fn brand(&self) -> u32 {
        self.labels[self.labels.len() - 1]
    }
}

/// Separates the levels of a category path; data cannot hold it, because preparation drops control characters.
const LEVEL: char = '\u{1f}';

impl ItemSchema {
    /// Reads the vocabularies and the price scale off a catalogue.
    pub fn of(items: &[Item], token_buckets: u32, max_tokens: usize) -> Self {
        let levels = items.iter().map(|item| item.category.len()).max().unwrap_or(0);
        let mut categories: Vec<String> =
            items.iter().flat_map(|item| (1..=item.category.len()).map(|level| path(item, level))).collect();
        categories.sort_unstable();
        categories.dedup();
        let mut brands: Vec<String> = items.iter().filter_map(|item| item.brand.clone()).collect();
        brands.sort_unstable();
        brands.dedup();
        let logs: Vec<f64> = items.iter().filter_map(log_price).collect();
        let count = logs.len().max(1) as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / count;
        let std = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        Self {
            token_buckets,
            max_tokens,
            categories,
            levels,
            brands,
            log_price_mean: mean as f32,
            log_price_std: std as f32,
        }
    }

    /// Rows of the label table.
    pub fn label_rows(&self) -> usize {
        // Categories and brands have an "unknown" row each.
        self.categories.len() + self.brands.len() + 2
    }

    /// Labels per item.
    pub fn labels(&self) -> usize {
        self.levels + 1
    }

    /// Rows of the word table.
    pub fn token_rows(&self) -> usize {
        self.token_buckets as usize + 1
    }

    /// Turns items into features. An item that the towers do not know gets the id row 0.
    pub fn features(&self, items: &[Item], known: &KnownItems) -> Vec<ItemFeatures> {
        items.iter().map(|item| self.one(item, known.row(&item.id), known.rank(item))).collect()
    }

    fn one(&self, item: &Item, id: u32, rank: f32) -> ItemFeatures {
        let row = |list: &[String], value: &String, first: usize| {
            list.binary_search(value).map_or(first, |at| first + 1 + at) as u32
        };
        let brands_from = self.categories.len() + 1;
        let level_row = |level: usize| {
            if item.category.len() < level { 0 } else { row(&self.categories, &path(item, level), 0) }
        };
        let mut labels: Vec<u32> = (1..=self.levels).map(level_row).collect();
        let brand = item.brand.as_ref();
        labels.push(brand.map_or(brands_from as u32, |brand| row(&self.brands, brand, brands_from)));
        let words = tokens(&item.title).take(self.max_tokens);
        let numbers = log_price(item)
            .map_or([0.0; NUMBERS], |log| [(log as f32 - self.log_price_mean) / self.log_price_std, rank, 1.0]);
        ItemFeatures { id, tokens: words.map(|word| 1 + bucket(&word, self.token_buckets)).collect(), labels, numbers }
    }
}

fn path(item: &Item, levels: usize) -> String {
    item.category[..levels].join(&LEVEL.to_string())
}

fn log_price(item: &Item) -> Option<f64> {
    item.price.filter(|price| *price > 0.0).map(f64::ln)
}

/// The words of a title: runs of letters or of digits, lower case.
fn tokens(title: &str) -> impl Iterator<Item = String> + '_ {
    title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The items that towers were trained on.
///
/// An item's price counts by its rank among those of its category. Ranks stay those of the training when the catalogue changes:
/// one more item would else move the embeddings of all its neighbours.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownItems {
    /// In the order of the id table, from row 1 on.
    items: Vec<KnownItem>,
    places: HashMap<String, u32>,
    ranks: Vec<f32>,
    /// By category path, the logarithms of the prices, ascending.
    prices: BTreeMap<String, Vec<f64>>,
}

/// What is kept of an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KnownItem {
    id: String,
    category: String,
    /// The bits of the `f64`: readers of JSON round decimals.
    log_price: Option<u64>,
    /// Whether no training event has it: nothing was learned of it but its content.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unseen: bool,
}

impl KnownItem {
    fn of(item: &Item) -> Self {
        let category = path(item, item.category.len());
        Self { id: item.id.clone(), category, log_price: log_price(item).map(f64::to_bits), unseen: item.events == 0 }
    }
}

impl KnownItems {
    /// The items of a training.
    pub fn of(items: &[Item]) -> Self {
        Self::new(items.iter().map(KnownItem::of).collect())
    }

    /// Reads what [`KnownItems::to_json`] wrote.
    ///
    /// # Errors
    /// If the bytes are not such JSON.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes).map(Self::new)
    }

    /// The items as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.items).unwrap_or_default()
    }

    fn new(items: Vec<KnownItem>) -> Self {
        let mut groups: BTreeMap<String, Vec<(f64, usize)>> = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            if let Some(log) = item.log_price.map(f64::from_bits) {
                groups.entry(item.category.clone()).or_default().push((log, index));
            }
        }
        let mut ranks = vec![0.0; items.len()];
        for group in groups.values_mut() {
            group.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (position, (_, index)) in group.iter().enumerate() {
                ranks[*index] = rank(position, group.len());
            }
        }
        let prices = groups.into_iter().map(|(path, group)| (path, group.into_iter().map(|(log, _)| log).collect()));
        let prices = prices.collect();
        let places = items.iter().map(|item| item.id.clone()).zip(0..).collect();
        Self { items, places, ranks, prices }
    }

    /// The row of the id table; 0 for an item that is unknown, or that no training event has.
    pub fn row(&self, id: &str) -> u32 {
        self.places.get(id).filter(|place| !self.items[**place as usize].unseen).map_or(0, |place| place + 1)
    }

    /// Whether an item was in the catalogue that was trained on.
    pub fn holds(&self, id: &str) -> bool {
        self.places.contains_key(id)
    }

    /// The rank of an item's price in its full category path, -1 cheapest to 1 dearest, 0 without a price or alone.
    pub fn rank(&self, item: &Item) -> f32 {
        let now = KnownItem::of(item);
        if let Some(place) = self.places.get(&item.id).map(|place| *place as usize) {
            let then = &self.items[place];
            // Among equal prices the rank is that of the place in the catalogue.
            if (&then.category, then.log_price) == (&now.category, now.log_price) {
                return self.ranks[place];
            }
        }
        let (Some(log), Some(prices)) = (now.log_price.map(f64::from_bits), self.prices.get(&now.category)) else {
            return 0.0;
        };
        let cheaper = prices.partition_point(|price| *price < log);
        rank(cheaper.min(prices.len() - 1), prices.len())
    }
}

fn rank(position: usize, of: usize) -> f32 {
    if of > 1 { 2.0 * position as f32 / (of - 1) as f32 - 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, title: &str, category: &[&str], brand: Option<&str>, price: Option<f64>) -> Item {
        Item {
            id: id.into(),
            title: title.into(),
            category: category.iter().map(|level| (*level).to_owned()).collect(),
            brand: brand.map(str::to_owned),
            price,
            events: 1,
            attributes: Vec::new(),
        }
    }

    #[test]
    fn known_values_have_rows_of_their_own_and_unknown_ones_the_first() {
        let items = [
            item("1", "ICE - Crushed 22LB", &["Frozen", "Ice"], Some("69"), Some(1.0)),
            item("2", "ice", &["Frozen"], None, Some(4.0)),
            item("3", "", &[], Some("7"), None),
        ];
        let schema = ItemSchema::of(&items, 100, 2);
        assert_eq!((schema.label_rows(), schema.labels(), schema.token_rows()), (6, 3, 101));
        let features = schema.features(&items, &KnownItems::of(&items));
        assert_eq!(features.iter().map(|f| f.id).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(features[0].labels, [1, 2, 4]);
        assert_eq!(features[1].labels, [1, 0, 3]);
        assert_eq!(features[2].labels, [0, 0, 5]);
        assert_eq!(features[0].tokens.len(), 2);
        assert_eq!(features[0].tokens[0], features[1].tokens[0]);
        assert_eq!(features[0].numbers, [-1.0, 0.0, 1.0]);
        assert_eq!(features[2].numbers, [0.0; 3]);
    }

    #[test]
    fn prices_rank_within_their_category_as_they_did_in_training() {
        let of = |id: &str, price: f64| item(id, "t", &["a"], None, Some(price));
        let trained =
            [of("x", 3.0), of("y", 1.0), of("z", 2.0), of("w", 2.0), item("alone", "t", &["b"], None, Some(9.0))];
        let known = KnownItems::from_json(&KnownItems::of(&trained).to_json()).unwrap();
        let ranks = |items: &[Item]| items.iter().map(|item| known.rank(item)).collect::<Vec<_>>();
        let third = 1.0 / 3.0;
        assert_eq!(ranks(&trained[..2]), [1.0, -1.0]);
        assert!((known.rank(&trained[2]) + third).abs() < 1e-6 && (known.rank(&trained[3]) - third).abs() < 1e-6);
        assert_eq!(known.rank(&trained[4]), 0.0);
        // What is new or has another price stands where it would have stood; the others stay.
        assert_eq!(ranks(&[of("new", 0.5), of("new", 10.0), of("x", 0.5), of("y", 1.0)]), [-1.0, 1.0, -1.0, -1.0]);
        assert_eq!(ranks(&[item("new", "t", &["c"], None, Some(1.0)), item("x", "t", &["a"], None, None)]), [0.0, 0.0]);
        assert_eq!((known.row("y"), known.row("new")), (2, 0));
        // What nobody has bought has a rank, and no row; sold later, both stay.
        let unsold = KnownItems::of(&[of("x", 3.0), Item { events: 0, ..of("y", 1.0) }, of("z", 2.0)]);
        let unsold = KnownItems::from_json(&unsold.to_json()).unwrap();
        assert_eq!(["x", "y", "z"].map(|id| unsold.row(id)), [1, 0, 3]);
        assert!(unsold.holds("y") && !unsold.holds("w"));
        assert_eq!(unsold.rank(&of("y", 1.0)), -1.0);
    }
}
