//! What stands together in a shop, so that a shopper's likings can be counted.

use std::collections::BTreeMap;

use super::items::KnownItems;
use crate::data::Item;

/// Levels of a category path that make a shelf: deeper ones hold a few items each, which nobody's history tells anything of.
const LEVELS: usize = 2;

/// Shelf, brand and price rank of each item of a catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Shelves {
    /// The number of its shelf: the first two levels of its category path, or without one the last word of its title, which says in
    /// English what a thing is.
    pub shelf: Vec<u32>,
    /// How many there are.
    pub shelves: usize,
    /// The number of its brand; `None` without one.
    pub brand: Vec<Option<u32>>,
    /// How many there are.
    pub brands: usize,
    /// [`KnownItems::rank`] of its price.
    pub price_rank: Vec<f32>,
}

impl Shelves {
    /// Those of a catalogue.
    pub fn of(items: &[Item]) -> Self {
        let (shelf, shelves) = numbered(items.iter().map(|item| Some(name(item))));
        let (brand, brands) = numbered(items.iter().map(|item| item.brand.clone().map(|brand| vec![brand])));
        let known = KnownItems::of(items);
        let price_rank = items.iter().map(|item| known.rank(item)).collect();
        Self { shelf: shelf.into_iter().flatten().collect(), shelves, brand, brands, price_rank }
    }
}

/// Separates the levels in the name of a shelf; data cannot hold it, because preparation drops control characters.
const LEVEL: &str = "\u{1f}";

/// The name of an item's shelf, the same in every catalogue.
pub fn shelf_name(item: &Item) -> String {
    name(item).join(LEVEL)
}

fn name(item: &Item) -> Vec<String> {
    if item.category.is_empty() {
        let last = item.title.split(|c: char| !c.is_alphanumeric()).rfind(|word| !word.is_empty());
        vec![last.unwrap_or_default().to_lowercase()]
    } else {
        item.category.iter().take(LEVELS).cloned().collect()
    }
}

/// A number for each name, by the order of names.
fn numbered(names: impl Iterator<Item = Option<Vec<String>>>) -> (Vec<Option<u32>>, usize) {
    let names: Vec<_> = names.collect();
    let mut numbers: BTreeMap<&Vec<String>, u32> = names.iter().flatten().map(|name| (name, 0)).collect();
    numbers.values_mut().zip(0..).for_each(|(number, place)| *number = place);
    let of_items = names.iter().map(|name| name.as_ref().map(|name| numbers[name])).collect();
    (of_items, numbers.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shelf_is_two_levels_of_the_path_or_the_last_word() {
        let item = |title: &str, category: &[&str], brand: Option<&str>| Item {
            id: title.to_owned(),
            title: title.to_owned(),
            category: category.iter().map(|level| (*level).to_owned()).collect(),
            brand: brand.map(str::to_owned),
            price: None,
            events: 0,
            attributes: Vec::new(),
        };
        let shelves = Shelves::of(&[
            item("RED RETROSPOT BAG", &[], Some("b")),
            item("lunch bag.", &[], None),
            item("x", &["food", "fruit", "apples"], Some("a")),
            item("y", &["food", "fruit", "pears"], Some("b")),
            item("z", &["food"], None),
        ]);
        assert_eq!(shelves.shelf, [0, 0, 2, 2, 1]);
        assert_eq!((shelves.shelves, shelves.brands), (3, 2));
        assert_eq!(shelves.brand, [Some(1), None, Some(0), Some(1), None]);
    }
}
