//! When a key ends, as somebody types it.

use super::KeysError;
use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};

/// The time that somebody means by `90d`, by a date (the start of that day, in UTC), or by a time of RFC 3339.
pub fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, KeysError> {
    let unknown = || KeysError::Expiry(text.to_owned());
    let utc = TimeZone::UTC;
    let zoned = if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    } else if let Ok(date) = Date::strptime("%F", text) {
        date.to_zoned(utc)
    } else {
        let span: Span = text.parse().map_err(|_| unknown())?;
        now.to_zoned(utc).checked_add(span)
    };
    // Nobody means fractions of a second.
    Timestamp::from_second(zoned.map_err(|_| unknown())?.timestamp().as_second()).map_err(|_| unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-22T10:00:00.5Z";

    fn of(text: &str) -> Result<String, KeysError> {
        expiry(text, NOW.parse().unwrap()).map(|time| time.to_string())
    }

    #[test]
    fn a_span_a_date_or_a_time() {
        for (text, time) in [
            ("90d", "2027-02-20T10:00:00Z"),
            ("12h", "2026-11-22T22:00:00Z"),
            ("1y", "2027-11-22T10:00:00Z"),
            ("P2W", "2026-12-06T10:00:00Z"),
            ("2027-01-31", "2027-01-31T00:00:00Z"),
            ("2027-01-31T18:00:00Z", "2027-01-31T18:00:00Z"),
            ("2027-01-31T18:00:00+02:00", "2027-01-31T16:00:00Z"),
        ] {
            assert_eq!(of(text).as_deref(), Ok(time), "{text}");
        }
    }

    #[test]
    fn nothing_else() {
        for text in ["", " ", "90", "soon", "2027-13-01", "31.01.2027", "2027-01-31T18:00:00", "99999y", "9999999d"] {
            assert_eq!(of(text), Err(KeysError::Expiry(text.to_owned())), "{text}");
        }
    }
}
