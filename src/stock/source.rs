//! Where a feed comes from.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use super::{Column, MAX_BYTES, MAX_ITEMS, StockError, csv, take};
use crate::release::Stock;

/// How long a service may take to be reached.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a service may take for all of a feed.
const WHOLE: Duration = Duration::from_mins(2);
/// Items that Redis is asked for at a time, so that it answers others in between.
const BATCH: usize = 5_000;

/// Where a feed comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A CSV file.
    File(PathBuf),
    /// An address that answers with CSV.
    Http(String),
    /// A Redis with the hashes `stock` and `price`.
    Redis(String),
}

impl Source {
    /// The source that a text names: an address, or else a file.
    ///
    /// # Errors
    /// [`StockError::Source`] for an address of another kind.
    pub fn parse(text: &str) -> Result<Self, StockError> {
        match text.split_once("://").map(|(scheme, _)| scheme) {
            Some("http" | "https") => Ok(Self::Http(text.to_owned())),
            Some("redis") => Ok(Self::Redis(text.to_owned())),
            None if !text.is_empty() => Ok(Self::File(text.into())),
            _ => Err(StockError::Source { found: without_password(text) }),
        }
    }

    /// Reads the feed.
    ///
    /// # Errors
    /// A [`StockError`].
    pub fn read(&self) -> Result<Stock, StockError> {
        match self {
            Self::File(path) => {
                let place = path.display().to_string();
                let file = File::open(path).map_err(|error| StockError::unreachable(&place, &error))?;
                csv::read(&place, BufReader::new(file))
            }
            Self::Http(address) => http(address),
            Self::Redis(address) => redis(address),
        }
    }
}

/// An address as messages show it.
fn without_password(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{}", path.split('?').next().unwrap_or_default())
        }
        None => address.to_owned(),
    }
}

fn http(address: &str) -> Result<Stock, StockError> {
    let place = without_password(address);
    let config = ureq::Agent::config_builder().timeout_connect(Some(CONNECT)).timeout_global(Some(WHOLE)).build();
    let response = ureq::Agent::new_with_config(config).get(address).call();
    let mut response = response.map_err(|error| StockError::unreachable(&place, &error))?;
    let mut body = response.body_mut().with_config().limit(MAX_BYTES).reader();
    // A body that ends too early is an error of the reader; one that is too large, too.
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes).map_err(|error| StockError::unreachable(&place, &error))?;
    csv::read(&place, &bytes[..])
}

fn redis(address: &str) -> Result<Stock, StockError> {
    let place = without_password(address);
    let unreachable = |error: redis::RedisError| StockError::unreachable(&place, &error);
    let client = redis::Client::open(address).map_err(unreachable)?;
    let mut connection = client.get_connection_with_timeout(CONNECT).map_err(unreachable)?;
    connection.set_read_timeout(Some(WHOLE)).map_err(unreachable)?;
    let mut stock = Stock::new();
    let mut named = 0;
    for column in [Column::Stock, Column::Price] {
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(column.name()).arg(cursor).arg("COUNT").arg(BATCH);
            let (next, batch): (u64, Vec<(String, String)>) = scan.query(&mut connection).map_err(unreachable)?;
            named += batch.len();
            if named > 2 * MAX_ITEMS {
                return Err(StockError::TooLarge { place, what: "items", limit: MAX_ITEMS as u64 });
            }
            for (id, value) in batch {
                let wrong =
                    |expected| StockError::value(&place, format!("item {id:?}"), column.name(), &value, expected);
                take(&mut stock, &id, column, &value).map_err(wrong)?;
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
    }
    if named == 0 {
        return Err(StockError::Empty { place, hint: "the hashes stock and price are in this database" });
    }
    Ok(stock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_what_its_text_begins_with_and_shows_no_password() {
        assert_eq!(Source::parse("stock.csv").unwrap(), Source::File("stock.csv".into()));
        assert!(matches!(Source::parse("https://shop/feed").unwrap(), Source::Http(_)));
        assert!(matches!(Source::parse("redis://u:p@h/0").unwrap(), Source::Redis(_)));
        for text in ["", "ftp://u:secret@shop/x?token=secret"] {
            let error = Source::parse(text).unwrap_err().to_string();
            assert!(error.contains("--from") && !error.contains("secret"), "{error}");
        }
        let error = Source::parse("/no/such.csv").unwrap().read().unwrap_err().to_string();
        assert!(error.contains("/no/such.csv") && error.contains("stays as it is"), "{error}");
        // Port 1 of this machine is nobody's.
        for address in ["http://u:secret@127.0.0.1:1/feed.csv?token=secret", "redis://u:secret@127.0.0.1:1/0"] {
            let error = Source::parse(address).unwrap().read().unwrap_err().to_string();
            assert!(error.contains("127.0.0.1:1") && !error.contains("secret"), "{error}");
        }
    }
}
