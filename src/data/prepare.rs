//! A shop's files -> validated, typed tables.
//!
//! Every step is a plan of DataFusion over Parquet: check each source row by row, join events with the catalogue, count sales, sort.
//! No table is held in memory; what exceeds `prepare.memory_mib` spills to disk, and the plans use nothing that is bound to one
//! process. Rows keep the number they have in their source, so that the result has one order whatever the threads do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionConfig, SessionContext};

use super::folder::{EVENTS_FILE, ITEMS_FILE, OutFolder, REJECTS_FILE, USERS_FILE};
use super::sink::{self, query};
use super::source::{self, Source};
use super::summary::{CatalogueCounts, EventCounts, PrepareSummary, UserCounts, by_reason, total};
use super::{Config, DataError, checks};

/// A constant, and not the number of cores: the same plan on every machine.
const PARTITIONS: usize = 4;

const TABLES: [&str; 3] = ["catalogue", "events", "users"];

/// Reads the shop's files, checks every row and writes typed tables to the folder `out`:
///
/// | file | holds |
/// |---|---|
/// | `events.parquet` | user, item, time_ms, type, quantity, price, location, device, basket; sorted by user, time, source order |
/// | `items.parquet` | item, title, category (levels joined with U+001F), brand, price, events, and `attribute <name>` for each; sorted by item |
/// | `users.parquet` | user and one column per attribute, for every user with an event; sorted by user |
/// | `rejects.csv` | source, record, reason, value, user, item, id of every rejected row |
/// | `summary.json` | [`PrepareSummary`] |
///
/// The same input gives the same bytes. `out` must be absent, empty, or hold nothing but such tables; it is replaced as a whole at
/// the end, so an error leaves it as it was.
///
/// # Errors
/// Any [`DataError`]. After [`DataError::TooManyRejects`] the rejects are listed beside `out`.
pub fn prepare(config: &Config, out: &Path) -> Result<PrepareSummary, DataError> {
    config.check()?;
    let folder = OutFolder::create(out)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(DataError::io(out))?;
    let preparation = Preparation::new(config, &folder)?;
    let sources = preparation.source_paths();
    let sources: Vec<&Path> = sources.iter().map(PathBuf::as_path).collect();
    let summary = runtime
        .block_on(preparation.run(&folder))
        .map_err(|error| sink::explain(error, config.prepare.memory_mib, &sources))?;
    folder.publish()?;
    Ok(summary)
}

struct Preparation<'a> {
    ctx: SessionContext,
    config: &'a Config,
    stage: PathBuf,
    tables: PathBuf,
    /// `None` where the last events of each user are held out.
    test_from_ms: Option<i64>,
}

/// What one source had.
#[derive(Default)]
struct Checked {
    read: u64,
    left_out: u64,
    rejected: BTreeMap<String, u64>,
}

/// The name of an attribute's column, which no other column has.
pub(super) fn attribute_column(name: &str) -> String {
    format!("attribute {name}")
}

/// The columns `attribute_0` and on of a plan, and whether each holds numbers or text.
fn attributes_of(frame: &DataFrame) -> Vec<(String, DataType)> {
    let fields = frame.schema().fields().iter().filter(|field| field.name().starts_with("attribute_"));
    let kind = |kind: &DataType| if kind.is_numeric() { DataType::Float64 } else { DataType::Utf8 };
    fields.map(|field| (field.name().clone(), kind(field.data_type()))).collect()
}

impl<'a> Preparation<'a> {
    fn new(config: &'a Config, folder: &OutFolder) -> Result<Self, DataError> {
        let spill = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![folder.spill()]));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(config.prepare.memory_mib << 20)))
            .with_disk_manager_builder(spill)
            .build_arc()
            .map_err(query("starting the query engine"))?;
        let mut session = SessionConfig::new()
            .with_target_partitions(PARTITIONS)
            .with_batch_size(sink::BATCH_ROWS)
            // The number of a row is its place in the file, which must be read by one reader.
            .with_repartition_file_scans(false);
        let options = session.options_mut();
        // Columns are written in the configuration as the file spells them.
        options.sql_parser.enable_ident_normalization = false;
        // A hash join cannot spill, a sort-merge join can.
        options.optimizer.prefer_hash_join = false;
        options.execution.parquet.schema_force_view_types = false;
        let ctx = SessionContext::new_with_config_rt(session, runtime);
        let test_from_ms = config.split.test_from_ms()?;
        Ok(Self { ctx, config, stage: folder.stage(), tables: folder.tables(), test_from_ms })
    }

    fn source_paths(&self) -> Vec<PathBuf> {
        let users = self.config.users.as_ref().map(|users| &users.path);
        let paths = [&self.config.catalogue.path, &self.config.events.path].into_iter().chain(users);
        paths.map(|path| self.config.resolve(path)).collect()
    }

    async fn run(&self, folder: &OutFolder) -> Result<PrepareSummary, DataError> {
        let (catalogue, replaced, events) = self.check_events_and_catalogue().await?;
        let users = self.check_users().await?;
        self.list_rejects(users.is_some()).await?;
        let checked = [("catalogue", Some(&catalogue)), ("events", Some(&events)), ("users", users.as_ref())];
        for (table, checked) in checked.iter().filter_map(|(table, checked)| checked.map(|c| (*table, c))) {
            self.limit_rejects(table, checked, folder)?;
        }
        let (sold, events) = self.write_events_and_items(events).await?;
        let catalogue = CatalogueCounts {
            read: catalogue.read,
            left_out: catalogue.left_out,
            rejected: catalogue.rejected,
            replaced,
            ..sold
        };
        let (user_rows, users) = self.write_users(users).await?;
        let (first_time_ms, last_time_ms) = self.times().await?;
        let (name, sources, test_from_ms) = (self.config.name.clone(), self.config.sources(), self.test_from_ms);
        let summary = PrepareSummary {
            name,
            sources,
            test_from_ms,
            first_time_ms,
            last_time_ms,
            user_rows,
            events,
            catalogue,
            users,
        };
        summary.write(&self.tables)?;
        Ok(summary)
    }

    async fn sql(&self, text: &str) -> Result<DataFrame, DataError> {
        self.ctx.sql(text).await.map_err(query("planning"))
    }

    async fn view(&self, name: &str, text: &str) -> Result<(), DataError> {
        let view = self.sql(text).await?.into_view();
        self.ctx.register_table(name, view).map_err(query("planning"))?;
        Ok(())
    }

    /// Runs a plan into a table that later plans read.
    async fn stage(
        &self,
        name: &str,
        frame: DataFrame,
        columns: &[(&str, DataType)],
        step: &'static str,
    ) -> Result<u64, DataError> {
        let path = self.stage.join(format!("{name}.parquet"));
        let rows = sink::write_parquet(frame, &sink::schema(columns.iter().cloned()), &path, step).await?;
        self.register(name, &path).await?;
        Ok(rows)
    }

    async fn register(&self, name: &str, path: &Path) -> Result<(), DataError> {
        let options = ParquetReadOptions::default();
        self.ctx.register_parquet(name, path.to_string_lossy(), options).await.map_err(query("opening a table"))
    }

    async fn counts(&self, text: &str) -> Result<BTreeMap<String, u64>, DataError> {
        Ok(sink::counts(self.sql(text).await?, "counting").await?.into_iter().collect())
    }

    async fn checked(&self, table: &str, read: u64, rows: u64) -> Result<Checked, DataError> {
        let text = format!("SELECT reason, count(*) FROM {table} WHERE reason IS NOT NULL GROUP BY reason");
        Ok(Checked { read, left_out: read - rows, rejected: self.counts(&text).await? })
    }

    async fn check_events_and_catalogue(&self) -> Result<(Checked, u64, Checked), DataError> {
        let path = self.config.resolve(&self.config.catalogue.path);
        let source = source::register(&self.ctx, "catalogue", &path, &self.stage).await?;
        let (catalogue, replaced) = self.check_catalogue(&source).await?;
        let path = self.config.resolve(&self.config.events.path);
        let source = match path == source.path {
            true => source,
            false => source::register(&self.ctx, "events", &path, &self.stage).await?,
        };
        let frame = checks::events(&self.ctx, &source, &self.config.events).await?;
        let columns = [
            ("record", DataType::Int64),
            ("user_id", DataType::Utf8),
            ("item", DataType::Utf8),
            ("time_ms", DataType::Int64),
            ("event_type", DataType::Utf8),
            ("quantity", DataType::Float32),
            ("price", DataType::Float64),
            ("location", DataType::Utf8),
            ("device", DataType::Utf8),
            ("basket", DataType::Utf8),
            ("id", DataType::Utf8),
            ("left_out", DataType::Boolean),
            ("reason", DataType::Utf8),
            ("value", DataType::Utf8),
        ];
        let rows = self.stage("events", frame, &columns, "checking events").await?;
        let events = self.checked("events", source.rows, rows).await?;
        Ok((catalogue, replaced, events))
    }

    /// Counts, and how many rows a later one replaces.
    async fn check_catalogue(&self, source: &Source) -> Result<(Checked, u64), DataError> {
        let frame = checks::catalogue(&self.ctx, source, &self.config.catalogue).await?;
        let attributes = attributes_of(&frame);
        let columns: Vec<_> = [
            ("record", DataType::Int64),
            ("item", DataType::Utf8),
            ("title", DataType::Utf8),
            ("category", DataType::Utf8),
            ("brand", DataType::Utf8),
            ("price", DataType::Float64),
        ]
        .into_iter()
        .chain(attributes.iter().map(|(name, kind)| (name.as_str(), kind.clone())))
        .chain([("replaced", DataType::Boolean), ("reason", DataType::Utf8), ("value", DataType::Utf8)])
        .collect();
        let rows = self.stage("catalogue", frame, &columns, "checking the catalogue").await?;
        self.view("valid_items", "SELECT * FROM catalogue WHERE reason IS NULL AND NOT replaced").await?;
        self.view(
            "item_status",
            "SELECT item, min(left_out) AS left_out FROM (SELECT item, 0 AS left_out FROM valid_items \
             UNION ALL SELECT item, 1 AS left_out FROM catalogue_left_out WHERE item IS NOT NULL) GROUP BY item",
        )
        .await?;
        let replaced = self.counts("SELECT 'replaced', count(*) FROM catalogue WHERE replaced").await?;
        Ok((self.checked("catalogue", source.rows, rows).await?, total(&replaced)))
    }

    async fn check_users(&self) -> Result<Option<Checked>, DataError> {
        let Some(config) = &self.config.users else { return Ok(None) };
        let source = source::register(&self.ctx, "users", &self.config.resolve(&config.path), &self.stage).await?;
        let frame = checks::users(&self.ctx, &source, config).await?;
        let attributes: Vec<_> = (0..config.attributes.len()).map(|i| format!("attribute_{i}")).collect();
        let columns: Vec<_> = [("record", DataType::Int64), ("user_id", DataType::Utf8)]
            .into_iter()
            .chain(attributes.iter().map(|name| (name.as_str(), DataType::Utf8)))
            .chain([("reason", DataType::Utf8), ("value", DataType::Utf8)])
            .collect();
        let rows = self.stage("users", frame, &columns, "checking users").await?;
        self.checked("users", source.rows, rows).await.map(Some)
    }

    async fn list_rejects(&self, users: bool) -> Result<(), DataError> {
        let path = self.tables.join(REJECTS_FILE);
        let header = ["source", "record", "reason", "value", "user", "item", "id"];
        let types = [DataType::Utf8, DataType::Int64].into_iter().chain(std::iter::repeat(DataType::Utf8));
        let schema = sink::schema(header.into_iter().zip(types));
        let failed = |error: csv::Error| DataError::Io { path: path.clone(), source: error.into() };
        let mut writer = csv::Writer::from_path(&path).map_err(failed)?;
        writer.write_record(header).map_err(failed)?;
        for table in TABLES.iter().filter(|table| users || **table != "users") {
            let ids = match *table {
                "catalogue" => "NULL AS user_id, item, NULL AS id",
                "events" => "user_id, item, id",
                _ => "user_id, NULL AS item, NULL AS id",
            };
            let text = format!(
                "SELECT '{table}', record, reason, value, {ids} FROM {table} WHERE reason IS NOT NULL ORDER BY record"
            );
            sink::append_csv(self.sql(&text).await?, &schema, &mut writer, &path).await?;
        }
        writer.flush().map_err(DataError::io(&path))
    }

    fn limit_rejects(&self, table: &'static str, checked: &Checked, folder: &OutFolder) -> Result<(), DataError> {
        let (read, rejected) = (checked.read, total(&checked.rejected));
        let limit = (read as f64 * self.config.prepare.max_reject_share) as u64;
        if rejected <= limit {
            return Ok(());
        }
        let (reasons, rejects) = (by_reason(&checked.rejected), folder.keep_rejects()?);
        Err(DataError::TooManyRejects { table, rejected, read, limit, reasons, rejects })
    }

    /// Sales per item decide which items are published; events of the others are counted and dropped.
    async fn write_events_and_items(&self, checked: Checked) -> Result<(CatalogueCounts, EventCounts), DataError> {
        self.view("valid_events", &self.valid_events()).await?;
        let sales = self
            .sql(
                "SELECT item, count(*) FILTER (WHERE training) AS training, count(*) AS sold, \
                 median(price) FILTER (WHERE training) AS price FROM valid_events GROUP BY item",
            )
            .await?;
        let columns = [
            ("item", DataType::Utf8),
            ("training", DataType::Int64),
            ("sold", DataType::Int64),
            ("price", DataType::Float64),
        ];
        self.stage("sales", sales, &columns, "counting sales").await?;
        let kept = self.write_items().await?;
        let published = self.published();
        let items = self
            .counts(&format!(
                "SELECT CASE WHEN s.sold IS NULL THEN 'never' WHEN {published} THEN 'kept' WHEN s.training = 0 THEN 'test' \
                 ELSE 'rare' END AS what, count(*) FROM valid_items i LEFT JOIN sales s ON i.item = s.item GROUP BY what"
            ))
            .await?;
        let item = |what| items.get(what).copied().unwrap_or(0);
        let catalogue = CatalogueCounts {
            rare: item("rare"),
            only_in_test: item("test"),
            never_sold: item("never"),
            kept,
            ..Default::default()
        };
        Ok((catalogue, self.write_events(checked).await?))
    }

    /// The events that passed, and whether each is trained with.
    ///
    /// Where one is left out, the last events of a user are those of items that are published: the others are dropped, and would leave
    /// fewer to be held out.
    fn valid_events(&self) -> String {
        let valid = "FROM events WHERE reason IS NULL AND NOT left_out";
        if let Some(test_from) = self.test_from_ms {
            return format!("SELECT *, time_ms < {test_from} AS training {valid}");
        }
        let min = self.config.catalogue.min_events;
        format!(
            "SELECT *, frequent AND (count(*) OVER (PARTITION BY user_id, frequent) < 3 OR row_number() OVER \
             (PARTITION BY user_id, frequent ORDER BY time_ms DESC, record DESC) > 2) AS training \
             FROM (SELECT *, count(*) OVER (PARTITION BY item) >= {min} AS frequent {valid})"
        )
    }

    /// Whether an item of `sales s` is published.
    fn published(&self) -> String {
        let counted = if self.test_from_ms.is_some() { "training" } else { "sold" };
        format!("s.{counted} >= {}", self.config.catalogue.min_events)
    }

    async fn write_items(&self) -> Result<u64, DataError> {
        let names = &self.config.catalogue.columns.attributes;
        let attributes: String = (0..names.len()).map(|i| format!(", i.attribute_{i}")).collect();
        let frame = self
            .sql(&format!(
                "SELECT i.item, i.title, i.category, i.brand, coalesce(i.price, s.price), s.training{attributes} \
                 FROM valid_items i JOIN sales s ON i.item = s.item WHERE {} ORDER BY i.item",
                self.published()
            ))
            .await?;
        let own = [
            ("item", DataType::Utf8),
            ("title", DataType::Utf8),
            ("category", DataType::Utf8),
            ("brand", DataType::Utf8),
            ("price", DataType::Float64),
            ("events", DataType::Int64),
        ];
        let names: Vec<String> = names.keys().map(|name| attribute_column(name)).collect();
        let attributes = names.iter().zip(attributes_of(&frame)).map(|(name, (_, kind))| (name.as_str(), kind));
        let columns: Vec<_> = own.into_iter().chain(attributes).collect();
        let path = self.tables.join(ITEMS_FILE);
        let rows = sink::write_parquet(frame, &sink::schema(columns), &path, "writing items").await?;
        self.register("published", &path).await?;
        Ok(rows)
    }

    async fn write_events(&self, checked: Checked) -> Result<EventCounts, DataError> {
        let default_type = self.config.events.default_type.replace('\'', "''");
        let frame = self
            .sql(&format!(
                "SELECT e.user_id, e.item, e.time_ms, coalesce(e.event_type, '{default_type}'), \
                 coalesce(e.quantity, CAST(1 AS REAL)), e.price, e.location, e.device, e.basket \
                 FROM valid_events e JOIN published p ON e.item = p.item ORDER BY e.user_id, e.time_ms, e.record"
            ))
            .await?;
        let columns = [
            ("user", DataType::Utf8),
            ("item", DataType::Utf8),
            ("time_ms", DataType::Int64),
            ("type", DataType::Utf8),
            ("quantity", DataType::Float32),
            ("price", DataType::Float64),
            ("location", DataType::Utf8),
            ("device", DataType::Utf8),
            ("basket", DataType::Utf8),
        ];
        let path = self.tables.join(EVENTS_FILE);
        sink::write_parquet(frame, &sink::schema(columns), &path, "sorting events").await?;
        self.register("prepared", &path).await?;
        let part = "SELECT CASE WHEN training THEN 'training' ELSE 'test' END AS part, count(*) FROM valid_events e";
        let valid = self.counts(&format!("{part} GROUP BY part")).await?;
        let kept = self.counts(&format!("{part} JOIN published p ON e.item = p.item GROUP BY part")).await?;
        let left = self.counts("SELECT 'left', count(*) FROM events WHERE left_out").await?;
        let of = |counts: &BTreeMap<String, u64>, part| counts.get(part).copied().unwrap_or(0);
        let events = EventCounts {
            read: checked.read,
            left_out: checked.left_out,
            left_out_with_item: total(&left),
            outside_training: of(&valid, "training") - of(&kept, "training"),
            outside_test: of(&valid, "test") - of(&kept, "test"),
            training: of(&kept, "training"),
            test: of(&kept, "test"),
            rejected: checked.rejected,
            by_type: self.counts("SELECT \"type\", count(*) FROM prepared GROUP BY \"type\"").await?,
        };
        if events.training > 0 {
            return Ok(events);
        }
        Err(DataError::NothingLeft {
            read: events.read,
            left_out: events.left_out + events.left_out_with_item,
            rejected: total(&events.rejected),
            outside: events.outside_training + events.outside_test,
        })
    }

    async fn write_users(&self, checked: Option<Checked>) -> Result<(u64, Option<UserCounts>), DataError> {
        self.view("buyers", "SELECT DISTINCT \"user\" AS user_id FROM prepared").await?;
        let names: &[String] = self.config.users.as_ref().map_or(&[], |users| &users.attributes);
        let attributes: String = (0..names.len()).map(|i| format!(", d.attribute_{i}")).collect();
        let join = match checked {
            Some(_) => "LEFT JOIN (SELECT * FROM users WHERE reason IS NULL) d ON b.user_id = d.user_id",
            None => "",
        };
        let frame = self.sql(&format!("SELECT b.user_id{attributes} FROM buyers b {join} ORDER BY b.user_id")).await?;
        let columns = [("user", DataType::Utf8)].into_iter().chain(names.iter().map(|n| (n.as_str(), DataType::Utf8)));
        let path = self.tables.join(USERS_FILE);
        let rows = sink::write_parquet(frame, &sink::schema(columns), &path, "writing users").await?;
        let Some(checked) = checked else { return Ok((rows, None)) };
        let known =
            "SELECT 'known', count(*) FROM users u JOIN buyers b ON u.user_id = b.user_id WHERE u.reason IS NULL";
        let kept = total(&self.counts(known).await?);
        let without_events = checked.read - total(&checked.rejected) - kept;
        Ok((rows, Some(UserCounts { read: checked.read, rejected: checked.rejected, without_events, kept })))
    }

    /// First and last time of the events kept.
    async fn times(&self) -> Result<(i64, i64), DataError> {
        let text = "SELECT 'first', min(time_ms) FROM prepared UNION ALL SELECT 'last', max(time_ms) FROM prepared";
        let times = self.counts(text).await?;
        let of = |name| times.get(name).map_or(0, |time| *time as i64);
        Ok((of("first"), of("last")))
    }
}
