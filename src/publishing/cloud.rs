//! Buckets of S3, of what speaks like it, and of Google Cloud Storage.

use std::fmt;
use std::future::Future;

use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{
    Attribute, AttributeValue, Attributes, Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    UpdateVersion,
};
use tokio::runtime::{Builder, Runtime};

use super::{Cached, Entry, Revision, Store, StoreError};

/// Characters of what a store says that are shown.
const LONGEST: usize = 300;

/// A bucket, or a part of one below a prefix.
pub struct CloudStore {
    place: String,
    prefix: Path,
    store: Box<dyn ObjectStore>,
    runtime: Runtime,
}

impl fmt::Debug for CloudStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloudStore({})", self.place)
    }
}

impl CloudStore {
    /// Opens `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`. Credentials, region and endpoint are in the environment, as `AWS_*` and `GOOGLE_*`.
    ///
    /// # Errors
    /// If the settings are not right. Nothing is asked of the bucket yet.
    pub fn open(place: &str) -> Result<Self, StoreError> {
        let settings =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::with(place, settings)
    }

    /// [`CloudStore::open`] with these variables.
    ///
    /// # Errors
    /// As that.
    pub fn with(place: &str, settings: impl IntoIterator<Item = (String, String)>) -> Result<Self, StoreError> {
        let wrong = |reason: String| StoreError::Place { found: place.to_owned(), reason };
        let (scheme, rest) = place.split_once("://").unwrap_or_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(wrong("it names no bucket".to_owned()));
        }
        let failed = |error: Error| wrong(error.to_string());
        let start = if scheme == "s3" { "AWS_" } else { "GOOGLE_" };
        let settings = settings.into_iter().filter(|(name, _)| name.starts_with(start));
        let settings = settings.map(|(name, value)| (name.to_ascii_lowercase(), value));
        // What is no setting of the store is another program's.
        let store: Box<dyn ObjectStore> = if scheme == "s3" {
            let known = settings.filter_map(|(name, value)| Some((name.parse().ok()?, value)));
            let builder = known.fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(key, value));
            Box::new(builder.with_bucket_name(bucket).build().map_err(failed)?)
        } else {
            let known = settings.filter_map(|(name, value)| Some((name.parse().ok()?, value)));
            let builder = GoogleCloudStorageBuilder::new();
            let builder = known.fold(builder, |builder, (key, value)| builder.with_config(key, value));
            Box::new(builder.with_bucket_name(bucket).build().map_err(failed)?)
        };
        let prefix = Path::parse(prefix.trim_matches('/')).map_err(|error| wrong(error.to_string()))?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| wrong(error.to_string()))?;
        Ok(Self { place: place.trim_end_matches('/').to_owned(), prefix, store, runtime })
    }

    /// `Cache-Control` and `Content-Type` of a file.
    #[cfg(test)]
    pub(super) fn headers(&self, path: &str) -> [String; 2] {
        let found =
            self.wait(path, self.store.get(&self.path(path))).map(|result| result.attributes).unwrap_or_default();
        let header = |name| found.get(&name).map(|value| value.to_string()).unwrap_or_default();
        [header(Attribute::CacheControl), header(Attribute::ContentType)]
    }

    fn path(&self, path: &str) -> Path {
        path.split('/').fold(self.prefix.clone(), Path::join)
    }

    fn wait<T>(&self, path: &str, future: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        self.runtime.block_on(future).map_err(|error| self.failed(path, &error))
    }

    fn failed(&self, path: &str, error: &Error) -> StoreError {
        // Stores answer with XML of several lines.
        let text = error.to_string();
        let reason: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect();
        StoreError::Failed { place: self.place.clone(), path: path.to_owned(), reason }
    }
}

fn options(mode: PutMode, content_type: &'static str, control: &'static str) -> PutOptions {
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::ContentType, AttributeValue::from(content_type));
    attributes.insert(Attribute::CacheControl, AttributeValue::from(control));
    PutOptions { mode, attributes, ..PutOptions::default() }
}

fn entry(meta: &ObjectMeta) -> Entry {
    let name = meta.location.filename().unwrap_or_default().to_owned();
    Entry { name, size: meta.size, modified: meta.last_modified.into() }
}

impl Store for CloudStore {
    fn name(&self) -> String {
        self.place.clone()
    }

    fn get(&self, path: &str, limit: u64) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        let result = match self.runtime.block_on(self.store.get(&self.path(path))) {
            Ok(result) => result,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed(path, &error)),
        };
        let found = result.meta.size;
        if found > limit {
            return Err(StoreError::TooLarge { place: self.name(), path: path.to_owned(), found, limit });
        }
        let version = UpdateVersion { e_tag: result.meta.e_tag.clone(), version: result.meta.version.clone() };
        let bytes = self.wait(path, result.bytes())?;
        Ok(Some((bytes.to_vec(), Revision::Version(version))))
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, StoreError> {
        match self.runtime.block_on(self.store.head(&self.path(path))) {
            Ok(meta) => Ok(Some(entry(&meta))),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(path, &error)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>, StoreError> {
        let prefix = self.path(folder);
        let files: Vec<ObjectMeta> = self.wait(folder, self.store.list(Some(&prefix)).try_collect())?;
        // Without those of folders below.
        let here = |meta: &&ObjectMeta| meta.location.parts().count() == prefix.parts().count() + 1;
        Ok(files.iter().filter(here).map(entry).collect())
    }

    fn put(&self, path: &str, bytes: Vec<u8>, cached: Cached) -> Result<(), StoreError> {
        let options = options(PutMode::Overwrite, cached.content_type(), Cached::CONTROL);
        self.wait(path, self.store.put_opts(&self.path(path), bytes.into(), options))?;
        Ok(())
    }

    fn replace(&self, path: &str, bytes: Vec<u8>, before: Option<&Revision>) -> Result<bool, StoreError> {
        let mode = match before {
            None => PutMode::Create,
            Some(Revision::Version(version)) => PutMode::Update(version.clone()),
            Some(Revision::Bytes(_)) => return Ok(false),
        };
        let options = options(mode, Cached::Json.content_type(), Cached::NEVER);
        match self.runtime.block_on(self.store.put_opts(&self.path(path), bytes.into(), options)) {
            Ok(_) => Ok(true),
            Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed(path, &error)),
        }
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        match self.runtime.block_on(self.store.delete(&self.path(path))) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(path, &error)),
        }
    }
}
