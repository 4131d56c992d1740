//! What a shop's systems say of stock and prices right now, from where they say it: [`Source`].
//!
//! A feed is a table with the columns `item`, `stock` and `price`, of which one of the last two may be missing; other columns are skipped.
//!
//! | column  | holds                                                                                        |
//! |---------|----------------------------------------------------------------------------------------------|
//! | `item`  | the id as in the catalogue, each once                                                        |
//! | `stock` | a number, of which 0 and less are out of stock, or `true` or `false`; empty where it is not known |
//! | `price` | in the catalogue's currency, as `12.95`; empty where it is the catalogue's                    |
//!
//! As a file or by HTTP it is CSV with these names in its first line. In Redis it is the hashes `stock` and `price`, from ids to values.
//! A value that is none of these stops the run with its place: half a feed would show what is gone.

mod csv;
mod error;
mod source;

pub use error::StockError;
pub use source::Source;

use crate::release::{ItemStock, Stock};

/// Most items that a feed may name.
pub const MAX_ITEMS: usize = 50_000_000;
/// Most bytes of a feed.
pub const MAX_BYTES: u64 = 4 << 30;
/// The highest price, in cents.
const MAX_CENTS: f64 = crate::release::overlay::MAX_PRICE as f64;

/// What a value of the column `stock` says; nothing where it is empty.
fn in_stock(value: &str) -> Result<Option<bool>, &'static str> {
    match value.trim() {
        "" => Ok(None),
        value if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
        value if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
        value => match value.parse::<f64>() {
            Ok(count) if count.is_finite() => Ok(Some(count > 0.0)),
            _ => Err("a number, true or false"),
        },
    }
}

/// What a value of the column `price` says, in cents; nothing where it is empty.
fn cents(value: &str) -> Result<Option<u64>, &'static str> {
    if value.trim().is_empty() {
        return Ok(None);
    }
    let cents = value.trim().parse::<f64>().map(|price| (price * 100.0).round());
    match cents {
        Ok(cents) if (0.0..=MAX_CENTS).contains(&cents) => Ok(Some(cents as u64)),
        _ => Err("a price such as 12.95, 0 or more"),
    }
}

/// Takes one value into a stock.
fn take(stock: &mut Stock, id: &str, column: Column, value: &str) -> Result<(), &'static str> {
    if id.is_empty() {
        return Err("an id");
    }
    let mut item = stock.get(id).copied().unwrap_or_default();
    match column {
        Column::Stock => item.in_stock = in_stock(value)?,
        Column::Price => item.cents = cents(value)?,
    }
    if item != ItemStock::default() {
        stock.insert(id.to_owned(), item);
    }
    Ok(())
}

/// What a feed says of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Stock,
    Price,
}

impl Column {
    const fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Price => "price",
        }
    }
}
