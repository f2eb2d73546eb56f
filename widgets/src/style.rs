//! The style of widgets, made once from readable sources: comments and indentation stay here, not on the wire.
//! Its SHA-256 lets a page carry it inline under a policy without `unsafe-inline` (CSP Level 3, section 8.3).

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// Style of the panel as a page: every widget's base, then what only a whole document needs.
pub(crate) static PANEL_PAGE: LazyLock<Style> = LazyLock::new(|| {
    Style::new(concat!(include_str!("../assets/base.css"), include_str!("../assets/page.css")))
});

/// A style sheet and the source expression that allows it.
pub(crate) struct Style {
    pub(crate) css: String,
    /// `sha256-…`, without the quotation marks of the policy.
    pub(crate) hash: String,
}

impl Style {
    fn new(source: &str) -> Self {
        let css = squeeze(source);
        let hash = format!("sha256-{}", STANDARD.encode(Sha256::digest(css.as_bytes())));
        Self { css, hash }
    }
}

/// Takes out comments and the white space that no selector, value or string of these sheets needs.
///
/// White space before a colon, around `>` and `+` and inside brackets means something in some place, so it stays.
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
            || squeezed.ends_with(['{', '}', ';', ',']);
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
            ".a > .b :focus,.c{content: \" (\";font: 1em/2 \"Segoe UI\",x}@media (a: b){.d{e: calc(1px + 2px)}}"
        );
    }

    #[test]
    fn the_style_cannot_close_its_own_element_and_fetches_nothing() {
        let css = &PANEL_PAGE.css;
        for forbidden in ["<", "url(", "@import", "/*"] {
            assert!(!css.contains(forbidden), "{forbidden}");
        }
        assert_eq!(css.matches('{').count(), css.matches('}').count());
    }
}
