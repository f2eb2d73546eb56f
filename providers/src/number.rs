//! The one reader of numbers. A source declares how it writes them; nothing is guessed, since `1.234` is a
//! thousand and more at one bank and one and a bit at another.

use rust_decimal::Decimal;

/// How a source writes numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberFormat {
    /// Mark between thousands; `None`: the source never groups.
    group: Option<char>,
    /// Mark before the fraction; `None`: whole numbers only.
    decimal: Option<char>,
}

/// Not a number of the declared form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a number such as {example}")]
pub struct NumberError {
    text: String,
    example: &'static str,
}

impl NumberFormat {
    /// `148,500`, `26,150.55`: BIDV, DOJI's XML, Vietcombank's XML.
    pub const COMMA_GROUPS: Self = Self { group: Some(','), decimal: Some('.') };
    /// `148.500.000`, `26.150,55`, `4,7`: the Vietnamese way.
    pub const DOT_GROUPS: Self = Self { group: Some('.'), decimal: Some(',') };
    /// `14460`, `25890.00`, `6.4`: digits and a point.
    pub const PLAIN: Self = Self { group: None, decimal: Some('.') };

    const fn example(self) -> &'static str {
        match self.group {
            Some(',') => "26,150.55",
            Some(_) => "26.150,55",
            None => "26150.55",
        }
    }

    /// The number, exactly, with the source's digits. Groups may be left out, but where they are they are of
    /// three digits; a sign, an exponent, blanks inside and anything else are refused.
    ///
    /// # Errors
    /// When the text is not of this form or has more digits than a decimal holds.
    pub fn parse(self, text: &str) -> Result<Decimal, NumberError> {
        let wrong = || NumberError {
            text: text.chars().take(40).flat_map(char::escape_debug).collect(),
            example: self.example(),
        };
        let trimmed = text.trim();
        let (whole, fraction) = match self.decimal.and_then(|mark| trimmed.split_once(mark)) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (trimmed, None),
        };
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let mut plain = String::with_capacity(trimmed.len());
        match self.group {
            Some(mark) if whole.contains(mark) => {
                for (at, group) in whole.split(mark).enumerate() {
                    let fits = if at == 0 { group.len() <= 3 } else { group.len() == 3 };
                    if !fits || !digits(group) {
                        return Err(wrong());
                    }
                    plain.push_str(group);
                }
                if plain.starts_with('0') {
                    return Err(wrong());
                }
            }
            _ if digits(whole) => plain.push_str(whole),
            _ => return Err(wrong()),
        }
        if let Some(fraction) = fraction {
            if !digits(fraction) {
                return Err(wrong());
            }
            plain.push('.');
            plain.push_str(fraction);
        }
        Decimal::from_str_exact(&plain).map_err(|_| wrong())
    }

    /// A price, or `None` where the source says that it quotes none: empty, a dash, zero, `Liên hệ`.
    ///
    /// # Errors
    /// As [`NumberFormat::parse`].
    pub fn price(self, text: &str) -> Result<Option<Decimal>, NumberError> {
        if not_quoted(text) {
            return Ok(None);
        }
        self.parse(text).map(|value| Some(value).filter(|value| !value.is_zero()))
    }

    /// A rate with or without its unit: `4,7 %/năm`, `5.9%`, `6.4`.
    ///
    /// # Errors
    /// As [`NumberFormat::parse`].
    pub fn percent(self, text: &str) -> Result<Option<Decimal>, NumberError> {
        if not_quoted(text) {
            return Ok(None);
        }
        let compact = crate::text::label(text).replace("% /", "%/").replace("/ năm", "/năm");
        let bare =
            ["%/năm", "%/year", "%"].iter().find_map(|unit| compact.strip_suffix(unit)).unwrap_or(&compact);
        match self.parse(bare) {
            Ok(value) => Ok(Some(value)),
            Err(_) => self.parse(text).map(Some),
        }
    }
}

/// A JSON number, taken from its own digits and never through a float. Zero and null mean "no price".
pub(crate) fn json_price(raw: &str) -> Result<Option<Decimal>, NumberError> {
    if raw == "null" {
        return Ok(None);
    }
    json_number(raw).map(|value| Some(value).filter(|value| !value.is_zero()))
}

/// Gold dealers write 1 for "not sold", as others write 0.
pub(crate) fn sold(price: Option<Decimal>) -> Option<Decimal> {
    price.filter(|price| *price != Decimal::ONE)
}

/// A JSON number that may be zero.
///
/// # Errors
/// When it is no finite, non-negative decimal.
pub fn json_number(raw: &str) -> Result<Decimal, NumberError> {
    let wrong = || NumberError {
        text: raw.chars().take(40).flat_map(char::escape_debug).collect(),
        example: "14460",
    };
    let exact = |text: &str| Decimal::from_str_exact(text).map_err(|_| wrong());
    let value = match raw.split_once(['e', 'E']) {
        None => exact(raw)?,
        // Which rounds digits that do not fit.
        Some((digits, _)) => {
            exact(digits).and_then(|_| Decimal::from_scientific(raw).map_err(|_| wrong()))?
        }
    };
    if value.is_sign_negative() && !value.is_zero() { Err(wrong()) } else { Ok(value) }
}

/// The spellings of "not quoted".
pub(crate) fn not_quoted(text: &str) -> bool {
    let label = crate::text::label(text);
    matches!(label.as_str(), "" | "-" | "–" | "—" | "--" | "n/a" | "null" | "liên hệ" | "lien he")
}

#[cfg(test)]
mod tests {
    use rust_decimal::dec;

    use super::*;

    #[test]
    fn numbers_are_read_as_their_source_declares_them() {
        let cases = [
            (NumberFormat::DOT_GROUPS, "148.500.000", "148500000"),
            (NumberFormat::DOT_GROUPS, "26.150,55", "26150.55"),
            (NumberFormat::DOT_GROUPS, "176.700", "176700"),
            (NumberFormat::DOT_GROUPS, "4,7", "4.7"),
            (NumberFormat::COMMA_GROUPS, "148,500", "148500"),
            (NumberFormat::COMMA_GROUPS, "5,353.44", "5353.44"),
            (NumberFormat::COMMA_GROUPS, "163.2", "163.2"),
            (NumberFormat::COMMA_GROUPS, "0.9", "0.9"),
            (NumberFormat::COMMA_GROUPS, "25,890.00", "25890.00"),
            (NumberFormat::COMMA_GROUPS, " 16831.49 ", "16831.49"),
            (NumberFormat::PLAIN, "14460", "14460"),
            (NumberFormat::PLAIN, "25890.00", "25890.00"),
        ];
        for (format, text, wanted) in cases {
            assert_eq!(format.parse(text).map(|n| n.to_string()).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn thousands_are_never_taken_for_decimals_nor_the_other_way_round() {
        let cases = [
            (NumberFormat::DOT_GROUPS, "1.5"),
            (NumberFormat::DOT_GROUPS, "14.8500"),
            (NumberFormat::DOT_GROUPS, "1,234,567"),
            (NumberFormat::DOT_GROUPS, "0.055"),
            (NumberFormat::COMMA_GROUPS, "163,2"),
            (NumberFormat::COMMA_GROUPS, "26.150,55"),
            (NumberFormat::COMMA_GROUPS, "148.500.000"),
            (NumberFormat::COMMA_GROUPS, ",500"),
            (NumberFormat::COMMA_GROUPS, "1,,000"),
            (NumberFormat::PLAIN, "14,460"),
        ];
        for (format, text) in cases {
            assert!(format.parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_an_error_that_names_it() {
        for text in [
            "NaN",
            "inf",
            "1e309",
            "-5",
            "+5",
            "1 000",
            "abc",
            ".",
            "5.",
            ".5",
            "٣",
            "1234567890123456789012345678901",
        ] {
            let error = NumberFormat::COMMA_GROUPS.parse(text).unwrap_err();
            assert!(error.to_string().contains("26,150.55"), "{error}");
        }
    }

    #[test]
    fn empty_dash_zero_and_contact_us_mean_not_quoted() {
        for text in ["", " ", "-", "0", "0.00", "Liên hệ", "Lie\u{302}n hê\u{323}", "–"] {
            assert_eq!(NumberFormat::COMMA_GROUPS.price(text), Ok(None), "{text}");
        }
        for raw in ["null", "0", "0.0", "0e5"] {
            assert_eq!(json_price(raw), Ok(None), "{raw}");
        }
    }

    #[test]
    fn rates_may_carry_their_unit() {
        for (text, wanted) in
            [("4,7 %/năm", dec!(4.7)), ("4,7%", dec!(4.7)), ("4,00", dec!(4.00)), ("5,9 % / năm", dec!(5.9))]
        {
            assert_eq!(NumberFormat::DOT_GROUPS.percent(text), Ok(Some(wanted)), "{text}");
        }
        assert_eq!(NumberFormat::PLAIN.percent("6.4"), Ok(Some(dec!(6.4))));
        assert!(NumberFormat::PLAIN.percent("6.4 %/tháng").is_err());
    }

    #[test]
    fn json_numbers_keep_their_digits() {
        assert_eq!(json_price("13500.0").unwrap().unwrap().to_string(), "13500.0");
        assert_eq!(json_price("1.35e4"), Ok(Some(dec!(13500))));
        for raw in ["-1", "1e309", "1.00000000000000000000000000001e29", "\"5\"", "true", "{}"] {
            assert!(json_price(raw).is_err(), "{raw}");
        }
    }
}
