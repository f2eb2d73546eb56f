//! Less of a course than there is, without losing what a reader looks for: the points that a drawing can show, and the
//! first, lowest, highest and last price of each day. Pure; no price is changed, averaged or invented.

use std::collections::BTreeMap;

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, Weekday},
    tz::offset,
};
use rust_decimal::Decimal;

use crate::{
    format::date_of,
    model::{Period, Point, Stretch},
};

/// Up to so many days a table has a line a day; up to so many a line a week; beyond, a line a month.
const DAILY: i64 = 31;
const WEEKLY: i64 = 100;

/// Of each of `buckets` equal parts of the range: the first and the last point, and those with the lowest and the highest
/// price of either side.
#[must_use]
pub fn thin(points: &[Point], (from, to): (Timestamp, Timestamp), buckets: i64) -> Vec<Point> {
    let span = (to.as_second() - from.as_second()).max(1);
    let bucket = |at: Timestamp| (at.as_second() - from.as_second()).saturating_mul(buckets) / span;
    let mut kept = Vec::new();
    for part in points.chunk_by(|one, other| bucket(one.at) == bucket(other.at)) {
        let places = || part.iter().enumerate();
        let mut keep = vec![0, part.len() - 1];
        for side in [|point: &Point| point.buy, |point: &Point| point.sell] {
            let priced = || places().filter_map(|(place, point)| Some((side(point)?, place)));
            keep.extend(priced().min().map(|(_, place)| place));
            keep.extend(priced().max().map(|(_, place)| place));
        }
        keep.sort_unstable();
        keep.dedup();
        kept.extend(keep.into_iter().filter_map(|place| part.get(place)));
    }
    kept
}

/// The price that tables and summaries tell of: selling, buying where nothing is sold.
#[must_use]
pub fn main_price(point: &Point) -> Option<Decimal> {
    point.sell.or(point.buy)
}

/// What a line of a table is of.
#[derive(Clone, Copy)]
enum Each {
    Day,
    Week,
    Month,
}

/// Whether a range of so many days has a line a day.
pub(crate) const fn is_daily(days: i64) -> bool {
    days <= DAILY
}

/// A line a day, a week or a month, by the length of the range; none for a part of which nothing is known. A price that
/// held from the day before is the day's first.
#[must_use]
pub fn periods(course: &[Stretch], (from, to): (Timestamp, Timestamp)) -> Vec<Period> {
    let days = (to.as_second() - from.as_second()) / 86_400;
    let first_day = date_of(from);
    let each = if is_daily(days) {
        Each::Day
    } else if days <= WEEKLY {
        Each::Week
    } else {
        Each::Month
    };
    let begin = |day: Date| match each {
        Each::Day => day,
        Each::Week => day.checked_sub(i64::from(day.weekday().since(Weekday::Monday)).days()).unwrap_or(day),
        Each::Month => day.first_of_month(),
    };
    let next = |day: Date| {
        let later = match each {
            Each::Day => day.checked_add(1.day()),
            Each::Week => day.checked_add(7.days()),
            Each::Month => day.checked_add(1.month()),
        };
        later.ok()
    };
    let mut lines: BTreeMap<Date, Period> = BTreeMap::new();
    for stretch in course {
        let ends = stretch.points.iter().skip(1).map(|point| point.at).chain([stretch.until]);
        for (point, end) in stretch.points.iter().zip(ends) {
            let Some(price) = main_price(point) else { continue };
            let (start, end) = (point.at.max(from), end.min(to));
            let mut day = Some(begin(date_of(start)));
            while let Some(known) = day {
                // What ends at midnight held on the day before.
                let opens = offset(7).to_timestamp(known.at(0, 0, 0, 0)).unwrap_or(Timestamp::MAX);
                if opens >= end && opens > start {
                    break;
                }
                let line = lines.entry(known).or_insert(Period {
                    from: known.max(first_day),
                    first: price,
                    low: price,
                    high: price,
                    last: price,
                });
                line.low = line.low.min(price);
                line.high = line.high.max(price);
                line.last = price;
                day = next(known);
            }
        }
    }
    lines.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::dec;

    fn at(text: &str) -> Timestamp {
        format!("2026-09-{text}:00+07:00").parse().unwrap()
    }

    fn point(text: &str, sell: Decimal) -> Point {
        Point { at: at(text), buy: Some(sell - dec!(3)), sell: Some(sell) }
    }

    #[test]
    fn of_many_points_first_last_lowest_and_highest_are_kept() {
        let range = (at("01T00:00"), at("02T00:00"));
        let points: Vec<Point> = (0..60)
            .map(|minute| {
                let price = match minute {
                    17 => dec!(90),
                    42 => dec!(110),
                    _ => dec!(100),
                };
                point(&format!("01T10:{minute:02}"), price)
            })
            .collect();
        let kept = thin(&points, range, 4);
        let minutes: Vec<Timestamp> = kept.iter().map(|point| point.at).collect();
        assert_eq!(minutes, [at("01T10:00"), at("01T10:17"), at("01T10:42"), at("01T10:59")]);
        assert_eq!(thin(&kept, range, 4), kept, "twice is once");
        assert_eq!(thin(&points, range, 1_000_000), points, "fine parts keep all");
        assert!(thin(&[], range, 4).is_empty());
    }

    #[test]
    fn a_day_begins_with_what_held_before_it_and_an_unknown_day_has_no_line() {
        let course = [
            Stretch {
                points: vec![
                    point("01T09:00", dec!(142)),
                    point("02T09:00", dec!(144)),
                    point("02T15:00", dec!(141)),
                ],
                until: at("03T00:00"),
            },
            Stretch { points: vec![point("05T09:00", dec!(150))], until: at("05T09:00") },
        ];
        let lines = periods(&course, (at("01T00:00"), at("06T00:00")));
        let told: Vec<(i8, [Decimal; 4])> = lines
            .iter()
            .map(|line| (line.from.day(), [line.first, line.low, line.high, line.last]))
            .collect();
        assert_eq!(
            told,
            [
                (1, [dec!(142), dec!(142), dec!(142), dec!(142)]),
                (2, [dec!(142), dec!(141), dec!(144), dec!(141)]),
                (5, [dec!(150), dec!(150), dec!(150), dec!(150)]),
            ]
        );
    }

    #[test]
    fn a_long_range_is_told_by_weeks_and_by_months() {
        let year: Vec<Point> = vec![point("01T09:00", dec!(142))];
        let course = |until: &str| [Stretch { points: year.clone(), until: until.parse().unwrap() }];
        let (from, quarter, long) =
            (at("01T00:00"), "2026-11-30T00:00:00+07:00", "2027-08-31T00:00:00+07:00");
        let weeks = periods(&course(quarter), (from, quarter.parse().unwrap()));
        assert_eq!((weeks.len(), weeks[0].from.day(), weeks[1].from.day()), (13, 1, 7), "Mondays");
        let months = periods(&course(long), (from, long.parse().unwrap()));
        assert_eq!((months.len(), months[11].from.to_string().as_str()), (12, "2027-08-01"));
    }
}
