//! Pages for people: the home page and the panel.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use widgets::{Lang, PanelOptions, Theme};

use super::{Problem, Site, pairs, problem::Parameter, respond};

const HOME: &str = include_str!("home.html");
const RECORDED: &str = "<p class=\"recorded\">Số liệu mẫu, không phải giá hiện tại</p>";
const HOME_CSS: &str = include_str!("home.css");

/// What this is, the panel, and where to go on. The gallery takes this place later.
pub(super) async fn home(State(site): State<Arc<Site>>, request: Request) -> Response {
    let recorded = if site.snapshot.load().recorded { RECORDED } else { "" };
    let base = site.public_url.as_str().trim_end_matches('/');
    let mut response = respond::fixed(
        request.headers(),
        "text/html; charset=utf-8",
        HOME.replace("{base}", &escape(base)).replace("{recorded}", recorded).into(),
    );
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    );
    response
}

/// Its style.
pub(super) async fn home_css(request: Request) -> Response {
    respond::fixed(request.headers(), "text/css; charset=utf-8", HOME_CSS.into())
}

/// The sidebar board as a page for an iframe.
pub(super) async fn panel(State(site): State<Arc<Site>>, uri: Uri, request: Request) -> Response {
    let options = match panel_options(&uri) {
        Ok(options) => options,
        Err(problem) => return problem.into_response(),
    };
    let snapshot = site.snapshot.load_full();
    let model = crate::panel::panel(&snapshot, &site.panel, &site.public_url);
    let (Ok(page), Some(board)) = (widgets::panel_page(&model, &options), snapshot.documents.get("board"))
    else {
        return Problem::internal(&uri).into_response();
    };
    let policy = format!(
        "default-src 'none'; style-src '{}'; base-uri 'none'; form-action 'none'; frame-ancestors *",
        page.style_hash
    );
    let mut response = respond::derived(
        request.headers(),
        "text/html; charset=utf-8",
        page.html.into(),
        board,
        site.clock.now(),
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Unknown parameters are campaign tags and ignored; a wrong value of a known one is an error.
fn panel_options(uri: &Uri) -> Result<PanelOptions, Problem> {
    let mut options = PanelOptions::default();
    let mut errors = Vec::new();
    for (parameter, value) in pairs(uri) {
        let allowed: &[&str] = match parameter.as_str() {
            "theme" => match value.parse() {
                Ok(theme) => {
                    options.theme = theme;
                    continue;
                }
                Err(_) => Theme::ALLOWED,
            },
            "lang" => match value.parse() {
                Ok(lang) => {
                    options.lang = lang;
                    continue;
                }
                Err(_) => Lang::ALLOWED,
            },
            _ => continue,
        };
        let allowed = allowed.iter().map(|allowed| (*allowed).to_owned()).collect();
        errors.push(Parameter { parameter, value, allowed });
    }
    if errors.is_empty() {
        Ok(options)
    } else {
        Err(Problem::parameters(uri, "a parameter has a value that is not allowed", errors))
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
