//! Cursors that a listing hands out: opaque, refused unless they were handed out, and refused once they have expired.

use crate::provider::lock;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, sync::Mutex};

/// The cursors that are good, with what they stand for. One place has one cursor.
#[derive(Default)]
pub(crate) struct Cursors(Mutex<BTreeMap<String, String>>);

impl Cursors {
    /// The cursor for a place.
    pub(crate) fn issue(&self, place: &impl Serialize) -> String {
        // A place is plain data, which always can be written.
        let text = serde_json::to_string(place).unwrap_or_default();
        let cursor: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        lock(&self.0).insert(cursor.clone(), text);
        cursor
    }

    /// What a cursor stands for, if it is good.
    pub(crate) fn place<T: DeserializeOwned>(&self, cursor: &str) -> Option<T> {
        serde_json::from_str(lock(&self.0).get(cursor)?).ok()
    }

    /// From now on, none that was handed out is good.
    pub(crate) fn expire(&self) {
        lock(&self.0).clear();
    }
}
