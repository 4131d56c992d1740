//! Lists that a shop can show without a query tower: what is bought together, and what sells better than it did.
//!
//! Both are counts of training events, and both leave out what fewer than [`ListsConfig::min_shoppers`] shoppers stand behind:
//! it says little, and would say it of somebody.

mod together;
mod trending;

pub use together::together;
pub use trending::trending;

use crate::data::{Dataset, Event, ListsConfig};

/// A list of items under the name that a page asks for it by.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// What it is a list of, as [`name`] makes it.
    pub name: String,
    /// Items by their places in the catalogue, each with a score, the best first.
    pub items: Vec<(u32, f32)>,
}

/// The name of a list: what it is, and of what. The separator, a control character of ASCII, is in no id and in no category.
pub fn name<'t>(kind: &str, of: impl IntoIterator<Item = &'t str>) -> String {
    of.into_iter().fold(kind.to_owned(), |name, part| name + "\u{1f}" + part)
}

/// All lists of a data set, in order of their names.
pub fn lists(dataset: &Dataset, has_baskets: bool, config: &ListsConfig) -> Vec<List> {
    let mut lists = together(dataset, has_baskets, config);
    lists.extend(trending(dataset, config));
    lists.sort_by(|a, b| a.name.cmp(&b.name));
    lists
}

/// Tells purchases from other events; where a shop has no such type, every event counts as one.
fn purchases(dataset: &Dataset) -> impl Fn(&Event) -> bool + Copy + use<> {
    let purchase = dataset.event_types.iter().position(|name| name == "purchase");
    move |event| purchase.is_none_or(|kind| kind == usize::from(event.event_type))
}

/// The best of some items, at most so many, equal ones in order of the catalogue.
fn best(mut items: Vec<(u32, f32)>, length: usize) -> Vec<(u32, f32)> {
    items.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    items.truncate(length);
    items
}
