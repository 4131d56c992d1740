//! Content vectors of items: what their texts, pictures or other descriptions say, as numbers for the candidate tower.
//!
//! A *source* turns items into rows of its own width: static token vectors (`tokens`) or a sentence encoder (`encoder`, `bert`) read an
//! item's text, a table has ready-made vectors. An item's content is the rows of all sources, one behind the other. Every source is
//! scaled to a mean square length of 1 and centred; scale and mean are those of the catalogue that towers were trained on, so that an
//! item that joins later gets the same map. An item that a source knows nothing of has zeros there, which is the mean.
//!
//! Rows are the same for any number of threads and for any other items beside. Those of sentence encoders are kept in a folder
//! (`cache`), for texts that come again.
//!
//! A source that cannot be used, or is not the one of the training, is a [`ContentError`].

mod bert;
mod cache;
mod encoder;
mod error;
mod sources;
mod tensors;
#[cfg(test)]
mod tests;
mod tokens;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::data::{Config, Item};

pub use error::ContentError;
use sources::{Source, sources};

/// How items become content, as one training fixed it. Without sources, the default, content has no numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentSchema {
    /// In the order of the configuration, texts first.
    pub sources: Vec<SourceSchema>,
}

/// One source as it was trained with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSchema {
    /// What turns texts into vectors: the digest of its files and settings. A table of ready-made vectors grows with the catalogue
    /// and has none.
    pub digest: Option<Digest>,
    /// Items of the training that the source knew nothing of.
    pub missing: usize,
    /// Its vectors are multiplied by this, 1 for vectors of unit length.
    pub scale: f32,
    /// Mean of the scaled vectors of the items that have one, `[width]`.
    pub mean: Vec<f32>,
}

impl ContentSchema {
    /// Reads the sources of a configuration, and takes scale and mean off a catalogue; also the catalogue's rows, `[items, width]`.
    ///
    /// `cache` is a folder for vectors of texts; it is made when needed, and may be removed at any time.
    ///
    /// # Errors
    /// [`ContentError`] for a source that cannot be used, or a table that has no vector of any of the items.
    pub fn fit(config: &Config, items: &[Item], cache: &Path) -> Result<(Self, Vec<f32>), ContentError> {
        let mut parts = Vec::new();
        for source in sources(config)? {
            let vectors = source.vectors(config, items, cache)?;
            let schema = SourceSchema::fit(&source, &vectors)?;
            parts.push((schema, vectors));
        }
        let rows = joined(&parts, items.len());
        Ok((Self { sources: parts.into_iter().map(|(schema, _)| schema).collect() }, rows))
    }

    /// The rows of any items, `[items, width]`, by the scale and mean of the training. `cache` is that of [`ContentSchema::fit`].
    ///
    /// # Errors
    /// [`ContentError::Changed`] if the configuration's sources are not those of the training, else as [`ContentSchema::fit`].
    pub fn rows(&self, config: &Config, items: &[Item], cache: &Path) -> Result<Vec<f32>, ContentError> {
        let sources = sources(config)?;
        if sources.len() != self.sources.len() {
            let (found, expected) = (sources.len().to_string(), self.sources.len().to_string());
            return Err(ContentError::Changed { what: "the number of sources".to_owned(), found, expected });
        }
        let mut parts = Vec::new();
        for (source, schema) in sources.iter().zip(&self.sources) {
            schema.check(source)?;
            let vectors = source.vectors(config, items, cache)?;
            // A catalogue without any text has vectors of no width.
            if vectors.known() > 0 && vectors.width != schema.mean.len() {
                let (found, expected) = (vectors.width.to_string(), schema.mean.len().to_string());
                return Err(ContentError::Changed { what: format!("the width of {}", source.name()), found, expected });
            }
            parts.push((schema.clone(), vectors));
        }
        Ok(joined(&parts, items.len()))
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.sources.iter().map(|source| source.mean.len()).sum()
    }
}

impl SourceSchema {
    fn fit(source: &Source, vectors: &Vectors) -> Result<Self, ContentError> {
        let known = vectors.known();
        if known == 0 {
            let found = format!("no vector of any of {} items", vectors.rows.len());
            let remedy = "check the ids of the table, and what makes an item's text";
            return Err(ContentError::wrong(source.path(), "items", found, "vectors of most items", remedy));
        }
        let rows = || vectors.rows.iter().flatten();
        let square = |row: &Vec<f32>| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let mean_square = rows().map(square).sum::<f64>() / known as f64;
        let scale = match source {
            Source::Table(_) if mean_square > 0.0 => mean_square.sqrt().recip() as f32,
            // Those of texts are of unit length.
            _ => 1.0,
        };
        let mut mean = vec![0.0_f64; vectors.width];
        for row in rows() {
            mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(scale * x));
        }
        let mean = mean.into_iter().map(|sum| (sum / known as f64) as f32).collect();
        Ok(Self { digest: source.digest(), missing: vectors.rows.len() - known, scale, mean })
    }

    /// That a source is the one of the training, as far as its files tell.
    fn check(&self, source: &Source) -> Result<(), ContentError> {
        if source.digest() == self.digest {
            return Ok(());
        }
        let text = |digest: Option<Digest>| digest.map_or("a table of vectors".to_owned(), |digest| digest.to_string());
        let (found, expected) = (text(source.digest()), text(self.digest));
        Err(ContentError::Changed { what: format!("the digest of {}", source.name()), found, expected })
    }
}

/// The scaled and centred vectors of all sources, side by side.
fn joined(parts: &[(SourceSchema, Vectors)], items: usize) -> Vec<f32> {
    let width: usize = parts.iter().map(|(schema, _)| schema.mean.len()).sum();
    let mut joined = vec![0.0; items * width];
    let mut from = 0;
    for (schema, vectors) in parts {
        for (item, row) in vectors.rows.iter().enumerate() {
            let Some(row) = row else { continue };
            let target = &mut joined[item * width + from..][..schema.mean.len()];
            for ((target, x), mean) in target.iter_mut().zip(row).zip(&schema.mean) {
                *target = schema.scale * x - mean;
            }
        }
        from += schema.mean.len();
    }
    joined
}

/// What a source says of some items or texts.
#[derive(Debug, Clone, PartialEq)]
struct Vectors {
    width: usize,
    /// None where it has nothing to say.
    rows: Vec<Option<Vec<f32>>>,
}

impl Vectors {
    fn known(&self) -> usize {
        self.rows.iter().flatten().count()
    }
}

/// Divides by the length; whether there is one, finite and not 0.
fn normalise(vector: &mut [f32]) -> bool {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
    length > 0.0 && length.is_finite()
}
