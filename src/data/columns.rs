//! From an entry of `nearshelf.toml` to an expression of the right type over a source's columns.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::functions::core::expr_fn::nullif;
use datafusion::functions::datetime::expr_fn::to_local_time;
use datafusion::functions::string::expr_fn::btrim;
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator, cast, lit, try_cast, when,
};
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
            self.expression(&key, entry).map_err(|error| match error {
                // No operator, no call: the name of a column with a space or a keyword in it.
                DataError::Expression { .. } if is_name(entry) => self.missing(&key, entry),
                other => other,
            })?
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
                    self.missing(key, if entry.contains(field.name()) { field.name() } else { entry })
                }
                _ => self.not_valid(key, entry, &error),
            },
            _ => self.not_valid(key, entry, &error),
        })?;
        let of_a_row = of_one_row(parsed.unalias()).and_then(|expr| self.lenient(expr));
        of_a_row.map_err(|e| self.not_valid(key, entry, &e))
    }

    fn missing(&self, key: &str, column: &str) -> DataError {
        let (path, columns) = (self.source.path.clone(), self.names());
        DataError::MissingColumn { path, key: key.to_owned(), column: column.to_owned(), columns }
    }

    fn not_valid(&self, key: &str, entry: &str, error: &DataFusionError) -> DataError {
        let reason = error.strip_backtrace().lines().next().unwrap_or_default().to_owned();
        let (path, key) = (self.source.path.clone(), key.to_owned());
        DataError::Expression { path, key, expression: entry.to_owned(), reason }
    }

    /// Makes every cast give null for a value it cannot convert, since one bad value must not end the run.
    ///
    /// Arithmetic on text, and a comparison of text with an integer, is made one of floats: the engine refuses the first, and casts
    /// text to an integer for the second, so that `UnitPrice > 0` would be unknown for `2.55`.
    fn lenient(&self, expr: Expr) -> Result<Expr, DataFusionError> {
        let schema = self.schema();
        let explicit = expr.transform_up(|e| {
            Ok(match e {
                Expr::Cast(c) => Transformed::yes(try_cast(*c.expr, c.field.data_type().clone())),
                Expr::BinaryExpr(operation) if is_arithmetic(operation.op) => {
                    Transformed::yes(Expr::BinaryExpr(of_numbers(operation, schema)))
                }
                Expr::Negative(operand) if is_text_in(&operand, schema) => {
                    Transformed::yes(Expr::Negative(Box::new(try_cast(*operand, DataType::Float64))))
                }
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
        let lenient = coerced.transform_up(|e| {
            Ok(match e {
                Expr::Cast(Cast { expr, field }) => {
                    let to = if is_text_in(&expr, schema) && field.data_type().is_integer() {
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

    /// A number where the entry is one, else a name.
    pub(super) fn attribute(&self, key: &str, entry: &str) -> Result<Expr, DataError> {
        let typed = self.entry(key, entry)?;
        if typed.kind.is_numeric() { Ok(try_cast(typed.expr, DataType::Float64)) } else { self.label(key, entry) }
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
            DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 => typed.expr,
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

fn is_text_in(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|kind| is_text(&kind))
}

/// Whether an entry that is no expression was meant as the name of a column.
fn is_name(entry: &str) -> bool {
    entry.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ' ')
}

fn is_arithmetic(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo)
}

/// Arithmetic with its text read as numbers, unless the other side says that the text is a moment, as an interval does.
fn of_numbers(operation: BinaryExpr, schema: &DFSchema) -> BinaryExpr {
    let BinaryExpr { left, op, right } = operation;
    let is_temporal = |side: &Expr| side.get_type(schema).is_ok_and(|kind| kind.is_temporal());
    if is_temporal(&left) || is_temporal(&right) {
        return BinaryExpr { left, op, right };
    }
    let number = |side: Box<Expr>| match is_text_in(&side, schema) {
        true => Box::new(try_cast(*side, DataType::Float64)),
        false => side,
    };
    BinaryExpr { left: number(left), op, right: number(right) }
}

/// An entry is computed for each row by itself: an aggregate, a window or a query over other rows fails here, before a row is read.
fn of_one_row(expr: Expr) -> Result<Expr, DataFusionError> {
    let of_more = expr.exists(|e| {
        Ok(matches!(
            e,
            Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::Unnest(_)
                | Expr::GroupingSet(_)
        ))
    })?;
    if of_more {
        let reason = "found an aggregate, a window or a query, expected an expression over one row";
        return Err(DataFusionError::Plan(reason.into()));
    }
    Ok(expr)
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
