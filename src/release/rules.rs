//! The rules of a release as clients read them: JSON that the origin compiled (`rules`), so that here is nothing to parse but that.
//!
//! ```json
//! {"format":1,"scenarios":{"default":{"where":{"price":{"min":1}},"min_score":0.1,"diversity":0.2,"dither":0.1,"rotation":0.2,"exploration":0.1,"boost_limit":0.5,
//!  "exclude":{"purchased_days":14,"in_cart":true,"seen":6},"caps":[["brand",3,1]],
//!  "boosts":[{"where":{"brand":["69"]},"by":0.2,"from":1796083200000,"until":1798329600000}],"pins":[{"item":"7","slot":1}]}}}
//! ```
//! A cap is column, how many of one value, and of paths how many outermost parts are that value. Times are milliseconds since
//! 1970-01-01 of the shopper's local time; without a moment, what has a time does not hold.

use std::sync::Arc;

use crate::json::{self, Json, JsonError, Value};
use crate::shard::columns::{ColumnFilter, MAX_CONDITIONS, MAX_DEPTH};

/// The format that this build writes and reads.
pub const FORMAT_VERSION: u64 = 1;
/// Scenarios of a release, at most.
pub const MAX_SCENARIOS: usize = 64;
/// Boosts and pins of a scenario, at most.
pub const MAX_RULES: usize = 256;
/// Caps of a scenario, at most.
pub const MAX_CAPS: usize = 8;
/// The last slot that something can be pinned to.
pub const MAX_SLOT: usize = 100;
/// The scenario of rows that name none.
pub const DEFAULT: &str = "default";

/// Rules that are not what this build reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; publish the release again")]
pub struct RulesError(String);

/// All scenarios of a release. Copies share them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    scenarios: Vec<(String, Arc<Scenario>)>,
}

/// A named set of rules; by default none, with boosts that count in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What may be shown.
    pub filter: ColumnFilter,
    /// The least score of retrieval that is shown.
    pub min_score: Option<f32>,
    /// How much likeness to what is shown already counts against a candidate, 0 to 1.
    pub diversity: f32,
    /// How much chance changes the order, 0 to 1.
    pub dither: f32,
    /// How much being popular counts against a candidate, 0 to 1.
    pub popularity_penalty: f32,
    /// How much a value falls every time that its item was shown in vain, 0 to 1.
    pub rotation: f32,
    /// The share of the slots that is given to draws, 0 to 1.
    pub exploration: f32,
    /// The most that all boosts together add to a relevance or take from it.
    pub boost_limit: f32,
    /// What is left out for what the shopper did.
    pub exclude: Exclude,
    /// How many of a kind are shown.
    pub caps: Vec<Cap>,
    /// What is moved up or down.
    pub boosts: Vec<Boost>,
    /// What has a place.
    pub pins: Vec<Pin>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            filter: ColumnFilter::default(),
            min_score: None,
            diversity: 0.0,
            dither: 0.0,
            popularity_penalty: 0.0,
            rotation: 0.0,
            exploration: 0.0,
            boost_limit: 1.0,
            exclude: Exclude::default(),
            caps: Vec::new(),
            boosts: Vec::new(),
            pins: Vec::new(),
        }
    }
}

/// What is left out for what the shopper did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Exclude {
    /// What was bought within so many days.
    pub purchased_days: Option<f32>,
    /// What is in the cart.
    pub in_cart: bool,
    /// What was shown so often.
    pub seen: Option<u32>,
}

/// How many of one value of a column are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    /// The column.
    pub column: String,
    /// How many.
    pub at_most: usize,
    /// Of paths, how many outermost parts are the value.
    pub depth: usize,
}

/// Moves what passes a filter up, or down.
#[derive(Debug, Clone, PartialEq)]
pub struct Boost {
    /// What is moved.
    pub filter: ColumnFilter,
    /// How far, -1 to 1: 1 is from the worst candidate to the best.
    pub by: f32,
    /// When.
    pub window: Window,
}

/// Gives an item a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its id.
    pub item: String,
    /// The slot, from 1.
    pub slot: usize,
    /// When.
    pub window: Window,
}

/// When a rule holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    from: Option<i64>,
    until: Option<i64>,
}

impl Window {
    /// Whether the rule holds at a moment.
    pub fn holds(self, now_ms: Option<i64>) -> bool {
        match (self.from, self.until, now_ms) {
            (None, None, _) => true,
            (_, _, None) => false,
            (from, until, Some(now)) => from.is_none_or(|from| from <= now) && until.is_none_or(|until| now < until),
        }
    }

    fn read(rule: &Json<'_>) -> Result<Self, JsonError> {
        // All moments of dates in JavaScript.
        let end = |name| Ok(number(rule, name, -8.64e15, 8.64e15)?.map(|at| at as i64));
        Ok(Self { from: end("from")?, until: end("until")? })
    }
}

impl Rules {
    /// Reads rules.
    ///
    /// # Errors
    /// If the bytes are no rules, or of another format.
    pub fn parse(bytes: &[u8]) -> Result<Self, RulesError> {
        let value = json::parse(bytes).map_err(|error| RulesError(error.to_string()))?;
        Self::read(&Json::new(&value, "rules")).map_err(|error| RulesError(error.to_string()))
    }

    fn read(json: &Json<'_>) -> Result<Self, JsonError> {
        let format = json.field("format");
        if format.number(u64::MAX)? != FORMAT_VERSION {
            return Err(format.wrong("1, which this build reads"));
        }
        let named = json.field("scenarios");
        let fields = named.fields()?;
        // Before they are looked up by their names, each of which is compared with all.
        if fields.len() > MAX_SCENARIOS {
            return Err(named.wrong("at most 64 scenarios"));
        }
        let mut scenarios = Vec::new();
        for (name, _) in fields {
            scenarios.push((name.clone(), Arc::new(Scenario::read(&named.field(name))?)));
        }
        Ok(Self { scenarios })
    }

    /// A scenario by its name.
    pub fn scenario(&self, name: &str) -> Option<&Arc<Scenario>> {
        self.scenarios.iter().find(|(known, _)| known == name).map(|(_, scenario)| scenario)
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.scenarios.iter().map(|(name, _)| name.as_str())
    }

    /// Every filter of every scenario.
    pub fn filters(&self) -> impl Iterator<Item = &ColumnFilter> {
        self.scenarios.iter().flat_map(|(_, scenario)| {
            std::iter::once(&scenario.filter).chain(scenario.boosts.iter().map(|boost| &boost.filter))
        })
    }
}

/// A number within a range, if it is there. One piece of code for all of them: each kind of reader would be one more in a client's
/// download.
#[inline(never)]
fn number(json: &Json<'_>, name: &str, low: f64, high: f64) -> Result<Option<f64>, JsonError> {
    let field = json.field(name);
    let Some(field) = field.optional() else { return Ok(None) };
    let number = field.float()?;
    if (low..=high).contains(&number) { Ok(Some(number)) } else { Err(field.wrong("a number within its range")) }
}

fn share(json: &Json<'_>, name: &str, otherwise: f32) -> Result<f32, JsonError> {
    Ok(number(json, name, 0.0, 1.0)?.map_or(otherwise, |share| share as f32))
}

#[inline(never)]
fn filter(json: &Json<'_>) -> Result<ColumnFilter, JsonError> {
    let json = json.field("where");
    let filter = json.optional().and_then(|json| json.value()).map(ColumnFilter::from_value).transpose();
    filter.map(Option::unwrap_or_default).map_err(|_| json.wrong("a filter"))
}

/// What a list holds, at most so much.
#[inline(never)]
fn list<T>(
    json: &Json<'_>,
    name: &str,
    most: usize,
    read: fn(&Json<'_>) -> Result<T, JsonError>,
) -> Result<Vec<T>, JsonError> {
    let field = json.field(name);
    let rules = field.list_or_none()?;
    if rules.len() > most {
        return Err(field.wrong("fewer rules"));
    }
    let mut found = Vec::with_capacity(rules.len());
    for rule in &rules {
        found.push(read(rule)?);
    }
    Ok(found)
}

impl Scenario {
    fn read(json: &Json<'_>) -> Result<Self, JsonError> {
        let exclude = json.field("exclude");
        let scenario = Self {
            filter: filter(json)?,
            min_score: number(json, "min_score", f32::MIN.into(), f32::MAX.into())?.map(|least| least as f32),
            diversity: share(json, "diversity", 0.0)?,
            dither: share(json, "dither", 0.0)?,
            popularity_penalty: share(json, "popularity_penalty", 0.0)?,
            rotation: share(json, "rotation", 0.0)?,
            exploration: share(json, "exploration", 0.0)?,
            boost_limit: share(json, "boost_limit", 1.0)?,
            exclude: Exclude {
                purchased_days: number(&exclude, "purchased_days", 0.0, 3660.0)?.map(|days| days as f32),
                in_cart: matches!(exclude.field("in_cart").value(), Some(Value::Bool(true))),
                seen: number(&exclude, "seen", 1.0, 1000.0)?.map(|seen| seen as u32),
            },
            caps: list(json, "caps", MAX_CAPS, Cap::read)?,
            boosts: list(json, "boosts", MAX_RULES, Boost::read)?,
            pins: list(json, "pins", MAX_RULES, Pin::read)?,
        };
        let (mut depth, mut conditions) = scenario.filter.extent();
        for boost in &scenario.boosts {
            let (of_boost, more) = boost.filter.extent();
            (depth, conditions) = (depth.max(of_boost), conditions + more);
        }
        if depth > MAX_DEPTH || conditions > MAX_CONDITIONS {
            return Err(json.wrong("filters of at most 512 conditions, at most 32 deep in each other"));
        }
        Ok(scenario)
    }
}

impl Cap {
    fn read(json: &Json<'_>) -> Result<Self, JsonError> {
        let count = |json: &Json<'_>, most| match json.number(most)? {
            0 => Err(json.wrong("1 at least")),
            count => Ok(count as usize),
        };
        match &json.list()?[..] {
            [column, at_most, depth] => {
                Ok(Self { column: column.text()?.to_owned(), at_most: count(at_most, 1000)?, depth: count(depth, 16)? })
            }
            _ => Err(json.wrong("a column, how many, and a depth")),
        }
    }
}

impl Boost {
    /// Reads one, `{"where", "by"}` and perhaps a time.
    pub(crate) fn read(json: &Json<'_>) -> Result<Self, JsonError> {
        let Some(by) = number(json, "by", -1.0, 1.0)? else { return Err(json.field("by").wrong("a number")) };
        Ok(Self { filter: filter(json)?, by: by as f32, window: Window::read(json)? })
    }
}

impl Pin {
    fn read(json: &Json<'_>) -> Result<Self, JsonError> {
        let Some(slot) = number(json, "slot", 1.0, MAX_SLOT as f64)? else {
            return Err(json.field("slot").wrong("a slot"));
        };
        Ok(Self { item: json.field("item").text()?.to_owned(), slot: slot as usize, window: Window::read(json)? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(scenarios: &serde_json::Value) -> Result<Rules, RulesError> {
        Rules::parse(json!({"format": 1, "scenarios": scenarios}).to_string().as_bytes())
    }

    #[test]
    fn rules_ask_for_no_more_than_a_client_can_answer() {
        let names =
            |count: usize| (0..count).map(|name| (name.to_string(), json!({}))).collect::<serde_json::Map<_, _>>();
        assert!(read(&names(MAX_SCENARIOS).into()).is_ok() && read(&names(MAX_SCENARIOS + 1).into()).is_err());
        let filtered = |filter: serde_json::Value| read(&json!({"a": {"where": filter}}));
        let conditions =
            |count: usize| std::iter::once(json!("and")).chain((0..count).map(|_| json!({"x": null}))).collect();
        assert!(filtered(conditions(MAX_CONDITIONS)).is_ok() && filtered(conditions(MAX_CONDITIONS + 1)).is_err());
        // Numbers are a walk each, texts are one together.
        assert!(filtered(json!({"x": vec![1; MAX_CONDITIONS + 1]})).is_err());
        assert!(filtered(json!({"x": vec!["a"; 10 * MAX_CONDITIONS]})).is_ok());
        let boosts = json!([{"by": 1, "where": {"x": vec![1; 600]}}, {"by": 1, "where": {"x": vec![1; 600]}}]);
        assert!(read(&json!({"a": {"boosts": boosts}})).unwrap_err().to_string().contains("at most 512 conditions"));
        let deep = |depth: usize| (1..depth).fold(json!({"x": null}), |filter, _| json!(["not", filter]));
        assert!(filtered(deep(MAX_DEPTH)).is_ok() && filtered(deep(MAX_DEPTH + 1)).is_err());
    }
}
