//! A chart as it is asked for, and as it is laid out: which series, from when to when, which prices, what is not known.
//! Pure: what the store said is handed in; no clock but that of the snapshot.

use jiff::{Timestamp, ToSpan as _, civil::Date};
use providers::{Kind, Quote, VIETNAM, WeightUnit, convert_weight};
use rust_decimal::Decimal;
use widgets::{
    model::{
        self, Chart, Choice, Content, Figure, Foot, FootState, GoldUnit, Period, Point, Product, Range,
        Stretch, Subject, When, Widget,
    },
    reduce,
};

use super::{Options, content};
use crate::{
    board::{Served, ServedFeed, Snapshot},
    filter::WrongParameter,
};

/// What is shown where no series is named, as long as somebody quotes it.
const HOUSE: &str = "doji.gold";
const PRODUCT: &str = "sjc-bar";
/// Longer than a year by so much a chart's range never is.
const MOST_YEARS: i64 = 5;
/// Outside of these years there is no price, and no arithmetic that could fail.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2100;
/// A range that ended so long ago does not change any more.
const SETTLED: i64 = 300;
/// No key of a quote is longer.
const LONGEST_KEY: usize = 48;
/// Parts of the range of which four to six points each are drawn.
const PARTS: i64 = 50;

/// Parameters of a chart, beside those of every widget.
pub const PARAMETERS: [&str; 4] = ["series", "range", "from", "to"];

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edge {
    /// An instant.
    At(Timestamp),
    /// A whole day of Vietnam.
    On(Date),
}

impl Edge {
    fn start(self) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::On(day) => VIETNAM.to_timestamp(day.at(0, 0, 0, 0)).unwrap_or(Timestamp::MIN),
        }
    }

    fn end(self) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::On(day) => day.tomorrow().map_or(Timestamp::MAX, |day| Self::On(day).start()),
        }
    }

    fn read(value: &str) -> Option<Self> {
        // In a query a plus sign is a blank.
        let value = value.replace(' ', "+");
        let edge = if value.contains(['T', 't']) {
            Self::At(Timestamp::from_second(value.parse::<Timestamp>().ok()?.as_second()).ok()?)
        } else {
            Self::On(value.parse().ok().filter(|_| value.len() == 10)?)
        };
        let day = VIETNAM.to_datetime(edge.start()).date();
        YEARS.contains(&day.year()).then_some(edge)
    }

    fn text(self) -> String {
        match self {
            Self::At(at) => at.to_string(),
            Self::On(day) => day.to_string(),
        }
    }
}

/// What a chart is asked to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Asked {
    /// Id of a quote.
    pub series: Option<String>,
    /// How far it goes back, where no day is named.
    pub range: Range,
    /// Where it begins.
    pub from: Option<Edge>,
    /// Where it ends.
    pub to: Option<Edge>,
    /// Whether it is the picture of a moment, which whoever asks keeps for good.
    pub of_a_moment: bool,
}

impl Asked {
    /// One of [`PARAMETERS`]; `None` where it is another.
    pub(super) fn set(
        &mut self,
        parameter: &str,
        value: &str,
        houses: &dyn Fn(Kind) -> Vec<&'static str>,
    ) -> Option<Result<(), Vec<String>>> {
        let edge = || {
            Edge::read(value).ok_or_else(|| {
                vec![
                    "a day such as 2026-09-30".to_owned(),
                    "an instant such as 2026-09-30T10:00:00+07:00".to_owned(),
                ]
            })
        };
        Some(match parameter {
            "series" => series(value, houses).map(|()| self.series = Some(value.to_owned())),
            "range" => super::put(value, &mut self.range).map(|()| (self.from, self.to) = (None, None)),
            "from" => edge().map(|edge| (self.from, self.range) = (Some(edge), Range::default())),
            "to" => edge().map(|edge| (self.to, self.range) = (Some(edge), Range::default())),
            _ => return None,
        })
    }

    /// What is wrong with them together.
    pub(super) fn wrong(&self, stated: &[&str]) -> Option<WrongParameter> {
        let told = |parameter: &str, edge: Option<Edge>, allowed: String| WrongParameter {
            parameter: parameter.to_owned(),
            value: edge.map(Edge::text).unwrap_or_default(),
            allowed: vec![allowed],
        };
        if stated.contains(&"range") && (stated.contains(&"from") || stated.contains(&"to")) {
            let mut wrong = told("range", None, "either range, or from and to".to_owned());
            self.range.as_str().clone_into(&mut wrong.value);
            return Some(wrong);
        }
        let (from, to) = (self.from?, self.to?);
        if from.start() >= to.end() {
            return Some(told("from", Some(from), format!("before {}", to.text())));
        }
        self.too_long(to.end())
    }

    /// Whether it begins too long before its end.
    #[must_use]
    pub fn too_long(&self, end: Timestamp) -> Option<WrongParameter> {
        let end = self.to.map_or(end, Edge::end);
        let first = VIETNAM.to_datetime(end).checked_sub(MOST_YEARS.years()).ok()?;
        let first = VIETNAM.to_timestamp(first).ok()?;
        let from = self.from.filter(|from| from.start() < first)?;
        Some(WrongParameter {
            parameter: "from".to_owned(),
            value: from.text(),
            allowed: vec![format!(
                "not before {}: {MOST_YEARS} years at most",
                VIETNAM.to_datetime(first).date()
            )],
        })
    }

    /// As they stand in an address, with whether they differ from what is shown without them.
    pub(super) fn pairs(&self) -> [(&'static str, String, bool); 4] {
        let edge = |edge: Option<Edge>| edge.map(Edge::text).unwrap_or_default();
        [
            ("series", self.series.clone().unwrap_or_default(), self.series.is_some()),
            ("range", self.range.as_str().to_owned(), self.range != Range::default()),
            ("from", edge(self.from), self.from.is_some()),
            ("to", edge(self.to), self.to.is_some()),
        ]
    }

    /// Whether nothing in it changes any more.
    #[must_use]
    pub fn is_closed(&self, now: Timestamp) -> bool {
        self.to.is_some_and(|to| now.as_second() - to.end().as_second() > SETTLED)
    }

    /// Whether it ends before the newest that is known: its figures are those of its end, and not the present ones.
    #[must_use]
    pub fn is_past(&self, newest: Timestamp) -> bool {
        self.to.is_some_and(|to| to.end() < newest)
    }

    /// The first instant behind it: a day ends before the next one, an instant is part of what it ends.
    #[must_use]
    pub fn behind(&self, (_, to): (Timestamp, Timestamp)) -> Timestamp {
        match self.to {
            Some(Edge::On(day)) if Edge::On(day).end() == to => to,
            _ => to.checked_add(1.second()).unwrap_or(to),
        }
    }

    /// From when to when, where the newest there is is of `end`.
    #[must_use]
    pub fn bounds(&self, end: Timestamp) -> (Timestamp, Timestamp) {
        let before =
            |at: Timestamp| at.checked_sub((self.range.days() * 24).hours()).unwrap_or(Timestamp::MIN);
        let to = self.to.map_or(end, Edge::end);
        let shown = to.min(end);
        let from = self.from.map_or_else(|| before(shown), Edge::start);
        // What has not begun yet is an empty frame of the days that were asked for.
        if from < shown {
            (from, shown)
        } else {
            (from, to.max(from.checked_add(24.hours()).unwrap_or(Timestamp::MAX)))
        }
    }
}

/// Whether a text can be the id of a series: `<feed>.<key>` of a feed that is read here.
fn series(value: &str, houses: &dyn Fn(Kind) -> Vec<&'static str>) -> Result<(), Vec<String>> {
    const KINDS: [(&str, Kind, &str); 3] =
        [("gold", Kind::Gold, "gold"), ("fx", Kind::Fx, "fx"), ("deposit", Kind::Deposit, "deposits")];
    let key = |key: &str| {
        (1..=LONGEST_KEY).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    let mut parts = value.splitn(3, '.');
    let known = match (parts.next(), parts.next(), parts.next()) {
        (Some(house), Some(kind), Some(rest)) => {
            KINDS.iter().any(|(name, of, _)| *name == kind && houses(*of).contains(&house) && key(rest))
        }
        _ => false,
    };
    if known {
        return Ok(());
    }
    let feeds = KINDS.iter().flat_map(|(name, kind, list)| {
        houses(*kind).into_iter().map(move |house| format!("{house}.{name}.…: an id of /v1/{list}"))
    });
    Err(feeds.collect())
}

/// A series that is shown: its id, the feed that it is of, and the quote, where it is quoted.
pub struct Found<'a> {
    /// Id.
    pub id: String,
    /// Its feed.
    pub feed: &'a ServedFeed,
    /// As it is served.
    pub served: Option<&'a Served>,
}

/// The series that is asked for, else the first that everybody asks for. `None` where no feed of gold is read.
#[must_use]
pub fn find<'a>(snapshot: &'a Snapshot, asked: &Asked) -> Option<Found<'a>> {
    let feeds = || snapshot.feeds.iter();
    if let Some(id) = &asked.series {
        let feed = feeds()
            .find(|feed| id.strip_prefix(feed.state.feed.id).is_some_and(|key| key.starts_with('.')))?;
        let served = feed.quotes.iter().find(|served| served.kept.quote.id(feed.state.feed.id) == *id);
        return Some(Found { id: id.clone(), feed, served });
    }
    let found = |feed: &'a ServedFeed, served: &'a Served| Found {
        id: served.kept.quote.id(feed.state.feed.id),
        feed,
        served: Some(served),
    };
    let house = feeds().find(|feed| feed.state.feed.id == HOUSE);
    let usual = house.and_then(|feed| Some(found(feed, feed.gold(PRODUCT, None)?)));
    let mut gold = feeds().filter(|feed| feed.state.feed.kind == Kind::Gold);
    usual.or_else(|| gold.clone().find_map(|feed| Some(found(feed, feed.quotes.first()?)))).or_else(|| {
        let feed = house.or_else(|| gold.next())?;
        let product = feed.state.feed.required.first().copied().unwrap_or(PRODUCT);
        Some(Found { id: format!("{}.{product}", feed.state.feed.id), feed, served: None })
    })
}

/// The newest instant that is known of a chart: when its feed's part of the board changed, or its price was confirmed.
#[must_use]
pub fn end(snapshot: &Snapshot, asked: &Asked) -> Timestamp {
    let Some(found) = find(snapshot, asked) else { return snapshot.at };
    let changed = snapshot.editions.get(found.feed.state.feed.id).map(|edition| edition.generated_at);
    let confirmed = found.served.map(|served| served.kept.checked_at);
    let end = changed.into_iter().chain(confirmed).max().unwrap_or(snapshot.at);
    Timestamp::from_second(end.as_second()).unwrap_or(end)
}

/// Buying and selling price in the unit of the chart; a rate is a selling price.
#[must_use]
pub fn prices(quote: &Quote) -> (Option<Decimal>, Option<Decimal>) {
    match quote {
        Quote::Gold(gold) => {
            let side = |price: Option<Decimal>| {
                convert_weight(price?, gold.unit, WeightUnit::Luong, &gold.currency)?
                    .checked_div(GoldUnit::Luong.money())
            };
            (side(gold.buy), side(gold.sell))
        }
        Quote::Fx(fx) => (fx.buy_transfer.or(fx.buy_cash), fx.sell),
        Quote::Deposit(deposit) => (None, Some(deposit.rate_percent)),
    }
}

/// What the store knows of a series in a range, ready to be drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Course {
    /// The line.
    pub stretches: Vec<Stretch>,
    /// Its table.
    pub periods: Vec<Period>,
    /// What the series is of, where it is not quoted any more.
    pub quote: Option<Quote>,
    /// The store did not answer: there may be more of it.
    pub unread: bool,
}

impl Course {
    /// Of stretches that were read in full.
    #[must_use]
    pub fn of(stretches: Vec<Stretch>, quote: Option<Quote>, range: (Timestamp, Timestamp)) -> Self {
        let periods = reduce::periods(&stretches, range);
        let thin =
            |stretch: Stretch| Stretch { points: reduce::thin(&stretch.points, range, PARTS), ..stretch };
        Self { stretches: stretches.into_iter().map(thin).collect(), periods, quote, unread: false }
    }

    /// As far as it is known, where the store does not answer: of a range that may have gone on since it was read.
    #[must_use]
    pub fn known_of(&self, from: Timestamp) -> Self {
        let mut course = Self { unread: true, ..self.clone() };
        course.stretches.retain(|stretch| stretch.until >= from);
        for stretch in &mut course.stretches {
            // What was in force when the range begins.
            let first = stretch.points.partition_point(|point| point.at <= from).saturating_sub(1);
            stretch.points.drain(..first);
            if let Some(point) = stretch.points.first_mut() {
                point.at = point.at.max(from);
            }
        }
        // A line of the table that begins before the range tells of what is no longer in it.
        let day = VIETNAM.to_datetime(from).date();
        course.periods.retain(|period| period.from >= day);
        course
    }
}

/// A chart; without a course it is the frame that it would stand in.
#[must_use]
pub fn content(snapshot: &Snapshot, options: &Options, course: Option<&Course>, home: &str) -> Widget {
    let asked = &options.chart;
    let end = end(snapshot, asked);
    let found = find(snapshot, asked);
    let (from, to) = asked.bounds(end);
    let course = course.cloned().unwrap_or_default();
    let served = found.as_ref().and_then(|found| found.served);
    let subject = served
        .map(|served| &served.kept.quote)
        .or(course.quote.as_ref())
        .map(subject)
        .or_else(|| found.as_ref().and_then(|found| named(&found.id)));
    let product = || Product { id: PRODUCT.to_owned(), place: None };
    let subject = subject.unwrap_or_else(|| Subject::Gold(product(), GoldUnit::Luong));
    // A range that is over is told by its own end, not by today's price.
    let past = asked.is_past(end);
    let last = course.stretches.last().and_then(|stretch| Some((stretch.points.last()?, stretch.until)));
    let (buy, sell) = match (past, served) {
        (true, _) => {
            let of = |price: Option<Decimal>| Figure { value: price, ..content::NOT_QUOTED };
            match last {
                Some((point, _)) => (of(point.buy), of(point.sell)),
                None => (content::NOTHING, content::NOTHING),
            }
        }
        (false, Some(served)) => (
            content::figure(served, 0, |quote| prices(quote).0),
            content::figure(served, 0, |quote| prices(quote).1),
        ),
        (false, None) => (content::NOTHING, content::NOTHING),
    };
    let foot = found.as_ref().map(|found| {
        let foot = content::foot(found.feed, found.served.as_slice(), snapshot.recorded);
        match last.filter(|_| past) {
            Some((point, until)) => {
                // A day lasts until the midnight that is of the next one.
                let known = until.checked_sub(1.second()).unwrap_or(until).max(point.at);
                let day = When::On(VIETNAM.to_datetime(known).date());
                Foot { state: FootState::Fresh(day), until: None, via: None, ..foot }
            }
            None if past || found.served.is_none() => {
                Foot { state: FootState::Unavailable, until: None, via: None, ..foot }
            }
            None => foot,
        }
    });
    let single = matches!(subject, Subject::Deposit(..));
    let choices = Range::ALL.map(|range| Choice {
        range,
        href: format!("{home}widgets/chart{}", options.of_range(range)),
        chosen: asked.from.is_none() && asked.to.is_none() && asked.range == range,
    });
    let chart = Chart {
        subject,
        house: found
            .map(|found| content::signature(found.feed.state.institution).to_owned())
            .unwrap_or_default(),
        from,
        to,
        course: course.stretches,
        buy: (!single).then_some(buy),
        sell,
        periods: course.periods,
        unread: course.unread,
        choices: choices.into(),
        foot: foot.into_iter().collect(),
    };
    Widget {
        recorded: snapshot.recorded,
        home: home.to_owned(),
        at: None,
        content: Content::Chart(Box::new(chart)),
    }
}

fn subject(quote: &Quote) -> Subject {
    match quote {
        Quote::Gold(gold) => {
            let place = gold.place.as_ref().map(ToString::to_string);
            Subject::Gold(Product { id: gold.product.to_string(), place }, GoldUnit::Luong)
        }
        Quote::Fx(fx) => {
            Subject::Currency(fx.currency.to_string(), fx.variant.as_ref().map(ToString::to_string))
        }
        Quote::Deposit(deposit) => Subject::Deposit(
            content::shown(deposit.term),
            deposit.channel.map(|channel| match channel {
                providers::Channel::Counter => model::Channel::Counter,
                providers::Channel::Online => model::Channel::Online,
            }),
        ),
    }
}

/// What an id is of before anybody has quoted it.
fn named(id: &str) -> Option<Subject> {
    let mut parts = id.splitn(3, '.').skip(1);
    let (kind, key) = (parts.next()?, parts.next()?);
    let (name, more) = key.split_once('.').map_or((key, None), |(name, more)| (name, Some(more)));
    Some(match kind {
        "gold" => {
            let place = more.filter(|place| matches!(*place, "hanoi" | "hcm")).map(str::to_owned);
            Subject::Gold(Product { id: name.to_owned(), place }, GoldUnit::Luong)
        }
        "fx" => Subject::Currency(name.to_owned(), more.map(str::to_owned)),
        _ => {
            let term = more?.split('.').next()?.parse().ok()?;
            Subject::Deposit(content::shown(term), None)
        }
    })
}

/// Splits what is known into stretches. Two known points are one stretch unless `gap` says when what was known at the first
/// ceased to be good before the second.
#[must_use]
pub fn stretches(
    known: &[Point],
    until: Timestamp,
    gaps: &std::collections::BTreeMap<Timestamp, Timestamp>,
) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut open = false;
    for point in known {
        let same = |last: &Point| (last.buy, last.sell) == (point.buy, point.sell);
        match stretches.last_mut().filter(|_| open) {
            Some(stretch) => {
                // A board that says the same again only confirms.
                if !stretch.points.last().is_some_and(same) {
                    stretch.points.push(*point);
                }
            }
            None => stretches.push(Stretch { points: vec![*point], until: point.at }),
        }
        let ends = gaps.get(&point.at);
        if let Some(stretch) = stretches.last_mut() {
            stretch.until = ends.copied().unwrap_or(point.at).min(until).max(point.at);
        }
        open = ends.is_none();
    }
    if let Some(stretch) = stretches.last_mut().filter(|_| open) {
        stretch.until = until.max(stretch.until);
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::dec;

    fn houses(kind: Kind) -> Vec<&'static str> {
        match kind {
            Kind::Gold => vec!["doji", "tpbank"],
            Kind::Fx => vec!["bidv"],
            Kind::Deposit => vec!["ocb"],
        }
    }

    fn set(pairs: &[(&str, &str)]) -> Result<Asked, Vec<String>> {
        let mut asked = Asked::default();
        for (name, value) in pairs {
            asked.set(name, value, &houses).unwrap()?;
        }
        Ok(asked)
    }

    fn at(text: &str) -> Timestamp {
        format!("{text}:00+07:00").parse().unwrap()
    }

    #[test]
    fn a_series_is_of_a_feed_that_is_read_and_a_wrong_one_is_told_which_are() {
        for good in ["doji.gold.sjc-bar", "doji.gold.sjc-bar.hcm", "bidv.fx.USD", "ocb.deposit.counter.12m"] {
            assert!(set(&[("series", good)]).is_ok(), "{good}");
        }
        for bad in [
            "",
            "doji",
            "doji.gold",
            "doji.gold.",
            "acb.gold.bar",
            "bidv.gold.x",
            "doji.gold.<b>",
            "doji.gold.a b",
        ] {
            let allowed = set(&[("series", bad)]).unwrap_err();
            assert!(
                allowed.iter().any(|allowed| allowed == "doji.gold.…: an id of /v1/gold"),
                "{bad}: {allowed:?}"
            );
        }
    }

    #[test]
    fn a_range_is_of_whole_days_of_vietnam_or_of_instants() {
        let end = at("2026-09-30T10:00");
        let bounds = |pairs: &[(&str, &str)]| set(pairs).unwrap().bounds(end);
        assert_eq!(bounds(&[]), (at("2026-08-31T10:00"), end));
        assert_eq!(bounds(&[("range", "7d")]), (at("2026-09-23T10:00"), end));
        assert_eq!(
            bounds(&[("from", "2026-09-01"), ("to", "2026-09-02")]),
            (at("2026-09-01T00:00"), at("2026-09-03T00:00")),
            "the last day is part of it"
        );
        assert_eq!(bounds(&[("to", "2026-09-30")]).1, end, "today is not over");
        assert_eq!(
            bounds(&[("from", "2026-09-01T00:00:00Z"), ("to", "2026-09-02T00:00:00 07:00")]),
            (at("2026-09-01T07:00"), at("2026-09-02T00:00"))
        );
        let (from, to) = bounds(&[("from", "2026-12-01"), ("to", "2026-12-31")]);
        assert_eq!((from, to), (at("2026-12-01T00:00"), at("2027-01-01T00:00")), "what is to come");
        for wrong in
            ["", "yesterday", "2026-13-01", "2026-9-1", "1999-01-01", "2026-09-30T25:00:00Z", "99999-01-01"]
        {
            assert!(set(&[("from", wrong)]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_that_cannot_be_is_told_what_could() {
        let wrong = |pairs: &[(&str, &str)]| {
            let stated: Vec<&str> = pairs.iter().map(|(name, _)| *name).collect();
            set(pairs).unwrap().wrong(&stated).map(|wrong| (wrong.parameter, wrong.allowed.concat()))
        };
        assert_eq!(wrong(&[("from", "2026-09-01"), ("to", "2026-09-01")]), None, "one day");
        let told = wrong(&[("from", "2026-09-02"), ("to", "2026-09-01")]).unwrap();
        assert_eq!(told, ("from".to_owned(), "before 2026-09-01".to_owned()));
        let told = wrong(&[("from", "2020-09-02"), ("to", "2026-09-01")]).unwrap();
        assert_eq!(told, ("from".to_owned(), "not before 2021-09-02: 5 years at most".to_owned()));
        assert_eq!(wrong(&[("range", "7d"), ("to", "2026-09-01")]).unwrap().0, "range");
        assert!(set(&[("from", "2001-01-01")]).unwrap().too_long(at("2026-09-30T10:00")).is_some());
    }

    #[test]
    fn what_says_the_same_again_is_no_step_and_a_gap_is_open() {
        let point = |text: &str, sell| Point { at: at(text), buy: None, sell: Some(sell) };
        let known = [
            point("2026-09-01T09:00", dec!(1)),
            point("2026-09-02T09:00", dec!(1)),
            point("2026-09-03T09:00", dec!(2)),
            point("2026-09-20T09:00", dec!(3)),
        ];
        let until = at("2026-09-21T09:00");
        let whole = stretches(&known, until, &std::collections::BTreeMap::new());
        assert_eq!((whole.len(), whole[0].points.len(), whole[0].until), (1, 3, until));
        let gap = [(at("2026-09-03T09:00"), at("2026-09-04T09:00"))].into();
        let parts = stretches(&known, until, &gap);
        assert_eq!(parts.len(), 2);
        assert_eq!((parts[0].until, parts[1].points[0].sell), (at("2026-09-04T09:00"), Some(dec!(3))));
        assert_eq!(parts[1].until, until);
    }

    #[test]
    fn a_course_that_was_read_before_the_range_went_on_ends_where_it_was_known_to() {
        let point = |text: &str, sell| Point { at: at(text), buy: None, sell: Some(sell) };
        let known = [
            point("2026-09-01T09:00", dec!(1)),
            point("2026-09-02T09:00", dec!(2)),
            point("2026-09-05T09:00", dec!(3)),
        ];
        let (from, to) = (at("2026-09-01T09:00"), at("2026-09-08T09:00"));
        let whole = Course::of(stretches(&known, to, &std::collections::BTreeMap::new()), None, (from, to));
        let (later, days) = (at("2026-09-04T10:00"), |course: &Course| course.periods.len());
        let course = whole.known_of(later);
        assert!(course.unread && !whole.unread);
        assert_eq!(
            course.stretches,
            [Stretch { points: vec![point("2026-09-04T10:00", dec!(2)), known[2]], until: to }]
        );
        assert_eq!((days(&whole), days(&course)), (8, 5), "the lines of the days that are still in it");
        assert_eq!(whole.known_of(at("2026-09-09T00:00")).stretches, [], "all of it is past");
        assert_eq!(whole.known_of(from), Course { unread: true, ..whole });
    }
}
