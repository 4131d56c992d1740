//! Prepared tables -> [`Dataset`].

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, SchemaRef};
use datafusion::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::checks::LEVEL_SEPARATOR;
use super::folder::{EVENTS_FILE, ITEMS_FILE, USERS_FILE};
use super::prepare::attribute_column;
use super::summary::{SUMMARY_FILE, date};
use super::{Attribute, Config, DataError, Dataset, Event, Item, PrepareSummary, User};

impl Dataset {
    /// Reads the tables that [`prepare`](super::prepare) wrote with the same configuration.
    ///
    /// # Errors
    /// [`DataError::Io`] or [`DataError::Unreadable`] for a file that is missing or cut, [`DataError::Inconsistent`] for tables that
    /// do not fit each other or `config`.
    pub fn read(prepared: &Path, config: &Config) -> Result<Self, DataError> {
        let summary = PrepareSummary::read(prepared)?;
        let (holdout, test_from_ms) = (config.split.holdout()?, config.split.test_from_ms()?);
        if summary.test_from_ms != test_from_ms {
            let text = |time: Option<i64>| time.map_or("leave one out".to_owned(), date);
            return Err(DataError::Inconsistent {
                path: prepared.join(SUMMARY_FILE),
                place: "test_from".into(),
                found: text(summary.test_from_ms),
                expected: format!("{}, as [split] says", text(test_from_ms)),
            });
        }
        let sources = config.sources();
        if summary.sources != sources {
            let (place, found) = ("sources".into(), "of another configuration".to_owned());
            let (path, expected) =
                (prepared.join(SUMMARY_FILE), "what [events], [catalogue] and [users] say now".to_owned());
            return Err(DataError::Inconsistent { path, place, found, expected });
        }
        let names: Vec<&String> = config.catalogue.columns.attributes.keys().collect();
        let items = read_items(Table::open(prepared, ITEMS_FILE, summary.catalogue.kept)?, &names)?;
        let attributes = config.users.as_ref().map_or_else(Vec::new, |users| users.attributes.clone());
        let users = read_users(Table::open(prepared, USERS_FILE, summary.user_rows)?, &attributes)?;
        let dataset = Self { items, users, attributes, ..Self::default() };
        let mut dataset = Events::new(dataset).read(Table::open(prepared, EVENTS_FILE, summary.events.kept())?)?;
        dataset.hold_out(holdout, test_from_ms.unwrap_or_default());
        Ok(dataset)
    }
}

/// One prepared file, batch by batch.
struct Table {
    path: PathBuf,
    schema: SchemaRef,
    batches: ParquetRecordBatchReader,
    /// Rows of the batches before this one.
    rows: usize,
    expected: u64,
}

impl Table {
    fn open(prepared: &Path, name: &str, expected: u64) -> Result<Self, DataError> {
        let path = prepared.join(name);
        let file = File::open(&path).map_err(DataError::io(&path))?;
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(file).map_err(DataError::unreadable(&path, "Parquet"))?;
        let schema = builder.schema().clone();
        let batches = builder.build().map_err(DataError::unreadable(&path, "Parquet"))?;
        Ok(Self { path, schema, batches, rows: 0, expected })
    }

    fn inconsistent(&self, place: String, found: impl Into<String>, expected: impl Into<String>) -> DataError {
        let (found, expected) = (found.into(), expected.into());
        DataError::Inconsistent { path: self.path.clone(), place, found, expected }
    }

    /// For a fault in a row of the batch at hand.
    fn bad_row(&self, row: usize, found: impl Into<String>, expected: impl Into<String>) -> DataError {
        self.inconsistent(format!("row {}", self.rows + row + 1), found, expected)
    }

    /// The next batch; at the end, checks that none was missing.
    fn next(&mut self) -> Result<Option<RecordBatch>, DataError> {
        match self.batches.next().transpose().map_err(DataError::unreadable(&self.path, "Parquet"))? {
            Some(batch) => Ok(Some(batch)),
            None if self.rows as u64 == self.expected => Ok(None),
            None => Err(self.inconsistent("number of rows".into(), self.rows.to_string(), self.expected.to_string())),
        }
    }

    fn column(&self, batch: &RecordBatch, name: &str, kind: &DataType) -> Result<ArrayRef, DataError> {
        let position = self.schema.fields().iter().position(|field| field.name() == name);
        let place = || format!("column '{name}'");
        let column = position
            .map(|position| batch.column(position))
            .ok_or_else(|| self.inconsistent(place(), "missing", kind.to_string()))?;
        if column.data_type() == kind {
            return Ok(column.clone());
        }
        Err(self.inconsistent(place(), column.data_type().to_string(), kind.to_string()))
    }

    fn text(&self, batch: &RecordBatch, name: &str) -> Result<StringArray, DataError> {
        Ok(self.column(batch, name, &DataType::Utf8)?.as_string::<i32>().clone())
    }

    /// A column that is never null.
    fn required<T>(&self, name: &str, column: T) -> Result<T, DataError>
    where
        T: Array,
    {
        match (0..column.len()).find(|row| column.is_null(*row)) {
            Some(row) => Err(self.bad_row(row, format!("null in column '{name}'"), "a value")),
            None => Ok(column),
        }
    }
}

fn at(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

/// The order that dense indices follow.
fn check_order(table: &Table, row: usize, before: Option<&str>, id: &str) -> Result<(), DataError> {
    match before {
        Some(before) if before >= id => Err(table.bad_row(row, format!("id '{id}' after '{before}'"), "ascending ids")),
        _ => Ok(()),
    }
}

/// A column of an attribute: numbers, of which only finite ones are kept, or text.
fn read_attribute(table: &Table, batch: &RecordBatch, name: &str) -> Result<Vec<Option<Attribute>>, DataError> {
    let name = attribute_column(name);
    if let Ok(numbers) = table.column(batch, &name, &DataType::Float64) {
        let numbers = numbers.as_primitive::<Float64Type>().iter();
        return Ok(numbers.map(|number| number.filter(|number| number.is_finite()).map(Attribute::Number)).collect());
    }
    let texts = table.text(batch, &name)?;
    Ok(texts.iter().map(|text| text.map(|text| Attribute::Text(text.to_owned()))).collect())
}

fn read_items(mut table: Table, names: &[&String]) -> Result<Vec<Item>, DataError> {
    let mut items: Vec<Item> = Vec::new();
    while let Some(batch) = table.next()? {
        let ids = table.required("item", table.text(&batch, "item")?)?;
        let (titles, categories) = (table.text(&batch, "title")?, table.text(&batch, "category")?);
        let brands = table.text(&batch, "brand")?;
        let prices = table.column(&batch, "price", &DataType::Float64)?;
        let events = table.required("events", table.column(&batch, "events", &DataType::Int64)?)?;
        let (prices, events) = (prices.as_primitive::<Float64Type>(), events.as_primitive::<Int64Type>());
        let attributes = names.iter().map(|name| read_attribute(&table, &batch, name));
        let mut attributes = attributes.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let id = ids.value(row);
            check_order(&table, row, items.last().map(|item| item.id.as_str()), id)?;
            let path = at(&categories, row).filter(|path| !path.is_empty());
            items.push(Item {
                id: id.to_owned(),
                title: at(&titles, row).unwrap_or_default().to_owned(),
                category: path.map_or_else(Vec::new, |p| p.split(LEVEL_SEPARATOR).map(str::to_owned).collect()),
                brand: at(&brands, row).map(str::to_owned),
                price: prices.is_valid(row).then(|| prices.value(row)),
                events: u32::try_from(events.value(row))
                    .map_err(|_| table.bad_row(row, events.value(row).to_string(), "a count of events"))?,
                attributes: attributes.iter_mut().map(|column| column[row].take()).collect(),
            });
        }
        table.rows += batch.num_rows();
    }
    Ok(items)
}

fn read_users(mut table: Table, attributes: &[String]) -> Result<Vec<User>, DataError> {
    let mut users: Vec<User> = Vec::new();
    while let Some(batch) = table.next()? {
        let ids = table.required("user", table.text(&batch, "user")?)?;
        let columns = attributes.iter().map(|name| table.text(&batch, name)).collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let id = ids.value(row);
            check_order(&table, row, users.last().map(|user| user.id.as_str()), id)?;
            let attributes = columns.iter().map(|column| at(column, row).map(str::to_owned)).collect();
            users.push(User { id: id.to_owned(), attributes });
        }
        table.rows += batch.num_rows();
    }
    Ok(users)
}

/// Names numbered as they come; at the end, by name.
#[derive(Default)]
struct Names {
    numbers: HashMap<String, u32>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// The names in order, and the place in it of every number given before.
    fn sorted(self) -> (Vec<String>, Vec<u32>) {
        let mut places = vec![0; self.numbers.len()];
        let order: BTreeSet<(String, u32)> = self.numbers.into_iter().collect();
        let names = order.into_iter().enumerate().map(|(place, (name, number))| {
            places[number as usize] = place as u32;
            name
        });
        let names = names.collect();
        (names, places)
    }
}

/// As many as [`Event::device`] tells apart; the number after the last one is "unknown".
const MOST_DEVICES: u32 = u16::MAX as u32;

/// Events on their way into a [`Dataset`].
struct Events {
    dataset: Dataset,
    locations: Names,
    devices: Names,
    types: Names,
    /// Baskets of the user at hand: an id of another user is another basket.
    baskets: HashMap<String, u32>,
    next_basket: u32,
    user: usize,
}

impl Events {
    fn new(dataset: Dataset) -> Self {
        let (locations, devices, types, baskets) = Default::default();
        Self { dataset, locations, devices, types, baskets, next_basket: 0, user: 0 }
    }

    fn read(mut self, mut table: Table) -> Result<Dataset, DataError> {
        let items = std::mem::take(&mut self.dataset.items);
        let item_of: HashMap<&str, u32> = (0..).zip(&items).map(|(index, item)| (item.id.as_str(), index)).collect();
        self.dataset.user_offsets.push(0);
        while let Some(batch) = table.next()? {
            self.push(&table, &batch, &item_of)?;
            table.rows += batch.num_rows();
        }
        self.dataset.user_offsets.push(self.dataset.events.len());
        if self.user + 1 != self.dataset.users.len() {
            let (found, expected) = (self.user + 1, self.dataset.users.len());
            return Err(table.inconsistent("number of users".into(), found.to_string(), expected.to_string()));
        }
        self.dataset.items = items;
        let (locations, location_of) = self.locations.sorted();
        let (devices, device_of) = self.devices.sorted();
        let (event_types, type_of) = self.types.sorted();
        for event in &mut self.dataset.events {
            event.location = location_of.get(event.location as usize).copied().unwrap_or(u32::MAX);
            event.device = device_of.get(usize::from(event.device)).map_or(u16::MAX, |device| *device as u16);
            event.event_type = type_of[event.event_type as usize] as u16;
        }
        Ok(Dataset { locations, devices, event_types, ..self.dataset })
    }

    fn push(&mut self, table: &Table, batch: &RecordBatch, item_of: &HashMap<&str, u32>) -> Result<(), DataError> {
        let users = table.required("user", table.text(batch, "user")?)?;
        let items = table.required("item", table.text(batch, "item")?)?;
        let times = table.required("time_ms", table.column(batch, "time_ms", &DataType::Int64)?)?;
        let types = table.required("type", table.text(batch, "type")?)?;
        let quantities = table.required("quantity", table.column(batch, "quantity", &DataType::Float32)?)?;
        let (locations, baskets) = (table.text(batch, "location")?, table.text(batch, "basket")?);
        let devices = table.text(batch, "device")?;
        let (times, quantities) = (times.as_primitive::<Int64Type>(), quantities.as_primitive::<Float32Type>());
        for row in 0..batch.num_rows() {
            self.enter(table, row, users.value(row))?;
            let time_ms = times.value(row);
            let first = self.dataset.user_offsets.last() == Some(&self.dataset.events.len());
            if !first && self.dataset.events.last().is_some_and(|event| event.time_ms > time_ms) {
                return Err(table.bad_row(row, format!("time {time_ms}"), "ascending times of a user"));
            }
            let event_type = u16::try_from(self.types.number(types.value(row)))
                .map_err(|_| table.bad_row(row, "one event type more", "at most 65536 event types"))?;
            let device = at(&devices, row).map_or(MOST_DEVICES, |name| self.devices.number(name));
            let device = u16::try_from(device.min(MOST_DEVICES + 1))
                .map_err(|_| table.bad_row(row, "one device more", "at most 65535 devices"))?;
            let item = item_of.get(items.value(row)).copied();
            let event = Event {
                user: self.user as u32,
                item: item.ok_or_else(|| table.bad_row(row, items.value(row), "an item of items.parquet"))?,
                time_ms,
                location: at(&locations, row).map_or(u32::MAX, |name| self.locations.number(name)),
                device,
                event_type,
                quantity: quantities.value(row),
                basket: self.basket(at(&baskets, row)),
            };
            self.dataset.events.push(event);
        }
        Ok(())
    }

    /// Moves on to the user of a row: this one, or the next.
    fn enter(&mut self, table: &Table, row: usize, user: &str) -> Result<(), DataError> {
        let is = |index: usize| self.dataset.users.get(index).is_some_and(|known| known.id == user);
        if is(self.user) {
            return Ok(());
        }
        if self.dataset.events.is_empty() || !is(self.user + 1) {
            return Err(table.bad_row(row, format!("user '{user}'"), "the users of users.parquet in their order"));
        }
        self.user += 1;
        self.baskets.clear();
        self.dataset.user_offsets.push(self.dataset.events.len());
        Ok(())
    }

    fn basket(&mut self, id: Option<&str>) -> u32 {
        if let Some(known) = id.and_then(|id| self.baskets.get(id)) {
            return *known;
        }
        let number = self.next_basket;
        self.next_basket += 1;
        if let Some(id) = id {
            self.baskets.insert(id.to_owned(), number);
        }
        number
    }
}
