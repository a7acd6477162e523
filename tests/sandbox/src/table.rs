//! Rows by key, kept in a file if one is named: a line per change, so that a provider remembers across a restart.

use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

pub(crate) struct Table<V> {
    inner: Mutex<Inner<V>>,
}

struct Inner<V> {
    rows: BTreeMap<String, V>,
    file: Option<File>,
}

impl<V: Clone + Serialize + DeserializeOwned> Table<V> {
    /// The rows kept in `{folder}/{name}.jsonl`, or none yet.
    pub(crate) fn open(folder: Option<&Path>, name: &str) -> io::Result<Self> {
        let Some(folder) = folder else {
            return Ok(Self { inner: Mutex::new(Inner { rows: BTreeMap::new(), file: None }) });
        };
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{name}.jsonl"));
        let mut rows = BTreeMap::new();
        let text = if path.exists() { std::fs::read_to_string(&path)? } else { String::new() };
        // A line that was cut off by a crash is not read, and the next one starts afresh.
        for (key, row) in text.lines().filter_map(|line| serde_json::from_str::<(String, Option<V>)>(line).ok()) {
            match row {
                Some(row) => drop(rows.insert(key, row)),
                None => drop(rows.remove(&key)),
            }
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n")?;
        }
        Ok(Self { inner: Mutex::new(Inner { rows, file: Some(file) }) })
    }

    pub(crate) fn get(&self, key: &str) -> Option<V> {
        self.lock().rows.get(key).cloned()
    }

    pub(crate) fn put(&self, key: &str, row: V) {
        let mut inner = self.lock();
        inner.write(key, Some(&row));
        inner.rows.insert(key.to_owned(), row);
    }

    /// `false` if there was none.
    pub(crate) fn remove(&self, key: &str) -> bool {
        let mut inner = self.lock();
        inner.write(key, None);
        inner.rows.remove(key).is_some()
    }

    /// What `read` makes of the rows as they stand.
    pub(crate) fn read<A>(&self, read: impl FnOnce(&BTreeMap<String, V>) -> A) -> A {
        read(&self.lock().rows)
    }

    /// All rows by their keys' order.
    pub(crate) fn rows(&self) -> Vec<(String, V)> {
        self.lock().rows.iter().map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner<V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Serialize> Inner<V> {
    fn write(&mut self, key: &str, row: Option<&V>) {
        let Some(file) = &mut self.file else { return };
        let line = serde_json::to_string(&(key, row)).map_err(io::Error::from);
        if let Err(error) = line.and_then(|line| file.write_all(format!("{line}\n").as_bytes())) {
            tracing::error!(%error, "the sandbox could not keep a row");
        }
    }
}
