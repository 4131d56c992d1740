//! The state of a training on disk, as safetensors: every table and weight with its accumulators, and the step.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use super::model::Model;
use crate::platform::files::write_atomically;
use crate::towers::TowerError;

const STEP: &str = "step";
const SETTINGS: &str = "settings";

/// Writes the state after `step` steps. `settings` identifies configuration and data; [`load`] asks for the same.
pub(super) fn save(path: &Path, model: &Model, step: usize, settings: &str) -> Result<(), TowerError> {
    let mut tensors = Vec::new();
    for (name, weights) in model.named() {
        let shape = weights.shape.to_vec();
        let view = |values: &[f32]| (shape.clone(), bytemuck::cast_slice::<f32, u8>(values).to_vec());
        tensors.push((name.clone(), view(&weights.values)));
        tensors.push((format!("{name}.accumulators"), view(&weights.accumulators)));
        if !weights.momenta.is_empty() {
            tensors.push((format!("{name}.momenta"), view(&weights.momenta)));
        }
    }
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (name.as_str(), view.expect("the shape is that of the weights"))
    });
    let metadata = HashMap::from([(STEP.to_owned(), step.to_string()), (SETTINGS.to_owned(), settings.to_owned())]);
    let bytes = serialize(views, Some(metadata)).map_err(|error| TowerError::Train {
        what: "checkpoint",
        found: error.to_string(),
        expected: "a file in the safetensors format".to_owned(),
        remedy: "report this as a defect",
    })?;
    write_atomically(path, &bytes).map_err(|source| TowerError::Io { path: path.into(), source })
}

/// The steps that a state has, without the state; `None` without a file or with one of other settings.
pub(super) fn steps(path: &Path, settings: &str) -> Result<Option<usize>, TowerError> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(TowerError::Io { path: path.into(), source }),
    };
    let mut read = |bytes: &mut [u8]| file.read_exact(bytes).ok();
    // Eight bytes of length, then the header. What is not that is for `load` to refuse.
    let mut length = [0; 8];
    let header = read(&mut length).and_then(|()| {
        let mut header = vec![0; usize::try_from(u64::from_le_bytes(length)).ok().filter(|length| *length < 1 << 20)?];
        read(&mut header)?;
        serde_json::from_slice::<serde_json::Value>(&header).ok()
    });
    let entries = header.as_ref().map(|header| &header["__metadata__"]);
    let is_same = entries.is_some_and(|entries| entries[SETTINGS].as_str() == Some(settings));
    Ok(entries.filter(|_| is_same).and_then(|entries| entries[STEP].as_str()?.parse().ok()))
}

/// Reads a state into `model`; the number of steps done. `None` without a file or with one of other settings.
pub(super) fn load(path: &Path, model: &mut Model, settings: &str) -> Result<Option<usize>, TowerError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(TowerError::Io { path: path.into(), source }),
    };
    let damaged = |found: String| TowerError::Train {
        what: "checkpoint",
        found: format!("{found} in {}", path.display()),
        expected: "the state of an earlier run".to_owned(),
        remedy: "delete the file to start anew",
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    let entry = |key| header.metadata().as_ref().and_then(|entries| entries.get(key));
    if entry(SETTINGS).map(String::as_str) != Some(settings) {
        return Ok(None);
    }
    let step = entry(STEP).and_then(|step| step.parse().ok()).ok_or_else(|| damaged("no step".to_owned()))?;
    for (name, weights) in model.named_mut() {
        let count = weights.values.len();
        let read = |name: &str| {
            let tensor = tensors.tensor(name).map_err(|error| damaged(error.to_string()))?;
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(tensor.data());
            if values.len() != count || values.iter().any(|value| !value.is_finite()) {
                return Err(damaged(format!("{name} with {} numbers", values.len())));
            }
            Ok(values)
        };
        weights.values = read(&name)?;
        weights.accumulators = read(&format!("{name}.accumulators"))?;
        let momenta = format!("{name}.momenta");
        weights.momenta = if tensors.names().contains(&momenta.as_str()) { read(&momenta)? } else { Vec::new() };
    }
    Ok(Some(step))
}
