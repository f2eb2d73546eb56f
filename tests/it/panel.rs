//! The sidebar board as a reader gets it.

use crate::{
    bank::Reply,
    house::{House, path},
};

fn text(html: &str) -> String {
    let body = html.split_once("<body").unwrap().1;
    let mut text = String::new();
    let mut inside = true;
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
    assert!(!html.contains("<script") && !html.contains(" style="));
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
