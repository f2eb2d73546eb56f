//! The course of a price as a small step line: steps and not curves, because a price holds until the next one.

use jiff::Timestamp;
use rust_decimal::{Decimal, prelude::ToPrimitive as _};

/// Where the line ends, so that the dot on its end fits into the drawing of 98 by 24; in tenths.
const RIGHT: i64 = 960;
/// Of the highest and the lowest price, in tenths.
const TOP: i64 = 30;
const BOTTOM: i64 = 210;

/// A path and its end, in a drawing of 98 by 24.
pub(crate) struct Spark {
    /// SVG path data: digits and letters only.
    pub(crate) path: String,
    /// Height of the end.
    pub(crate) end: String,
}

/// `None` where there is no history: one price is no course.
pub(crate) fn spark(trend: &[(Timestamp, Decimal)]) -> Option<Spark> {
    let ((from, first), (until, _)) = (trend.first()?, trend.last()?);
    let span = until.as_second() - from.as_second();
    if span <= 0 {
        return None;
    }
    let lowest = trend.iter().map(|(_, price)| *price).min()?;
    let range = trend.iter().map(|(_, price)| *price).max()?.checked_sub(lowest)?;
    let x = |at: Timestamp| (at.as_second() - from.as_second()).saturating_mul(RIGHT) / span;
    let y = |price: Decimal| {
        let share = price.checked_sub(lowest).and_then(|above| above.checked_div(range));
        // What never moved runs through the middle.
        let share = share.unwrap_or(Decimal::new(5, 1));
        let above = share.checked_mul(Decimal::from(BOTTOM - TOP)).and_then(|above| above.round().to_i64());
        BOTTOM - above.unwrap_or_default()
    };
    let mut path = format!("M0 {}", tenths(y(*first)));
    let mut last = y(*first);
    for (at, price) in trend.iter().skip(1) {
        path.push('H');
        path.push_str(&tenths(x(*at)));
        let height = y(*price);
        if height != last {
            path.push('V');
            path.push_str(&tenths(height));
            last = height;
        }
    }
    Some(Spark { path, end: tenths(last) })
}

fn tenths(number: i64) -> String {
    format!("{}.{}", number / 10, number % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::dec;

    fn course(prices: &[(i64, Decimal)]) -> Option<String> {
        let trend: Vec<_> =
            prices.iter().map(|(at, price)| (Timestamp::from_second(*at).unwrap(), *price)).collect();
        spark(&trend).map(|spark| format!("{} {}", spark.path, spark.end))
    }

    #[test]
    fn a_course_is_steps_from_edge_to_edge() {
        assert_eq!(
            course(&[(0, dec!(100)), (50, dec!(120)), (75, dec!(120)), (100, dec!(110))]).unwrap(),
            "M0 21.0H48.0V3.0H72.0H96.0V12.0 12.0"
        );
        assert_eq!(course(&[(0, dec!(5)), (10, dec!(5))]).unwrap(), "M0 12.0H96.0 12.0", "what never moved");
    }

    #[test]
    fn one_price_is_no_course() {
        assert_eq!(course(&[]), None);
        assert_eq!(course(&[(0, dec!(1))]), None);
        assert_eq!(course(&[(7, dec!(1)), (7, dec!(2))]), None);
        assert!(course(&[(0, Decimal::MIN), (1, Decimal::MAX)]).is_none_or(|path| path.starts_with("M0")));
    }
}
