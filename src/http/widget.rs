//! The ways in: a widget as a page for a frame, a fragment for an include, a tree for the custom element, a picture; the
//! element's script and the fragments' style; oEmbed. One rendering stands behind all of them.

use std::sync::{Arc, LazyLock};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use sha2::{Digest as _, Sha384};
use url::Url;
use widgets::{Scale, Width, model::Kind};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Problem, Site,
    cache::CachePolicy,
    encoded::Encoded,
    framed_by, moment, never_framed,
    pages::{escape, page},
    wanted::pairs,
};
use crate::{
    board::Snapshot,
    filter::WrongParameter,
    widget::{self, Options, chart::Course},
};

/// For how many seconds others may keep what oEmbed says: sizes change with the program.
const CACHE_AGE: u32 = 3600;
/// Room for lines that break where a frame is narrower than a widget is laid out for.
const NARROW: u32 = 60;

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Page,
    Fragment,
    Tree,
    Svg,
    Png(Scale),
}

impl Form {
    /// Names it among what is derived.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Fragment => "fragment",
            Self::Tree => "tree",
            Self::Svg => "svg",
            Self::Png(Scale::One) => "png",
            Self::Png(Scale::Two) => "png2",
        }
    }

    /// Pictures are counted whenever they are sent.
    pub(super) const fn is_picture(self) -> bool {
        matches!(self, Self::Svg | Self::Png(_))
    }
}

/// Which widget in which form is at a path.
pub(super) fn at(path: &str) -> Option<(Form, Kind)> {
    let (folder, name) = path.strip_prefix('/')?.split_once('/')?;
    let (name, form) = match (folder, name.rsplit_once('.')) {
        ("widgets", None) => (name, Form::Page),
        ("fragments", None) => (name, Form::Fragment),
        ("fragments", Some((name, "json"))) => (name, Form::Tree),
        ("images", Some((name, "svg"))) => (name, Form::Svg),
        ("images", Some((name, "png"))) => (name, Form::Png(Scale::One)),
        _ => return None,
    };
    Some((form, Kind::named(name)?))
}

/// What is asked for there.
pub(super) fn read(
    site: &Site,
    snapshot: &Snapshot,
    form: Form,
    kind: Kind,
    query: &str,
) -> Result<(Form, Options), Vec<WrongParameter>> {
    // What most ask for.
    if query.is_empty() {
        return Ok((form, Options::of(kind)));
    }
    let houses = |kind| crate::filter::houses(&snapshot.feeds, kind);
    let options = Options::read(kind, pairs(query), &houses, &site.presets).and_then(|options| match options
        .chart
        .too_long(snapshot.at)
    {
        Some(wrong) => Err(vec![wrong]),
        None => Ok(options),
    });
    let mut form = form;
    let mut wrong = Vec::new();
    let is_picture = form.is_picture();
    for (parameter, value) in pairs(query).filter(|(name, _)| is_picture && name == "scale") {
        match (value.parse::<Scale>(), form) {
            (Ok(scale), Form::Png(_)) => form = Form::Png(scale),
            (Ok(_), _) => {}
            (Err(error), _) => {
                let allowed = error.allowed.iter().map(|allowed| (*allowed).to_owned()).collect();
                wrong.push(WrongParameter { parameter, value, allowed });
            }
        }
    }
    match options {
        Ok(options) if wrong.is_empty() => Ok((form, options)),
        Ok(_) => Err(wrong),
        Err(mut errors) => {
            errors.extend(wrong);
            Err(errors)
        }
    }
}

/// Headers of what pages of others include, but do not frame.
fn included(content_type: &'static str) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
    headers.extend(never_framed());
    headers.push(super::for_any_page());
    headers
}

impl Site {
    /// The widget's content.
    fn laid(
        &self,
        snapshot: &Snapshot,
        options: &Options,
        course: Option<&Course>,
    ) -> widgets::model::Widget {
        match course {
            Some(_) => widget::chart::content(snapshot, options, course, &self.at("/")),
            None => widget::content::content(snapshot, options, &self.widgets, &self.at("/")),
        }
    }

    /// One form of a widget; a chart has its course.
    pub(super) fn widget(
        &self,
        snapshot: &Snapshot,
        form: Form,
        options: &Options,
        course: Option<&Course>,
    ) -> Option<Encoded> {
        let laid = self.laid(snapshot, options, course);
        let failed = |error: &dyn std::error::Error| tracing::error!(%error, "a widget could not be drawn");
        match form {
            Form::Page => {
                let address = self.at(&options.path());
                let oembed = self.at(&format!(
                    "/oembed?{}",
                    url::form_urlencoded::Serializer::new(String::new())
                        .append_pair("url", &address)
                        .append_pair("format", "json")
                        .finish()
                ));
                let page = widgets::page(&laid, &options.look, Some(&oembed))
                    .inspect_err(|error| failed(error))
                    .ok()?;
                let preset = options.preset.as_ref().and_then(|name| self.presets.get(name));
                let ancestors = match preset.and_then(|preset| preset.frame_ancestors.as_ref()) {
                    None => "*".to_owned(),
                    Some(nobody) if nobody.is_empty() => "'none'".to_owned(),
                    Some(ancestors) => ancestors.join(" "),
                };
                let policy = format!(
                    "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}",
                    page.style_hash, page.script_hash
                );
                let mut headers =
                    vec![(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
                headers.extend(framed_by(HeaderValue::try_from(policy).ok()?));
                let mut html = page.html;
                if ancestors != "*" {
                    // A 304 brings no policy: another one has to be another page. They are origins, which end no comment.
                    html.push_str(&format!("<!-- frame-ancestors {ancestors} -->\n"));
                }
                Some(Encoded::new(headers, html))
            }
            Form::Fragment => {
                let text = widgets::fragment(&laid, &options.look).inspect_err(|error| failed(error)).ok()?;
                Some(Encoded::new(included("text/html; charset=utf-8"), text))
            }
            Form::Tree => {
                let tree = widgets::tree(&laid, &options.look).inspect_err(|error| failed(error)).ok()?;
                Some(Encoded::new(included("application/json"), tree))
            }
            Form::Svg => {
                let picture = widgets::picture(&laid, &options.look);
                Some(Encoded::new(included("image/svg+xml; charset=utf-8"), picture.svg))
            }
            Form::Png(scale) => {
                let picture = widgets::picture(&laid, &options.look);
                let png = widgets::png(&picture, scale).inspect_err(|error| failed(error)).ok()?;
                Some(Encoded::as_it_is(included("image/png"), png))
            }
        }
    }

    /// How high it is at a width.
    pub(super) fn height(&self, snapshot: &Snapshot, options: &Options, width: Width) -> u32 {
        widgets::height(&self.laid(snapshot, options, None), &options.look, width)
    }

    /// Size of its picture.
    pub(super) fn picture_size(&self, snapshot: &Snapshot, options: &Options) -> (u32, u32) {
        let picture = widgets::picture(&self.laid(snapshot, options, None), &options.look);
        (picture.width, picture.height)
    }
}

/// A file of the element, under a name that changes with its bytes and under one that does not.
pub(super) struct Asset {
    /// `embed/0.1.0/bang-gia.0123456789abcdef.js`: relative to `/`.
    pub(super) pinned: String,
    /// `sha384-…`, for pages that pin what they load (Subresource Integrity).
    pub(super) integrity: String,
    moving: &'static str,
    content_type: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(ending: &str, moving: &'static str, content_type: &'static str, text: &'static str) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self {
            pinned: format!("embed/{version}/bang-gia.{:016x}.{ending}", xxh3_64(text.as_bytes())),
            integrity: format!("sha384-{}", STANDARD.encode(Sha384::digest(text.as_bytes()))),
            moving,
            content_type,
            text,
        }
    }

    /// As it is sent.
    pub(super) fn encoded(&self) -> Encoded {
        Encoded::for_good(included(self.content_type), self.text)
    }
}

/// The element's script.
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    // Once in the life of the program.
    let text = widgets::embed_script(&LIVE).leak();
    Asset::new("js", "embed/v1.js", "text/javascript; charset=utf-8", text)
});
/// Name of what the script loads beside itself where an element is live: of its bytes.
static LIVE: LazyLock<String> = LazyLock::new(|| {
    let hash = xxh3_64(widgets::live_script().as_bytes()) >> 32;
    format!("live.{hash:08x}.js")
});
/// The style of fragments.
pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("css", "embed/v1.css", "text/css; charset=utf-8", widgets::fragment_style()));

/// `GET /embed/…`
pub(super) async fn asset(State(site): State<Arc<Site>>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    for (asset, name, pinned) in
        [(&*SCRIPT, "embed.js", "embed.pinned.js"), (&*STYLE, "embed.css", "embed.pinned.css")]
    {
        if path == asset.moving {
            return page(&site, request, name, CachePolicy::Moving, || Some(asset.encoded()));
        }
        if path == asset.pinned {
            return page(&site, request, pinned, CachePolicy::Immutable, || Some(asset.encoded()));
        }
    }
    // Beside the script under either of its names.
    if path
        .strip_prefix("embed/")
        .map(|rest| rest.trim_start_matches(concat!(env!("CARGO_PKG_VERSION"), "/")))
        == Some(LIVE.as_str())
    {
        return page(&site, request, "embed.live.js", CachePolicy::Immutable, || {
            Some(Encoded::for_good(included("text/javascript; charset=utf-8"), widgets::live_script()))
        });
    }
    Problem::not_found(request.uri()).into_response()
}

/// An answer of oEmbed 1.0 (<https://oembed.com>).
#[derive(Serialize)]
struct Embed {
    version: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    provider_name: &'static str,
    provider_url: String,
    title: String,
    cache_age: u32,
    html: String,
    width: u32,
    height: u32,
}

/// `GET /oembed`
pub(super) async fn oembed(State(site): State<Arc<Site>>, request: Request) -> Response {
    let uri = request.uri().clone();
    let asked =
        |name: &str| pairs(uri.query().unwrap_or_default()).find(|(known, _)| known == name).map(|(_, v)| v);
    if asked("format").is_some_and(|format| format != "json") {
        return Problem::not_implemented(&uri, "oEmbed is answered as JSON; ask with format=json")
            .into_response();
    }
    let mut wrong = Vec::new();
    let mut most = |name: &str| {
        let value = asked(name)?;
        let pixels = value.parse::<u32>().ok().filter(|pixels| *pixels > 0);
        if pixels.is_none() {
            let allowed = vec!["a number of pixels".to_owned()];
            wrong.push(WrongParameter { parameter: name.to_owned(), value, allowed });
        }
        pixels
    };
    let (widest, highest) = (most("maxwidth"), most("maxheight"));
    let url = asked("url");
    if url.is_none() {
        let allowed = vec![site.at("/widgets/panel")];
        wrong.push(WrongParameter { parameter: "url".to_owned(), value: String::new(), allowed });
    }
    let (Some(url), true) = (url, wrong.is_empty()) else {
        return Problem::parameters(&uri, wrong).into_response();
    };
    let snapshot = site.snapshot.load_full();
    let Some((kind, query)) = own(&site.public_url, &url) else {
        return Problem::not_found(&uri).into_response();
    };
    let options = match read(&site, &snapshot, Form::Page, kind, &query) {
        Ok((_, options)) => options,
        Err(wrong) => return Problem::parameters(&uri, wrong).into_response(),
    };
    // A page of a moment is embedded as one; its figures are not needed to say how large it is.
    let options = match moment::split(&query, site.clock.now()) {
        Ok(Some((at, _))) => options.at(at),
        Ok(None) => options,
        Err(wrong) => return Problem::parameters(&uri, vec![wrong]).into_response(),
    };
    let width = Width::new(widest.unwrap_or(Width::of(kind).pixels()).min(Width::of(kind).pixels()));
    // Narrower than a widget is laid out for, its lines break.
    let narrow = widest.is_some_and(|widest| widest < width.pixels());
    let whole = site.height(&snapshot, &options, width) + if narrow { NARROW } else { 0 };
    let height = whole.min(highest.unwrap_or(u32::MAX));
    // What does not fit can be reached.
    let scrolling = if narrow || height < whole { "auto" } else { "no" };
    // No wider than asked for.
    let width = width.pixels().min(widest.unwrap_or(u32::MAX));
    let (title, address) = (widgets::heading(kind, options.look.lang), site.at(&options.path()));
    let (safe_title, safe_address) = (escape(title), escape(&address));
    let answer = Embed {
        version: "1.0",
        kind: "rich",
        provider_name: "Bảng Giá",
        provider_url: site.at("/"),
        title: title.to_owned(),
        cache_age: CACHE_AGE,
        html: format!(
            "<blockquote><a href=\"{safe_address}\">{safe_title}</a></blockquote><iframe src=\"{safe_address}\" title=\"{safe_title}\" width=\"{width}\" height=\"{height}\" frameborder=\"0\" scrolling=\"{scrolling}\" loading=\"lazy\" referrerpolicy=\"no-referrer\"></iframe>"
        ),
        width,
        height,
    };
    let mut headers = included("application/json");
    headers.retain(|(name, _)| name != super::for_any_page().0);
    let encoded = Encoded::new(headers, crate::document::encode(&answer));
    site.respond(&request.into_parts().0, &encoded, CachePolicy::Program)
}

/// The widget and its query, if an address is one of ours. Public for `tests/fuzz` only.
#[must_use]
pub fn own(public: &Url, url: &str) -> Option<(Kind, String)> {
    let url = Url::parse(url).ok()?;
    let same = url.origin() == public.origin() && url.username().is_empty() && url.password().is_none();
    let path = url.path().strip_prefix(public.path().trim_end_matches('/')).filter(|_| same)?;
    match at(path)? {
        (Form::Page, kind) => Some((kind, url.query().unwrap_or_default().to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_in_has_its_address_and_nothing_else_has() {
        for (path, wanted) in [
            ("/widgets/panel", Some((Form::Page, Kind::Panel))),
            ("/fragments/gold", Some((Form::Fragment, Kind::Gold))),
            ("/fragments/fx.json", Some((Form::Tree, Kind::Fx))),
            ("/images/deposits.svg", Some((Form::Svg, Kind::Deposits))),
            ("/images/ticker.png", Some((Form::Png(Scale::One), Kind::Ticker))),
            ("/images/ticker", None),
            ("/images/ticker.gif", None),
            ("/widgets/panel.json", None),
            ("/widgets/Panel", None),
            ("/widgets/clock", None),
            ("/widgets/", None),
            ("/widgets", None),
            ("//panel", None),
        ] {
            assert_eq!(at(path), wanted, "{path}");
        }
    }

    #[test]
    fn only_our_own_pages_are_described() {
        let public: Url = "https://gia.example.vn/board/".parse().unwrap();
        let ours = |url: &str| own(&public, url);
        assert_eq!(
            ours("https://gia.example.vn/board/widgets/fx?rows=3#x"),
            Some((Kind::Fx, "rows=3".to_owned()))
        );
        for foreign in [
            "https://gia.example.vn/widgets/fx",
            "https://evil.example/board/widgets/fx",
            "https://gia.example.vn.evil.example/board/widgets/fx",
            "https://a@gia.example.vn/board/widgets/fx",
            "http://gia.example.vn/board/widgets/fx",
            "https://gia.example.vn:8443/board/widgets/fx",
            "https://gia.example.vn/board/images/fx.png",
            "https://gia.example.vn/board/../widgets/fx",
            "//gia.example.vn/board/widgets/fx",
            "/widgets/fx",
            "javascript:alert(1)",
            "",
        ] {
            assert_eq!(ours(foreign), None, "{foreign}");
        }
    }
}
