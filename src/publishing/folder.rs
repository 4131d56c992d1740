//! A folder that a web server serves, or that is copied to one.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::{Cached, Entry, Revision, Store, StoreError};
use crate::Digest;
use crate::platform::files::{locked, read_limited, write_atomically};

/// A folder. Its web server says how files are cached.
#[derive(Debug, Clone)]
pub struct FolderStore {
    dir: PathBuf,
}

impl FolderStore {
    /// The folder at this path, which is made when it is first needed.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn failed(&self, path: &str) -> impl Fn(std::io::Error) -> StoreError {
        let (place, path) = (self.name(), path.to_owned());
        move |error| StoreError::Failed { place: place.clone(), path: path.clone(), reason: error.to_string() }
    }
}

/// Nothing, where there is no such file.
fn optional<T>(result: Result<T, std::io::Error>) -> Result<Option<T>, std::io::Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn entry(name: &str, metadata: &std::fs::Metadata) -> Result<Entry, std::io::Error> {
    Ok(Entry { name: name.to_owned(), size: metadata.len(), modified: metadata.modified()? })
}

impl Store for FolderStore {
    fn name(&self) -> String {
        self.dir.display().to_string()
    }

    fn get(&self, path: &str, limit: u64) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        let Some(bytes) = optional(read_limited(&self.dir.join(path), limit)).map_err(self.failed(path))? else {
            return Ok(None);
        };
        let found = bytes.len() as u64;
        if found > limit {
            return Err(StoreError::TooLarge { place: self.name(), path: path.to_owned(), found, limit });
        }
        let revision = Revision::Bytes(Digest::of(&bytes));
        Ok(Some((bytes, revision)))
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, StoreError> {
        let failed = self.failed(path);
        let metadata = optional(std::fs::metadata(self.dir.join(path))).map_err(&failed)?;
        let name = path.rsplit('/').next().unwrap_or(path);
        metadata.map(|metadata| entry(name, &metadata)).transpose().map_err(failed)
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>, StoreError> {
        let failed = self.failed(folder);
        let Some(files) = optional(std::fs::read_dir(self.dir.join(folder))).map_err(&failed)? else {
            return Ok(Vec::new());
        };
        let mut entries = Vec::new();
        for file in files {
            let file = file.map_err(&failed)?;
            // Who deletes and who lists need not wait for each other.
            let Some(metadata) = optional(file.metadata()).map_err(&failed)? else { continue };
            if let (Some(name), true) = (file.file_name().to_str(), metadata.is_file()) {
                entries.push(entry(name, &metadata).map_err(&failed)?);
            }
        }
        Ok(entries)
    }

    fn put(&self, path: &str, bytes: Vec<u8>, _: Cached) -> Result<(), StoreError> {
        write_atomically(&self.dir.join(path), &bytes).map_err(self.failed(path))
    }

    fn replace(&self, path: &str, bytes: Vec<u8>, before: Option<&Revision>) -> Result<bool, StoreError> {
        std::fs::create_dir_all(&self.dir).map_err(self.failed(path))?;
        let _lock = locked(&self.dir);
        let now = self.get(path, bytes.len().max(1 << 20) as u64)?;
        if now.as_ref().map(|(_, revision)| revision) != before {
            return Ok(false);
        }
        write_atomically(&self.dir.join(path), &bytes).map_err(self.failed(path))?;
        Ok(true)
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        optional(std::fs::remove_file(self.dir.join(path))).map_err(self.failed(path))?;
        Ok(())
    }
}
