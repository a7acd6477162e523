//! A destination's ids of our records: a partition for each record, an item for each role.

use crate::{
    DynamoStore,
    change::{Change, Changed},
    item::{Item, Reader, text},
    schema::{
        IDS,
        attribute::{BEGUN_AT, ID, PK, SK},
    },
};
use certbridge_mapping::RecordKey;
use certbridge_sync::{
    StoreError,
    ids::{DestinationId, DestinationIds, IdMap},
};
use jiff::Timestamp;

impl IdMap for DynamoStore {
    async fn ids(&self, key: &RecordKey) -> Result<DestinationIds, StoreError> {
        let items = self.partition(&self.tables.state, &format!("{IDS}{key}")).await?;
        let known = items.iter().map(|item| Ok((Reader(item).text(SK)?.to_owned(), destination_id(item)?)));
        known.collect()
    }

    async fn begin_id(
        &self,
        key: &RecordKey,
        role: &str,
        stale: Option<&str>,
        at: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let change = only_over(stale, None).set(BEGUN_AT, text(at)).remove(ID);
        match self.change_item(&self.tables.state, place(key, role), change).await? {
            Changed::Yes(_) => Ok(None),
            Changed::No(item) => Ok(Some(Reader(&item).text(ID)?.to_owned())),
        }
    }

    async fn set_id(&self, key: &RecordKey, role: &str, id: &str, stale: Option<&str>) -> Result<String, StoreError> {
        let change = only_over(stale, Some(id)).set(ID, text(id)).remove(BEGUN_AT);
        match self.change_item(&self.tables.state, place(key, role), change).await? {
            Changed::Yes(_) => Ok(id.to_owned()),
            Changed::No(item) => Ok(Reader(&item).text(ID)?.to_owned()),
        }
    }
}

/// A change that is made if no id is known, or one of these.
fn only_over(stale: Option<&str>, id: Option<&str>) -> Change {
    let mut condition = format!("attribute_not_exists(#{ID})");
    for (name, value) in [("stale", stale), ("same", id)] {
        if value.is_some() {
            condition += &format!(" OR #{ID} = :{name}");
        }
    }
    let change = Change::only_if(condition);
    let change = stale.into_iter().fold(change, |change, id| change.value("stale", text(id)));
    id.into_iter().fold(change, |change, id| change.value("same", text(id)))
}

fn place(key: &RecordKey, role: &str) -> Item {
    Item::from([(PK.to_owned(), text(format_args!("{IDS}{key}"))), (SK.to_owned(), text(role))])
}

fn destination_id(item: &Item) -> Result<DestinationId, StoreError> {
    let read = Reader(item);
    match read.optional_text(ID)? {
        Some(id) => Ok(DestinationId::Known(id.to_owned())),
        None => Ok(DestinationId::Begun { at: read.parsed(BEGUN_AT)? }),
    }
}
