//! Why an answer, or a row of it, was not read. Each reason is a sentence that a stranger understands and a
//! stable code that a program can count.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::json::clip;

/// Characters of a reason.
const LONGEST: usize = 600;

/// A stable code and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `out_of_band`, `not_expected_content`, …
    pub code: Cow<'static, str>,
    /// English; says what was found and what was expected. One line.
    pub message: String,
}

impl Reason {
    /// A reason.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        let message: String = message.into();
        // Sources are quoted in reasons, and reasons stand in logs, documents and pages: one line, of a length to read.
        let visible = |c: char| if c.is_control() { ' ' } else { c };
        Self { code: Cow::Borrowed(code), message: clip(&message, LONGEST).chars().map(visible).collect() }
    }
}

/// The whole answer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No bytes, or only blanks.
    #[error("the answer is empty")]
    Empty,
    /// The bytes are not text in any encoding that the answer claims.
    #[error("the answer is not text: {0}")]
    Encoding(String),
    /// Another kind of document: an error page, a page shell, somebody else's file.
    #[error("expected {expected}, found {found}")]
    NotExpectedContent {
        /// What the source should have sent.
        expected: &'static str,
        /// What came: a page and its title, a JSON object and its keys.
        found: String,
    },
    /// A firewall, captcha or script challenge instead of the answer.
    #[error("the source's firewall answered instead of the source: {0}")]
    Blocked(String),
    /// A "not found" page with status 200.
    #[error("the source answered with a \"not found\" page although the status says that all is well: {0}")]
    SoftNotFound(String),
    /// The source itself says that it has no board or that something failed.
    #[error("the source says that it has no data: {0}")]
    NoData(String),
    /// The right kind of document, but columns, keys or units are not those that are known.
    #[error("the answer no longer has the known form: {0}")]
    Schema(String),
    /// Two places of one answer contradict each other.
    #[error("the answer contradicts itself: {0}")]
    Conflict(String),
    /// An encrypted envelope, and the operator's key is not its key.
    #[error("the envelope does not open with this key")]
    EnvelopeKey,
    /// An encrypted envelope or a protected source, and no key at all.
    #[error("the secret {0} is not set; without it this source cannot be read")]
    SecretMissing(&'static str),
    /// Nested so deeply that reading it would take for ever.
    #[error("the page is nested more than {0} levels deep")]
    TooDeep(usize),
}

impl ParseError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Encoding(_) => "encoding",
            Self::NotExpectedContent { .. } => "not_expected_content",
            Self::Blocked(_) => "blocked",
            Self::SoftNotFound(_) => "soft_404",
            Self::NoData(_) => "no_data",
            Self::Schema(_) => "schema_drift",
            Self::Conflict(_) => "conflict",
            Self::EnvelopeKey => "envelope_key",
            Self::SecretMissing(_) => "secret_missing",
            Self::TooDeep(_) => "too_deep",
        }
    }

    /// What should have come, and what came: for whoever compares the two.
    #[must_use]
    pub fn sides(&self) -> (String, String) {
        let (expected, found) = match self {
            Self::Empty => ("an answer", "nothing"),
            Self::Encoding(found) => ("text in the encoding that is declared", found.as_str()),
            Self::NotExpectedContent { expected, found } => (*expected, found.as_str()),
            Self::Blocked(found) => ("the source's own answer", found.as_str()),
            Self::SoftNotFound(found) => ("a page that exists", found.as_str()),
            Self::NoData(found) => ("figures", found.as_str()),
            Self::Schema(found) => ("the columns, keys and units that are known", found.as_str()),
            Self::Conflict(found) => ("one figure in one place", found.as_str()),
            Self::EnvelopeKey => ("an envelope of this key", "an envelope of another key"),
            Self::SecretMissing(name) => return (format!("the secret {name}"), "none".to_owned()),
            Self::TooDeep(most) => {
                return (format!("at most {most} levels"), "more levels than that".to_owned());
            }
        };
        (expected.to_owned(), found.to_owned())
    }

    /// The same as a [`Reason`].
    #[must_use]
    pub fn reason(&self) -> Reason {
        Reason::new(self.code(), self.to_string())
    }
}
