//! `POST /v2/credentials/search` as Accredible's documentation has it (version 25.08).

use crate::accredible::Stored;
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{cmp::Ordering, collections::BTreeMap};

/// How far offsets go.
const MAX_OFFSET: usize = 10_000;

/// The documented default.
const DEFAULT_SIZE: usize = 50;

/// No limit is documented; the sandbox has one.
const MAX_SIZE: usize = 100;

/// What is searched for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    query: Map<String, Value>,
    #[serde(default)]
    sort: BTreeMap<Key, Order>,
    #[serde(default)]
    page: Page,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    from: Option<usize>,
    size: Option<usize>,
    cursor: Option<String>,
}

/// What can be sorted by. The time of a change is not among it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Key {
    Id,
    RecipientName,
    #[serde(rename = "group.name")]
    GroupName,
    IssuedOn,
    ExpiredOn,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Asc,
    Desc,
}

/// Where an item stands: by what is sorted by, then by id. Ids that are numbers go by their value, before all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place((u64, String), (u64, String));

/// A page that was found.
pub(crate) struct Found {
    /// The ids on it.
    pub(crate) ids: Vec<String>,
    /// Where the last of them stands.
    pub(crate) last: Option<Place>,
    /// How many there are on all pages.
    pub(crate) count: usize,
}

/// Why a search is refused.
pub(crate) struct BadSearch(String);

impl IntoResponse for BadSearch {
    fn into_response(self) -> Response {
        let body = json!({ "code": 400, "message": self.0, "status": "invalid_search_query", "errors": {} });
        (StatusCode::BAD_REQUEST, Json(body)).into_response()
    }
}

fn bad<T>(message: impl Into<String>) -> Result<T, BadSearch> {
    Err(BadSearch(message.into()))
}

impl Search {
    /// Reads a search and checks it.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, BadSearch> {
        let search: Self = serde_json::from_slice(body).or_else(|error| bad(error.to_string()))?;
        for (key, wanted) in &search.query {
            Filter::parse(key, wanted)?;
        }
        let page = &search.page;
        if page.from.is_some() && page.cursor.is_some() {
            return bad("cursor and from exclude each other");
        }
        if !(1..=MAX_SIZE).contains(&search.size()) {
            return bad(format!("size is 1 to {MAX_SIZE}"));
        }
        if search.offset().saturating_add(search.size()) > MAX_OFFSET {
            return bad(format!("from and size reach {MAX_OFFSET} at most: use a cursor"));
        }
        if search.sort.len() > 1 {
            return bad("one key to sort by");
        }
        Ok(search)
    }

    /// The refusal of a cursor that is not, or no longer, good.
    pub(crate) fn bad_cursor() -> BadSearch {
        BadSearch("the cursor is invalid or has expired".to_owned())
    }

    /// The cursor that it was given.
    pub(crate) fn cursor(&self) -> Option<&str> {
        self.page.cursor.as_deref()
    }

    /// How many credentials a page may have.
    pub(crate) fn size(&self) -> usize {
        self.page.size.unwrap_or(DEFAULT_SIZE)
    }

    /// How many are passed over.
    pub(crate) fn offset(&self) -> usize {
        self.page.from.unwrap_or(0)
    }

    /// The page of those that stand after a place.
    pub(crate) fn find<'a>(
        &self,
        rows: impl Iterator<Item = (&'a String, &'a Stored)>,
        after: Option<&Place>,
    ) -> Result<Found, BadSearch> {
        let filters = self.query.iter().map(|(key, wanted)| Filter::parse(key, wanted));
        let filters = filters.collect::<Result<Vec<_>, _>>()?;
        let (key, order) = self.sort.first_key_value().map_or((Key::Id, Order::Asc), |(key, order)| (*key, *order));
        let compare = |a: &Place, b: &Place| match order {
            Order::Asc => a.cmp(b),
            Order::Desc => b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)),
        };
        let fitting = rows.filter(|(id, stored)| filters.iter().all(|filter| filter.fits(id, stored)));
        let mut places: Vec<_> = fitting.map(|(id, stored)| (place(key, id, stored), id)).collect();
        let count = places.len();
        places.retain(|(place, _)| after.is_none_or(|after| compare(place, after) == Ordering::Greater));
        places.sort_by(|(a, _), (b, _)| compare(a, b));
        let page: Vec<_> = places.into_iter().skip(self.offset()).take(self.size()).collect();
        let last = page.last().map(|(place, _)| place.clone());
        Ok(Found { ids: page.into_iter().map(|(_, id)| id.clone()).collect(), last, count })
    }
}

fn place(key: Key, id: &str, stored: &Stored) -> Place {
    let own = id.parse().map_or_else(|_| (u64::MAX, id.to_owned()), |number| (number, String::new()));
    let field = match key {
        Key::Id => return Place(own.clone(), own),
        Key::RecipientName => "recipient_name",
        Key::GroupName => "group.name",
        Key::IssuedOn => "issued_on",
        Key::ExpiredOn => "expired_on",
    };
    Place((0, text(&stored.member(id, field)).unwrap_or_default()), own)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// One condition of a query.
enum Filter<'a> {
    /// The member is one of these texts.
    OneOf(&'a str, Vec<String>),
    /// The member's day compares so with this one.
    Day(&'a str, fn(Ordering) -> bool, String),
    /// The member has these members.
    Has(&'a str, &'a Map<String, Value>),
}

impl<'a> Filter<'a> {
    fn parse(key: &'a str, wanted: &'a Value) -> Result<Self, BadSearch> {
        let (field, operation) = match key.split_once('[') {
            Some((field, operation)) => (field, operation.strip_suffix(']').unwrap_or_default()),
            None => (key, "eq"),
        };
        let unsupported = || bad(format!("{field} does not support {operation}"));
        match field {
            "meta_data" | "recipient_meta_data" | "custom_attributes" => match wanted {
                Value::Object(members) if field == key => Ok(Self::Has(field, members)),
                _ => unsupported(),
            },
            "uuid" | "group.id" | "recipient_name" | "recipient_email" | "recipient_id" | "license_id" | "approve" => {
                match (operation, wanted) {
                    ("in", Value::Array(words)) if field != "approve" => {
                        Ok(Self::OneOf(field, words.iter().filter_map(text).collect()))
                    }
                    ("eq", Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
                        Ok(Self::OneOf(field, text(wanted).into_iter().collect()))
                    }
                    _ => unsupported(),
                }
            }
            "issued_on" | "expired_on" | "updated_at" | "created_at" => {
                let is_day =
                    |value: &Value| value.as_str().is_some_and(|text| text.len() == 10 && text.parse::<Date>().is_ok());
                let days = wanted.as_array().map_or_else(|| std::slice::from_ref(wanted), Vec::as_slice);
                if !days.iter().all(is_day) {
                    return bad(format!("{field} is a day, YYYY-MM-DD"));
                }
                let compares: fn(Ordering) -> bool = match operation {
                    "in" => return Ok(Self::OneOf(field, days.iter().filter_map(text).collect())),
                    "eq" => Ordering::is_eq,
                    "lt" => Ordering::is_lt,
                    "lte" => Ordering::is_le,
                    "gt" => Ordering::is_gt,
                    "gte" => Ordering::is_ge,
                    _ => return unsupported(),
                };
                match wanted {
                    Value::String(day) => Ok(Self::Day(field, compares, day.clone())),
                    _ => unsupported(),
                }
            }
            _ => bad(format!("{field} cannot be searched by")),
        }
    }

    fn fits(&self, id: &str, stored: &Stored) -> bool {
        let own = |field: &str| text(&stored.member(id, field));
        match self {
            Self::OneOf(field, words) => own(field).is_some_and(|own| {
                // Times are searched by their days.
                let own = if field.ends_with("_at") { own.get(..10).unwrap_or_default() } else { &own };
                words.iter().any(|word| word == own)
            }),
            Self::Day(field, compares, day) => {
                own(field).is_some_and(|own| compares(own.get(..10).unwrap_or_default().cmp(day)))
            }
            Self::Has(field, members) => {
                let own = stored.member(id, field);
                members.iter().all(|(name, value)| own.get(name) == Some(value))
            }
        }
    }
}

impl Stored {
    /// A member of the flat item, by its path.
    fn member(&self, id: &str, field: &str) -> Value {
        let at = |path: &str| self.credential.pointer(path).cloned().unwrap_or_default();
        match field {
            "uuid" => uuid(id).into(),
            "updated_at" => format!("{:.3}", self.updated_at).into(),
            "created_at" => format!("{:.3}", self.created_at).into(),
            "recipient_name" => at("/recipient/name"),
            "recipient_email" => at("/recipient/email"),
            "recipient_id" => at("/recipient/id"),
            "recipient_meta_data" => at("/recipient/meta_data"),
            "group.id" => at("/group_id"),
            "group.name" => at("/group_name"),
            "issuer_id" => at("/issuer/id"),
            name => at(&format!("/{name}")),
        }
    }

    /// The credential as a search shows it: flat, its id a number, with the times of its making and its last change, and
    /// without its page.
    pub(crate) fn item(&self, id: &str) -> Value {
        let own = |field: &str| self.member(id, field);
        let number = id.parse::<u64>().map_or_else(|_| Value::from(id), Value::from);
        let published_on = if own("approve") == true { own("issued_on") } else { Value::Null };
        let mut item = json!({
            "id": number,
            "published_on": published_on,
            "recipient_opened": false,
            "recipient_engaged": false,
            "license_id": null,
            "group": {
                "id": own("group.id"),
                "name": own("group.name"),
                "course_name": own("name"),
                "badge_design_id": null,
                "certificate_design_id": null,
            },
        });
        for name in [
            "uuid",
            "encoded_id",
            "private",
            "seo_image",
            "recipient_email",
            "recipient_name",
            "recipient_id",
            "recipient_meta_data",
            "created_at",
            "updated_at",
            "custom_attributes",
            "issuer_id",
            "approve",
            "grade",
            "meta_data",
            "name",
            "issued_on",
            "expired_on",
        ] {
            item[name] = own(name);
        }
        item
    }
}

/// An id in the form of a UUID, the same for the same credential.
fn uuid(id: &str) -> String {
    let number = id.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("00000000-0000-4000-8000-{:012x}", number & 0xffff_ffff_ffff)
}
