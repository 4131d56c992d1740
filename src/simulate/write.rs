//! What a simulation leaves: impressions, their truth, and the events that a shop would have logged.

use std::fmt::Write;
use std::path::Path;

use super::{Funnel, FunnelParams, SimulateError};
use crate::data::{Dataset, Impressions, Task};
use crate::platform::files::write_atomically;

/// File names in the folder of a simulation.
pub mod files {
    /// What was shown and done: [`Impressions`](crate::data::Impressions).
    pub const IMPRESSIONS: &str = "impressions.parquet";
    /// How probable it was: [`Truth`](crate::data::Truth).
    pub const TRUTH: &str = "truth.parquet";
    /// Views, carts and purchases.
    pub const EVENTS: &str = "events.csv";
    /// The catalogue that they are of.
    pub const CATALOGUE: &str = "catalogue.csv";
    /// Describes both to `nearshelf prepare`.
    pub const CONFIG: &str = "nearshelf.toml";
    /// The parameters, the true weights among them, and how often what happened.
    pub const PARAMS: &str = "simulation.json";
    /// What this is.
    pub const README: &str = "README.txt";
}

/// Stands in every file that can say what it is.
pub const SYNTHETIC: &str = "synthetic: invented by `nearshelf simulate funnel`, not observed";

/// Share of the simulated days that the written configuration trains with.
const TRAINED: f64 = 0.8;

/// Writes all [`files`] of a simulation.
///
/// # Errors
/// [`SimulateError::Io`] or [`SimulateError::Impressions`] if one cannot be written.
pub fn write(dataset: &Dataset, params: &FunnelParams, funnel: &Funnel, out: &Path) -> Result<(), SimulateError> {
    let rows = &funnel.impressions;
    Impressions::write(rows, dataset, &out.join(files::IMPRESSIONS), SYNTHETIC)?;
    funnel.truth.write(rows, dataset, &out.join(files::TRUTH), SYNTHETIC)?;
    let levels = dataset.items.iter().map(|item| item.category.len()).max().unwrap_or(0);
    let counts = Task::ALL.map(|task| (task.name(), funnel.count(task)));
    let about = serde_json::json!({
        "origin": SYNTHETIC,
        "params": params,
        "impressions": rows.len(),
        "counts": counts.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
    });
    let texts = [
        (files::EVENTS, events(dataset, funnel)),
        (files::CATALOGUE, catalogue(dataset, levels)),
        (files::CONFIG, config(dataset, funnel, levels).into_bytes()),
        (files::PARAMS, serde_json::to_vec_pretty(&about).unwrap_or_default()),
        (files::README, README.as_bytes().to_vec()),
    ];
    for (name, bytes) in texts {
        let path = out.join(name);
        write_atomically(&path, &bytes).map_err(|source| SimulateError::Io { path, source })?;
    }
    Ok(())
}

const README: &str = "\
SYNTHETIC DATA. `nearshelf simulate funnel` invented every impression, click, cart and purchase in this folder; nobody did any of it.
Items, and the users that shoppers are modelled on, are those of the prepared data set that it was given.

impressions.parquet  user, item, time, position, click, cart, purchase: one row per item shown
truth.parquet        p_click, p_cart, p_purchase of the same rows, in the same order; no model is trained on it
events.csv           the same as a shop logs it: a view for each click, carts and purchases
catalogue.csv        the items; with nearshelf.toml, `nearshelf --config nearshelf.toml prepare` reads both
simulation.json      seed, parameters and the true weights
";

/// Rows of CSV; writing into memory does not fail.
fn csv_bytes(header: &[String], rows: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let rows = std::iter::once(header.to_vec()).chain(rows);
    rows.for_each(|row| writer.write_record(row).expect("memory takes every row, and rows are of one length"));
    writer.into_inner().expect("memory needs no flush that fails")
}

fn events(dataset: &Dataset, funnel: &Funnel) -> Vec<u8> {
    let header = ["user", "item", "time_ms", "type"].map(str::to_owned);
    let rows = funnel.impressions.iter().flat_map(|row| {
        let types = Task::ALL.into_iter().zip(["view", "cart", "purchase"]).filter(|(task, _)| row.reached(*task));
        types.map(|(task, name)| {
            // A minute passes between the steps.
            let time_ms = row.time_ms + 60_000 * task as i64;
            let user = row.user.map_or("", |user| &dataset.users[user as usize].id);
            vec![user.to_owned(), dataset.items[row.item as usize].id.clone(), time_ms.to_string(), name.to_owned()]
        })
    });
    csv_bytes(&header, rows)
}

fn catalogue(dataset: &Dataset, levels: usize) -> Vec<u8> {
    let header: Vec<String> =
        ["item", "title", "brand", "price"].map(str::to_owned).into_iter().chain(level_names(levels)).collect();
    let rows = dataset.items.iter().map(|item| {
        let mut row = vec![item.id.clone(), item.title.clone(), item.brand.clone().unwrap_or_default()];
        row.push(item.price.map_or(String::new(), |price| price.to_string()));
        row.extend((0..levels).map(|level| item.category.get(level).cloned().unwrap_or_default()));
        row
    });
    csv_bytes(&header, rows)
}

fn level_names(levels: usize) -> impl Iterator<Item = String> {
    (1..=levels).map(|level| format!("level_{level}"))
}

fn config(dataset: &Dataset, funnel: &Funnel, levels: usize) -> String {
    let times = funnel.impressions.iter().map(|row| row.time_ms);
    let (first, last) = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
    let test_from = first + ((last - first) as f64 * TRAINED) as i64;
    let test_from = datafusion::arrow::temporal_conversions::timestamp_ms_to_datetime(test_from);
    let mut text = format!("# {SYNTHETIC}\nname = \"synthetic-funnel\"\n\n");
    let _ = write!(text, "[events]\npath = \"{}\"\ntime_format = \"milliseconds\"\n", files::EVENTS);
    text += "columns = { user = \"user\", item = \"item\", time = \"time_ms\", type = \"type\" }\n\n";
    let _ = write!(text, "[catalogue]\npath = \"{}\"\n\n[catalogue.columns]\nitem = \"item\"\n", files::CATALOGUE);
    text += "title = [\"title\"]\nprice = \"price\"\n";
    if dataset.items.iter().any(|item| item.brand.is_some()) {
        text += "brand = \"brand\"\n";
    }
    let _ = writeln!(text, "category = {:?}", level_names(levels).collect::<Vec<_>>());
    let test_from = test_from.map_or(String::new(), |time| time.format("%Y-%m-%dT%H:%M:%S").to_string());
    let _ = write!(text, "\n[split]\ntest_from = \"{test_from}\"\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Config, Truth, prepare};
    use crate::simulate::funnel;
    use crate::simulate::testing::shop;

    #[test]
    fn what_is_written_is_the_same_again_and_read_by_all_that_read_it() {
        let (data, params) = (shop(7, 200), FunnelParams::new(5, 200));
        let found = funnel(&data, &params).unwrap();
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for folder in &folders {
            write(&data, &params, &found, folder.path()).unwrap();
        }
        let folder = folders[0].path();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let other = folders[1].path().join(path.file_name().unwrap());
            assert!(std::fs::read(&path).unwrap() == std::fs::read(other).unwrap(), "{}", path.display());
        }
        let read = Impressions::read(&folder.join(files::IMPRESSIONS), &data).unwrap();
        assert_eq!(read.rows, found.impressions);
        assert_eq!(Truth::read(&folder.join(files::TRUTH), &read, &data).unwrap(), found.truth);

        let config = Config::read(&folder.join(files::CONFIG)).unwrap();
        let out = tempfile::tempdir().unwrap();
        let prepared = out.path().join("prepared");
        prepare(&config, &prepared).unwrap();
        let prepared = Dataset::read(&prepared, &config).unwrap();
        assert_eq!(prepared.event_types, ["cart", "purchase", "view"]);
        let of_items = |item: &str| data.items.iter().any(|known| known.id == item && !known.category.is_empty());
        assert!(prepared.items.iter().all(|item| of_items(&item.id) && item.category.len() == 2));
        let events: usize = Task::ALL.into_iter().map(|task| found.count(task)).sum();
        // Items that nobody touched before the split are not published.
        assert!(prepared.events.len() > events * 9 / 10 && prepared.events.len() <= events);
    }
}
