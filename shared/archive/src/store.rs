use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{
    Attribute, Attributes, Certificate, ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions,
    PutOptions, WriteMultipart, aws::AmazonS3, aws::AmazonS3Builder, local::LocalFileSystem, memory::InMemory,
    path::Path, signer::Signer,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};
use url::Url;

/// Why an object could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The address of the archive cannot be used.
    #[error("REPORTS_URL: {0}")]
    Address(String),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] object_store::Error),
    /// A value that JSON cannot hold.
    #[error("{path}: a value that cannot be written")]
    Unwritable {
        /// Where it was to stand.
        path: String,
    },
    /// An object does not hold what it should. Never shows what it holds.
    #[error("{path}: unreadable at line {line}")]
    Unreadable {
        /// Its path.
        path: String,
        /// Where.
        line: usize,
    },
}

impl ArchiveError {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Address(_) | Self::Unwritable { .. } | Self::Unreadable { .. } => false,
            Self::Storage(error) => !matches!(
                error,
                object_store::Error::NotFound { .. }
                    | object_store::Error::PermissionDenied { .. }
                    | object_store::Error::Unauthenticated { .. }
                    | object_store::Error::InvalidPath { .. }
            ),
        }
    }
}

/// An object that is read only if it is small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// All of it.
    Whole(Bytes),
    /// It is larger than was wanted; nothing of it was read.
    TooLarge,
}

/// Object storage. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    /// The one that can make links, if it is one.
    bucket: Option<Arc<AmazonS3>>,
    root: Path,
}

impl Archive {
    /// The archive at `s3://bucket/prefix` or `file:///folder`, which is made if it is not there. A bucket's credentials
    /// and region are Lambda's, in the environment; `endpoint` goes over AWS's own.
    ///
    /// # Errors
    /// An address that is neither, or a folder that cannot be made.
    pub fn open(url: &str, endpoint: Option<&str>) -> Result<Self, ArchiveError> {
        let fault = |what: &str| ArchiveError::Address(what.to_owned());
        let address = Url::parse(url).map_err(|_| fault("is no address"))?;
        match address.scheme() {
            "s3" => {
                let name = address.host_str().ok_or_else(|| fault("names no bucket"))?;
                let options = trusting()?.with_allow_http(endpoint.is_some_and(|url| url.starts_with("http://")));
                let mut builder = AmazonS3Builder::from_env().with_bucket_name(name).with_client_options(options);
                if let Some(endpoint) = endpoint {
                    builder = builder.with_endpoint(endpoint);
                }
                let bucket = Arc::new(builder.build()?);
                let root = Path::from_url_path(address.path()).map_err(object_store::Error::from)?;
                Ok(Self { store: bucket.clone(), bucket: Some(bucket), root })
            }
            "file" => {
                let folder = address.to_file_path().map_err(|()| fault("names no folder of this machine"))?;
                std::fs::create_dir_all(&folder).map_err(|error| fault(&error.to_string()))?;
                let store = LocalFileSystem::new_with_prefix(folder)?.with_automatic_cleanup(true);
                Ok(Self { store: Arc::new(store), bucket: None, root: Path::default() })
            }
            _ => Err(fault("is neither s3://bucket/prefix nor file:///folder")),
        }
    }

    /// An archive that is gone with the process, for tests.
    pub fn memory() -> Self {
        Self { store: Arc::new(InMemory::new()), bucket: None, root: Path::default() }
    }

    /// The same with links, as a bucket would make them. They lead nowhere.
    ///
    /// # Errors
    /// None that a test could bring about.
    pub fn memory_with_links() -> Result<Self, ArchiveError> {
        let builder = AmazonS3Builder::new().with_bucket_name("memory").with_region("us-east-1");
        let bucket = builder.with_access_key_id("memory").with_secret_access_key("memory").build()?;
        Ok(Self { bucket: Some(Arc::new(bucket)), ..Self::memory() })
    }

    /// Writes an object, over one that is there. In a bucket it has the media type of its ending, so that a link to it
    /// opens in a browser.
    pub async fn put(&self, path: &str, content: impl Into<Bytes>) -> Result<(), ArchiveError> {
        let options = PutOptions::from(self.attributes(path));
        self.store.put_opts(&self.at(path), content.into().into(), options).await?;
        Ok(())
    }

    /// What a bucket says of an object. A folder takes nothing of the kind.
    fn attributes(&self, path: &str) -> Attributes {
        let media_type = match path.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("csv") => "text/csv; charset=utf-8",
            Some("json") => "application/json",
            _ => return Attributes::new(),
        };
        let bucket = self.bucket.is_some();
        bucket.then_some((Attribute::ContentType, media_type)).into_iter().collect()
    }

    /// Writes an object piece by piece: it is there, over one that was there, once it is finished.
    pub async fn begin(&self, path: &str) -> Result<ObjectWriter, ArchiveError> {
        let options = PutMultipartOptions::from(self.attributes(path));
        Ok(ObjectWriter(WriteMultipart::new(self.store.put_multipart_opts(&self.at(path), options).await?)))
    }

    /// Reads an object; `None` if there is none.
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>, ArchiveError> {
        match self.store.get(&self.at(path)).await {
            Ok(object) => Ok(Some(object.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads an object if it has at most so many bytes; `None` if there is none.
    pub async fn get_within(&self, path: &str, most: u64) -> Result<Option<Content>, ArchiveError> {
        match self.store.get(&self.at(path)).await {
            Ok(object) if object.meta.size > most => Ok(Some(Content::TooLarge)),
            Ok(object) => Ok(Some(Content::Whole(object.bytes().await?))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes an object of JSON.
    pub async fn put_json(&self, path: &str, value: &impl Serialize) -> Result<(), ArchiveError> {
        self.put(path, line(path, value)?).await
    }

    /// Writes an object of JSON where there is none. `false` if there is one, which is left alone.
    pub async fn put_new_json(&self, path: &str, value: &impl Serialize) -> Result<bool, ArchiveError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::from(self.attributes(path)) };
        match self.store.put_opts(&self.at(path), line(path, value)?.into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads an object of JSON; `None` if there is none.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ArchiveError> {
        let Some(content) = self.get(path).await? else { return Ok(None) };
        let unreadable =
            |error: serde_json::Error| ArchiveError::Unreadable { path: path.to_owned(), line: error.line() };
        serde_json::from_slice(&content).map(Some).map_err(unreadable)
    }

    /// Writes an object of lines of JSON.
    pub async fn put_lines<R: Serialize>(&self, path: &str, rows: &[R]) -> Result<(), ArchiveError> {
        let lines = rows.iter().map(|row| line(path, row)).collect::<Result<Vec<_>, _>>()?;
        self.put(path, lines.concat()).await
    }

    /// Reads an object of lines of JSON; none if there is none.
    pub async fn get_lines<R: DeserializeOwned>(&self, path: &str) -> Result<Vec<R>, ArchiveError> {
        let content = self.get(path).await?.unwrap_or_default();
        let lines = content.split(|byte| *byte == b'\n').enumerate().filter(|(_, text)| !text.is_empty());
        let row = |(place, text): (usize, &[u8])| {
            let unreadable = |_| ArchiveError::Unreadable { path: path.to_owned(), line: place + 1 };
            serde_json::from_slice(text).map_err(unreadable)
        };
        lines.map(row).collect()
    }

    /// The paths of the objects below a path, in their order.
    pub async fn list(&self, below: &str) -> Result<Vec<String>, ArchiveError> {
        let prefix = self.at(below);
        let objects: Vec<_> = self.store.list(Some(&prefix)).try_collect().await?;
        let own = |path: Path| {
            let parts = path.prefix_match(&self.root)?;
            Some(parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
        };
        let mut paths: Vec<_> = objects.into_iter().filter_map(|object| own(object.location)).collect();
        paths.sort();
        Ok(paths)
    }

    /// A link that opens an object in a browser for a while; `None` where there are no links, as in a folder.
    pub async fn link(&self, path: &str, lasts: Duration) -> Result<Option<Url>, ArchiveError> {
        let Some(bucket) = &self.bucket else { return Ok(None) };
        Ok(Some(bucket.signed_url(http::Method::GET, &self.at(path), lasts).await?))
    }

    fn at(&self, path: &str) -> Path {
        path.split('/').filter(|part| !part.is_empty()).fold(self.root.clone(), Path::join)
    }
}

/// How many pieces of an object are under way at most, each of 5 MiB.
const UPLOADS: usize = 2;

/// An object that is written piece by piece. One that is not finished was never there.
#[derive(Debug)]
pub struct ObjectWriter(WriteMultipart);

impl ObjectWriter {
    /// Adds a piece. Waits while too much is under way.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), ArchiveError> {
        self.0.wait_for_capacity(UPLOADS).await?;
        self.0.write(piece);
        Ok(())
    }

    /// Ends the object.
    pub async fn finish(self) -> Result<(), ArchiveError> {
        self.0.finish().await?;
        Ok(())
    }
}

/// What trusts the roots compiled in, and none of the machine's, which may have none.
fn trusting() -> Result<ClientOptions, ArchiveError> {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let options = ClientOptions::new().with_no_system_certificates(true);
    roots
        .map(|root| Certificate::from_der(root))
        .try_fold(options, |options, root| Ok(options.with_root_certificate(root?)))
}

/// A value as a line of JSON, to stand at a path.
fn line(path: &str, value: &impl Serialize) -> Result<Vec<u8>, ArchiveError> {
    let mut line = serde_json::to_vec(value).map_err(|_| ArchiveError::Unwritable { path: path.to_owned() })?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn objects_come_back_from_a_folder_and_from_memory() {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_directory_path(folder.path().join("new")).unwrap();
        for archive in [Archive::memory(), Archive::open(url.as_str(), None).unwrap()] {
            assert_eq!(archive.get("a/b").await.unwrap(), None);
            archive.put("a/b", "one").await.unwrap();
            archive.put("a/b", "two").await.unwrap();
            archive.put_json("a/c d#", &[1, 2]).await.unwrap();
            archive.put("ab", "other").await.unwrap();
            assert_eq!(archive.get("a/b").await.unwrap().unwrap(), "two");
            assert_eq!(archive.get_json::<Vec<u8>>("a/c d#").await.unwrap(), Some(vec![1, 2]));
            assert!(!archive.put_new_json("a/c d#", &[3]).await.unwrap());
            assert!(archive.put_new_json("c", &[3]).await.unwrap());
            assert_eq!(archive.get_json::<Vec<u8>>("a/c d#").await.unwrap(), Some(vec![1, 2]));
            assert_eq!(archive.get_json::<Vec<u8>>("c").await.unwrap(), Some(vec![3]));
            assert_eq!(archive.list("a").await.unwrap().len(), 2);
            assert_eq!(archive.list("").await.unwrap().len(), 4);
            assert_eq!(archive.list("none").await.unwrap(), Vec::<String>::new());
            assert!(archive.link("a/b", Duration::from_secs(60)).await.unwrap().is_none());
            let error = archive.get_json::<u8>("a/b").await.unwrap_err();
            assert!(matches!(error, ArchiveError::Unreadable { line: 1, .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn an_object_is_read_only_if_it_is_small() {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_directory_path(folder.path()).unwrap();
        for archive in [Archive::memory(), Archive::open(url.as_str(), None).unwrap()] {
            archive.put("a", "12345").await.unwrap();
            assert_eq!(archive.get_within("a", 5).await.unwrap(), Some(Content::Whole("12345".into())));
            assert_eq!(archive.get_within("a", 4).await.unwrap(), Some(Content::TooLarge));
            assert_eq!(archive.get_within("b", 4).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_link_is_signed_and_lasts_as_long_as_it_says() {
        let archive = Archive::memory_with_links().unwrap();
        let link = archive.link("a/b.csv", Duration::from_secs(300)).await.unwrap().unwrap();
        assert!(link.path().ends_with("/a/b.csv"), "{link}");
        let query: std::collections::BTreeMap<_, _> = link.query_pairs().collect();
        assert_eq!(query["X-Amz-Expires"], "300");
        assert!(query.contains_key("X-Amz-Signature"));
    }

    #[test]
    fn an_address_that_cannot_be_used_is_said() {
        for (address, says) in [("", "no address"), ("http://x", "neither"), ("file://host/x", "no folder")] {
            let error = Archive::open(address, None).unwrap_err();
            assert!(error.to_string().contains(says) && !error.is_transient(), "{error}");
        }
    }
}
