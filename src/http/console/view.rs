//! What stands on the console: every word and number, made from the snapshot, the configuration and the audit log. It
//! changes nothing. Texts of sources and of whoever typed something are only ever escaped by the template.

use askama::Template;
use jiff::Timestamp;
use providers::{AsOf, Quote, Reason, VIETNAM};
use rust_decimal::Decimal;
use widgets::{Lang, format};

use super::{
    Note, Said, Typed, styles,
    texts::{self, Texts, texts},
};
use crate::{
    board::{ServedFeed, SourceState, Standing, Status},
    clock::{day, rfc3339},
    config::{Config, Origin},
    document::shapes::{FeedDetail, SourceStanding},
    http::admin::{Admin, next_runs},
    judge::hold::{Held, figures},
    store::{Act, Kept},
};

/// So many acts are shown.
const ACTS: usize = 50;

/// An instant as the page tells it: without the day where that is today's.
struct Moment {
    text: String,
    instant: String,
}

impl Moment {
    fn of(at: Timestamp, now: Timestamp, lang: Lang) -> Self {
        let (date, today, clock) = (day(at), day(now), clock(at));
        let text = if date == today {
            clock
        } else if date.year() == today.year() {
            let date = format::day_and_month(date, lang);
            if lang == Lang::Vi { format!("{date} {clock}") } else { format!("{date}, {clock}") }
        } else {
            let date = format::date(date, lang);
            if lang == Lang::Vi { format!("{date} {clock}") } else { format!("{date}, {clock}") }
        };
        Self { text, instant: rfc3339(at) }
    }

    /// With its day, whatever that is.
    fn whole(at: Timestamp, lang: Lang) -> Self {
        let (clock, date) = (clock(at), format::date(day(at), lang));
        let text = if lang == Lang::Vi { format!("{clock} {date}") } else { format!("{date}, {clock}") };
        Self { text, instant: rfc3339(at) }
    }
}

/// `10:05`, `10:05:03`
fn clock(at: Timestamp) -> String {
    let time = VIETNAM.to_datetime(at).time();
    let seconds = if time.second() == 0 { String::new() } else { format!(":{:02}", time.second()) };
    format!("{:02}:{:02}{seconds}", time.hour(), time.minute())
}

#[derive(Template)]
#[template(path = "sign-in.html", config = "src/http/askama.toml")]
struct SignIn<'a> {
    t: &'static Texts,
    lang: Lang,
    other: &'static str,
    styles: [&'static str; 3],
    wrong: Option<&'a str>,
}

/// The page that asks for the token; `wrong`: what was wrong with the last one.
pub(super) fn sign_in(lang: Lang, wrong: Option<&str>) -> Option<String> {
    let page = SignIn { t: texts(lang), lang, other: other(lang), styles: styles(), wrong };
    page.render().inspect_err(|error| tracing::error!(%error, "the console could not be drawn")).ok()
}

#[derive(Template)]
#[template(path = "console.html", config = "src/http/askama.toml")]
struct Console<'a> {
    t: &'static Texts,
    lang: Lang,
    other: &'static str,
    styles: [&'static str; 3],
    token: &'a str,
    version: &'static str,
    recorded: bool,
    /// What needs somebody, in a few words.
    attention: String,
    now: Moment,
    count: String,
    statuses: String,
    note: Option<&'a Note>,
    note_runs: Vec<Moment>,
    /// Whether what was typed has to be corrected.
    is_wrong: bool,
    reading: Reading,
    waiting: Vec<Candidate>,
    rejected: Vec<Candidate>,
    feeds: Vec<Row>,
    acts: Vec<Entry>,
    /// Whether changes for good have a place.
    keeps: bool,
}

/// How the configuration was read the last time.
struct Reading {
    at: Moment,
    file: Option<String>,
    overrides: Option<String>,
    /// What was wrong with it, unless that has just been told.
    refused: Vec<String>,
}

/// A value that waits for a decision.
struct Candidate {
    id: String,
    house: &'static str,
    name: String,
    unit: String,
    sides: Vec<Side>,
    source: &'static str,
    via: Option<&'static str>,
    since: Moment,
    polls: u32,
    only_you: bool,
    reasons: Vec<Reason>,
}

impl Candidate {
    /// Whether the evidence speaks for it: nothing known looks like it, and it was read more than once.
    const fn is_likely(&self) -> bool {
        !self.only_you && self.polls > 1
    }
}

/// A side of both values.
struct Side {
    name: &'static str,
    serving: Option<String>,
    candidate: Option<String>,
    /// Arrow and difference.
    difference: Option<(&'static str, String)>,
}

/// A feed.
struct Row {
    id: &'static str,
    status: &'static str,
    word: &'static str,
    held: usize,
    /// Where it is set that it rests.
    paused: Option<String>,
    reason: Option<Reason>,
    source: Option<(&'static str, Option<&'static str>)>,
    as_of: Option<String>,
    checked: Option<Moment>,
    fresh_until: Option<Moment>,
    missed: Option<String>,
    missed_publishes: u32,
    sources: Vec<Source>,
    schedule: String,
    origin: String,
    is_tuned: bool,
    runs: Vec<Moment>,
    /// Where it is not the first of those.
    next: Option<Moment>,
    field: Field,
}

/// The schedule's field.
struct Field {
    value: String,
    for_good: bool,
    is_open: bool,
    is_wrong: bool,
    /// When it would run.
    runs: Vec<Moment>,
}

/// A source of a feed.
struct Source {
    id: &'static str,
    via: Option<&'static str>,
    state: &'static str,
    outcome: Option<String>,
    at: Option<Moment>,
    reason: Option<Reason>,
}

/// An act of the log.
struct Entry {
    at: Moment,
    via: String,
    action: String,
    target: String,
    before: Option<String>,
    after: Option<String>,
    /// Why it was refused; `None`: it was done.
    refused: Option<String>,
}

/// The console, with what came of the last act.
pub(super) fn console(admin: &Admin, lang: Lang, token: &str, said: &Said) -> Option<String> {
    let (config, last) = (admin.control.config(), admin.control.last_reload());
    let snapshot = admin.site.snapshot.load_full();
    let now = admin.site.clock.now();
    let moment = |at: Timestamp| Moment::of(at, now, lang);
    let (rejected, waiting): (Vec<_>, Vec<_>) =
        snapshot.feeds.iter().flat_map(held).partition(|(.., held)| held.refused);
    let candidates = |of: Vec<(&ServedFeed, &SourceState, &Held)>| -> Vec<Candidate> {
        of.into_iter().map(|(feed, source, held)| candidate(feed, source, held, now, lang)).collect()
    };
    let (waiting, rejected) = (candidates(waiting), candidates(rejected));
    let refused: Vec<String> = match &last.result {
        Ok(_) => Vec::new(),
        Err(refusal) => refusal.to_string().lines().map(str::to_owned).collect(),
    };
    let statuses: Vec<String> = [Status::Fresh, Status::Stale, Status::Expired, Status::Unavailable]
        .into_iter()
        .filter_map(|status| Some((status, many(&snapshot.feeds, status)?)))
        .map(|(status, many)| texts::count(lang, many, status))
        .chain(many_paused(&snapshot.feeds).map(|many| texts::paused(lang, many)))
        .collect();
    let is_told = said.note.as_ref().is_some_and(|note| note.of_configuration);
    let typed_runs = said.typed.as_ref().map(|typed| typed.runs.as_slice()).unwrap_or_default();
    let page = Console {
        t: texts(lang),
        lang,
        other: other(lang),
        styles: styles(),
        token,
        version: env!("CARGO_PKG_VERSION"),
        recorded: snapshot.recorded,
        attention: attention(&snapshot.feeds, waiting.len(), !refused.is_empty(), lang),
        now: Moment::whole(now, lang),
        count: texts::feeds(lang, snapshot.feeds.len()),
        statuses: statuses.join(", "),
        note: said.note.as_ref(),
        is_wrong: said.typed.as_ref().is_some_and(|typed| typed.is_wrong),
        note_runs: typed_runs.iter().copied().map(moment).collect(),
        reading: Reading {
            at: moment(last.at),
            file: config.inputs.file.as_ref().map(|file| file.display().to_string()),
            overrides: config.overrides_file().map(|file| file.display().to_string()),
            refused: if is_told { Vec::new() } else { refused },
        },
        waiting,
        rejected,
        feeds: snapshot
            .feeds
            .iter()
            .map(|served| row(served, &config, snapshot.recorded, said.typed.as_ref(), now, lang))
            .collect(),
        acts: admin.control.acts().into_iter().take(ACTS).map(|act| entry(act, now, lang)).collect(),
        keeps: config.overrides_file().is_some(),
    };
    page.render().inspect_err(|error| tracing::error!(%error, "the console could not be drawn")).ok()
}

const fn other(lang: Lang) -> &'static str {
    match lang {
        Lang::Vi => "en",
        Lang::En => "vi",
    }
}

fn many(feeds: &[ServedFeed], status: Status) -> Option<usize> {
    Some(feeds.iter().filter(|feed| feed.status == status).count()).filter(|many| *many > 0)
}

fn many_paused(feeds: &[ServedFeed]) -> Option<usize> {
    Some(feeds.iter().filter(|feed| feed.state.paused).count()).filter(|many| *many > 0)
}

/// What somebody should look at, most urgent first.
fn attention(feeds: &[ServedFeed], held: usize, config_refused: bool, lang: Lang) -> String {
    let t = texts(lang);
    let troubles = [Status::Unavailable, Status::Expired, Status::Stale]
        .into_iter()
        .filter_map(|status| Some(texts::count(lang, many(feeds, status)?, status)))
        .chain(many_paused(feeds).map(|many| texts::paused(lang, many)));
    let parts: Vec<String> = config_refused
        .then(|| t.config_refused.to_owned())
        .into_iter()
        .chain((held > 0).then(|| texts::held(lang, held)))
        .chain(troubles.map(|count| texts::of_feeds(lang, &count)))
        .collect();
    if parts.is_empty() { t.all_well.to_owned() } else { parts.join(", ") }
}

/// What the sources hold that are asked.
fn held(served: &ServedFeed) -> impl Iterator<Item = (&ServedFeed, &SourceState, &Held)> {
    let asked = served.state.sources.iter().filter(|source| source.standing == Standing::On);
    asked.flat_map(move |source| source.held.values().map(move |held| (served, source, held)))
}

fn candidate(
    served: &ServedFeed,
    source: &SourceState,
    held: &Held,
    now: Timestamp,
    lang: Lang,
) -> Candidate {
    let state = &served.state;
    let key = held.quote.key();
    let serving = served.quotes.iter().find(|quote| quote.kept.quote.key() == key);
    let before = serving.map(|serving| figures(&serving.kept.quote)).unwrap_or_default();
    let after = figures(&held.quote);
    let of = |figures: &[(&'static str, Decimal)], name: &str| {
        figures.iter().find(|(side, _)| *side == name).map(|(_, figure)| *figure)
    };
    let names = ["buy", "buy_cash", "buy_transfer", "sell", "sell_cash", "rate_percent"];
    let sides = names.into_iter().filter_map(|name| {
        let (from, to) = (of(&before, name), of(&after, name));
        from.or(to)?;
        let places = [from, to].into_iter().flatten().map(|figure| figure.normalize().scale()).max();
        let print = |figure: Decimal| format::number(figure, places.unwrap_or_default(), lang);
        let difference = from.zip(to).and_then(|(from, to)| difference(held.quote.kind(), from, to, lang));
        Some(Side {
            name: texts::side(lang, name),
            serving: from.map(print),
            candidate: to.map(print),
            difference,
        })
    });
    let (name, unit) = match &held.quote {
        Quote::Gold(gold) => {
            let money = if gold.currency == "VND" { "đồng" } else { gold.currency.as_ref() };
            (gold.name.as_deref().unwrap_or(&gold.product).to_owned(), format!("{money}/lượng"))
        }
        Quote::Fx(fx) => {
            (fx.name.as_deref().unwrap_or(&fx.currency).to_owned(), format!("đồng/{}", fx.currency))
        }
        Quote::Deposit(_) if lang == Lang::Vi => (key.clone(), "%/năm".to_owned()),
        Quote::Deposit(_) => (key.clone(), "% a year".to_owned()),
    };
    Candidate {
        id: held.quote.id(state.feed.id),
        house: state.institution.name,
        name,
        unit,
        sides: sides.collect(),
        source: source.source.id,
        via: source.source.via.map(|via| via.name),
        since: Moment::of(held.since, now, lang),
        polls: held.polls,
        only_you: held.operator_only,
        reasons: held.reasons.clone(),
    }
}

/// In percent of what is served; of rates in points as well. `None` where it cannot be said.
fn difference(
    kind: providers::Kind,
    from: Decimal,
    to: Decimal,
    lang: Lang,
) -> Option<(&'static str, String)> {
    let points = to.checked_sub(from)?;
    let arrow = match (points.is_zero(), points.is_sign_negative()) {
        (true, _) => "",
        (false, true) => "▼",
        (false, false) => "▲",
    };
    let percent = points.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(from)?;
    let percent = format!("{}%", format::change(percent, 1, lang));
    if kind != providers::Kind::Deposit {
        return Some((arrow, percent));
    }
    let word = texts(lang).points;
    Some((arrow, format!("{} {word}, {percent}", format::change(points, points.normalize().scale(), lang))))
}

fn row(
    served: &ServedFeed,
    config: &Config,
    recorded: bool,
    typed: Option<&Typed>,
    now: Timestamp,
    lang: Lang,
) -> Row {
    let state = &served.state;
    let id = state.feed.id;
    let moment = |at: Timestamp| Moment::of(at, now, lang);
    let detail = FeedDetail::of(served);
    let best = served.best.map(|(source, _)| source);
    let kept = state.sources.iter().filter(|source| best.is_some_and(|best| best.id == source.source.id));
    let newest: Option<&Kept> =
        kept.flat_map(|source| source.kept.values()).max_by_key(|kept| kept.checked_at);
    let origin = |name: &str| config.origin(&format!("feeds.{id}.{name}"));
    let runs = next_runs(served, config, recorded, now);
    let schedule = state.rules.schedule.to_string();
    let typed = typed.filter(|typed| typed.feed == id);
    let told = |origin: Option<&Origin>| origin.map(|origin| texts::origin(lang, origin)).unwrap_or_default();
    let sources = state.sources.iter().zip(detail.sources).map(|(source, json)| Source {
        id: source.source.id,
        via: source.source.via.map(|via| via.name),
        state: texts::standing(lang, json.state),
        outcome: source.last.as_ref().map(|last| last.outcome.clone()),
        at: source.last.as_ref().map(|last| moment(last.at)),
        reason: json.reason.filter(|_| !matches!(json.state, SourceStanding::Used)),
    });
    Row {
        id,
        status: served.status.as_str(),
        word: texts::status(lang, served.status),
        held: held(served).filter(|(.., held)| !held.refused).count(),
        paused: state.paused.then(|| told(origin("paused"))),
        // That it rests is said already.
        reason: detail.feed.reason.filter(|_| !state.paused),
        source: best.map(|source| (source.id, source.via.map(|via| via.name))),
        as_of: newest.and_then(|kept| match kept.as_of {
            AsOf::At(at) => Some(moment(at).text),
            AsOf::On(date) => Some(format::date(date, lang)),
            AsOf::Unstated => None,
        }),
        checked: newest.map(|kept| moment(kept.checked_at)),
        fresh_until: served.best.map(|(_, freshness)| moment(freshness.fresh_until)),
        missed: (state.missed > 0).then(|| texts::runs(lang, state.missed)),
        missed_publishes: state.missed_publishes,
        sources: sources.collect(),
        origin: told(origin("schedule")),
        is_tuned: matches!(origin("schedule"), Some(Origin::Console(_))),
        next: state.next_refresh_at.filter(|next| runs.first().is_some_and(|run| run != next)).map(moment),
        runs: runs.into_iter().map(moment).collect(),
        field: Field {
            value: typed.map_or_else(|| schedule.clone(), |typed| typed.schedule.clone()),
            for_good: typed.is_some_and(|typed| typed.for_good),
            is_open: typed.is_some(),
            is_wrong: typed.is_some_and(|typed| typed.is_wrong),
            runs: typed.map(|typed| typed.runs.iter().copied().map(moment).collect()).unwrap_or_default(),
        },
        schedule,
    }
}

fn entry(act: Act, now: Timestamp, lang: Lang) -> Entry {
    Entry {
        at: Moment::of(act.at, now, lang),
        via: texts::via(lang, &act.via).to_owned(),
        action: texts::action(lang, &act.action).to_owned(),
        target: act.target,
        before: act.before,
        after: act.after,
        refused: Some(act.outcome).filter(|outcome| outcome != "done"),
    }
}
