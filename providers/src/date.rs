//! Days and hours as the sources write them. The order of day and month is declared, never guessed.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
};

use crate::VIETNAM;

/// `13/04/2026`: the 13th of April.
#[must_use]
pub fn day_first(text: &str) -> Option<Date> {
    let [day, month, year] = parts(text, '/')?;
    date(year, month, day)
}

/// `04/13/2026`: the 13th of April.
#[must_use]
pub fn month_first(text: &str) -> Option<Date> {
    let [month, day, year] = parts(text, '/')?;
    date(year, month, day)
}

/// `2026-04-13`
#[must_use]
pub fn year_first(text: &str) -> Option<Date> {
    let [year, month, day] = parts(text, '-')?;
    date(year, month, day)
}

/// `08:12`, `8:12`
#[must_use]
pub fn hour(text: &str) -> Option<Time> {
    let (hours, minutes) = text.trim().split_once(':')?;
    Time::new(digits(hours, 2)?.try_into().ok()?, digits(minutes, 2)?.try_into().ok()?, 0, 0).ok()
}

/// `9/2/2026 5:38:54 PM`: the second of September, in Vietnam.
#[must_use]
pub fn american(text: &str) -> Option<Timestamp> {
    let mut words = text.split_whitespace();
    let (day, time, half) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    let [hours, minutes, seconds] = parts(time, ':')?;
    if !(1..=12).contains(&hours) {
        return None;
    }
    let hours = match half {
        "AM" => hours % 12,
        "PM" => hours % 12 + 12,
        _ => return None,
    };
    let time =
        Time::new(hours.try_into().ok()?, minutes.try_into().ok()?, seconds.try_into().ok()?, 0).ok()?;
    at(month_first(day)?, time)
}

/// The instant of a Vietnamese wall clock.
pub(crate) fn at(date: Date, time: Time) -> Option<Timestamp> {
    VIETNAM.to_timestamp(DateTime::from_parts(date, time)).ok()
}

/// The Vietnamese day of an instant.
pub(crate) fn vietnamese_day(now: Timestamp) -> Date {
    VIETNAM.to_datetime(now).date()
}

/// `30/09/2026`
#[must_use]
pub fn write_day_first(date: Date) -> String {
    format!("{:02}/{:02}/{:04}", date.day(), date.month(), date.year())
}

/// `09/30/2026`
#[must_use]
pub fn write_month_first(date: Date) -> String {
    format!("{:02}/{:02}/{:04}", date.month(), date.day(), date.year())
}

fn date(year: i32, month: i32, day: i32) -> Option<Date> {
    (1900..=9999).contains(&year).then_some(())?;
    Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()
}

fn parts(text: &str, mark: char) -> Option<[i32; 3]> {
    let mut parts = text.trim().split(mark);
    let three = [digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 4)?];
    parts.next().is_none().then_some(three)
}

fn digits(text: &str, most: usize) -> Option<i32> {
    (!text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_day_and_month_is_that_of_the_source() {
        assert_eq!(day_first("03/06/2024").unwrap().to_string(), "2024-06-03");
        assert_eq!(month_first("06/03/2024").unwrap().to_string(), "2024-06-03");
        assert_eq!(year_first("2024-06-03").unwrap().to_string(), "2024-06-03");
        assert_eq!(american("9/2/2026 5:38:54 PM").unwrap().to_string(), "2026-09-02T10:38:54Z");
        assert_eq!(american("12/21/2022 12:00:01 AM").unwrap().to_string(), "2022-12-20T17:00:01Z");
        assert_eq!(write_day_first(month_first("06/03/2024").unwrap()), "03/06/2024");
    }

    #[test]
    fn days_that_do_not_exist_are_no_days() {
        for text in
            ["30/02/2026", "31/04/2026", "00/01/2026", "1/1/26", "1/1/1/2026", "+1/01/2026", "", "1-1-2026"]
        {
            assert_eq!(day_first(text), None, "{text}");
        }
        for text in ["17/05/2024", "02/30/2026", "2026/01/01"] {
            assert_eq!(month_first(text), None, "{text}");
        }
        for text in [
            "21/12/2022 2:36:27 PM",
            "12/21/2022 14:36:27",
            "12/21/2022 0:36:27 PM",
            "12/21/2022 13:36:27 PM",
        ] {
            assert_eq!(american(text), None, "{text}");
        }
        for text in ["24:00", "8", "8:60", "ab:cd", "-1:00"] {
            assert_eq!(hour(text), None, "{text}");
        }
    }
}
