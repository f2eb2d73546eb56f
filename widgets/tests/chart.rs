//! Charts as a reader gets them: what they say in words, what they weigh, and that whatever was quoted is drawn inside its
//! frame. `cargo insta review` shows what a change of looks changes.

#![allow(clippy::unwrap_used, reason = "what tests share is a test too")]

use jiff::Timestamp;
use proptest::prelude::*;
use resvg::usvg::roxmltree::{Document, Node};
use rust_decimal::{Decimal, dec};
use widgets::{
    Lang, Look, Picture, Scale, Theme, Width, fragment, height,
    model::{Chart, Content, GoldUnit, Point, Product, Stretch, Subject, Term},
    page, picture, png, reduce, tree,
};

#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../examples/sample/mod.rs"]
mod sample;

use sample::{COURSES, around, course};

/// The budget of a drawing.
const MOST_BYTES: usize = 15_000;

fn look(lang: Lang) -> Look {
    Look { lang, ..Look::default() }
}

fn draw(chart: Chart, look: &Look) -> Picture {
    picture(&around(Content::Chart(Box::new(chart))), look)
}

fn summary(name: &str, lang: Lang) -> String {
    let svg = draw(course(name), &look(lang)).svg;
    let (_, rest) = svg.split_once("<desc>").unwrap();
    rest.split_once("</desc>").unwrap().0.to_owned()
}

#[test]
fn every_course_is_drawn_as_it_was_approved() {
    for name in COURSES {
        let svg = draw(course(name), &look(Lang::Vi)).svg;
        insta::assert_snapshot!(format!("chart_{name}"), svg.replace("><", ">\n<"));
    }
}

#[test]
fn a_page_a_fragment_and_a_tree_say_the_same_and_need_no_script() {
    let widget = around(Content::Chart(Box::new(course("month"))));
    let fragment = fragment(&widget, &look(Lang::Vi)).unwrap();
    insta::assert_snapshot!("chart_fragment", fragment);
    for unwanted in ["<script", " style=", " id=", "NaN", "inf"] {
        assert!(!fragment.contains(unwanted), "{unwanted}");
    }
    let page = page(&widget, &look(Lang::Vi), None).unwrap().html;
    let plot = |html: &str| {
        let (_, rest) = html.split_once(r#"role="img" aria-label=""#).unwrap();
        rest.split_once("<ul class=\"bgia-ranges\"").unwrap().0.to_owned()
    };
    assert_eq!(plot(&page), plot(&fragment));
    let tree = tree(&widget, &look(Lang::Vi)).unwrap();
    assert!(tree.contains(r#""preserveAspectRatio":"none","viewBox":"0 0 600 260""#), "{tree}");
}

#[test]
fn the_summary_says_what_the_picture_shows() {
    assert_eq!(
        summary("month", Lang::Vi),
        "Vàng miếng SJC, DOJI, tr.đ/lượng. Từ 31/08/2026 đến 30/09/2026. Giá bán: đầu kỳ 143,20, cuối kỳ 142,50, giảm 0,70; cao nhất 149,10 ngày 03/09/2026; thấp nhất 142,00 ngày 28/09/2026. Giá mua: đầu kỳ 140,20, cuối kỳ 139,50, giảm 0,70; cao nhất 146,10 ngày 03/09/2026; thấp nhất 139,00 ngày 28/09/2026."
    );
    assert!(
        summary("gap", Lang::En).ends_with("No figures: 10 Sept 2026 to 16 Sept 2026."),
        "{}",
        summary("gap", Lang::En)
    );
    assert!(summary("none", Lang::Vi).ends_with("Chưa có lịch sử để vẽ."));
    assert!(
        summary("deposit", Lang::En).contains("Rate: first 5.90, last 5.70, down 0.20;"),
        "{}",
        summary("deposit", Lang::En)
    );
}

#[test]
fn one_price_is_a_dot_with_its_value_and_none_is_a_sentence_of_the_same_height() {
    let point = draw(course("point"), &look(Lang::Vi));
    let dotted =
        Document::parse(&point.svg).unwrap().descendants().filter(|node| node.has_tag_name("circle")).count();
    assert_eq!(dotted, 1);
    assert_eq!(point.svg.matches(">142,50<").count(), 2, "newest price, and the dot's");
    let empty = draw(course("none"), &look(Lang::Vi));
    assert!(empty.svg.contains("Chưa có lịch sử để vẽ.") && !empty.svg.contains("<circle"));
    for name in COURSES {
        assert_eq!(draw(course(name), &look(Lang::Vi)).height, point.height, "{name}");
        for width in [300, 680] {
            let of = |name| {
                height(&around(Content::Chart(Box::new(course(name)))), &look(Lang::En), Width::new(width))
            };
            assert_eq!(of(name), of("month"), "{name}");
        }
    }
}

#[test]
fn buying_and_selling_are_told_apart_without_colour() {
    let svg = draw(course("month"), &look(Lang::Vi)).svg;
    assert_eq!(svg.matches("stroke-dasharray").count(), 1, "buying is dashed, selling is not");
    assert!(svg.contains(">Bán</text>") && svg.contains(">Mua</text>"), "both are named at their ends");
    let single = draw(course("deposit"), &look(Lang::Vi)).svg;
    assert!(!single.contains(">Mua</text>"));
}

/// Whether a text of a drawing stays inside it. Letters of these labels are at most about 0.62 of their size wide.
fn is_inside(node: Node<'_, '_>, drawn: &Picture) -> bool {
    let number = |name: &str| node.attribute(name).and_then(|value| value.parse::<Decimal>().ok());
    let text: String = node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect();
    let size = number("font-size").unwrap_or(dec!(14));
    let wide = Decimal::from(text.chars().count()) * size * dec!(0.62);
    let (x, y) = (number("x").unwrap(), number("y").unwrap());
    let (left, right) =
        if node.attribute("text-anchor") == Some("end") { (x - wide, x) } else { (x, x + wide) };
    left >= dec!(-4)
        && right <= Decimal::from(drawn.width) + dec!(4)
        && y >= size / dec!(2)
        && y <= Decimal::from(drawn.height)
}

prop_compose! {
    fn points()(
        steps in proptest::collection::vec((1_i64..40_000, -400_i64..400, proptest::bool::weighted(0.05), 0_u8..20), 0..1500),
        start in prop_oneof![Just(59_i64), Just(14_250), Just(2_600_000), Just(9_900_000_000)],
    ) -> (Vec<Stretch>, i64) {
        let (mut at, mut price) = (1_780_000_000_i64, start);
        let mut stretches: Vec<Stretch> = Vec::new();
        for (later, by, gap, side) in steps {
            at += later;
            price = (price + by * start / 5_000 + by.signum()).max(1);
            let sell = Decimal::new(price, 2);
            let instant = Timestamp::from_second(at).unwrap();
            let point = Point { at: instant, buy: (side > 0).then(|| sell - sell / dec!(50)), sell: (side != 1).then_some(sell) };
            match stretches.last_mut().filter(|_| !gap) {
                Some(stretch) => { stretch.points.push(point); stretch.until = instant; }
                None => stretches.push(Stretch { points: vec![point], until: instant }),
            }
        }
        (stretches, at)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_quoted_is_drawn_within_its_frame_and_its_budget(
        (stretches, end) in points(),
        subject in prop_oneof![
            Just(Subject::Gold(Product { id: "ring-9999-wholesale".to_owned(), place: Some("hcm".to_owned()) }, GoldUnit::Luong)),
            Just(Subject::Currency("USD".to_owned(), None)),
            Just(Subject::Deposit(Term::Months(12), None)),
        ],
        longer in prop_oneof![Just(1_i64), Just(3_600), Just(86_400 * 30), Just(86_400 * 1_500)],
        english: bool,
        compact: bool,
    ) {
        let (from, to) = (Timestamp::from_second(1_780_000_000).unwrap(), Timestamp::from_second(end + longer).unwrap());
        let thin = |stretch: Stretch| Stretch { points: reduce::thin(&stretch.points, (from, to), 50), ..stretch };
        let periods = reduce::periods(&stretches, (from, to));
        let course = stretches.into_iter().map(thin).collect();
        let chart = Chart { subject, from, to, course, periods, ..course_of_a_month() };
        let look = Look { lang: if english { Lang::En } else { Lang::Vi }, compact, theme: Theme::Dark, ..Look::default() };
        let drawn = draw(chart.clone(), &look);
        prop_assert!(drawn.svg.len() <= MOST_BYTES, "{} bytes", drawn.svg.len());
        let document = Document::parse(&drawn.svg).unwrap();
        for text in document.descendants().filter(|node| node.has_tag_name("text")) {
            prop_assert!(is_inside(text, &drawn), "{text:?} {:?}", text.text());
        }
        // The price axis counts upwards, the time axis to the right.
        let page = page(&around(Content::Chart(Box::new(chart))), &look, None).unwrap().html;
        let percents = |class: &str, name: &str| -> Vec<Decimal> {
            let Some((_, svg)) = page.split_once(class) else { return Vec::new() };
            let (svg, _) = svg.split_once("</svg>").unwrap();
            let label = format!("<text {name}=\"");
            svg.split(&label).skip(1).map(|place| place.split_once('%').unwrap().0.parse().unwrap()).collect()
        };
        let across = percents("<svg class=\"bgia-x\"", "x");
        prop_assert!(across.windows(2).all(|pair| pair[0] < pair[1]), "{across:?}");
        prop_assert!(across.len() <= 5 && across.iter().all(|place| (dec!(0)..=dec!(100)).contains(place)));
        let up = percents("aria-label=\"", "x=\"100%\" y");
        prop_assert!(up.windows(2).all(|pair| pair[0] > pair[1]), "{up:?}");
        prop_assert!(up.is_empty() || (3..=5).contains(&up.len()), "{up:?}");
    }
}

fn course_of_a_month() -> Chart {
    course("month")
}

#[test]
fn a_chart_is_a_small_png_too() {
    for name in COURSES {
        let drawn = draw(course(name), &look(Lang::Vi));
        assert!(png(&drawn, Scale::One).unwrap().len() <= 40_000, "{name}");
    }
}
