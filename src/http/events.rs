//! `GET /v1/events`: what a reader asks to be told of, whether there is room for one more, and where it goes on. The stream
//! itself is `stream.rs`; what it is told is `live.rs`.

use std::{net::IpAddr, sync::Arc, sync::LazyLock};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, Uri, header},
    response::{IntoResponse, Response},
};
use providers::Kind;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Peer, Problem, Site, data,
    encoded::{Encoded, NotAcceptable},
    limit,
    stream::{Beginning, Waiting},
    wanted::{name_of, pairs},
};
use crate::{
    board::{ServedFeed, Snapshot},
    document,
    events::What,
    filter::{MOST_ERRORS, WrongParameter, read_list, same, texts},
    live::{self, Full, Interest, Lost, Reader},
};

const TYPE: &str = "text/event-stream";
/// Quotes or feeds by name; who wants more of them wants all.
const MOST_IDS: usize = 50;
/// Seconds after which somebody who found no room may ask again.
const AGAIN: u64 = 60;
/// Names of kinds.
const KINDS: [(&str, Kind); 3] = [("gold", Kind::Gold), ("fx", Kind::Fx), ("deposit", Kind::Deposit)];

/// What is asked for.
#[derive(Debug, Default)]
struct Asked {
    interest: Interest,
    kinds: Vec<Kind>,
    last_event_id: Option<i64>,
}

/// The parameters.
const PARAMETERS: &[&str] = &["types", "kinds", "feeds", "ids", "last_event_id"];

impl Asked {
    fn read(query: &str, feeds: &[ServedFeed]) -> Result<Self, Vec<WrongParameter>> {
        let mut asked = Self::default();
        let mut wrong = Vec::new();
        for (parameter, value) in pairs(query) {
            if wrong.len() == MOST_ERRORS {
                break;
            }
            if let Err(allowed) = asked.set(&parameter, &value, feeds) {
                wrong.push(WrongParameter { parameter, value, allowed });
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        asked.narrow(feeds);
        Ok(asked)
    }

    fn set(&mut self, parameter: &str, value: &str, feeds: &[ServedFeed]) -> Result<(), Vec<String>> {
        let known: Vec<&'static str> = feeds.iter().map(|feed| feed.state.feed.id).collect();
        match parameter {
            "types" => read_list(
                value,
                &mut self.interest.types,
                |name| What::ALL.into_iter().find(|what| what.as_str().eq_ignore_ascii_case(name)),
                || texts(&What::ALL.map(What::as_str)),
            ),
            "kinds" => read_list(
                value,
                &mut self.kinds,
                |name| {
                    KINDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
                },
                || texts(&KINDS.map(|(name, _)| name)),
            ),
            "feeds" => {
                read_list(value, &mut self.interest.feeds, |name| same(name, &known), || texts(&known))
            }
            "ids" => {
                // Of a quote that may not be there today, so its feed is all that can be known of it.
                let own = |id: &str| {
                    let rest = known.iter().find_map(|feed| id.strip_prefix(feed))?;
                    let key = rest.is_empty() || rest.strip_prefix('.').is_some_and(|key| !key.is_empty());
                    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
                    (key && rest.len() < 100 && rest.chars().all(plain)).then(|| id.to_owned())
                };
                let allowed = || {
                    let feeds = known.join(", ");
                    vec![
                        format!("ids of quotes or feeds, which begin with one of {feeds}"),
                        format!("{MOST_IDS} of them"),
                    ]
                };
                read_list(value, &mut self.interest.ids, own, allowed)?;
                if self.interest.ids.len() > MOST_IDS { Err(allowed()) } else { Ok(()) }
            }
            "last_event_id" => {
                let id = number(value).ok_or_else(|| texts(&["the id of an event: a decimal number"]))?;
                self.last_event_id = Some(id);
                Ok(())
            }
            _ => Err(texts(PARAMETERS)),
        }
    }

    /// Kinds are feeds too, so that there is one filter.
    fn narrow(&mut self, feeds: &[ServedFeed]) {
        if self.kinds.is_empty() {
            return;
        }
        let of_kind = |feed: &&'static str| {
            providers::feed(feed).is_some_and(|(_, known)| self.kinds.contains(&known.kind))
        };
        let all = feeds.iter().map(|feed| feed.state.feed.id);
        let chosen: Vec<&'static str> = if self.interest.feeds.is_empty() {
            // Also those that the operator switches on later.
            providers::feeds().map(|(_, feed)| feed.id).filter(of_kind).collect()
        } else {
            all.filter(|feed| self.interest.feeds.contains(feed)).filter(of_kind).collect()
        };
        // Feeds of other kinds: nothing is both.
        self.interest.feeds = if chosen.is_empty() { vec![""] } else { chosen };
    }

    /// What to read anew for whoever may have missed something.
    fn documents(&self) -> Vec<&'static str> {
        let all = KINDS.map(|(_, kind)| kind);
        let kinds = if self.kinds.is_empty() { &all[..] } else { &self.kinds };
        let lists = kinds.iter().map(|kind| match name_of(*kind) {
            "gold" => "/v1/gold",
            "fx" => "/v1/fx",
            _ => "/v1/deposits",
        });
        lists.chain(["/v1/feeds"]).collect()
    }
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// What a reader is told that may have missed something: nothing it knows is certain until it has read these.
#[derive(Serialize, ToSchema)]
pub(super) struct Reset {
    /// `too_old`: more has happened than is kept. `unknown_id`: the id is of no event here. `store_unavailable`: what happened
    /// cannot be read at the moment.
    #[schema(examples("too_old"))]
    reason: &'static str,
    /// Addresses of documents to read anew.
    documents: Vec<&'static str>,
}

/// What every stream begins with: how long to wait before coming back, and from where. An id without data is remembered and
/// tells of nothing.
fn first(retry: u64, cursor: i64, lost: Option<Lost>, asked: &Asked) -> String {
    let begin = format!("retry: {retry}\nid: {cursor}\n");
    match lost {
        None => format!("{begin}\n"),
        Some(reason) => {
            let reset = Reset { reason: reason.as_str(), documents: asked.documents() };
            let reset = String::from_utf8(document::encode(&reset)).unwrap_or_default();
            format!("{begin}event: reset\ndata: {reset}\n\n")
        }
    }
}

/// `GET /v1/events`
pub(super) async fn events(State(site): State<Arc<Site>>, request: Request) -> Response {
    // Nothing that is sent, but what is asked of it: its type, and that it is not coded.
    static FORM: LazyLock<Encoded> = LazyLock::new(|| data(TYPE, b""));
    let (parts, _) = request.into_parts();
    let snapshot: Arc<Snapshot> = site.snapshot.load_full();
    let asked = match Asked::read(parts.uri.query().unwrap_or_default(), &snapshot.feeds) {
        Ok(asked) => asked,
        Err(wrong) => return Problem::parameters(&parts.uri, wrong).into_response(),
    };
    if let Err(reason) = FORM.accepted(&parts.headers) {
        let detail = match reason {
            NotAcceptable::Media => format!("this is {TYPE}; Accept leaves that out"),
            NotAcceptable::Coding => "this is sent as it is; Accept-Encoding leaves that out".to_owned(),
        };
        return Problem::not_acceptable(&parts.uri, &detail).into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(TYPE)),
        // For nginx: every event at once.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    if parts.method == Method::HEAD {
        return headers.into_response();
    }
    let peer = parts.extensions.get::<Peer>().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.0);
    let client = limit::client(peer, &parts.headers, &site.trusted_proxies);
    let place = match site.live.enter(client, &asked.interest) {
        Ok(place) => place,
        Err(full) => return refused(&parts.uri, full).into_response(),
    };
    // The header is the browser's, which repeats the address as it was at first. One that is no number is of another server.
    let header = parts.headers.get("last-event-id").filter(|id| !id.is_empty());
    let header = header.map(|id| id.to_str().ok().and_then(number).unwrap_or(i64::MAX));
    let start = site.live.resume(header.or(asked.last_event_id)).await;
    let first = live::chunk(&first(place.retry, start.cursor, start.lost, &asked));
    let reader = Reader::new(place, asked.interest, start);
    let mut response = headers.into_response();
    response.extensions_mut().insert(Waiting::new(Beginning { reader, first }));
    response
}

fn refused(uri: &Uri, full: Full) -> Problem {
    match full {
        Full::Off => Problem::unknown(uri, "no events are sent here: server.event_streams is 0"),
        Full::All(most) => {
            let detail = format!("all {most} streams are taken; the documents can be read meanwhile");
            Problem::unavailable(uri, &detail, AGAIN)
        }
        Full::Client(most) => {
            let detail = format!("this client has {most} streams open, which is as many as one may have");
            Problem::unavailable(uri, &detail, AGAIN)
        }
    }
}
