//! The CSV twin of a list: RFC 4180, a header row with the names of the JSON fields, the same texts, null as nothing.

use providers::Kind;
use serde_json::Value;

use super::shapes::QuoteJson;

/// Spreadsheets run a cell that starts with one of these as a formula; the full-width forms do in East Asian ones.
const FORMULA: &[char] = &['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// The columns of a kind: the fields of its quotes, in their order.
#[must_use]
pub const fn columns(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Gold => &[
            "id",
            "feed",
            "provider",
            "product",
            "code",
            "name",
            "place",
            "unit",
            "currency",
            "buy",
            "sell",
            "change_buy",
            "change_sell",
            "as_of",
            "checked_at",
            "changed_at",
            "fresh_until",
            "expires_at",
            "source",
            "via",
            "status",
        ],
        Kind::Fx => &[
            "id",
            "feed",
            "provider",
            "currency",
            "variant",
            "name",
            "per",
            "buy_cash",
            "buy_transfer",
            "sell",
            "sell_cash",
            "change_buy_cash",
            "change_buy_transfer",
            "change_sell",
            "change_sell_cash",
            "as_of",
            "checked_at",
            "changed_at",
            "fresh_until",
            "expires_at",
            "source",
            "via",
            "status",
        ],
        Kind::Deposit => &[
            "id",
            "feed",
            "provider",
            "term",
            "term_months",
            "channel",
            "customer",
            "payout",
            "place",
            "currency",
            "min_amount",
            "rate_percent",
            "change_rate_percent",
            "effective_from",
            "as_of",
            "checked_at",
            "changed_at",
            "fresh_until",
            "expires_at",
            "source",
            "via",
            "status",
        ],
    }
}

/// Header and one row a quote.
#[must_use]
pub fn rows(kind: Kind, quotes: &[QuoteJson]) -> Vec<u8> {
    let mut text = line(columns(kind).iter().map(|name| (*name).to_owned()));
    for quote in quotes {
        let fields = serde_json::to_value(quote).unwrap_or_default();
        text.extend(line(columns(kind).iter().map(|name| cell(&fields[*name]))));
    }
    text
}

/// One row.
#[must_use]
pub fn line(cells: impl Iterator<Item = String>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Into memory: this does not fail.
    if let Err(error) = writer.write_record(cells.collect::<Vec<_>>()) {
        tracing::error!(%error, "a CSV row could not be written");
    }
    writer.into_inner().unwrap_or_default()
}

/// A field of a quote as a cell: texts harmless, null as nothing.
#[must_use]
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => harmless(text),
        other => other.to_string(),
    }
}

/// A text that a spreadsheet would run gets an apostrophe before it; a negative number is none.
pub(super) fn harmless(text: &str) -> String {
    if text.starts_with(FORMULA) && !is_number(text) { format!("'{text}") } else { text.to_owned() }
}

fn is_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    digits(whole) && digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a24_no_cell_is_a_formula_and_negative_numbers_stay_numbers() {
        for (text, wanted) in [
            ("-500000", "-500000"),
            ("-0.5", "-0.5"),
            ("VÀNG MIẾNG SJC", "VÀNG MIẾNG SJC"),
            ("=HYPERLINK(\"x\")", "'=HYPERLINK(\"x\")"),
            ("-1+1", "'-1+1"),
            ("--1", "'--1"),
            ("-", "'-"),
            ("-1.", "'-1."),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("+84", "'+84"),
            ("\t=1", "'\t=1"),
            ("＝1", "'＝1"),
            ("", ""),
        ] {
            assert_eq!(harmless(text), wanted, "{text}");
        }
    }
}
