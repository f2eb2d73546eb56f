//! Styles and scripts of widgets, made once from readable sources: comments and indentation stay here, not on the
//! wire. Their SHA-256 lets a page carry them inline under a policy without `unsafe-inline` (CSP Level 3, section 8.3).

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use crate::{model::Kind, options::Accent};

const BASE: &str = include_str!("../assets/base.css");
const TICKER: &str = include_str!("../assets/ticker.css");
const CHART: &str = include_str!("../assets/chart.css");
const PAGE: &str = include_str!("../assets/page.css");
/// The element itself.
const HOST: &str = ":host { display: block; } :host([hidden]) { display: none; }";
/// Marks figures as old when their time is up; shared by pages and the element.
const LATE: &str = include_str!("../assets/late.js");

/// Style of pages of tables, of the tape, and of the chart.
static PAGES: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [Asset::style(&[BASE, PAGE]), Asset::style(&[BASE, TICKER, PAGE]), Asset::style(&[BASE, CHART, PAGE])]
});

/// Script of pages: tells the frame's owner the height, and marks what has grown old.
pub(crate) static FRAME_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new(squeeze_script(&format!("{LATE}{}", include_str!("../assets/frame.js")))));

/// Inline text and the source expression that allows it.
#[derive(Clone)]
pub(crate) struct Asset {
    pub(crate) text: String,
    /// `sha256-…`, without the quotation marks of the policy.
    pub(crate) hash: String,
}

impl Asset {
    fn new(text: String) -> Self {
        let hash = format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())));
        Self { text, hash }
    }

    fn style(sources: &[&str]) -> Self {
        Self::new(squeeze(&sources.concat()))
    }
}

/// The style of a widget's page.
pub(crate) fn page_style(kind: Kind, accent: Option<Accent>) -> Asset {
    let [plain, tape, chart] = &*PAGES;
    let style = match kind {
        Kind::Panel | Kind::Gold | Kind::Fx | Kind::Deposits => plain,
        Kind::Ticker => tape,
        Kind::Chart => chart,
    };
    match accent {
        None => style.clone(),
        Some(accent) => Asset::new(format!("{}.bgia{{--bang-gia-accent:#{accent}}}", style.text)),
    }
}

/// The style of fragments, for the page that includes them.
#[must_use]
pub fn fragment_style() -> &'static str {
    static STYLE: LazyLock<String> = LazyLock::new(|| squeeze(&[BASE, TICKER, CHART].concat()));
    &STYLE
}

/// What a widget needs beside the style that the element brings.
pub(crate) fn own_style(kind: Kind) -> &'static str {
    static TAPE: LazyLock<String> = LazyLock::new(|| squeeze(TICKER));
    static COURSE: LazyLock<String> = LazyLock::new(|| squeeze(CHART));
    match kind {
        Kind::Panel | Kind::Gold | Kind::Fx | Kind::Deposits => "",
        Kind::Ticker => &TAPE,
        Kind::Chart => &COURSE,
    }
}

/// The custom element `<bang-gia>`: a module that brings the style of all but the tape and the chart and fetches [`crate::tree`].
///
/// `live`: name of the file beside it that is [`live_script`].
#[must_use]
pub fn embed_script(live: &str) -> String {
    let source = squeeze_script(&format!("{LATE}{}", include_str!("../assets/embed.js")));
    source.replace("STYLE", &squeeze(&[HOST, BASE].concat())).replace("LIVE", live)
}

/// What the element loads where one is `live`.
#[must_use]
pub fn live_script() -> &'static str {
    static SCRIPT: LazyLock<String> = LazyLock::new(|| squeeze_script(include_str!("../assets/live.js")));
    &SCRIPT
}

/// Takes out comments that have a line of their own, and indentation. Line ends stay: they may end statements.
fn squeeze_script(source: &str) -> String {
    let lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Takes out comments and the white space that no selector, value or string of these sheets needs.
///
/// White space before a colon, around `>` and `+` and inside brackets means something in some place, so it stays; after a
/// colon it never does, and none of our strings has one there.
fn squeeze(source: &str) -> String {
    let mut css = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, comment)) = rest.split_once("/*") {
        css.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    css.push_str(rest);

    let mut squeezed = String::with_capacity(css.len());
    let mut pending_space = false;
    for letter in css.chars() {
        if letter.is_ascii_whitespace() {
            pending_space = true;
            continue;
        }
        let tight = matches!(letter, '{' | '}' | ';')
            || squeezed.is_empty()
            || squeezed.ends_with(['{', '}', ';', ',', ':']);
        // The space is the whole value of an empty custom property.
        let tight = tight && !(letter == ';' && squeezed.ends_with(':'));
        if pending_space && !tight {
            squeezed.push(' ');
        }
        if letter == '}' && squeezed.ends_with(';') {
            squeezed.pop();
        }
        squeezed.push(letter);
        pending_space = false;
    }
    squeezed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squeezing_keeps_what_selectors_values_and_strings_mean() {
        assert_eq!(
            squeeze(
                "/* a */\n.a > .b :focus, .c {\n  content: \" (\";\n  font: 1em/2 \"Segoe UI\", x;\n}\n@media (a: b) {\n  .d { e: calc(1px + 2px); }\n}\n"
            ),
            ".a > .b :focus,.c{content:\" (\";font:1em/2 \"Segoe UI\",x}@media (a:b){.d{e:calc(1px + 2px)}}"
        );
    }

    #[test]
    fn the_styles_cannot_close_their_own_element_and_fetch_nothing() {
        for css in [&PAGES[0].text, &PAGES[1].text, &PAGES[2].text, fragment_style()] {
            // The last two would end or fill the script that the element brings its style in.
            for forbidden in ["<", "url(", "@import", "/*", "`", "${"] {
                assert!(!css.contains(forbidden), "{forbidden}");
            }
            assert_eq!(css.matches('{').count(), css.matches('}').count());
        }
        for script in [&FRAME_SCRIPT.text, &embed_script("live.js"), live_script()] {
            assert!(!script.contains("</") && !script.contains("<!--"));
            for forbidden in ["innerHTML", "insertAdjacentHTML", "DOMParser", "eval(", "Storage", "cookie"] {
                assert!(!script.contains(forbidden), "{forbidden}");
            }
        }
    }

    #[test]
    fn an_accent_is_part_of_the_style_and_of_its_hash() {
        let (plain, own) = (page_style(Kind::Gold, None), page_style(Kind::Gold, "C00000".parse().ok()));
        assert!(own.text.ends_with(".bgia{--bang-gia-accent:#c00000}"));
        assert_ne!(plain.hash, own.hash);
    }
}
