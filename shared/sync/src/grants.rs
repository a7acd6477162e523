//! OAuth grants whose refresh token is good once: each use gives the next one, and whoever uses one twice may lose the
//! grant. So a grant is one item, which one worker at a time renews, under a lease with a growing fence.
//!
//! ```text
//! take (fence + 1, lease) --> ask the provider --> renew (the fence is mine): new tokens, no lease
//!                                   |                 only then are they used
//!                                   +--> refused: give up, and a person is needed
//! ```
//!
//! A worker who dies after the provider has answered takes the new tokens along. The next one tries the old refresh
//! token, once: the provider may take it, and if it does not, nothing but a person's new grant helps.

use crate::{error::StoreError, row::Lease};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use std::future::Future;

/// How long before its end an access token is no longer used: it has to arrive, too.
const MARGIN: SignedDuration = SignedDuration::from_secs(30);

/// What an OAuth provider gave. Its tokens are shown by no `Debug`.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Opens the API.
    pub access_token: SecretString,
    /// Gives the next grant, once.
    pub refresh_token: SecretString,
    /// When the answer came that brought it.
    pub issued_at: Timestamp,
    /// When the access token ends.
    pub expires_at: Timestamp,
    /// The company that it is for, if the provider says so.
    pub company_id: Option<String>,
    /// The one location that it is for; none, if it is the company's.
    pub location_id: Option<String>,
}

impl Grant {
    /// Whether half of the access token's life is over: then it is renewed, while the old one still serves.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let life = self.expires_at.duration_since(self.issued_at);
        now >= self.issued_at + life / 2
    }

    /// Whether the access token may be used.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now + MARGIN < self.expires_at
    }
}

/// A grant as it is kept.
#[derive(Debug, Clone)]
pub struct GrantRow {
    /// The tokens.
    pub grant: Grant,
    /// How many times it was taken, or given anew.
    pub fence: u64,
    /// Who renews it, and until when.
    pub lease: Option<Lease>,
    /// Why it can be renewed no more, if so.
    pub needs_person: Option<String>,
}

/// What became of an attempt to take a grant.
#[derive(Debug, Clone)]
pub enum Taken {
    /// It is ours to renew, under the row's fence.
    Mine(GrantRow),
    /// It has changed since it was read, or somebody else is at it, or it needs a person: this is how it stands.
    Others(GrantRow),
    /// There is none any more.
    Gone,
}

/// The grants, as all workers see them.
pub trait Grants: Send + Sync {
    /// A grant, read consistently.
    fn grant(&self, name: &str) -> impl Future<Output = Result<Option<GrantRow>, StoreError>> + Send;

    /// Leases a grant: if it is at the fence that was `seen`, no lease lives, and no person is needed. A repetition by the
    /// same owner, whose answer was lost, finds its own lease.
    fn take_grant(
        &self,
        name: &str,
        seen: u64,
        lease: &Lease,
        now: Timestamp,
    ) -> impl Future<Output = Result<Taken, StoreError>> + Send;

    /// Stores what a renewal gave, and ends the lease. `false` if the grant is no longer at this fence. May be repeated.
    fn renew_grant(
        &self,
        name: &str,
        fence: u64,
        grant: &Grant,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Ends a lease without a renewal, for good if a person is needed. Does nothing if the grant is no longer at this
    /// fence.
    fn give_up_grant(
        &self,
        name: &str,
        fence: u64,
        needs_person: Option<&str>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Puts a grant that a person has given, whatever was there.
    fn put_grant(&self, name: &str, grant: &Grant) -> impl Future<Output = Result<(), StoreError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_grant_is_renewed_at_half_its_life_and_used_to_its_end() {
        let grant = Grant {
            access_token: "a-token".into(),
            refresh_token: "r-token".into(),
            issued_at: at(1000),
            expires_at: at(1600),
            company_id: None,
            location_id: None,
        };
        let looks = [(1299, (false, true)), (1300, (true, true)), (1569, (true, true)), (1570, (true, false))];
        for (second, wanted) in looks {
            assert_eq!((grant.is_due(at(second)), grant.is_alive(at(second))), wanted, "{second}");
        }
        assert!(!format!("{grant:?}").contains("-token"));
    }
}
