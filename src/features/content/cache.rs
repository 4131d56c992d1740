//! Vectors of texts that were encoded before, on disk: encoding a catalogue takes minutes, and most of it is there the next time.
//!
//! A file per encoder, named by its digest, safetensors: `keys [texts, 32]`, the SHA-256 of each text; `rows [texts, width]`. A file that
//! cannot be read is written anew.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use super::{ContentError, Vectors};
use crate::Digest;
use crate::platform::files::write_atomically;

const KEYS: &str = "keys";
const ROWS: &str = "rows";

/// The vectors of `texts`: those of the file in `folder` that belongs to `encoder`, the others by `encode`, which are then kept.
pub(super) fn through(
    folder: &Path,
    encoder: &Digest,
    texts: &[&str],
    encode: impl FnOnce(&[&str]) -> Result<Vectors, ContentError>,
) -> Result<Vectors, ContentError> {
    let path = folder.join(format!("{encoder}.safetensors"));
    let mut kept = read(&path).unwrap_or_default();
    let keys: Vec<Digest> = texts.iter().map(|text| Digest::of(text.as_bytes())).collect();
    let missing: Vec<usize> = (0..texts.len()).filter(|text| !kept.contains_key(&keys[*text])).collect();
    if !missing.is_empty() {
        let texts: Vec<&str> = missing.iter().map(|text| texts[*text]).collect();
        let encoded = encode(&texts)?;
        let rows = missing.iter().zip(encoded.rows).filter_map(|(text, row)| Some((keys[*text], row?)));
        let before = kept.len();
        kept.extend(rows);
        // Blank texts have no vector and are looked at each time.
        if kept.len() > before {
            write(&path, &keys, &kept)?;
        }
    }
    let rows: Vec<Option<Vec<f32>>> = keys.iter().map(|key| kept.get(key).cloned()).collect();
    Ok(Vectors { width: rows.iter().flatten().map(Vec::len).next().unwrap_or(0), rows })
}

fn read(path: &Path) -> Option<HashMap<Digest, Vec<f32>>> {
    let bytes = std::fs::read(path).ok()?;
    let tensors = SafeTensors::deserialize(&bytes).ok()?;
    let (keys, rows) = (tensors.tensor(KEYS).ok()?, tensors.tensor(ROWS).ok()?);
    let fits = keys.dtype() == Dtype::U8 && rows.dtype() == Dtype::F32;
    let ([texts, Digest::LEN], &[of, width]) = (keys.shape(), rows.shape()) else { return None };
    if !fits || *texts != of || width == 0 {
        return None;
    }
    let keys = keys.data().as_chunks::<{ Digest::LEN }>().0.iter().map(|key| Digest::from_bytes(*key));
    let rows = bytemuck::pod_collect_to_vec::<u8, f32>(rows.data());
    Some(keys.zip(rows.chunks_exact(width).map(<[f32]>::to_vec)).collect())
}

/// Writes the vectors of the texts in use: those of a catalogue that has changed are forgotten.
fn write(path: &Path, keys: &[Digest], kept: &HashMap<Digest, Vec<f32>>) -> Result<(), ContentError> {
    let used: Vec<(&Digest, &Vec<f32>)> = keys.iter().filter_map(|key| Some((key, kept.get(key)?))).collect();
    let width = used.first().map_or(0, |(_, row)| row.len());
    let digests: Vec<u8> = used.iter().flat_map(|(key, _)| key.as_bytes()).copied().collect();
    let rows: Vec<u8> = used.iter().flat_map(|(_, row)| bytemuck::cast_slice::<f32, u8>(row)).copied().collect();
    let views = [
        (KEYS, TensorView::new(Dtype::U8, vec![used.len(), Digest::LEN], &digests)),
        (ROWS, TensorView::new(Dtype::F32, vec![used.len(), width], &rows)),
    ];
    let views = views.map(|(name, view)| (name, view.expect("the shape is that of the bytes")));
    let bytes = serialize(views, None).expect("two tensors of these shapes can be written");
    write_atomically(path, &bytes).map_err(ContentError::io(path))
}
