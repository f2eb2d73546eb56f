//! The panel as pages: every state's markup, escaping, languages, the style's hash, and the lines that keep a
//! page's height the same whatever happens to a source.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use widgets::{Lang, Look, Theme, model::*};

#[path = "../examples/sample/mod.rs"]
mod sample;

const VI: Look = look(Lang::Vi, Theme::Auto);
const EN: Look = look(Lang::En, Theme::Auto);

const fn look(lang: Lang, theme: Theme) -> Look {
    Look {
        lang,
        theme,
        transparent: false,
        accent: None,
        compact: false,
        title: true,
        link: true,
        motion: false,
    }
}

fn around(panel: &Panel) -> Widget {
    sample::around(Content::Panel(panel.clone()))
}

fn page(panel: &Panel, look: Look) -> String {
    widgets::page(&around(panel), &look, None).map(|page| page.html).unwrap_or_default()
}

fn panel_fragment(panel: &Panel, look: &Look) -> Result<String, widgets::Error> {
    widgets::fragment(&around(panel), look)
}

fn fragment(state: &str, look: Look) -> String {
    widgets::fragment(&sample::widget(Kind::Panel, state), &look).unwrap_or_default()
}

fn assert_has(html: &str, wanted: &[&str]) {
    for text in wanted {
        assert!(html.contains(text), "no {text:?} in\n{html}");
    }
}

fn assert_lacks(html: &str, unwanted: &[&str]) {
    for text in unwanted {
        assert!(!html.contains(text), "{text:?} in\n{html}");
    }
}

#[test]
fn the_default_panel_is_as_designed() {
    insta::assert_snapshot!(fragment("fresh", VI));
}

#[test]
fn a_page_is_a_whole_document_without_style_attributes() {
    for state in sample::STATES {
        for theme in [Theme::Light, Theme::Dark, Theme::Auto, Theme::Transparent] {
            let html = page(&sample::panel(state), look(Lang::Vi, theme));
            assert!(html.starts_with("<!doctype html>\n<html lang=\"vi\""));
            assert!(html.ends_with("</html>"));
            assert_has(
                &html,
                &[
                    r#"<meta charset="utf-8">"#,
                    r#"<meta name="viewport" content="width=device-width, initial-scale=1">"#,
                    r#"<meta name="robots" content="noindex">"#,
                    "<title>Bảng Giá: Giá vàng, tỷ giá, lãi suất</title>",
                ],
            );
            assert_lacks(&html, &["style=", "<script ", "<link", "<img", "onclick", "javascript:"]);
            assert_eq!((html.matches("<style>").count(), html.matches("<script>").count()), (1, 1));
            assert_eq!(html.contains("data-transparent lang"), theme == Theme::Transparent);
        }
    }
}

#[test]
fn the_hashes_are_those_of_the_inline_style_and_script() {
    let page = widgets::page(&around(&sample::fresh()), &VI, None).unwrap();
    let (_, rest) = page.html.split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    assert_eq!(page.style_hash, format!("sha256-{}", STANDARD.encode(Sha256::digest(style.as_bytes()))));
    let (_, rest) = page.html.split_once("<script>").unwrap();
    let (script, _) = rest.split_once("</script>").unwrap();
    assert_eq!(page.script_hash, format!("sha256-{}", STANDARD.encode(Sha256::digest(script.as_bytes()))));
}

#[test]
fn a_theme_decides_ink_and_color_scheme() {
    for (theme, ink, scheme) in [
        (Theme::Light, "light", "light"),
        (Theme::Dark, "dark", "dark"),
        (Theme::Auto, "auto", "light dark"),
        (Theme::Transparent, "auto", "light dark"),
    ] {
        let html = page(&sample::fresh(), look(Lang::Vi, theme));
        assert_has(
            &html,
            &[
                &format!(r#"data-widget="panel" data-theme="{ink}""#),
                &format!(r#"<meta name="color-scheme" content="{scheme}">"#),
            ],
        );
    }
}

#[test]
fn every_section_names_its_unit_and_says_that_it_is_for_reference_only() {
    assert_has(
        &fragment("fresh", VI),
        &[
            "tr.đ/lượng · giá tham khảo</span>",
            "ĐVT: đồng · giá tham khảo</span>",
            "%/năm · giá tham khảo</span>",
        ],
    );
    assert_has(
        &fragment("fresh", EN),
        &[
            "VND million/lượng · reference only</span>",
            "VND · reference only</span>",
            "% a year · reference only</span>",
        ],
    );
}

#[test]
fn every_time_says_what_it_is_a_time_of() {
    assert_has(
        &fragment("fresh", VI),
        &[
            r#" · đọc lúc <time datetime="2026-09-30T10:05:00+07:00">10:05 30/09/2026</time>"#,
            r#" · ngày <time datetime="2026-09-30">30/09/2026</time>"#,
            r#" · lúc <time datetime="2026-09-30T10:00:00+07:00">10:00 30/09/2026</time>"#,
            r#" · áp dụng từ <time datetime="2026-04-13">13/04/2026</time>"#,
        ],
    );
    assert_has(
        &fragment("fresh", EN),
        &[
            r#" · read <time datetime="2026-09-30T10:05:00+07:00">30 Sept 2026, 10:05</time>"#,
            r#" · <time datetime="2026-09-30">30 Sept 2026</time>"#,
            r#" · in force since <time datetime="2026-04-13">13 Apr 2026</time>"#,
        ],
    );
}

#[test]
fn a_change_is_told_by_arrow_sign_figure_and_word() {
    assert_has(
        &fragment("fresh", VI),
        &[
            r#"<span class="bgia-chg bgia-up"><span aria-hidden="true">▲</span> <span class="bgia-vh">tăng</span> +0,50</span>"#,
            r#"<span class="bgia-chg bgia-down"><span aria-hidden="true">▼</span> <span class="bgia-vh">giảm</span> -0,20</span>"#,
            r#"<span class="bgia-chg"><span class="bgia-vh">không đổi</span> 0,00</span>"#,
        ],
    );
}

#[test]
fn a_stale_figure_is_grey_without_change_and_its_time_is_absolute() {
    let html = fragment("stale", VI);
    assert_has(
        &html,
        &[
            r#"<span class="bgia-lead bgia-old">139,50</span> <span class="bgia-chg">&nbsp;</span>"#,
            r#"<td class=" bgia-old" translate="no" data-s="0"><span class="bgia-whole">25.880</span></td>"#,
            r#"<td class=" bgia-old" translate="no" data-s="0">157<small>,60</small></td>"#,
            r#"<b>Dữ liệu cũ</b>, từ <time datetime="2026-09-30T07:05:00+07:00">07:05 30/09</time></span></li>"#,
        ],
    );
    assert_lacks(&html, &["▲", "giờ<"]);
    assert_has(&fragment("stale", EN), &["<b>Old data</b>, from <time", ">30 Sept, 07:05</time>"]);
}

#[test]
fn an_expired_figure_is_a_dash_with_its_reason() {
    let html = fragment("expired", VI);
    assert_has(
        &html,
        &[
            r#"<span class="bgia-lead bgia-none"><span aria-hidden="true">–</span><span class="bgia-vh">không có số liệu</span></span> <span class="bgia-chg">&nbsp;</span>"#,
            r#"<td class="bgia-none"><span aria-hidden="true">–</span><span class="bgia-vh">không có số liệu</span></td>"#,
            r#"<b>Quá hạn</b> – mất nguồn từ <time datetime="2026-09-27T10:05:00+07:00">27/09</time>"#,
        ],
    );
    assert_lacks(&html, &["139,20", "25.880", "4,75"]);
    assert_has(&fragment("expired", EN), &["<b>Expired</b> – source lost since <time", ">27 Sept</time>"]);
}

#[test]
fn an_unavailable_source_is_a_link_to_its_page() {
    assert_has(
        &fragment("unavailable", VI),
        &[
            r#"<a href="https://tpb.vn/" rel="nofollow noopener">TienPhongBank</a></span><span class="bgia-when"> · <b>Chưa có số liệu</b></span>"#,
        ],
    );
    assert_has(&fragment("unavailable", EN), &["<b>No data yet</b>"]);
}

#[test]
fn a_held_figure_stands_and_says_that_a_new_one_waits() {
    let html = fragment("held", VI);
    assert_has(
        &html,
        &[
            r#"<span class="bgia-lead">139,50</span> <span class="bgia-chg">chờ kiểm tra</span>"#,
            r#"<b>Giá mới chờ kiểm tra</b> (<time datetime="2026-09-30T09:12:00+07:00">09:12</time>)"#,
            "<b>USD chờ kiểm tra</b> (<time",
        ],
    );
    assert_has(&fragment("held", EN), &["<b>New value under review</b> (", "<b>USD under review</b> ("]);
}

#[test]
fn a_recording_carries_a_band_and_says_when_it_was_made() {
    assert_has(
        &fragment("recorded", VI),
        &[
            r#"<p class="bgia-rec">Số liệu mẫu, không phải giá hiện tại</p>"#,
            r#" · mẫu ghi lúc <time datetime="2026-08-31T20:56:00+07:00">20:56 31/08/2026</time>"#,
        ],
    );
    assert_has(&fragment("recorded", EN), &["Recorded sample, not current prices", " · recorded <time"]);
    assert_lacks(&fragment("fresh", VI), &["bgia-rec"]);
}

#[test]
fn a_borrowed_figure_carries_the_letter_of_its_foot_line() {
    let html = fragment("borrowed", VI);
    assert_has(
        &html,
        &[
            r#"<td translate="no" data-s="2"><sup aria-hidden="true">a</sup>4,75<span class="bgia-vh"> qua CafeF</span></td>"#,
            r#"<li><span class="bgia-src"><sup>a</sup> <a href="https://ocb.com.vn/vi/cong-cu/lai-suat" rel="nofollow noopener">OCB</a> qua <a href="https://cafef.vn/" rel="nofollow noopener">CafeF</a></span><span class="bgia-when"> · ngày "#,
            r#"<a href="https://giavang.doji.vn/" rel="nofollow noopener">DOJI</a> qua <a href="https://www.vang.today/" rel="nofollow noopener">vang.today</a>"#,
            r#"<td class="bgia-none"><span aria-hidden="true">–</span><span class="bgia-vh">không niêm yết</span></td>"#,
        ],
    );
    assert_has(&fragment("borrowed", EN), &[r#"<span class="bgia-vh"> via CafeF</span>"#, "not quoted"]);
}

#[test]
fn a_withheld_borrowed_figure_carries_no_letter() {
    let mut panel = sample::panel("borrowed");
    for row in &mut panel.deposits.rows {
        row.rates[1].status = Status::Expired;
    }
    let html = panel_fragment(&panel, &VI).unwrap();
    assert_lacks(&html, &["<sup aria-hidden", "qua CafeF</span>"]);
}

#[test]
fn a_state_never_changes_the_number_of_lines() {
    for options in [VI, EN] {
        let lines = |state: &str| {
            let html = fragment(state, options);
            ["<tr>", "<td", "<th", "<li", "class=\"bgia-chg", "<caption>", "class=\"bgia-end\""]
                .map(|tag| html.matches(tag).count())
        };
        for state in sample::STATES {
            assert_eq!(lines(state), lines("fresh"), "{state}");
        }
    }
}

#[test]
fn sections_without_columns_or_rows_are_left_out() {
    let mut panel = sample::fresh();
    panel.gold.houses.clear();
    panel.fx.rows.clear();
    let html = panel_fragment(&panel, &VI).unwrap();
    assert_lacks(&html, &["Giá vàng", "Tỷ giá"]);
    assert_eq!(html.matches("<table>").count(), 1);
    panel.deposits.banks.clear();
    let html = panel_fragment(&panel, &VI).unwrap();
    assert_lacks(&html, &["<table>"]);
    assert_has(&html, &["Chỉ để tham khảo"]);
}

#[test]
fn a01_text_and_addresses_of_sources_cannot_break_out() {
    let hostile = r#""><script>alert(1)</script><b x='"#;
    let mut panel = sample::panel("borrowed");
    panel.gold.houses[0].house = hostile.to_owned();
    panel.fx.rows[0].code = hostile.to_owned();
    panel.deposits.banks[0] = hostile.to_owned();
    panel.deposits.rows[1].rates[1].borrowed = Some(('<', hostile.to_owned()));
    panel.gold.foot[0].name = hostile.to_owned();
    panel.gold.foot[0].mark = Some('<');
    panel.gold.foot[0].via = Some((hostile.to_owned(), "javascript:alert(1)".to_owned()));
    panel.gold.foot[1].url = format!("https://x.example/{hostile}");
    panel.fx.foot[0].url = "https://x.example/?a=1&b=\"c".to_owned();
    panel.fx.foot[0].state =
        FootState::Held { what: Some(hostile.to_owned()), since: "2026-09-30T02:12:00Z".parse().unwrap() };
    let widget = Widget { home: "javascript:alert(1)".to_owned(), ..around(&panel) };
    let html = widgets::page(&widget, &VI, None).unwrap().html;
    assert_eq!(html.matches("<script").count(), 1, "ours");
    assert_lacks(&html, &["<script>alert", "javascript:", "\">\">", "<b x"]);
    assert_has(&html, &["&#60;script&#62;", r#"href="https://x.example/?a=1&#38;b=&#34;c""#]);
}

#[test]
fn links_of_a_page_leave_its_frame_and_those_of_a_fragment_do_not() {
    let html = page(&sample::fresh(), VI);
    let links = html.matches("<a ").count();
    assert_eq!(html.matches(r#"rel="nofollow noopener" target="_blank""#).count(), links);
    let html = fragment("fresh", VI);
    assert_eq!(html.matches(r#"" rel="nofollow noopener">"#).count(), links);
    assert_lacks(&html, &["target=", "<style", "<html", "<script"]);
}

#[test]
fn headings_follow_the_document_they_stand_in() {
    let html = page(&sample::fresh(), VI);
    assert_eq!((html.matches("<h1").count(), html.matches("<h2").count()), (1, 3));
    assert_eq!(fragment("fresh", VI).matches("<h2").count(), 3);
}

#[test]
fn english_has_no_vietnamese_words_but_the_product_and_the_unit() {
    for state in sample::STATES {
        let html = fragment(state, EN).replace("Bảng Giá", "").replace("lượng", "");
        let foreign: String = html.chars().filter(|c| c.is_alphabetic() && !c.is_ascii()).collect();
        assert_eq!(foreign, "", "{state}");
    }
}

#[test]
fn many_columns_are_of_equal_width_and_scroll_only_from_five() {
    for (count, class, scrolls) in [
        (1, "bgia-sec bgia-fix", false),
        (2, "bgia-sec bgia-fix", false),
        (3, "bgia-sec bgia-even\"", false),
        (4, "bgia-sec bgia-even bgia-many", false),
        (6, "bgia-sec bgia-even bgia-many", true),
    ] {
        let html = panel_fragment(&sample::columns(count), &VI).unwrap();
        assert_has(&html, &[class]);
        assert_eq!(
            html.contains(r#"role="region" tabindex="0" aria-label="Giá vàng 9999""#),
            scrolls,
            "{count}"
        );
    }
}

#[test]
fn the_demand_term_is_named_and_not_numbered() {
    let mut panel = sample::fresh();
    panel.deposits.rows[0].term = Term::Demand;
    assert_has(&panel_fragment(&panel, &VI).unwrap(), &["Không kỳ hạn</th>"]);
    assert_has(&panel_fragment(&panel, &EN).unwrap(), &["Demand</th>"]);
}
