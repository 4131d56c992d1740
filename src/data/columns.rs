//! From an entry of `nearshelf.toml` to an expression of the right type over a source's columns.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::functions::core::expr_fn::nullif;
use datafusion::functions::datetime::expr_fn::to_local_time;
use datafusion::functions::string::expr_fn::btrim;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, cast, lit, try_cast, when};
use datafusion::prelude::{DataFrame, SessionContext};

use super::config::TimeFormat;
use super::source::{RECORD, Source};
use super::{DataError, sink::query};

/// Milliseconds of 275,760 years: beyond, a time is taken for garbage.
const MAX_TIME_MS: f64 = 8.64e15;

/// Looks configured entries up in one source.
pub(super) struct Columns<'a> {
    ctx: &'a SessionContext,
    source: &'a Source,
    section: &'static str,
}

/// An expression and its type.
pub(super) struct Typed<'a> {
    expr: Expr,
    kind: DataType,
    entry: &'a str,
    key: String,
}

impl<'a> Columns<'a> {
    pub(super) fn new(ctx: &'a SessionContext, source: &'a Source, section: &'static str) -> Self {
        Self { ctx, source, section }
    }

    fn schema(&self) -> &DFSchema {
        self.source.frame.schema()
    }

    /// The source's own columns.
    fn names(&self) -> Vec<String> {
        self.schema().fields().iter().map(|f| f.name().clone()).filter(|name| !name.starts_with("__")).collect()
    }

    /// An entry is a column's name or else an SQL expression over columns.
    fn entry<'e>(&self, key: &str, entry: &'e str) -> Result<Typed<'e>, DataError> {
        let key = format!("{}.{key}", self.section);
        let expr = if self.names().iter().any(|name| name == entry) {
            Expr::Column(Column::from_name(entry))
        } else {
            self.expression(&key, entry)?
        };
        let kind = expr.get_type(self.schema()).map_err(|e| self.not_valid(&key, entry, &e))?;
        let kind = match kind {
            DataType::Dictionary(_, value) => *value,
            other => other,
        };
        Ok(Typed { expr, kind, entry, key })
    }

    fn expression(&self, key: &str, entry: &str) -> Result<Expr, DataError> {
        let parsed = self.ctx.parse_sql_expr(entry, self.schema()).map_err(|error| match error.find_root() {
            DataFusionError::SchemaError(what, _) => match &**what {
                SchemaError::FieldNotFound { field, .. } => {
                    let column = if entry.contains(field.name()) { field.name().to_owned() } else { entry.to_owned() };
                    let (path, columns) = (self.source.path.clone(), self.names());
                    DataError::MissingColumn { path, key: key.to_owned(), column, columns }
                }
                _ => self.not_valid(key, entry, &error),
            },
            _ => self.not_valid(key, entry, &error),
        })?;
        self.lenient(parsed.unalias()).map_err(|e| self.not_valid(key, entry, &e))
    }

    fn not_valid(&self, key: &str, entry: &str, error: &DataFusionError) -> DataError {
        let reason = error.strip_backtrace().lines().next().unwrap_or_default().to_owned();
        let (path, key) = (self.source.path.clone(), key.to_owned());
        DataError::Expression { path, key, expression: entry.to_owned(), reason }
    }

    /// Makes every cast give null for a value it cannot convert, since one bad value must not end the run.
    ///
    /// A comparison of text with an integer is made one of floats: the engine would otherwise cast the text to an integer, and
    /// `UnitPrice > 0` would be unknown for `2.55`.
    fn lenient(&self, expr: Expr) -> Result<Expr, DataFusionError> {
        let explicit = expr.transform_up(|e| {
            Ok(match e {
                Expr::Cast(c) => Transformed::yes(try_cast(*c.expr, c.field.data_type().clone())),
                other => Transformed::no(other),
            })
        })?;
        let plan = self.source.frame.clone().select(vec![explicit.data.alias("entry")])?.into_unoptimized_plan();
        let state = self.ctx.state();
        let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?;
        let LogicalPlan::Projection(projection) = plan else {
            return Err(DataFusionError::Plan("not a projection".into()));
        };
        let coerced = projection.expr.into_iter().next().unwrap_or(lit(false)).unalias();
        let schema = self.schema();
        let lenient = coerced.transform_up(|e| {
            Ok(match e {
                Expr::Cast(Cast { expr, field }) => {
                    let from_text = expr.get_type(schema).is_ok_and(|from| is_text(&from));
                    let to = if from_text && field.data_type().is_integer() {
                        DataType::Float64
                    } else {
                        field.data_type().clone()
                    };
                    Transformed::yes(try_cast(*expr, to))
                }
                other => Transformed::no(other),
            })
        })?;
        Ok(lenient.data)
    }

    /// The rows' condition: never null.
    pub(super) fn condition(&self, entry: Option<&str>) -> Result<Expr, DataError> {
        let Some(entry) = entry else { return Ok(lit(true)) };
        let typed = {
            let key = format!("{}.where", self.section);
            let expr = self.expression(&key, entry)?;
            let kind = expr.get_type(self.schema()).map_err(|e| self.not_valid(&key, entry, &e))?;
            Typed { expr, kind, entry, key }
        };
        match typed.kind {
            DataType::Boolean => Ok(typed.expr.is_true()),
            _ => Err(self.wrong_type(&typed, "a condition that is true or false")),
        }
    }

    fn wrong_type(&self, typed: &Typed<'_>, expected: &'static str) -> DataError {
        DataError::WrongType {
            path: self.source.path.clone(),
            key: typed.key.clone(),
            column: typed.entry.to_owned(),
            found: typed.kind.to_string(),
            expected,
        }
    }

    /// An id as trimmed text; empty is null. Whole floats lose their point: exports write ids so where some are missing.
    pub(super) fn id(&self, key: &str, entry: &str) -> Result<Expr, DataError> {
        let typed = self.entry(key, entry)?;
        let is_id = is_text(&typed.kind) || typed.kind.is_numeric() || typed.kind == DataType::Null;
        if is_id { Ok(as_text(&typed)) } else { Err(self.wrong_type(&typed, "text or a number")) }
    }

    /// A name as trimmed text; empty is null.
    pub(super) fn label(&self, key: &str, entry: &str) -> Result<Expr, DataError> {
        let typed = self.entry(key, entry)?;
        let kind = &typed.kind;
        let is_label = is_text(kind) || kind.is_numeric() || kind.is_temporal();
        if is_label || matches!(kind, DataType::Boolean | DataType::Null) {
            Ok(as_text(&typed))
        } else {
            Err(self.wrong_type(&typed, "text, a number, a date or a truth value"))
        }
    }

    /// The number (null where it does not parse), and what is written there (null where nothing is).
    pub(super) fn number(&self, key: &str, entry: &str) -> Result<(Expr, Expr), DataError> {
        let typed = self.entry(key, entry)?;
        if is_text(&typed.kind) {
            let text = as_text(&typed);
            Ok((try_cast(text.clone(), DataType::Float64), text))
        } else if typed.kind.is_numeric() || typed.kind == DataType::Null {
            Ok((try_cast(typed.expr.clone(), DataType::Float64), cast(typed.expr, DataType::Utf8)))
        } else {
            Err(self.wrong_type(&typed, "a number or text"))
        }
    }

    /// Milliseconds since 1970-01-01 as Int64 (null where it does not parse), and what is written there.
    pub(super) fn time(&self, key: &str, entry: &str, format: TimeFormat) -> Result<(Expr, Expr), DataError> {
        let typed = self.entry(key, entry)?;
        let text = as_text(&typed);
        let factor = match format {
            TimeFormat::Iso => return self.iso_time(typed, text),
            TimeFormat::Seconds => 1000.0,
            TimeFormat::Milliseconds => 1.0,
        };
        if !is_text(&typed.kind) && !typed.kind.is_numeric() {
            return Err(self.wrong_type(&typed, "a number or text, as events.time_format says"));
        }
        let ms = try_cast(text.clone(), DataType::Float64) * lit(factor);
        let in_range = ms.clone().between(lit(-MAX_TIME_MS), lit(MAX_TIME_MS));
        let ms = when(in_range, try_cast(ms, DataType::Int64)).end().map_err(query("planning"))?;
        Ok((ms, text))
    }

    fn iso_time(&self, typed: Typed<'_>, text: Expr) -> Result<(Expr, Expr), DataError> {
        let moment = match &typed.kind {
            kind if is_text(kind) => text.clone(),
            DataType::Timestamp(_, Some(_)) => to_local_time(vec![typed.expr]),
            kind if matches!(kind, DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64) => typed.expr,
            _ => {
                let expected = "text or a timestamp (for numbers set events.time_format to seconds or milliseconds)";
                return Err(self.wrong_type(&typed, expected));
            }
        };
        let ms = try_cast(moment, DataType::Timestamp(TimeUnit::Millisecond, None));
        Ok((cast(ms, DataType::Int64), text))
    }

    /// The rows of a condition, with these columns.
    pub(super) fn select(&self, condition: Expr, columns: Vec<Expr>) -> Result<DataFrame, DataError> {
        let record = Expr::Column(Column::from_name(RECORD)).alias("record");
        let columns = [record].into_iter().chain(columns).collect::<Vec<_>>();
        self.source.frame.clone().filter(condition).and_then(|f| f.select(columns)).map_err(query("planning"))
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn as_text(typed: &Typed<'_>) -> Expr {
    let plain = cast(typed.expr.clone(), DataType::Utf8);
    let text = if typed.kind.is_floating() {
        let whole = try_cast(typed.expr.clone(), DataType::Int64);
        let is_whole = cast(whole.clone(), DataType::Float64).eq(cast(typed.expr.clone(), DataType::Float64));
        let text = when(is_whole, cast(whole, DataType::Utf8)).otherwise(nullif(plain.clone(), lit("NaN")));
        text.unwrap_or(plain)
    } else {
        plain
    };
    nullif(btrim(vec![text]), lit(""))
}
