//! JSON without floats: a document is cut into raw values, and a number is read from its own digits.

use std::{collections::BTreeMap, fmt};

use rust_decimal::Decimal;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    error::ParseError,
    html,
    number::{self, NumberError, NumberFormat},
    sheet::Rows,
    text,
};

/// A whole document, checked from the first byte to the last.
pub(crate) fn document(text: &str) -> Result<&RawValue, ParseError> {
    match text.trim_start().as_bytes().first() {
        Some(b'{' | b'[') => {
            serde_json::from_str(text.trim()).map_err(|error| ParseError::NotExpectedContent {
                expected: "JSON",
                found: format!("JSON that does not end or is damaged ({error})"),
            })
        }
        _ => Err(html::unexpected(text, "JSON")),
    }
}

/// What a value is, for a message: `an object with the keys a, b`, `a list of 3`.
pub(crate) fn describe(raw: &RawValue) -> String {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'{') => Object::read(raw).map_or_else(
            |_| "an object".to_owned(),
            |object| {
                let keys: Vec<String> =
                    object.0.keys().take(8).map(|key| text::name(&clip(key, 24))).collect();
                if keys.is_empty() {
                    "an empty object".to_owned()
                } else {
                    format!("an object with the keys {}", keys.join(", "))
                }
            },
        ),
        Some(b'[') => match list(raw).map(|rows| rows.len()) {
            Some(0) => "an empty list".to_owned(),
            Some(len) => format!("a list of {len}"),
            None => "a list".to_owned(),
        },
        Some(b'"') => format!("the text {}", clip(text, 40)),
        _ => clip(text, 40),
    }
}

/// The first characters of a text that may be long.
pub(crate) fn clip(text: &str, most: usize) -> String {
    let mut clipped: String = text.chars().take(most).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}

/// The items, if it is a list.
pub(crate) fn list(raw: &RawValue) -> Option<Vec<&RawValue>> {
    raw.get().starts_with('[').then(|| serde_json::from_str(raw.get()).ok()).flatten()
}

/// The text, if it is one.
pub(crate) fn string(raw: &RawValue) -> Option<String> {
    raw.get().starts_with('"').then(|| serde_json::from_str(raw.get()).ok()).flatten()
}

/// A price: a number, or a text of the form that the source declares. `None`: not quoted.
pub(crate) fn price(raw: Option<&RawValue>, format: NumberFormat) -> Result<Option<Decimal>, NumberError> {
    match raw {
        None => Ok(None),
        Some(raw) => match string(raw) {
            Some(text) => format.price(&text),
            None => number::json_price(raw.get()),
        },
    }
}

/// A rate in percent: a number, or a text of the form that the source declares. Zero is "not quoted".
pub(crate) fn percent(raw: Option<&RawValue>, format: NumberFormat) -> Result<Option<Decimal>, NumberError> {
    match raw {
        None => Ok(None),
        Some(raw) => match string(raw) {
            Some(text) => format.percent(&text).map(|rate| rate.filter(|rate| !rate.is_zero())),
            None => number::json_price(raw.get()),
        },
    }
}

/// An object. A key that occurs twice must say the same twice.
#[derive(Debug)]
pub(crate) struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    /// Of a value that should be one.
    pub(crate) fn read(raw: &'a RawValue) -> Result<Self, ParseError> {
        if !raw.get().starts_with('{') {
            return Err(ParseError::Schema(format!("{} where an object belongs", describe(raw))));
        }
        let Pairs(pairs) = serde_json::from_str(raw.get())
            .map_err(|error| ParseError::Schema(format!("an object that cannot be read ({error})")))?;
        let mut object = BTreeMap::new();
        for (key, value) in pairs {
            if let Some(first) = object.insert(key.clone(), value)
                && first.get() != value.get()
            {
                return Err(ParseError::Conflict(format!(
                    "\"{}\" occurs twice, as {} and as {}",
                    text::name(&clip(&key, 40)),
                    clip(first.get(), 40),
                    clip(value.get(), 40)
                )));
            }
        }
        Ok(Self(object))
    }

    /// A value; `null` is none.
    pub(crate) fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.get(key).copied().filter(|raw| raw.get() != "null")
    }

    /// Whether the key is there, even with `null`.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// A text.
    pub(crate) fn string(&self, key: &str) -> Option<String> {
        self.get(key).and_then(string)
    }

    /// A text or the digits of a number: for ordinals and opaque ids.
    pub(crate) fn word(&self, key: &str) -> Option<String> {
        let raw = self.get(key)?;
        string(raw).or_else(|| {
            raw.get().starts_with(|c: char| c == '-' || c.is_ascii_digit()).then(|| raw.get().to_owned())
        })
    }

    /// All values with their keys.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), *value))
    }

    /// The keys, for a message.
    pub(crate) fn keys(&self) -> String {
        let keys: Vec<String> = self.0.keys().take(8).map(|key| text::name(&clip(key, 24))).collect();
        if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
    }
}

/// The rows of a list, each an object; what is none is refused alone.
pub(crate) fn objects<'a>(rows: &[&'a RawValue], sheet: &mut Rows) -> Vec<Object<'a>> {
    let mut objects = Vec::with_capacity(rows.len());
    for (at, raw) in rows.iter().enumerate() {
        match Object::read(raw) {
            Ok(object) => objects.push(object),
            Err(error) => sheet.refuse(&format!("number {}", at + 1), error),
        }
    }
    objects
}

/// Columns that a board cannot do without: each must occur in at least one row, or the board has another form.
pub(crate) fn require_columns(rows: &[Object<'_>], columns: &[&str]) -> Result<(), ParseError> {
    for column in columns {
        if !rows.iter().any(|row| row.has(column)) {
            let keys = rows.first().map_or_else(|| "none".to_owned(), Object::keys);
            return Err(ParseError::Schema(format!("no row has \"{column}\"; the keys are {keys}")));
        }
    }
    Ok(())
}

struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyObject;
        impl<'de> Visitor<'de> for AnyObject {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(AnyObject)
    }
}
