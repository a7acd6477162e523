//! Locations, customers and invoices: upserts under the rules that certificates have.

use super::{Flaw, Inner, Refusal, idempotency_key, refuse};
use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// All of ISO 3166-1's codes of two letters.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS \
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ \
    FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT \
    JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP \
    MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE \
    RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV \
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// What a member is to be. A null is as good as none, where none is needed.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Email,
    Country,
    Decimal,
}

/// A kind of record, with the members that are looked at: others are taken as they are.
pub(super) struct Kind {
    pub(super) name: &'static str,
    id: &'static str,
    invalid: &'static str,
    members: &'static [(&'static str, Form, bool)],
}

const LOCATION: Kind = Kind {
    name: "location",
    id: "location_id",
    invalid: "invalid_location",
    members: &[
        ("location_id", Form::Text, true),
        ("name", Form::Text, true),
        ("address", Form::Text, false),
        ("country", Form::Country, false),
    ],
};

const CUSTOMER: Kind = Kind {
    name: "customer",
    id: "customer_id",
    invalid: "invalid_customer",
    members: &[
        ("customer_id", Form::Text, true),
        ("email", Form::Email, true),
        ("first_name", Form::Text, false),
        ("last_name", Form::Text, false),
    ],
};

const INVOICE: Kind = Kind {
    name: "invoice",
    id: "invoice_id",
    invalid: "invalid_invoice",
    members: &[
        ("invoice_id", Form::Text, true),
        ("total", Form::Decimal, true),
        ("status", Form::Text, true),
        ("customer_id", Form::Text, false),
        ("currency", Form::Text, false),
    ],
};

impl Form {
    fn holds(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text, Value::String(text)) => !text.is_empty(),
            (Self::Email, Value::String(text)) => text.split_once('@').is_some_and(|(user, host)| {
                !user.is_empty() && !host.is_empty() && !host.contains('@') && !text.contains(char::is_whitespace)
            }),
            (Self::Country, Value::String(text)) => text.len() == 2 && COUNTRIES.split(' ').any(|code| code == text),
            (Self::Decimal, Value::Number(_)) => true,
            (Self::Decimal, Value::String(text)) => is_decimal(text),
            _ => false,
        }
    }
}

/// Whether a text is a number as people write sums: `-1`, `120.50`.
fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let plain = text.strip_prefix('-').unwrap_or(text);
    plain.split_once('.').map_or_else(|| digits(plain), |(whole, rest)| digits(whole) && digits(rest))
}

impl Kind {
    fn flaws(&self, fields: &Map<String, Value>) -> Vec<Flaw> {
        let code = |(field, form, required): &(&'static str, Form, bool)| {
            let value = fields.get(*field).filter(|value| !value.is_null() && **value != "");
            let code = match value {
                None if *required => "required",
                Some(value) if !form.holds(value) => "invalid",
                _ => return None,
            };
            Some(Flaw { field, code })
        };
        self.members.iter().filter_map(code).collect()
    }
}

pub(super) async fn location(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    inner.upsert(&LOCATION, &headers, &body)
}

pub(super) async fn customer(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    inner.upsert(&CUSTOMER, &headers, &body)
}

pub(super) async fn invoice(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    inner.upsert(&INVOICE, &headers, &body)
}

impl Inner {
    fn upsert(&self, kind: &Kind, headers: &HeaderMap, body: &Bytes) -> Result<Response, Refusal> {
        self.authorize(headers)?;
        let fields: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|_| refuse(StatusCode::BAD_REQUEST, "not_json", "The body is no JSON object."))?;
        let flaws = kind.flaws(&fields);
        if !flaws.is_empty() {
            let message = format!("The {} is invalid.", kind.name);
            return Err(Refusal { flaws, ..refuse(StatusCode::UNPROCESSABLE_ENTITY, kind.invalid, message) });
        }
        let id = fields.get(kind.id).and_then(Value::as_str).unwrap_or_default().to_owned();
        let request_id = self.apply(kind.name, &id, idempotency_key(headers), fields)?;
        let body = json!({ kind.id: id, "status": "synced", "request_id": request_id });
        Ok(([("x-request-id", request_id)], Json(body)).into_response())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_countries_as_iso_has() {
        assert_eq!(COUNTRIES.split(' ').count(), 249);
        assert!(COUNTRIES.split(' ').is_sorted());
    }
}
