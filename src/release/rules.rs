//! The rules of a release as clients read them: JSON that the origin compiled (`rules`), so that here is nothing to parse but that.
//!
//! ```json
//! {"format":1,"scenarios":{"default":{"where":{"price":{"min":1}},"min_score":0.1,"diversity":0.2,"dither":0.1,"boost_limit":0.5,
//!  "exclude":{"purchased_days":14,"in_cart":true,"seen":6},"caps":[["brand",3,1]],
//!  "boosts":[{"where":{"brand":["69"]},"by":0.2,"from":1796083200000,"until":1798329600000}],"pins":[{"item":"7","slot":1}]}}}
//! ```
//! A cap is column, how many of one value, and of paths how many outermost parts are that value. Times are milliseconds since
//! 1970-01-01 of the shopper's local time; without a moment, what has a time does not hold.

use std::sync::Arc;

use crate::json::{self, Json, JsonError, Value};
use crate::shard::columns::ColumnFilter;

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

/// A named set of rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scenario {
    /// What may be shown.
    pub filter: ColumnFilter,
    /// The least score of retrieval that is shown.
    pub min_score: Option<f32>,
    /// How much likeness to what is shown already counts against a candidate, 0 to 1.
    pub diversity: f32,
    /// How much chance changes the order, 0 to 1.
    pub dither: f32,
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
        let end = |name| rule.field(name).optional().map(|at| at.float().map(|at| at as i64)).transpose();
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
        let mut scenarios = Vec::new();
        for (name, _) in named.fields()? {
            scenarios.push((name.clone(), Arc::new(Scenario::read(&named.field(name))?)));
        }
        if scenarios.len() > MAX_SCENARIOS {
            return Err(named.wrong("at most 64 scenarios"));
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

/// A share, 0 to 1 or as the range says.
fn share(json: Json<'_>, low: f64, otherwise: f32) -> Result<f32, JsonError> {
    let Some(json) = json.optional() else { return Ok(otherwise) };
    let share = json.float()?;
    if (low..=1.0).contains(&share) { Ok(share as f32) } else { Err(json.wrong("a share within its range")) }
}

fn filter(json: &Json<'_>) -> Result<ColumnFilter, JsonError> {
    let Some(json) = json.optional() else { return Ok(ColumnFilter::new()) };
    json.value().map_or_else(|| Ok(ColumnFilter::new()), ColumnFilter::from_value).map_err(|_| json.wrong("a filter"))
}

fn count(json: &Json<'_>, most: usize) -> Result<usize, JsonError> {
    let count = json.number(most as u64)? as usize;
    if count > 0 { Ok(count) } else { Err(json.wrong("1 at least")) }
}

impl Scenario {
    fn read(json: &Json<'_>) -> Result<Self, JsonError> {
        let exclude = json.field("exclude");
        let (days, seen) = (exclude.field("purchased_days").optional(), exclude.field("seen").optional());
        let caps = json.field("caps");
        let boosts = json.field("boosts");
        let pins = json.field("pins");
        for (rules, most) in [(&caps, MAX_CAPS), (&boosts, MAX_RULES), (&pins, MAX_RULES)] {
            if rules.list_or_none()?.len() > most {
                return Err(rules.wrong("fewer rules"));
            }
        }
        Ok(Self {
            filter: filter(&json.field("where"))?,
            min_score: json
                .field("min_score")
                .optional()
                .map(|least| least.float())
                .transpose()?
                .map(|least| least as f32),
            diversity: share(json.field("diversity"), 0.0, 0.0)?,
            dither: share(json.field("dither"), 0.0, 0.0)?,
            boost_limit: share(json.field("boost_limit"), 0.0, 1.0)?,
            exclude: Exclude {
                purchased_days: days.map(|days| days.float()).transpose()?.map(|days| days as f32),
                in_cart: matches!(exclude.field("in_cart").value(), Some(Value::Bool(true))),
                seen: seen.map(|seen| seen.u32()).transpose()?,
            },
            caps: caps.list_or_none()?.iter().map(Cap::read).collect::<Result<_, _>>()?,
            boosts: boosts.list_or_none()?.iter().map(Boost::read).collect::<Result<_, _>>()?,
            pins: pins.list_or_none()?.iter().map(Pin::read).collect::<Result<_, _>>()?,
        })
    }
}

impl Cap {
    fn read(json: &Json<'_>) -> Result<Self, JsonError> {
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
        let by = json.field("by");
        by.float()?;
        Ok(Self { filter: filter(&json.field("where"))?, by: share(by, -1.0, 0.0)?, window: Window::read(json)? })
    }
}

impl Pin {
    fn read(json: &Json<'_>) -> Result<Self, JsonError> {
        let item = json.field("item").text()?.to_owned();
        Ok(Self { item, slot: count(&json.field("slot"), MAX_SLOT)?, window: Window::read(json)? })
    }
}
