//! Widgets as pictures: every state is drawn with its words, hostile names stay text, and a PNG is small, has a palette
//! and is the same bytes each time. `PICTURES=/tmp/pictures` writes what the tests drew, for the eye.

use std::{collections::BTreeMap, error::Error, fs, path::Path};

use rust_decimal::dec;
use skrifa::{FontRef, MetadataProvider as _};
use widgets::{Lang, Look, Picture, Scale, Theme, model::*, picture, png};

#[allow(dead_code, reason = "shared with the tests of pages")]
#[path = "../examples/sample/mod.rs"]
mod sample;

use sample::{STATES, around, columns, widget};

fn look(lang: Lang, theme: Theme) -> Look {
    Look { lang, theme, ..Look::default() }
}

fn draw(kind: Kind, state: &str, look: &Look) -> Picture {
    picture(&widget(kind, state), look)
}

/// How wide it is drawn.
fn width(kind: Kind) -> u32 {
    match kind {
        Kind::Ticker => 680,
        Kind::Chart => 480,
        Kind::Panel | Kind::Gold | Kind::Fx | Kind::Deposits => 300,
    }
}

/// What a reader of the drawing reads, with each text in a line of its own.
fn text(svg: &str) -> String {
    let mut text = String::new();
    let mut rest = svg;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, after) = after.split_once('>').unwrap_or_default();
        if matches!(tag, "/text" | "/title" | "/desc") {
            text.push('\n');
        }
        rest = after;
    }
    text
}

/// Only when asked: drawing all of them takes its time.
fn keep(name: &str, picture: &Picture) {
    let Some(folder) = option_env!("PICTURES").map(Path::new) else { return };
    let write = || -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{name}.svg")), &picture.svg)?;
        for scale in [Scale::One, Scale::Two] {
            fs::write(folder.join(format!("{name}@{scale}.png")), png(picture, scale)?)?;
        }
        Ok(())
    };
    assert!(write().is_ok(), "{name} could not be written");
}

/// Every source of a widget by another name.
fn rename(content: &mut Content, name: &str) {
    let feet: Vec<&mut Vec<Foot>> = match content {
        Content::Panel(panel) => vec![&mut panel.gold.foot, &mut panel.fx.foot, &mut panel.deposits.foot],
        Content::Gold(list) => vec![&mut list.foot],
        Content::Fx(lists) => lists.iter_mut().map(|list| &mut list.foot).collect(),
        Content::Deposits(table) => vec![&mut table.foot],
        Content::Ticker(tape) => vec![&mut tape.foot],
        Content::Chart(chart) => vec![&mut chart.foot],
    };
    feet.into_iter().flatten().for_each(|foot| name.clone_into(&mut foot.name));
}

#[test]
fn every_widget_is_drawn_in_every_state_with_names_and_times() {
    for kind in Kind::ALL {
        for state in STATES {
            for lang in [Lang::Vi, Lang::En] {
                let drawn = draw(kind, state, &look(lang, Theme::Light));
                keep(&format!("{}-{state}-{lang}", kind.as_str()), &drawn);
                assert_eq!(drawn.width, width(kind), "{kind:?} {state}");
                let text = text(&drawn.svg);
                let names: &[&str] = match kind {
                    Kind::Panel => &["DOJI", "TienPhongBank", "BIDV", "OCB"],
                    Kind::Gold => &["DOJI", "TienPhongBank"],
                    Kind::Fx => &["Vietcombank"],
                    Kind::Deposits => &["BIDV", "OCB"],
                    Kind::Ticker => &["DOJI", "Vietcombank", "OCB"],
                    Kind::Chart => &["DOJI"],
                };
                for name in names {
                    // A long name gives way to a long state, but never altogether.
                    let start =
                        if state == "fresh" { format!("{name} · ") } else { name.chars().take(4).collect() };
                    assert!(
                        text.lines().any(|line| line.starts_with(&start)),
                        "no {start} in {kind:?} {state}:\n{text}"
                    );
                }
                let rates_only = matches!(kind, Kind::Deposits);
                let (time, wanted): (&str, &[&str]) = match (state, lang) {
                    ("stale", Lang::Vi) => ("0", &["Dữ liệu cũ, từ "]),
                    ("stale", Lang::En) => ("0", &["Old data, from "]),
                    ("expired", Lang::Vi) => ("27/09", &["Quá hạn – mất nguồn từ 27/09", "–"]),
                    ("expired", Lang::En) => ("27 Sept", &["Expired – source lost since 27 Sept", "–"]),
                    ("unavailable", Lang::Vi) => ("2026", &["Chưa có số liệu", "–"]),
                    ("unavailable", Lang::En) => ("2026", &["No data yet", "–"]),
                    ("held", Lang::Vi) => ("30/09", &["chờ kiểm tra", "(09:12)"]),
                    ("held", Lang::En) => ("30 Sept", &["under review", "(09:12)"]),
                    ("recorded", Lang::Vi) => {
                        ("20:56 31/08", &["Số liệu mẫu, không phải giá hiện tại\n", "mẫu ghi lúc "])
                    }
                    ("recorded", Lang::En) => {
                        ("31 Aug", &["Recorded sample, not current prices\n", "recorded "])
                    }
                    (_, Lang::Vi) => ("30/09", &[]),
                    (_, Lang::En) => ("30 Sept", &[]),
                };
                // Rates have no values under review in the sample; the tape's lines have no year, and one source of one
                // has no time where there is no value.
                let skipped = (state == "held" && (rates_only || kind == Kind::Fx)) || state == "unavailable";
                assert!(skipped || text.contains(time), "no {time:?} in {kind:?} {state}:\n{text}");
                for words in wanted {
                    assert!(
                        rates_only && state == "held" || text.contains(words),
                        "no {words:?} in {kind:?} {state}:\n{text}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_title_says_what_it_is_and_from_when() {
    let title = |kind, state, lang| {
        text(&draw(kind, state, &look(lang, Theme::Auto)).svg).lines().next().unwrap().to_owned()
    };
    assert_eq!(title(Kind::Panel, "fresh", Lang::Vi), "Giá vàng, tỷ giá, lãi suất, 10:05 30/09/2026");
    assert_eq!(title(Kind::Gold, "fresh", Lang::En), "Gold prices, 30 Sept 2026, 10:05");
    assert_eq!(title(Kind::Fx, "expired", Lang::En), "Exchange rates");
    assert_eq!(
        title(Kind::Deposits, "recorded", Lang::En),
        "Deposit rates, 31 Aug 2026, 20:56. Recorded sample, not current prices"
    );
    assert_eq!(title(Kind::Chart, "fresh", Lang::Vi), "Biểu đồ giá: Vàng miếng SJC, 10:05 30/09/2026");
    assert!(title(Kind::Ticker, "fresh", Lang::Vi).ends_with("trong một dòng, 10:05 30/09"));
}

#[test]
fn a_drawing_has_attributes_only_and_refers_to_nothing() {
    for kind in Kind::ALL {
        for state in STATES {
            let Picture { width, height, svg } = draw(kind, state, &Look::default());
            let opening =
                format!(r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}""#);
            assert!(svg.starts_with(&opening), "{svg}");
            assert!(svg.contains(r#" role="img" lang="vi" xml:lang="vi" font-family="-apple-system, "#));
            for unwanted in
                ["style", "<script", "href", "url(", "<image", "<use", "<foreignObject", " on", "&nbsp;"]
            {
                assert!(!svg.contains(unwanted), "{unwanted} in {svg}");
            }
            assert_eq!(svg.matches("http").count(), 1, "only the namespace: {svg}");
        }
    }
}

#[test]
fn hostile_names_stay_text_and_fit() {
    let name = "<script>alert('\"&\u{0}\u{1b}\u{ffff}')</script>]]> ngân hàng có tên rất dài \u{202e}漢字";
    for kind in Kind::ALL {
        for theme in [Theme::Light, Theme::Transparent] {
            let mut widget = widget(kind, "expired");
            rename(&mut widget.content, name);
            match &mut widget.content {
                Content::Panel(panel) => {
                    name.clone_into(&mut panel.gold.houses[0].house);
                    name.clone_into(&mut panel.deposits.banks[1]);
                }
                Content::Gold(list) => name.clone_into(&mut list.houses[0].name),
                Content::Fx(lists) => {
                    name.clone_into(&mut lists[0].bank);
                    lists.extend(lists.clone());
                }
                Content::Deposits(table) => name.clone_into(&mut table.banks[1]),
                Content::Ticker(tape) => name.clone_into(&mut tape.items[0].house),
                Content::Chart(chart) => {
                    name.clone_into(&mut chart.house);
                    chart.subject = Subject::Currency(name.to_owned(), None);
                }
            }
            let drawn = picture(&widget, &look(Lang::Vi, theme));
            keep(&format!("{}-hostile-{theme}", kind.as_str()), &drawn);
            assert_eq!(drawn.width, width(kind));
            assert!(!drawn.svg.contains("<script") && drawn.svg.contains("&lt;script&gt;"), "{}", drawn.svg);
            assert!(drawn.svg.chars().all(|letter| !letter.is_control() && letter != '\u{202e}'));
            let text = text(&drawn.svg);
            assert!(
                text.contains("… · Quá hạn – mất nguồn từ 27/09\n"),
                "only the name is cut short: {text}"
            );
            assert!(png(&drawn, Scale::One).is_ok());
        }
    }
}

#[test]
fn a_matrix_of_six_banks_fits_and_a_wider_one_grows() {
    let names =
        ["BIDV", "Vietcombank", "OCB", "VietinBank", "Agribank", "Techcombank", "MB", "ACB", "Sacombank"];
    let mut last = 0;
    for banks in 1..=names.len() {
        let mut table = columns(1).deposits;
        table.banks = names.iter().take(banks).map(|&name| name.to_owned()).collect();
        for (terms, row) in table.rows.iter_mut().enumerate() {
            let value = row.rates[0].value;
            row.rates = vec![row.rates[0].clone(); banks];
            row.rates[terms % banks].value = value.map(|value| value + dec!(0.5));
        }
        let drawn = picture(&around(Content::Deposits(table)), &Look::default());
        keep(&format!("banks-{banks}"), &drawn);
        assert!(
            if banks <= 6 { drawn.width == 300 } else { drawn.width > last },
            "{} for {banks}",
            drawn.width
        );
        last = drawn.width;
    }
    assert!(last < 600);

    // Prices of gold are wider than rates: they are shown whole, whatever it takes.
    for houses in 1..=6 {
        let drawn = picture(&around(Content::Panel(columns(houses))), &Look::default());
        keep(&format!("houses-{houses}"), &drawn);
        assert!(drawn.width == 300 || houses > 4, "{} for {houses}", drawn.width);
    }
}

#[test]
fn looks_are_respected() {
    let drawn = |look: Look| draw(Kind::Panel, "fresh", &look);
    let light = drawn(Look::default());
    assert_eq!(light, drawn(look(Lang::Vi, Theme::Light)), "a picture knows no preference");
    let dark = drawn(look(Lang::Vi, Theme::Dark));
    assert!(
        dark.svg.contains(r##"<path fill="#171613" d="M0 0h300v"##)
            && dark.svg.contains(r##"fill="#f1eee6""##)
    );
    assert_eq!((dark.width, dark.height), (light.width, light.height));

    for transparent in [look(Lang::Vi, Theme::Transparent), Look { transparent: true, ..Look::default() }] {
        let clear = drawn(transparent);
        assert!(!clear.svg.contains("#fff"), "no ground");
        assert_eq!(clear.height, light.height - 8);
        keep("panel-transparent", &clear);
    }

    let compact = drawn(Look { compact: true, ..Look::default() });
    assert!(text(&light.svg).contains("+0,50") && !text(&compact.svg).contains("+0,50"));
    assert!(compact.height < light.height);
    keep("panel-compact", &compact);

    let untitled = drawn(Look { title: false, ..Look::default() });
    assert!(text(&light.svg).contains("\nTỷ giá\n") && !text(&untitled.svg).contains("\nTỷ giá\n"));
    assert!(text(&untitled.svg).contains("ĐVT: đồng"));
    keep("panel-untitled", &untitled);

    let accent = drawn(Look { accent: Some("0055aa".parse().unwrap()), ..Look::default() });
    assert!(accent.svg.contains("#0055aa") && !accent.svg.contains("#a87400"));
}

#[test]
fn the_fonts_have_every_vietnamese_letter() {
    let lower = "aăâbcdđeêghiklmnoôơpqrstuưvxy";
    let toned = "àảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ";
    let other = "0123456789 .,:;-–—…·/()%+₫€$£'\"“”‘’&<>?!\u{300}\u{301}\u{303}\u{309}\u{323}";
    for weight in ["Regular", "SemiBold", "Bold"] {
        let font = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/fonts/NotoSans-{weight}.ttf"));
        let font = fs::read(font).unwrap();
        assert!(font.len() < 40_000);
        let font = FontRef::new(&font).unwrap();
        assert_eq!(
            skrifa::raw::TableProvider::head(&font).unwrap().units_per_em(),
            1000,
            "what widths are counted in"
        );
        let letters = format!("{lower}{toned}{other}");
        for letter in letters.chars().chain(letters.to_uppercase().chars()).chain('\u{1ea0}'..='\u{1ef9}') {
            assert!(font.charmap().map(letter).is_some(), "no {letter} in {weight}");
        }
    }
}

/// The chunks of a PNG.
fn chunks(file: &[u8]) -> BTreeMap<String, &[u8]> {
    let mut chunks = BTreeMap::new();
    let mut rest = file.get(8..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        chunks.insert(String::from_utf8_lossy(&after[..4]).into_owned(), &after[4..4 + length]);
        rest = &after[4 + length + 4..];
    }
    chunks
}

#[test]
fn pngs_have_a_palette_stay_within_their_budget_and_never_differ() {
    for kind in Kind::ALL {
        for theme in [Theme::Light, Theme::Dark, Theme::Transparent] {
            let drawn = draw(kind, "fresh", &look(Lang::Vi, theme));
            keep(&format!("{}-{theme}", kind.as_str()), &drawn);
            for (scale, pixels, budget) in [(Scale::One, 1, 40_000), (Scale::Two, 2, 90_000)] {
                let file = png(&drawn, scale).unwrap();
                println!("{kind:?} {theme} at {scale}: {} bytes; SVG: {}", file.len(), drawn.svg.len());
                assert!(file.len() <= budget, "{kind:?} {theme} at {scale}: {} bytes", file.len());
                assert!(file.starts_with(b"\x89PNG\r\n\x1a\n"));
                let chunks = chunks(&file);
                let (width, height) = (drawn.width * pixels, drawn.height * pixels);
                let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 3, 0, 0, 0]].concat();
                assert_eq!(chunks["IHDR"], header, "eight bits, indexed");
                assert!(chunks["PLTE"].len() <= 768);
                assert_eq!(chunks.contains_key("tRNS"), theme == Theme::Transparent);
                assert!(theme == Theme::Dark || file == png(&drawn, scale).unwrap(), "the same again");
            }
        }
    }
}

#[test]
fn the_colours_of_the_theme_are_exact_in_the_palette() {
    let file = png(&draw(Kind::Panel, "fresh", &look(Lang::Vi, Theme::Light)), Scale::One).unwrap();
    let chunks = chunks(&file);
    let palette: Vec<&[u8]> = chunks["PLTE"].chunks(3).collect();
    for (name, colour) in [
        ("paper", [0xff, 0xff, 0xff]),
        ("ink", [0x1b, 0x1a, 0x17]),
        ("muted", [0x5a, 0x56, 0x4e]),
        ("line", [0xdc, 0xd7, 0xcc]),
        ("accent", [0xa8, 0x74, 0x00]),
        ("up", [0x0a, 0x68, 0x47]),
        ("down", [0xb3, 0x26, 0x1e]),
    ] {
        assert!(palette.contains(&&colour[..]), "{name}");
    }
}

#[test]
fn a_drawing_that_is_none_is_refused() {
    let picture = |svg: &str, width| Picture { width, height: 9, svg: svg.to_owned() };
    assert_eq!(
        png(&picture("<svg", 9), Scale::One).unwrap_err().to_string(),
        "the drawing could not be read"
    );
    let empty = r#"<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>"#;
    assert!(png(&picture(empty, 9), Scale::One).is_ok());
    assert_eq!(png(&picture(empty, 0), Scale::Two).unwrap_err().to_string(), "0 × 18 pixels cannot be drawn");
}

#[test]
fn scales_are_one_and_two() {
    for value in Scale::ALLOWED {
        assert_eq!(value.parse::<Scale>().unwrap().to_string(), *value);
    }
    for value in ["", "0", "3", "1.5", "+1", "2 "] {
        let refusal = value.parse::<Scale>().unwrap_err();
        assert_eq!(
            (refusal.parameter, refusal.value.as_str(), refusal.allowed),
            ("scale", value, Scale::ALLOWED)
        );
    }
}

#[test]
fn a_widget_without_figures_is_a_picture_all_the_same() {
    let drawn = picture(&around(Content::Fx(Vec::new())), &look(Lang::Vi, Theme::Transparent));
    assert!(drawn.height >= 1 && png(&drawn, Scale::One).is_ok());
}
