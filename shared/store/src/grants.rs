//! The OAuth grants: one item each, in a table that is encrypted at rest, under a key that only the functions that push
//! may read.

use crate::{
    DynamoStore,
    call::store_error,
    change::{Change, Changed},
    item::{Item, Reader, milliseconds_down, milliseconds_up, number, text, unreadable},
    schema::{
        GRANTS,
        attribute::{
            ACCESS_TOKEN, COMPANY_ID, ENDS_AT, FENCE, ISSUED_AT, LEASE_OWNER, LEASE_UNTIL, LOCATION_ID, NEEDS_PERSON,
            PK, REFRESH_TOKEN, SK,
        },
    },
};
use certbridge_sync::{
    StoreError,
    grants::{Grant, GrantRow, Grants, Taken},
    row::Lease,
};
use jiff::Timestamp;
use secrecy::ExposeSecret;

impl Grants for DynamoStore {
    async fn grant(&self, name: &str) -> Result<Option<GrantRow>, StoreError> {
        let request = self.client.get_item().table_name(&self.tables.state).consistent_read(true);
        let request = request.set_key(Some(place(name)));
        let answer = request.send().await.map_err(|error| store_error("GetItem", &error))?;
        answer.item().map(grant_row).transpose()
    }

    async fn take_grant(&self, name: &str, seen: u64, lease: &Lease, now: Timestamp) -> Result<Taken, StoreError> {
        let change = Change::only_if(format!(
            "#{FENCE} = :seen AND attribute_not_exists(#{NEEDS_PERSON}) \
             AND (attribute_not_exists(#{LEASE_OWNER}) OR #{LEASE_UNTIL} < :now)"
        ))
        .value("seen", number(seen))
        .value("now", milliseconds_down(now))
        .set(FENCE, number(seen + 1))
        .set(LEASE_OWNER, text(&lease.owner))
        .set(LEASE_UNTIL, milliseconds_up(lease.until));
        match self.change_item(&self.tables.state, place(name), change).await? {
            Changed::Yes(before) => {
                Ok(Taken::Mine(GrantRow { fence: seen + 1, lease: Some(lease.clone()), ..grant_row(&before)? }))
            }
            Changed::No(item) if item.is_empty() => Ok(Taken::Gone),
            Changed::No(item) => {
                let row = grant_row(&item)?;
                // An earlier try of this very call, whose answer was lost.
                let mine = row.fence == seen + 1 && row.lease.as_ref().is_some_and(|held| held.owner == lease.owner);
                Ok(if mine { Taken::Mine(row) } else { Taken::Others(row) })
            }
        }
    }

    async fn renew_grant(&self, name: &str, fence: u64, grant: &Grant) -> Result<bool, StoreError> {
        let change = Change::only_if(format!("#{FENCE} = :mine")).value("mine", number(fence));
        let answer = self.change_item(&self.tables.state, place(name), with_tokens(change, grant)).await?;
        Ok(matches!(answer, Changed::Yes(_)))
    }

    async fn give_up_grant(&self, name: &str, fence: u64, needs_person: Option<&str>) -> Result<(), StoreError> {
        let change = Change::only_if(format!("#{FENCE} = :mine")).value("mine", number(fence));
        let change = change.remove(LEASE_OWNER).remove(LEASE_UNTIL);
        let change = needs_person.into_iter().fold(change, |change, why| change.set(NEEDS_PERSON, text(why)));
        self.change_item(&self.tables.state, place(name), change).await.map(drop)
    }

    async fn put_grant(&self, name: &str, grant: &Grant) -> Result<(), StoreError> {
        // Whoever renews the one that was there finds another fence.
        let change = Change::only_if(format!("attribute_not_exists(#{FENCE}) OR #{FENCE} >= :none"))
            .value("none", number(0))
            .value("one", number(1))
            .compute(FENCE, &format!("if_not_exists(#{FENCE}, :none) + :one"))
            .remove(NEEDS_PERSON);
        self.change_item(&self.tables.state, place(name), with_tokens(change, grant)).await.map(drop)
    }
}

/// A change that also writes the tokens, and ends the lease.
fn with_tokens(change: Change, grant: &Grant) -> Change {
    let change = change
        .set(ACCESS_TOKEN, text(grant.access_token.expose_secret()))
        .set(REFRESH_TOKEN, text(grant.refresh_token.expose_secret()))
        .set(ISSUED_AT, text(grant.issued_at))
        .set(ENDS_AT, text(grant.expires_at))
        .remove(LEASE_OWNER)
        .remove(LEASE_UNTIL);
    let ids = [(COMPANY_ID, &grant.company_id), (LOCATION_ID, &grant.location_id)];
    ids.into_iter().fold(change, |change, (name, id)| match id {
        Some(id) => change.set(name, text(id)),
        None => change.remove(name),
    })
}

fn place(name: &str) -> Item {
    Item::from([(PK.to_owned(), text(GRANTS)), (SK.to_owned(), text(name))])
}

fn grant_row(item: &Item) -> Result<GrantRow, StoreError> {
    let read = Reader(item);
    let optional = |name| Ok::<_, StoreError>(read.optional_text(name)?.map(str::to_owned));
    let until = read.optional_milliseconds(LEASE_UNTIL)?;
    let lease = optional(LEASE_OWNER)?.map(|owner| match until {
        Some(until) => Ok(Lease { owner, until }),
        None => Err(unreadable(LEASE_UNTIL)),
    });
    Ok(GrantRow {
        grant: Grant {
            access_token: read.text(ACCESS_TOKEN)?.into(),
            refresh_token: read.text(REFRESH_TOKEN)?.into(),
            issued_at: read.parsed(ISSUED_AT)?,
            expires_at: read.parsed(ENDS_AT)?,
            company_id: optional(COMPANY_ID)?,
            location_id: optional(LOCATION_ID)?,
        },
        fence: read.number(FENCE)?,
        lease: lease.transpose()?,
        needs_person: optional(NEEDS_PERSON)?,
    })
}
