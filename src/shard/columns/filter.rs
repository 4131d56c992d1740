//! Filters: what the columns of a candidate must hold for it to be shown.

use std::sync::Arc;

use super::format::ColumnKind;
use super::view::{ColumnView, Predicate};
use super::{ColumnsError, ColumnsView};
use crate::index::{NodeId, RowSet};
use crate::json::{self, Value};

/// How deep filters may lie in each other: at each depth a test of a shard keeps a set of its rows.
pub const MAX_DEPTH: usize = 32;
/// Most conditions of the filters of one scenario: each is a walk over a column. Texts and paths of one condition take one walk together.
pub const MAX_CONDITIONS: usize = 512;

/// Conditions on columns, all of which must hold. A missing value passes none but that it is missing. Copies share them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnFilter {
    parts: Arc<Vec<Part>>,
}

/// Prices that are others than a column says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changed<'a> {
    /// The column.
    pub column: &'a str,
    /// Rows and prices in cents; rows are counted from `start` before the first row of the columns.
    pub prices: &'a [(NodeId, u64)],
    /// What the first row of the columns is called there.
    pub start: u32,
}

/// One of the conditions.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Column(String, Condition),
    /// One of these holds at least.
    Any(Vec<ColumnFilter>),
    Not(ColumnFilter),
}

/// What is asked of one column.
#[derive(Debug, Clone, PartialEq)]
enum Condition {
    /// One of these paths, or below it. A text is a path of one part.
    AnyPath(Vec<Vec<String>>),
    /// One of these numbers.
    AnyNumber(Vec<f64>),
    /// A number in `low..=high`.
    Between { low: f64, high: f64 },
    /// No value.
    Missing,
}

impl ColumnFilter {
    /// A filter that everything passes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Lets pass what has one of these texts, or, in a column of paths, is at one of these outermost parts or below it.
    #[must_use]
    pub fn any_text(self, column: &str, texts: &[&str]) -> Self {
        self.any_path(column, &texts.iter().map(std::slice::from_ref).collect::<Vec<_>>())
    }

    /// Lets pass what is at one of these paths, the outermost part first, or below it.
    #[must_use]
    pub fn any_path(self, column: &str, paths: &[&[&str]]) -> Self {
        let paths = paths.iter().map(|path| path.iter().map(|&part| part.to_owned()).collect());
        self.with(column, Condition::AnyPath(paths.collect()))
    }

    /// Lets pass what has one of these numbers.
    #[must_use]
    pub fn any_number(self, column: &str, numbers: &[f64]) -> Self {
        self.with(column, Condition::AnyNumber(numbers.to_vec()))
    }

    /// Lets pass what has a number in `low..=high`.
    #[must_use]
    pub fn between(self, column: &str, low: f64, high: f64) -> Self {
        self.with(column, Condition::Between { low, high })
    }

    fn with(mut self, column: &str, condition: Condition) -> Self {
        Arc::make_mut(&mut self.parts).push(Part::Column(column.to_owned(), condition));
        self
    }

    /// Both filters at once.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        if self.is_empty() {
            return other.clone();
        }
        Arc::make_mut(&mut self.parts).extend(other.parts.iter().cloned());
        self
    }

    /// Reads a filter from JSON: for each column an array of what is allowed, texts, paths (arrays of texts) or numbers, or an
    /// object with `min`, `max` or both, or `null` where it must be missing.
    ///
    /// # Errors
    /// [`ColumnsError::Condition`] with the column whose condition is neither.
    pub fn from_json(conditions: &serde_json::Map<String, serde_json::Value>) -> Result<Self, ColumnsError> {
        let text = serde_json::to_string(conditions).unwrap_or_default();
        json::parse(text.as_bytes()).map_or_else(|_| Ok(Self::default()), |value| Self::from_value(&value))
    }

    /// [`ColumnFilter::from_json`] of any JSON: an object, or `["and", filter, …]`, `["or", filter, …]` or `["not", filter]`.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn from_value(value: &Value<'_>) -> Result<Self, ColumnsError> {
        let wrong =
            |column: &str, value| Err(ColumnsError::Condition { column: column.to_owned(), found: kind_of(value) });
        let mut parts = Vec::new();
        match value {
            Value::Object(conditions) => {
                for (column, value) in conditions {
                    match condition(value) {
                        Some(condition) => parts.push(Part::Column(column.clone(), condition)),
                        None => return wrong(column, value),
                    }
                }
            }
            Value::Array(list) => {
                let filters = || list[1..].iter().map(Self::from_value).collect::<Result<Vec<_>, _>>();
                match (list.first().and_then(Value::as_text), list.len()) {
                    // Taken apart, not copied: each depth would copy all below it. Nobody else has them yet.
                    (Some("and"), _) => {
                        for filter in filters()? {
                            parts.append(&mut Arc::try_unwrap(filter.parts).unwrap_or_default());
                        }
                    }
                    (Some("or"), _) => parts.push(Part::Any(filters()?)),
                    (Some("not"), 2) => parts.push(Part::Not(Self::from_value(&list[1])?)),
                    _ => return wrong("filter", value),
                }
            }
            _ => return wrong("filter", value),
        }
        Ok(Self { parts: Arc::new(parts) })
    }

    /// How deep filters lie in each other, and how many conditions there are.
    pub(crate) fn extent(&self) -> (usize, usize) {
        let mut extent = (0, 0);
        for part in self.parts.iter() {
            let inner = match part {
                Part::Column(..) => &[][..],
                Part::Any(filters) => filters,
                Part::Not(filter) => std::slice::from_ref(filter),
            };
            let walks = if let Part::Column(_, Condition::AnyNumber(numbers)) = part { numbers.len() } else { 1 };
            let mut depth = 0;
            for filter in inner {
                // Once for each: twice would be twice as often at each depth.
                let (of_filter, conditions) = filter.extent();
                depth = of_filter.max(depth);
                extent.1 += conditions;
            }
            extent = (extent.0.max(depth + 1), extent.1 + walks);
        }
        extent
    }

    /// Checks that there are such columns, of kinds that can be asked so: `kind` gives what the column of a name holds, `known`
    /// says which there are.
    ///
    /// # Errors
    /// [`ColumnsError::Unknown`] or [`ColumnsError::Predicate`].
    pub fn check(&self, kind: &dyn Fn(&str) -> Option<ColumnKind>, known: &[String]) -> Result<(), ColumnsError> {
        for part in self.parts.iter() {
            match part {
                Part::Column(name, condition) => {
                    let Some(kind) = kind(name) else {
                        return Err(ColumnsError::Unknown { name: name.clone(), known: known.to_vec() });
                    };
                    if !condition.fits(kind) {
                        let test = condition.name();
                        return Err(ColumnsError::Predicate { name: name.clone(), kind: kind.name(), test });
                    }
                }
                Part::Any(filters) => filters.iter().try_for_each(|filter| filter.check(kind, known))?,
                Part::Not(filter) => filter.check(kind, known)?,
            }
        }
        Ok(())
    }

    /// The rows that pass, with these in place of what the columns say of them.
    ///
    /// # Errors
    /// As [`ColumnFilter::check`].
    pub fn rows(&self, columns: &ColumnsView<'_>, changed: Changed<'_>) -> Result<RowSet, ColumnsError> {
        let mut rows = RowSet::full(columns.rows());
        for part in self.parts.iter() {
            let passing = match part {
                Part::Column(name, condition) => {
                    let column = columns.named(name)?;
                    let mut passing = condition.rows(&column)?;
                    if name == changed.column && !column.kind().has_dictionary() {
                        condition.renew(&mut passing, changed);
                    }
                    passing
                }
                Part::Any(filters) => {
                    let mut any = RowSet::empty(columns.rows());
                    for filter in filters {
                        any.or(&filter.rows(columns, changed)?);
                    }
                    any
                }
                Part::Not(filter) => {
                    let mut others = filter.rows(columns, changed)?;
                    others.not();
                    others
                }
            };
            rows.and(&passing);
        }
        Ok(rows)
    }
}

impl Condition {
    fn fits(&self, kind: ColumnKind) -> bool {
        match self {
            Self::AnyPath(paths) => {
                kind == ColumnKind::Path || kind == ColumnKind::Text && paths.iter().all(|path| path.len() == 1)
            }
            Self::AnyNumber(_) | Self::Between { .. } => !kind.has_dictionary(),
            Self::Missing => true,
        }
    }

    /// Asks again of the rows whose price is another now.
    fn renew(&self, rows: &mut RowSet, changed: Changed<'_>) {
        for (node, price) in changed.prices {
            let Some(node) = node.0.checked_sub(changed.start).filter(|row| (*row as usize) < rows.len()) else {
                continue;
            };
            let price = *price as f64;
            let passes = match self {
                Self::AnyNumber(wanted) => wanted.contains(&price),
                Self::Between { low, high } => (*low..=*high).contains(&price),
                Self::AnyPath(_) | Self::Missing => false,
            };
            if passes { rows.insert(NodeId(node)) } else { rows.remove(NodeId(node)) }
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::AnyPath(_) => "texts or paths",
            Self::AnyNumber(_) | Self::Between { .. } => "numbers",
            Self::Missing => "missing values",
        }
    }

    fn rows(&self, column: &ColumnView<'_>) -> Result<RowSet, ColumnsError> {
        let mut rows = RowSet::empty(column.len());
        match self {
            Self::Between { low, high } => return numbers(column, *low, *high),
            Self::Missing => return column.rows_where(Predicate::Missing),
            Self::AnyNumber(wanted) => {
                for &number in wanted {
                    rows.or(&numbers(column, number, number)?);
                }
            }
            Self::AnyPath(paths) => {
                if !self.fits(column.kind()) {
                    let (name, kind) = (column.name().to_owned(), column.kind().name());
                    return Err(ColumnsError::Predicate { name, kind, test: self.name() });
                }
                return Ok(column.rows_of_paths(paths));
            }
        }
        Ok(rows)
    }
}

/// The rows with a number in `low..=high`.
fn numbers(column: &ColumnView<'_>, low: f64, high: f64) -> Result<RowSet, ColumnsError> {
    if column.kind() == ColumnKind::Float {
        return column.rows_where(Predicate::FloatBetween { low: low as f32, high: high as f32 });
    }
    // Neither NaN nor what is below all numbers may become one of them.
    let (low, high) = (low.ceil(), high.floor());
    if low <= high && high >= 0.0 {
        return column.rows_where(Predicate::Between { low: low as u64, high: high as u64 });
    }
    Ok(RowSet::empty(column.len()))
}

fn condition(value: &Value<'_>) -> Option<Condition> {
    match value {
        Value::Null => Some(Condition::Missing),
        Value::Array(wanted) => {
            let numbers: Vec<f64> = wanted.iter().filter_map(Value::as_f64).collect();
            let paths: Vec<Vec<String>> = wanted.iter().filter_map(path).collect();
            match (numbers.len(), paths.len()) {
                (_, found) if found == wanted.len() => Some(Condition::AnyPath(paths)),
                (found, _) if found == wanted.len() => Some(Condition::AnyNumber(numbers)),
                _ => None,
            }
        }
        Value::Object(range) => {
            if range.is_empty() || range.iter().any(|(key, _)| key != "min" && key != "max") {
                return None;
            }
            let limit = |key, otherwise| value.get(key).map_or(Some(otherwise), Value::as_f64);
            Some(Condition::Between { low: limit("min", f64::NEG_INFINITY)?, high: limit("max", f64::INFINITY)? })
        }
        _ => None,
    }
}

fn path(value: &Value<'_>) -> Option<Vec<String>> {
    let parts = if let Value::Array(parts) = value { parts } else { std::slice::from_ref(value) };
    let texts: Vec<String> = parts.iter().filter_map(|part| part.as_text().map(str::to_owned)).collect();
    (texts.len() == parts.len()).then_some(texts)
}

fn kind_of(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::Text(_) => "a text",
        Value::Array(_) => "an array of other things",
        Value::Object(_) => "an object with other fields",
    }
}
