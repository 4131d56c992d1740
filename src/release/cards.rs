//! Cards: what a shop shows of an item. For the page; no recommendation depends on them. Clusters have a file each.
//!
//! ```json
//! {"format":1,"brands":["69"],"categories":[["GROCERY","SOFT DRINKS"]],"items":[["1001","COLA 2 LTR",0,0,129,5210]]}
//! ```
//! An item is `[id, title, brand, category, price in cents, popularity]`. Brand and category are positions in their lists,
//! -1 where there is none, as is an unknown price; the popularity is the number of training events. Items are in order of id.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::data::Item;

/// The version of the format.
const FORMAT_VERSION: u32 = 1;

/// All cards of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cards {
    /// The version of the format.
    pub format: u32,
    /// Brands, sorted.
    pub brands: Vec<String>,
    /// Category paths, sorted.
    pub categories: Vec<Vec<String>>,
    /// One per item.
    pub items: Vec<Card>,
}

/// Id, title, brand, category, price in cents, popularity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card(pub String, pub String, pub i32, pub i32, pub i64, pub u32);

impl Cards {
    /// The cards of a catalogue, or of a part of it.
    pub fn of<'i>(items: impl IntoIterator<Item = &'i Item>) -> Self {
        let mut items: Vec<&Item> = items.into_iter().collect();
        items.sort_by(|a, b| a.id.cmp(&b.id));
        let brands: BTreeSet<&String> = items.iter().filter_map(|item| item.brand.as_ref()).collect();
        let categories: BTreeSet<&Vec<String>> =
            items.iter().map(|item| &item.category).filter(|path| !path.is_empty()).collect();
        let brand_of: BTreeMap<_, i32> = brands.iter().copied().zip(0..).collect();
        let category_of: BTreeMap<_, i32> = categories.iter().copied().zip(0..).collect();
        let card = |item: &Item| {
            let brand = item.brand.as_ref().and_then(|brand| brand_of.get(brand));
            let category = category_of.get(&item.category);
            let cents = item.price.map_or(-1, |price| (price * 100.0).round() as i64);
            let title = item.title.clone();
            let place = |found: Option<&i32>| found.copied().unwrap_or(-1);
            Card(item.id.clone(), title, place(brand), place(category), cents, item.events)
        };
        Self {
            format: FORMAT_VERSION,
            brands: brands.iter().map(|brand| (*brand).clone()).collect(),
            categories: categories.iter().map(|path| (*path).clone()).collect(),
            items: items.into_iter().map(card).collect(),
        }
    }

    /// The object's bytes.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_name_brand_and_category_by_position() {
        let item = |id: &str, brand: Option<&str>, category: &[&str], price| Item {
            id: id.into(),
            title: id.to_uppercase(),
            category: category.iter().map(|level| (*level).into()).collect(),
            brand: brand.map(Into::into),
            price,
            events: 7,
            attributes: Vec::new(),
        };
        let items = [
            item("a", Some("z"), &["x", "y"], Some(1.296)),
            item("b", None, &[], None),
            item("c", Some("k"), &["x"], None),
        ];
        let expected = concat!(
            r#"{"format":1,"brands":["k","z"],"categories":[["x"],["x","y"]],"#,
            r#""items":[["a","A",1,1,130,7],["b","B",-1,-1,-1,7],["c","C",0,0,-1,7]]}"#
        );
        assert_eq!(String::from_utf8(Cards::of(&items).write()).unwrap(), expected);
    }
}
