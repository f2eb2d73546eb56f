//! The shapes of histories: what a series is of, and its points, as fields in their order, which JSON, CSV and NDJSON
//! print alike; and the schemas of them. Values are those of the lists.

use std::borrow::Cow;

use providers::{Channel, Kind, Quote, WeightUnit};
use rust_decimal::Decimal;
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use utoipa::ToSchema;

use super::{ChannelName, CustomerName, DecimalText, KindName, UnitName};
use crate::{
    clock::rfc3339,
    document::as_of,
    history::{Line, Period, Point, Span, side_names},
};

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Not stated.
    Null,
    /// Text.
    Text(Cow<'static, str>),
    /// A count.
    Number(i64),
    /// With the source's digits.
    Decimal(Decimal),
    /// Of a period.
    Span(Span),
}

impl Cell {
    fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Text(text.into())
    }

    fn maybe<T: Into<Cow<'static, str>>>(text: Option<T>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    /// As a cell of CSV has it.
    #[must_use]
    pub fn plain(&self) -> String {
        match self {
            Self::Text(text) => crate::document::csv::harmless(text),
            Self::Number(number) => number.to_string(),
            Self::Decimal(decimal) => decimal.to_string(),
            Self::Null | Self::Span(_) => String::new(),
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Decimal(decimal) => serializer.collect_str(decimal),
            Self::Span(span) => {
                let mut map = serializer.serialize_map(Some(4))?;
                for (name, side) in parts(span) {
                    map.serialize_entry(name, &Self::Decimal(side))?;
                }
                map.end()
            }
        }
    }
}

const fn parts(span: &Span) -> [(&'static str, Decimal); 4] {
    [("first", span.first), ("last", span.last), ("low", span.low), ("high", span.high)]
}

/// Fields in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(pub Vec<(Cow<'static, str>, Cell)>);

impl Fields {
    fn push(&mut self, name: &'static str, cell: Cell) {
        self.0.push((name.into(), cell));
    }

    /// A side of a period as four fields: `buy_first`, `buy_last`, `buy_low`, `buy_high`.
    #[must_use]
    pub fn flat(self, names: &[&'static str]) -> Self {
        let mut flat = Self::default();
        for (name, cell) in self.0 {
            let four = |cell: &dyn Fn(usize) -> Cell, flat: &mut Self| {
                for (at, part) in ["first", "last", "low", "high"].iter().enumerate() {
                    flat.0.push((format!("{name}_{part}").into(), cell(at)));
                }
            };
            match cell {
                Cell::Span(span) => {
                    let parts = parts(&span);
                    four(&|at| parts.get(at).map_or(Cell::Null, |part| Cell::Decimal(part.1)), &mut flat);
                }
                Cell::Null if names.contains(&&*name) => four(&|_| Cell::Null, &mut flat),
                cell => flat.0.push((name, cell)),
            }
        }
        flat
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, cell)| (name, cell)))
    }
}

/// What a series is of: the identity of its quote, as the lists have it.
#[must_use]
pub fn head(line: &Line, unit: WeightUnit) -> Fields {
    let mut fields = Fields::default();
    fields.push("id", Cell::text(line.id.clone()));
    fields.push("feed", Cell::text(line.feed.id));
    fields.push("provider", Cell::text(line.institution.id));
    let owned = |text: &Cow<'static, str>| Cell::Text(text.clone());
    match &line.quote {
        Quote::Gold(gold) => {
            fields.push("product", owned(&gold.product));
            fields.push("place", Cell::maybe(gold.place.clone()));
            fields.push("unit", Cell::text(unit.as_str()));
            fields.push("currency", owned(&gold.currency));
        }
        Quote::Fx(fx) => {
            fields.push("currency", owned(&fx.currency));
            fields.push("variant", Cell::maybe(fx.variant.clone()));
            fields.push("per", Cell::Number(fx.per.into()));
        }
        Quote::Deposit(deposit) => {
            let quoted = |cell: Cell| if line.is_quoted { cell } else { Cell::Null };
            fields.push("term", Cell::text(deposit.term.to_string()));
            fields.push("term_months", deposit.term.months().map_or(Cell::Null, |n| Cell::Number(n.into())));
            fields.push("channel", Cell::maybe(deposit.channel.map(Channel::as_str)));
            fields.push("customer", quoted(Cell::text(deposit.customer.as_str())));
            fields.push("payout", Cell::maybe(deposit.payout.clone()));
            fields.push("place", Cell::maybe(deposit.place.clone()));
            fields.push("currency", owned(&deposit.currency));
        }
    }
    fields
}

/// A point of a series.
#[must_use]
pub fn point(line: &Line, point: &Point) -> Fields {
    let mut fields = Fields(Vec::with_capacity(8));
    let names = side_names(line.feed.kind).iter();
    let via = |source: &str| {
        let known = line.feed.sources.iter().find(|known| known.id == source);
        Cell::maybe(known.and_then(|source| source.via).map(|via| via.name))
    };
    match point {
        Point::Change { at, as_of: stated, source, sides, .. } => {
            fields.push("at", Cell::text(rfc3339(*at)));
            fields.push("as_of", Cell::maybe(as_of(*stated)));
            fields.push("source", Cell::text(source.clone()));
            fields.push("via", via(source));
            for (name, side) in names.zip(sides) {
                fields.push(name, side.map_or(Cell::Null, Cell::Decimal));
            }
        }
        Point::Period(Period { begin, as_of: stated, source, changes, sides }) => {
            let begin = jiff::Timestamp::from_second(*begin).unwrap_or_default();
            fields.push("at", Cell::text(rfc3339(begin)));
            fields.push("as_of", Cell::maybe(as_of(*stated)));
            fields.push("source", Cell::text(source.clone()));
            fields.push("via", via(source));
            fields.push("changes", Cell::Number((*changes).into()));
            for (name, side) in names.zip(sides) {
                fields.push(name, side.map_or(Cell::Null, Cell::Span));
            }
        }
    }
    fields
}

/// The columns of a kind's rows.
#[must_use]
pub fn columns(kind: Kind, grouped: bool) -> Vec<Cow<'static, str>> {
    let identity: &[&'static str] = match kind {
        Kind::Gold => &["product", "place", "unit", "currency"],
        Kind::Fx => &["currency", "variant", "per"],
        Kind::Deposit => &["term", "term_months", "channel", "customer", "payout", "place", "currency"],
    };
    let mut names: Vec<Cow<'static, str>> = ["id", "feed", "provider"]
        .iter()
        .chain(identity)
        .chain(&["at", "as_of", "source", "via"])
        .map(|name| (*name).into())
        .collect();
    if grouped {
        names.push("changes".into());
    }
    for name in side_names(kind) {
        if grouped {
            names.extend(["first", "last", "low", "high"].map(|part| Cow::from(format!("{name}_{part}"))));
        } else {
            names.push((*name).into());
        }
    }
    names
}

/// A page of a history.
#[derive(Serialize)]
pub struct HistoryJson {
    /// Its kind.
    pub kind: &'static str,
    /// Whether the figures are recorded ones.
    pub recorded: bool,
    /// In the order of the lists.
    pub series: Vec<SeriesJson>,
}

/// A series and those of its points that are on the page.
pub struct SeriesJson {
    /// What it is of.
    pub head: Fields,
    /// Oldest first.
    pub points: Vec<Fields>,
}

impl Serialize for SeriesJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.head.0.len() + 1))?;
        for (name, cell) in &self.head.0 {
            map.serialize_entry(name, cell)?;
        }
        map.serialize_entry("points", &self.points)?;
        map.end()
    }
}

macro_rules! history {
    ($(#[$doc:meta])* $list:ident, $series:ident, $point:ident, $period:ident, $either:ident, $kind:literal,
     { $($(#[$identity_doc:meta])* $identity:ident: $type:ty,)* }, { $($side:ident)* }) => {
        $(#[$doc])*
        #[derive(ToSchema)]
        #[allow(dead_code, reason = "the schema of what is put together above")]
        pub struct $list {
            #[doc = $kind]
            #[schema(value_type = KindName)]
            kind: &'static str,
            /// Whether the figures are recorded ones, and not today's.
            recorded: bool,
            /// In the order of the lists.
            series: Vec<$series>,
        }

        /// One figure over time.
        #[derive(ToSchema)]
        #[allow(dead_code, reason = "the schema of what is put together above")]
        struct $series {
            /// Of its quote.
            id: String,
            feed: String,
            provider: String,
            $($(#[$identity_doc])* $identity: $type,)*
            /// Oldest first; those on this page.
            points: Vec<$either>,
        }

        /// A change, or, with `group`, a period.
        #[derive(ToSchema)]
        #[serde(untagged)]
        #[allow(clippy::large_enum_variant, reason = "there is never one")]
        #[allow(dead_code, reason = "the schema of what is put together above")]
        enum $either {
            Change($point),
            Period($period),
        }

        /// What came into force at an instant.
        #[derive(ToSchema)]
        #[allow(dead_code, reason = "the schema of what is put together above")]
        struct $point {
            /// When.
            #[schema(format = DateTime)]
            at: String,
            /// When the source says that it holds: an instant, a plain date, or null if it says nothing.
            #[schema(required, examples("2026-09-30T09:30:00+07:00", "2026-09-30"))]
            as_of: Option<String>,
            /// Which source of the feed.
            source: String,
            /// The third party that it is, if it is one.
            #[schema(required)]
            via: Option<String>,
            $(
                #[schema(required, value_type = Option<DecimalText>)]
                $side: Option<String>,
            )*
        }

        /// What came into force in an hour, a day, a week or a month of Vietnam.
        #[derive(ToSchema)]
        #[allow(dead_code, reason = "the schema of what is put together above")]
        struct $period {
            /// When the period began.
            #[schema(format = DateTime)]
            at: String,
            /// When its last figures hold by the source's word.
            #[schema(required, examples("2026-09-30T09:30:00+07:00", "2026-09-30"))]
            as_of: Option<String>,
            /// Which source of the feed gave them.
            source: String,
            /// The third party that it is, if it is one.
            #[schema(required)]
            via: Option<String>,
            /// How many changes there were.
            #[schema(minimum = 1)]
            changes: u32,
            $(
                /// null: not quoted in the whole period.
                #[schema(required)]
                $side: Option<FirstLastLowHigh>,
            )*
        }
    };
}

/// One side in a period.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the schema of what is put together above")]
struct FirstLastLowHigh {
    /// Of the first change in it.
    #[schema(value_type = DecimalText)]
    first: String,
    /// Of the last change in it.
    #[schema(value_type = DecimalText)]
    last: String,
    /// The lowest.
    #[schema(value_type = DecimalText)]
    low: String,
    /// The highest.
    #[schema(value_type = DecimalText)]
    high: String,
}

history!(
    /// A history of gold prices.
    GoldHistory, GoldSeries, GoldPoint, GoldPeriod, GoldPointOrPeriod, "`gold`",
    {
        /// A name that this project assigns.
        #[schema(examples("sjc-bar"))]
        product: String,
        /// `hanoi`, `hcm`, or null where the price holds everywhere.
        #[schema(required)]
        place: Option<String>,
        #[schema(value_type = UnitName)]
        unit: String,
        /// Money of the prices.
        #[schema(examples("VND"))]
        currency: String,
    },
    { buy sell }
);

history!(
    /// A history of exchange rates.
    FxHistory, FxSeries, FxPoint, FxPeriod, FxPointOrPeriod, "`fx`",
    {
        /// ISO 4217 code.
        #[schema(examples("USD"))]
        currency: String,
        /// Small notes at a price of their own.
        #[schema(required, examples("1-2-5"))]
        variant: Option<String>,
        /// How many units the rate is for.
        #[schema(minimum = 1)]
        per: u32,
    },
    { buy_cash buy_transfer sell sell_cash }
);

history!(
    /// A history of deposit rates.
    DepositHistory, DepositSeries, DepositPoint, DepositPeriod, DepositPointOrPeriod, "`deposit`",
    {
        /// `demand`, `P6M` (months), `P7D` (days)
        #[schema(examples("P6M"))]
        term: String,
        /// 0 for demand, null for a term in days.
        #[schema(required)]
        term_months: Option<u16>,
        /// null: the source does not say.
        #[schema(required, value_type = Option<ChannelName>)]
        channel: Option<String>,
        /// null: never quoted.
        #[schema(required, value_type = Option<CustomerName>)]
        customer: Option<String>,
        /// When interest is paid; null: the source does not say.
        #[schema(required)]
        payout: Option<String>,
        /// Region, where a bank's regions differ.
        #[schema(required)]
        place: Option<String>,
        /// Money of the deposit.
        currency: String,
    },
    { rate_percent }
);
