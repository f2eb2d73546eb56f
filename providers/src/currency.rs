//! Currencies that are published: an identity is ours, never what a source writes. `XAU` is gold and not here.

use rust_decimal::Decimal;

/// Everything seen at a Vietnamese bank.
pub const CURRENCIES: &[&str] = &[
    "AUD", "CAD", "CHF", "CNY", "DKK", "EUR", "GBP", "HKD", "IDR", "INR", "JPY", "KHR", "KRW", "KWD", "LAK",
    "MYR", "NOK", "NZD", "PHP", "RUB", "SAR", "SEK", "SGD", "THB", "TWD", "USD",
];

/// The code and the small-note variant of a row: `USD`, `USD(1-2-5)`. `None`: not a currency that is published.
pub(crate) fn read(label: &str) -> Option<(&'static str, Option<String>)> {
    let bare: String = label.chars().filter(|c| !c.is_whitespace()).collect();
    let (code, variant) = match bare.split_once('(') {
        None => (bare.as_str(), None),
        Some((code, notes)) => {
            (code, Some(notes.strip_suffix(')').filter(|notes| are_notes(notes))?.to_owned()))
        }
    };
    let known = CURRENCIES.iter().find(|known| **known == code)?;
    Some((known, variant))
}

/// A rate with the digits that banks print. None has more than two decimals: a third one is a point between
/// thousands (`26.348`), and which it is, is not guessed.
pub(crate) fn rate(rate: Option<Decimal>) -> Result<Option<Decimal>, String> {
    match rate {
        Some(rate) if rate.scale() > 2 => Err(format!("{rate} has more than two decimals")),
        rate => Ok(rate),
    }
}

/// `1-2-5`
fn are_notes(text: &str) -> bool {
    text.len() <= 20
        && text.split('-').all(|note| !note.is_empty() && note.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_notes_are_a_variant_and_gold_is_no_currency() {
        assert_eq!(read(" USD "), Some(("USD", None)));
        assert_eq!(read("USD (1-2-5)"), Some(("USD", Some("1-2-5".to_owned()))));
        for label in
            ["XAU", "SJC", "GOL", "usd", "USD(", "USD()", "USD(<b>)", "USD(1-2-5", "USD100", "U$D", ""]
        {
            assert_eq!(read(label), None, "{label}");
        }
    }
}
