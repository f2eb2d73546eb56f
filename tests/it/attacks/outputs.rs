//! What sources write, in whatever form it leaves: markup, formulas, invisible characters, links; and the headers that
//! keep data from being taken for a page.

use std::collections::BTreeSet;

use serde_json::Value;
use widgets::{
    Look,
    model::{
        Content, Figure, Foot, FootState, FxList, FxListRow, GoldHouse, GoldList, GoldRow, GoldUnit, Product,
        Status, Tape, TapeItem, TapeWhat, When, Widget,
    },
};

use super::{EVERYTHING, REFUSED, header, unlimited};
use crate::{
    bank::Reply,
    house::{House, path, recorded},
};

const MARKUP: &[&str] = &[
    "<img src=x onerror=alert(1)>",
    "\"><script>alert(2)</script>",
    "</title><svg onload=alert(3)>",
    "javascript:alert(4)",
    "]]><script>alert(5)</script>",
    "</script><script>alert(6)</script>",
    "'-alert(7)-'",
    "--><img src=x onerror=alert(8)>",
    "{{alert(9)}}",
];

const FORMULAS: &[&str] = &[
    "=HYPERLINK(\"http://evil.example\",\"x\")",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "＝1+1",
    "＋1",
    "－1",
    "＠SUM(1)",
    "\t=1+1",
    "\r\n=1+1",
    "=1+1\",\"=2",
];

/// Characters that nobody sees, and that turn or join what stands beside them.
const UNSEEN: &[&str] = &[
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{200d}",
    "\u{feff}",
    "\u{ad}",
    "\u{e0041}",
    "\u{0}",
    "\u{1b}[31m",
    "\u{9b}",
];

/// Puts texts into every name of an answer in JSON.
fn poison(answer: &mut Value, texts: &mut dyn Iterator<Item = String>) {
    match answer {
        Value::Object(fields) => {
            for (key, value) in fields {
                let is_name = key.to_lowercase().contains("name") && key != "namerecord";
                match value {
                    Value::String(name) if is_name => *name = texts.next().unwrap(),
                    other => poison(other, texts),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, texts)),
        _ => {}
    }
}

/// A house whose sources write these texts wherever they write a name.
async fn poisoned(texts: &[String]) -> House {
    let mut texts = texts.iter().cycle().cloned();
    let house = House::with(
        |bank| {
            for (address, feed, source, step) in [
                (path("doji.gold", "vangtoday"), "doji.gold", "vangtoday", None),
                (path("vietcombank.fx", "json"), "vietcombank.fx", "json", None),
                ("/bidv.fx/ExchangeDetailServlet".to_owned(), "bidv.fx", "board", Some("board")),
            ] {
                let mut answer: Value = serde_json::from_slice(&recorded(feed, source, 0, step)).unwrap();
                poison(&mut answer, &mut texts);
                bank.script(&address, [Reply::ok(answer.to_string())]);
            }
        },
        |text| text.replacen("[server]\n", "[server]\nrate_limit = 0\n", 1),
    )
    .await;
    house.settled().await;
    house
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The names in a list.
fn names(document: &Value) -> BTreeSet<String> {
    let quotes = document["quotes"].as_array().unwrap();
    quotes.iter().filter_map(|quote| quote["name"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a01_what_sources_write_is_text_in_every_output() {
    let house = poisoned(&owned(MARKUP)).await;
    // A source that refuses in markup as well.
    let said = serde_json::json!({ "success": false, "message": MARKUP.join(" ") });
    house.bank.script(&path("doji.gold", "vangtoday"), [Reply::ok(said.to_string())]);
    house.refresh("doji.gold").await;
    let told = house.get("/v1/feeds").await.text().await.unwrap();
    assert!(told.contains("\\u003cimg src=x onerror=alert(1)"), "the reason is told: {told}");
    let served: BTreeSet<String> =
        [house.json("/v1/fx").await, house.json("/v1/gold").await].iter().flat_map(names).collect();
    for text in MARKUP {
        assert!(served.contains(*text), "it arrives as it was written: {text}");
    }
    for (address, content_type) in EVERYTHING {
        let response = house.get(address).await;
        assert_eq!(
            (response.status().as_u16(), &*header(&response, "content-type")),
            (200, *content_type),
            "{address}"
        );
        let body = response.bytes().await.unwrap();
        let text = String::from_utf8_lossy(&body);
        match *content_type {
            "application/json" if address.starts_with("/v1") => {
                assert!(!text.contains(['<', '>', '&']), "{address}: may stand in an attribute");
            }
            kind if kind.starts_with("text/csv") => {}
            // Pages, includes, pictures and oEmbed show names of our own only.
            _ => assert!(!text.contains("alert("), "{address} shows what a source wrote"),
        }
    }
    house.app.stop().await;
}

#[test]
fn a01_a_hostile_name_in_a_widget_is_text_in_page_fragment_tree_svg_and_png() {
    let hostile = MARKUP.join(" ");
    let now = "2026-09-30T02:12:00Z".parse().unwrap();
    let figure = || Figure {
        value: Some(rust_decimal::Decimal::from(25_000)),
        status: Status::Fresh,
        change: None,
        held: true,
        borrowed: Some(('<', hostile.clone())),
        foot: 0,
    };
    let foot = || Foot {
        mark: Some('<'),
        name: hostile.clone(),
        url: format!("https://x.example/{hostile}"),
        via: Some((hostile.clone(), "javascript:alert(1)".to_owned())),
        state: FootState::Held { what: Some(hostile.clone()), since: now },
        until: None,
    };
    let product = || Product { id: hostile.clone(), place: Some(hostile.clone()) };
    let list =
        FxListRow { code: hostile.clone(), buy_cash: figure(), buy_transfer: figure(), sell: figure() };
    let row = GoldRow { product: product(), buy: figure(), sell: figure(), trend: vec![(now, 1.into())] };
    let item = |what| TapeItem { what, buy: Some(figure()), sell: figure(), house: hostile.clone() };
    let plain = Foot { state: FootState::Fresh(When::ReadAt(now)), ..foot() };
    for content in [
        Content::Fx(vec![FxList { bank: hostile.clone(), rows: vec![list], foot: vec![foot(), plain] }]),
        Content::Gold(GoldList {
            unit: GoldUnit::Luong,
            houses: vec![GoldHouse { name: hostile.clone(), products: vec![row] }],
            foot: vec![foot()],
        }),
        Content::Ticker(Tape {
            items: vec![
                item(TapeWhat::Currency(hostile.clone())),
                item(TapeWhat::Gold(product(), GoldUnit::Chi)),
            ],
            foot: vec![foot()],
        }),
    ] {
        let widget = Widget { recorded: false, at: None, home: "javascript:alert(1)".to_owned(), content };
        let look = Look::default();
        let page = widgets::page(&widget, &look, Some(&hostile)).unwrap().html;
        let fragment = widgets::fragment(&widget, &look).unwrap();
        let picture = widgets::picture(&widget, &look);
        assert_eq!((page.matches("<script").count(), fragment.matches("<script").count()), (1, 0));
        for markup in [&page, &fragment, &picture.svg] {
            for raw in [
                "<img",
                "<svg onload",
                "<script>alert",
                "</title><svg",
                "href=\"javascript:",
                "href='javascript:",
            ] {
                assert!(!markup.contains(raw), "{raw} in {markup}");
            }
        }
        // Every attribute of the element's tree is one of ours, and no address runs.
        let tree: Value = serde_json::from_slice(widgets::tree(&widget, &look).unwrap().as_ref()).unwrap();
        harmless(&tree);
        // The picture is well-formed, has shapes and text only, and is drawn.
        let names: BTreeSet<&str> = picture
            .svg
            .split('<')
            .skip(1)
            .filter(|tag| !tag.starts_with(['/', '!', '?']))
            .map(|tag| tag.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap())
            .collect();
        for name in ["script", "foreignObject", "image", "a", "use", "animate", "set", "iframe"] {
            assert!(!names.contains(name), "{name} in {names:?}");
        }
        let png = widgets::png(&picture, widgets::Scale::One).unwrap();
        assert!(png.starts_with(b"\x89PNG") && !png.windows(6).any(|part| part == b"alert("));
    }
}

/// No text of a tree stands where a name of an element or of a handler, or an address that runs, would.
fn harmless(tree: &Value) {
    match tree {
        Value::Array(items) => {
            items.iter().for_each(harmless);
            for item in items.iter().filter_map(Value::as_object) {
                for (name, value) in item {
                    assert!(
                        !name.starts_with("on")
                            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
                        "{name}"
                    );
                    let value = value.as_str().unwrap_or_default().trim_start();
                    assert!(
                        name != "href" || value.starts_with("https://") || value.starts_with("http://"),
                        "{value}"
                    );
                }
            }
        }
        Value::Object(fields) => fields.values().for_each(harmless),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a24_no_cell_of_a_csv_file_is_a_formula() {
    let house = poisoned(&owned(FORMULAS)).await;
    let mut guarded = 0;
    for address in ["/v1/gold.csv", "/v1/fx.csv", "/v1/deposits.csv", "/v1/fx.csv?providers=bidv"] {
        let text = house.get(address).await.text().await.unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let columns = reader.headers().unwrap().len();
        for row in reader.records() {
            let row = row.unwrap();
            assert_eq!(row.len(), columns, "{address}: no text starts a cell of its own");
            for cell in &row {
                let first = cell.chars().next().unwrap_or(' ');
                let number = cell.parse::<rust_decimal::Decimal>().is_ok();
                assert!(number || !"=+-@＝＋－＠\t\r\n".contains(first), "{address}: {cell:?}");
                guarded += usize::from(first == '\'');
            }
        }
    }
    assert!(guarded > 20, "formulas arrived somewhere, else this tests nothing: {guarded}");
    // JSON has no formulas: there a name is as it was written.
    assert!(names(&house.json("/v1/fx").await).contains("@SUM(1+1)*cmd|' /C calc'!A0"));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a32_no_name_hides_turns_or_passes_for_another() {
    let around: Vec<String> = UNSEEN.iter().map(|unseen| format!("{unseen}Đô{unseen} la{unseen}")).collect();
    let house = poisoned(&around).await;
    let mut seen = BTreeSet::new();
    for list in ["/v1/fx", "/v1/gold", "/v1/fx.csv", "/v1/feeds", "/widgets/fx", "/fragments/gold.json"] {
        let text = house.get(list).await.text().await.unwrap();
        let unseen: Vec<char> = text
            .chars()
            .filter(|c| {
                (c.is_control() && *c != '\r' && *c != '\n')
                    || "\u{202e}\u{2066}\u{200b}\u{200d}\u{feff}\u{ad}\u{e0041}".contains(*c)
            })
            .collect();
        assert!(unseen.is_empty(), "{list}: {unseen:?}");
        assert!(!text.contains("\\u202e") && !text.contains("\\u200b"), "{list}: nor escaped");
        if !list.contains('.') && list.starts_with("/v1/") && list != "/v1/feeds" {
            seen.extend(names(&serde_json::from_str(&text).unwrap()));
        }
    }
    // Zero widths are nothing; a control character is a blank, and what it would have begun is text.
    assert!(seen.contains("Đô la"), "{seen:?}");
    assert!(seen.iter().all(|name| ["Đô la", "[31mĐô [31m la [31m"].contains(&name.as_str())), "{seen:?}");
    // Names of institutions are ours, whatever a source calls itself.
    for feed in house.json("/v1/feeds").await["feeds"].as_array().unwrap() {
        let name = feed["provider_name"].as_str().unwrap();
        assert!(["DOJI", "TPBank", "BIDV", "Vietcombank", "OCB"].contains(&name), "{name}");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a32_a_product_that_only_looks_like_one_gets_no_identity() {
    // Cyrillic letters in place of Latin ones, and one that is the same letter in another form.
    let row = |name: &str| format!("<Row Name='{name}' Key='k' Sell='142,500' Buy='139,500' />");
    let board = |rows: &[&str]| {
        let rows: String = rows.iter().map(|name| row(name)).collect();
        format!("<?xml version='1.0' encoding='utf-8'?><GoldList><DGPlist>{rows}</DGPlist></GoldList>")
    };
    let house = House::with(
        |bank| {
            let answer = board(&["DOJI HN lẻ", "DОJI HCM lẻ", "DOJI HСM lẻ", "AVРL"]);
            bank.script(&path("doji.gold", "xml"), [Reply::ok(answer)]);
            bank.script(&path("doji.gold", "vangtoday"), [Reply::status(404)]);
        },
        |text| format!("{text}[secrets]\ndoji_api_key = \"k-0815\"\n"),
    )
    .await;
    house.settled().await;
    let gold = house.json("/v1/gold").await;
    let ids: Vec<&str> = gold["quotes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|quote| quote["provider"] == "doji")
        .map(|quote| quote["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["doji.gold.sjc-bar.hanoi"]);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a25_every_answer_has_its_exact_type_and_may_not_be_sniffed() {
    let house = unlimited().await;
    for (address, content_type) in EVERYTHING {
        let response = house.get(address).await;
        assert_eq!(
            (response.status().as_u16(), &*header(&response, "content-type")),
            (200, *content_type),
            "{address}"
        );
        assert_eq!(header(&response, "x-content-type-options"), "nosniff", "{address}");
        // An array, or a call of somebody's function, would be a script in an older browser.
        let body = response.bytes().await.unwrap();
        if content_type.contains("json") && !address.starts_with("/fragments/") {
            assert!(body.starts_with(b"{"), "{address}");
        }
    }
    for (address, status) in REFUSED {
        let response = house.get(address).await;
        assert_eq!(response.status(), *status, "{address}");
        assert_eq!(header(&response, "content-type"), "application/problem+json", "{address}");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff", "{address}");
    }
    // No answer is wrapped into a function of the asker's.
    for address in ["/v1/gold?callback=x", "/v1/gold?jsonp=x"] {
        assert_eq!(house.get(address).await.status(), 422, "{address}");
    }
    let plain = house.get("/fragments/fx.json").await.bytes().await.unwrap();
    assert_eq!(house.get("/fragments/fx.json?callback=x").await.bytes().await.unwrap(), plain);
    for path in ["/livez", "/readyz", "/nothing"] {
        let response =
            crate::house::client().get(format!("http://{}{path}", house.app.ops)).send().await.unwrap();
        assert_eq!(header(&response, "x-content-type-options"), "nosniff", "{path}");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a18_nothing_but_widgets_may_stand_in_a_frame() {
    let house = unlimited().await;
    let refused = REFUSED.iter().map(|(address, _)| *address);
    for address in EVERYTHING.iter().map(|(address, _)| *address).chain(refused) {
        let response = house.get(address).await;
        let policy = header(&response, "content-security-policy");
        let frames =
            if address.starts_with("/widgets/") { "frame-ancestors *" } else { "frame-ancestors 'none'" };
        assert!(policy.starts_with("default-src 'none'") && policy.ends_with(frames), "{address}: {policy}");
        assert!(!policy.contains("unsafe"), "{address}: {policy}");
        if header(&response, "content-type").starts_with("text/html")
            && (address == "/" || address.starts_with("/docs"))
        {
            assert_eq!(header(&response, "x-frame-options"), "DENY", "{address}");
        }
    }
    house.app.stop().await;
}
