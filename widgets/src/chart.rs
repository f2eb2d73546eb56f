//! The course of a price as lines, ticks and a sentence: where each stands and what each says, for the page and the picture
//! alike. Steps and not curves, because a price holds until the next one; what is not known stays open.
//!
//! No floating point: prices are Decimals, places are whole numbers.

use std::fmt::Write as _;

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, DateTime, date},
    tz::offset,
};
use rust_decimal::{Decimal, RoundingStrategy, dec, prelude::ToPrimitive as _};

use crate::{
    format,
    i18n::{self, Words},
    model::{Channel, Chart, Point, Stretch, Subject, Term},
    options::Lang,
    reduce::main_price,
};

/// Places of ticks, dots and labels are told in thousandths of the plot.
const WHOLE: i64 = 1000;
/// As many ticks an axis has at most; fewer than three tell nothing.
const MOST_TICKS: usize = 5;
/// Days with the names of their months need more room.
const MOST_NAMED_TICKS: usize = 4;
/// Steps of time are no more than about three times as long as the one before: where one gives two ticks, the one before
/// gives no more than these.
const ENOUGH_TICKS: usize = 10;
const LEAST_TICKS: usize = 3;
/// What `round` steps are made of.
const ROUND: [Decimal; 4] = [dec!(1), dec!(2), dec!(2.5), dec!(5)];
/// A range longer than this says years on its axis.
const YEARS_FROM: i64 = 366;
const DAY: i64 = 86_400;

/// Lines and labels of a chart.
#[derive(Debug, Default)]
pub(crate) struct Plot {
    /// SVG path data in the box that was asked for; digits, signs and letters only.
    pub(crate) buy: String,
    pub(crate) sell: String,
    /// Between them.
    pub(crate) band: String,
    /// Of prices, from below.
    pub(crate) up: Vec<Tick>,
    /// Of time.
    pub(crate) across: Vec<Tick>,
    /// The end of the main line.
    pub(crate) dot: Option<Dot>,
    /// What the lines are, at the height of their ends; none where there is one line.
    pub(crate) ends: Vec<End>,
}

/// A tick and its label.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// From the left or from the top, in thousandths.
    pub(crate) place: i64,
    pub(crate) text: String,
}

/// A dot; with its value where it is all that there is.
#[derive(Debug)]
pub(crate) struct Dot {
    pub(crate) x: i64,
    pub(crate) y: i64,
    pub(crate) value: Option<String>,
}

/// A line's name.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) y: i64,
    pub(crate) text: &'static str,
    /// Of the line that the dot ends.
    pub(crate) main: bool,
}

/// Thousandths as a percentage: `87.4`.
pub(crate) fn percent(place: i64) -> String {
    format!("{}.{}", place / 10, place % 10)
}

impl Tick {
    pub(crate) fn percent(&self) -> String {
        percent(self.place)
    }
}

impl Dot {
    /// Its value is written where there is more room.
    pub(crate) const fn is_right(&self) -> bool {
        self.x > WHOLE / 2
    }

    pub(crate) fn left(&self) -> String {
        percent(self.x)
    }

    pub(crate) fn top(&self) -> String {
        percent(self.y)
    }
}

impl End {
    pub(crate) fn percent(&self) -> String {
        percent(self.y)
    }
}

/// How large what is drawn is, in the units of its paths, and how far apart two labels at the ends have to be, in
/// thousandths of the height.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) width: i64,
    pub(crate) height: i64,
    pub(crate) apart: i64,
}

type Side = fn(&Point) -> Option<Decimal>;
const BUY: Side = |point| point.buy;
const SELL: Side = |point| point.sell;

/// Where a price and an instant are.
struct Scale {
    from: i64,
    span: i64,
    bottom: Decimal,
    rise: Decimal,
}

impl Scale {
    fn x(&self, at: Timestamp, width: i64) -> i64 {
        ((at.as_second() - self.from).clamp(0, self.span)).saturating_mul(width) / self.span
    }

    fn y(&self, price: Decimal, height: i64) -> i64 {
        let share = price.checked_sub(self.bottom).and_then(|above| above.checked_div(self.rise));
        let above = share.and_then(|share| share.checked_mul(Decimal::from(height)));
        height - above.and_then(|above| above.round().to_i64()).unwrap_or_default().clamp(0, height)
    }
}

/// Lays a chart out; `None` where there is nothing to draw.
pub(crate) fn plot(chart: &Chart, frame: Frame, words: &'static Words, lang: Lang) -> Option<Plot> {
    let points = || chart.course.iter().flat_map(|stretch| &stretch.points);
    let prices = || points().flat_map(|point| [point.buy, point.sell]).flatten();
    let (low, high) = (prices().min()?, prices().max()?);
    let (ticks, step) = up(low, high)?;
    let (bottom, top) = (*ticks.first()?, *ticks.last()?);
    let scale = Scale {
        from: chart.from.as_second(),
        span: (chart.to.as_second() - chart.from.as_second()).max(1),
        bottom,
        rise: top.checked_sub(bottom).filter(|rise| *rise > Decimal::ZERO)?,
    };
    let Frame { width, height, apart } = frame;
    let places = step.normalize().scale();
    let last = chart.course.last()?;
    let end = last.points.last()?;
    let dot = main_price(end).map(|price| Dot {
        x: scale.x(last.until, WHOLE),
        y: scale.y(price, WHOLE),
        value: (points().count() == 1 && last.until == end.at).then(|| figure(&chart.subject, price, lang)),
    });
    let ends = match (end.buy, end.sell) {
        (Some(buy), Some(sell)) => {
            ends(scale.y(buy, WHOLE), scale.y(sell, WHOLE), apart, (words.buy, words.sell))
        }
        _ => Vec::new(),
    };
    Some(Plot {
        buy: line(&chart.course, &scale, BUY, (width, height)),
        sell: line(&chart.course, &scale, SELL, (width, height)),
        band: band(&chart.course, &scale, (width, height)),
        up: ticks
            .iter()
            .map(|tick| Tick { place: scale.y(*tick, WHOLE), text: format::number(*tick, places, lang) })
            .collect(),
        across: across(chart.from, chart.to, lang)
            .into_iter()
            .map(|(at, text)| Tick { place: scale.x(at, WHOLE), text })
            .collect(),
        dot,
        ends,
    })
}

/// Two names that would cover each other stand as far apart as they need, and inside the plot.
fn ends(buy: i64, sell: i64, apart: i64, (buying, selling): (&'static str, &'static str)) -> Vec<End> {
    let (upper, lower) = (buy.min(sell), buy.max(sell));
    let push = (apart - (lower - upper)).max(0);
    let upper = (upper - push / 2).clamp(0, WHOLE - apart);
    let lower = lower.max(upper + apart).min(WHOLE);
    let (buy, sell) = if buy < sell { (upper, lower) } else { (lower, upper) };
    vec![End { y: sell, text: selling, main: true }, End { y: buy, text: buying, main: false }]
}

/// A part of a line: where each price begins and how high it is, and where the last one ends.
struct Run<T> {
    steps: Vec<(i64, T)>,
    until: i64,
}

/// Of each stretch the parts in which there is something to draw.
fn runs<T: Copy>(
    course: &[Stretch],
    scale: &Scale,
    width: i64,
    of: impl Fn(&Point) -> Option<T>,
) -> Vec<Run<T>> {
    let mut runs: Vec<Run<T>> = Vec::new();
    for stretch in course {
        let mut open = false;
        for point in &stretch.points {
            let x = scale.x(point.at, width);
            match (of(point), runs.last_mut()) {
                (Some(place), Some(run)) if open => run.steps.push((x, place)),
                (Some(place), _) => runs.push(Run { steps: vec![(x, place)], until: x }),
                (None, Some(run)) if open => run.until = x,
                (None, _) => {}
            }
            open = of(point).is_some();
        }
        if let Some(run) = runs.last_mut().filter(|_| open) {
            run.until = scale.x(stretch.until, width);
        }
    }
    runs
}

/// Writes moves, leaving out those of nothing.
struct Pen<'a> {
    path: &'a mut String,
    x: i64,
    y: i64,
}

impl<'a> Pen<'a> {
    fn at(path: &'a mut String, x: i64, y: i64) -> Self {
        let _ = write!(path, "M{x} {y}");
        Self { path, x, y }
    }

    fn to(&mut self, x: i64, y: i64) {
        if x != self.x {
            let _ = write!(self.path, "h{}", x - self.x);
        }
        if y != self.y {
            let _ = write!(self.path, "v{}", y - self.y);
        }
        (self.x, self.y) = (x, y);
    }
}

fn line(course: &[Stretch], scale: &Scale, side: Side, (width, height): (i64, i64)) -> String {
    let mut path = String::new();
    for run in runs(course, scale, width, |point| side(point).map(|price| scale.y(price, height))) {
        let Some((x, y)) = run.steps.first() else { continue };
        let mut pen = Pen::at(&mut path, *x, *y);
        for (x, y) in &run.steps {
            pen.to(*x, *y);
        }
        let y = pen.y;
        // What lasted for less than can be drawn is drawn.
        pen.to(if run.until == *x { run.until + 1 } else { run.until }, y);
    }
    path
}

/// From selling to buying, there and back.
fn band(course: &[Stretch], scale: &Scale, (width, height): (i64, i64)) -> String {
    let mut path = String::new();
    let both = |point: &Point| Some((scale.y(point.sell?, height), scale.y(point.buy?, height)));
    for run in runs(course, scale, width, both) {
        let (Some((x, (y, _))), Some((_, (_, back)))) = (run.steps.first(), run.steps.last()) else {
            continue;
        };
        if run.until == *x {
            continue;
        }
        let mut pen = Pen::at(&mut path, *x, *y);
        for (x, (sell, _)) in &run.steps {
            pen.to(*x, *sell);
        }
        let y = pen.y;
        pen.to(run.until, y);
        pen.to(run.until, *back);
        for (place, (x, _)) in run.steps.iter().enumerate().rev() {
            let before = place.checked_sub(1).and_then(|place| run.steps.get(place));
            let y = pen.y;
            pen.to(*x, before.map_or(y, |(_, (_, buy))| *buy));
        }
        path.push('z');
    }
    path
}

/// Three to five round prices around all there are, and the step between them.
fn up(low: Decimal, high: Decimal) -> Option<(Vec<Decimal>, Decimal)> {
    let range = high.checked_sub(low)?;
    // What never moved is shown within a hundredth of itself.
    let least =
        if range.is_zero() { (low.abs() / Decimal::ONE_HUNDRED).max(dec!(0.01)) } else { range / dec!(5) };
    let powers =
        std::iter::successors(Some(dec!(0.000001)), |power: &Decimal| power.checked_mul(Decimal::TEN));
    let steps = powers.flat_map(|power| ROUND.iter().filter_map(move |of| of.checked_mul(power)));
    for step in steps.filter(|step| *step >= least) {
        let count = |price: Decimal, strategy| -> Option<Decimal> {
            Some(price.checked_div(step)?.round_dp_with_strategy(0, strategy))
        };
        let mut first = count(low, RoundingStrategy::ToNegativeInfinity)?;
        let mut last = count(high, RoundingStrategy::ToPositiveInfinity)?;
        if range.is_zero() {
            first -= Decimal::ONE;
            last = first.checked_add(dec!(2))?.max(last);
        }
        while (last - first).to_usize()? + 1 < LEAST_TICKS {
            last += Decimal::ONE;
        }
        let intervals = (last - first).to_usize()?;
        if intervals < MOST_TICKS {
            let ticks = (0..=intervals)
                .map(|place| first.checked_add(Decimal::from(place))?.checked_mul(step))
                .collect::<Option<Vec<Decimal>>>()?;
            return Some((ticks, step));
        }
    }
    None
}

/// How far apart the ticks of time are.
#[derive(Clone, Copy)]
enum Every {
    Hours(i64),
    Days(i64),
    Months(i16),
}

/// Finest first.
const EVERY: [Every; 14] = [
    Every::Hours(1),
    Every::Hours(3),
    Every::Hours(6),
    Every::Hours(12),
    Every::Days(1),
    Every::Days(2),
    Every::Days(4),
    Every::Days(7),
    Every::Days(14),
    Every::Days(21),
    Every::Months(1),
    Every::Months(3),
    Every::Months(6),
    Every::Months(12),
];

/// A Monday, from which days are counted, so that weeks begin where people say they do.
const MONDAY: Date = date(2000, 1, 3);

impl Every {
    /// The first tick at or after an instant in Vietnam.
    fn first(self, from: DateTime) -> Option<DateTime> {
        let midnight = from.date().at(0, 0, 0, 0);
        let mut tick = match self {
            Self::Hours(_) => midnight,
            Self::Days(days) => {
                let since = from.date().since(MONDAY).ok()?.get_days();
                let back = i64::from(since).rem_euclid(days);
                midnight.checked_sub(back.days()).ok()?
            }
            Self::Months(months) => {
                let month = (i16::from(from.month()) - 1) / months * months + 1;
                date(from.year(), i8::try_from(month).ok()?, 1).at(0, 0, 0, 0)
            }
        };
        while tick < from {
            tick = self.next(tick)?;
        }
        Some(tick)
    }

    fn next(self, tick: DateTime) -> Option<DateTime> {
        match self {
            Self::Hours(hours) => tick.checked_add(hours.hours()).ok(),
            Self::Days(days) => tick.checked_add(days.days()).ok(),
            Self::Months(months) => tick.checked_add(i64::from(months).months()).ok(),
        }
    }

    /// Ticks from an instant on and before another: the midnight at which a range ends is of the day after it.
    fn ticks(self, from: DateTime, to: DateTime) -> Vec<DateTime> {
        let ticks = std::iter::successors(self.first(from), |tick| self.next(*tick));
        ticks.take_while(|tick| *tick < to).take(ENOUGH_TICKS).collect()
    }

    /// As many of them as there is room for, at even distances; of clock times those that tell the days.
    fn thinned(self, ticks: &[DateTime], lang: Lang) -> Vec<DateTime> {
        let most = match (self, lang) {
            (Self::Days(_) | Self::Months(_), Lang::En) => MOST_NAMED_TICKS,
            _ => MOST_TICKS,
        };
        let step = ticks.len().div_ceil(most).max(1);
        let first = ticks.iter().position(|tick| tick.hour() == 0).unwrap_or_default() % step;
        ticks.iter().skip(first).step_by(step).copied().collect()
    }
}

/// Three to five round instants of Vietnam and what they are called: days as the text beside them has them, clock times
/// within days, years where the range is longer than one. A range of few hours, too short for any, is told by its ends.
fn across(from: Timestamp, to: Timestamp, lang: Lang) -> Vec<(Timestamp, String)> {
    let local = |at| offset(7).to_datetime(at);
    let long = (to.as_second() - from.as_second()) / DAY > YEARS_FROM;
    let found = EVERY.iter().rev().map(|every| (*every, every.ticks(local(from), local(to))));
    let Some((every, ticks)) = found.into_iter().find(|(_, ticks)| ticks.len() >= LEAST_TICKS) else {
        return if to > from {
            vec![(from, format::clock(from)), (to, format::clock(to))]
        } else {
            Vec::new()
        };
    };
    every
        .thinned(&ticks, lang)
        .into_iter()
        .filter_map(|tick| {
            let at = offset(7).to_timestamp(tick).ok()?;
            let text = match every {
                Every::Hours(_) if tick.hour() > 0 => format::clock(at),
                Every::Months(_) if long && tick.month() == 1 => tick.year().to_string(),
                Every::Months(_) if long => format!("{:02}/{}", tick.month(), tick.year()),
                _ => format::day_and_month(tick.date(), lang),
            };
            Some((at, text))
        })
        .collect()
}

/// A price of the subject as it is written in tables.
pub(crate) fn figure(subject: &Subject, value: Decimal, lang: Lang) -> String {
    match subject {
        Subject::Gold(_, unit) => format::number(value, unit.places(), lang),
        Subject::Currency(..) => {
            let (whole, fraction) = format::exchange_rate(value, lang);
            whole + &fraction.unwrap_or_default()
        }
        Subject::Deposit(..) => format::number(value, 2, lang),
    }
}

/// A change of such a price.
pub(crate) fn change(subject: &Subject, value: Decimal, beside: Decimal, lang: Lang) -> String {
    let places = match subject {
        Subject::Gold(_, unit) => unit.places(),
        Subject::Currency(..) if format::is_whole(beside) => 0,
        Subject::Currency(..) | Subject::Deposit(..) => 2,
    };
    format::change(value, places, lang)
}

/// What the chart is of.
pub(crate) fn title(subject: &Subject, words: &'static Words, lang: Lang) -> String {
    match subject {
        Subject::Gold(product, _) => {
            let name = i18n::product(&product.id, lang);
            let place = product.place.as_deref().map(|place| i18n::place(place, lang)).unwrap_or_default();
            if place.is_empty() { name } else { format!("{name}, {place}") }
        }
        Subject::Currency(code, variant) => {
            let name = i18n::currency(code, lang).map(|name| format!(", {name}")).unwrap_or_default();
            let variant = variant.as_ref().map(|_| format!(" ({})", words.chart.small_notes));
            format!("{code}{}{name}", variant.unwrap_or_default())
        }
        Subject::Deposit(term, channel) => {
            let term = match term {
                Term::Demand => words.demand.to_owned(),
                Term::Days(days) => format!("{days} {}", words.days),
                Term::Months(months) => format!("{months} {}", words.months),
            };
            let place = match channel {
                None => String::new(),
                Some(Channel::Counter) => format!(", {}", words.chart.at_counter),
                Some(Channel::Online) => format!(", {}", words.chart.online),
            };
            format!("{term}{place}")
        }
    }
}

/// The unit of its prices.
pub(crate) fn unit(subject: &Subject, words: &'static Words) -> &'static str {
    match subject {
        Subject::Gold(_, unit) => words.gold_unit(*unit),
        Subject::Currency(..) => words.fx_unit,
        Subject::Deposit(..) => words.deposit_unit,
    }
}

/// The last second before an end: a range of whole days ends with the last of them.
fn last_of(end: Timestamp) -> Timestamp {
    end.checked_sub(1.second()).unwrap_or(end)
}

/// What the picture shows, for those who do not see it: name, house, unit, range, and of each price first, last, change,
/// highest and lowest with their days; then the gaps.
pub(crate) fn summary(chart: &Chart, words: &'static Words, lang: Lang) -> String {
    let told = &words.chart;
    let day = |at: Timestamp| format::date(format::date_of(at), lang);
    let single = matches!(chart.subject, Subject::Deposit(..));
    let mut text = format!(
        "{}{}, {}, {}. {}{}{}{}.",
        if single { told.rate_of } else { "" },
        title(&chart.subject, words, lang),
        chart.house,
        unit(&chart.subject, words),
        told.period.0,
        day(chart.from),
        told.period.1,
        day(last_of(chart.to))
    );
    let sides: [(&str, Side); 2] =
        [(if single { told.rate } else { told.selling }, SELL), (told.buying, BUY)];
    for (name, side) in sides {
        let priced = || {
            let points = chart.course.iter().flat_map(|stretch| &stretch.points);
            points.filter_map(|point| Some((side(point)?, point.at)))
        };
        let (Some((first, _)), Some((last, _))) = (priced().next(), priced().next_back()) else { continue };
        let figure = |value| figure(&chart.subject, value, lang);
        let moved = last.checked_sub(first).unwrap_or_default();
        let by = change(&chart.subject, moved, last, lang);
        let by = match by.split_at_checked(1) {
            Some(("+", by)) => format!("{} {by}", words.up),
            Some(("-", by)) => format!("{} {by}", words.down),
            _ => words.unchanged.to_owned(),
        };
        // The first of the highest, as a reader would find it.
        let highest = priced().reduce(|best, next| if next.0 > best.0 { next } else { best });
        let lowest = priced().reduce(|best, next| if next.0 < best.0 { next } else { best });
        let _ =
            write!(text, " {name}: {}{}, {}{}, {by}", told.starts, figure(first), told.ends, figure(last));
        for (word, found) in [(told.highest, highest), (told.lowest, lowest)] {
            if let Some((value, at)) = found {
                let _ = write!(text, "; {word}{}{}{}", figure(value), told.dated, day(at));
            }
        }
        text.push('.');
    }
    let gaps = gaps(chart);
    if chart.course.is_empty() {
        let _ = write!(text, " {}", empty(chart, words));
    } else if !gaps.is_empty() {
        let gaps: Vec<String> =
            gaps.iter().map(|(from, to)| format!("{}{}{}", day(*from), told.until, day(*to))).collect();
        // Many are a list that nobody listens to.
        let (shown, more) = gaps.split_at(gaps.len().min(6));
        let more = if more.is_empty() { "" } else { "…" };
        let _ = write!(text, " {}{}{more}.", told.missing, shown.join("; "));
    }
    if chart.unread && !chart.course.is_empty() {
        let _ = write!(text, " {}", told.unread.1);
    }
    text
}

/// Why there is no line.
pub(crate) const fn empty(chart: &Chart, words: &'static Words) -> &'static str {
    if chart.unread { words.chart.unread.0 } else { words.chart.empty }
}

/// What is not known between what is.
fn gaps(chart: &Chart) -> Vec<(Timestamp, Timestamp)> {
    let pairs = chart.course.iter().zip(chart.course.iter().skip(1));
    pairs.filter_map(|(before, after)| Some((before.until, after.points.first()?.at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("{text}:00+07:00").parse().unwrap()
    }

    fn labels(from: &str, to: &str) -> Vec<String> {
        across(at(from), at(to), Lang::Vi).into_iter().map(|(_, text)| text).collect()
    }

    fn english(from: &str, to: &str) -> Vec<String> {
        across(at(from), at(to), Lang::En).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn instants_on_the_axis_are_round_and_few() {
        for (from, to, wanted) in [
            ("2026-09-23T10:00", "2026-09-30T10:00", vec!["25/09", "27/09", "29/09"]),
            ("2026-08-31T10:00", "2026-09-30T10:00", vec!["07/09", "14/09", "21/09", "28/09"]),
            ("2026-07-02T10:00", "2026-09-30T10:00", vec!["06/07", "27/07", "17/08", "07/09", "28/09"]),
            ("2025-09-30T10:00", "2026-09-30T10:00", vec!["01/10", "01/01", "01/04", "01/07"]),
            ("2024-02-10T10:00", "2026-09-30T10:00", vec!["07/2024", "2025", "07/2025", "2026", "07/2026"]),
            ("2021-09-30T10:00", "2026-09-30T10:00", vec!["2022", "2023", "2024", "2025", "2026"]),
            ("2026-09-29T10:00", "2026-09-30T10:00", vec!["12:00", "18:00", "30/09", "06:00"]),
            ("2026-09-30T10:00", "2026-09-30T10:30", vec!["10:00", "10:30"]),
            ("2026-11-14T00:00", "2026-11-27T00:00", vec!["14/11", "18/11", "22/11", "26/11"]),
            ("2026-11-12T00:00", "2026-11-23T00:00", vec!["14/11", "18/11", "22/11"]),
            ("2026-06-01T00:00", "2026-11-27T19:47", vec!["01/06", "01/08", "01/10"]),
            ("2021-01-01T00:00", "2026-01-01T00:00", vec!["2021", "2022", "2023", "2024", "2025"]),
        ] {
            assert_eq!(labels(from, to), wanted, "{from} {to}");
        }
        assert_eq!(english("2026-11-14T00:00", "2026-11-27T00:00"), ["14 Nov", "18 Nov", "22 Nov", "26 Nov"]);
        assert_eq!(english("2026-07-02T10:00", "2026-09-30T10:00"), ["6 Jul", "17 Aug", "28 Sept"]);
    }

    #[test]
    fn every_range_of_more_than_some_hours_has_three_ticks_at_least_and_whole_days_are_dated() {
        let first = at("2025-11-29T00:00");
        for begin in (0..70 * 24).step_by(89).chain((0..70).step_by(9).map(|day| day * 24)) {
            let from = first.checked_add(begin.hours()).unwrap();
            let short = (3..240).step_by(3).chain((240..24 * 1827).step_by(397));
            for long in short.chain((1..400).map(|day| day * 24)).chain([24 * 1826]) {
                let to = from.checked_add(long.hours()).unwrap();
                for lang in [Lang::Vi, Lang::En] {
                    let ticks = across(from, to, lang);
                    let said = format!("{from} {to} {ticks:?}");
                    assert!((LEAST_TICKS..=MOST_TICKS).contains(&ticks.len()), "{said}");
                    assert!(ticks.iter().all(|(at, _)| (from..to).contains(at)), "{said}");
                    let clocks = ticks.iter().filter(|(_, text)| text.contains(':')).count();
                    assert!(!ticks.iter().any(|(_, text)| text == "00:00"), "{said}");
                    assert!(long < 60 || clocks < ticks.len(), "{said}");
                    assert!(long <= 72 || clocks == 0, "{said}");
                    let named = lang == Lang::En && clocks == 0 && !said.contains("/20");
                    assert!(!named || long > 24 * YEARS_FROM || ticks.len() <= MOST_NAMED_TICKS, "{said}");
                }
            }
        }
    }

    #[test]
    fn prices_on_the_axis_are_round_and_hold_all() {
        for (low, high, wanted) in [
            (dec!(139.2), dec!(149.1), dec!(5)),
            (dec!(142.5), dec!(142.5), dec!(2)),
            (dec!(25870), dec!(26260), dec!(200)),
            (dec!(5.9), dec!(6.7), dec!(0.25)),
            (dec!(0), dec!(0), dec!(0.01)),
            (dec!(0.0001), dec!(900000000), dec!(250000000)),
        ] {
            let (ticks, step) = up(low, high).unwrap();
            assert!((3..=5).contains(&ticks.len()), "{ticks:?}");
            assert!(ticks[0] <= low && high <= *ticks.last().unwrap(), "{low} {high} {ticks:?}");
            assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] == step), "{ticks:?}");
            assert_eq!(step, wanted, "{ticks:?}");
        }
        assert!(up(Decimal::MIN, Decimal::MAX).is_none(), "what cannot be reckoned is not drawn");
    }

    #[test]
    fn names_at_the_ends_never_cover_each_other_and_stay_inside() {
        for buy in (0..=1000).step_by(50) {
            for sell in (0..=1000).step_by(50) {
                let ends = ends(buy, sell, 80, ("Mua", "Bán"));
                let [sell, buy] = [ends[0].y, ends[1].y];
                assert!((sell - buy).abs() >= 80 && sell.min(buy) >= 0 && sell.max(buy) <= 1000, "{ends:?}");
            }
        }
    }
}
