//! How the tables really stand, for whoever has to mend them.

use crate::{
    DynamoStore,
    schema::{
        PENDING_INDEX,
        attribute::{EXPIRES_AT, NEXT_AT, OPEN, PK, SK},
    },
};
use aws_sdk_dynamodb::{
    error::ProvideErrorMetadata,
    types::{
        KeySchemaElement, PointInTimeRecoveryStatus, StreamViewType, TableDescription, TableStatus, TimeToLiveStatus,
    },
};

/// How a table stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFacts {
    /// What it is for: inbox, records, audit or state.
    pub role: &'static str,
    /// Its name.
    pub name: String,
    /// What is wrong with it, each with what it should be. Nothing works right before it is mended.
    pub faults: Vec<String>,
    /// Its stream, if it has one that carries whole rows.
    pub stream: Option<String>,
    /// Whether it can be put back to any second of the last weeks; `None` if nobody knows.
    pub point_in_time: Option<bool>,
}

impl DynamoStore {
    /// Looks at each table: is it there and active, has it the keys, the index, the stream and the expiry that it needs?
    pub async fn inspect(&self) -> Vec<TableFacts> {
        let tables = &self.tables;
        let roles: [(&'static str, &String, &[&str]); 4] = [
            ("inbox", &tables.inbox, &[PK]),
            ("records", &tables.records, &[PK]),
            ("audit", &tables.audit, &[PK, SK]),
            ("state", &tables.state, &[PK, SK]),
        ];
        let mut all = Vec::new();
        for (role, name, keys) in roles {
            all.push(self.inspect_one(role, name, keys).await);
        }
        all
    }

    async fn inspect_one(&self, role: &'static str, name: &str, keys: &[&str]) -> TableFacts {
        let mut facts =
            TableFacts { role, name: name.to_owned(), faults: Vec::new(), stream: None, point_in_time: None };
        let described = self.client.describe_table().table_name(name).send().await;
        let table = match described {
            Ok(answer) => answer.table.unwrap_or_else(|| TableDescription::builder().build()),
            Err(error) => {
                let code = error.code().unwrap_or("no answer");
                facts.faults.push(format!("it cannot be described (dynamodb:DescribeTable): {code}"));
                return facts;
            }
        };
        if table.table_status != Some(TableStatus::Active) {
            facts
                .faults
                .push(format!("it is {}, not ACTIVE", word(table.table_status.as_ref().map(TableStatus::as_str))));
        }
        if names(table.key_schema()) != keys {
            facts.faults.push(format!("its key is {:?}, not {keys:?}", names(table.key_schema())));
        }
        let stream = table.stream_specification.as_ref().filter(|stream| stream.stream_enabled);
        let whole = [StreamViewType::NewImage, StreamViewType::NewAndOldImages];
        let carries =
            stream.and_then(|stream| stream.stream_view_type.as_ref()).is_some_and(|view| whole.contains(view));
        facts.stream = table.latest_stream_arn.clone().filter(|_| carries);
        if role == "inbox" {
            let index = table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(PENDING_INDEX));
            if index.is_none_or(|index| names(index.key_schema()) != [OPEN, NEXT_AT]) {
                facts.faults.push(format!("it has no index {PENDING_INDEX} on {OPEN} and {NEXT_AT}"));
            }
            if facts.stream.is_none() {
                facts.faults.push("it has no stream with NEW_IMAGE: nothing that is accepted is worked on".to_owned());
            }
            if let Some(fault) = self.expiry_fault(name).await {
                facts.faults.push(fault);
            }
        }
        let backups = self.client.describe_continuous_backups().table_name(name).send().await;
        facts.point_in_time = backups.ok().and_then(|answer| {
            let of = answer.continuous_backups_description?.point_in_time_recovery_description?;
            Some(of.point_in_time_recovery_status? == PointInTimeRecoveryStatus::Enabled)
        });
        facts
    }

    async fn expiry_fault(&self, name: &str) -> Option<String> {
        let described = self.client.describe_time_to_live().table_name(name).send().await;
        let Some(expiry) = described.ok().and_then(|answer| answer.time_to_live_description) else {
            return Some("its expiry cannot be described (dynamodb:DescribeTimeToLive)".to_owned());
        };
        let on = [TimeToLiveStatus::Enabled, TimeToLiveStatus::Enabling];
        let is_on = expiry.time_to_live_status.is_some_and(|status| on.contains(&status));
        let right = is_on && expiry.attribute_name.as_deref() == Some(EXPIRES_AT);
        (!right).then(|| format!("settled rows do not expire: its time to live is not on {EXPIRES_AT}"))
    }
}

fn names(schema: &[KeySchemaElement]) -> Vec<&str> {
    schema.iter().map(KeySchemaElement::attribute_name).collect()
}

fn word(status: Option<&str>) -> &str {
    status.unwrap_or("in no known state")
}
