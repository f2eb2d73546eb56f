//! What a request wants: a published document as it is, or something derived from the snapshot. Read here once, for
//! the quick way that only clones bytes and for the handlers that may have to compute them.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::Full;
use jiff::{SignedDuration, Timestamp};
use providers::Kind;
use serde::Serialize;
use utoipa::ToSchema;
use widgets::{Lang, model};

use super::{
    Peer, Problem, Site,
    cache::CachePolicy,
    chart::NoCourse,
    data,
    derived::{Charge, Key, Missed, Render},
    encoded::{Encoded, NotAcceptable},
    gallery::{self, Choice},
    limit,
    moment::{self, Moment, Unread},
    widget::{self, Form},
};
use crate::{
    backfill,
    board::{Scope, ServedFeed, Snapshot, Status},
    clock::{later, rfc3339},
    convert::{Conversion, Refusal},
    document::{self, Document, Edition, atom, shapes::QuoteJson},
    filter::{Filter, MOST_ERRORS, WrongParameter, parameters},
    live::Frame,
    widget::{
        Options,
        chart::{self, Asked, Course},
    },
};

/// Read, and found among what is published or can be derived.
#[allow(clippy::large_enum_variant, reason = "lives for one request; moving it is cheaper than allocating")]
pub(super) enum Wanted {
    Fixed(Arc<Document>),
    Derived {
        key: Key,
        policy: CachePolicy,
        recipe: Recipe,
    },
    /// Of a moment; the key is that of what cannot change any more.
    Past {
        at: Timestamp,
        key: Key,
        recipe: Recipe,
    },
}

/// How to derive it.
#[derive(Clone)]
pub(super) enum Recipe {
    List(Kind, Filter),
    /// Of a moment, whole or narrowed.
    Document(Scope, Filter),
    Csv(Kind, Filter),
    Atom(Kind, Filter, Lang),
    Widget(Form, Box<Options>),
    Gallery(Box<Choice>),
    Convert(Conversion),
}

impl Recipe {
    /// Counted against the client even when the bytes are at hand.
    const fn is_costly(&self) -> bool {
        match self {
            Self::Convert(_) => true,
            Self::Widget(form, _) => form.is_picture(),
            Self::List(..) | Self::Document(..) | Self::Csv(..) | Self::Atom(..) | Self::Gallery(_) => false,
        }
    }

    /// The chart whose course has to be read from the store.
    fn chart(&self) -> Option<&Asked> {
        let options = match self {
            Self::Widget(_, options) => options,
            Self::Gallery(choice) => choice.options(),
            Self::List(..) | Self::Document(..) | Self::Csv(..) | Self::Atom(..) | Self::Convert(_) => {
                return None;
            }
        };
        (options.kind == model::Kind::Chart).then_some(&options.chart)
    }

    /// Never counted: what a page shows without options is a fixed document, made when it is first asked for.
    fn is_fixed(&self) -> bool {
        match self {
            Self::Widget(form, options) => !form.is_picture() && options.is_default(),
            Self::Gallery(choice) => choice.is_default(),
            Self::Atom(_, filter, lang) => filter.is_all() && *lang == Lang::default(),
            Self::List(..) | Self::Document(..) | Self::Csv(..) | Self::Convert(_) => false,
        }
    }

    /// Whether nothing can add to it any more: of every feed behind it there are figures, and no day that may still be
    /// read after the fact.
    fn is_settled(&self, moment: &Moment) -> bool {
        // What was computed had what it needs.
        let is_known =
            |feed: &ServedFeed| matches!(self, Self::Convert(_)) || feed.status != Status::Unavailable;
        let mut behind = moment.snapshot.feeds.iter().filter(|feed| self.is_behind(feed));
        moment.settled && behind.all(|feed| is_known(feed) && !moment.fillable.contains(feed.state.feed.id))
    }

    /// Whether it may show figures of a feed.
    fn is_behind(&self, feed: &ServedFeed) -> bool {
        let (kind, provider) = (feed.state.feed.kind, feed.state.institution.id);
        match self {
            Self::List(own, filter) | Self::Csv(own, filter) | Self::Atom(own, filter, _) => {
                *own == kind && filter.keeps_provider(provider)
            }
            Self::Document(scope, filter) => scope.holds(kind) && filter.keeps_provider(provider),
            Self::Widget(_, options) => {
                crate::widget::kinds(options.kind).contains(&kind) && options.filter.keeps_provider(provider)
            }
            Self::Gallery(_) => true,
            Self::Convert(conversion) => {
                conversion.kind() == Some(kind)
                    && conversion.provider.as_deref().is_none_or(|own| own == provider)
            }
        }
    }

    /// Whether the bytes say nothing of the version of the document behind them.
    const fn has_no_version(&self) -> bool {
        matches!(self, Self::Convert(_) | Self::Csv(..) | Self::Atom(..) | Self::Widget(..))
    }
}

/// Paths with bytes behind them; the rest are pages and errors.
const GALLERY: &str = "/";
pub(super) const CONVERT: &str = "/v1/convert";

/// What is wanted of `path`; `None` when nothing of the board is there.
fn wanted(
    site: &Site,
    snapshot: &Snapshot,
    path: &str,
    query: Option<&str>,
) -> Option<Result<Wanted, Vec<WrongParameter>>> {
    let pairs = || pairs(query.unwrap_or_default());
    // What happened lately has no moment: it is told before one is looked for.
    if let Some(name) = path.strip_prefix("/v1/").and_then(|name| name.strip_suffix(".atom"))
        && let Some(kind) = kind_of(name).filter(|_| !name.contains('.'))
    {
        return Some(atom(snapshot, site.live.newest_change(kind), kind, pairs()));
    }
    if let Some(query) = query.filter(|_| path != GALLERY) {
        match moment::split(query, site.clock.now()) {
            Ok(None) => {}
            Ok(Some((at, rest))) => return wanted_at(site, snapshot, path, rest, at),
            Err(wrong) => return Some(Err(vec![wrong])),
        }
    }
    if let Some(name) = path.strip_prefix("/v1/")
        && let Some((name, document)) = snapshot.documents.get_key_value(name)
    {
        let fixed = || Wanted::Fixed(Arc::clone(document));
        if query.is_none_or(str::is_empty) {
            return Some(Ok(fixed()));
        }
        let (path, recipe): (_, fn(Kind, Filter) -> Recipe) = match name.strip_suffix(".csv") {
            Some(_) => (*name, Recipe::Csv),
            None => (*name, Recipe::List),
        };
        let Some(kind) = kind_of(name) else {
            // Only the moment could be asked for, and is read above.
            let moment = |mut wrong: Vec<WrongParameter>| {
                for wrong in &mut wrong {
                    wrong.allowed.push(moment::AT.to_owned());
                }
                wrong
            };
            return Some(no_parameters(query).map(|()| fixed()).map_err(moment));
        };
        return Some(Filter::read(kind, pairs(), &snapshot.feeds).map(|filter| {
            if filter.is_all() {
                return fixed();
            }
            let Edition { version, policy, .. } =
                edition(snapshot, kind, filter.providers()).unwrap_or_else(|| document.edition());
            let key = Key { path, version, query: filter.key() };
            Wanted::Derived { key, policy, recipe: recipe(kind, filter) }
        }));
    }
    if let Some((form, kind)) = widget::at(path) {
        return Some(widget::read(site, snapshot, form, kind, query.unwrap_or_default()).map(
            |(form, options)| {
                let behind = behind(snapshot, kind, &options.chart);
                Wanted::Derived {
                    key: Key {
                        path: form.as_str(),
                        version: behind.map_or(0, |edition| edition.version),
                        query: options.path(),
                    },
                    policy: behind.map_or(CachePolicy::Program, |edition| edition.policy),
                    recipe: Recipe::Widget(form, Box::new(options)),
                }
            },
        ));
    }
    match path {
        GALLERY => {
            let board = snapshot.documents.get("board")?.edition();
            Some(gallery::read(site, snapshot, query.unwrap_or_default()).map(|choice| Wanted::Derived {
                key: Key { path: GALLERY, version: board.version, query: choice.key() },
                policy: CachePolicy::Program,
                recipe: Recipe::Gallery(Box::new(choice)),
            }))
        }
        CONVERT => Some(Conversion::read(pairs(), &snapshot.feeds).map(|conversion| {
            let providers = conversion.provider.as_deref();
            let behind = conversion.kind().and_then(|kind| edition(snapshot, kind, providers.as_slice()));
            Wanted::Derived {
                key: Key {
                    path: CONVERT,
                    version: behind.map_or(0, |edition| edition.version),
                    query: conversion.key(),
                },
                policy: behind.map_or(CachePolicy::Program, |edition| edition.policy),
                recipe: Recipe::Convert(conversion),
            }
        })),
        _ => None,
    }
}

/// No publish has this number: nothing can change what is of a moment that is over.
const SETTLED: i64 = i64::MIN;
/// What may still change is asked for again after a while.
const UNSETTLED: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// The same of a moment; `rest` is what else is asked for.
fn wanted_at(
    site: &Site,
    snapshot: &Snapshot,
    path: &str,
    rest: Vec<(String, String)>,
    at: Timestamp,
) -> Option<Result<Wanted, Vec<WrongParameter>>> {
    let past = |path: &'static str, query: String, recipe: Recipe| {
        let key = Key { path, version: SETTLED, query: format!("{};{query}", at.as_second()) };
        Wanted::Past { at, key, recipe }
    };
    if let Some(name) = path.strip_prefix("/v1/")
        && let Some((name, _)) = snapshot.documents.get_key_value(name)
    {
        let Some(kind) = kind_of(name) else {
            let scope = if *name == "feeds" { Scope::Feeds } else { Scope::Board };
            let wrong = rest.into_iter().take(MOST_ERRORS).map(|(parameter, value)| {
                let allowed = vec![moment::AT.to_owned()];
                WrongParameter { parameter, value, allowed }
            });
            let wrong: Vec<WrongParameter> = wrong.collect();
            let document = || past(name, String::new(), Recipe::Document(scope, Filter::default()));
            return Some(if wrong.is_empty() { Ok(document()) } else { Err(wrong) });
        };
        return Some(Filter::read(kind, rest.into_iter(), &snapshot.feeds).map(|filter| {
            let query = filter.key();
            match name.strip_suffix(".csv") {
                Some(_) => past(name, query, Recipe::Csv(kind, filter)),
                None => past(name, query, Recipe::Document(Scope::Kind(kind), filter)),
            }
        }));
    }
    if let Some((form, kind)) = widget::at(path) {
        if kind == model::Kind::Chart {
            return Some(chart_at(site, snapshot, form, rest, at));
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
        return Some(widget::read(site, snapshot, form, kind, &query).map(|(form, options)| {
            let options = options.at(at);
            past(form.as_str(), options.path(), Recipe::Widget(form, Box::new(options)))
        }));
    }
    (path == CONVERT).then(|| {
        Conversion::read(rest.into_iter(), &snapshot.feeds)
            .map(|conversion| past(CONVERT, conversion.key(), Recipe::Convert(conversion)))
    })
}

/// A chart as it would have been drawn at a moment: its range ends there. It holds for as long as any range that is over, and
/// not for good: days of it may be read after the fact.
fn chart_at(
    site: &Site,
    snapshot: &Snapshot,
    form: Form,
    rest: Vec<(String, String)>,
    at: Timestamp,
) -> Result<Wanted, Vec<WrongParameter>> {
    let (ranges, mut rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(name, _)| name == "range");
    let mut range = model::Range::default();
    for (parameter, value) in ranges {
        range = value.parse().map_err(|_| {
            let allowed = model::Range::ALLOWED.iter().map(|known| (*known).to_owned()).collect();
            vec![WrongParameter { parameter, value, allowed }]
        })?;
    }
    if !rest.iter().any(|(name, _)| name == "to") {
        rest.push(("to".to_owned(), rfc3339(at)));
    }
    if !rest.iter().any(|(name, _)| name == "from") {
        let begin =
            at.saturating_sub(SignedDuration::from_hours(24 * range.days())).unwrap_or(Timestamp::MIN);
        rest.push(("from".to_owned(), rfc3339(begin)));
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
    let (form, mut options) = widget::read(site, snapshot, form, model::Kind::Chart, &query)?;
    options.chart.of_a_moment = true;
    let behind = behind(snapshot, model::Kind::Chart, &options.chart);
    // A day of it may still be read after the fact: then it lasts as long as any range that has ended.
    let is_fixed = chart::find(snapshot, &options.chart)
        .is_some_and(|found| backfill::offering(found.feed.state.feed).is_none());
    let policy = behind.map_or(CachePolicy::Program, |edition| edition.policy);
    Ok(Wanted::Derived {
        key: Key {
            path: form.as_str(),
            version: behind.map_or(0, |edition| edition.version),
            query: options.path(),
        },
        policy: if is_fixed && matches!(policy, CachePolicy::Past { .. }) {
            CachePolicy::Immutable
        } else {
            policy
        },
        recipe: Recipe::Widget(form, Box::new(options)),
    })
}

/// A kind's changes, up to the newest that was told. Their words give gold per lượng, so there is no unit to choose.
fn atom(
    snapshot: &Snapshot,
    told: i64,
    kind: Kind,
    pairs: impl Iterator<Item = (String, String)>,
) -> Result<Wanted, Vec<WrongParameter>> {
    let (mut lang, mut wrong, mut rest) = (Lang::default(), Vec::new(), Vec::new());
    for (parameter, value) in pairs {
        let allowed: Vec<&str> = match parameter.as_str() {
            "lang" => match value.parse() {
                Ok(said) => {
                    lang = said;
                    continue;
                }
                Err(_) => Lang::ALLOWED.to_vec(),
            },
            name if name == "unit" || !parameters(kind).contains(&name) => {
                parameters(kind).iter().copied().filter(|name| *name != "unit").chain(["lang"]).collect()
            }
            _ => {
                rest.push((parameter, value));
                continue;
            }
        };
        let allowed = allowed.into_iter().map(str::to_owned).collect();
        wrong.push(WrongParameter { parameter, value, allowed });
    }
    let filter = match Filter::read(kind, rest.into_iter(), &snapshot.feeds) {
        Ok(filter) if wrong.is_empty() => filter,
        Ok(_) => return Err(wrong),
        Err(more) => return Err(wrong.into_iter().chain(more).collect()),
    };
    let edition = edition(snapshot, kind, filter.providers());
    let path = match kind {
        Kind::Gold => "gold.atom",
        Kind::Fx => "fx.atom",
        Kind::Deposit => "deposits.atom",
    };
    Ok(Wanted::Derived {
        key: Key {
            path,
            version: edition.map_or(0, |edition| edition.version),
            // What is told comes a moment after what is published, and to a replica whose store was away much later.
            query: format!("{told};{}{}", lang.as_str(), filter.key()),
        },
        policy: edition.map_or(CachePolicy::Program, |edition| edition.policy),
        recipe: Recipe::Atom(kind, filter, lang),
    })
}

/// When what a widget shows last changed.
fn behind(snapshot: &Snapshot, widget: model::Kind, chart: &Asked) -> Option<Edition> {
    if widget == model::Kind::Chart
        && let Some(found) = chart::find(snapshot, chart)
        && let Some(edition) = snapshot.editions.get(found.feed.state.feed.id)
    {
        let closed = chart.is_closed(chart::end(snapshot, chart));
        return Some(Edition {
            policy: if closed { CachePolicy::Past { immutable: false } } else { edition.policy },
            ..*edition
        });
    }
    let name = match *crate::widget::kinds(widget) {
        [kind] => name_of(kind),
        _ => "board",
    };
    snapshot.documents.get(name).map(|document| document.edition())
}

/// When the feeds of a kind last changed: those of these providers, or, where none is named, the whole document, which
/// changes with the list of its feeds too.
pub(super) fn edition(snapshot: &Snapshot, kind: Kind, providers: &[&str]) -> Option<Edition> {
    if providers.is_empty() {
        return snapshot.documents.get(name_of(kind)).map(|document| document.edition());
    }
    let own =
        |feed: &&ServedFeed| feed.state.feed.kind == kind && providers.contains(&feed.state.institution.id);
    let editions =
        snapshot.feeds.iter().filter(own).filter_map(|feed| snapshot.editions.get(feed.state.feed.id));
    editions.copied().reduce(Edition::and)
}

fn kind_of(name: &str) -> Option<Kind> {
    let name = name.strip_suffix(".csv").unwrap_or(name);
    [Kind::Gold, Kind::Fx, Kind::Deposit].into_iter().find(|kind| name_of(*kind) == name)
}

/// A kind's document.
pub(super) const fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Gold => "gold",
        Kind::Fx => "fx",
        Kind::Deposit => "deposits",
    }
}

/// A query, decoded.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned()))
}

/// On `/v1` an unknown parameter is an error, since whoever wrote it expects an effect.
pub(super) fn no_parameters(query: Option<&str>) -> Result<(), Vec<WrongParameter>> {
    let wrong: Vec<WrongParameter> = pairs(query.unwrap_or_default())
        .map(|(parameter, value)| WrongParameter { parameter, value, allowed: Vec::new() })
        .take(MOST_ERRORS)
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

impl Site {
    /// The quick way: an answer of bytes that are at hand, without a router or a task. `None` sends the request the
    /// long way, which can also say what is wrong with it.
    pub(super) fn quick(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<axum::http::Response<Full<Bytes>>> {
        let snapshot = self.snapshot.load();
        let now = self.clock.now();
        match wanted(self, &snapshot, uri.path(), uri.query())?.ok()? {
            Wanted::Fixed(document) => {
                document.encoded.answer(method, headers, document.policy.header(now)).ok()
            }
            Wanted::Derived { recipe, .. } | Wanted::Past { recipe, .. } if recipe.is_costly() => None,
            Wanted::Past { key, .. } => {
                let known = self.derived.known(&key).now_or_never()??;
                known.answer(method, headers, CachePolicy::Immutable.header(now)).ok()
            }
            Wanted::Derived { key, policy, .. } => {
                let known = self.derived.known(&key).now_or_never()??;
                known.answer(method, headers, policy.header(now)).ok()
            }
        }
    }

    /// The long way: finds or computes what is wanted, counting what it costs.
    pub(super) async fn answer(self: &Arc<Self>, request: Request) -> Response {
        let (parts, _) = request.into_parts();
        let snapshot = self.snapshot.load_full();
        let (mut key, mut policy, recipe) = match wanted(self, &snapshot, parts.uri.path(), parts.uri.query())
        {
            None => return Problem::not_found(&parts.uri).into_response(),
            Some(Err(wrong)) => return Problem::parameters(&parts.uri, wrong).into_response(),
            Some(Ok(Wanted::Fixed(document))) => {
                return self.respond(&parts, &document.encoded, document.policy);
            }
            Some(Ok(Wanted::Past { at, key, recipe })) => {
                return self.answer_past(&parts, snapshot, at, key, recipe).await;
            }
            Some(Ok(Wanted::Derived { key, policy, recipe })) => (key, policy, recipe),
        };
        if let Recipe::Convert(conversion) = &recipe
            && let Err(refusal) = conversion.convert(&snapshot.feeds)
        {
            return match refusal {
                Refusal::Wrong(wrong) => Problem::parameters(&parts.uri, vec![wrong]).into_response(),
                Refusal::NotYet => {
                    let detail = "the prices that this needs have not been read yet";
                    Problem::unavailable(&parts.uri, detail, 5).into_response()
                }
            };
        }
        let client = self.client(&parts);
        let charge: Charge = {
            let site = Arc::clone(self);
            Arc::new(move || site.limiter.take(client))
        };
        if let Some(encoded) = self.derived.known(&key).await {
            let response = self.respond(&parts, &encoded, policy);
            if !recipe.is_costly() || response.status() == StatusCode::NOT_MODIFIED {
                return response;
            }
        }
        let (course, left) = match recipe.chart() {
            None => (None, None),
            Some(asked) => match self.course(&parts, &snapshot, (asked, &recipe), key.version, &charge).await
            {
                Ok(found) => found,
                Err(refusal) => return refusal,
            },
        };
        if let Some(known) = course.as_ref().filter(|course| course.unread) {
            // Not under the name of what is drawn once the store answers.
            let what = if known.stretches.is_empty() { "frame" } else { "last" };
            key.query = format!("{what};{}", key.query);
            policy = policy.for_now();
        }
        let render: Render = {
            let (site, snapshot, recipe) = (Arc::clone(self), Arc::clone(&snapshot), recipe.clone());
            Arc::new(move || site.render(&snapshot, &recipe, course.as_deref()))
        };
        let free: Charge = Arc::new(|| Ok(None));
        let pay = || charge().map_err(Missed::Exhausted);
        let found = if recipe.chart().is_some() {
            // Nothing is left to anybody where nothing is counted: then it costs nothing to pay again.
            let due = if left.is_some() || recipe.is_fixed() { free } else { charge };
            self.derived.get(key, due, render).await.map(|(encoded, now)| (encoded, left.or(now)))
        } else if recipe.has_no_version() && parts.headers.contains_key(header::IF_NONE_MATCH) {
            // The bytes may be the same although the document behind them changed, and a 304 is never counted.
            match self.derived.get(key, free, render).await {
                Ok((encoded, _)) => {
                    let response = self.respond(&parts, &encoded, policy);
                    if response.status() == StatusCode::NOT_MODIFIED {
                        return response;
                    }
                    pay().map(|left| (encoded, left))
                }
                Err(missed) => Err(missed),
            }
        } else if recipe.is_costly() {
            match pay() {
                Ok(left) => self.derived.get(key, free, render).await.map(|(encoded, _)| (encoded, left)),
                Err(missed) => Err(missed),
            }
        } else {
            self.derived.get(key, if recipe.is_fixed() { free } else { charge }, render).await
        };
        match found {
            Ok((encoded, left)) => {
                let mut response = self.respond(&parts, &encoded, policy);
                if response.status() != StatusCode::NOT_MODIFIED {
                    response.headers_mut().extend(left.into_iter().flat_map(limit::Left::headers));
                }
                response
            }
            Err(missed) => self.refused(&parts, missed),
        }
    }

    /// What a chart draws, and what is left to whoever paid for it; the error is the answer.
    #[allow(clippy::result_large_err, reason = "an answer is what the caller gives back")]
    async fn course(
        &self,
        parts: &Parts,
        snapshot: &Arc<Snapshot>,
        (asked, recipe): (&Asked, &Recipe),
        version: i64,
        charge: &Charge,
    ) -> Result<(Option<Arc<Course>>, Option<limit::Left>), Response> {
        // Rows are read for those who pay for them, whatever comes of it. Where there are none, nobody is kept away who would
        // have had the bytes for nothing.
        let mut left = None;
        if !recipe.is_fixed() && (recipe.is_costly() || !self.courses.is_away()) {
            left = charge().map_err(|exhausted| self.refused(parts, Missed::Exhausted(exhausted)))?;
        }
        match self.courses.of(snapshot, asked, version).await {
            Ok(course) => Ok((course, left)),
            Err(NoCourse::Unknown(wrong)) => {
                Err(Problem::parameters(&parts.uri, vec![wrong]).into_response())
            }
            Err(NoCourse::Away) => {
                let detail = "the history could not be read in time";
                Err(Problem::unavailable(&parts.uri, detail, 2).into_response())
            }
        }
    }

    fn refused(&self, parts: &Parts, missed: Missed) -> Response {
        match missed {
            Missed::Exhausted(exhausted) => {
                self.metrics.rate_limited();
                Problem::too_many(&parts.uri, exhausted.retry_after)
                    .with_headers(exhausted.left.headers())
                    .into_response()
            }
            Missed::Busy => {
                Problem::unavailable(&parts.uri, "too much is being computed at once", 1).into_response()
            }
            Missed::Failed => Problem::internal(&parts.uri).into_response(),
        }
    }

    /// What is of a moment: at hand, or rendered from the board of that moment, which may have to be read.
    async fn answer_past(
        self: &Arc<Self>,
        parts: &Parts,
        present: Arc<Snapshot>,
        at: Timestamp,
        key: Key,
        recipe: Recipe,
    ) -> Response {
        let client = self.client(parts);
        let pay = || self.limiter.take(client).map_err(Missed::Exhausted);
        let known = self.derived.known(&key).await;
        if let Some(encoded) = &known {
            let response = self.respond(parts, encoded, CachePolicy::Immutable);
            if !recipe.is_costly() || response.status() == StatusCode::NOT_MODIFIED {
                return response;
            }
        }
        // Whoever may have it already pays when that turns out not to be so, and has a turn of its own at the store; as
        // often as others may have work done. A 304 of what is at hand is never counted.
        let revalidates = parts.headers.contains_key(header::IF_NONE_MATCH)
            && (known.is_some() || self.looks.take(client).is_ok());
        let mut paid = None;
        if !revalidates {
            match pay() {
                Ok(left) => paid = Some(left),
                Err(missed) => return self.refused(parts, missed),
            }
        }
        let (encoded, policy) = match known {
            Some(encoded) => (encoded, CachePolicy::Immutable),
            None => match self.render_past(parts, present, at, key, recipe, revalidates).await {
                Ok(rendered) => rendered,
                Err(refusal) => return refusal,
            },
        };
        let mut response = self.respond(parts, &encoded, policy);
        if response.status() == StatusCode::NOT_MODIFIED {
            return response;
        }
        let left = match paid.map_or_else(pay, Ok) {
            Ok(left) => left,
            Err(missed) => return self.refused(parts, missed),
        };
        response.headers_mut().extend(left.into_iter().flat_map(limit::Left::headers));
        response
    }

    /// The bytes and for how long they hold; the error is the answer.
    #[allow(clippy::result_large_err, reason = "an answer is what the caller gives back")]
    async fn render_past(
        self: &Arc<Self>,
        parts: &Parts,
        present: Arc<Snapshot>,
        at: Timestamp,
        key: Key,
        recipe: Recipe,
        revalidates: bool,
    ) -> Result<(Arc<Encoded>, CachePolicy), Response> {
        let unavailable = |detail: &str, wait| Problem::unavailable(&parts.uri, detail, wait).into_response();
        let moment = match self.moments.at(at, present, &self.clock, revalidates).await {
            Ok(moment) => moment,
            Err(Unread::Busy) => return Err(unavailable("too many moments are being read at once", 1)),
            Err(Unread::Slow) => return Err(unavailable("the history takes too long to be read", 2)),
            Err(Unread::Failed) => return Err(unavailable("the history cannot be read at the moment", 5)),
            Err(Unread::Dropped(since)) => {
                let wrong = WrongParameter {
                    parameter: moment::AT.to_owned(),
                    value: rfc3339(at),
                    allowed: vec![format!("{} or later: what is older was dropped", rfc3339(since))],
                };
                return Err(Problem::parameters(&parts.uri, vec![wrong]).into_response());
            }
        };
        if let Recipe::Convert(conversion) = &recipe
            && let Err(refusal) = conversion.convert(&moment.snapshot.feeds)
        {
            let wrong = match refusal {
                Refusal::Wrong(wrong) => wrong,
                Refusal::NotYet => WrongParameter {
                    parameter: moment::AT.to_owned(),
                    value: rfc3339(at),
                    allowed: vec!["a moment at which the prices that this needs were known".to_owned()],
                },
            };
            return Err(Problem::parameters(&parts.uri, vec![wrong]).into_response());
        }
        let (key, policy) = if recipe.is_settled(&moment) {
            (key, CachePolicy::Immutable)
        } else {
            let policy = CachePolicy::Latest {
                next_refresh_at: Some(later(moment.read_at, UNSETTLED)),
                expires_at: Some(later(moment.read_at, DAY)),
            };
            (Key { version: moment.reading, ..key }, policy)
        };
        let render: Render = {
            let site = Arc::clone(self);
            Arc::new(move || site.render(&moment.snapshot, &recipe, None))
        };
        match self.derived.get(key, Arc::new(|| Ok(None)), render).await {
            Ok((encoded, _)) => Ok((encoded, policy)),
            Err(missed) => Err(self.refused(parts, missed)),
        }
    }

    /// Whose bucket a request counts against.
    pub(super) fn client(&self, request: &Parts) -> IpAddr {
        let peer = request.extensions.get::<Peer>().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.0);
        limit::client(peer, &request.headers, &self.trusted_proxies)
    }

    /// 200, 304 or 406.
    pub(super) fn respond(&self, request: &Parts, encoded: &Encoded, policy: CachePolicy) -> Response {
        let cache_control = policy.header(self.clock.now());
        let detail = match encoded.answer(&request.method, &request.headers, cache_control) {
            Ok(response) => {
                let mut response = response.map(Body::new);
                response.extensions_mut().insert(policy);
                return response;
            }
            Err(NotAcceptable::Media) => {
                format!("this is {}; Accept leaves that out", encoded.content_type())
            }
            Err(NotAcceptable::Coding) => {
                "this is sent as br, gzip or as it is; Accept-Encoding leaves all of them out".to_owned()
            }
        };
        Problem::not_acceptable(&request.uri, &detail).into_response()
    }

    fn atom(&self, snapshot: &Snapshot, kind: Kind, filter: &Filter, lang: Lang) -> Option<Encoded> {
        let told = self.live.recent(kind);
        let quote = |frame: &Arc<Frame>| {
            let mut event: serde_json::Value = serde_json::from_str(frame.data()).ok()?;
            event.get_mut("quote").map(serde_json::Value::take)
        };
        let told: Vec<serde_json::Value> = told.iter().filter_map(quote).collect();
        let edition = edition(snapshot, kind, filter.providers())?;
        let sheet = atom::Sheet {
            kind,
            feeds: &snapshot.feeds,
            told: &told,
            filter,
            lang,
            recorded: snapshot.recorded,
            generated_at: edition.generated_at,
            public: &self.public_url,
        };
        let written = sheet.write().inspect_err(|error| tracing::error!(%error, "a feed cannot be written"));
        Some(data("application/atom+xml; charset=utf-8", written.ok()?))
    }

    fn render(&self, snapshot: &Snapshot, recipe: &Recipe, course: Option<&Course>) -> Option<Encoded> {
        match recipe {
            Recipe::List(kind, filter) => {
                let edition = edition(snapshot, *kind, filter.providers())?;
                Some(document::part(*kind, &snapshot.feeds, snapshot.recorded, filter, edition))
            }
            Recipe::Document(scope, filter) => {
                Some(document::past(*scope, &snapshot.feeds, snapshot.recorded, filter, snapshot.at))
            }
            Recipe::Csv(kind, filter) => Some(document::csv_twin(*kind, &snapshot.feeds, filter)),
            Recipe::Atom(kind, filter, lang) => self.atom(snapshot, *kind, filter, *lang),
            Recipe::Widget(form, options) => self.widget(snapshot, *form, options, course),
            Recipe::Gallery(choice) => self.gallery(snapshot, choice, course),
            Recipe::Convert(conversion) => converted(conversion, snapshot),
        }
    }
}

/// A converted amount and the quotes that were used.
#[derive(Serialize, ToSchema)]
pub(super) struct Converted {
    /// Currency (ISO 4217) or weight of gold.
    #[schema(examples("USD"))]
    from: &'static str,
    /// Currency (ISO 4217) or weight of gold.
    #[schema(examples("VND"))]
    to: &'static str,
    /// As a decimal number.
    #[schema(value_type = document::shapes::DecimalText)]
    amount: String,
    #[schema(value_type = document::shapes::DecimalText)]
    result: String,
    /// Which price was used; null where none is needed.
    #[schema(required)]
    side: Option<&'static str>,
    /// Whether the figures are recorded ones, and not today's.
    recorded: bool,
    /// How the result was rounded, once.
    #[schema(examples("half away from zero, to 0 decimals"))]
    rounding: String,
    /// The quotes that were used, gold per lượng, with their times and status.
    quotes: Vec<QuoteJson>,
}

fn converted(conversion: &Conversion, snapshot: &Snapshot) -> Option<Encoded> {
    let converted = conversion.convert(&snapshot.feeds).ok()?;
    let body = document::encode(&Converted {
        from: conversion.from.as_str(),
        to: conversion.to.as_str(),
        amount: conversion.amount.to_string(),
        result: converted.result,
        side: conversion.side.map(crate::convert::Side::as_str),
        recorded: snapshot.recorded,
        rounding: format!("half away from zero, to {} decimals", conversion.to.decimals()),
        quotes: converted
            .quotes
            .into_iter()
            .map(|(feed, served)| {
                let unit = providers::WeightUnit::Luong;
                QuoteJson::of(feed.state.feed, feed.state.institution.id, served, unit)
            })
            .collect(),
    });
    Some(data("application/json", body))
}
