//! One bar and what was measured against it.

use std::path::Path;

use serde_json::{Value, json};

use crate::error::XtaskError;

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
    /// More than the peer's value.
    AbovePeer,
    /// At most the peer's value over a number: so many times faster.
    PeerOver(f64),
    /// At most so many times the peer's value.
    PeerTimes(f64),
    /// At least so many times the peer's value, and above 0: a peer at 0 is beaten only by something.
    AtLeastPeerTimes(f64),
}

/// What stands before the number of a [`Bar`].
const AT_MOST: &str = "<= ";
const AT_LEAST: &str = ">= ";
const ABOVE_PEER: &str = "> peer";
const PEER_OVER: &str = "<= peer / ";
const PEER_TIMES: &str = "<= peer * ";
const AT_LEAST_PEER_TIMES: &str = ">= peer * ";

/// One row of a bench.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Nothing when it was not measured; the reason was printed.
    pub(crate) value: Option<f64>,
    pub(crate) unit: String,
    pub(crate) peer: Option<String>,
    pub(crate) peer_value: Option<f64>,
    pub(crate) bar: Bar,
}

impl Row {
    /// Without a peer.
    pub(crate) fn new(name: &str, value: Option<f64>, unit: &str, bar: Bar) -> Self {
        Self { name: name.to_owned(), value, unit: unit.to_owned(), peer: None, peer_value: None, bar }
    }

    /// Beside what another program reaches.
    pub(crate) fn with_peer(mut self, peer: &str, value: Option<f64>) -> Self {
        self.peer = Some(peer.to_owned());
        self.peer_value = value;
        self
    }

    /// Value over the peer's.
    fn ratio(&self) -> Option<f64> {
        Some(self.value? / self.peer_value?).filter(|ratio| ratio.is_finite())
    }

    /// Nothing when it cannot be told.
    pub(crate) fn holds(&self) -> Option<bool> {
        let value = self.value?;
        Some(match self.bar {
            Bar::AtMost(bar) => value <= bar,
            Bar::AtLeast(bar) => value >= bar,
            Bar::AbovePeer => value > self.peer_value?,
            Bar::PeerOver(times) => value <= self.peer_value? / times,
            Bar::PeerTimes(times) => value <= self.peer_value? * times,
            Bar::AtLeastPeerTimes(times) => value > 0.0 && value >= self.peer_value? * times,
        })
    }

    fn bar_text(&self) -> String {
        match self.bar {
            Bar::AtMost(bar) => format!("{AT_MOST}{bar}"),
            Bar::AtLeast(bar) => format!("{AT_LEAST}{bar}"),
            Bar::AbovePeer => ABOVE_PEER.to_owned(),
            Bar::PeerOver(times) => format!("{PEER_OVER}{times}"),
            Bar::PeerTimes(times) => format!("{PEER_TIMES}{times}"),
            Bar::AtLeastPeerTimes(times) => format!("{AT_LEAST_PEER_TIMES}{times}"),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "peer": self.peer,
            "peer_value": self.peer_value,
            "ratio": self.ratio(),
            "bar": self.bar_text(),
            "holds": self.holds(),
        })
    }

    /// The reverse of [`Row::to_json`]; `ratio` and `holds` follow from the rest.
    fn from_json(row: &Value) -> Option<Self> {
        let bar = row["bar"].as_str()?;
        let number = |prefix| bar.strip_prefix(prefix).and_then(|number| number.parse().ok());
        let bar = if bar == ABOVE_PEER {
            Bar::AbovePeer
        } else {
            let of_value = number(AT_MOST).map(Bar::AtMost).or_else(|| number(AT_LEAST).map(Bar::AtLeast));
            let of_peer = || number(PEER_OVER).map(Bar::PeerOver).or_else(|| number(PEER_TIMES).map(Bar::PeerTimes));
            let beyond_peer = || number(AT_LEAST_PEER_TIMES).map(Bar::AtLeastPeerTimes);
            of_value.or_else(of_peer).or_else(beyond_peer)?
        };
        Some(Self {
            name: row["name"].as_str()?.to_owned(),
            value: row["value"].as_f64(),
            unit: row["unit"].as_str()?.to_owned(),
            peer: row["peer"].as_str().map(ToOwned::to_owned),
            peer_value: row["peer_value"].as_f64(),
            bar,
        })
    }
}

/// The rows as an array, one object each.
pub(crate) fn to_json(rows: &[Row]) -> String {
    format!("{:#}\n", Value::Array(rows.iter().map(Row::to_json).collect()))
}

/// Rows that another program measured and wrote to a file.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>, XtaskError> {
    let text = std::fs::read_to_string(path).map_err(XtaskError::io(path))?;
    parse(&text).ok_or_else(|| XtaskError::Content {
        path: path.to_owned(),
        found: text.chars().take(200).collect(),
        expected: "an array of bench rows",
        remedy: "build nearshelf and xtask from the same commit",
    })
}

fn parse(text: &str) -> Option<Vec<Row>> {
    serde_json::from_str::<Value>(text).ok()?.as_array()?.iter().map(Row::from_json).collect()
}

/// An aligned table.
pub(crate) fn table(rows: &[Row]) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    let header = ["name", "value", "unit", "peer", "peer value", "ratio", "bar", "holds"].map(str::to_owned);
    let cells = rows.iter().map(|row| {
        let holds = row.holds().map_or("not measured", |holds| if holds { "yes" } else { "NO" });
        [
            row.name.clone(),
            number(row.value),
            row.unit.clone(),
            row.peer.clone().unwrap_or_else(|| "-".to_owned()),
            number(row.peer_value),
            number(row.ratio()),
            row.bar_text(),
            holds.to_owned(),
        ]
    });
    let cells: Vec<[String; 8]> = std::iter::once(header).chain(cells).collect();
    let widths: [usize; 8] =
        std::array::from_fn(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; 8]| {
        let padded: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    cells.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        vec![
            Row::new("training", Some(180.0), "s", Bar::AtMost(180.0)),
            Row::new("training", Some(180.1), "s", Bar::AtMost(180.0)),
            Row::new("R@20", Some(0.2), "", Bar::AbovePeer).with_peer("ItemKNN", Some(0.16)),
            Row::new("R@20", Some(0.2), "", Bar::AbovePeer).with_peer("ItemKNN", Some(0.2)),
            Row::new("R@20", None, "", Bar::AtLeast(0.1)).with_peer("ItemKNN", Some(0.0)),
            Row::new("R@20", Some(f64::NAN), "", Bar::AtLeast(0.1)),
        ]
    }

    #[test]
    fn bars_hold_at_their_value_and_peers_must_be_beaten() {
        let holds: Vec<_> = rows().iter().map(Row::holds).collect();
        assert_eq!(holds, [Some(true), Some(false), Some(true), Some(false), None, Some(false)]);
    }

    #[test]
    fn bars_may_be_set_by_what_the_peer_reaches() {
        let row = |value, bar| Row::new("search", Some(value), "us", bar).with_peer("hnswlib-wasm", Some(30.0));
        for (bar, limit) in [(Bar::PeerOver(3.0), 10.0), (Bar::PeerTimes(1.5), 45.0)] {
            assert_eq!((row(limit, bar).holds(), row(limit + 0.1, bar).holds()), (Some(true), Some(false)));
            assert_eq!(Row { peer_value: None, ..row(limit, bar) }.holds(), None);
            assert_eq!(parse(&to_json(&[row(limit, bar)])).unwrap(), [row(limit, bar)]);
        }
        let (above, none) = (row(42.0, Bar::AtLeastPeerTimes(1.4)), row(0.0, Bar::AtLeastPeerTimes(5.0)));
        assert_eq!((above.holds(), row(41.9, above.bar).holds()), (Some(true), Some(false)));
        assert_eq!(none.with_peer("popularity", Some(0.0)).holds(), Some(false));
        assert_eq!(parse(&to_json(std::slice::from_ref(&above))).unwrap(), [above]);
    }

    #[test]
    fn json_has_every_key_and_gives_the_same_rows_back() {
        let json = to_json(&rows()[..5]);
        assert_eq!(parse(&json).unwrap(), rows()[..5]);
        let value: Value = serde_json::from_str(&json).unwrap();
        let keys: Vec<_> = value[0].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.len(), 8, "{keys:?}");
        for key in ["name", "value", "unit", "peer", "peer_value", "ratio", "bar", "holds"] {
            assert!(keys.contains(&key), "{key}");
        }
        assert_eq!(value[2]["ratio"], json!(0.2 / 0.16));
        assert_eq!((&value[4]["holds"], &value[0]["peer"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn foreign_rows_are_refused() {
        for text in [
            "",
            "{}",
            "[{}]",
            r#"[{"name":"a","unit":"s","bar":"about 3"}]"#,
            r#"[{"name":"a","unit":"s","bar":">= x"}]"#,
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_table_says_what_was_not_measured() {
        let table = table(&rows());
        assert!(table.lines().nth(2).unwrap().ends_with("NO"), "{table}");
        assert!(table.lines().nth(5).unwrap().ends_with("not measured"), "{table}");
    }
}
