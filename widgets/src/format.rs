//! Numbers and dates as text: what `Intl` prints in Chromium for `vi` and `en-GB`, so that a script which formats
//! the same value again changes nothing. Decimal only, rounded half away from zero; instants are shown at +07:00.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::offset,
};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::options::Lang;

/// From here up an exchange rate is shown in whole đồng.
const WHOLE_FROM: Decimal = Decimal::ONE_THOUSAND;

/// `en-GB` abbreviations; September has four letters there.
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec"];

/// Rounds half away from zero.
fn round(value: Decimal, places: u32) -> Decimal {
    value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
}

/// `1234567` as `1.234.567`.
fn group(digits: &str, separator: char) -> String {
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(separator);
        }
        grouped.push(digit);
    }
    grouped
}

/// Digits before and after the decimal mark, the mark kept with the fraction.
fn split(value: Decimal, places: u32, lang: Lang) -> (String, String) {
    let (separator, mark) = match lang {
        Lang::Vi => ('.', ','),
        Lang::En => (',', '.'),
    };
    let rounded = round(value, places);
    let plain = format!("{:.*}", places as usize, rounded.abs());
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let sign = if rounded.is_sign_negative() && !rounded.is_zero() { "-" } else { "" };
    let fraction = if fraction.is_empty() { String::new() } else { format!("{mark}{fraction}") };
    (format!("{sign}{}", group(whole, separator)), fraction)
}

/// A figure with a fixed number of places: `25.880`, `-0,20`; never a negative zero.
///
/// `Intl.NumberFormat(lang, { minimumFractionDigits, maximumFractionDigits, signDisplay: "negative" })`
#[must_use]
pub fn number(value: Decimal, places: u32, lang: Lang) -> String {
    let (whole, fraction) = split(value, places, lang);
    whole + &fraction
}

/// A change: `+0,50`, `-0,20`, and `0,00` without a sign.
///
/// `Intl.NumberFormat(lang, { …, signDisplay: "exceptZero" })`
#[must_use]
pub fn change(value: Decimal, places: u32, lang: Lang) -> String {
    let rounded = round(value, places);
    let sign = if rounded.is_zero() || rounded.is_sign_negative() { "" } else { "+" };
    format!("{sign}{}", number(value, places, lang))
}

/// Whether an exchange rate is shown without a fraction.
#[must_use]
pub(crate) fn is_whole(value: Decimal) -> bool {
    round(value, 2).abs() >= WHOLE_FROM
}

/// An exchange rate in đồng: whole from 1.000 up, two places below; the fraction with its mark stands apart,
/// because it is set smaller.
#[must_use]
pub fn exchange_rate(value: Decimal, lang: Lang) -> (String, Option<String>) {
    if is_whole(value) {
        return (number(value, 0, lang), None);
    }
    let (whole, fraction) = split(value, 2, lang);
    (whole, Some(fraction))
}

/// Wall clock in Vietnam, which has had no other offset since 1975.
fn local(instant: Timestamp) -> DateTime {
    offset(7).to_datetime(instant)
}

/// Month and day without leading spaces, as the language abbreviates the month.
fn month(date: Date) -> &'static str {
    usize::try_from(date.month()).ok().and_then(|month| MONTHS.get(month - 1)).copied().unwrap_or_default()
}

/// `30/09/2026`, `30 Sept 2026`
#[must_use]
pub fn date(date: Date, lang: Lang) -> String {
    match lang {
        Lang::Vi => format!("{:02}/{:02}/{}", date.day(), date.month(), date.year()),
        Lang::En => format!("{} {} {}", date.day(), month(date), date.year()),
    }
}

/// `30/09`, `30 Sept`. `Intl` would write `30-09` in Vietnamese; nobody else does.
#[must_use]
pub fn day_and_month(date: Date, lang: Lang) -> String {
    match lang {
        Lang::Vi => format!("{:02}/{:02}", date.day(), date.month()),
        Lang::En => format!("{} {}", date.day(), month(date)),
    }
}

/// `10:05`
#[must_use]
pub fn clock(instant: Timestamp) -> String {
    let local = local(instant);
    format!("{:02}:{:02}", local.hour(), local.minute())
}

/// `10:05 30/09/2026`, `30 Sept 2026, 10:05`
#[must_use]
pub fn instant(instant: Timestamp, lang: Lang) -> String {
    let (clock, date) = (clock(instant), date(self::date_of(instant), lang));
    match lang {
        Lang::Vi => format!("{clock} {date}"),
        Lang::En => format!("{date}, {clock}"),
    }
}

/// `07:05 24/11`, `24 Nov, 07:05`: where a line has no room for the year.
#[must_use]
pub fn short_instant(instant: Timestamp, lang: Lang) -> String {
    let (clock, day) = (clock(instant), day_and_month(date_of(instant), lang));
    match lang {
        Lang::Vi => format!("{clock} {day}"),
        Lang::En => format!("{day}, {clock}"),
    }
}

/// The day in Vietnam on which an instant falls.
#[must_use]
pub fn date_of(instant: Timestamp) -> Date {
    local(instant).date()
}

/// RFC 3339 with +07:00, for `<time datetime>`: `2026-09-30T10:05:00+07:00`.
#[must_use]
pub fn rfc3339(instant: Timestamp) -> String {
    format!("{}+07:00", local(instant).strftime("%Y-%m-%dT%H:%M:%S"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil;
    use rust_decimal::dec;

    #[test]
    fn numbers_are_grouped_marked_and_rounded_half_away_from_zero() {
        for (value, places, vi, en) in [
            (dec!(0), 0, "0", "0"),
            (dec!(0), 2, "0,00", "0.00"),
            (dec!(0.005), 2, "0,01", "0.01"),
            (dec!(0.0049999), 2, "0,00", "0.00"),
            (dec!(-0.005), 2, "-0,01", "-0.01"),
            (dec!(-0.004), 2, "0,00", "0.00"),
            (dec!(-0.20), 2, "-0,20", "-0.20"),
            (dec!(0.5), 0, "1", "1"),
            (dec!(1.5), 0, "2", "2"),
            (dec!(2.5), 0, "3", "3"),
            (dec!(-2.5), 0, "-3", "-3"),
            (dec!(1.005), 2, "1,01", "1.01"),
            (dec!(1.015), 2, "1,02", "1.02"),
            (dec!(1.025), 2, "1,03", "1.03"),
            (dec!(6.4), 2, "6,40", "6.40"),
            (dec!(139.5), 2, "139,50", "139.50"),
            (dec!(999), 0, "999", "999"),
            (dec!(999.5), 0, "1.000", "1,000"),
            (dec!(1000), 0, "1.000", "1,000"),
            (dec!(25880), 0, "25.880", "25,880"),
            (dec!(-25880), 0, "-25.880", "-25,880"),
            (dec!(123456), 0, "123.456", "123,456"),
            (dec!(1234567.891), 2, "1.234.567,89", "1,234,567.89"),
            (dec!(9999999.995), 2, "10.000.000,00", "10,000,000.00"),
            (dec!(25890.00), 0, "25.890", "25,890"),
        ] {
            assert_eq!(number(value, places, Lang::Vi), vi, "{value} at {places} places");
            assert_eq!(number(value, places, Lang::En), en, "{value} at {places} places");
        }
        assert_eq!(
            number(Decimal::MAX, 2, Lang::Vi),
            "79.228.162.514.264.337.593.543.950.335,00",
            "the largest decimal"
        );
    }

    #[test]
    fn a_change_carries_its_sign_except_when_it_rounds_to_zero() {
        for (value, vi, en) in [
            (dec!(0.5), "+0,50", "+0.50"),
            (dec!(-0.2), "-0,20", "-0.20"),
            (dec!(0), "0,00", "0.00"),
            (dec!(-0.0), "0,00", "0.00"),
            (dec!(0.004), "0,00", "0.00"),
            (dec!(-0.004), "0,00", "0.00"),
            (dec!(0.005), "+0,01", "+0.01"),
            (dec!(1200), "+1.200,00", "+1,200.00"),
        ] {
            assert_eq!(change(value, 2, Lang::Vi), vi);
            assert_eq!(change(value, 2, Lang::En), en);
        }
    }

    #[test]
    fn exchange_rates_have_a_fraction_only_below_one_thousand() {
        for (value, whole, fraction) in [
            (dec!(25880), "25.880", None),
            (dec!(25880.5), "25.881", None),
            (dec!(1000), "1.000", None),
            (dec!(999.995), "1.000", None),
            (dec!(999.994), "999", Some(",99")),
            (dec!(999.6), "999", Some(",60")),
            (dec!(157.6), "157", Some(",60")),
            (dec!(16.35), "16", Some(",35")),
            (dec!(0.005), "0", Some(",01")),
            (dec!(0), "0", Some(",00")),
            (dec!(-16.35), "-16", Some(",35")),
            (dec!(-1000), "-1.000", None),
        ] {
            assert_eq!(
                exchange_rate(value, Lang::Vi),
                (whole.to_owned(), fraction.map(str::to_owned)),
                "{value}"
            );
        }
        assert_eq!(exchange_rate(dec!(745.2), Lang::En), ("745".to_owned(), Some(".20".to_owned())));
    }

    #[test]
    fn instants_are_told_in_vietnam() {
        for (utc, vi, en, short_vi, short_en, machine) in [
            (
                "2026-09-30T03:05:00Z",
                "10:05 30/09/2026",
                "30 Sept 2026, 10:05",
                "10:05 30/09",
                "30 Sept, 10:05",
                "2026-09-30T10:05:00+07:00",
            ),
            (
                "2026-12-31T17:00:59Z",
                "00:00 01/01/2027",
                "1 Jan 2027, 00:00",
                "00:00 01/01",
                "1 Jan, 00:00",
                "2027-01-01T00:00:59+07:00",
            ),
            (
                "2024-02-28T23:59:59.9Z",
                "06:59 29/02/2024",
                "29 Feb 2024, 06:59",
                "06:59 29/02",
                "29 Feb, 06:59",
                "2024-02-29T06:59:59+07:00",
            ),
        ] {
            let at: Timestamp = utc.parse().unwrap();
            assert_eq!(instant(at, Lang::Vi), vi);
            assert_eq!(instant(at, Lang::En), en);
            assert_eq!(short_instant(at, Lang::Vi), short_vi);
            assert_eq!(short_instant(at, Lang::En), short_en);
            assert_eq!(rfc3339(at), machine);
        }
    }

    #[test]
    fn dates_name_every_month_as_the_browser_does() {
        let names: Vec<_> = (1..=12).map(|month| date(civil::date(2026, month, 3), Lang::En)).collect();
        assert_eq!(
            names.join(", "),
            "3 Jan 2026, 3 Feb 2026, 3 Mar 2026, 3 Apr 2026, 3 May 2026, 3 Jun 2026, 3 Jul 2026, 3 Aug 2026, \
             3 Sept 2026, 3 Oct 2026, 3 Nov 2026, 3 Dec 2026"
        );
        assert_eq!(date(civil::date(2026, 4, 3), Lang::Vi), "03/04/2026");
        assert_eq!(day_and_month(civil::date(2026, 9, 27), Lang::Vi), "27/09");
        assert_eq!(day_and_month(civil::date(2026, 9, 27), Lang::En), "27 Sept");
    }
}
