//! Price-board widgets: a view model in, HTML out. No I/O, no clock, no knowledge of sources.
//!
//! What a widget shows is decided by the service (which quote, which status, which time); how it looks and
//! reads is decided here. Dependencies point one way: `providers` <- `widgets` <- the service.

pub mod format;
mod i18n;
pub mod model;
mod options;
mod style;
mod view;

use askama::Template;

use crate::{
    i18n::Words,
    model::Panel,
    style::PANEL_PAGE,
    view::{Corner, Direction, Icon, Kind, Label, Section},
};

pub use crate::options::{Lang, PanelOptions, Theme, UnknownValue};

/// A widget could not be laid out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The template engine failed while writing.
    #[error("the widget could not be laid out")]
    Layout(#[from] askama::Error),
}

/// A whole document for an iframe: complete without script, with one inline style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The document, UTF-8.
    pub html: String,
    /// `sha256-…` of the inline style, to be put between `'` into `style-src`.
    pub style_hash: &'static str,
}

/// The body of the panel, in a page or in somebody else's.
#[derive(Template)]
#[template(path = "panel.html")]
struct PanelBody<'a> {
    words: &'static Words,
    lang: &'static str,
    ink: &'static str,
    transparent: bool,
    recorded: bool,
    home: Option<String>,
    sections: Vec<Section>,
    /// Level of the sections' titles.
    level: u8,
    /// Attributes of every link.
    link: &'a str,
}

#[derive(Template)]
#[template(path = "page.html")]
struct WholePage<'a> {
    words: &'static Words,
    lang: &'static str,
    ink: &'static str,
    color_scheme: &'static str,
    transparent: bool,
    style: &'a str,
    body: &'a PanelBody<'a>,
}

fn panel_body<'a>(panel: &Panel, options: PanelOptions, level: u8, link: &'a str) -> PanelBody<'a> {
    PanelBody {
        words: i18n::words(options.lang),
        lang: options.lang.as_str(),
        ink: options.theme.ink(),
        transparent: options.theme == Theme::Transparent,
        recorded: panel.recorded,
        home: view::link(&panel.home),
        sections: view::sections(panel, options.lang),
        level,
        link,
    }
}

/// The panel as a document for an iframe. Sections without figures to show are left out.
///
/// # Errors
/// When the template engine fails, which takes a failing writer.
pub fn panel_page(panel: &Panel, options: &PanelOptions) -> Result<Page, Error> {
    // In a frame a click must not load a bank's page where the board was.
    let body = panel_body(panel, *options, 2, r#"rel="nofollow noopener" target="_blank""#);
    let html = WholePage {
        words: body.words,
        lang: body.lang,
        ink: body.ink,
        color_scheme: options.theme.color_scheme(),
        transparent: body.transparent,
        style: &PANEL_PAGE.css,
        body: &body,
    }
    .render()?;
    Ok(Page { html, style_hash: &PANEL_PAGE.hash })
}

/// The panel without document, style and script: for a page of somebody else that brings the style itself.
///
/// # Errors
/// When the template engine fails, which takes a failing writer.
pub fn panel_fragment(panel: &Panel, options: &PanelOptions) -> Result<String, Error> {
    Ok(panel_body(panel, *options, 3, r#"rel="nofollow noopener""#).render()?)
}
