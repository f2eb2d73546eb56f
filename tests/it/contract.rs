//! One policy for every path of the OpenAPI document: schemas, validators, caching, CORS, errors.

use std::{collections::BTreeSet, io::Read as _};

use reqwest::{Method, Response, header::HeaderMap};
use serde_json::{Value, json};

use crate::house::House;

/// A stream has no end, no length and no validators: `events.rs` holds it to what it says.
const EVENTS: &str = "/v1/events";

fn api() -> Value {
    banggia::http::openapi()
}

/// Every path with the query that its examples make.
fn requests(api: &Value) -> Vec<(String, String)> {
    let paths = api["paths"].as_object().unwrap();
    paths
        .iter()
        .map(|(path, item)| {
            assert_eq!(item.as_object().unwrap().keys().collect::<Vec<_>>(), ["get"], "{path}");
            let parameters = item["get"]["parameters"].as_array().cloned().unwrap_or_default();
            let pairs: Vec<String> = parameters
                .iter()
                // Of gold alone, while the example converts a currency; instead of filters; of the page before; of the past,
                // of which a house of today knows nothing.
                .filter(|parameter| {
                    !["product", "series", "cursor", "at"].contains(&parameter["name"].as_str().unwrap())
                })
                .map(|parameter| {
                    let example = &parameter["example"];
                    let value = match example {
                        Value::String(text) => text.clone(),
                        Value::Array(values) => {
                            values.iter().map(|value| value.as_str().unwrap()).collect::<Vec<_>>().join(",")
                        }
                        _ => panic!("{path}: no example for {}", parameter["name"]),
                    };
                    format!("{}={value}", parameter["name"].as_str().unwrap())
                })
                .collect();
            let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
            (path.clone(), query)
        })
        .collect()
}

/// Holds a JSON body against the schema that the document gives for it.
pub fn conforms(api: &Value, path: &str, status: &str, body: &Value) {
    let answer = &api["paths"][path]["get"]["responses"][status];
    let answer = match answer["$ref"].as_str() {
        Some(name) => api.pointer(name.trim_start_matches('#')).unwrap(),
        None => answer,
    };
    let (_, media) = answer["content"].as_object().unwrap().iter().next().unwrap();
    let mut schema = media["schema"].clone();
    schema["components"] = api["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(body).map(|error| format!("{} at {}", error, error.instance_path())).collect();
    assert!(errors.is_empty(), "{path} {status}: {errors:#?}");
}

fn names(headers: &HeaderMap) -> BTreeSet<&str> {
    assert_eq!(headers.keys_len(), headers.len(), "a header stands twice: {headers:?}");
    headers.keys().map(reqwest::header::HeaderName::as_str).collect()
}

/// Headers that belong to one request and not to the document.
fn comparable(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = headers
        .iter()
        .filter(|(name, _)| {
            !["date", "ratelimit", "ratelimit-policy", "cache-control"].contains(&name.as_str())
        })
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    pairs.sort();
    pairs
}

async fn is_problem(response: Response, status: u16, what: &str) -> Value {
    assert_eq!(response.status(), status, "{what}");
    let headers = response.headers().clone();
    for (name, value) in [
        ("content-type", "application/problem+json"),
        ("cache-control", "no-store"),
        ("access-control-allow-origin", "*"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(headers[name], value, "{what}: {name}");
    }
    assert!(!headers.contains_key("etag"), "{what}");
    let text = response.text().await.unwrap();
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(body["status"], status, "{what}");
    assert_eq!(body["request_id"].as_str().unwrap(), headers["x-request-id"], "{what}");
    assert!(!text.contains(['<', '>', '&']), "{what}: {text}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_keeps_one_policy() {
    let house = House::on_a_good_day().await;
    let api = api();
    let mut types = BTreeSet::new();
    for (path, query) in requests(&api).into_iter().filter(|(path, _)| path != EVENTS) {
        let address = format!("{path}{query}");
        let get = async |headers: &[(&str, &str)]| house.request(Method::GET, &address, headers).await;

        // One body in three codings, each with its own strong tag.
        let mut tags = BTreeSet::new();
        let mut bodies = Vec::new();
        let streamed = path.starts_with("/v1/history/") && path.contains('.');
        if streamed {
            is_a_stream(&house, &address, &api, &path).await;
            bodies.push(Vec::new());
        }
        for coding in ["identity", "gzip", "br"].into_iter().filter(|_| !streamed) {
            let response = get(&[("accept-encoding", coding)]).await;
            assert_eq!(response.status(), 200, "{address}");
            let headers = response.headers().clone();
            let tag = headers["etag"].to_str().unwrap().to_owned();
            assert!(tag.starts_with('"') && tag.ends_with('"'), "{address}: strong: {tag}");
            assert_eq!(headers["vary"], "Accept-Encoding", "{address}");
            assert_eq!(headers["access-control-allow-origin"], "*", "{address}");
            assert_eq!(headers["x-content-type-options"], "nosniff", "{address}");
            assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
            let sent = headers.get("content-encoding").map(|coding| coding.to_str().unwrap());
            assert_eq!(sent.unwrap_or("identity"), coding, "{address}");
            let cache = headers["cache-control"].to_str().unwrap();
            if path.starts_with("/v1/history/") {
                // Of its feeds, those of DOJI and of deposits cannot be read after the fact.
                let fixed = if path.ends_with("fx") { "" } else { ", immutable" };
                assert_eq!(cache, format!("public, max-age=86400{fixed}"), "{address}");
            } else if path == "/v1" {
                assert_eq!(cache, "public, max-age=60, stale-while-revalidate=300, stale-if-error=86400");
            } else {
                let rest =
                    cache.strip_prefix("public, max-age=").unwrap_or_else(|| panic!("{address}: {cache}"));
                let (seconds, rest) =
                    rest.split_once(", stale-while-revalidate=300, stale-if-error=").unwrap();
                assert!((5..=60).contains(&seconds.parse::<i64>().unwrap()), "{address}: {cache}");
                assert!((1..=86_400).contains(&rest.parse::<i64>().unwrap()), "{address}: {cache}");
            }
            let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
            let raw = response.bytes().await.unwrap();
            assert_eq!(raw.len(), length, "{address}");
            bodies.push(decoded(coding, &raw));

            // Known already: 304 with what caches and scripts need, and nothing else.
            let unchanged = get(&[("accept-encoding", coding), ("if-none-match", &tag)]).await;
            assert_eq!(unchanged.status(), 304, "{address}");
            let wanted = [
                "access-control-allow-origin",
                "access-control-expose-headers",
                "cache-control",
                "date",
                "etag",
                "vary",
            ];
            assert_eq!(names(unchanged.headers()), wanted.into(), "{address}");
            assert_eq!(unchanged.headers()["etag"], tag.as_str(), "{address}");

            assert_eq!(names(&headers).len(), headers.len(), "{address}");
            let exposed = headers["access-control-expose-headers"].to_str().unwrap();
            for name in ["ETag", "Date", "Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-Id"] {
                assert!(exposed.split(", ").any(|exposed| exposed == name), "{address}: {name}");
            }
            let again = [("accept-encoding", coding), ("if-none-match", &*tag)];
            let unchanged = house.request(Method::HEAD, &address, &again).await;
            assert_eq!(
                (unchanged.status().as_u16(), names(unchanged.headers())),
                (304, wanted.into()),
                "{address}"
            );

            let head = house.request(Method::HEAD, &address, &[("accept-encoding", coding)]).await;
            assert_eq!(head.status(), 200, "{address}");
            assert_eq!(comparable(head.headers()), comparable(&headers), "{address}: HEAD = GET");
            assert!(head.bytes().await.unwrap().is_empty());
            tags.insert(tag);
        }
        assert_eq!(tags.len(), if streamed { 0 } else { 3 }, "{address}: each coding has its own tag");
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{address}: the same in every coding");

        // As the document says.
        let media = &api["paths"][&path]["get"]["responses"]["200"]["content"];
        if media.get("application/json").is_some() {
            let body: Value = serde_json::from_slice(&bodies[0]).unwrap();
            conforms(&api, &path, "200", &body);
            let example = &media["application/json"]["example"];
            assert!(example.is_object(), "{path} has an example");
            conforms(&api, &path, "200", example);
            same_keys(example, &body, &path);
        } else if media.get("application/atom+xml").is_some() {
            let names = |text: &str| {
                let document = roxmltree::Document::parse(text).unwrap();
                let elements = document.descendants().filter(roxmltree::Node::is_element);
                elements.map(|element| element.tag_name().name().to_owned()).collect::<BTreeSet<_>>()
            };
            let example = media["application/atom+xml"]["example"].as_str().unwrap();
            // No recordings were served here.
            let mut wanted = names(example);
            wanted.remove("subtitle");
            assert_eq!(wanted, names(std::str::from_utf8(&bodies[0]).unwrap()), "{path}");
        } else if !streamed {
            let example = media["text/csv"]["example"].as_str().unwrap();
            let header = |text: &str| text.lines().next().unwrap().to_owned();
            assert_eq!(header(example), header(std::str::from_utf8(&bodies[0]).unwrap()), "{path}");
        }

        for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let response = house.request(method.clone(), &address, &[]).await;
            let allow =
                response.headers().get("allow").unwrap_or_else(|| panic!("{method} {address}")).clone();
            for name in ["GET", "HEAD", "OPTIONS"] {
                assert!(allow.to_str().unwrap().contains(name), "{method} {address}: {allow:?}");
            }
            types.insert(is_problem(response, 405, &address).await["type"].clone().to_string());
        }
        let wrong = is_problem(get_of(&house, &format!("{path}?colour=%3Cb%3E")).await, 422, &path).await;
        conforms(&api, &path, "422", &wrong);
        assert!(
            wrong["errors"].as_array().unwrap().iter().any(|error| error["parameter"] == "colour"),
            "{wrong}"
        );
        types.insert(wrong["type"].to_string());
        let nothing = is_problem(get_of(&house, &format!("{path}/nothing")).await, 404, &path).await;
        types.insert(nothing["type"].to_string());
        let picture = is_problem(get(&[("accept", "image/png")]).await, 406, &path).await;
        conforms(&api, &path, "406", &picture);
        types.insert(picture["type"].to_string());
        is_problem(get(&[("accept-encoding", "identity;q=0, zstd")]).await, 406, &path).await;

        let preflight = house
            .request(
                Method::OPTIONS,
                &address,
                &[("origin", "https://example.vn"), ("access-control-request-method", "GET")],
            )
            .await;
        assert_eq!(preflight.status(), 204, "{address}");
        assert_eq!(preflight.headers()["access-control-max-age"], "86400");
        assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
        assert!(preflight.headers()["access-control-allow-methods"].to_str().unwrap().contains("GET"));
    }
    // Each type is the address of a page that explains it.
    assert!(types.len() >= 4);
    for kind in banggia::http::problem::TYPES {
        let page = house.get(&format!("/docs/problems/{}", kind.name)).await;
        assert_eq!(
            (page.status().as_u16(), &page.headers()["content-type"]),
            (200, &"text/html; charset=utf-8".parse().unwrap())
        );
        assert!(page.text().await.unwrap().contains(kind.meaning));
    }
    for kind in types {
        assert_eq!(house.get(kind.trim_matches('"')).await.status(), 200, "{kind}");
    }
    house.app.stop().await;
}

/// What is streamed has the policy of the others but for what only the whole of it could give.
async fn is_a_stream(house: &House, address: &str, api: &Value, path: &str) {
    for method in [Method::GET, Method::HEAD] {
        let response = house.request(method.clone(), address, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(response.status(), 200, "{method} {address}");
        let headers = response.headers().clone();
        for name in ["etag", "content-length", "content-encoding"] {
            assert!(!headers.contains_key(name), "{method} {address}: {name}");
        }
        assert_eq!(headers["vary"], "Accept-Encoding", "{address}");
        assert_eq!(headers["access-control-allow-origin"], "*", "{address}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{address}");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
        assert!(headers["cache-control"].to_str().unwrap().starts_with("public, max-age=86400"), "{address}");
        assert!(headers.contains_key("ratelimit"), "{address}");
        names(&headers);
        let text = response.text().await.unwrap();
        let (media, content) = api["paths"][path]["get"]["responses"]["200"]["content"]
            .as_object()
            .unwrap()
            .iter()
            .next()
            .unwrap();
        assert!(headers["content-type"].to_str().unwrap().starts_with(media), "{address}");
        let example = content["example"].as_str().unwrap();
        if media == "text/csv" && method == Method::GET {
            assert_eq!(text.lines().next(), example.lines().next(), "{address}");
        }
        for line in example.lines().filter(|_| path.ends_with(".ndjson")) {
            assert!(serde_json::from_str::<Value>(line).unwrap().is_object(), "{path}");
        }
    }
}

async fn get_of(house: &House, path: &str) -> Response {
    house.get(path).await
}

fn decoded(coding: &str, raw: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(raw).read_to_end(&mut plain).unwrap(),
        "br" => brotli::Decompressor::new(raw, 4096).read_to_end(&mut plain).unwrap(),
        _ => return raw.to_vec(),
    };
    plain
}

/// An example shows every key that a real answer has, and no other.
fn same_keys(example: &Value, real: &Value, path: &str) {
    match (example, real) {
        // Names of documents, which are data.
        (Value::Object(example), Value::Object(real)) => {
            assert_eq!(example.keys().collect::<Vec<_>>(), real.keys().collect::<Vec<_>>(), "{path}");
            for (key, value) in example {
                same_keys(value, &real[key], path);
            }
        }
        (Value::Array(example), Value::Array(real)) => {
            if let (Some(example), Some(real)) = (example.first(), real.first()) {
                same_keys(example, real, path);
            }
        }
        _ => {}
    }
}

#[test]
fn the_committed_openapi_document_is_that_of_the_code() {
    let committed = std::fs::read_to_string("docs/openapi.json").unwrap();
    assert_eq!(committed, format!("{:#}\n", api()), "run: cargo run -- openapi > docs/openapi.json");
    assert_eq!(api()["openapi"], "3.1.0");
    assert_eq!(api()["servers"], json!([{ "url": "/" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_is_described_where_it_can_be_asked_for_and_unknown_elsewhere() {
    let api = api();
    let house = House::on_a_good_day().await;
    let moment = "at=2026-09-30T10:05:00%2B07:00";
    let mut described = BTreeSet::new();
    for (path, query) in requests(&api) {
        // An endless answer, which a browser asks for with whatever it has.
        if path == EVENTS {
            continue;
        }
        let parameters = api["paths"][&path]["get"]["parameters"].as_array().cloned().unwrap_or_default();
        let is_described = parameters.iter().any(|parameter| parameter["name"] == "at");
        let between = if query.is_empty() { "?" } else { "&" };
        let address = format!("{path}{query}{between}{moment}");
        let answer = house.get(&address).await;
        let status = answer.status().as_u16();
        if is_described {
            described.insert(path.clone());
            // Nothing was known then of which anything could be computed.
            let wanted = if path == "/v1/convert" { 422 } else { 200 };
            assert_eq!(status, wanted, "{address}");
            continue;
        }
        let problem = is_problem(answer, 422, &address).await;
        let wrong = &problem["errors"][0];
        assert_eq!(wrong["parameter"], "at", "{address}");
        let allowed = wrong["allowed"].as_array().unwrap();
        assert!(!allowed.contains(&json!("at")), "{address}: {wrong}");
    }
    let wanted = [
        "/v1/board",
        "/v1/convert",
        "/v1/deposits",
        "/v1/deposits.csv",
        "/v1/feeds",
        "/v1/fx",
        "/v1/fx.csv",
        "/v1/gold",
        "/v1/gold.csv",
    ];
    assert_eq!(described, wanted.map(str::to_owned).into());
    house.app.stop().await;
}

#[test]
fn what_can_be_counted_declares_the_headers_that_say_so() {
    for (path, item) in api()["paths"].as_object().unwrap() {
        let operation = &item["get"];
        let headers = &operation["responses"]["200"]["headers"];
        for name in ["RateLimit", "RateLimit-Policy"] {
            let wanted = operation.get("parameters").filter(|_| path != EVENTS).map(|_| false);
            assert_eq!(headers[name]["required"].as_bool(), wanted, "{path}: {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_path_of_a_proxy_every_address_begins_with_it() {
    let mounted = "[server]\npublic_url = \"https://gia.example.vn/board/\"\n";
    let house = House::with(|_| {}, |text| text.replacen("[server]\n", mounted, 1)).await;
    house.settled().await;
    let nothing = is_problem(house.get("/v1/nothing").await, 404, "mounted").await;
    assert_eq!(
        (&nothing["type"], &nothing["instance"]),
        (&json!("/board/docs/problems/not-found"), &json!("/board/v1/nothing"))
    );
    let raw = crate::limits::exchange(&house, &[b"GARBAGE\r\n\r\n"]).await;
    assert!(raw.contains("\"type\":\"/board/docs/problems/bad-request\""), "{raw}");
    assert_eq!(house.json("/openapi.json").await["servers"], json!([{ "url": "/board" }]));
    let page = house.get("/docs/problems/not-found").await.text().await.unwrap();
    assert!(page.contains("<code>/board/docs/problems/not-found</code>"));
    // No proxy stands before the other listener.
    let ops = format!("http://{}/nothing", house.app.ops);
    let nothing = is_problem(crate::house::client().get(ops).send().await.unwrap(), 404, "ops").await;
    assert_eq!(nothing["type"], "/docs/problems/not-found");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_is_complete_and_uses_nothing_foreign() {
    let house = House::on_a_good_day().await;
    let page = house.get("/docs").await.text().await.unwrap();
    for (path, query) in requests(&api()) {
        let run = format!("href=\"{}{}\"", path.trim_start_matches('/'), query.replace('&', "&#38;"));
        assert!(page.contains(&run), "no runnable request for {path}: {run}");
        assert!(page.contains(&format!("curl 'http://127.0.0.1:8080{path}")), "{path}");
    }
    assert!(!page.contains("<script") && !page.contains("style="), "no script, no inline style");
    for asset in page.split("src=\"").skip(1).chain(page.split("rel=\"stylesheet\" href=\"").skip(1)) {
        assert!(!asset.starts_with("http") && !asset.starts_with("//"), "{asset:.40}");
    }
    // One policy a page, that lets its own style in.
    for path in ["/", "/docs", "/docs/problems", "/docs/problems/not-found", "/widgets/panel"] {
        let response = house.get(path).await;
        assert_eq!(names(response.headers()).len(), response.headers().len(), "{path}");
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("style-src '") && policy.contains("frame-ancestors "), "{path}: {policy}");
        assert_eq!(response.headers().contains_key("x-frame-options"), path != "/widgets/panel", "{path}");
    }
    // The style has the hash of its bytes in its name, and never changes there.
    let style = page.split("rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let response = house.get(&format!("/{style}")).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["cache-control"]),
        (200, &"public, max-age=31536000, immutable".parse().unwrap())
    );
    assert_eq!(house.get("/assets/pages-0000000000000000.css").await.status(), 404);
    let served: Value =
        serde_json::from_str(&house.get("/openapi.json").await.text().await.unwrap()).unwrap();
    assert_eq!(served, api());
    let index = house.json("/v1").await;
    for (name, address) in index["documents"].as_object().unwrap() {
        assert!(address.as_str().unwrap().ends_with(&format!("/v1/{name}")), "{address}");
    }
    assert_eq!(index["version"], "v1");
    assert!(index["docs"].as_str().unwrap().ends_with("/docs"));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_pages_and_of_the_other_listener_are_problems_too() {
    let house = House::on_a_good_day().await;
    for path in [
        "/nothing",
        "/v1/",
        "/v1/goldx",
        "/widgets/clock",
        "/docs/problems/none",
        "/v2/gold",
        "/%00",
        "/v1/gold%2ecsv",
    ] {
        is_problem(house.get(path).await, 404, path).await;
    }
    for path in ["/", "/docs", "/widgets/panel", "/openapi.json"] {
        is_problem(house.request(Method::POST, path, &[]).await, 405, path).await;
    }
    let wrong = is_problem(house.get("/widgets/panel?theme=%3Cscript%3E").await, 422, "theme").await;
    assert_eq!(
        wrong["errors"],
        json!([{ "parameter": "theme", "value": "<script>", "allowed": ["light", "dark", "auto", "transparent"] }])
    );
    let ops = |path: &str| format!("http://{}{path}", house.app.ops);
    let client = crate::house::client();
    let nothing = is_problem(client.get(ops("/nothing")).send().await.unwrap(), 404, "ops").await;
    let kind = client.get(ops(nothing["type"].as_str().unwrap())).send().await.unwrap();
    assert_eq!(kind.status(), 200, "its type leads somewhere on this listener too");
    is_problem(client.post(ops("/livez")).send().await.unwrap(), 405, "ops").await;
    is_problem(client.get(ops("/v1/gold")).send().await.unwrap(), 404, "the API is not on the ops listener")
        .await;
    for path in ["/livez", "/readyz"] {
        let response = client.get(ops(path)).send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
        assert_eq!(response.status(), 200, "{path}");
    }
    house.app.stop().await;
}
