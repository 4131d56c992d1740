//! The columns of a release's shards: from the catalogue to what filters ask of its candidates.

use super::manifest::describe;
use super::{BRAND, POPULARITY, PRICE_STEP, RECENT, SHELF};
use crate::data::{Attribute, ColumnsConfig, Config, Item};
use crate::index::NodeId;
use crate::shard::columns::{ColumnKind, ColumnView, Columns, ColumnsBuilder, ColumnsError};
use crate::shard::delta::Chain;

/// Most cents of a price.
const MAX_CENTS: f64 = u32::MAX as f64;

/// The columns of a catalogue: the same for all shards of a release.
pub(super) struct Chosen<'a> {
    items: &'a [Item],
    ranker: Option<&'a RankerColumns>,
    columns: Vec<(String, Source)>,
}

/// What a ranker reads of each item, by its place in the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RankerColumns {
    /// [`SHELF`](crate::release::SHELF): the number of its shelf.
    pub shelves: Vec<Option<u64>>,
    /// [`BRAND`](crate::release::BRAND): the number of its brand.
    pub brands: Vec<Option<u64>>,
    /// [`PRICE_STEP`](crate::release::PRICE_STEP): the step of its price rank.
    pub price_steps: Vec<Option<u64>>,
    /// [`RECENT`](crate::release::RECENT): its latest events.
    pub recent: Vec<Option<u64>>,
}

/// Where the values of a column are from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// Cents.
    Price,
    /// Cents of which some item has more than a column of prices holds, as single-precision numbers.
    LargePrice,
    Category,
    Brand,
    Popularity,
    /// The attribute at this place: text.
    Text(usize),
    /// Numbers without sign or fraction.
    Whole(usize),
    /// Other numbers.
    Number(usize),
    /// One of those of the ranker: numbers, or its latest events.
    Ranker(fn(&RankerColumns) -> &[Option<u64>]),
    Recent,
}

impl<'a> Chosen<'a> {
    /// The columns that the configuration names, or all that some item has.
    /// With a ranker, also those that it reads.
    pub(super) fn of(items: &'a [Item], config: &Config, ranker: Option<&'a RankerColumns>) -> Self {
        let attributes = &config.catalogue.columns.attributes;
        let names = match &config.columns.names {
            Some(names) => names.clone(),
            None => {
                ColumnsConfig::OWN.into_iter().chain(attributes.keys().map(String::as_str)).map(str::to_owned).collect()
            }
        };
        let source = |name: String| {
            let attribute = || Some(attribute(items, attributes.keys().position(|key| *key == name)?));
            let source = match name.as_str() {
                "price" if items.iter().filter_map(cents).any(|cents| cents > MAX_CENTS) => Source::LargePrice,
                "price" => Source::Price,
                "category" => Source::Category,
                "brand" => Source::Brand,
                "popularity" => Source::Popularity,
                _ => attribute()?,
            };
            let is_set = config.columns.names.is_some();
            (is_set || items.iter().any(|item| is_there(item, source))).then_some((name, source))
        };
        let mut columns: Vec<(String, Source)> = names.into_iter().filter_map(source).collect();
        if ranker.is_some() {
            if columns.iter().all(|(name, _)| name != POPULARITY) {
                columns.push((POPULARITY.to_owned(), Source::Popularity));
            }
            columns.extend([
                (SHELF.to_owned(), Source::Ranker(|columns| &columns.shelves)),
                (BRAND.to_owned(), Source::Ranker(|columns| &columns.brands)),
                (PRICE_STEP.to_owned(), Source::Ranker(|columns| &columns.price_steps)),
                (RECENT.to_owned(), Source::Recent),
            ]);
        }
        Self { items, ranker, columns }
    }

    /// The file of the columns of some items, by their places in the catalogue; nothing if there are no columns.
    pub(super) fn write(&self, rows: &[u32]) -> Result<Vec<u8>, ColumnsError> {
        if self.columns.is_empty() {
            return Ok(Vec::new());
        }
        let items: Vec<&Item> = rows.iter().map(|&row| &self.items[row as usize]).collect();
        let mut builder = Columns::builder(items.len());
        for (name, source) in &self.columns {
            let of_ranker = |values: &[Option<u64>]| -> Vec<Option<u64>> {
                rows.iter().map(|&row| values.get(row as usize).copied().flatten()).collect()
            };
            builder = match (source, self.ranker) {
                (Source::Ranker(values), Some(ranker)) => builder.unsigned(name, &of_ranker(values(ranker))),
                (Source::Recent, Some(ranker)) => builder.popularity(name, &of_ranker(&ranker.recent)),
                _ => add(builder, name, *source, &items),
            };
        }
        builder.write()
    }

    /// Kind and name of each, as a manifest has them.
    pub(super) fn described(&self) -> Result<Vec<String>, ColumnsError> {
        let bytes = self.write(&[])?;
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        Ok(Columns::open(bytes)?.view().iter().map(describe).collect())
    }

    /// Whether a chain says something else of a row than is so of an item now. Popularities do not count: they would have most of
    /// the catalogue sent again every day for numbers that order little.
    pub(super) fn differ(&self, row: u32, chain: &Chain, node: NodeId) -> bool {
        let (shard, node) = chain.of(node);
        let now = self
            .write(&[row])
            .and_then(|bytes| if bytes.is_empty() { Ok(None) } else { Columns::open(bytes).map(Some) });
        match (shard.columns(), now) {
            (None, Ok(None)) => false,
            (Some(before), Ok(Some(now))) => {
                let now = now.view();
                let mut pairs =
                    before.iter().zip(now.iter()).filter(|(before, _)| before.kind() != ColumnKind::Popularity);
                pairs.any(|(before, now)| value(&before, node) != value(&now, NodeId(0)))
            }
            // What cannot be written is found out when it is.
            _ => true,
        }
    }
}

/// A value of any column, so that two of the same column can be compared.
pub(super) fn value(column: &ColumnView<'_>, node: NodeId) -> (Option<u64>, Option<u32>, Option<String>) {
    let text = column.text_at(node).map(str::to_owned);
    let path = || Some(column.path_at(node)?.flat_map(|part| [part, "\0"]).collect());
    // The codes of texts are places in dictionaries, which differ.
    let number = if matches!(column.kind(), ColumnKind::Text | ColumnKind::Path) { None } else { column.u64_at(node) };
    (number, column.f32_at(node).map(f32::to_bits), text.or_else(path))
}

/// What gives an item's text in the column `by` of `[index]`: its brand, outermost category or an attribute.
pub(super) fn text_of(config: &Config, by: &str) -> impl Fn(&Item) -> Option<&str> + use<> {
    let attribute = config.catalogue.columns.attributes.keys().position(|name| name == by);
    let is_brand = by == "brand";
    move |item| match attribute {
        Some(at) => match item.attributes.get(at) {
            Some(Some(Attribute::Text(text))) => Some(text),
            _ => None,
        },
        None if is_brand => item.brand.as_deref(),
        None => item.category.first().map(String::as_str),
    }
}

fn cents(item: &Item) -> Option<f64> {
    item.price.map(|price| (price * 100.0).round())
}

/// Of an attribute that nobody has, text.
fn attribute(items: &[Item], at: usize) -> Source {
    let mut source = Source::Text(at);
    for value in items.iter().filter_map(|item| item.attributes.get(at)?.as_ref()) {
        match value {
            Attribute::Text(_) => return Source::Text(at),
            // Beyond, a float no longer tells whole numbers apart.
            Attribute::Number(number) if number.fract() == 0.0 && (0.0..=9e15).contains(number) => {
                source = Source::Whole(at);
            }
            Attribute::Number(_) => return Source::Number(at),
        }
    }
    source
}

fn is_there(item: &Item, source: Source) -> bool {
    match source {
        Source::Price | Source::LargePrice => item.price.is_some(),
        Source::Category => !item.category.is_empty(),
        Source::Brand => item.brand.is_some(),
        Source::Popularity | Source::Ranker(_) | Source::Recent => true,
        Source::Text(at) | Source::Whole(at) | Source::Number(at) => {
            item.attributes.get(at).is_some_and(Option::is_some)
        }
    }
}

fn add(builder: ColumnsBuilder, name: &str, source: Source, items: &[&Item]) -> ColumnsBuilder {
    fn each<'i, T>(items: &[&'i Item], value: impl Fn(&'i Item) -> Option<T>) -> Vec<Option<T>> {
        items.iter().map(|item| value(item)).collect()
    }
    let number = |item: &Item, at: usize| match item.attributes.get(at) {
        Some(Some(Attribute::Number(number))) => Some(*number),
        _ => None,
    };
    match source {
        Source::Price => builder.price(name, &each(items, |item| cents(item).map(|cents| cents as u32))),
        Source::LargePrice => builder.float(name, &each(items, |item| cents(item).map(|cents| cents as f32))),
        Source::Category => {
            builder.path(name, &each(items, |item| (!item.category.is_empty()).then_some(&item.category)))
        }
        Source::Brand => builder.text(name, &each(items, |item| item.brand.as_ref())),
        Source::Popularity => builder.popularity(name, &each(items, |item| Some(item.events.into()))),
        Source::Text(at) => builder.text(
            name,
            &each(items, |item| match item.attributes.get(at) {
                Some(Some(Attribute::Text(text))) => Some(text),
                _ => None,
            }),
        ),
        Source::Whole(at) => builder.unsigned(name, &each(items, |item| number(item, at).map(|number| number as u64))),
        Source::Number(at) => builder.float(name, &each(items, |item| number(item, at).map(|number| number as f32))),
        // Without a ranker there are none of these.
        Source::Ranker(_) | Source::Recent => builder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> Config {
        toml::from_str(&format!(
            "name = \"x\"\n[events]\npath = \"e\"\n[events.columns]\nuser = \"u\"\nitem = \"i\"\ntime = \"t\"\n\
             [catalogue]\npath = \"c\"\n[catalogue.columns]\nitem = \"i\"\ntitle = []\n\
             attributes = {{ market = \"m\", size = \"s\", stock = \"n\" }}\n[split]\ntest_from = \"2020-01-01\"\n{more}"
        ))
        .unwrap()
    }

    fn items() -> Vec<Item> {
        let item = |id: &str, price, attributes| Item {
            id: id.into(),
            title: String::new(),
            category: if id == "a" { vec!["Food".into(), "Fruit".into()] } else { Vec::new() },
            brand: None,
            price,
            events: 3,
            attributes,
        };
        let text = |text: &str| Some(Attribute::Text(text.into()));
        let number = |number| Some(Attribute::Number(number));
        vec![
            item("a", Some(1.299), vec![text("de"), number(0.5), number(7.0)]),
            item("b", None, vec![None, number(2.0), None]),
            item("c", Some(20.0), vec![text("fr"), None, number(3.0)]),
        ]
    }

    #[test]
    fn columns_are_those_that_some_item_has_or_those_that_are_named() {
        let names = |more: &str| {
            let (items, config) = (items(), config(more));
            Chosen::of(&items, &config, None).columns.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(""), ["price", "category", "popularity", "market", "size", "stock"]);
        assert_eq!(names("[columns]\nnames = [\"market\", \"brand\"]"), ["market", "brand"]);
        assert!(names("[columns]\nnames = []").is_empty());
        let (items, config) = (items(), config("[columns]\nnames = []"));
        assert!(Chosen::of(&items, &config, None).write(&[0, 1]).unwrap().is_empty());
    }

    #[test]
    fn a_shard_has_the_values_of_its_items_and_the_kinds_of_all() {
        let (items, config) = (items(), config(""));
        let chosen = Chosen::of(&items, &config, None);
        let file = Columns::open(chosen.write(&[2, 0]).unwrap()).unwrap();
        let column = |name| file.view().column(name).unwrap();
        let (first, second) = (NodeId(0), NodeId(1));
        assert_eq!([first, second].map(|node| column("price").u64_at(node)), [Some(2000), Some(130)]);
        assert_eq!((column("market").text_at(first), column("stock").u64_at(second)), (Some("fr"), Some(7)));
        assert_eq!((column("size").f32_at(first), column("size").f32_at(second)), (None, Some(0.5)));
        assert_eq!(column("category").path_at(second).unwrap().collect::<Vec<_>>(), ["Food", "Fruit"]);
        // Alone, the sizes of this shard would be whole numbers.
        let file = Columns::open(chosen.write(&[1]).unwrap()).unwrap();
        assert_eq!(file.view().column("size").unwrap().kind(), ColumnKind::Float);
        assert_eq!(file.view().column("market").unwrap().kind(), ColumnKind::Text);
    }

    #[test]
    fn prices_of_too_many_cents_are_numbers_for_all_items() {
        let (mut items, config) = (items(), config(""));
        items[1].price = Some(5e7);
        let file = Columns::open(Chosen::of(&items, &config, None).write(&[0, 1]).unwrap()).unwrap();
        let column = file.view().column("price").unwrap();
        assert_eq!((column.kind(), column.f32_at(NodeId(0))), (ColumnKind::Float, Some(130.0)));
        assert_eq!(column.f32_at(NodeId(1)), Some(5e9));
    }
}
