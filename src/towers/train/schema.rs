//! What the query tower of a data set reads.

use std::collections::BTreeSet;

use super::model::Model;
use super::moments::DEVICE;
use crate::Digest;
use crate::data::config::EncoderConfig;
use crate::data::{Config, Dataset};
use crate::features::content::ContentSchema;
use crate::features::history::{AGES, COUNTS};
use crate::features::schema::LOCATION_SEPARATOR;
use crate::features::{Ages, Categorical, FeatureSchema, HistorySchema, Repeats, UserVector};

/// Most resolutions of a place that are read beside the whole of it.
const MOST_LEVELS: usize = 4;

pub(super) fn query_schema(dataset: &Dataset, config: &Config) -> FeatureSchema {
    let (model, mut categories) = (&config.model, Vec::new());
    if !dataset.locations.is_empty() {
        let parts = dataset.locations.iter().map(|place| place.split(char::from(LOCATION_SEPARATOR)).count()).max();
        let buckets = model.location_buckets;
        let levels = match parts {
            Some(2..) => 1..=parts.unwrap_or_default().min(MOST_LEVELS) as u32,
            _ => 0..=0,
        };
        categories.extend(levels.map(|level| Categorical::Location { buckets, level }));
    }
    categories.extend([Categorical::Hour, Categorical::Weekday]);
    for (column, name) in dataset.attributes.iter().enumerate() {
        let values = dataset.users.iter().filter_map(|user| user.attributes[column].clone());
        let values: Vec<String> = values.collect::<BTreeSet<_>>().into_iter().collect();
        categories.push(Categorical::Attribute { name: name.clone(), values });
    }
    categories.push(Categorical::Attribute { name: DEVICE.to_owned(), values: dataset.devices.clone() });
    // A feature with no value but "missing" says nothing.
    categories.retain(|category| category.cardinality() > 1);
    let ages = if model.encoder == EncoderConfig::Mean { Ages::Now } else { Ages::Next };
    let several = model.history_types && dataset.event_types.len() > 1;
    let history = HistorySchema {
        types: if several { dataset.event_types.clone() } else { Vec::new() },
        ages: model.history_ages.then_some(ages),
        repeats: model.repeats.then(|| Repeats { numbers: vec![0.0; (COUNTS + AGES) as usize] }),
        ..HistorySchema::of_items(model.history, model.history_decay, model.history_count_power)
    };
    let user = model.user_vector.as_ref().map(|user| UserVector { default: vec![0.0; user.factors] });
    FeatureSchema { dim: model.dim, history, categories, user }
}

/// The schema with what training found for it.
pub(super) fn trained_schema(schema: FeatureSchema, model: &Model) -> FeatureSchema {
    let repeats = model.repeats.as_ref().map(|repeats| {
        // Clients add them to inner products.
        Repeats { numbers: repeats.values.iter().map(|nats| nats * model.temperature()).collect() }
    });
    let user = model.user.as_ref().map(|user| UserVector { default: user.values.clone() });
    FeatureSchema { history: HistorySchema { repeats, ..schema.history }, user, ..schema }
}

/// Identifies what a checkpoint was trained with: another configuration or other data start anew.
pub(super) fn settings(config: &Config, (content, vectors): (&ContentSchema, &[f32]), dataset: &Dataset) -> String {
    let text = format!("{:?} {:?} {content:?}", config.model, config.train);
    let (items, users) = (format!("{:?}", dataset.items), format!("{:?}", dataset.users));
    let events = dataset.events.iter().map(|event| format!("{event:?}"));
    let events: Vec<u8> = events.flat_map(String::into_bytes).collect();
    let rest =
        format!("{:?} {:?} {:?} {}", dataset.locations, dataset.devices, dataset.event_types, dataset.test_from_ms);
    let vectors = bytemuck::cast_slice(vectors);
    Digest::of_parts([text.as_bytes(), vectors, items.as_bytes(), users.as_bytes(), &events, rest.as_bytes()])
        .to_string()
}
