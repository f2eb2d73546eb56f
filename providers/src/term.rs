//! The one reader of deposit terms, in all the spellings that sources use.

use crate::{quote::Term, text};

/// `Không kỳ hạn`, `12 Tháng`, `01 tháng`, `6T`, `SHORT_6_MONTH`, `7 ngày`, `1 năm`. Ranges and named products
/// (`12 tháng plus`) are no terms.
pub(crate) fn read(label: &str) -> Option<Term> {
    let label = text::label(label);
    if matches!(
        label.as_str(),
        "không kỳ hạn"
            | "không kì hạn"
            | "kkh"
            | "0t"
            | "demand"
            | "full period"
            | "no fixed term"
            | "no term"
    ) {
        return Some(Term::Demand);
    }
    if let Some(months) = label.strip_prefix("short_").and_then(|rest| rest.strip_suffix("_month")) {
        return months_of(months);
    }
    let unit_at = label.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = label.split_at_checked(unit_at)?;
    match unit.trim_start_matches([' ', '-']) {
        "tháng" | "thang" | "t" | "m" | "month" | "months" => months_of(count),
        "ngày" | "ngay" | "day" | "days" => match number(count)? {
            days @ 1..=365 => Some(Term::Days(days)),
            _ => None,
        },
        "năm" | "nam" | "year" | "years" => match number(count)? {
            years @ 1..=10 => Some(Term::Months(years * 12)),
            _ => None,
        },
        _ => None,
    }
}

/// A bare number of months, where a heading says that months are meant.
pub(crate) fn months_of(count: &str) -> Option<Term> {
    match number(count.trim())? {
        months @ 1..=120 => Some(Term::Months(months)),
        _ => None,
    }
}

fn number(count: &str) -> Option<u16> {
    (count.len() <= 3 && count.bytes().all(|b| b.is_ascii_digit())).then(|| count.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f35_terms_are_read_in_every_spelling_and_t_is_thang() {
        for label in [
            "12 Tháng",
            "12 tháng",
            "12T",
            "12M",
            "12-months",
            "SHORT_12_MONTH",
            "1 năm",
            "12 Tha\u{301}ng",
            "12\u{a0}tháng",
        ] {
            assert_eq!(read(label), Some(Term::Months(12)), "{label}");
        }
        for label in ["Không kỳ hạn", "Không Kỳ Hạn", "KKH", "0T", "Demand", "Full period"] {
            assert_eq!(read(label), Some(Term::Demand), "{label}");
        }
        assert_eq!(read("01 tháng"), Some(Term::Months(1)));
        assert_eq!(read("7 ngày"), Some(Term::Days(7)));
    }

    #[test]
    fn f35_what_is_no_single_term_is_refused() {
        for label in [
            "",
            "12",
            "tháng",
            "0 tháng",
            "999 tháng",
            "12 tháng plus",
            "1 – 3 tuần",
            "Từ 1 tháng đến dưới 2 tháng",
            "12,5 tháng",
            "-1 tháng",
            "SHORT__MONTH",
            "1 2 tháng",
        ] {
            assert_eq!(read(label), None, "{label}");
        }
    }
}
