//! The checks of every row, as plans: fields are typed, then the first thing that is wrong with a row is its reason.
//!
//! A plan of this module ends in a staged Parquet table with every row that `where` keeps, bad ones included. Its `reason` is null
//! for a valid row, and `value` says what was found.

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, cast, ident, lit, try_cast};
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::scalar::ScalarValue;

use super::DataError;
use super::columns::Columns;
use super::config::{CatalogueConfig, Duplicates, EventsConfig, UsersConfig};
use super::sink::query;
use super::source::{FAULT, FAULT_VALUE, Source};

/// Joins the levels of a category path: the ASCII unit separator, which no name contains after [`path`].
pub(super) const LEVEL_SEPARATOR: char = '\u{1f}';

const PLANNING: &str = "planning";

/// Floats that are neither NaN nor infinite: comparisons order NaN outside of every finite range.
const FINITE: &str = "BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308";
const FINITE_F32: &str = "BETWEEN -3.4028234e38 AND 3.4028234e38";

fn none() -> Expr {
    cast(lit(ScalarValue::Null), DataType::Utf8)
}

fn faults() -> Vec<Expr> {
    vec![ident(FAULT).alias("fault"), ident(FAULT_VALUE).alias("fault_value")]
}

/// Rows that cannot be read are kept whatever `where` says, to be rejected.
fn kept(condition: Expr) -> Expr {
    ident(FAULT).is_not_null().or(condition)
}

fn view(ctx: &SessionContext, name: &str, frame: DataFrame) -> Result<(), DataError> {
    ctx.register_table(name, frame.into_view()).map_err(query(PLANNING))?;
    Ok(())
}

async fn sql(ctx: &SessionContext, text: &str) -> Result<DataFrame, DataError> {
    ctx.sql(text).await.map_err(query(PLANNING))
}

/// An optional label.
fn label(columns: &Columns<'_>, key: &str, entry: Option<&String>) -> Result<Expr, DataError> {
    entry.map_or_else(|| Ok(none()), |entry| columns.label(key, entry))
}

/// An optional number and its text.
fn number(columns: &Columns<'_>, key: &str, entry: Option<&String>) -> Result<(Expr, Expr), DataError> {
    let absent = || (cast(lit(ScalarValue::Null), DataType::Float64), none());
    entry.map_or_else(|| Ok(absent()), |entry| columns.number(key, entry))
}

/// The rows of the events: `record, user_id, item, time_ms, event_type, quantity, price, location, device, basket, id, left_out, reason,
/// value`.
///
/// `item_status (item, left_out)` must be registered: an event of an item that the catalogue leaves out is left out with it.
pub(super) async fn events(
    ctx: &SessionContext,
    source: &Source,
    config: &EventsConfig,
) -> Result<DataFrame, DataError> {
    let columns = Columns::new(ctx, source, "events.columns");
    let names = &config.columns;
    let (time, time_text) = columns.time("time", &names.time, config.time_format)?;
    let (quantity, quantity_text) = number(&columns, "quantity", names.quantity.as_ref())?;
    let (price, price_text) = number(&columns, "price", names.price.as_ref())?;
    let id = names.id.as_ref().map_or_else(|| Ok(none()), |entry| columns.id("id", entry))?;
    let basket = names.basket.as_ref().map_or_else(|| Ok(none()), |entry| columns.id("basket", entry))?;
    let mut fields = faults();
    fields.extend([
        columns.id("user", &names.user)?.alias("user_id"),
        columns.id("item", &names.item)?.alias("item"),
        time.alias("time_ms"),
        time_text.alias("time_text"),
        label(&columns, "type", names.event_type.as_ref())?.alias("event_type"),
        try_cast(quantity, DataType::Float32).alias("quantity"),
        quantity_text.alias("quantity_text"),
        price.alias("price"),
        price_text.alias("price_text"),
        label(&columns, "location", names.location.as_ref())?.alias("location"),
        label(&columns, "device", names.device.as_ref())?.alias("device"),
        basket.alias("basket"),
        id.alias("id"),
    ]);
    let condition = Columns::new(ctx, source, "events").condition(config.condition.as_deref())?;
    view(ctx, "event_fields", columns.select(kept(condition), fields)?)?;
    view(ctx, "event_reasons", sql(ctx, &event_reasons()).await?)?;
    let matched = sql(
        ctx,
        "SELECT e.record, e.user_id, e.item, e.time_ms, e.event_type, e.quantity, e.price, e.location, e.device, e.basket, e.id, \
         coalesce(e.reason IS NULL AND i.left_out = 1, false) AS left_out, \
         CASE WHEN e.reason IS NULL AND i.item IS NULL THEN 'unknown item' ELSE e.reason END AS reason, \
         CASE WHEN e.reason IS NULL AND i.item IS NULL THEN e.item ELSE e.value END AS value \
         FROM event_reasons e LEFT JOIN item_status i ON e.item = i.item",
    )
    .await?;
    if names.id.is_none() {
        return Ok(matched);
    }
    view(ctx, "event_matches", matched)?;
    let text = "SELECT record, user_id, item, time_ms, event_type, quantity, price, location, device, basket, id, left_out, \
         CASE WHEN valid AND id IS NOT NULL AND nth > 1 THEN 'duplicate event id' ELSE reason END AS reason, \
         CASE WHEN valid AND id IS NOT NULL AND nth > 1 THEN id ELSE value END AS value FROM \
         (SELECT *, row_number() OVER (PARTITION BY valid, id ORDER BY record) AS nth FROM \
         (SELECT *, reason IS NULL AND NOT left_out AS valid FROM event_matches))";
    sql(ctx, text).await
}

fn event_reasons() -> String {
    format!(
        "SELECT *, CASE WHEN reason = fault THEN fault_value WHEN reason = 'unparsable time' THEN time_text \
         WHEN reason LIKE 'quantity%' THEN quantity_text WHEN reason LIKE '%price%' THEN price_text END AS value FROM \
         (SELECT *, CASE WHEN fault IS NOT NULL THEN fault \
         WHEN user_id IS NULL THEN 'missing user' \
         WHEN item IS NULL THEN 'missing item' \
         WHEN time_ms IS NULL THEN 'unparsable time' \
         WHEN quantity_text IS NOT NULL AND (quantity {FINITE_F32}) IS NOT TRUE THEN 'quantity not a number' \
         WHEN quantity <= 0 THEN 'quantity not above 0' \
         {PRICE} END AS reason FROM event_fields)",
        PRICE = price_reasons()
    )
}

fn price_reasons() -> String {
    format!(
        "WHEN price_text IS NOT NULL AND (price {FINITE}) IS NOT TRUE THEN 'price not a number' \
         WHEN price < 0 THEN 'negative price'"
    )
}

/// The rows of the catalogue: `record, item, title, category, brand, price, attribute_0, .., replaced, reason, value`.
pub(super) async fn catalogue(
    ctx: &SessionContext,
    source: &Source,
    config: &CatalogueConfig,
) -> Result<DataFrame, DataError> {
    use datafusion::functions::string::expr_fn::concat_ws;
    let columns = Columns::new(ctx, source, "catalogue.columns");
    let names = &config.columns;
    let labels = |key: &str, entries: &[String]| {
        entries.iter().map(|entry| columns.label(key, entry)).collect::<Result<Vec<_>, _>>()
    };
    let joined = |separator: &str, parts: Vec<Expr>| match parts.len() {
        0 => lit(""),
        _ => concat_ws(lit(separator), parts),
    };
    let (price, price_text) = number(&columns, "price", names.price.as_ref())?;
    let mut fields = faults();
    fields.extend([
        columns.id("item", &names.item)?.alias("item"),
        joined(" ", labels("title", &names.title)?).alias("title"),
        joined(&LEVEL_SEPARATOR.to_string(), path(labels("category", &names.category)?)).alias("category"),
        label(&columns, "brand", names.brand.as_ref())?.alias("brand"),
        price.alias("price"),
        price_text.alias("price_text"),
    ]);
    for (position, (name, entry)) in names.attributes.iter().enumerate() {
        let attribute = columns.attribute(&format!("attributes.{name}"), entry)?;
        fields.push(attribute.alias(format!("attribute_{position}")));
    }
    let attributes: String = (0..names.attributes.len()).map(|i| format!("attribute_{i}, ")).collect();
    let condition = Columns::new(ctx, source, "catalogue").condition(config.condition.as_deref())?;
    let outside = columns.select(
        ident(FAULT).is_null().and(condition.clone().is_not_true()),
        vec![columns.id("item", &names.item)?.alias("item")],
    )?;
    view(ctx, "catalogue_left_out", outside)?;
    view(ctx, "catalogue_fields", columns.select(kept(condition), fields)?)?;
    let (order, replaced, duplicate) = match config.duplicates {
        Duplicates::Reject => ("ASC", "false", "'duplicate item id'"),
        Duplicates::Last => ("DESC", "valid AND nth > 1", "reason"),
    };
    let text = format!(
        "SELECT record, item, title, category, brand, price, {attributes}{replaced} AS replaced, \
         CASE WHEN valid AND nth > 1 THEN {duplicate} ELSE reason END AS reason, \
         CASE WHEN reason = fault THEN fault_value WHEN reason LIKE '%price%' THEN price_text \
         WHEN valid AND nth > 1 THEN item END AS value FROM \
         (SELECT *, row_number() OVER (PARTITION BY valid, item ORDER BY record {order}) AS nth FROM \
         (SELECT *, reason IS NULL AS valid FROM \
         (SELECT *, CASE WHEN fault IS NOT NULL THEN fault WHEN item IS NULL THEN 'missing item' {} END AS reason \
         FROM catalogue_fields)))",
        price_reasons()
    );
    sql(ctx, &text).await
}

/// Levels without the separator that joins them.
fn path(levels: Vec<Expr>) -> Vec<Expr> {
    use datafusion::functions::string::expr_fn::replace;
    levels.into_iter().map(|level| replace(level, lit(LEVEL_SEPARATOR.to_string()), lit(" "))).collect()
}

/// The rows of the demographics: `record, user_id, attribute_0, .., reason, value`.
pub(super) async fn users(ctx: &SessionContext, source: &Source, config: &UsersConfig) -> Result<DataFrame, DataError> {
    let columns = Columns::new(ctx, source, "users");
    let mut fields = faults();
    fields.push(columns.id("user", &config.user)?.alias("user_id"));
    for (position, entry) in config.attributes.iter().enumerate() {
        fields.push(columns.label("attributes", entry)?.alias(format!("attribute_{position}")));
    }
    view(ctx, "user_fields", columns.select(lit(true), fields)?)?;
    let attributes: String = (0..config.attributes.len()).map(|i| format!("attribute_{i}, ")).collect();
    let text = format!(
        "SELECT record, user_id, {attributes} CASE WHEN reason IS NULL AND nth > 1 THEN 'duplicate user' ELSE reason END AS reason, \
         CASE WHEN reason = fault THEN fault_value WHEN reason IS NULL AND nth > 1 THEN user_id END AS value FROM \
         (SELECT *, row_number() OVER (PARTITION BY valid, user_id ORDER BY record) AS nth FROM \
         (SELECT *, reason IS NULL AS valid FROM \
         (SELECT *, CASE WHEN fault IS NOT NULL THEN fault WHEN user_id IS NULL THEN 'missing user' END AS reason FROM user_fields)))"
    );
    sql(ctx, &text).await
}
