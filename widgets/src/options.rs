//! What a reader or an editor may choose about a widget's looks. Values come from query parameters, attributes and
//! presets: parsed here, refused with the list of what is allowed, never echoed into a page. What a widget contains
//! (which houses, currencies, terms) is decided by the service.

use std::{fmt, str::FromStr};

/// A value that a parameter does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownValue {
    /// Name of the parameter: `lang`, `theme`.
    pub parameter: &'static str,
    /// What was given; from a stranger, so escape it wherever it is shown.
    pub value: String,
    /// What is allowed, in the order of the documentation.
    pub allowed: &'static [&'static str],
}

impl fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} is not one of {}", self.parameter, self.value, self.allowed.join(", "))
    }
}

impl std::error::Error for UnknownValue {}

/// Language of words, numbers and dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lang {
    /// Vietnamese.
    #[default]
    Vi,
    /// English, with British dates.
    En,
}

impl Lang {
    /// Values of the parameter `lang`.
    pub const ALLOWED: &'static [&'static str] = &["vi", "en"];

    /// The parameter's value, which is also the BCP 47 tag of the page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vi => "vi",
            Self::En => "en",
        }
    }
}

impl FromStr for Lang {
    type Err = UnknownValue;

    fn from_str(value: &str) -> Result<Self, UnknownValue> {
        match value {
            "vi" => Ok(Self::Vi),
            "en" => Ok(Self::En),
            _ => Err(UnknownValue { parameter: "lang", value: value.to_owned(), allowed: Self::ALLOWED }),
        }
    }
}

impl fmt::Display for Lang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Ground and ink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Theme {
    /// Dark ink on white, whatever the reader's system prefers.
    Light,
    /// Light ink on near-black.
    Dark,
    /// As the reader's system prefers.
    #[default]
    Auto,
    /// No ground of its own; ink as the reader's system prefers. The same as automatic with [`Look::transparent`].
    Transparent,
}

impl Theme {
    /// Values of the parameter `theme`.
    pub const ALLOWED: &'static [&'static str] = &["light", "dark", "auto", "transparent"];

    /// The parameter's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Auto => "auto",
            Self::Transparent => "transparent",
        }
    }

    /// Value of `data-theme`: which ink. A transparent widget is automatic without its ground.
    pub(crate) const fn ink(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Auto | Self::Transparent => "auto",
        }
    }

    /// Content of `<meta name="color-scheme">`, so that scroll bars and the canvas follow the theme.
    pub(crate) const fn color_scheme(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Auto | Self::Transparent => "light dark",
        }
    }
}

impl FromStr for Theme {
    type Err = UnknownValue;

    fn from_str(value: &str) -> Result<Self, UnknownValue> {
        match value {
            "light" => Ok(Self::Light),
            "dark" => Ok(Self::Dark),
            "auto" => Ok(Self::Auto),
            "transparent" => Ok(Self::Transparent),
            _ => Err(UnknownValue { parameter: "theme", value: value.to_owned(), allowed: Self::ALLOWED }),
        }
    }
}

impl fmt::Display for Theme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Colour of the marks (tab, best rate), never of text: `RRGGBB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Accent(u32);

impl Accent {
    /// How the parameter `accent` is written.
    pub const ALLOWED: &'static [&'static str] = &["six hexadecimal digits RRGGBB, such as a87400"];
}

impl FromStr for Accent {
    type Err = UnknownValue;

    /// With or without the number sign that colour pickers put before it.
    fn from_str(value: &str) -> Result<Self, UnknownValue> {
        let digits = value.strip_prefix('#').unwrap_or(value);
        let number = u32::from_str_radix(digits, 16).ok();
        match number.filter(|_| digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())) {
            Some(number) => Ok(Self(number)),
            None => {
                Err(UnknownValue { parameter: "accent", value: value.to_owned(), allowed: Self::ALLOWED })
            }
        }
    }
}

impl fmt::Display for Accent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06x}", self.0)
    }
}

/// How a widget is to look. The default is Vietnamese with the automatic theme, complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "each is a parameter of its own that is on or off")]
pub struct Look {
    /// Language of words, numbers and dates.
    pub lang: Lang,
    /// Ground and ink.
    pub theme: Theme,
    /// No ground of its own.
    pub transparent: bool,
    /// Instead of the house's gold.
    pub accent: Option<Accent>,
    /// One line a row: without changes and sparklines.
    pub compact: bool,
    /// Whether the section's title is shown; its unit always is.
    pub title: bool,
    /// Whether the board's own name links to it; sources always are linked.
    pub link: bool,
    /// Whether the tape moves, where readers have not asked for less motion.
    pub motion: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            lang: Lang::default(),
            theme: Theme::default(),
            transparent: false,
            accent: None,
            compact: false,
            title: true,
            link: true,
            motion: false,
        }
    }
}

impl Look {
    /// No ground of its own, by either parameter.
    pub(crate) fn is_transparent(&self) -> bool {
        self.transparent || self.theme == Theme::Transparent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allowed_value_is_parsed_and_written_back() {
        for value in Lang::ALLOWED {
            assert_eq!(value.parse::<Lang>().unwrap().to_string(), *value);
        }
        for value in Theme::ALLOWED {
            assert_eq!(value.parse::<Theme>().unwrap().to_string(), *value);
        }
        for (value, written) in [("a87400", "a87400"), ("#A87400", "a87400"), ("000000", "000000")] {
            assert_eq!(value.parse::<Accent>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn an_unknown_value_is_refused_with_the_list_of_allowed_ones() {
        for value in ["", "VI", "fr", "vi ", "<b>"] {
            let refusal = value.parse::<Lang>().unwrap_err();
            assert_eq!((refusal.parameter, refusal.value.as_str()), ("lang", value));
            assert_eq!(refusal.allowed, ["vi", "en"]);
        }
        let refusal = "neon".parse::<Theme>().unwrap_err();
        assert_eq!(refusal.to_string(), "theme \"neon\" is not one of light, dark, auto, transparent");
        for value in ["", "#", "fff", "a8740", "a874000", "+a8740", "red", "a8740g", "##a8740", "a87400;}"] {
            assert!(value.parse::<Accent>().is_err(), "{value}");
        }
    }
}
