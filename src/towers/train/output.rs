//! What a training leaves in its folder.

use std::path::Path;

use super::export;
use super::files;
use super::long_term::LongTerm;
use super::model::Model;
use crate::Digest;
use crate::data::Config;
use crate::features::FeatureSchema;
use crate::features::content::ContentSchema;
use crate::features::items::{ItemSchema, KnownItems};
use crate::platform::files::write_atomically;
use crate::towers::TowerError;
use crate::towers::candidate::TowerSchemas;

pub(super) fn write(run: &Path, name: &str, bytes: &[u8]) -> Result<(), TowerError> {
    let path = run.join(name);
    write_atomically(&path, bytes).map_err(|source| TowerError::Io { path, source })
}

/// Writes both towers; their digest.
pub(super) fn write_towers(
    run: &Path,
    model: &Model,
    (query, (items, content), known): (FeatureSchema, (ItemSchema, ContentSchema), &KnownItems),
    long_term: Option<&LongTerm>,
    config: &Config,
) -> Result<Digest, TowerError> {
    let factors = long_term.map(LongTerm::to_bytes).transpose()?;
    let query_onnx = export::query_onnx(model, &query, &config.model);
    let candidate_onnx = export::candidate_onnx(model, &items, &config.model);
    let catalogue = known.to_json();
    let files = [&catalogue, &query_onnx, &candidate_onnx];
    let schemas = TowerSchemas::new(query, (items, content), files.map(Vec::as_slice), factors.as_deref());
    if let Some(factors) = &factors {
        write(run, files::USER_FACTORS, factors)?;
    }
    write(run, files::CATALOGUE, &catalogue)?;
    write(run, files::QUERY, &query_onnx)?;
    write(run, files::CANDIDATE, &candidate_onnx)?;
    // Written last: it names the digests of the others, so a half-written run is noticed.
    write(run, files::SCHEMAS, &serde_json::to_vec_pretty(&schemas).unwrap_or_default())?;
    Ok(schemas.towers)
}
