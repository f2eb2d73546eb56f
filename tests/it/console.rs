//! The console at `/admin` as a browser without scripts meets it: forms as they are posted, the pages that come back, and
//! what must never be on them. The same in Chromium: tests/browser/console.mjs.

use std::{collections::BTreeMap, net::SocketAddr};

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::{
    house::client,
    service::{Service, banggia, write_config},
    world::{Simulation, at, board_step, tape},
};

const DAY: &str = "2026-09-30T09:00:00+07:00";
/// Every visible character that may do harm in markup or in a form.
const TOKEN: &str = r#"a"b'c<d>&amp;e+f%20g=h;i/j\k"#;
const PAGE: &str = "text/html; charset=utf-8";

/// A service with a token, and the folder of its file.
struct Desk {
    house: Simulation,
    folder: crate::canary::Folder,
}

fn config_text(more: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite::memory:\"\n{more}"
    )
}

fn with_token(more: &str) -> String {
    config_text(&format!("[secrets]\nadmin_token = \'\'\'{TOKEN}\'\'\'\n{more}"))
}

impl Desk {
    async fn open(text: &str) -> Self {
        let folder = crate::canary::tempdir().unwrap();
        let file = folder.path().join("banggia.toml");
        std::fs::write(&file, text.replace("KEPT", &folder.path().join("kept.toml").display().to_string()))
            .unwrap();
        Self { house: Simulation::of_file(&file, DAY).await, folder }
    }

    /// Changes for good have no place, since the store is in memory.
    async fn new() -> Self {
        Self::open(&with_token("")).await
    }

    /// They have one.
    async fn that_keeps() -> Self {
        Self::open(&with_token("[admin]\noverrides = \"KEPT\"\n")).await
    }
}

struct Page {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Page {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The first part from `start` to `end`.
    fn part(&self, start: &str, end: &str) -> &str {
        let from = self.text.find(start).unwrap_or_else(|| panic!("no {start} in {}", self.text));
        let rest = &self.text[from..];
        &rest[..rest.find(end).unwrap_or(rest.len())]
    }

    /// What came of the act.
    fn note(&self) -> &str {
        self.part("<div class=\"note", "</div>")
    }

    fn feed(&self, id: &str) -> &str {
        self.part(&format!("<li class=\"feed\" id=\"feed-{id}\""), "</details>")
    }

    fn title(&self) -> &str {
        self.part("<title>", "</title>").trim_start_matches("<title>")
    }
}

async fn request(
    ops: SocketAddr,
    method: Method,
    query: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Page {
    let mut request = client().request(method, format!("http://{ops}/admin{query}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.body(body).send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    Page { status, headers, text: answer.text().await.unwrap() }
}

async fn get(ops: SocketAddr, query: &str) -> Page {
    request(ops, Method::GET, query, &[("accept", "text/html,*/*;q=0.8")], String::new()).await
}

fn encoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// As a browser posts a form of the page.
async fn post(ops: SocketAddr, fields: &[(&str, &str)]) -> Page {
    let headers = [
        ("accept", "text/html,*/*;q=0.8"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("sec-fetch-site", "same-origin"),
        ("origin", "null"),
    ];
    request(ops, Method::POST, "", &headers, encoded(fields)).await
}

/// An act of somebody who is signed in.
async fn act(ops: SocketAddr, what: &str, fields: &[(&str, &str)]) -> Page {
    let mut all = vec![("access_token", TOKEN), ("lang", "en"), ("do", what)];
    all.extend(fields);
    post(ops, &all).await
}

async fn json_of(ops: SocketAddr, path: &str) -> Value {
    let request = client().get(format!("http://{ops}/admin/{path}")).bearer_auth(TOKEN);
    serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
}

async fn acts(ops: SocketAddr) -> usize {
    json_of(ops, "audit").await["acts"].as_array().unwrap().len()
}

fn unescaped(text: &str) -> String {
    [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The values of all fields of this name.
fn fields(text: &str, name: &str) -> Vec<String> {
    let start = format!("name=\"{name}\" value=\"");
    text.split(&start).skip(1).map(|rest| unescaped(rest.split('"').next().unwrap())).collect()
}

/// A source's answer with one change of its text.
fn changed(feed: &str, source: &str, change: impl Fn(String) -> String) -> BTreeMap<String, Vec<u8>> {
    let mut tape = tape(feed, source, 0);
    let step = board_step(&tape);
    let text = String::from_utf8(tape.remove(&step).unwrap()).unwrap();
    tape.insert(step, change(text).into_bytes());
    tape
}

/// Vietcombank's euro four percent higher, under a name that it gave itself.
fn hold_the_euro(house: &Simulation, name: &str) {
    let name = serde_json::to_string(name).unwrap();
    let tape = changed("vietcombank.fx", "json", |text| {
        let mut board: Value = serde_json::from_str(&text).unwrap();
        for row in board["Data"].as_array_mut().unwrap() {
            if row["currencyCode"] == "EUR" {
                for side in ["cash", "transfer", "sell"] {
                    let price: rust_decimal::Decimal = row[side].as_str().unwrap().parse().unwrap();
                    row[side] = json!((price * rust_decimal::dec!(1.04)).round_dp(2).to_string());
                }
                row["currencyName"] = serde_json::from_str(&name).unwrap();
            }
        }
        board.to_string()
    });
    house.world.says("vietcombank.fx", "json", tape);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_asks_for_the_token_and_tells_nothing_before_it_has_it() {
    let Desk { house, folder: _folder } = Desk::new().await;
    let page = get(house.app.ops, "").await;
    assert_eq!((page.status, page.header("content-type")), (StatusCode::OK, PAGE));
    for word in ["doji.gold", "bidv.fx", "test.toml", env!("CARGO_PKG_VERSION"), "audit", "href=\"#feeds\""] {
        assert!(!page.text.contains(word), "{word}");
    }
    // What a password manager looks for, and a form that sends it in a body.
    for part in [
        "<form class=\"enter\" method=\"post\" action=\"/admin\">",
        "name=\"access_token\" type=\"password\" autocomplete=\"current-password\"",
        "name=\"username\" value=\"banggia\" autocomplete=\"username\"",
        "<html lang=\"vi\">",
    ] {
        assert!(page.text.contains(part), "{part}");
    }
    assert!(get(house.app.ops, "?lang=en").await.text.contains("<html lang=\"en\">"));
    let wrong = get(house.app.ops, "?lang=%22%3E%3Cscript%3E").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!wrong.text.contains("<script>"), "{}", wrong.text);
    // A program gets no page.
    let program = request(house.app.ops, Method::GET, "", &[("accept", "*/*")], String::new()).await;
    assert_eq!(
        (program.status, program.header("content-type")),
        (StatusCode::UNAUTHORIZED, "application/problem+json")
    );
    let head = request(house.app.ops, Method::HEAD, "", &[("accept", "text/html")], String::new()).await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_a_wrong_token_gets_the_sentence_and_never_itself_and_whoever_guesses_waits() {
    let Desk { house, folder: _folder } = Desk::new().await;
    let empty = post(house.app.ops, &[("access_token", ""), ("lang", "vi")]).await;
    assert_eq!(empty.status, StatusCode::UNAUTHORIZED);
    assert!(empty.text.contains("Hãy nhập mã."));
    for guess in 0..10 {
        let wrong = format!("wrong-{guess}-\"><script>");
        let page = post(house.app.ops, &[("access_token", &wrong), ("lang", "en"), ("do", "pause")]).await;
        assert_eq!((page.status, page.header("content-type")), (StatusCode::UNAUTHORIZED, PAGE), "{guess}");
        assert!(page.header("www-authenticate").starts_with("Bearer"), "{guess}");
        assert!(page.text.contains("This is not the token.") && page.text.contains("role=\"alert\""));
        assert!(!page.text.contains("wrong-") && !page.text.contains("bidv.fx"), "{}", page.text);
    }
    for token in ["wrong-10", TOKEN] {
        let page = post(house.app.ops, &[("access_token", token), ("lang", "en")]).await;
        assert_eq!((page.status, page.header("content-type")), (StatusCode::TOO_MANY_REQUESTS, PAGE));
        let seconds: u64 = page.header("retry-after").parse().unwrap();
        assert!(seconds > 0, "{seconds}");
        assert!(page.text.contains("Too many wrong tokens. Try again in"), "{}", page.text);
        assert!(!page.text.contains("bidv.fx"));
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_in_the_configuration_there_is_no_console() {
    let Desk { house, folder: _folder } = Desk::open(&config_text("")).await;
    for page in
        [get(house.app.ops, "").await, post(house.app.ops, &[("access_token", ""), ("do", "reload")]).await]
    {
        assert_eq!(
            (page.status, page.header("content-type")),
            (StatusCode::NOT_FOUND, "application/problem+json")
        );
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_any_visible_characters_comes_back_in_every_form_and_nowhere_else() {
    let Desk { house, folder: _folder } = Desk::new().await;
    let page = post(house.app.ops, &[("access_token", TOKEN), ("lang", "en")]).await;
    assert_eq!(page.status, StatusCode::OK);
    let forms = page.text.matches("<form").count();
    let tokens = fields(&page.text, "access_token");
    assert!(forms >= 14, "{forms}");
    assert_eq!(tokens, vec![TOKEN.to_owned(); forms]);
    assert!(!page.text.contains(TOKEN), "it is escaped");
    let rest = unescaped(&page.text.replace("name=\"access_token\" value=\"", "\u{0}"));
    assert_eq!(rest.matches(TOKEN).count(), forms, "it is nowhere but in the forms");
    assert_eq!(page.text.matches("method=\"post\" action=\"/admin\"").count(), forms);
    // Somebody whose browser sends the header gets forms that work as well.
    let headers = [("accept", "text/html"), ("authorization", &format!("Bearer {TOKEN}"))];
    let by_header = request(house.app.ops, Method::GET, "?lang=en", &headers, String::new()).await;
    assert_eq!(fields(&by_header.text, "access_token").len(), forms);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a18_no_page_of_the_console_may_be_kept_framed_or_run_a_script() {
    let Desk { house, folder: _folder } = Desk::new().await;
    for page in [
        get(house.app.ops, "").await,
        post(house.app.ops, &[("access_token", "wrong")]).await,
        act(house.app.ops, "show", &[]).await,
        act(house.app.ops, "schedule", &[("feed", "bidv.fx"), ("schedule", "often")]).await,
    ] {
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.ends_with("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(policy.contains("form-action 'self'") && policy.contains("base-uri 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
        for name in ["set-cookie", "access-control-allow-origin", "location"] {
            assert!(!page.headers.contains_key(name), "{name}");
        }
        for part in ["<script", "style=", "javascript:", " onclick"] {
            assert!(!page.text.contains(part), "{part}");
        }
        // What it links to is here.
        for file in ["pages", "console", "icon"] {
            let path = page.part(&format!("/assets/{file}-"), "\"");
            let asset = client().get(format!("http://{}{path}", house.app.ops)).send().await.unwrap();
            assert_eq!(asset.status(), StatusCode::OK, "{path}");
        }
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a17_a_form_of_another_site_does_nothing_whatever_token_it_brings() {
    let Desk { house, folder: _folder } = Desk::new().await;
    for site in ["cross-site", "same-site", "something-new"] {
        for kind in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"] {
            let body = encoded(&[("access_token", TOKEN), ("do", "pause"), ("feed", "bidv.fx")]);
            let headers = [
                ("content-type", kind),
                ("sec-fetch-site", site),
                ("cookie", "token=x"),
                ("accept", "text/html"),
            ];
            let page = request(house.app.ops, Method::POST, "", &headers, body).await;
            assert_eq!(
                (page.status, page.header("content-type")),
                (StatusCode::FORBIDDEN, "application/problem+json"),
                "{site} {kind}"
            );
        }
    }
    // And one that no browser has marked, of somebody who has no token: a cookie or an address does not help.
    let body = encoded(&[("do", "pause"), ("feed", "bidv.fx")]);
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("cookie", "access_token=x")];
    let query = format!("?{}", encoded(&[("access_token", TOKEN)]));
    assert_eq!(
        request(house.app.ops, Method::POST, &query, &headers, body).await.status,
        StatusCode::UNAUTHORIZED,
        "the token of an address is none"
    );
    assert_eq!(acts(house.app.ops).await, 0);
    assert!(!house.feed("bidv.fx").state.paused);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_looked_at_changed_for_now_and_for_good_and_taken_back() {
    let Desk { house, folder } = Desk::that_keeps().await;
    let kept = folder.path().join("kept.toml");
    let runs = |page: &Page| -> Vec<String> {
        let feed = page.feed("bidv.fx").to_owned();
        let start = feed.find("<ol class=\"runs\"").unwrap();
        let plan = &feed[start..start + feed[start..].find("</ol>").unwrap()];
        plan.split("<time datetime=\"").skip(1).map(|rest| rest[..25].to_owned()).collect()
    };
    let seven: Vec<String> = ["09-30T20", "10-01T20", "10-02T20", "10-03T20", "10-04T20"]
        .iter()
        .map(|day| format!("2026-{day}:07"))
        .collect();
    let is_seven = |found: &[String]| {
        found.len() == 5 && found.iter().zip(&seven).all(|(found, wanted)| found.starts_with(wanted.as_str()))
    };
    let show = act(house.app.ops, "show", &[]).await;
    let usual = runs(&show);
    assert_eq!(usual.len(), 5);
    assert!(show.feed("bidv.fx").contains("by default"));
    assert!(!show.feed("bidv.fx").contains("value=\"reset\""), "there is nothing to take back");

    let looked = act(
        house.app.ops,
        "preview",
        &[("feed", "bidv.fx"), ("schedule", "7 20 * * *"), ("persist", "good")],
    )
    .await;
    assert_eq!(looked.status, StatusCode::OK);
    assert!(
        looked.note().contains("If bidv.fx ran by 7 20 * * *") && looked.note().contains("T20:07"),
        "{}",
        looked.note()
    );
    assert_eq!(runs(&looked), usual, "looking changes nothing");
    assert!(
        looked.feed("bidv.fx").contains("value=\"7 20 * * *\"")
            && looked.feed("bidv.fx").contains("<details open>")
    );
    assert!(looked.feed("bidv.fx").contains("value=\"good\" checked"));
    assert_eq!(acts(house.app.ops).await, 0);

    let now = act(
        house.app.ops,
        "schedule",
        &[("feed", "bidv.fx"), ("schedule", " 7 20 * * * "), ("persist", "now")],
    )
    .await;
    assert!(
        now.note().contains("role=\"status\"")
            && now.note().contains("bidv.fx runs by 7 20 * * * now, until the next restart.")
    );
    assert!(is_seven(&runs(&now)), "{:?}", runs(&now));
    assert!(now.feed("bidv.fx").contains("set on this page, until the next restart"));
    assert!(!kept.exists());

    let good = act(
        house.app.ops,
        "schedule",
        &[("feed", "bidv.fx"), ("schedule", "7 20 * * *"), ("persist", "good")],
    )
    .await;
    assert!(good.note().contains("now, for good."));
    assert!(
        good.feed("bidv.fx").contains("set on this page, for good (")
            && good.feed("bidv.fx").contains("kept.toml:")
    );
    assert!(std::fs::read_to_string(&kept).unwrap().contains("schedule = \"7 20 * * *\""));

    let back = act(house.app.ops, "reset", &[("feed", "bidv.fx"), ("schedule", "anything")]).await;
    assert!(
        back.note().contains("bidv.fx is back to the configuration&#39;s schedule, */10 8-17 * * Mon-Fri."),
        "{}",
        back.note()
    );
    assert_eq!(runs(&back), usual);
    // Every one of them is on the page, newest first, as done here.
    let audit = back.part("<table class=\"audit\"", "</table>");
    assert_eq!(audit.matches("Schedule <bdi><code>bidv.fx</code></bdi>").count(), 3, "{audit}");
    assert_eq!(audit.matches("<small>this page</small>").count(), 3);
    assert!(audit.find("(default)").unwrap() < audit.find("until the next restart").unwrap());
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_paused_asked_and_resumed_and_the_page_says_so() {
    let Desk { house, folder: _folder } = Desk::that_keeps().await;
    for (how, sentence, origin) in [
        (
            "pause",
            "until it is resumed or the service starts again",
            "set on this page, until the next restart",
        ),
        ("pause-for-good", "also after a restart", "set on this page, for good ("),
    ] {
        let page = act(house.app.ops, how, &[("feed", "tpbank.gold")]).await;
        assert!(page.note().contains(sentence), "{}", page.note());
        let feed = page.feed("tpbank.gold");
        assert!(
            feed.contains("Paused")
                && feed.contains(origin)
                && feed.contains("Does not run until it is resumed."),
            "{feed}"
        );
        assert!(page.title().contains("1 paused"), "{}", page.title());
        assert!(house.feed("tpbank.gold").state.paused);

        let page = act(house.app.ops, "resume", &[("feed", "tpbank.gold")]).await;
        assert!(page.note().contains("tpbank.gold runs again."), "{}", page.note());
        assert!(
            !page.feed("tpbank.gold").contains("Paused")
                && page.feed("tpbank.gold").contains("class=\"runs\"")
        );
    }
    let asked = house.world.asked("ocb.deposit");
    let page = act(house.app.ops, "refresh", &[("feed", "ocb.deposit")]).await;
    assert!(page.note().contains("ocb.deposit was asked: there is a board."), "{}", page.note());
    assert!(house.world.asked("ocb.deposit") > asked);
    assert!(page.feed("ocb.deposit").contains("Fresh"));
    // Once more at once is too soon.
    let page = act(house.app.ops, "refresh", &[("feed", "ocb.deposit")]).await;
    assert_eq!((page.status, page.header("content-type")), (StatusCode::TOO_MANY_REQUESTS, PAGE));
    assert!(!page.header("retry-after").is_empty());
    assert!(page.note().contains("role=\"alert\"") && page.note().contains("was asked on request less than"));
    // Nobody answers: the page says which way each source failed.
    house.world.fails("bidv.deposit", "rates", || banggia::fetch::Outcome::Connect("closed".to_owned()));
    let page = act(house.app.ops, "refresh", &[("feed", "bidv.deposit")]).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.note().contains("no source gave a board") && page.note().contains("<bdi>connect</bdi>"),
        "{}",
        page.note()
    );
    assert!(page.feed("bidv.deposit").contains("failing") && page.feed("bidv.deposit").contains("closed"));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_values_stand_first_with_both_figures_and_are_accepted_or_rejected() {
    let Desk { house, folder: _folder } = Desk::new().await;
    house.refresh("vietcombank.fx").await;
    hold_the_euro(&house, "EURO");
    house.move_to(at("2026-09-30T09:10:00+07:00")).await;
    house.refresh("vietcombank.fx").await;
    let page = act(house.app.ops, "show", &[]).await;
    assert!(page.title().starts_with("1 held, "), "{}", page.title());
    assert!(page.text.find("id=\"held\"").unwrap() < page.text.find("id=\"feeds\"").unwrap());
    let held = page.part("<article class=\"hold\">", "</article>");
    for part in [
        "vietcombank.fx.EUR",
        "31,414.30",
        "32,670.87",
        "+4.0%",
        "09:10",
        "more than 3% at once",
        "times read alike: 1",
        "It is released when",
    ] {
        assert!(held.contains(part), "no {part} in {held}");
    }
    let rejected = act(house.app.ops, "reject", &[("quote", "vietcombank.fx.EUR")]).await;
    assert!(
        rejected.note().contains("The new value of vietcombank.fx.EUR was rejected."),
        "{}",
        rejected.note()
    );
    assert!(!rejected.title().contains("held"), "{}", rejected.title());
    assert!(
        rejected
            .part("<article class=\"hold\">", "</article>")
            .contains("Rejected, and still sent by the source")
    );
    // A hand that slipped can take it back.
    let accepted = act(house.app.ops, "accept", &[("quote", "vietcombank.fx.EUR")]).await;
    assert!(accepted.note().contains("was accepted."), "{}", accepted.note());
    assert!(!accepted.text.contains("<article class=\"hold\">"));
    let fx = house.json("/v1/fx?providers=vietcombank&currencies=EUR").await;
    assert_eq!(fx["quotes"][0]["sell"], "32670.87");
    let audit = accepted.part("<table class=\"audit\"", "</table>");
    assert!(
        audit.contains("Accept <bdi><code>vietcombank.fx.EUR</code></bdi>")
            && audit.contains("sell 32670.87"),
        "{audit}"
    );
    // What nobody holds cannot be decided on.
    let none = act(house.app.ops, "accept", &[("quote", "vietcombank.fx.EUR")]).await;
    assert_eq!((none.status, none.header("content-type")), (StatusCode::NOT_FOUND, PAGE));
    assert!(
        none.note().contains("nothing is held at vietcombank.fx.EUR; no value is held at all"),
        "{}",
        none.note()
    );
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_in_full_and_what_was_typed_stays_in_its_field() {
    let Desk { house, folder: _folder } = Desk::new().await;
    let typed = r#"*/10 8-99 * * "><script>alert(1)</script>"#;
    for what in ["preview", "schedule"] {
        let page = act(house.app.ops, what, &[("feed", "bidv.fx"), ("schedule", typed)]).await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (StatusCode::UNPROCESSABLE_ENTITY, PAGE),
            "{what}"
        );
        assert!(page.title().starts_with("Not done: Schedule bidv.fx · "), "{}", page.title());
        let note = page.note();
        assert!(
            note.contains("role=\"alert\"")
                && note.contains("feeds.bidv.fx.schedule")
                && note.contains("allowed are five fields"),
            "{note}"
        );
        assert!(note.contains("href=\"#schedule-bidv.fx\""), "{note}");
        assert_eq!(fields(page.feed("bidv.fx"), "schedule"), [typed]);
        assert!(
            page.feed("bidv.fx").contains("<details open>")
                && page.feed("bidv.fx").contains("aria-invalid=\"true\"")
        );
        assert_eq!(
            fields(page.feed("doji.gold"), "schedule"),
            ["*/10 8-18 * * Mon-Sat"],
            "others keep theirs"
        );
        assert!(!page.text.contains("<script"), "{what}");
        assert_eq!(house.feed("bidv.fx").state.rules.schedule.to_string(), "*/10 8-17 * * Mon-Fri");
    }
    for (what, feed, schedule, status, why) in [
        ("schedule", "sjc.gold", "* * * * *", 404, "there is no feed sjc.gold; allowed are"),
        ("preview", "sjc.gold", "* * * * *", 404, "there is no feed sjc.gold; allowed are"),
        ("pause", "", "", 404, "there is no feed"),
        ("explode", "bidv.fx", "", 422, "there is no act &#34;explode&#34;; allowed are show, reload"),
        ("schedule", "bidv.fx", "0 0 30 2 *", 422, "never comes due"),
        // The store is in memory.
        ("pause-for-good", "bidv.fx", "", 409, "there is no file for changes for good"),
    ] {
        let page =
            act(house.app.ops, what, &[("feed", feed), ("schedule", schedule), ("persist", "now")]).await;
        assert_eq!((page.status.as_u16(), page.header("content-type")), (status, PAGE), "{what} {feed}");
        assert!(page.note().contains(why), "{what} {feed}: {}", page.note());
    }
    assert!(!house.feed("bidv.fx").state.paused);
    let page = act(
        house.app.ops,
        "schedule",
        &[("feed", "bidv.fx"), ("schedule", "7 20 * * *"), ("persist", "good")],
    )
    .await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert_eq!(fields(page.feed("bidv.fx"), "schedule"), ["7 20 * * *"]);
    assert!(page.feed("bidv.fx").contains("there is no file to write to"));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_environment_sets_is_named_and_cannot_be_changed_on_the_page() {
    let folder = crate::canary::tempdir().unwrap();
    let mut text = with_token("");
    for (_, feed) in providers::feeds().filter(|(_, feed)| feed.id != "bidv.fx") {
        text.push_str(&format!("[feeds.{}]\nenabled = false\n", feed.id));
    }
    // Nobody is asked: there is nobody at that port.
    text.push_str("[feeds.bidv.fx.sources.board]\nurl = \"http://127.0.0.1:9/\"\nallow_private = true\n");
    let config = write_config(folder.path(), "banggia.toml", &text);
    let mut command = banggia();
    command
        .env("BANGGIA_FEEDS__BIDV__FX__SCHEDULE", "*/30 * * * *")
        .env("BANGGIA_SECRETS__ADMIN_TOKEN", TOKEN);
    let service = Service::start_by(command, &config);
    service.wait_log("ops listener on http://");
    let log = service.log();
    let (_, rest) = log.split_once("ops listener on http://").unwrap();
    let ops = rest.lines().next().unwrap().trim().parse().unwrap();
    let page = act(ops, "show", &[]).await;
    assert!(page.feed("bidv.fx").contains("set by the environment, BANGGIA_FEEDS__BIDV__FX__SCHEDULE"));
    for what in ["preview", "schedule"] {
        let page = act(ops, what, &[("feed", "bidv.fx"), ("schedule", "7 20 * * *")]).await;
        assert_eq!(page.status, StatusCode::CONFLICT, "{what}");
        assert!(page.note().contains("stands above the console; change it there"), "{}", page.note());
        assert_eq!(fields(page.feed("bidv.fx"), "schedule"), ["7 20 * * *"]);
    }
    service.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_was_refused_is_told_until_a_good_one_is_read() {
    let Desk { house, folder } = Desk::new().await;
    let file = folder.path().join("banggia.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{good}[feeds.bidv.fx]\nschedul = \"<b>\"\nmax_jump = \"much\"\n"))
        .unwrap();
    let page = act(house.app.ops, "reload", &[]).await;
    assert_eq!((page.status, page.header("content-type")), (StatusCode::UNPROCESSABLE_ENTITY, PAGE));
    let note = page.note();
    for part in [
        "banggia.toml:9: unknown key feeds.bidv.fx.schedul; did you mean",
        "The old one stays in force as a whole.",
    ] {
        assert!(note.contains(part), "no {part} in {note}");
    }
    assert!(!page.text.contains("id=\"refused\""), "it is not told twice");
    for what in ["show", "pause"] {
        let page = act(house.app.ops, what, &[("feed", "doji.gold")]).await;
        assert!(page.title().starts_with("The new configuration was refused"), "{}", page.title());
        assert!(page.part("id=\"refused\"", "</section>").contains("banggia.toml:9: unknown key"));
        assert_eq!(page.text.matches("<li class=\"feed\"").count(), 6, "everything goes on");
    }
    std::fs::write(&file, format!("{good}[feeds.bidv.fx]\nschedule = \"7 20 * * *\"\n")).unwrap();
    let page = act(house.app.ops, "reload", &[]).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.note().contains("1 change:") && page.note().contains("<bdi>feeds.bidv.fx.schedule: "),
        "{}",
        page.note()
    );
    assert!(page.feed("bidv.fx").contains("set in ") && page.feed("bidv.fx").contains("banggia.toml:9"));
    assert!(!page.title().contains("refused") && !page.text.contains("id=\"refused\""));
    let page = act(house.app.ops, "reload", &[]).await;
    assert!(page.note().contains("nothing changed"), "{}", page.note());
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a01_texts_of_sources_and_of_whoever_typed_are_text_on_the_console() {
    let Desk { house, folder: _folder } = Desk::new().await;
    house.refresh("vietcombank.fx").await;
    hold_the_euro(&house, "\"><script>alert(1)</script>\u{202e}<img src=x onerror=alert(2)>");
    house.refresh("vietcombank.fx").await;
    house.world.script(
        "bidv.deposit",
        "rates",
        Box::new(|_| Ok(b"<!doctype html><title>\"><svg onload=alert(3)></title>".to_vec())),
    );
    house.refresh("bidv.deposit").await;
    let typed = "\"><iframe src=javascript:alert(4)>";
    act(house.app.ops, "reject", &[("quote", typed)]).await;
    act(house.app.ops, typed, &[("feed", typed), ("quote", typed), ("schedule", typed)]).await;
    for lang in ["vi", "en"] {
        let page = post(house.app.ops, &[("access_token", TOKEN), ("lang", lang)]).await;
        // All of it is on the page, as text.
        let held = page.part("<article class=\"hold\">", "</article>");
        assert!(held.contains("<bdi>&#34;&#62;&#60;script&#62;alert(1)&#60;/script&#62;"), "{held}");
        assert!(!page.text.contains('\u{202e}'), "no text turns the line around");
        assert!(
            page.part("<table class=\"audit\"", "</table>")
                .contains("&#60;iframe src=javascript:alert(4)&#62;")
        );
        for part in ["<script", "<img", "<iframe", "onload=\"", "onerror=\""] {
            assert!(!page.text.contains(part), "{lang}: {part}");
        }
        let images = |page: &Page| page.text.matches("<svg class=\"icon\"").count();
        assert_eq!(page.text.matches("<svg").count(), images(&page));
        assert!(images(&page) > 6);
    }
    house.app.stop().await;
}
