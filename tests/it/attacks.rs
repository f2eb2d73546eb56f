//! The attack matrix: what is done to the service. Each test bears the id of its row; rows that need a browser are in
//! `tests/browser`, floods by the million in `benches/flood.rs`, and what readers of answers withstand in `providers/`.

mod floods;
mod inputs;
mod numbers;
mod outputs;
mod program;
mod wire;

use reqwest::Response;

use crate::house::House;

/// Every address of the public listener that has something, with its type.
const EVERYTHING: &[(&str, &str)] = &[
    ("/", "text/html; charset=utf-8"),
    ("/docs", "text/html; charset=utf-8"),
    ("/docs/problems", "text/html; charset=utf-8"),
    ("/docs/problems/not-found", "text/html; charset=utf-8"),
    ("/openapi.json", "application/json"),
    ("/robots.txt", "text/plain; charset=utf-8"),
    ("/v1", "application/json"),
    ("/v1/board", "application/json"),
    ("/v1/gold", "application/json"),
    ("/v1/gold?unit=chi", "application/json"),
    ("/v1/gold.csv", "text/csv; charset=utf-8; header=present"),
    ("/v1/gold.atom", "application/atom+xml; charset=utf-8"),
    ("/v1/fx", "application/json"),
    ("/v1/fx.csv", "text/csv; charset=utf-8; header=present"),
    ("/v1/fx.atom", "application/atom+xml; charset=utf-8"),
    ("/v1/deposits", "application/json"),
    ("/v1/deposits.csv", "text/csv; charset=utf-8; header=present"),
    ("/v1/deposits.atom", "application/atom+xml; charset=utf-8"),
    ("/v1/feeds", "application/json"),
    ("/v1/convert?from=USD&to=VND", "application/json"),
    ("/widgets/panel", "text/html; charset=utf-8"),
    ("/widgets/gold?lang=en", "text/html; charset=utf-8"),
    ("/widgets/fx", "text/html; charset=utf-8"),
    ("/widgets/deposits", "text/html; charset=utf-8"),
    ("/widgets/ticker", "text/html; charset=utf-8"),
    ("/fragments/panel", "text/html; charset=utf-8"),
    ("/fragments/gold", "text/html; charset=utf-8"),
    ("/fragments/fx?lang=en", "text/html; charset=utf-8"),
    ("/fragments/deposits", "text/html; charset=utf-8"),
    ("/fragments/ticker", "text/html; charset=utf-8"),
    ("/fragments/panel.json", "application/json"),
    ("/fragments/fx.json", "application/json"),
    ("/images/panel.svg", "image/svg+xml; charset=utf-8"),
    ("/images/gold.svg", "image/svg+xml; charset=utf-8"),
    ("/images/fx.svg", "image/svg+xml; charset=utf-8"),
    ("/images/gold.png", "image/png"),
    ("/embed/v1.js", "text/javascript; charset=utf-8"),
    ("/embed/v1.css", "text/css; charset=utf-8"),
    ("/oembed?url=http://127.0.0.1:8080/widgets/fx", "application/json"),
];

/// Addresses that are refused, with their status.
const REFUSED: &[(&str, u16)] = &[
    ("/nothing", 404),
    ("/v1/nothing", 404),
    ("/widgets/nothing", 404),
    ("/fragments/nothing", 404),
    ("/images/nothing.png", 404),
    ("/embed/nothing.js", 404),
    ("/assets/nothing", 404),
    ("/docs/problems/nothing", 404),
    ("/oembed?url=http://evil.example/widgets/fx", 404),
    ("/oembed", 422),
    ("/oembed?url=x&format=xml", 501),
    ("/v1/gold?x=1", 422),
    ("/v1/convert?from=USD", 422),
    ("/widgets/panel?theme=x", 422),
    ("/fragments/gold?rows=x", 422),
    ("/images/fx.svg?scale=x", 422),
    ("/?widget=x", 422),
];

/// A house in which nobody is refused for asking much.
async fn unlimited() -> House {
    let house =
        House::with(|_| {}, |text| text.replacen("[server]\n", "[server]\nrate_limit = 0\n", 1)).await;
    house.settled().await;
    house
}

/// A header of an answer; empty where there is none.
fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}
