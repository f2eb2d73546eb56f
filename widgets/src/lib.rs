//! Price-board widgets: a view model in, HTML and pictures out. No I/O, no clock, no knowledge of sources.
//!
//! What a widget shows is decided by the service (which quote, which status, which time); how it looks and
//! reads is decided here. Dependencies point one way: `providers` <- `widgets` <- the service.
//!
//! One rendering, five ways in: [`fragment`] is the body; [`page`] puts it into a document, [`tree`] is the same as
//! JSON for the custom element ([`embed_script`]), and pictures draw the same view.

mod assets;
mod chart;
pub mod format;
mod height;
mod i18n;
pub mod model;
mod options;
mod picture;
pub mod reduce;
mod spark;
mod tree;
mod view;

use askama::Template;

use crate::{
    i18n::Words,
    model::Widget,
    view::{Cell, Corner, Icon, Label, Layout, Style, View},
};

pub use crate::{
    assets::{embed_script, fragment_style, live_script},
    height::{Width, height},
    i18n::{heading, product},
    options::{Accent, Lang, Look, Theme, UnknownValue},
    picture::{Picture, PictureError, Scale, picture, pixels::png},
};

/// A widget could not be laid out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The template engine failed while writing.
    #[error("the widget could not be laid out")]
    Layout(#[from] askama::Error),
}

/// A whole document for an iframe: complete without script, with one inline style and one inline script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The document, UTF-8.
    pub html: String,
    /// `sha256-…` of the inline style, to be put between `'` into `style-src`.
    pub style_hash: String,
    /// `sha256-…` of the inline script, to be put between `'` into `script-src`.
    pub script_hash: &'static str,
}

/// The body of a widget, in a page or in somebody else's.
#[derive(Template)]
#[template(path = "widget.html")]
struct Body<'a> {
    words: &'static Words,
    lang: &'static str,
    ink: &'static str,
    transparent: bool,
    compact: bool,
    title: bool,
    view: &'a View,
    tape: Option<&'a view::TapeView>,
    chart: Option<&'a view::ChartView>,
    /// What scripts write when a copy grows old in somebody's cache.
    late: Option<String>,
    /// Attributes of every link.
    link: &'a str,
}

#[derive(Template)]
#[template(path = "page.html")]
struct WholePage<'a> {
    words: &'static Words,
    heading: &'static str,
    lang: &'static str,
    ink: &'static str,
    color_scheme: &'static str,
    transparent: bool,
    oembed: Option<&'a str>,
    style: &'a str,
    script: &'a str,
    body: &'a Body<'a>,
}

fn body<'a>(view: &'a View, look: &Look, link: &'a str) -> Body<'a> {
    let words = i18n::words(look.lang);
    let feet = view.sections.iter().flat_map(|section| &section.foot);
    let feet = feet.chain(view.tape.iter().flat_map(|tape| &tape.foot));
    let mut feet = feet.chain(view.chart.iter().flat_map(|chart| &chart.foot));
    Body {
        words,
        lang: look.lang.as_str(),
        ink: look.theme.ink(),
        transparent: look.is_transparent(),
        compact: look.compact,
        title: look.title,
        view,
        tape: view.tape.as_ref(),
        chart: view.chart.as_ref(),
        late: feet.any(|line| line.until.is_some()).then(|| {
            [words.stale, words.stale_from, words.expired, words.expired_since, words.no_figure].join("|")
        }),
        link,
    }
}

/// A widget as a document for an iframe. Sections without figures to show are left out. `oembed` is the absolute
/// address at which the page is described for those who are given its address (<https://oembed.com> discovery).
///
/// # Errors
/// When the template engine fails, which takes a failing writer.
pub fn page(widget: &Widget, look: &Look, oembed: Option<&str>) -> Result<Page, Error> {
    let view = view::view(widget, look);
    // In a frame a click must not load a bank's page where the board was.
    let body = body(&view, look, r#"rel="nofollow noopener" target="_blank""#);
    let style = assets::page_style(view.kind, look.accent);
    let script = &assets::FRAME_SCRIPT;
    let html = WholePage {
        words: body.words,
        heading: heading(view.kind, look.lang),
        lang: body.lang,
        ink: body.ink,
        color_scheme: look.theme.color_scheme(),
        transparent: body.transparent,
        oembed,
        style: &style.text,
        script: &script.text,
        body: &body,
    }
    .render()?;
    Ok(Page { html, style_hash: style.hash.clone(), script_hash: &script.hash })
}

/// A widget without document, style and script: for a page of somebody else that brings the style itself.
///
/// # Errors
/// When the template engine fails, which takes a failing writer.
pub fn fragment(widget: &Widget, look: &Look) -> Result<String, Error> {
    let view = view::view(widget, look);
    Ok(body(&view, look, r#"rel="nofollow noopener""#).render()?)
}

/// The same for the custom element, as JSON: the style that this widget needs beside the element's own, and the tree
/// `["tag", {"attribute": "value"}, child, …]` with texts as strings. The element makes nodes of it one by one, since
/// pages under Trusted Types refuse HTML in a string.
///
/// # Errors
/// When the template engine fails, which takes a failing writer.
pub fn tree(widget: &Widget, look: &Look) -> Result<String, Error> {
    let view = view::view(widget, look);
    let html = body(&view, look, r#"rel="nofollow noopener" target="_blank""#).render()?;
    Ok(serde_json::json!([assets::own_style(view.kind), tree::of(&html)]).to_string())
}
