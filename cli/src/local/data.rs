//! The data folder: what a deployment keeps in AWS.

use super::sandbox::LOCATIONS;
use crate::{CliError, keys};
use base64::{Engine, prelude::BASE64_STANDARD};
use certbridge_mapping::{Definitions, SourceDefinition};
use certbridge_platform::{
    SecretError, SecretProvider,
    keys::{ApiKey, scopes},
    secrets::{API_KEYS, CURSORS, ENDPOINTS},
};
use certbridge_sync::ports::Runtime;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A data folder, held by this process alone.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// Held for as long as the folder is; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl DataFolder {
    /// Opens or makes a folder, and holds it.
    pub fn open(path: &Path) -> Result<Self, CliError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        // Certificates and keys are nobody else's business on a shared machine.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(CliError::file(path))?;
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).map_err(CliError::file(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(CliError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(CliError::file(&lock_path)(error)),
        }
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The secrets, after those that are missing were made.
    pub fn secrets(&self, definitions: &Definitions, runtime: &impl Runtime) -> Result<SecretsFile, CliError> {
        let file = SecretsFile::in_folder(&self.path);
        file.update(|secrets| {
            for source in definitions.sources() {
                add_source(secrets, source, runtime)?;
            }
            secrets.entry("destinations/snapshots").or_insert_with(|| json!({"api_key": token(runtime)}));
            secrets.entry("destinations/highlevel").or_insert_with(|| highlevel(&token(runtime)));
            secrets.entry("audit").or_insert_with(|| {
                let seed = [runtime.random().to_be_bytes(), runtime.random().to_be_bytes()].concat();
                json!({"signing_key": BASE64_STANDARD.encode(seed), "digest_key": token(runtime)})
            });
            secrets.entry(CURSORS).or_insert_with(|| json!({"key": token(runtime)}));
            secrets.entry(ENDPOINTS).or_insert_with(|| json!({"endpoints": []}));
            if !secrets.contains_key(API_KEYS) {
                let key = keys::fresh(runtime);
                write_private(&self.file("api-key"), key.expose_secret().as_bytes())?;
                // It is for whoever works on this machine: it opens everything.
                let all = scopes().into_iter().map(str::to_owned).collect();
                let entry = ApiKey::new(key.expose_secret(), "local".into(), "local".into(), all, None);
                secrets.insert(API_KEYS.to_owned(), json!({"keys": [entry]}));
            }
            Ok(())
        })?;
        Ok(file)
    }
}

/// The file that holds what Secrets Manager would: an object from a secret's name to its JSON. It is read again whenever
/// a secret is, so a key can be rotated under a running process.
#[derive(Debug, Clone)]
pub struct SecretsFile {
    path: PathBuf,
}

impl SecretsFile {
    /// The file in a data folder.
    pub fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join("secrets.json") }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All secrets; none if there is no file yet.
    pub fn read(&self) -> Result<Map<String, Value>, CliError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
            Err(error) => return Err(CliError::file(&self.path)(error)),
        };
        serde_json::from_slice(&text).map_err(|error| CliError::Secrets {
            path: self.path.clone(),
            line: error.line(),
            column: error.column(),
        })
    }

    /// Changes the secrets and writes them, all or none, while no other process of ours does.
    pub fn update(&self, change: impl FnOnce(&mut Map<String, Value>) -> Result<(), CliError>) -> Result<(), CliError> {
        // Not the file itself, which is replaced, and not the folder's lock, which `up` holds while it runs.
        let path = self.path.with_extension("lock");
        let lock = File::create(&path).map_err(CliError::file(&path))?;
        lock.lock().map_err(CliError::file(&path))?;
        let before = self.read()?;
        let mut secrets = before.clone();
        change(&mut secrets)?;
        if secrets != before {
            write_private(&self.path, format!("{:#}\n", Value::Object(secrets)).as_bytes())?;
        }
        Ok(())
    }
}

impl SecretProvider for SecretsFile {
    async fn read(&self, id: &str) -> Result<Option<SecretString>, SecretError> {
        match SecretsFile::read(self) {
            Ok(secrets) => Ok(secrets.get(id).map(|secret| SecretString::from(secret.to_string()))),
            Err(error) => Err(SecretError::Unavailable { name: id.to_owned(), message: error.to_string() }),
        }
    }
}

/// Makes a source's secret, if there is none: fresh keys of its scheme, and one for its API. Where it is proven by two
/// keys, the private one stands beside, for whoever plays the sender on this machine.
pub(crate) fn add_source(
    secrets: &mut Map<String, Value>,
    source: &SourceDefinition,
    runtime: &impl Runtime,
) -> Result<(), CliError> {
    if secrets.contains_key(&source.secret_name()) {
        return Ok(());
    }
    let mut random = [0; 32];
    random[..16].copy_from_slice(&runtime.random().to_be_bytes());
    random[16..].copy_from_slice(&runtime.random().to_be_bytes());
    let pair = source.new_key(&random).map_err(|error| CliError::Sign(source.name.clone(), error))?;
    let mut secret = json!({"signing": [pair.signing.expose_secret()], "api_key": token(runtime)});
    if let Some(private) = &pair.private {
        secret["private_key"] = json!(private.expose_secret());
    }
    secrets.insert(source.secret_name(), secret);
    Ok(())
}

/// The secret of HighLevel's: one token for all of the sandbox's locations.
fn highlevel(token: &str) -> Value {
    let locations: Map<_, _> = LOCATIONS.iter().map(|(id, _)| ((*id).to_owned(), json!(token))).collect();
    json!({"api_key": token, "default_location": LOCATIONS[0].0, "locations": locations})
}

/// 256 random bits in hex.
fn token(runtime: &impl Runtime) -> String {
    format!("{:032x}{:032x}", runtime.random(), runtime.random())
}

/// Writes a file that only its owner may read, all of it or none.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), CliError> {
    let fresh = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().map_err(CliError::file(path))
}
