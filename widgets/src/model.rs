//! What a widget shows, ready to be laid out: figures in the unit of their table, states decided, times chosen.

use std::str::FromStr;

use jiff::{Timestamp, civil::Date};
use rust_decimal::{Decimal, dec};

use crate::options::UnknownValue;

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
    /// Which line of its table's foot tells whose it is and how old.
    pub foot: usize,
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
    /// From when a copy in somebody's cache has to call these figures old, and from when it has to withhold them;
    /// scripts do, since a document says no ages. `None` where it would mean nothing: recordings, no figures.
    pub until: Option<(Timestamp, Timestamp)>,
}

/// The weight that gold is given for, and so the money that its figures are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GoldUnit {
    /// 37.5 g; million đồng.
    #[default]
    Luong,
    /// 3.75 g; thousand đồng.
    Chi,
    /// Thousand đồng.
    Gram,
    /// Million đồng.
    Kilogram,
    /// 31.1034768 g; million đồng.
    Ounce,
}

impl GoldUnit {
    /// Đồng in one of the table's money: what a price is divided by.
    #[must_use]
    pub const fn money(self) -> Decimal {
        match self {
            Self::Luong | Self::Kilogram | Self::Ounce => dec!(1_000_000),
            Self::Chi | Self::Gram => Decimal::ONE_THOUSAND,
        }
    }

    /// Decimal places shown.
    pub(crate) const fn places(self) -> u32 {
        match self {
            Self::Luong | Self::Kilogram | Self::Ounce => 2,
            Self::Chi | Self::Gram => 0,
        }
    }
}

/// Gold beside other tables: houses are columns, buy and sell are rows.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldTable {
    /// Of all figures.
    pub unit: GoldUnit,
    /// Columns.
    pub houses: Vec<GoldColumn>,
    /// One figure a column.
    pub buy: Vec<Figure>,
    /// One figure a house.
    pub sell: Vec<Figure>,
    /// One line a source.
    pub foot: Vec<Foot>,
}

/// A column of gold prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldColumn {
    /// `Doji`, `TienPhongBank`
    pub house: String,
    /// What the prices are of; `None`: of the bar that the house is known for, and of nothing else.
    pub product: Option<Product>,
}

/// Gold on its own: products under their house, buy and sell are columns.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldList {
    /// Of all figures.
    pub unit: GoldUnit,
    /// Houses with their products.
    pub houses: Vec<GoldHouse>,
    /// One line a source.
    pub foot: Vec<Foot>,
}

/// A house and its products.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldHouse {
    /// `DOJI`
    pub name: String,
    /// In order.
    pub products: Vec<GoldRow>,
}

/// One product.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldRow {
    /// What it is.
    pub product: Product,
    /// What the house pays.
    pub buy: Figure,
    /// What the house asks.
    pub sell: Figure,
    /// Selling prices of the last thirty days, oldest first, each with its instant; for the sparkline.
    pub trend: Vec<(Timestamp, Decimal)>,
}

/// A gold product by the names that this project gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// `sjc-bar`, `ring-9999-wholesale`
    pub id: String,
    /// `hanoi`, where the price is of a place that was asked for.
    pub place: Option<String>,
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

/// Exchange rates of one bank beside other tables.
#[derive(Debug, Clone, PartialEq)]
pub struct FxTable {
    /// In the order of the configuration.
    pub rows: Vec<FxRow>,
    /// One line a source.
    pub foot: Vec<Foot>,
}

/// Exchange rates of one bank on their own.
#[derive(Debug, Clone, PartialEq)]
pub struct FxList {
    /// The bank, for the title where there are several.
    pub bank: String,
    /// In order.
    pub rows: Vec<FxListRow>,
    /// One line a source.
    pub foot: Vec<Foot>,
}

/// One currency with both buying prices; figures in đồng per unit.
#[derive(Debug, Clone, PartialEq)]
pub struct FxListRow {
    /// ISO 4217 code.
    pub code: String,
    /// What the bank pays for notes.
    pub buy_cash: Figure,
    /// What the bank pays by transfer.
    pub buy_transfer: Figure,
    /// What the bank asks.
    pub sell: Figure,
}

/// One term; figures in % a year.
#[derive(Debug, Clone, PartialEq)]
pub struct DepositRow {
    /// The term.
    pub term: Term,
    /// One figure a bank.
    pub rates: Vec<Figure>,
}

/// How long money is tied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// Không kỳ hạn.
    Demand,
    /// So many days.
    Days(u16),
    /// So many months.
    Months(u16),
}

/// Where a deposit is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Tại quầy.
    Counter,
    /// Trực tuyến.
    Online,
}

/// Deposit rates: terms are rows, banks are columns.
#[derive(Debug, Clone, PartialEq)]
pub struct DepositTable {
    /// Column heads.
    pub banks: Vec<String>,
    /// Where all of them are opened, when that is known.
    pub channel: Option<Channel>,
    /// In ascending order of term.
    pub rows: Vec<DepositRow>,
    /// One line a source.
    pub foot: Vec<Foot>,
}

/// One price on the tape.
#[derive(Debug, Clone, PartialEq)]
pub struct TapeItem {
    /// What it is.
    pub what: TapeWhat,
    /// What the house pays; `None` where there is one price only.
    pub buy: Option<Figure>,
    /// What the house asks, or the rate.
    pub sell: Figure,
    /// Whose.
    pub house: String,
}

/// What a price on the tape is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TapeWhat {
    /// Gold, in million đồng per lượng or as its unit says.
    Gold(Product, GoldUnit),
    /// A currency, in đồng.
    Currency(String),
    /// A deposit, in % a year.
    Deposit(Term),
}

/// Prices in one line.
#[derive(Debug, Clone, PartialEq)]
pub struct Tape {
    /// In order.
    pub items: Vec<TapeItem>,
    /// One line a source.
    pub foot: Vec<Foot>,
}

/// Three tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Giá vàng 9999.
    pub gold: GoldTable,
    /// Tỷ giá.
    pub fx: FxTable,
    /// Lãi suất.
    pub deposits: DepositTable,
}

/// What a chart is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Gold, in the money of its unit.
    Gold(Product, GoldUnit),
    /// A currency, in đồng, and which of its rates where it has several (`small`, for small notes).
    Currency(String, Option<String>),
    /// A deposit, in % a year, and where it is opened.
    Deposit(Term, Option<Channel>),
}

/// What was quoted from an instant on, in the unit of the subject. A rate is a selling price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// From then on.
    pub at: Timestamp,
    /// What the house paid.
    pub buy: Option<Decimal>,
    /// What the house asked.
    pub sell: Option<Decimal>,
}

/// Prices that followed each other without a gap: each holds until the next, the last until `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Oldest first.
    pub points: Vec<Point>,
    /// Up to then the last price is known to have held.
    pub until: Timestamp,
}

/// Prices of one part of a chart's range: a day, or more days where the range is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its first day.
    pub from: Date,
    /// Selling price, else buying price: when it began.
    pub first: Decimal,
    /// The lowest.
    pub low: Decimal,
    /// The highest.
    pub high: Decimal,
    /// When it ended.
    pub last: Decimal,
}

/// A range that may be chosen instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// How long it is.
    pub range: Range,
    /// Where the chart of it is.
    pub href: String,
    /// It is the one that is shown.
    pub chosen: bool,
}

/// How far a chart goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Range {
    /// Seven days.
    Week,
    /// Thirty days.
    #[default]
    Month,
    /// Ninety days.
    Quarter,
    /// 365 days.
    Year,
}

impl Range {
    /// Shortest first.
    pub const ALL: [Self; 4] = [Self::Week, Self::Month, Self::Quarter, Self::Year];
    /// Values of the parameter `range`.
    pub const ALLOWED: &'static [&'static str] = &["7d", "30d", "90d", "1y"];

    /// The parameter's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Quarter => "90d",
            Self::Year => "1y",
        }
    }

    /// Days.
    #[must_use]
    pub const fn days(self) -> i64 {
        match self {
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 90,
            Self::Year => 365,
        }
    }
}

impl FromStr for Range {
    type Err = UnknownValue;

    fn from_str(value: &str) -> Result<Self, UnknownValue> {
        Self::ALL.into_iter().find(|range| range.as_str() == value).ok_or_else(|| UnknownValue {
            parameter: "range",
            value: value.to_owned(),
            allowed: Self::ALLOWED,
        })
    }
}

/// The course of one price.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it is of.
    pub subject: Subject,
    /// Whose.
    pub house: String,
    /// Where the time axis begins.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
    /// The line; what lies between two stretches, or before and behind them, is not known.
    pub course: Vec<Stretch>,
    /// The newest buying price; `None` where there is one price only.
    pub buy: Option<Figure>,
    /// The newest selling price, or the rate.
    pub sell: Figure,
    /// The same day by day, oldest first.
    pub periods: Vec<Period>,
    /// What is not drawn may be known: the history could not be read, or not to its end.
    pub unread: bool,
    /// Other ranges.
    pub choices: Vec<Choice>,
    /// One line.
    pub foot: Vec<Foot>,
}

/// What a widget contains.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// The sidebar board.
    Panel(Panel),
    /// Gold products under their houses.
    Gold(GoldList),
    /// Exchange rates, a table a bank.
    Fx(Vec<FxList>),
    /// Deposit rates, terms by banks.
    Deposits(DepositTable),
    /// One line.
    Ticker(Tape),
    /// The course of a price.
    Chart(Box<Chart>),
}

/// A widget's content with what is told around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Widget {
    /// Played back from recordings: the band on top says so.
    pub recorded: bool,
    /// The moment whose figures these are, where that is not now: the band says so, and they never grow old.
    pub at: Option<Timestamp>,
    /// Address of the gallery, absolute.
    pub home: String,
    /// What is in it.
    pub content: Content,
}

/// The widgets by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The sidebar board.
    Panel,
    /// Gold products.
    Gold,
    /// Exchange rates.
    Fx,
    /// Deposit rates.
    Deposits,
    /// The tape.
    Ticker,
    /// The course of a price.
    Chart,
}

impl Kind {
    /// In the order of the gallery.
    pub const ALL: [Self; 6] = [Self::Panel, Self::Gold, Self::Fx, Self::Deposits, Self::Ticker, Self::Chart];

    /// As it stands in addresses, attributes and presets.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Panel => "panel",
            Self::Gold => "gold",
            Self::Fx => "fx",
            Self::Deposits => "deposits",
            Self::Ticker => "ticker",
            Self::Chart => "chart",
        }
    }

    /// By that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl Content {
    /// Which widget this is the content of.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Panel(_) => Kind::Panel,
            Self::Gold(_) => Kind::Gold,
            Self::Fx(_) => Kind::Fx,
            Self::Deposits(_) => Kind::Deposits,
            Self::Ticker(_) => Kind::Ticker,
            Self::Chart(_) => Kind::Chart,
        }
    }
}
