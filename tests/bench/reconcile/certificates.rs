//! Any number of certificates, each made of its number when it is asked for, so that nobody holds them.
//!
//! What has become of one follows from its number, too: `reconcile.py` computes from the same table what must be found.

use certbridge_mapping::{Certificate, CertificateStatus, Kind, PlanVersion, Record, RecordId, RecordKey};
use certbridge_sync::row::{AuditHead, RecordRow, RecordState};
use jiff::{Timestamp, civil::Date};
use std::{error::Error, fmt::Write as _, ops::Range};

/// After so many numbers, all repeats itself.
const PERIOD: u64 = 2000;
/// The id of the first one.
const FIRST_ID: u64 = 10_000_000;
/// When the source, and we, last changed any of them.
const CHANGED_AT: &str = "2026-02-03T04:05:06.789Z";

/// What has become of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Both sides agree, and so do we.
    Agrees,
    /// Somebody gave it another title at the destination.
    Edited,
    /// Somebody removed it there.
    Removed,
    /// The source has it no more, and nobody told us.
    Gone,
    /// It has another title at the source, and nobody told us.
    Changed,
    /// It is new at the source, and nobody told us.
    New,
    /// The source does not say where it belongs.
    Unreadable,
}

fn fate(number: u64) -> Fate {
    match number % PERIOD {
        100 | 600 | 1100 | 1600 => Fate::Edited,
        250 | 1250 => Fate::Removed,
        400 => Fate::Gone,
        700 => Fate::Changed,
        900 => Fate::New,
        1500 => Fate::Unreadable,
        _ => Fate::Agrees,
    }
}

fn source_has(number: u64) -> bool {
    fate(number) != Fate::Gone
}

fn destination_has(number: u64) -> bool {
    !matches!(fate(number), Fate::Removed | Fate::New)
}

fn we_have(number: u64) -> bool {
    fate(number) != Fate::New
}

/// The certificates of the numbers below this one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Certificates(pub(crate) u64);

/// Some of them, with the number at which the next ones begin.
struct Page {
    numbers: Vec<u64>,
    next: Option<u64>,
}

impl Certificates {
    fn page(self, has: fn(u64) -> bool, from: u64, size: usize) -> Page {
        let mut numbers: Vec<_> = (from..self.0).filter(|number| has(*number)).take(size + 1).collect();
        let next = if numbers.len() > size { numbers.pop() } else { None };
        Page { numbers, next }
    }

    fn count(self, has: fn(u64) -> bool) -> usize {
        let among = |numbers: Range<u64>| numbers.filter(|number| has(*number)).count();
        let whole = usize::try_from(self.0 / PERIOD).unwrap_or(usize::MAX);
        among(0..PERIOD) * whole + among(0..self.0 % PERIOD)
    }

    /// A page of the source's search. As documented, every page that has items has a cursor, the last one too.
    pub(crate) fn source_page(self, from: u64, size: usize) -> String {
        let Page { numbers, next } = self.page(source_has, from, size);
        let cursor = if numbers.is_empty() { None } else { Some(next.unwrap_or(self.0)) };
        let items = joined(&numbers, write_source_item);
        let cursor = cursor.map_or_else(String::new, |cursor| format!(r#","cursor":"{cursor}""#));
        let count = self.count(source_has);
        format!(r#"{{"credentials":[{items}],"meta":{{"count":{count},"from":0,"size":{size}{cursor}}}}}"#)
    }

    /// A page of the destination's listing.
    pub(crate) fn destination_page(self, from: u64, size: usize) -> String {
        let Page { numbers, next } = self.page(destination_has, from, size);
        let items = joined(&numbers, write_destination_item);
        let next = next.map_or_else(|| "null".to_owned(), |next| format!(r#""{next}""#));
        let total = self.count(destination_has);
        format!(r#"{{"certificates":[{items}],"next_cursor":{next},"total":{total}}}"#)
    }

    /// A page of what we hold, as it was told by this plan.
    pub(crate) fn own_page(
        self,
        from: u64,
        size: usize,
        source: &str,
        plan: &PlanVersion,
    ) -> Result<(Vec<RecordRow>, Option<u64>), Box<dyn Error>> {
        let Page { numbers, next } = self.page(we_have, from, size);
        let rows = numbers.into_iter().map(|number| own_row(number, source, plan));
        Ok((rows.collect::<Result<_, _>>()?, next))
    }
}

fn joined(numbers: &[u64], write: fn(&mut String, u64) -> std::fmt::Result) -> String {
    let mut items = String::with_capacity(numbers.len() * 1024);
    for number in numbers {
        if !items.is_empty() {
            items.push(',');
        }
        // Nothing fails that is written to a text.
        let _ = write(&mut items, *number);
    }
    items
}

fn title(number: u64) -> String {
    format!("Working at Height, module {}", number % 40)
}

fn location(number: u64) -> String {
    format!("loc_{:02}", number % 12)
}

/// The days on which it was issued and, of two in three, on which it expires.
fn days(number: u64) -> (String, Option<String>) {
    let (month, day) = (number % 12 + 1, number % 28 + 1);
    (format!("2025-{month:02}-{day:02}"), (!number.is_multiple_of(3)).then(|| format!("2028-{month:02}-{day:02}")))
}

fn quoted(text: Option<String>) -> String {
    text.map_or_else(|| "null".to_owned(), |text| format!(r#""{text}""#))
}

/// As the documentation shows a credential that was searched for.
fn write_source_item(items: &mut String, number: u64) -> std::fmt::Result {
    let id = FIRST_ID + number;
    let fate = fate(number);
    let (issued, expires) = days(number);
    let (expires, title) = (quoted(expires), title(number));
    let title = if fate == Fate::Changed { format!("{title}, second edition") } else { title };
    let place = Some(location(number)).filter(|_| fate != Fate::Unreadable);
    let attributes = place.map_or_else(|| "null".to_owned(), |place| format!(r#"{{"location_id":"{place}"}}"#));
    write!(items, r#"{{"id":{id},"uuid":"00000000-0000-4000-8000-{id:012x}","encoded_id":"{id:x}","private":false,"#)?;
    write!(
        items,
        r#""seo_image":"https://api.accredible.com/v1/frontend/credential_seo_image/{id}","recipient_email":"#
    )?;
    write!(items, r#""person.{number}@example.com","recipient_name":"Person {number}","recipient_id":"p-{number}","#)?;
    write!(
        items,
        r#""recipient_meta_data":null,"created_at":"2025-01-02T03:04:05.678Z","updated_at":"{CHANGED_AT}","#
    )?;
    write!(
        items,
        r#""custom_attributes":{attributes},"issuer_id":4897,"approve":true,"grade":null,"meta_data":null,"#
    )?;
    write!(items, r#""name":"{title}","issued_on":"{issued}","expired_on":{expires},"published_on":"{issued}","#)?;
    write!(items, r#""recipient_opened":false,"recipient_engaged":false,"license_id":null,"group":{{"id":9549,"#)?;
    write!(
        items,
        r#""name":"Example Group","course_name":"{title}","badge_design_id":null,"certificate_design_id":null}}}}"#
    )
}

fn write_destination_item(items: &mut String, number: u64) -> std::fmt::Result {
    let id = FIRST_ID + number;
    let (issued, expires) = days(number);
    let (place, expires, title) = (location(number), quoted(expires), title(number));
    let edited = if fate(number) == Fate::Edited { " (copy)" } else { "" };
    write!(
        items,
        r#"{{"certificate_id":"{id}","user_id":"p-{number}","issue_date":"{issued}","location_id":"{place}","#
    )?;
    write!(
        items,
        r#""status":"issued","expiry_date":{expires},"title":"{title}{edited}","group_name":"Example Group","#
    )?;
    write!(items, r#""recipient_name":"Person {number}","recipient_email":"person.{number}@example.com","#)?;
    write!(items, r#""url":"https://www.credential.net/{id}","updated_at":"{CHANGED_AT}"}}"#)
}

fn own_row(number: u64, source: &str, plan: &PlanVersion) -> Result<RecordRow, Box<dyn Error>> {
    let id = (FIRST_ID + number).to_string();
    let (issued, expires) = days(number);
    let changed_at: Timestamp = CHANGED_AT.parse()?;
    let certificate = Certificate {
        certificate_id: id.clone(),
        user_id: format!("p-{number}"),
        issue_date: issued.parse()?,
        location_id: location(number),
        status: CertificateStatus::Issued,
        expiry_date: expires.map(|day| day.parse::<Date>()).transpose()?,
        title: Some(title(number)),
        group_name: Some("Example Group".to_owned()),
        recipient_name: Some(format!("Person {number}")),
        recipient_email: Some(format!("person.{number}@example.com")),
        url: Some(format!("https://www.credential.net/{id}")),
    };
    let key = RecordKey { kind: Kind::Certificate, source: source.to_owned(), id: RecordId::try_from(id)? };
    Ok(RecordRow {
        fence: 1,
        clean_fence: 1,
        audit: AuditHead { sequence: 1, hash: format!("{number:064x}") },
        salt: Some(format!("{number:032x}")),
        fetched_at: Some(changed_at),
        state: Some(RecordState {
            record: Record::Certificate(certificate),
            version: None,
            // Looked at only where the destination cannot be listed, or the record is another one.
            fingerprint: format!("{number:064x}"),
            plan: plan.clone(),
            synced_at: changed_at,
        }),
        ..RecordRow::new(key)
    })
}
