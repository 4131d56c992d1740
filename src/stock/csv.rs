//! Feeds as CSV.

use std::io::Read;

use csv::{Reader, ReaderBuilder, StringRecord};

use super::{Column, MAX_ITEMS, StockError, take};
use crate::release::Stock;

/// Where the columns are.
struct Columns {
    item: usize,
    values: Vec<(Column, usize)>,
}

impl Columns {
    fn of(place: &str, header: &StringRecord) -> Result<Self, StockError> {
        let wrong = || StockError::Columns {
            place: place.to_owned(),
            found: header.iter().take(20).map(str::to_owned).collect(),
        };
        let only = |name: &str| {
            let mut places = header.iter().enumerate().filter(|(_, column)| column.trim() == name);
            let first = places.next().map(|(at, _)| at);
            if places.next().is_some() { Err(wrong()) } else { Ok(first) }
        };
        let item = only("item")?.ok_or_else(wrong)?;
        let mut values = Vec::new();
        for column in [Column::Stock, Column::Price] {
            values.extend(only(column.name())?.map(|at| (column, at)));
        }
        if values.is_empty() { Err(wrong()) } else { Ok(Self { item, values }) }
    }
}

/// Reads a feed; `place` is for messages.
pub(super) fn read(place: &str, from: impl Read) -> Result<Stock, StockError> {
    let mut reader = ReaderBuilder::new().from_reader(from);
    let failed = |error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(error) => StockError::unreachable(place, &error),
        other => StockError::Record { place: place.to_owned(), reason: format!("{other:?}") },
    };
    let columns = Columns::of(place, &reader.headers().map_err(failed)?.clone())?;
    let mut stock = Stock::new();
    let (mut record, mut items) = (StringRecord::new(), 0);
    while reader.read_record(&mut record).map_err(failed)? {
        items += 1;
        if items > MAX_ITEMS {
            return Err(StockError::TooLarge { place: place.to_owned(), what: "items", limit: MAX_ITEMS as u64 });
        }
        row(place, &reader, &record, &columns, &mut stock)?;
    }
    if items == 0 {
        return Err(StockError::Empty { place: place.to_owned(), hint: "it was written whole" });
    }
    Ok(stock)
}

fn row<R: Read>(
    place: &str,
    reader: &Reader<R>,
    record: &StringRecord,
    columns: &Columns,
    stock: &mut Stock,
) -> Result<(), StockError> {
    let at = || {
        let line = record.position().map_or_else(|| reader.position().line(), csv::Position::line);
        format!("line {line}")
    };
    let id = record.get(columns.item).unwrap_or_default();
    if stock.contains_key(id) {
        return Err(StockError::value(place, at(), "item", id, "each item once"));
    }
    for &(column, field) in &columns.values {
        let value = record.get(field).unwrap_or_default();
        let named = if id.is_empty() { "item" } else { column.name() };
        let found = if id.is_empty() { id } else { value };
        take(stock, id, column, value).map_err(|expected| StockError::value(place, at(), named, found, expected))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::ItemStock;

    fn parse(text: &str) -> Result<Stock, StockError> {
        read("feed.csv", text.as_bytes())
    }

    #[test]
    fn a_feed_says_what_is_in_stock_and_what_it_costs() {
        let text =
            "price,colour,item,stock\n12.95,red,a,3\n,,b,0\n0.005,,c,FALSE\n1e2,,d,\n,,e,\n7,,\"f,1\",true\n,,g,-1\n";
        let stock = parse(text).unwrap();
        let item = |in_stock, cents| Some(ItemStock { in_stock, cents });
        let found = ["a", "b", "c", "d", "e", "f,1", "g"].map(|id| stock.get(id).copied());
        let expected = [
            item(Some(true), Some(1295)),
            item(Some(false), None),
            item(Some(false), Some(1)),
            item(None, Some(10_000)),
            None,
            item(Some(true), Some(700)),
            item(Some(false), None),
        ];
        assert_eq!(found, expected);
        assert_eq!(parse("item,price\na,1\n").unwrap()["a"], ItemStock { in_stock: None, cents: Some(100) });
    }

    #[test]
    fn a_feed_that_is_not_right_is_refused_with_its_place() {
        for (text, parts) in [
            ("", "found the columns []"),
            ("item\na\n", "found the columns [\"item\"]"),
            ("stock,price\n1,1\n", "expected item and stock, price or both"),
            ("item,stock,item\na,1,b\n", "each once"),
            ("item,stock\n", "no item, expected some"),
            ("item,stock\na,1\nb,some\n", "feed.csv, line 3: stock is \"some\", expected a number, true or false"),
            ("item,stock\na,NaN\n", "line 2: stock is \"NaN\""),
            ("item,price\na,-1\n", "price is \"-1\", expected a price such as 12.95"),
            ("item,price\na,1e30\n", "price is \"1e30\""),
            ("item,stock\na,1\na,0\n", "line 3: item is \"a\", expected each item once"),
            ("item,stock\n,1\n", "line 2: item is \"\", expected an id"),
            ("item,stock\na,1,2\n", "UnequalLengths"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(parts), "{text:?}: {error}");
        }
        assert!(read("feed.csv", &b"item,stock\n\xff,1\n"[..]).unwrap_err().to_string().contains("Utf8"));
    }
}
