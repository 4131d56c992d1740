//! Where a release is published.

use std::fmt;
use std::time::SystemTime;

use object_store::UpdateVersion;

use super::{CloudStore, FolderStore, StoreError};
use crate::Digest;

/// A place with files that have names.
pub trait Store: fmt::Debug + Send + Sync {
    /// What people call it.
    fn name(&self) -> String;

    /// The bytes of a file, and which state of it they are; none if there is no such file.
    ///
    /// # Errors
    /// If the store does not answer, or the file has more than `limit` bytes.
    fn get(&self, path: &str, limit: u64) -> Result<Option<(Vec<u8>, Revision)>, StoreError>;

    /// The size of a file, if there is one.
    ///
    /// # Errors
    /// If the store does not answer.
    fn entry(&self, path: &str) -> Result<Option<Entry>, StoreError>;

    /// All files of a folder; none if there is no such folder.
    ///
    /// # Errors
    /// If the store does not answer.
    fn list(&self, folder: &str) -> Result<Vec<Entry>, StoreError>;

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// If the store does not take it.
    fn put(&self, path: &str, bytes: Vec<u8>, cached: Cached) -> Result<(), StoreError>;

    /// Writes a file that no cache keeps, if it still is in the state `before`, or, where that is none, is not there; whether it was.
    ///
    /// # Errors
    /// If the store does not take it.
    fn replace(&self, path: &str, bytes: Vec<u8>, before: Option<&Revision>) -> Result<bool, StoreError>;

    /// Deletes a file, if there is one.
    ///
    /// # Errors
    /// If the store does not do it.
    fn delete(&self, path: &str) -> Result<(), StoreError>;
}

/// What a file is, for those who serve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cached {
    /// An object: bytes that never change.
    Object,
    /// JSON that never changes.
    Json,
}

impl Cached {
    /// Its `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Object => "application/octet-stream",
            Self::Json => "application/json",
        }
    }

    /// The `Cache-Control` of what never changes.
    pub const CONTROL: &'static str = "public, max-age=31536000, immutable";
    /// The `Cache-Control` of the head.
    pub const NEVER: &'static str = "no-store";
}

/// A file of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without the folder.
    pub name: String,
    /// Its length.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// Which state of a file was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// The one with these bytes.
    Bytes(Digest),
    /// The one that a store calls so.
    Version(UpdateVersion),
}

/// Opens a place that was named: a folder, `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`.
///
/// # Errors
/// If it is none of them, or its settings are not right.
pub fn open(place: &str) -> Result<Box<dyn Store>, StoreError> {
    match place.split_once("://") {
        Some(("s3" | "gs", _)) => Ok(Box::new(CloudStore::open(place)?)),
        Some((scheme, _)) => {
            let reason = format!("{scheme}:// is not written to");
            Err(StoreError::Place { found: place.to_owned(), reason })
        }
        None if place.is_empty() => Err(StoreError::Place { found: String::new(), reason: "it is empty".to_owned() }),
        None => Ok(Box::new(FolderStore::new(place))),
    }
}
