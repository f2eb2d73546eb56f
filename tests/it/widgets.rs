//! The widgets as readers and editors get them: six widgets, five ways in, options, presets, the gallery.

use crate::{
    bank::Reply,
    house::{House, path},
};

fn text(html: &str) -> String {
    // A page or a fragment.
    let body = html.split_once("<body>").map_or(html, |(_, body)| body);
    let mut text = String::new();
    let mut inside = false;
    for c in body.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_panel_is_filled_without_javascript() {
    let house = House::on_a_good_day().await;
    let response = house.get("/widgets/panel").await;
    let headers = response.headers().clone();
    let html = response.text().await.unwrap();
    for part in [
        "Giá vàng 9999",
        "tr.đ/lượng",
        "Doji",
        "139,00",
        "142,00",
        "139,20",
        "142,50",
        "Tỷ giá",
        "ĐVT: đồng",
        "Loại",
        "Mua",
        "Bán",
        "USD",
        "Lãi suất",
        "%/năm",
        "Kỳ hạn (tháng)",
        "BIDV",
        "OCB",
        "5,90",
        "6,70",
        "giá tham khảo",
        "vang.today",
        "CafeF",
    ] {
        assert!(text(&html).contains(part), "{part} is missing in\n{}", text(&html));
    }
    assert!(html.contains("TienPhong"));
    assert_eq!(text(&html).matches("giá tham khảo").count(), 3, "each section says so");
    assert!(!html.contains(" style="));
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("style-src 'sha256-")
            && policy.contains("frame-ancestors *")
            && !policy.contains("unsafe"),
        "{policy}"
    );
    assert!(!headers.contains_key("x-frame-options"));
    assert_eq!(headers["cross-origin-resource-policy"], "cross-origin");
    assert_eq!(headers["cross-origin-embedder-policy"], "require-corp");
    assert!(headers["etag"].to_str().unwrap().starts_with('"'));

    let english = house.get("/widgets/panel?lang=en&theme=dark").await.text().await.unwrap();
    for part in ["139.00", "reference only", "lang=\"en\"", "data-theme=\"dark\""] {
        assert!(english.contains(part), "{part}");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_board_says_so_and_links_to_the_source() {
    let house = House::with(
        |bank| {
            bank.script("/bidv.fx/ExchangeDetailServlet", [Reply::status(404)]);
            for (_, feed) in providers::feeds() {
                for source in feed.sources {
                    bank.script(&path(feed.id, source.id), [Reply::status(404)]);
                }
            }
        },
        |text| text,
    )
    .await;
    house.settled().await;
    let html = house.get("/widgets/panel").await.text().await.unwrap();
    assert_eq!(
        html.matches("Chưa có số liệu").count(),
        5,
        "Doji, TienPhongBank, BIDV twice, OCB: {}",
        text(&html)
    );
    assert!(html.contains("https://tpb.vn/"));
    assert!(!text(&html).contains(" 0 "), "never a zero");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_is_marked_and_expired_is_withheld_on_time() {
    // Due every second and never again answered: stale one second after the first missed run, expired eight seconds
    // after it.
    let body = crate::house::recorded("tpbank.gold", "chart", 0, None);
    let house = House::with(
        |bank| bank.script(&path("tpbank.gold", "chart"), [Reply::ok(body), Reply::status(404)]),
        |text| {
            text.replace(
                "[feeds.tpbank.gold]\nschedule = \"0 3 1 1 *\"",
                "[feeds.tpbank.gold]\nstale_after = \"1s\"\nexpire_after = \"8s\"\nschedule = \"* * * * * *\"",
            )
        },
    )
    .await;
    let status = |wanted: &'static str| {
        move |feeds: &serde_json::Value| {
            feeds["feeds"]
                .as_array()
                .unwrap()
                .iter()
                .any(|feed| feed["id"] == "tpbank.gold" && feed["status"] == wanted)
        }
    };
    house.wait("stale", status("stale")).await;
    assert!(house.get("/widgets/panel").await.text().await.unwrap().contains("Dữ liệu cũ"));
    house.wait("expired", status("expired")).await;
    let html = house.get("/widgets/panel").await.text().await.unwrap();
    assert!(html.contains("Quá hạn") && !html.contains("139,20"), "withheld in the widget");
    assert_eq!(house.quote("/v1/gold", "tpbank.gold.bar").await["buy"], "139200000", "kept in the JSON");
    house.app.stop().await;
}

const KINDS: [&str; 6] = ["panel", "gold", "fx", "deposits", "ticker", "chart"];

/// `sha256-…` of the one inline element of this name.
fn hash_of(html: &str, element: &str) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    let open = format!("<{element}>");
    assert_eq!(html.matches(&open).count(), 1, "one {element}");
    let (_, rest) = html.split_once(&open).unwrap();
    let (text, _) = rest.split_once(&format!("</{element}>")).unwrap();
    let digest = sha2::Sha256::digest(text.as_bytes());
    format!("'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(digest))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_widget_has_its_ways_in_each_with_the_headers_that_strict_hosts_ask_for() {
    let house = House::on_a_good_day().await;
    for kind in KINDS {
        let ways = [
            (format!("/widgets/{kind}"), "text/html; charset=utf-8"),
            (format!("/fragments/{kind}"), "text/html; charset=utf-8"),
            (format!("/fragments/{kind}.json"), "application/json"),
            (format!("/images/{kind}.svg"), "image/svg+xml; charset=utf-8"),
            (format!("/images/{kind}.png"), "image/png"),
        ];
        for (path, content_type) in ways {
            let response = house.get(&path).await;
            assert_eq!(response.status(), 200, "{path}");
            let headers = response.headers().clone();
            for (name, value) in [
                ("content-type", content_type),
                ("cross-origin-resource-policy", "cross-origin"),
                ("access-control-allow-origin", "*"),
                ("x-content-type-options", "nosniff"),
                ("vary", "Accept-Encoding"),
            ] {
                assert_eq!(headers[name], value, "{path}: {name}");
            }
            let is_page = path.starts_with("/widgets/");
            assert_eq!(headers.contains_key("cross-origin-embedder-policy"), is_page, "{path}");
            assert!(
                !headers.contains_key("x-frame-options") && !headers.contains_key("set-cookie"),
                "{path}"
            );
            let policy = headers["content-security-policy"].to_str().unwrap();
            assert!(
                policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
                "{path}: {policy}"
            );
            let frames = if is_page { "frame-ancestors *" } else { "frame-ancestors 'none'" };
            assert!(policy.contains(frames), "{path}: {policy}");
            assert!(headers["cache-control"].to_str().unwrap().starts_with("public, max-age="), "{path}");
            let tag = headers["etag"].to_str().unwrap().to_owned();
            let again = house.request(reqwest::Method::GET, &path, &[("if-none-match", &tag)]).await;
            assert_eq!(again.status(), 304, "{path}");
            assert_eq!(house.request(reqwest::Method::HEAD, &path, &[]).await.status(), 200, "{path}");
            let body = response.bytes().await.unwrap();
            if is_page {
                let html = std::str::from_utf8(&body).unwrap();
                for element in ["style", "script"] {
                    assert!(policy.contains(&hash_of(html, element)), "{path}: {element}");
                }
                assert!(!html.contains(" style=") && !html.contains("onload"), "{path}");
                assert!(html.contains("application/json+oembed"), "{path}");
            } else if path.ends_with(kind) {
                let html = std::str::from_utf8(&body).unwrap();
                for foreign in ["<html", "<script", "<style", " style=", " id="] {
                    assert!(!html.contains(foreign), "{path}: {foreign}");
                }
                assert!(html.contains("giá tham khảo") || html.contains("Giá tham khảo"), "{path}");
            } else if content_type == "image/png" {
                assert!(body.starts_with(b"\x89PNG"), "{path}");
                let double = house.get(&format!("{path}?scale=2")).await.bytes().await.unwrap();
                assert!(
                    body.len() <= 40_000 && double.len() <= 90_000,
                    "{path}: {} {}",
                    body.len(),
                    double.len()
                );
            }
        }
    }
    for nowhere in ["/widgets/clock", "/fragments/gold.html", "/images/gold", "/embed/v2.js", "/embed/0/x.js"]
    {
        assert_eq!(house.get(nowhere).await.status(), 404, "{nowhere}");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_choose_what_is_shown_and_a_wrong_value_is_told() {
    let house = House::on_a_good_day().await;
    let shown = async |path: &str| text(&house.get(path).await.text().await.unwrap());
    let fx = shown("/widgets/fx?providers=bidv,vietcombank&currencies=USD,EUR&lang=en").await;
    assert!(fx.contains("BIDV VND ·") && fx.contains("Vietcombank VND ·"), "{fx}");
    assert!(fx.contains("USD") && fx.contains("EUR") && !fx.contains("JPY"), "{fx}");
    let gold = shown("/widgets/gold?products=sjc-bar&unit=chi&places=hcm&providers=doji").await;
    assert!(gold.contains("nghìn đ/chỉ") && gold.contains("TP.HCM") && gold.contains("14.200"), "{gold}");
    let deposits = shown("/fragments/deposits?terms=12,demand&providers=bidv").await;
    assert!(deposits.contains("Không kỳ hạn") && !deposits.contains("OCB"), "{deposits}");
    // A column says what it is of where that is not the bar alone; a stand-in stands in at the counter only; a bank that
    // does not quote what is asked for is not one that was never read.
    let panel = shown("/fragments/panel?products=sjc-bar,ring-9999").await;
    assert!(panel.contains("Vàng miếng SJC") && panel.contains("Nhẫn tròn 9999"), "{panel}");
    let online = shown("/fragments/deposits?channel=online").await;
    assert!(online.contains("Gửi trực tuyến") && !online.contains("CafeF"), "{online}");
    let none = shown("/fragments/fx?providers=bidv&currencies=INR").await;
    assert!(
        none.contains("không niêm yết") && none.contains("BIDV · lúc") && !none.contains("Chưa có"),
        "{none}"
    );
    let corporate = shown("/fragments/deposits?customer=corporate").await;
    assert!(corporate.contains("không niêm yết") && !corporate.contains("5,90"), "{corporate}");
    assert_eq!(shown("/fragments/fx?rows=2").await.matches("Đô la").count(), 1, "USD and EUR");
    assert!(!shown("/fragments/panel?link=0").await.contains("<a href=\"http://127.0.0.1:8080/\""));
    let moving = house.get("/fragments/ticker?motion=scroll").await.text().await.unwrap();
    assert!(moving.contains("bgia-move") && moving.contains("aria-label=\"Dừng chạy chữ\""));
    // A house that the configuration does not name shows what it is known for.
    assert!(shown("/widgets/gold?providers=tpbank").await.contains("Vàng miếng"));
    // One widget, however it is asked for.
    let same = async |one: &str, other: &str| {
        let (one, other) = (house.get(one).await, house.get(other).await);
        assert_eq!(one.headers()["etag"], other.headers()["etag"]);
    };
    same("/widgets/fx?currencies=usd,EUR&utm_source=x", "/widgets/fx?currencies=EUR&currencies=USD").await;
    for (path, parameter) in [
        ("/widgets/panel?accent=red", "accent"),
        ("/fragments/gold?rows=0", "rows"),
        ("/fragments/gold.json?unit=stone", "unit"),
        ("/images/fx.png?scale=3", "scale"),
        ("/images/fx.svg?currencies=QQQ", "currencies"),
        ("/widgets/ticker?motion=fast", "motion"),
        ("/widgets/fx?preset=none", "preset"),
        ("/?widget=clock", "widget"),
        ("/?width=7", "width"),
        ("/?accent=%3Cscript%3E", "accent"),
    ] {
        let response = house.get(path).await;
        assert_eq!(response.status(), 422, "{path}");
        let shared = ["/fragments/", "/images/", "/widgets/"].iter().any(|folder| path.starts_with(folder));
        assert_eq!(response.headers().contains_key("cross-origin-resource-policy"), shared, "{path}");
        let body = response.text().await.unwrap();
        assert!(
            body.contains(&format!("\"parameter\":\"{parameter}\"")) && !body.contains('<'),
            "{path}: {body}"
        );
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preset_is_changed_without_touching_a_page_and_says_who_may_frame_it() {
    let preset = "\n[presets.front-page]\nwidget = \"fx\"\ncurrencies = [\"USD\"]\nlang = \"en\"\nrows = 5\ncompact = true\nframe_ancestors = [\"https://bao.example.vn\", \"https://www.bao.example.vn\"]\n";
    let house = House::with(|_| {}, |text| text + preset).await;
    house.settled().await;
    let response = house.get("/widgets/fx?preset=front-page").await;
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.ends_with("frame-ancestors https://bao.example.vn https://www.bao.example.vn"),
        "{policy}"
    );
    let html = response.text().await.unwrap();
    let shown = text(&html);
    assert!(shown.contains("Exchange rates") && shown.contains("USD") && !shown.contains("EUR"), "{shown}");
    assert!(html.contains("data-compact"));
    let own = text(&house.get("/widgets/fx?preset=front-page&currencies=EUR").await.text().await.unwrap());
    assert!(own.contains("EUR") && !own.contains("USD"), "what the page says stands above: {own}");
    assert_eq!(house.get("/widgets/gold?preset=front-page").await.status(), 422, "of another widget");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oembed_describes_our_own_pages_and_no_others() {
    let house = House::on_a_good_day().await;
    let ask = async |query: &str| house.get(&format!("/oembed?{query}")).await;
    let response =
        ask("url=http://127.0.0.1:8080/widgets/fx?rows%3D3%26utm_source%3Dx&maxwidth=400&format=json").await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    let answer: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    for (key, value) in [
        ("version", "1.0"),
        ("type", "rich"),
        ("provider_name", "Bảng Giá"),
        ("provider_url", "http://127.0.0.1:8080/"),
    ] {
        assert_eq!(answer[key], value);
    }
    let (width, height) = (answer["width"].as_u64().unwrap(), answer["height"].as_u64().unwrap());
    let html = answer["html"].as_str().unwrap();
    assert!(width == 300 && (150..400).contains(&height), "{answer}");
    assert!(html.starts_with("<blockquote><a href=\"http://127.0.0.1:8080/widgets/fx?rows=3\">"), "{html}");
    assert!(html.contains(&format!("width=\"{width}\" height=\"{height}\"")), "{html}");
    let narrow =
        ask("url=http://127.0.0.1:8080/widgets/panel&maxwidth=200&maxheight=150").await.text().await.unwrap();
    let narrow: serde_json::Value = serde_json::from_str(&narrow).unwrap();
    assert_eq!(
        (&narrow["width"], &narrow["height"]),
        (&200.into(), &150.into()),
        "never more than asked for"
    );
    for (query, status) in [
        ("url=https://evil.example/widgets/fx", 404),
        ("url=http://127.0.0.1:8080/v1/fx", 404),
        ("url=javascript:alert(1)", 404),
        ("url=http://127.0.0.1:8080/widgets/fx&format=xml", 501),
        ("url=http://127.0.0.1:8080/widgets/fx?theme%3Dneon", 422),
        ("url=http://127.0.0.1:8080/widgets/fx&maxwidth=many", 422),
        ("", 422),
    ] {
        assert_eq!(ask(query).await.status(), status, "{query}");
    }
    // Whoever is given the address of a page finds this answer.
    let page = house.get("/widgets/fx?rows=3").await.text().await.unwrap();
    let (_, rest) = page.split_once("application/json+oembed\" href=\"").unwrap();
    let found = rest.split('"').next().unwrap().replace("&#38;", "&");
    let found = found.strip_prefix("http://127.0.0.1:8080").unwrap();
    assert_eq!(house.get(found).await.status(), 200, "{found}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_is_small_has_an_address_for_good_and_the_hash_that_the_gallery_prints() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let house = House::on_a_good_day().await;
    let gallery = house.get("/").await.text().await.unwrap();
    for (name, budget) in [("js", 4_000), ("css", 4_000)] {
        let moving = house
            .request(reqwest::Method::GET, &format!("/embed/v1.{name}"), &[("accept-encoding", "br")])
            .await;
        assert_eq!(moving.headers()["access-control-allow-origin"], "*");
        assert_eq!(moving.headers()["cross-origin-resource-policy"], "cross-origin");
        assert!(moving.headers()["cache-control"].to_str().unwrap().starts_with("public, max-age=300,"));
        let length = moving.bytes().await.unwrap().len();
        assert!(length <= budget, "{name}: {length} bytes");
        // Printed with the hash of its bytes.
        let (_, rest) = gallery
            .split_once(&format!("http://127.0.0.1:8080/embed/{}/bang-gia.", env!("CARGO_PKG_VERSION")))
            .unwrap();
        assert!(rest.contains("integrity=\"sha384-"));
        let (before, _) = gallery.split_once(&format!(".{name}</code><br>")).unwrap();
        let (_, file) = before.rsplit_once("/embed/").unwrap();
        let path = &format!("/embed/{file}.{name}");
        let pinned = house.get(path).await;
        assert_eq!(
            (pinned.status().as_u16(), &pinned.headers()["cache-control"]),
            (200, &"public, max-age=31536000, immutable".parse().unwrap()),
            "{path}"
        );
        let bytes = pinned.bytes().await.unwrap();
        let digest = base64::engine::general_purpose::STANDARD.encode(sha2::Sha384::digest(&bytes));
        assert!(
            gallery.contains(&digest.replace('+', "&#43;")) || gallery.contains(&digest),
            "{path}: {digest}"
        );
        assert_eq!(bytes, house.get(&format!("/embed/v1.{name}")).await.bytes().await.unwrap());
    }
    let gzip = house.request(reqwest::Method::GET, "/embed/v1.js", &[("accept-encoding", "gzip")]).await;
    assert!(gzip.bytes().await.unwrap().len() <= 4_600);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gallery_works_without_a_script_in_both_languages_and_prints_what_to_paste() {
    let house = House::on_a_good_day().await;
    let page =
        house.get("/?widget=fx&theme=dark&width=680&lang=en&fx=bidv&rows=4&terms=&accent=%23a87400").await;
    assert_eq!(page.status(), 200);
    let html = page.text().await.unwrap();
    let address = "http://127.0.0.1:8080/widgets/fx?theme=dark&#38;lang=en&#38;rows=4&#38;providers=bidv";
    assert!(
        html.contains(&format!("src=\"{}\"", address.replace("http://127.0.0.1:8080/", ""))),
        "the preview: {html}"
    );
    let unescaped =
        html.replace("&#34;", "\"").replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&");
    for part in [
        "<bang-gia widget=\"fx\" theme=\"dark\" lang=\"en\" rows=\"4\" providers=\"bidv\" style=\"display:block;min-height:",
        "<iframe src=\"http://127.0.0.1:8080/widgets/fx?theme=dark&amp;lang=en&amp;rows=4&amp;providers=bidv\" title=\"Exchange rates\" width=\"680\" height=\"",
        "<!--#include virtual=\"/banggia/fragments/fx?theme=dark",
        "<esi:include src=\"",
        "srcset=\"http://127.0.0.1:8080/images/fx.png?theme=dark",
        "amp-iframe",
        "script-src http://127.0.0.1:8080; connect-src http://127.0.0.1:8080",
        "Paste one line,",
    ] {
        assert!(unescaped.contains(part), "{part}\n{unescaped}");
    }
    assert!(house.get("/").await.text().await.unwrap().contains("Dán một dòng,"));
    assert_eq!(house.get("/robots.txt").await.text().await.unwrap(), "User-agent: *\nDisallow:\n");
    assert_eq!(house.get("/?utm_source=x&rows=").await.status(), 200);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_that_moved_have_a_course_which_survives_a_restart() {
    let house = House::on_a_good_day().await;
    let page = async |house: &House| house.get("/fragments/gold").await.text().await.unwrap();
    assert!(!page(&house).await.contains("bgia-spark"), "one price is no course");
    // Prices hold for seconds at least: those of one second are no course either.
    let clock = banggia::clock::Clock::system();
    let second = clock.now().as_second();
    while clock.now().as_second() <= second {
        tokio::task::yield_now().await;
    }
    crate::house::good_day(&house.bank, 1);
    house.refresh("doji.gold").await;
    let drawn = page(&house).await;
    assert!(
        drawn.contains("<svg class=\"bgia-spark\"") && drawn.contains("</span> <span class=\"bgia-vh\">"),
        "{drawn}"
    );
    let house = house.restart(|text| text).await;
    assert!(page(&house).await.contains("<svg class=\"bgia-spark\""));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_knows_when_it_grows_old_and_pictures_are_counted() {
    let house =
        House::with(|_| {}, |text| text.replacen("[server]\n", "[server]\nrate_limit = 2\n", 1)).await;
    house.settled().await;
    for kind in KINDS {
        let response = house.get(&format!("/fragments/{kind}")).await;
        assert!(!response.headers().contains_key("ratelimit"), "{kind}: fixed documents are free");
        let html = response.text().await.unwrap();
        let seconds = |name: &str| -> Vec<i64> {
            let mark = format!(" {name}=\"");
            let parts = html.split(&mark).skip(1);
            parts.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
        };
        let (fresh, expires) = (seconds("data-f"), seconds("data-e"));
        assert!(!fresh.is_empty() && fresh.len() == expires.len(), "{kind}");
        assert!(fresh.iter().zip(&expires).all(|(fresh, expires)| fresh < expires), "{kind}");
        assert!(html.contains("data-late=\"Dữ liệu cũ|, từ |Quá hạn|"), "{kind}");
    }
    let png = house.get("/images/gold.png").await;
    assert!(png.headers()["ratelimit"].to_str().unwrap().starts_with("\"work\";r=1;"));
    let tag = png.headers()["etag"].to_str().unwrap().to_owned();
    assert!(
        house.get("/images/gold.png").await.headers()["ratelimit"]
            .to_str()
            .unwrap()
            .starts_with("\"work\";r=0;")
    );
    assert_eq!(house.get("/images/gold.svg").await.status(), 429);
    let known = house.request(reqwest::Method::GET, "/images/gold.png", &[("if-none-match", &tag)]).await;
    assert_eq!(known.status(), 304, "never counted");
    house.app.stop().await;
}
