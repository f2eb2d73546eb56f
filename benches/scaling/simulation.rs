//! A working day of many readers behind a CDN: what is asked at its edge, what of that at the origin. How long an answer
//! may be kept is the service's own word (`CachePolicy`, schedules, offsets and freshness of the default configuration);
//! readers, sites and the CDN are assumptions, and each of them is a constant here. Everything is reckoned in whole
//! numbers, so that every machine gives the same; nothing is asked of a network or a clock.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "milliseconds of one day, and places in small tables"
)]

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use banggia::{
    app,
    board::Rules,
    clock,
    config::{self, Overrides},
    http::cache::CachePolicy,
    widget,
};
use jiff::Timestamp;
use providers::Kind;
use widgets::model;

/// A Wednesday on which every feed is due, in Vietnam.
const MIDNIGHT: &str = "2026-09-30T00:00:00+07:00";
const DAY: usize = 86_400;

/// Of the table in docs/SCALING.md.
pub const SEED: u64 = 7;

/// Sites that embed widgets; the k-th is read 1/k as much as the first.
const SITES: usize = 10_000;
/// Page views by the hour, in ten-thousandths: newspapers are read at the desk and after dinner.
const HOURS: [u64; 24] = [
    120, 70, 50, 40, 60, 180, 360, 520, 660, 700, 660, 620, 560, 520, 540, 540, 520, 480, 460, 500, 560, 560,
    440, 260,
];
/// What of a hundred visits meets: the element, a frame, a picture, rows that the site's own server put in.
const WAYS: [(Way, u64); 4] = [(Way::Element, 35), (Way::Frame, 40), (Way::Picture, 15), (Way::Include, 10)];
/// And of which widget.
const WIDGETS: [(model::Kind, u64); 5] = [
    (model::Kind::Panel, 25),
    (model::Kind::Gold, 35),
    (model::Kind::Fx, 20),
    (model::Kind::Deposits, 10),
    (model::Kind::Ticker, 10),
];
/// Three sites in ten have one of so many looks of their own (language, theme, banks, rows): as many addresses.
const LOOKS: u64 = 60;
const OWN_LOOK_PERCENT: u64 = 30;
/// Readers in a hundred whose browser speaks gzip only: a copy of its own in every cache.
const GZIP_PERCENT: u64 = 3;
/// A reader goes on to another page of the site in two of three cases, so a visit is three pages long.
const GOES_ON: Range<u64> = 0..2;
const PAGES_A_VISIT: u64 = 3;
/// Seconds on a page, a quarter of the time much longer: a minute in the mean.
const SECONDS_ON_A_PAGE: Range<u64> = 2..60;
const MORE_SECONDS: Range<u64> = 0..236;
/// The element asks again after so many seconds, or `max-age` if that is longer (widgets/assets/embed.js).
const POLL_SECONDS: u64 = 60;
/// Half of the visitors have the element's script from an earlier visit.
const SCRIPT_KNOWN_PERCENT: u64 = 50;

/// From the edge to the origin and back.
const ROUND_TRIP_MS: u32 = 200;
/// Until an edge has given up an origin that is away.
const GIVES_UP_MS: u32 = 1_000;
/// A cache drops what nobody asked for, for so long.
const FORGETS_MS: u32 = 3_600_000;
/// Asking a feed's source and publishing what it said.
const REFRESH_SECONDS: i64 = 3;

/// Bytes on the wire, headers included, of the largest widget (panel, brotli; `docs/SCALING.md` has the command).
const NOT_MODIFIED: u64 = 353;
const SCRIPT: u64 = 4_600;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Element,
    Frame,
    Picture,
    Include,
}

impl Way {
    const fn bytes(self) -> u64 {
        match self {
            Self::Element | Self::Include => 1_800,
            Self::Frame => 5_700,
            Self::Picture => 29_700,
        }
    }
}

/// What stands between readers and the origin.
#[derive(Debug, Clone, Copy)]
pub struct Cdn {
    /// Points of presence, each with a cache of its own; the k-th has 1/k of the first one's readers.
    pub points: usize,
    /// Simultaneous misses of one thing are one request.
    pub collapses: bool,
    /// `stale-while-revalidate` and `stale-if-error` are heard; `max-age` always is.
    pub stale: bool,
    /// One more cache before the origin, which all points ask.
    pub shield: bool,
}

/// One day to be played through.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is in the first column.
    pub name: &'static str,
    /// Page views that are drawn for.
    pub views: u64,
    /// `None`: everybody asks the origin.
    pub cdn: Option<Cdn>,
    /// Hours in which the origin does not answer.
    pub away: Range<usize>,
    /// Some sites have looks of their own; else all have the default.
    pub own_looks: bool,
}

/// The days of docs/SCALING.md: the usual one with more and more readers, then other CDNs, then an hour without the
/// origin. `light` are those that take no time.
#[must_use]
pub fn plans(light: bool) -> Vec<Plan> {
    const MILLION: u64 = 1_000_000;
    let usual = Cdn { points: 20, collapses: true, stale: true, shield: false };
    let day = |name, views, cdn| Plan { name, views, cdn: Some(cdn), away: 0..0, own_looks: true };
    let (few, many) = (MILLION / 2, 50 * MILLION);
    let away = |name, views, cdn| Plan { away: AWAY, ..day(name, views, cdn) };
    let alike = |views| Plan {
        own_looks: false,
        ..day("a shield, all looks alike", views, Cdn { shield: true, ..usual })
    };
    let mut plans = vec![
        day("20 points", few, usual),
        day("with a shield", few, Cdn { shield: true, ..usual }),
        alike(few),
        away("origin away 9–10 h", few, usual),
    ];
    if !light {
        plans.extend([
            day("20 points", 5 * MILLION, usual),
            day("20 points", many, usual),
            day("with a shield", many, Cdn { shield: true, ..usual }),
            alike(5 * MILLION),
            alike(many),
            day("100 points", many, Cdn { points: 100, ..usual }),
            day("misses not collapsed", many, Cdn { collapses: false, ..usual }),
            Plan { cdn: None, ..day("no CDN", many, usual) },
            away("origin away 9–10 h", many, usual),
            away("the same, only `max-age` heard", many, Cdn { stale: false, ..usual }),
        ]);
    }
    plans
}

/// The busiest hour of the morning.
const AWAY: Range<usize> = 9..10;

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    plan: Plan,
    /// Pages that were looked at.
    pub views: u64,
    /// What readers and sites asked for.
    pub edge: Asked,
    /// What the service was asked for.
    pub origin: Asked,
    /// Requests in vain of an origin that was away.
    pub in_vain: u64,
    /// Answers that only `stale-if-error` allowed.
    pub on_error: u64,
    /// Requests with no answer at all.
    pub failed: u64,
    /// By how many milliseconds figures were older than `max-age` allows, at most, where the origin was there.
    pub oldest_ms: u32,
    /// What the origin can be asked for at most, however many readers there are. Only a CDN that collapses has such a bound.
    pub ceiling: Option<u64>,
}

/// Requests of one day.
#[derive(Debug)]
pub struct Asked {
    seconds: Vec<u32>,
    /// All of them.
    pub requests: u64,
    /// Of these, answered by 304.
    pub not_modified: u64,
    /// Headers and bodies of the answers.
    pub bytes: u64,
}

impl Asked {
    fn new() -> Self {
        Self { seconds: vec![0; DAY], requests: 0, not_modified: 0, bytes: 0 }
    }

    fn count(&mut self, at: u32, not_modified: bool, body: u64) {
        self.seconds[at as usize / 1000] += 1;
        self.requests += 1;
        self.not_modified += u64::from(not_modified);
        self.bytes += if not_modified { NOT_MODIFIED } else { body };
    }

    /// The second that is fuller than 99 of 100.
    #[must_use]
    pub fn p99(&self) -> u32 {
        let mut seconds = self.seconds.clone();
        seconds.sort_unstable();
        seconds[DAY / 100 * 99]
    }

    /// The fullest second of these hours.
    #[must_use]
    pub fn most(&self, hours: Range<usize>) -> u32 {
        self.seconds[hours.start * 3600..hours.end * 3600].iter().copied().max().unwrap_or_default()
    }

    /// Of a thousand requests, so many were answered by 304.
    fn share(&self) -> u64 {
        per_mille(self.not_modified, self.requests)
    }
}

impl Outcome {
    /// What holds of every day, whatever its figures are.
    ///
    /// # Panics
    /// Where it does not.
    pub fn assert(&self) {
        let Plan { name, cdn, away, views, .. } = &self.plan;
        assert!(self.views.abs_diff(*views) < views / 50, "{name}: {} views of {views}", self.views);
        if let Some(ceiling) = self.ceiling {
            assert!(
                self.origin.requests <= ceiling,
                "{name}: {} requests, over {ceiling}",
                self.origin.requests
            );
        }
        let stale = cdn.is_some_and(|cdn| cdn.stale);
        // While it may be revalidated; through a shield, which may be as late once more.
        let late = 300_000
            * if !stale {
                0
            } else if cdn.is_some_and(|cdn| cdn.shield) {
                2
            } else {
                1
            };
        assert!(self.oldest_ms <= late, "{name}: an answer was {} ms too old", self.oldest_ms);
        if away.is_empty() {
            assert_eq!((self.failed, self.on_error, self.in_vain), (0, 0, 0), "{name}");
        } else {
            assert!(self.in_vain > 0 && self.failed > 0, "{name}: nobody noticed that nobody was there");
            assert_eq!(self.on_error > 0, stale, "{name}: {} answers by stale-if-error", self.on_error);
        }
        assert_eq!(self.origin.most(away.clone()), 0, "{name}: an origin that is away answers nobody");
    }
}

fn per_mille(part: u64, whole: u64) -> u64 {
    (part * 1000 + whole / 2) / whole.max(1)
}

/// Three digits that count, so that a row is read and not deciphered.
fn rounded(number: u64) -> String {
    let unit = 10_u64.pow(number.max(1).ilog10().saturating_sub(2));
    let digits = ((number + unit / 2) / unit * unit).to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Percent with one digit behind the point.
fn percent(per_mille: u64) -> String {
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

/// The heads of the rows that outcomes print.
pub const HEAD: &str = "\
| day | page views | at the edge | p99 second | 304 | MB | at the origin | p99 second | 304 | MB | never more than | failed |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = |asked: &Asked| {
            format!(
                "{} | {} | {} | {}",
                rounded(asked.requests),
                rounded(asked.p99().into()),
                percent(asked.share()),
                rounded(asked.bytes / 1_000_000),
            )
        };
        write!(
            f,
            "| {} | {} | {} | {} | {} | {} |",
            self.plan.name,
            rounded(self.views),
            asked(&self.edge),
            asked(&self.origin),
            self.ceiling.map_or("–".to_owned(), rounded),
            rounded(self.failed),
        )
    }
}

/// xorshift64*: seeded, and the same everywhere for ever, which a crate does not promise.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((u128::from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)) * u128::from(below)) >> 64) as u64
    }

    fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.roll(range.end - range.start)
    }
}

/// Picks by weight.
struct Weights(Vec<u64>);

impl Weights {
    fn new(weights: impl Iterator<Item = u64>) -> Self {
        Self(
            weights
                .scan(0, |sum, weight| {
                    *sum += weight;
                    Some(*sum)
                })
                .collect(),
        )
    }

    /// The k-th has 1/k of the first.
    fn zipf(of: usize) -> Self {
        Self::new((1..=of as u64).map(|k| 1_000_000 / k))
    }

    fn pick(&self, dice: &mut Dice) -> usize {
        let at = dice.roll(self.0.last().copied().unwrap_or_default());
        self.0.partition_point(|sum| *sum <= at)
    }
}

/// What the service says of its answer in one second: the words of its own header.
#[derive(Debug, Clone, Copy)]
struct Said {
    max_age: u32,
    while_revalidate: u32,
    if_error: u32,
    /// Every run publishes: instants are in every document.
    version: u16,
}

fn said(policy: CachePolicy, now: Timestamp, version: u16) -> Said {
    let header = policy.header(now);
    let text = header.to_str().unwrap_or_default();
    let word = |name: &str| {
        let words = text.split(", ").filter_map(|word| word.split_once('='));
        words
            .filter(|(own, _)| *own == name)
            .find_map(|(_, seconds)| seconds.parse().ok())
            .unwrap_or_default()
    };
    Said {
        max_age: word("max-age"),
        while_revalidate: word("stale-while-revalidate"),
        if_error: word("stale-if-error"),
        version,
    }
}

/// One feed's day by the default configuration: when it is asked next, when its figures expire, and how often it was read.
fn feed_day(rules: &Rules, offset: Duration, midnight: Timestamp) -> Vec<(CachePolicy, u16)> {
    let offset = offset.as_secs() as i64;
    let second = |at: usize| midnight.as_second() + at as i64;
    let mut checked = rules.schedule.last(midnight).map_or(i64::MIN, |run| run.as_second() + offset);
    let mut runs = 0;
    let mut next = rules.schedule.after(midnight);
    let mut policy = None;
    (0..DAY)
        .map(|at| {
            if let Some(run) = next
                && run.as_second() + offset + REFRESH_SECONDS <= second(at)
            {
                checked = run.as_second() + offset;
                runs += 1;
                next = rules.schedule.after(run);
                policy = None;
            }
            let policy = *policy.get_or_insert_with(|| {
                let instant = |at: i64| Timestamp::from_second(at).ok();
                CachePolicy::Latest {
                    next_refresh_at: next.and_then(|run| instant(run.as_second() + offset)),
                    expires_at: instant(checked).map(|checked| rules.freshness(checked).expires_at),
                }
            });
            (policy, runs)
        })
        .collect()
}

/// What the service says of each widget, in every second of the day.
pub struct Service {
    widgets: Vec<Arc<Vec<Said>>>,
    script: Said,
}

impl Service {
    /// By the defaults that the program is built with.
    ///
    /// # Errors
    /// They do not contradict themselves; if they do, this says where.
    pub fn by_default() -> anyhow::Result<Self> {
        let midnight: Timestamp = MIDNIGHT.parse()?;
        let config = config::assemble(None, &[], &Overrides::default())?;
        let calendar = Arc::new(config.calendar.clone());
        let feeds: Vec<(Kind, Vec<(CachePolicy, u16)>)> = app::enabled(&config)
            .map(|(_, feed, settings)| {
                let rules = Rules {
                    schedule: settings.schedule.clone(),
                    stale_after: settings.stale_after.0,
                    expire_after: settings.expire_after.0,
                    calendar: Arc::clone(&calendar),
                };
                (feed.kind, feed_day(&rules, app::offset(feed.id, settings, false), midnight))
            })
            .collect();
        let mut days: Vec<(&[Kind], Arc<Vec<Said>>)> = Vec::new();
        let mut widgets = Vec::new();
        for (kind, _) in WIDGETS {
            let kinds = widget::kinds(kind);
            if let Some((_, day)) = days.iter().find(|(known, _)| *known == kinds) {
                widgets.push(Arc::clone(day));
                continue;
            }
            let day = (0..DAY).filter_map(|second| {
                let own = feeds.iter().filter(|(kind, _)| kinds.contains(kind)).map(|(_, day)| day[second]);
                let (policy, version) =
                    own.reduce(|(one, runs), (other, more)| (one.and(other), runs + more))?;
                Some(said(policy, clock::later(midnight, Duration::from_secs(second as u64)), version + 1))
            });
            let day = Arc::new(day.collect::<Vec<_>>());
            widgets.push(Arc::clone(&day));
            days.push((kinds, day));
        }
        Ok(Self { widgets, script: said(CachePolicy::Moving, midnight, 1) })
    }

    /// How often one cache can ask for one address in a day, if it asks the moment that it may.
    fn most(&self, key: Key) -> u64 {
        let mut asked = 0;
        let mut at = 0;
        while at < DAY {
            asked += 1;
            at += self.said(key, at).max_age as usize;
        }
        asked
    }

    fn said(&self, key: Key, second: usize) -> Said {
        key.widget().map_or(self.script, |widget| self.widgets[widget][second])
    }
}

/// An address in one coding. All caches number them alike.
#[derive(Debug, Clone, Copy)]
struct Key(u32);

const LOOKS_AND_DEFAULT: u32 = LOOKS as u32 + 1;
const OF_A_WAY: u32 = WIDGETS.len() as u32 * LOOKS_AND_DEFAULT;
const OF_WIDGETS: u32 = WAYS.len() as u32 * OF_A_WAY;
const ADDRESSES: u32 = OF_WIDGETS + 1;
const KEYS: usize = 2 * ADDRESSES as usize;

impl Key {
    fn of(way: Way, widget: u32, look: u32, gzip: bool) -> Self {
        // A picture has one coding.
        let gzip = gzip && way != Way::Picture;
        Self(way as u32 * OF_A_WAY + widget * LOOKS_AND_DEFAULT + look + u32::from(gzip) * ADDRESSES)
    }

    fn script(gzip: bool) -> Self {
        Self(OF_WIDGETS + u32::from(gzip) * ADDRESSES)
    }

    fn widget(self) -> Option<usize> {
        let address = self.0 % ADDRESSES;
        (address < OF_WIDGETS).then_some((address % OF_A_WAY / LOOKS_AND_DEFAULT) as usize)
    }

    fn is_default(self) -> bool {
        self.widget().is_none() || (self.0 % ADDRESSES).is_multiple_of(LOOKS_AND_DEFAULT)
    }

    fn bytes(self) -> u64 {
        let address = self.0 % ADDRESSES;
        WAYS.get((address / OF_A_WAY) as usize).map_or(SCRIPT, |(way, _)| way.bytes())
    }
}

/// What a cache has of an answer.
#[derive(Debug, Clone, Copy)]
struct Copied {
    said: Said,
    /// When the origin sent it: `Age` travels along.
    born: u32,
}

impl Copied {
    fn fresh_until(self) -> u32 {
        self.born + self.said.max_age * 1000
    }
}

/// One place of a cache.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    copy: Option<Copied>,
    /// Until when somebody's request for it is under way.
    busy: u32,
    used: u32,
}

/// Somebody who reads.
#[derive(Debug, Clone, Copy)]
struct Reader {
    at: u32,
    /// When they leave the page.
    leaves: u32,
    key: Key,
    site: u16,
    point: u8,
    gzip: bool,
    /// The element asks again; else a page is opened.
    polls: bool,
    known: u16,
    fresh_until: u32,
    script_known: bool,
    script_until: u32,
}

struct Day<'a> {
    service: &'a Service,
    dice: Dice,
    /// Of every point, and the shield behind the last one.
    places: Vec<Place>,
    /// Until when a site's own server keeps the rows of a widget.
    sites: Vec<u32>,
    outcome: Outcome,
}

/// Plays a day through.
#[must_use]
pub fn play(service: &Service, plan: &Plan, seed: u64) -> Outcome {
    let ceiling = plan.cdn.filter(|cdn| cdn.collapses).map(|cdn| {
        let keys = (0..KEYS as u32).map(Key).filter(|key| plan.own_looks || key.is_default());
        let one: u64 = keys.map(|key| service.most(key)).sum();
        one * if cdn.shield { 1 } else { cdn.points as u64 }
    });
    let caches = plan.cdn.map_or(0, |cdn| cdn.points + 1);
    let day = Day {
        service,
        dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        places: vec![Place::default(); caches * KEYS],
        sites: vec![0; SITES * WIDGETS.len()],
        outcome: Outcome {
            plan: plan.clone(),
            views: 0,
            edge: Asked::new(),
            origin: Asked::new(),
            in_vain: 0,
            on_error: 0,
            failed: 0,
            oldest_ms: 0,
            ceiling,
        },
    };
    day.play()
}

impl Day<'_> {
    fn play(mut self) -> Outcome {
        let dice = &mut self.dice;
        let hours = |at: usize| HOURS[at / 3600 % 24];
        // Between full hours the curve is a straight line.
        let curve = Weights::new(
            (0..DAY).map(|at| hours(at) * (3600 - at as u64 % 3600) + hours(at + 3600) * (at as u64 % 3600)),
        );
        let mut visits = vec![0_u32; DAY];
        for _ in 0..self.outcome.plan.views / PAGES_A_VISIT {
            visits[curve.pick(dice)] += 1;
        }
        let looks: Vec<u32> = (0..SITES)
            .map(|_| if dice.roll(100) < OWN_LOOK_PERCENT { 1 + dice.roll(LOOKS) as u32 } else { 0 })
            .map(|look| if self.outcome.plan.own_looks { look } else { 0 })
            .collect();
        let (sites, points) = (Weights::zipf(SITES), Weights::zipf(self.points().max(1)));
        let (ways, widgets) = (
            Weights::new(WAYS.iter().map(|(_, weight)| *weight)),
            Weights::new(WIDGETS.iter().map(|(_, weight)| *weight)),
        );
        // What is to come, by the second: nobody plans for longer than a few minutes.
        let mut coming: Vec<Vec<Reader>> = vec![Vec::new(); 512];
        let ring = coming.len();
        for second in 0..DAY {
            let mut now = std::mem::take(&mut coming[second % ring]);
            for _ in 0..visits[second] {
                let dice = &mut self.dice;
                let (site, gzip) = (sites.pick(dice), dice.roll(100) < GZIP_PERCENT);
                let (way, _) = WAYS[ways.pick(dice)];
                now.push(Reader {
                    at: second as u32 * 1000 + dice.roll(1000) as u32,
                    leaves: 0,
                    key: Key::of(way, widgets.pick(dice) as u32, looks[site], gzip),
                    site: site as u16,
                    point: points.pick(dice) as u8,
                    gzip,
                    polls: false,
                    known: 0,
                    fresh_until: 0,
                    script_known: dice.roll(100) < SCRIPT_KNOWN_PERCENT,
                    script_until: 0,
                });
            }
            now.sort_unstable_by_key(|reader| (reader.at, reader.key.0, reader.site, reader.point));
            for reader in now.drain(..) {
                if let Some(later) = self.step(reader)
                    && (later.at as usize) < DAY * 1000
                {
                    coming[later.at as usize / 1000 % ring].push(later);
                }
            }
        }
        self.outcome
    }

    fn points(&self) -> usize {
        self.outcome.plan.cdn.map_or(0, |cdn| cdn.points)
    }

    /// What a reader does now, and when next.
    fn step(&mut self, mut reader: Reader) -> Option<Reader> {
        let now = reader.at;
        let (way, _) = WAYS[(reader.key.0 % ADDRESSES / OF_A_WAY) as usize];
        if !reader.polls {
            self.outcome.views += 1;
            let seconds = self.dice.within(SECONDS_ON_A_PAGE)
                + if self.dice.roll(4) == 0 { self.dice.within(MORE_SECONDS) } else { 0 };
            reader.leaves = now + seconds as u32 * 1000;
            if way == Way::Element && now >= reader.script_until {
                let known = if reader.script_known { self.service.script.version } else { 0 };
                if let Some(copy) = self.ask(reader.point, Key::script(reader.gzip), known, now) {
                    reader.script_known = true;
                    reader.script_until = copy.fresh_until().max(now);
                }
            }
        }
        if way == Way::Include {
            let place = usize::from(reader.site) * WIDGETS.len() + reader.key.widget().unwrap_or_default();
            // The site's server keeps what the CDN let it keep, and asks for all of it again.
            if now >= self.sites[place]
                && let Some(copy) = self.ask(0, reader.key, 0, now)
            {
                self.sites[place] = copy.fresh_until().max(now + 1000);
            }
        } else if (reader.polls || now >= reader.fresh_until)
            && let Some(copy) = self.ask(reader.point, reader.key, reader.known, now)
        {
            reader.known = copy.said.version;
            reader.fresh_until = copy.fresh_until();
        }
        let max_age = u64::from(self.service.said(reader.key, now as usize / 1000).max_age);
        let pause = POLL_SECONDS.max(max_age) * self.dice.within(900..1100);
        let polls = way == Way::Element && now + (pause as u32) < reader.leaves;
        if polls {
            return Some(Reader { at: now + pause as u32, polls, ..reader });
        }
        // In a later second always: those of this one are in order already.
        let next = reader.leaves.max(now + 1000);
        GOES_ON.contains(&self.dice.roll(PAGES_A_VISIT)).then_some(Reader { at: next, polls, ..reader })
    }

    /// A request from outside: of a reader, or of a site's server.
    fn ask(&mut self, point: u8, key: Key, known: u16, now: u32) -> Option<Copied> {
        let copy = match self.outcome.plan.cdn {
            Some(cdn) => self.serve(cdn, usize::from(point), key, now),
            None => self.origin(key, Some(known), now),
        };
        match copy {
            Some(copy) => {
                self.outcome.edge.count(now, copy.said.version == known, key.bytes());
                // The script may be a day behind; it has no figures.
                if !self.is_away(now)
                    && !self.is_away(now.saturating_sub(GIVES_UP_MS))
                    && key.widget().is_some()
                {
                    let over = now.saturating_sub(copy.fresh_until());
                    self.outcome.oldest_ms = self.outcome.oldest_ms.max(over);
                }
            }
            None => {
                self.outcome.edge.count(now, false, NOT_MODIFIED);
                self.outcome.failed += 1;
            }
        }
        copy
    }

    /// One cache's answer: RFC 9111 and, where `stale`, RFC 5861.
    fn serve(&mut self, cdn: Cdn, cache: usize, key: Key, now: u32) -> Option<Copied> {
        let at = cache * KEYS + key.0 as usize;
        let place = &mut self.places[at];
        if now - place.used > FORGETS_MS {
            place.copy = None;
        }
        place.used = now;
        let (old, busy) = (place.copy, now < place.busy && cdn.collapses);
        let over = old.map(|old| now.saturating_sub(old.fresh_until()));
        // The answer that somebody waits for is here already; who collapses waits with them.
        let asks = over != Some(0) || now < place.busy && !cdn.collapses;
        if !asks {
            return old;
        }
        let may = |seconds: fn(Said) -> u32| {
            old.filter(|old| cdn.stale && over.is_some_and(|over| over < seconds(old.said) * 1000))
        };
        let meanwhile = may(|said| said.while_revalidate);
        let new = if busy {
            None
        } else if cdn.shield && cache < cdn.points {
            self.serve(cdn, cdn.points, key, now)
        } else {
            self.origin(key, old.map(|old| old.said.version), now)
        };
        let place = &mut self.places[at];
        if !busy {
            place.busy = now + if new.is_some() { ROUND_TRIP_MS } else { GIVES_UP_MS };
        }
        if new.is_some() {
            place.copy = new;
        }
        meanwhile.or(new).or_else(|| {
            let kept = may(|said| said.if_error);
            self.outcome.on_error += u64::from(kept.is_some() && cache < cdn.points);
            kept
        })
    }

    fn is_away(&self, now: u32) -> bool {
        self.outcome.plan.away.contains(&(now as usize / 3_600_000))
    }

    fn origin(&mut self, key: Key, known: Option<u16>, now: u32) -> Option<Copied> {
        if self.is_away(now) {
            self.outcome.in_vain += 1;
            return None;
        }
        let said = self.service.said(key, now as usize / 1000);
        self.outcome.origin.count(now, known == Some(said.version), key.bytes());
        Some(Copied { said, born: now })
    }
}
