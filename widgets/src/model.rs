//! What a widget shows, ready to be laid out: figures in the unit of their table, states decided, times chosen.

use jiff::{Timestamp, civil::Date};
use rust_decimal::Decimal;

/// How current a figure is, by the feed's `fresh_until` and `expires_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Read again in time.
    Fresh,
    /// A due run was missed: shown, but grey and without its change.
    Stale,
    /// Too old to be shown: a dash and the reason.
    Expired,
    /// There never was a value.
    Unavailable,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// In the unit of its table; `None`: the institution does not quote this side or term.
    pub value: Option<Decimal>,
    /// Expired and unavailable figures are shown as a dash, whatever `value` holds.
    pub status: Status,
    /// Difference to the previous distinct value, in the same unit; shown only while fresh.
    pub change: Option<Decimal>,
    /// A newer value is under review: `chờ kiểm tra` stands in place of the change.
    pub held: bool,
    /// The figure is borrowed from a stand-in: the mark of its foot line, and the stand-in's name.
    pub borrowed: Option<(char, String)>,
}

/// Which time a foot line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The source's own instant: `lúc`.
    At(Timestamp),
    /// The source's own date: `ngày`.
    On(Date),
    /// The date from which a rate is in force: `áp dụng từ`.
    InForceFrom(Date),
    /// The source states no time; this is when it was last read: `đọc lúc`.
    ReadAt(Timestamp),
}

/// What a foot line says after the source's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FootState {
    /// Current.
    Fresh(When),
    /// Old; the time of the figures shown. Absolute, since pages are cached: never an age.
    Stale(When),
    /// Withheld; the last time the source was read.
    Expired(Timestamp),
    /// Never had a value.
    Unavailable,
    /// A newer value waits for review since then; named (`USD`) where a table has many.
    Held {
        /// Which figure, when not all of them.
        what: Option<String>,
        /// Since when the candidate has been waiting.
        since: Timestamp,
    },
    /// Played back from a recording: `mẫu ghi lúc`.
    Recorded(Timestamp),
}

/// One line under a table: whose figures, and how old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foot {
    /// Set when only the marked figures are from here.
    pub mark: Option<char>,
    /// The institution, as its customers write it.
    pub name: String,
    /// Its public page, for people.
    pub url: String,
    /// Name and page of the stand-in through which the figures came.
    pub via: Option<(String, String)>,
    /// State and time.
    pub state: FootState,
}

/// Gold: houses are columns, buy and sell are rows; figures in million đồng per lượng.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldTable {
    /// Column heads: `Doji`, `TienPhongBank`.
    pub houses: Vec<String>,
    /// One figure a house.
    pub buy: Vec<Figure>,
    /// One figure a house.
    pub sell: Vec<Figure>,
    /// One line a source.
    pub foot: Vec<Foot>,
}

/// One currency; figures in đồng per unit.
#[derive(Debug, Clone, PartialEq)]
pub struct FxRow {
    /// ISO 4217 code.
    pub code: String,
    /// What the bank pays.
    pub buy: Figure,
    /// What the bank asks.
    pub sell: Figure,
}

/// Exchange rates of one bank.
#[derive(Debug, Clone, PartialEq)]
pub struct FxTable {
    /// In the order of the configuration.
    pub rows: Vec<FxRow>,
    /// One line a source.
    pub foot: Vec<Foot>,
}

/// One term; figures in % a year.
#[derive(Debug, Clone, PartialEq)]
pub struct DepositRow {
    /// Term in months; 0 = demand (không kỳ hạn).
    pub months: u16,
    /// One figure a bank.
    pub rates: Vec<Figure>,
}

/// Deposit rates: terms are rows, banks are columns.
#[derive(Debug, Clone, PartialEq)]
pub struct DepositTable {
    /// Column heads.
    pub banks: Vec<String>,
    /// In ascending order of term.
    pub rows: Vec<DepositRow>,
    /// One line a source.
    pub foot: Vec<Foot>,
}

/// The sidebar board.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Played back from recordings: the band on top says so.
    pub recorded: bool,
    /// Address of the gallery, absolute.
    pub home: String,
    /// Giá vàng 9999.
    pub gold: GoldTable,
    /// Tỷ giá.
    pub fx: FxTable,
    /// Lãi suất.
    pub deposits: DepositTable,
}
