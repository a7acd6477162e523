//! Amounts of money as decimal texts, since no float holds them exactly.

/// The most digits before the point, and after it: more than any currency or ledger needs.
const MAX_WHOLE_DIGITS: usize = 18;
const MAX_FRACTION_DIGITS: usize = 9;

/// A JSON number passes through a double on its way here, which gives back up to so many digits as they were.
const EXACT_DIGITS_OF_A_DOUBLE: usize = 15;

/// A decimal number in the one form in which two equal ones are the same text: no sign but a minus, no zeros before the
/// first digit, at least two digits after the point and no zeros beyond those. `None` if the text is no plain decimal.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || digits.ends_with('.') || !plain(whole) || !plain(fraction) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let fraction = fraction.trim_end_matches('0');
    if whole.len() > MAX_WHOLE_DIGITS || fraction.len() > MAX_FRACTION_DIGITS {
        return None;
    }
    let zero = whole == "0" && fraction.is_empty();
    let sign = if negative && !zero { "-" } else { "" };
    Some(format!("{sign}{whole}.{fraction:0<2}"))
}

/// A JSON number as a decimal, if the number that was written can be told from what was read of it.
pub(crate) fn of_number(number: &serde_json::Number) -> Option<String> {
    let text = number.to_string();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let exact = number.is_i64() || number.is_u64() || digits <= EXACT_DIGITS_OF_A_DOUBLE;
    // A text with an exponent is none that a person would write for an amount.
    canonical(&text).filter(|_| exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_amounts_are_one_text() {
        for (text, wanted) in [
            ("0", "0.00"),
            ("-0.000", "0.00"),
            ("007", "7.00"),
            ("120.5", "120.50"),
            ("120.500", "120.50"),
            ("-3.125", "-3.125"),
            ("999999999999999999.999999999", "999999999999999999.999999999"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_plain_decimal_is_refused() {
        for text in
            ["", "-", ".", "1.", ".5", "+1", "1e3", "1,5", "1 000", "NaN", "--1", "1.2.3", "٣", "1000000000000000000"]
        {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_taken_as_far_as_a_double_is_exact() {
        let read = |text: &str| of_number(&serde_json::from_str(text).unwrap());
        for (text, wanted) in [
            ("120.50", Some("120.50")),
            ("0.1", Some("0.10")),
            ("9007199254740993", Some("9007199254740993.00")),
            ("1234567890123.45", Some("1234567890123.45")),
            ("12345678901234.56", None),
            ("1e300", None),
            ("1e2", Some("100.00")),
        ] {
            assert_eq!(read(text).as_deref(), wanted, "{text}");
        }
    }
}
