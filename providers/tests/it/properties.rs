//! What holds for any number and any bytes.

use proptest::prelude::*;
use providers::NumberFormat;
use rust_decimal::Decimal;

use crate::support::case;

/// A number as a source prints it, with marks of its own.
fn printed(value: Decimal, group: Option<char>, mark: char) -> String {
    let plain = value.to_string();
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut text = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if let Some(group) = group
            && at > 0
            && (whole.len() - at).is_multiple_of(3)
        {
            text.push(group);
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push(mark);
        text.push_str(fraction);
    }
    text
}

proptest! {
    #[test]
    fn numbers_read_back_exactly_as_their_source_prints_them(digits in 0_u64..1_000_000_000_000, scale in 0_u32..5) {
        let value = Decimal::new(digits.try_into().unwrap(), scale);
        for (format, group, mark) in [
            (NumberFormat::COMMA_GROUPS, Some(','), '.'),
            (NumberFormat::DOT_GROUPS, Some('.'), ','),
            (NumberFormat::PLAIN, None, '.'),
        ] {
            let text = printed(value, group, mark);
            prop_assert_eq!(format.parse(&text), Ok(value), "{}", text);
        }
    }

    #[test]
    fn f34_grouped_numbers_are_never_read_with_the_other_marks(digits in 1_000_000_u64..1_000_000_000_000) {
        let value = Decimal::from(digits);
        prop_assert!(NumberFormat::DOT_GROUPS.parse(&printed(value, Some(','), '.')).is_err());
        prop_assert!(NumberFormat::COMMA_GROUPS.parse(&printed(value, Some('.'), ',')).is_err());
        prop_assert!(NumberFormat::PLAIN.parse(&printed(value, Some(','), '.')).is_err());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}|[<>\\[\\]{}\":,&;0-9a-z/ ]{0,200}") {
        for (_, feed) in providers::feeds() {
            for source in feed.sources {
                prop_assert!(case(feed.id, source.id).parse(text.as_bytes()).is_err());
            }
        }
        let _ = (NumberFormat::DOT_GROUPS.price(&text), NumberFormat::COMMA_GROUPS.percent(&text));
    }
}
