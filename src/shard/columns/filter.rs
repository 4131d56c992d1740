//! Filters: what the columns of a candidate must hold for it to be shown.

use std::sync::Arc;

use super::format::ColumnKind;
use super::view::{ColumnView, Predicate};
use super::{ColumnsError, ColumnsView};
use crate::index::RowSet;
use crate::json::{self, Value};

/// Conditions on columns, all of which must hold. A missing value passes none. Copies share them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnFilter {
    conditions: Arc<Vec<(String, Condition)>>,
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
}

impl ColumnFilter {
    /// A filter that everything passes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
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
        Arc::make_mut(&mut self.conditions).push((column.to_owned(), condition));
        self
    }

    /// Reads a filter from JSON: for each column an array of what is allowed, texts, paths (arrays of texts) or numbers, or an
    /// object with `min`, `max` or both.
    ///
    /// # Errors
    /// [`ColumnsError::Condition`] with the column whose condition is neither.
    pub fn from_json(conditions: &serde_json::Map<String, serde_json::Value>) -> Result<Self, ColumnsError> {
        let text = serde_json::to_string(conditions).unwrap_or_default();
        match json::parse(text.as_bytes()) {
            Ok(Value::Object(conditions)) => Self::from_fields(&conditions),
            _ => Ok(Self::default()),
        }
    }

    /// [`ColumnFilter::from_json`] of an object's fields.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn from_fields(conditions: &[(String, Value<'_>)]) -> Result<Self, ColumnsError> {
        let mut read = Vec::with_capacity(conditions.len());
        for (column, value) in conditions {
            match condition(value) {
                Some(condition) => read.push((column.clone(), condition)),
                None => return Err(ColumnsError::Condition { column: column.clone(), found: kind_of(value) }),
            }
        }
        Ok(Self { conditions: Arc::new(read) })
    }

    /// Checks that there are such columns, of kinds that can be asked so: `kind` gives what the column of a name holds, `known`
    /// says which there are.
    ///
    /// # Errors
    /// [`ColumnsError::Unknown`] or [`ColumnsError::Predicate`].
    pub fn check(&self, kind: &dyn Fn(&str) -> Option<ColumnKind>, known: &[String]) -> Result<(), ColumnsError> {
        for (name, condition) in self.conditions.iter() {
            let Some(kind) = kind(name) else {
                return Err(ColumnsError::Unknown { name: name.clone(), known: known.to_vec() });
            };
            if !condition.fits(kind) {
                return Err(ColumnsError::Predicate { name: name.clone(), kind: kind.name(), test: condition.name() });
            }
        }
        Ok(())
    }

    /// The rows that pass.
    ///
    /// # Errors
    /// As [`ColumnFilter::check`].
    pub fn rows(&self, columns: &ColumnsView<'_>) -> Result<RowSet, ColumnsError> {
        let mut rows = RowSet::full(columns.rows());
        for (name, condition) in self.conditions.iter() {
            rows.and(&condition.rows(&columns.named(name)?)?);
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
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::AnyPath(_) => "texts or paths",
            Self::AnyNumber(_) | Self::Between { .. } => "numbers",
        }
    }

    fn rows(&self, column: &ColumnView<'_>) -> Result<RowSet, ColumnsError> {
        let mut rows = RowSet::empty(column.len());
        match self {
            Self::Between { low, high } => return numbers(column, *low, *high),
            Self::AnyNumber(wanted) => {
                for &number in wanted {
                    rows.or(&numbers(column, number, number)?);
                }
            }
            Self::AnyPath(paths) => {
                for path in paths {
                    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
                    let is_text = column.kind() == ColumnKind::Text && parts.len() == 1;
                    let predicate = if is_text { Predicate::AnyOf(&parts) } else { Predicate::Under(&parts) };
                    rows.or(&column.rows_where(predicate)?);
                }
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
