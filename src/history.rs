//! Histories: what came into force of each figure within a range, and what was in force at its beginning, point by point
//! or by hour, day, week and month of Vietnam. Walks series after series, some rows at a time; knows no HTTP.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    str::FromStr,
};

use jiff::{Timestamp, civil::Date};
use providers::{AsOf, Feed, Institution, Quote, VIETNAM, WeightUnit, convert_weight};
use rust_decimal::Decimal;

use crate::store::{Change, Course, MOST_TOGETHER, Mark, Store, StoreError, is_change};

/// Rows that are read together; some megabytes for a moment.
const MOST_ROWS: usize = 8000;
/// Of a figure whose rows are more than these.
const LEAST_ROWS: usize = 64;
/// Vietnam's offset from UTC, of which it has only this one.
const OFFSET: i64 = 7 * 3600;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// The prices of a quote that a history follows, in the order of its fields.
pub type Sides = [Option<Decimal>; 4];

/// Names of the sides of a kind, in the order of [`Sides`].
#[must_use]
pub const fn side_names(kind: providers::Kind) -> &'static [&'static str] {
    match kind {
        providers::Kind::Gold => &["buy", "sell"],
        providers::Kind::Fx => &["buy_cash", "buy_transfer", "sell", "sell_cash"],
        providers::Kind::Deposit => &["rate_percent"],
    }
}

/// The sides of a quote; gold per `unit`, by the conversion of the lists.
#[must_use]
pub fn sides(quote: &Quote, unit: WeightUnit) -> Sides {
    match quote {
        Quote::Gold(gold) => {
            let per_unit = |side: Option<Decimal>| convert_weight(side?, gold.unit, unit, &gold.currency);
            [per_unit(gold.buy), per_unit(gold.sell), None, None]
        }
        Quote::Fx(fx) => [fx.buy_cash, fx.buy_transfer, fx.sell, fx.sell_cash],
        Quote::Deposit(deposit) => [Some(deposit.rate_percent), None, None, None],
    }
}

/// Periods of Vietnam's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Full hours.
    Hour,
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
}

impl Group {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// Its name outside.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// When the period began that a second is in.
    #[must_use]
    pub fn begin(self, second: i64) -> i64 {
        let local = second.saturating_add(OFFSET);
        let begin = match self {
            Self::Hour => local.div_euclid(HOUR) * HOUR,
            Self::Day => local.div_euclid(DAY) * DAY,
            // The first day of all was a Thursday.
            Self::Week => (local.div_euclid(DAY) + 3).div_euclid(7) * 7 * DAY - 3 * DAY,
            Self::Month => {
                let day = VIETNAM.to_datetime(second_at(second)).day();
                (local.div_euclid(DAY) + 1 - i64::from(day)) * DAY
            }
        };
        begin - OFFSET
    }
}

impl FromStr for Group {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|group| group.as_str() == text).ok_or(())
    }
}

/// First, last, lowest and highest of one side in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Of the first change that quotes it.
    pub first: Decimal,
    /// Of the last one.
    pub last: Decimal,
    /// Of all.
    pub low: Decimal,
    /// Of all.
    pub high: Decimal,
}

/// What came into force in one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// Its first second.
    pub begin: i64,
    /// Of the last change.
    pub as_of: AsOf,
    /// Of the last change.
    pub source: String,
    /// How many.
    pub changes: u32,
    /// `None`: not quoted in the whole period.
    pub sides: [Option<Span>; 4],
}

impl Period {
    fn of(begin: i64, change: &Change, sides: Sides) -> Self {
        let span = |side: Decimal| Span { first: side, last: side, low: side, high: side };
        let (as_of, source) = (change.as_of, change.source.clone());
        Self { begin, as_of, source, changes: 1, sides: sides.map(|side| side.map(span)) }
    }

    fn add(&mut self, change: &Change, sides: Sides) {
        self.changes = self.changes.saturating_add(1);
        self.as_of = change.as_of;
        self.source.clone_from(&change.source);
        for (span, side) in self.sides.iter_mut().zip(sides) {
            match (span, side) {
                (Some(span), Some(side)) => {
                    span.last = side;
                    span.low = span.low.min(side);
                    span.high = span.high.max(side);
                }
                (span @ None, Some(side)) => {
                    *span = Some(Span { first: side, last: side, low: side, high: side });
                }
                (_, None) => {}
            }
        }
    }
}

/// One point of a series.
#[derive(Debug, Clone, PartialEq)]
pub enum Point {
    /// A change.
    Change {
        /// When it came into force.
        at: Timestamp,
        /// When it holds by the source's word.
        as_of: AsOf,
        /// Which source.
        source: String,
        /// Its figures.
        sides: Sides,
        /// Its place.
        mark: Mark,
    },
    /// A period.
    Period(Period),
}

/// A figure that is asked for.
#[derive(Debug, Clone)]
pub struct Line {
    /// Of the quote.
    pub id: String,
    /// Whose.
    pub institution: &'static Institution,
    /// Its feed.
    pub feed: &'static Feed,
    /// What it is of, by its newest word.
    pub quote: Quote,
    /// Or only by its id: it was never quoted.
    pub is_quoted: bool,
}

/// From when to when, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Its first second; `None`: from the beginning.
    pub from: Option<i64>,
    /// The second behind it.
    pub until: i64,
}

/// How a range is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// `None`: point by point.
    pub group: Option<Group>,
    /// What gold is given for.
    pub unit: WeightUnit,
}

/// Where a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Behind this change.
    Behind(Mark),
    /// Behind the period that begins at this second.
    Period(i64),
}

/// What a walk comes by.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "nearly all of them are points")]
pub enum Step {
    /// The series of this number begins, or goes on where it was left.
    Series(usize),
    /// Its next point.
    Point(Point),
}

/// A series, its first change within the range, and what was in force before that, with the word before it.
type Begun<'a, 'b> = (&'a String, Option<&'b Change>, Option<&'b (Change, Option<Change>)>);

/// Puts changes of one series, oldest first, together as they are told.
struct Telling {
    manner: Manner,
    period: Option<Period>,
}

impl Telling {
    fn change(&mut self, change: &Change, out: &mut VecDeque<Step>) {
        let sides = sides(&change.quote, self.manner.unit);
        let Some(group) = self.manner.group else {
            let Change { at, as_of, mark, .. } = *change;
            let source = change.source.clone();
            out.push_back(Step::Point(Point::Change { at, as_of, source, sides, mark }));
            return;
        };
        let begin = group.begin(change.mark.at);
        match &mut self.period {
            Some(period) if period.begin == begin => period.add(change, sides),
            period => {
                let done = period.replace(Period::of(begin, change, sides));
                out.extend(done.map(|period| Step::Point(Point::Period(period))));
            }
        }
    }

    fn end(&mut self, out: &mut VecDeque<Step>) {
        out.extend(self.period.take().map(|period| Step::Point(Point::Period(period))));
    }
}

/// A walk over series, in their order. Holds nothing of the store between two steps.
pub struct Walk {
    lines: Vec<Line>,
    range: Range,
    manner: Manner,
    next: usize,
    together: usize,
    most_rows: usize,
    /// A series that is read by itself, with the periods that are told of it already.
    alone: Option<(Course, Telling)>,
    resume: Option<Resume>,
    out: VecDeque<Step>,
}

impl Walk {
    /// Over all of these, or from the series of a number on.
    #[must_use]
    pub fn new(lines: Vec<Line>, range: Range, manner: Manner, start: (usize, Option<Resume>)) -> Self {
        let (next, resume) = start;
        Self {
            lines,
            range,
            manner,
            next,
            together: MOST_TOGETHER,
            most_rows: MOST_ROWS,
            alone: None,
            resume,
            out: VecDeque::new(),
        }
    }

    /// For whoever wants only so many points.
    #[must_use]
    pub fn few(self, points: usize) -> Self {
        if self.manner.group.is_some() { self } else { self.at_once(points.clamp(LEAST_ROWS, MOST_ROWS)) }
    }

    /// Reads so many rows together.
    #[must_use]
    pub const fn at_once(mut self, rows: usize) -> Self {
        self.most_rows = rows;
        self
    }

    /// What is walked over.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What gold is given for.
    #[must_use]
    pub const fn unit(&self) -> WeightUnit {
        self.manner.unit
    }

    /// The next step that is at hand.
    pub fn pop(&mut self) -> Option<Step> {
        self.out.pop_front()
    }

    /// Reads on. `false`: that was all.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn read(&mut self, store: &Store) -> Result<bool, StoreError> {
        if let Some((course, telling)) = &mut self.alone {
            let Some(changes) = course.more(store).await? else {
                telling.end(&mut self.out);
                crate::store::tell_damage(course.damaged);
                self.alone = None;
                return Ok(true);
            };
            for (change, _) in &changes {
                telling.change(change, &mut self.out);
            }
            return Ok(true);
        }
        let Some(line) = self.lines.get(self.next) else { return Ok(false) };
        if let Some(resume) = self.resume.take() {
            let id = line.id.clone();
            self.out.push_back(Step::Series(self.next));
            self.next += 1;
            self.go_on(store, &id, resume).await?;
            return Ok(true);
        }
        self.read_together(store).await?;
        Ok(true)
    }

    /// A series that was left in its middle.
    async fn go_on(&mut self, store: &Store, id: &str, resume: Resume) -> Result<(), StoreError> {
        let (behind, second) = match (resume, self.manner.group) {
            // The row itself is read once more: what says the same as it is no change.
            (Resume::Behind(mark), _) => (mark, mark.at.saturating_add(1)),
            (Resume::Period(begin), group) => {
                let next = group.map_or(begin, |group| end(group, begin));
                // Where the period was earlier than the range, the range begins now.
                let next = next.max(self.range.from.unwrap_or(next));
                (Mark::before(next), next)
            }
        };
        let before = match resume {
            Resume::Behind(mark) => {
                let page = store.page(id, mark.included(), second_at(second)).await?;
                match page.changes.into_iter().find(|change| change.mark == mark) {
                    Some(change) => Some(change.quote),
                    None => self.before(store, id, second).await?,
                }
            }
            Resume::Period(_) => self.before(store, id, second).await?,
        };
        let course = Course::new(id, behind, second_at(self.range.until), before);
        self.alone = Some((course, Telling { manner: self.manner, period: None }));
        Ok(())
    }

    async fn before(&self, store: &Store, id: &str, second: i64) -> Result<Option<Quote>, StoreError> {
        let found = store.in_force(&[id.to_owned()], second).await?;
        Ok(found.into_values().next().map(|(change, _)| change.quote))
    }

    /// As many of the next series as fit into one reading.
    async fn read_together(&mut self, store: &Store) -> Result<(), StoreError> {
        let last = self.lines.len().min(self.next + self.together);
        let ids: Vec<String> =
            self.lines.get(self.next..last).unwrap_or_default().iter().map(|line| line.id.clone()).collect();
        if ids.len() == 1 {
            // By itself it is read page by page, however much there is of it.
            return self.read_alone(store, &ids).await;
        }
        let Range { from, until } = self.range;
        let pages = store.pages(&ids, from.unwrap_or(i64::MIN), until, self.most_rows).await?;
        let whole = ids.iter().position(|id| !pages.is_whole(id)).unwrap_or(ids.len());
        let mut changes = pages.changes;
        // Too many for one reading: fewer series next time.
        self.together = if whole < ids.len() {
            whole.max(ids.len() / 2).max(1)
        } else {
            (self.together * 2).min(MOST_TOGETHER)
        };
        let told = ids.get(..whole).unwrap_or_default();
        if whole == 0 {
            return Ok(());
        }
        let in_force = match from {
            Some(from) => store.in_force(told, from).await?,
            None => HashMap::new(),
        };
        // Without what says the same again.
        for id in told {
            let mut before = in_force.get(id).map(|(change, _)| &change.quote);
            let Some(own) = changes.remove(id) else { continue };
            let mut kept: Vec<bool> = Vec::with_capacity(own.len());
            for change in &own {
                let counts = is_change(before, &change.quote);
                kept.push(counts);
                if counts {
                    before = Some(&change.quote);
                }
            }
            let own = own.into_iter().zip(kept).filter(|(_, counts)| *counts).map(|(change, _)| change);
            changes.insert(id.clone(), own.collect());
        }
        let first = |id: &String| changes.get(id).and_then(|changes| changes.first());
        let begun: Vec<_> = told.iter().map(|id| (id, first(id), in_force.get(id))).collect();
        let mut earlier = self.earlier(store, &begun).await?;
        for id in told {
            let mut telling = Telling { manner: self.manner, period: None };
            self.out.push_back(Step::Series(self.next));
            self.next += 1;
            let own = changes.remove(id).unwrap_or_default();
            for change in earlier.remove(id.as_str()).unwrap_or_default().iter().chain(&own) {
                telling.change(change, &mut self.out);
            }
            telling.end(&mut self.out);
        }
        Ok(())
    }

    /// The next series, page by page.
    async fn read_alone(&mut self, store: &Store, ids: &[String]) -> Result<(), StoreError> {
        let (Some(id), Range { from, until }) = (ids.first(), self.range) else { return Ok(()) };
        let standing = match from {
            Some(from) => store.in_force(ids, from).await?.remove(id),
            None => None,
        };
        let before = standing.as_ref().map(|(change, _)| change.quote.clone());
        let behind = from.map_or(Mark::BEGINNING, Mark::before);
        let mut course = Course::new(id, behind, second_at(until), before);
        let mut begun = Vec::new();
        while let Some(changes) = course.more(store).await? {
            begun = changes;
            if !begun.is_empty() {
                break;
            }
        }
        let first = begun.first().map(|(change, _)| change);
        let mut earlier = self.earlier(store, &[(id, first, standing.as_ref())]).await?;
        let earlier = earlier.remove(id.as_str()).unwrap_or_default();
        let mut telling = Telling { manner: self.manner, period: None };
        self.out.push_back(Step::Series(self.next));
        self.next += 1;
        for change in earlier.iter().chain(begun.iter().map(|(change, _)| change)) {
            telling.change(change, &mut self.out);
        }
        self.alone = Some((course, telling));
        Ok(())
    }

    /// What a series begins with before the range: the change that was in force where nothing changed exactly then; or,
    /// where the first period of the range has none, the period of that change, as a whole.
    async fn earlier<'a>(
        &self,
        store: &Store,
        begun: &[Begun<'a, '_>],
    ) -> Result<HashMap<&'a str, Vec<Change>>, StoreError> {
        let mut earlier = HashMap::new();
        let Some(from) = self.range.from else { return Ok(earlier) };
        let mut periods: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (id, first, standing) in begun {
            let Some((standing, before)) = standing else { continue };
            let Some(group) = self.manner.group else {
                if first.is_none_or(|first| first.mark.at > from) {
                    earlier.insert(id.as_str(), vec![standing.clone()]);
                }
                continue;
            };
            if first.is_some_and(|first| group.begin(first.mark.at) == group.begin(from)) {
                continue;
            }
            earlier.insert(id.as_str(), vec![standing.clone()]);
            // Its period may have begun with others.
            let begin = group.begin(standing.mark.at);
            if before.as_ref().is_some_and(|before| before.mark.at >= begin) {
                periods.entry(begin).or_default().push((*id).clone());
            }
        }
        for (begin, ids) in periods {
            let before = store.in_force(&ids, begin).await?;
            let mut together = store.pages(&ids, begin, from, MOST_ROWS).await?;
            for id in &ids {
                let mut own = before.get(id).map(|(change, _)| change.quote.clone());
                let is_whole = together.is_whole(id);
                let mut changes = together.changes.remove(id).unwrap_or_default();
                if !is_whole {
                    let mut course = Course::new(id, Mark::before(begin), second_at(from), own.clone());
                    changes.clear();
                    while let Some(more) = course.more(store).await? {
                        changes.extend(more.into_iter().map(|(change, _)| change));
                    }
                }
                changes.retain(|change| {
                    let counts = is_change(own.as_ref(), &change.quote);
                    own = Some(change.quote.clone());
                    counts
                });
                if let Some(place) = earlier.get_mut(id.as_str()).filter(|_| !changes.is_empty()) {
                    *place = changes;
                }
            }
        }
        Ok(earlier)
    }
}

/// The first second behind a period.
fn end(group: Group, begin: i64) -> i64 {
    match group {
        Group::Hour => begin + HOUR,
        Group::Day => begin + DAY,
        Group::Week => begin + 7 * DAY,
        // No month is longer, and none is shorter than the rest of it.
        Group::Month => group.begin(begin + 31 * DAY),
    }
}

fn second_at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(if second < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// The first second of a day in Vietnam.
#[must_use]
pub fn midnight(day: Date) -> Option<i64> {
    VIETNAM.to_timestamp(day.at(0, 0, 0, 0)).ok().map(Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_those_of_vietnams_calendar_and_weeks_begin_on_monday() {
        let second = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        for (at, hour, day, week, month) in [
            ("2026-11-27T10:59:59", "2026-11-27T10:00:00", "2026-11-27", "2026-11-23", "2026-11-01"),
            ("2026-11-30T00:00:00", "2026-11-30T00:00:00", "2026-11-30", "2026-11-30", "2026-11-01"),
            ("2026-11-29T23:59:59", "2026-11-29T23:00:00", "2026-11-29", "2026-11-23", "2026-11-01"),
            ("2027-01-01T06:59:59", "2027-01-01T06:00:00", "2027-01-01", "2026-12-28", "2027-01-01"),
            ("2028-02-29T12:00:00", "2028-02-29T12:00:00", "2028-02-29", "2028-02-28", "2028-02-01"),
            ("1969-12-31T23:00:00", "1969-12-31T23:00:00", "1969-12-31", "1969-12-29", "1969-12-01"),
        ] {
            let at = second(&format!("{at}+07:00"));
            assert_eq!(Group::Hour.begin(at), second(&format!("{hour}+07:00")));
            for (group, begin) in [(Group::Day, day), (Group::Week, week), (Group::Month, month)] {
                let begin = second(&format!("{begin}T00:00:00+07:00"));
                assert_eq!(group.begin(at), begin, "{group:?} {at}");
                let next = end(group, begin);
                assert_eq!((group.begin(next - 1), group.begin(next)), (begin, next), "{group:?} {at}");
            }
        }
    }
}
