//! The console at `/admin`: one page that a person tunes the service with, without any script. The token travels in the body of
//! each form (RFC 6750 §2.2), so nothing has to be kept in the browser but the page itself; that it is no cookie is what
//! keeps other sites out. What stands on the page is made in `console/view.rs`; everything that is done is done by `control.rs`.

#![allow(clippy::result_large_err, reason = "a problem is the answer, made once a request")]

mod texts;
mod view;

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use widgets::Lang;

use super::{
    Problem,
    admin::{Admin, PATIENCE, RUNS, lines, told},
    pages,
    wanted::pairs,
};
use crate::{
    app,
    clock::later,
    config::Origin,
    control::{Refusal, Via},
    filter::WrongParameter,
    refresh::RunEnd,
};
use texts::Told;

/// What the page's forms do.
const ACTS: [&str; 11] = [
    "show",
    "reload",
    "preview",
    "schedule",
    "reset",
    "pause",
    "pause-for-good",
    "resume",
    "refresh",
    "accept",
    "reject",
];

/// A form of the page, as it was filled in.
#[derive(Default)]
struct Form {
    token: Option<String>,
    lang: Lang,
    act: String,
    feed: String,
    quote: String,
    schedule: String,
    for_good: bool,
}

impl Form {
    fn read(body: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in url::form_urlencoded::parse(body) {
            match name.as_ref() {
                "access_token" => form.token = Some(value.into_owned()).filter(|token| !token.is_empty()),
                "lang" => form.lang = value.parse().unwrap_or_default(),
                "do" => form.act = value.into_owned(),
                "feed" => form.feed = value.into_owned(),
                "quote" => form.quote = value.into_owned(),
                "schedule" => value.trim().clone_into(&mut form.schedule),
                "persist" => form.for_good = value == "good",
                _ => {}
            }
        }
        form
    }
}

/// What the last act brought, at the top of the page.
#[derive(Default)]
struct Said {
    /// One sentence, and what belongs to it.
    note: Option<Note>,
    /// What stands in a feed's form in place of what is in force.
    typed: Option<Typed>,
}

/// What came of an act.
struct Note {
    is_refused: bool,
    sentence: String,
    /// Changes, runs, or what was wrong.
    more: Vec<String>,
    /// Whether those are the service's own sentences.
    in_english: bool,
    /// Which feed it was about.
    feed: Option<&'static str>,
    /// It is the configuration that was refused, and need not be told twice.
    of_configuration: bool,
}

impl Note {
    const fn done(sentence: String) -> Self {
        Self {
            is_refused: false,
            sentence,
            more: Vec::new(),
            in_english: false,
            feed: None,
            of_configuration: false,
        }
    }
}

/// A schedule that is not in force, because it is wrong or because nobody has said that it should be.
struct Typed {
    feed: &'static str,
    schedule: String,
    for_good: bool,
    is_wrong: bool,
    /// When it would run.
    runs: Vec<Timestamp>,
}

/// The page that asks for the token. Nothing of the service is on it.
pub(super) fn sign_in(uri: &Uri) -> Result<Response, Problem> {
    view::sign_in(language(uri)?, None).map(answer).ok_or_else(|| Problem::internal(uri))
}

/// The console itself; `token` is what its forms bring along.
pub(super) fn page(admin: &Admin, uri: &Uri, token: Option<&str>) -> Result<Response, Problem> {
    let lang = language(uri)?;
    view::console(admin, lang, token.unwrap_or_default(), &Said::default())
        .map(answer)
        .ok_or_else(|| Problem::internal(uri))
}

/// A form of the page.
pub(super) async fn post(
    admin: &Admin,
    uri: &Uri,
    body: &[u8],
    opens: impl Fn(Option<&str>) -> Result<(), Problem>,
) -> Response {
    let form = Form::read(body);
    let drawn = |page: Option<String>| page.map_or_else(|| Problem::internal(uri).into_response(), answer);
    if let Err(problem) = opens(form.token.as_deref()) {
        let mut response = problem.into_response();
        let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let t = texts::texts(form.lang);
        let sentence = match seconds {
            Some(seconds) => texts::wait(form.lang, seconds),
            None if form.token.is_none() => t.no_token.to_owned(),
            None => t.wrong_token.to_owned(),
        };
        for_people(&mut response, drawn(view::sign_in(form.lang, Some(&sentence))));
        return response;
    }
    let (said, problem) = match act(admin, &form).await {
        Ok(said) => (said, None),
        Err(refusal) => (refused(admin, &form, &refusal), Some(refusal.problem(uri))),
    };
    let page = drawn(view::console(admin, form.lang, form.token.as_deref().unwrap_or_default(), &said));
    match problem {
        None => page,
        Some(problem) => {
            let mut response = problem.into_response();
            for_people(&mut response, page);
            response
        }
    }
}

/// Why an act of the page was refused.
enum Refused {
    /// By what does it.
    By(Refusal),
    /// There is no such act.
    NoAct(String),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::By(refusal)
    }
}

impl Refused {
    fn why(&self) -> String {
        match self {
            Self::By(refusal) => refusal.to_string(),
            Self::NoAct(act) => format!("there is no act \"{act}\"; allowed are {}", ACTS.join(", ")),
        }
    }

    fn problem(&self, uri: &Uri) -> Problem {
        match self {
            Self::By(refusal) => told(refusal, uri),
            Self::NoAct(_) => Problem::refused(uri, self.why()),
        }
    }
}

/// Does what a form says.
async fn act(admin: &Admin, form: &Form) -> Result<Said, Refused> {
    let (control, via, lang) = (&admin.control, Via::Console, form.lang);
    let feed = form.feed.as_str();
    let tell = |what: Told<'_>| Note::done(texts::told(lang, &what));
    let note = match form.act.as_str() {
        // Whoever has just signed in.
        "" | "show" => return Ok(Said::default()),
        "reload" => {
            let changes = control.reload(via).await?;
            Note { more: lines(&changes), in_english: true, ..tell(Told::Read(changes.len())) }
        }
        "preview" => {
            let (feed, runs) = preview(admin, feed, &form.schedule)?;
            let schedule = form.schedule.as_str();
            let note = Note { feed: Some(feed), ..tell(Told::Previewed { feed, schedule }) };
            let typed =
                Typed { feed, schedule: schedule.to_owned(), for_good: form.for_good, is_wrong: false, runs };
            return Ok(Said { note: Some(note), typed: Some(typed) });
        }
        "schedule" => {
            control.reschedule(via, feed, &form.schedule, form.for_good).await?;
            tell(Told::Scheduled { feed, schedule: &form.schedule, for_good: form.for_good })
        }
        "reset" => {
            control.reset_schedule(via, feed).await?;
            let config = control.config();
            let schedule = config.feeds.get(feed).map(|feed| feed.schedule.to_string()).unwrap_or_default();
            tell(Told::Reset { feed, schedule: &schedule })
        }
        "pause" | "pause-for-good" => {
            let for_good = form.act == "pause-for-good";
            control.pause(via, feed, for_good).await?;
            tell(Told::Paused { feed, for_good })
        }
        "resume" => {
            control.resume(via, feed).await?;
            tell(Told::Resumed { feed })
        }
        "refresh" => match tokio::time::timeout(PATIENCE, control.refresh(via, feed)).await {
            Err(_) => tell(Told::Asking { feed }),
            Ok(end) => match end? {
                RunEnd::Good => tell(Told::Asked { feed }),
                RunEnd::Failed(codes) => Note {
                    is_refused: true,
                    more: codes.iter().map(ToString::to_string).collect(),
                    in_english: true,
                    ..tell(Told::AskedInVain { feed })
                },
            },
        },
        "accept" | "reject" => {
            let (quote, accept) = (form.quote.as_str(), form.act == "accept");
            control.decide(via, quote, accept).await?;
            tell(if accept { Told::Accepted { quote } } else { Told::Rejected { quote } })
        }
        other => return Err(Refused::NoAct(other.to_owned())),
    };
    Ok(Said { note: Some(Note { feed: known(admin, feed), ..note }), typed: None })
}

/// What the page says of a refusal; what was typed stays where it was typed.
fn refused(admin: &Admin, form: &Form, refusal: &Refused) -> Said {
    let feed = known(admin, &form.feed);
    let mut sentence = texts::texts(form.lang).refused.to_owned();
    if ACTS.contains(&form.act.as_str()) {
        sentence = format!("{sentence}: {}", texts::action(form.lang, &form.act));
    }
    if let Some(feed) = feed {
        sentence = format!("{sentence} {feed}");
    }
    let of_schedule = matches!(form.act.as_str(), "preview" | "schedule");
    let note = Note {
        is_refused: true,
        more: refusal.why().lines().map(str::to_owned).collect(),
        in_english: true,
        feed,
        of_configuration: form.act == "reload",
        ..Note::done(sentence)
    };
    let typed = feed.filter(|_| of_schedule).map(|feed| Typed {
        feed,
        schedule: form.schedule.clone(),
        for_good: form.for_good,
        is_wrong: true,
        runs: Vec::new(),
    });
    Said { note: Some(note), typed }
}

/// The feed of this name, if it is switched on.
fn known(admin: &Admin, feed: &str) -> Option<&'static str> {
    let snapshot = admin.site.snapshot.load();
    snapshot.feeds.iter().map(|served| served.state.feed.id).find(|id| *id == feed)
}

/// When a feed would run next by another schedule. It is refused for whatever would refuse the change.
fn preview(admin: &Admin, feed: &str, schedule: &str) -> Result<(&'static str, Vec<Timestamp>), Refusal> {
    let snapshot = admin.site.snapshot.load();
    let id = known(admin, feed).ok_or_else(|| Refusal::NoFeed {
        feed: feed.to_owned(),
        allowed: snapshot.feeds.iter().map(|served| served.state.feed.id).collect(),
    })?;
    let key = format!("feeds.{id}.schedule");
    let config = admin.control.config();
    let mut console = config.console.clone();
    console.for_now.insert(key.clone(), schedule.to_owned());
    let new = config.inputs.tuned(console)?;
    let origin = new.origin(&key).cloned().unwrap_or(Origin::Default);
    if !matches!(origin, Origin::Console(_)) {
        return Err(Refusal::Above { key, origin });
    }
    let settings = new.feeds.get(id);
    let offset = settings.map_or(Duration::ZERO, |settings| app::offset(id, settings, snapshot.recorded));
    let runs =
        settings.map(|settings| settings.schedule.runs(admin.site.clock.now(), RUNS)).unwrap_or_default();
    Ok((id, runs.into_iter().map(|run| later(run, offset)).collect()))
}

/// The page's language.
fn language(uri: &Uri) -> Result<Lang, Problem> {
    let Some((parameter, value)) = pairs(uri.query().unwrap_or_default()).find(|(name, _)| name == "lang")
    else {
        return Ok(Lang::default());
    };
    value.parse().map_err(|_| {
        let allowed = Lang::ALLOWED.iter().map(|lang| (*lang).to_owned()).collect();
        Problem::parameters(uri, vec![WrongParameter { parameter, value, allowed }])
    })
}

/// A page that only this service's style and forms belong to. It is as secret as the token in it.
fn answer(page: String) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        // For browsers that do not know frame-ancestors.
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, page).into_response()
}

/// A problem as a person reads it: status and headers stay, the page stands in the place of the document.
fn for_people(response: &mut Response, page: Response) {
    if page.status() != StatusCode::OK {
        *response = page;
        return;
    }
    response.extensions_mut().remove::<Problem>();
    let (parts, body): (_, Body) = page.into_parts();
    for (name, value) in &parts.headers {
        response.headers_mut().insert(name, value.clone());
    }
    *response.body_mut() = body;
}

/// Addresses of the styles and the icon, relative to `/admin`.
fn styles() -> [&'static str; 3] {
    [pages::style(), pages::console_style(), pages::icon()]
}
