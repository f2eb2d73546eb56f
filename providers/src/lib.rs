//! Vietnamese price sources: what they are, how they are asked, and pure readers of their answers.
//!
//! Nothing here does I/O or reads a clock. An adapter is a value: a constant description ([`Institution`],
//! [`Feed`], [`Source`]) plus two functions, one that says what to ask ([`Source::requests`]) and one that reads
//! the bytes that came back ([`Source::parse`]). To add a provider: a recorded answer in `fixtures/`, one file,
//! one word in [`INSTITUTIONS`], reviewed snapshots.

mod bidv;
mod currency;
mod date;
mod doji;
mod error;
mod html;
mod json;
mod number;
mod ocb;
mod quote;
pub mod replay;
mod request;
mod sheet;
mod term;
mod text;
mod tpbank;
mod vietcombank;
mod xml;

use std::collections::BTreeMap;

use jiff::{
    Timestamp,
    civil::{Date, Weekday},
    tz::Offset,
};
use url::Url;

pub use currency::CURRENCIES;
pub use error::{ParseError, Reason};
pub use number::{NumberError, NumberFormat};
pub use quote::{
    AsOf, Channel, Currency, Customer, Deposit, Fx, Gold, Kind, Quote, Quotes, Term, WeightUnit,
    convert_weight,
};
pub use text::decode;

/// The doors of `tests/fuzz`; nothing else goes through them.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::{
        date::{american, day_first, hour, month_first, write_day_first, write_month_first, year_first},
        number::json_number,
    };
}

/// Vietnam: UTC+7 all year, no daylight saving since 1975.
pub const VIETNAM: Offset = Offset::constant(7);

/// Every institution, in the order in which documents list them.
pub const INSTITUTIONS: &[&Institution] =
    &[&doji::DOJI, &tpbank::TPBANK, &bidv::BIDV, &vietcombank::VIETCOMBANK, &ocb::OCB];

/// Gold products by the names that this project gives them, in the order in which documents list them. Each may
/// have the suffix `-wholesale`.
pub const PRODUCTS: &[&str] = &[
    "sjc-bar",
    "bar",
    "avpl-bar",
    "ring-9999",
    "raw-9999",
    "raw-999",
    "raw-18k",
    "raw-16k",
    "raw-15k",
    "raw-14k",
    "raw-10k",
    "jewelry-9999",
    "jewelry-999",
    "jewelry-99",
    "jewelry-24k",
];

/// Places for which a source may quote of its own.
pub const PLACES: &[&str] = &["hanoi", "hcm"];

/// A house that publishes prices.
#[derive(Debug)]
pub struct Institution {
    /// `bidv`
    pub id: &'static str,
    /// The institution's own short name: `BIDV`, `TPBank`.
    pub name: &'static str,
    /// As readers of the panel know it: `Doji`, `TienPhongBank`.
    pub label: &'static str,
    /// Its feeds.
    pub feeds: &'static [Feed],
}

/// One kind of figure from one institution, with the defaults of its schedule.
#[derive(Debug)]
pub struct Feed {
    /// `<provider>.<kind>`
    pub id: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// The institution's page for people: where a link leads.
    pub page: &'static str,
    /// Five cron fields, Vietnamese time.
    pub schedule: &'static str,
    /// Grace after a missed run: `15m`.
    pub stale_after: &'static str,
    /// After a missed run, how long an old value is still shown: `72h`.
    pub expire_after: &'static str,
    /// Deadline of one exchange.
    pub timeout: &'static str,
    /// Largest plausible step between two values: percent, or points of a rate.
    pub max_jump: &'static str,
    /// Products or currencies without which an answer is not a board.
    pub required: &'static [&'static str],
    /// In order of trust.
    pub sources: &'static [Source],
}

/// One place from which a feed can be read.
#[derive(Debug)]
pub struct Source {
    /// `board`, `xml`, …; unique in its feed.
    pub id: &'static str,
    /// Default base URL.
    pub url: &'static str,
    /// Name of the secret without which it cannot be read.
    pub secret: Option<&'static str>,
    /// Name and page of the third party that it is, when it is not the institution itself.
    pub via: Option<Via>,
    /// Whether one answer holds the whole feed; after a partial one the next source is asked as well.
    pub whole: bool,
    /// Seconds that the source asks its readers to leave between two requests.
    pub min_interval: Option<u32>,
    /// What to ask, in order of preference: the next is tried when the one before did not give a board.
    pub requests: fn(&Ask<'_>) -> Vec<Request>,
    /// How it is asked for a day that has passed, where it offers that.
    pub past: Option<Past>,
    /// Reads an answer.
    pub parse: fn(&Answer<'_>) -> Result<Parsed, ParseError>,
}

/// How a source is asked for a day that has passed. Its answer goes through the source's own parser, with the end of that
/// day for [`Answer::now`]; the board is of the day that it states, which may be an earlier one.
#[derive(Debug, Clone, Copy)]
pub struct Past {
    /// What to ask; [`Ask::now`] is the end of that day.
    pub request: fn(&Ask<'_>) -> Request,
    /// Weekdays of which it has never had a board of their own.
    pub rests: &'static [Weekday],
    /// Whether it has none of public holidays either.
    pub rests_on_holidays: bool,
    /// Whether an answer without data says that a day has no board; else it is a fault.
    pub says_none: bool,
}

/// A stand-in's name and page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via {
    /// As it is attributed: `vang.today`.
    pub name: &'static str,
    /// Its page for people.
    pub url: &'static str,
}

/// What a request is made from.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The day asked for, where a source is asked by day.
    pub now: Timestamp,
    /// Base URL: the default, or the operator's.
    pub base: &'a Url,
    /// The operator's secrets.
    pub secrets: &'a Secrets,
}

/// HTTP method of a [`Request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST` with a form body, which may be empty.
    Post,
}

/// One HTTP request, without the transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which step of the source this is; names the recording in a replay.
    pub step: &'static str,
    /// Method.
    pub method: Method,
    /// Absolute address.
    pub url: Url,
    /// Headers beyond `User-Agent` and `Accept-Encoding`.
    pub headers: &'static [(&'static str, &'static str)],
    /// Body of a `POST`: `application/x-www-form-urlencoded`.
    pub form: String,
}

/// What came back, for a parser.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The body, content coding removed.
    pub body: &'a [u8],
    /// `charset` of the `Content-Type`, if it named one.
    pub charset: Option<&'a str>,
    /// `Last-Modified`, as a day in Vietnam; for sources whose body has no date.
    pub last_modified: Option<Date>,
    /// Which step was asked; `None` for a saved file, which must speak for itself.
    pub step: Option<&'a str>,
    /// When it was asked: only to tell a plausible time stamp from an impossible one.
    pub now: Timestamp,
    /// Base URL of the source, for further steps.
    pub base: &'a Url,
    /// The operator's secrets.
    pub secrets: &'a Secrets,
}

impl Answer<'_> {
    /// The body as text: gzip, byte-order mark and charset undone, Unicode NFC left to the names.
    ///
    /// # Errors
    /// [`ParseError::Empty`] for no bytes or only blanks, [`ParseError::Encoding`] for bytes that are not text.
    pub fn text(&self) -> Result<String, ParseError> {
        decode(self.body, self.charset)
    }
}

/// One successful parse.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed {
    /// The figures.
    Sheet(Sheet),
    /// The figures are one request further.
    Follow(Request),
}

/// What one answer said.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    /// When the source says that its figures hold.
    pub as_of: AsOf,
    /// In the source's own order.
    pub quotes: Vec<Quote>,
    /// Rows that could not be read, and why; the others stand.
    pub refused: Vec<Reason>,
}

/// Secrets by name; never printed.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Names that some source asks for.
    pub const NAMES: &'static [&'static str] = &["doji_board_key", "doji_api_key"];

    /// From names and values; empty values count as not set.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The secret of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All values, to be kept out of logs.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Source {
    /// Its built-in address.
    ///
    /// # Errors
    /// When the constant is not a URL, which a test rules out.
    pub fn base(&self) -> Result<Url, url::ParseError> {
        Url::parse(self.url)
    }
}

/// All feeds with their institutions, in document order.
pub fn feeds() -> impl Iterator<Item = (&'static Institution, &'static Feed)> {
    INSTITUTIONS.iter().flat_map(|institution| institution.feeds.iter().map(move |feed| (*institution, feed)))
}

/// The feed of this id.
#[must_use]
pub fn feed(id: &str) -> Option<(&'static Institution, &'static Feed)> {
    feeds().find(|(_, feed)| feed.id == id)
}
