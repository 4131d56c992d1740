//! What a shop demands of its rows: `rules.toml`, and what a release has of it.
//!
//! ```toml
//! [scenario.default]                       # for rows that name no other one
//! where = 'price > 0 and not category under ["TOBACCO"]'
//! min_score = 0.1
//! diversity = 0.2
//! exclude = { purchased_days = 14, in_cart = true, seen = 6 }
//! cap = [{ column = "brand", at_most = 3 }, { column = "category", depth = 2, at_most = 4 }]
//!
//! [[scenario.default.boost]]
//! where = 'brand = "69"'
//! by = 0.2
//! from = 2026-12-01
//! until = 2026-12-27
//!
//! [[scenario.default.pin]]
//! item = "1082185"
//! slot = 1
//! ```
//! Everything is read and checked here, at the origin: a client gets the same as JSON ([`release::rules`](crate::release::rules)), with
//! nothing to parse but that.

mod error;
mod expression;
mod tokens;

use std::collections::BTreeMap;
use std::path::Path;

use datafusion::arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use toml::Spanned;

use crate::release::POPULARITY;
use crate::release::rules::{FORMAT_VERSION, MAX_CAPS, MAX_RULES, MAX_SCENARIOS, MAX_SLOT};
use crate::shard::columns::ColumnKind;
pub use error::{Place, RuleError};
pub use expression::{MAX_DEPTH, MAX_TOKENS};

/// Most bytes of a file of rules.
pub const MAX_BYTES: usize = 1 << 18;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    scenario: BTreeMap<String, Scenario>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[serde(rename = "where")]
    condition: Option<Spanned<String>>,
    min_score: Option<Spanned<f64>>,
    diversity: Option<Spanned<f64>>,
    dither: Option<Spanned<f64>>,
    popularity_penalty: Option<Spanned<f64>>,
    rotation: Option<Spanned<f64>>,
    exploration: Option<Spanned<f64>>,
    boost_limit: Option<Spanned<f64>>,
    exclude: Option<Exclude>,
    #[serde(default)]
    cap: Vec<Spanned<Cap>>,
    #[serde(default)]
    boost: Vec<Spanned<Boost>>,
    #[serde(default)]
    pin: Vec<Spanned<Pin>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclude {
    purchased_days: Option<Spanned<f64>>,
    #[serde(default)]
    in_cart: bool,
    seen: Option<Spanned<u32>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cap {
    column: Spanned<String>,
    depth: Option<Spanned<u32>>,
    at_most: Spanned<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Boost {
    #[serde(rename = "where")]
    condition: Spanned<String>,
    by: Spanned<f64>,
    from: Option<Moment>,
    until: Option<Moment>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    item: Spanned<String>,
    slot: Spanned<u32>,
    from: Option<Moment>,
    until: Option<Moment>,
}

/// Reads a file of rules for a release with these columns, and gives what the release has of them.
///
/// # Errors
/// A [`RuleError`] with the place of what is wrong; of a file that cannot be read or is too large, the beginning.
pub fn read(path: &Path, columns: &[String]) -> Result<Vec<u8>, RuleError> {
    let whole = |error: std::io::Error| {
        RuleError::new(Place::START, format!("{}: {error}", path.display()), "a file of rules that can be read")
    };
    let text = std::fs::read_to_string(path).map_err(whole)?;
    compile(&text, columns)
}

/// [`read`] of a text. `columns` are as [`Manifest::columns`](struct@crate::release::Manifest) has them.
///
/// # Errors
/// As [`read`].
pub fn compile(text: &str, columns: &[String]) -> Result<Vec<u8>, RuleError> {
    if text.len() > MAX_BYTES {
        return Err(RuleError::new(Place::START, format!("{} bytes", text.len()), "at most 262144"));
    }
    let file: File = toml::from_str(text).map_err(|error| {
        let place = Place::of(text, error.span().map_or(0, |span| span.start));
        RuleError::new(place, error.message().to_owned(), "rules as docs/rules.md describes them")
    })?;
    let kind = |name: &str| {
        let kind = columns.iter().find_map(|column| column.strip_prefix(name)?.strip_prefix(": "))?;
        ColumnKind::from_name(kind)
    };
    let compiler = Compiler { text, kind: &kind };
    check_count("scenarios", file.scenario.len(), MAX_SCENARIOS, Place::START)?;
    let mut scenarios = Map::new();
    for (name, scenario) in &file.scenario {
        scenarios.insert(name.clone(), compiler.scenario(scenario)?);
    }
    Ok(json!({ "format": FORMAT_VERSION, "scenarios": scenarios }).to_string().into_bytes())
}

/// That there are at most so many.
fn check_count(what: &str, found: usize, most: usize, place: Place) -> Result<(), RuleError> {
    let wrong = || RuleError::new(place, format!("{found} {what}"), format!("at most {most}"));
    if found <= most { Ok(()) } else { Err(wrong()) }
}

/// A moment in rules.
type Moment = Spanned<toml::value::Datetime>;

struct Compiler<'t> {
    text: &'t str,
    kind: expression::Columns<'t>,
}

impl Compiler<'_> {
    fn place<T>(&self, value: &Spanned<T>) -> Place {
        Place::of(self.text, value.span().start)
    }

    fn number(&self, value: &Spanned<f64>, low: f64, high: f64) -> Result<f64, RuleError> {
        let found = *value.get_ref();
        if (low..=high).contains(&found) {
            return Ok(found);
        }
        Err(RuleError::new(self.place(value), found.to_string(), format!("a number from {low} to {high}")))
    }

    fn count(&self, value: &Spanned<u32>, most: u32) -> Result<u32, RuleError> {
        let found = *value.get_ref();
        if (1..=most).contains(&found) {
            return Ok(found);
        }
        Err(RuleError::new(self.place(value), found.to_string(), format!("a whole number from 1 to {most}")))
    }

    fn filter(&self, value: &Spanned<String>) -> Result<Value, RuleError> {
        let source = &self.text[value.span()];
        let read = |start| expression::filter(value.get_ref(), start, self.kind);
        // Where nothing is escaped, the words of the expression are those of the file; else the place is that of the whole text.
        match source.find(value.get_ref().as_str()).filter(|quotes| *quotes <= 4) {
            Some(quotes) => read(Place::of(self.text, value.span().start + quotes)),
            None => read(Place::START).map_err(|error| RuleError { place: self.place(value), ..error }),
        }
    }

    fn scenario(&self, scenario: &Scenario) -> Result<Value, RuleError> {
        let mut fields = Map::new();
        if let Some(condition) = &scenario.condition {
            fields.insert("where".into(), self.filter(condition)?);
        }
        let numbers = [
            ("min_score", &scenario.min_score, f64::from(f32::MIN), f64::from(f32::MAX)),
            ("diversity", &scenario.diversity, 0.0, 1.0),
            ("dither", &scenario.dither, 0.0, 1.0),
            ("popularity_penalty", &scenario.popularity_penalty, 0.0, 1.0),
            ("rotation", &scenario.rotation, 0.0, 1.0),
            ("exploration", &scenario.exploration, 0.0, 1.0),
            ("boost_limit", &scenario.boost_limit, 0.0, 1.0),
        ];
        for (name, value, low, high) in numbers {
            if let Some(value) = value {
                fields.insert(name.into(), self.number(value, low, high)?.into());
            }
        }
        if let Some(penalty) = &scenario.popularity_penalty
            && (self.kind)(POPULARITY) != Some(ColumnKind::Popularity)
        {
            let found = "a release without the column \"popularity\"";
            return Err(RuleError::new(
                self.place(penalty),
                found.to_owned(),
                "that column, see [columns] of nearshelf.toml",
            ));
        }
        if let Some(exclude) = &scenario.exclude {
            fields.insert("exclude".into(), self.exclude(exclude)?);
        }
        let rules = scenario.boost.len() + scenario.pin.len();
        let place = scenario.boost.first().map_or(Place::START, |boost| self.place(boost));
        check_count("boosts and pins", rules, MAX_RULES, place)?;
        check_count("caps", scenario.cap.len(), MAX_CAPS, place)?;
        let caps = scenario.cap.iter().map(|cap| self.cap(cap.get_ref())).collect::<Result<Vec<_>, _>>()?;
        let boosts = scenario.boost.iter().map(|boost| self.boost(boost.get_ref())).collect::<Result<Vec<_>, _>>()?;
        let pins = self.pins(&scenario.pin)?;
        for (name, rules) in [("caps", caps), ("boosts", boosts), ("pins", pins)] {
            if !rules.is_empty() {
                fields.insert(name.into(), rules.into());
            }
        }
        Ok(fields.into())
    }

    fn exclude(&self, exclude: &Exclude) -> Result<Value, RuleError> {
        let mut fields = Map::new();
        if let Some(days) = &exclude.purchased_days {
            fields.insert("purchased_days".into(), self.number(days, 0.0, 3660.0)?.into());
        }
        if exclude.in_cart {
            fields.insert("in_cart".into(), true.into());
        }
        if let Some(seen) = &exclude.seen {
            fields.insert("seen".into(), self.count(seen, 1000)?.into());
        }
        Ok(fields.into())
    }

    fn cap(&self, cap: &Cap) -> Result<Value, RuleError> {
        let (name, place) = (cap.column.get_ref(), self.place(&cap.column));
        let depth = cap.depth.as_ref().map(|depth| self.count(depth, 16)).transpose()?;
        match ((self.kind)(name), depth) {
            (Some(ColumnKind::Path), _) | (Some(ColumnKind::Text), None) => {}
            (Some(ColumnKind::Text), Some(_)) => {
                return Err(RuleError::new(
                    place,
                    format!("{name:?} with a depth"),
                    "a depth of a column of paths only",
                ));
            }
            _ => return Err(RuleError::new(place, format!("{name:?}"), "a column of texts or paths of the release")),
        }
        Ok(json!([name, self.count(&cap.at_most, 1000)?, depth.unwrap_or(1)]))
    }

    fn boost(&self, boost: &Boost) -> Result<Value, RuleError> {
        let mut fields = Map::new();
        fields.insert("where".into(), self.filter(&boost.condition)?);
        fields.insert("by".into(), self.number(&boost.by, -1.0, 1.0)?.into());
        self.window(boost.from.as_ref(), boost.until.as_ref(), &mut fields)?;
        Ok(fields.into())
    }

    fn pins(&self, pins: &[Spanned<Pin>]) -> Result<Vec<Value>, RuleError> {
        let mut found = Vec::new();
        for pin in pins {
            let Pin { item, slot, from, until } = pin.get_ref();
            let mut fields = Map::new();
            fields.insert("item".into(), item.get_ref().as_str().into());
            fields.insert("slot".into(), self.count(slot, MAX_SLOT as u32)?.into());
            self.window(from.as_ref(), until.as_ref(), &mut fields)?;
            found.push(fields.into());
        }
        Ok(found)
    }

    /// The time in which a rule holds, in milliseconds of the shopper's clock.
    fn window(
        &self,
        from: Option<&Moment>,
        until: Option<&Moment>,
        fields: &mut Map<String, Value>,
    ) -> Result<(), RuleError> {
        let mut ends = Vec::new();
        for (name, value) in [("from", from), ("until", until)] {
            let Some(value) = value else { continue };
            let text = value.get_ref().to_string();
            let nanos = string_to_timestamp_nanos(&text).map_err(|_| {
                RuleError::new(
                    self.place(value),
                    text.clone(),
                    "a date or time such as 2026-12-01 or 2026-12-01T12:00:00",
                )
            })?;
            ends.push((nanos, value));
            fields.insert(name.into(), nanos.div_euclid(1_000_000).into());
        }
        if let [(from, _), (until, value)] = &ends[..]
            && until <= from
        {
            return Err(RuleError::new(self.place(value), value.get_ref().to_string(), "an end after the beginning"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
