//! DOJI's quirks: `sources/gold.md` §1 and §10.

use providers::{AsOf, Quote, WeightUnit};
use rust_decimal::dec;

use crate::support::{Random, case, envelope, fixture, gold, keys, refused, row};

fn board() -> crate::support::Case {
    case("doji.gold", "board")
}

#[test]
fn doji_board_is_in_thousands_of_dong_per_chi() {
    let sheet = board().sheet(&fixture("doji/gold.board.2026-08-31.json"));
    let Quote::Gold(bar) = row(&sheet, "sjc-bar") else { panic!() };
    assert_eq!((bar.unit, bar.buy, bar.sell), (WeightUnit::Chi, Some(dec!(14570000)), Some(dec!(14870000))));
    assert_eq!((bar.code.as_deref(), bar.name.as_deref()), (Some("01"), Some("VÀNG MIẾNG SJC")));
    assert_eq!(bar.place, None);
}

#[test]
fn doji_board_leaves_out_silver_world_and_inactive_rows() {
    let sheet = board().sheet(&fixture("doji/gold.board.2026-08-31.json"));
    assert_eq!(
        keys(&sheet),
        [
            "sjc-bar",
            "avpl-bar",
            "ring-9999",
            "raw-9999",
            "raw-999",
            "jewelry-9999",
            "jewelry-999",
            "jewelry-99",
            "raw-18k",
            "raw-14k",
            "raw-10k"
        ]
    );
}

#[test]
fn doji_board_rows_are_left_out_only_where_they_say_that_they_are_inactive() {
    let text = String::from_utf8(fixture("doji/gold.board.2026-08-31.json")).unwrap();
    let unknown = text.replace("\"isActive\":true", "\"isActive\":null");
    assert_eq!(board().sheet(unknown.as_bytes()), board().sheet(text.as_bytes()));
}

#[test]
fn doji_board_rows_that_are_no_objects_are_refused_alone() {
    let text = String::from_utf8(fixture("doji/gold.board.2026-08-31.json")).unwrap();
    let sheet = board().sheet(text.replacen('[', "[null,7,", 1).as_bytes());
    assert_eq!((sheet.quotes.len(), refused(&sheet).len()), (11, 2));
}

#[test]
fn doji_board_buys_scrap_and_does_not_sell_it() {
    let sheet = board().sheet(&fixture("doji/gold.board.2026-08-31.json"));
    assert_eq!(gold(&sheet, "raw-18k"), (Some(dec!(10360000)), None));
    assert_eq!(gold(&sheet, "raw-10k"), (Some(dec!(5348000)), None));
}

#[test]
fn doji_board_update_date_is_no_price_time() {
    assert_eq!(board().sheet(&fixture("doji/gold.board.2026-08-31.json")).as_of, AsOf::Unstated);
}

#[test]
fn doji_board_may_write_numbers_with_a_point_and_letters_escaped_and_rows_as_a_map() {
    let plain = board().sheet(&fixture("doji/gold.board.2026-08-31.json"));
    for other in ["doji/gold.board-escaped.2026-08-31.json", "doji/gold.board-map.2026-08-31.json"] {
        assert_eq!(board().sheet(&fixture(other)), plain, "{other}");
    }
}

#[test]
fn doji_board_zero_one_and_null_are_no_price_and_bad_rows_leave_the_others_alone() {
    let sheet = board().sheet(&fixture("doji/gold.board-unpriced.2026-08-31.json"));
    assert!(!keys(&sheet).iter().any(|key| key == "sjc-bar" || key == "raw-9999"));
    assert_eq!(gold(&sheet, "avpl-bar"), (Some(dec!(14520000)), None));
    assert_eq!(gold(&sheet, "ring-9999"), (None, Some(dec!(14920000))));
    assert_eq!(sheet.quotes.len(), 9);
    assert_eq!(refused(&sheet).len(), 1);
    assert!(refused(&sheet).first().unwrap().contains("04 VÀNG NGUYÊN LIỆU 9999"), "{:?}", refused(&sheet));
}

#[test]
fn doji_envelope_opens_with_its_key_whatever_the_key_and_iv() {
    let mut random = Random::unseeded();
    for name in [
        "doji/gold.board.2026-08-31.json",
        "doji/gold.board-escaped.2026-08-31.json",
        "doji/gold.board-map.2026-08-31.json",
    ] {
        let plain = fixture(name);
        let (sealed, key) = envelope(&plain, &mut random);
        let opened = board().secret("doji_board_key", &key).sheet(&sealed);
        assert_eq!(opened, board().sheet(&plain), "{name}");
        assert_eq!(board().secret("doji_board_key", &key.to_uppercase()).sheet(&sealed), opened);
    }
}

#[test]
fn doji_envelope_with_base64_padding_opens_as_well() {
    let plain = fixture("doji/gold.board.2026-08-31.json");
    for extra in 0..3 {
        let mut plain = plain.clone();
        plain.extend(std::iter::repeat_n(b' ', extra * 16));
        let (sealed, key) = envelope(&plain, &mut Random::unseeded());
        let text = String::from_utf8(sealed).unwrap();
        let (before, rest) = text.split_once(r#""data":""#).unwrap();
        let (data, after) = rest.split_once('"').unwrap();
        let padded = format!("{before}\"data\":\"{data}{}\"{after}", "=".repeat((4 - data.len() % 4) % 4));
        assert_eq!(board().secret("doji_board_key", &key).sheet(padded.as_bytes()).quotes.len(), 11);
    }
}

#[test]
fn doji_envelope_does_not_open_with_another_key() {
    let mut random = Random::unseeded();
    let (sealed, _) = envelope(&fixture("doji/gold.board.2026-08-31.json"), &mut random);
    for _ in 0..600 {
        let (_, other) = envelope(b"", &mut random);
        let error = board().secret("doji_board_key", &other).error(&sealed);
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("envelope_key", "the envelope does not open with this key")
        );
    }
}

#[test]
fn doji_envelope_whose_text_is_no_board_is_a_wrong_key() {
    for plain in [&b"null"[..], b"\"text\"", b"{}", b"{\"a\":1}", b"[1", b"\xff\xfe\x00", b""] {
        let (sealed, key) = envelope(plain, &mut Random::unseeded());
        assert_eq!(board().secret("doji_board_key", &key).error(&sealed).code(), "envelope_key", "{plain:?}");
    }
}

#[test]
fn doji_envelope_needs_a_key_of_64_hex_digits() {
    let (sealed, key) = envelope(&fixture("doji/gold.board.2026-08-31.json"), &mut Random::unseeded());
    assert_eq!(board().error(&sealed).code(), "secret_missing");
    let (short, _) = key.split_at(62);
    for wrong in
        [short.to_owned(), format!("{short}zz"), format!("{short}+1"), format!("{key}00"), "é".repeat(32)]
    {
        assert_eq!(board().secret("doji_board_key", &wrong).error(&sealed).code(), "envelope_key", "{wrong}");
    }
}

#[test]
fn doji_envelope_cut_short_is_not_blamed_on_the_key() {
    let (sealed, key) = envelope(&fixture("doji/gold.board.2026-08-31.json"), &mut Random::unseeded());
    let text = String::from_utf8(sealed).unwrap();
    let (before, rest) = text.split_once(r#""data":""#).unwrap();
    let (data, after) = rest.split_once('"').unwrap();
    for data in [data.get(..101).unwrap(), data.get(..20).unwrap(), "!!!!", "AAAA"] {
        let body = format!("{before}\"data\":\"{data}\"{after}");
        assert_eq!(
            board().secret("doji_board_key", &key).error(body.as_bytes()).code(),
            "schema_drift",
            "{data}"
        );
    }
}

#[test]
fn doji_envelope_that_says_it_failed_is_no_data() {
    for name in ["doji/gold.board-status-false.2026-08-31.json", "doji/gold.board-no-data.2026-08-31.json"] {
        assert_eq!(board().error(&fixture(name)).code(), "no_data", "{name}");
    }
}

#[test]
fn doji_board_with_renamed_columns_is_refused() {
    let text = String::from_utf8(fixture("doji/gold.board.2026-08-31.json")).unwrap();
    for (from, to) in [("priceDojiBuyIn", "priceBuy"), ("\"type\"", "\"kind\""), ("materialCode", "code")] {
        assert_eq!(board().error(text.replace(from, to).as_bytes()).code(), "schema_drift", "{from}");
    }
}

#[test]
fn doji_board_names_may_be_decomposed() {
    let text = String::from_utf8(fixture("doji/gold.board.2026-08-31.json")).unwrap();
    let decomposed = text.replace("MIẾNG", "MIE\u{302}\u{301}NG");
    assert_ne!(text, decomposed);
    assert_eq!(board().sheet(decomposed.as_bytes()), board().sheet(text.as_bytes()));
}

fn xml() -> crate::support::Case {
    case("doji.gold", "xml")
}

#[test]
fn doji_xml_mixes_units_by_list_and_name() {
    let sheet = xml().sheet(&fixture("doji/gold.xml.2024-12-16.xml"));
    let unit = |key: &str| match row(&sheet, key) {
        Quote::Gold(gold) => gold.unit,
        other => panic!("{other:?}"),
    };
    assert_eq!((unit("sjc-bar.hanoi"), unit("sjc-bar.hcm")), (WeightUnit::Luong, WeightUnit::Chi));
    assert_eq!(gold(&sheet, "sjc-bar.hanoi"), (Some(dec!(82600000)), Some(dec!(85100000))));
    assert_eq!(gold(&sheet, "sjc-bar.hcm"), (Some(dec!(8260000)), Some(dec!(8510000))));
    assert_eq!(
        (unit("ring-9999"), gold(&sheet, "ring-9999")),
        (WeightUnit::Chi, (Some(dec!(8360000)), Some(dec!(8460000))))
    );
}

#[test]
fn doji_xml_is_known_by_list_and_name_since_its_keys_are_not_unique() {
    let sheet = xml().sheet(&fixture("doji/gold.xml.2024-12-16.xml"));
    assert_eq!(
        keys(&sheet),
        [
            "sjc-bar.hanoi",
            "sjc-bar-wholesale.hanoi",
            "sjc-bar.hcm",
            "sjc-bar-wholesale.hcm",
            "jewelry-24k",
            "raw-18k",
            "raw-16k",
            "raw-15k",
            "raw-14k",
            "raw-10k",
            "ring-9999"
        ]
    );
    let none_has_a_code =
        sheet.quotes.iter().all(|quote| matches!(quote, Quote::Gold(gold) if gold.code.is_none()));
    assert!(none_has_a_code);
}

#[test]
fn doji_xml_dash_means_not_sold_and_its_times_are_no_as_of() {
    let sheet = xml().sheet(&fixture("doji/gold.xml.2024-12-16.xml"));
    assert_eq!(gold(&sheet, "raw-18k"), (Some(dec!(6096000)), None));
    assert_eq!(sheet.as_of, AsOf::Unstated);
}

#[test]
fn doji_xml_whose_two_lists_disagree_is_refused_as_a_whole() {
    let error = xml().error(&fixture("doji/gold.xml-conflict.2024-12-16.xml"));
    assert_eq!(error.code(), "conflict");
    let message = error.to_string();
    for part in ["DOJI HCM lẻ", "826000000", "82600000"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn doji_xml_rows_of_undocumented_unit_are_left_out_and_entities_stay_closed() {
    let sheet = xml().sheet(&fixture("doji/gold.xml-other-places.2026-06-17.xml"));
    assert_eq!(
        keys(&sheet),
        ["sjc-bar.hanoi", "sjc-bar.hcm", "sjc-bar.danang", "sjc-bar-wholesale.cantho", "avpl-bar"]
    );
    assert_eq!(gold(&sheet, "sjc-bar.danang"), (Some(dec!(148800000)), Some(dec!(151300000))));
    assert_eq!(refused(&sheet).len(), 2);
    assert!(refused(&sheet).first().unwrap().contains("&b;"), "{:?}", refused(&sheet));
}

#[test]
fn doji_xml_may_use_double_quotes_and_nfd_names() {
    let text = String::from_utf8(fixture("doji/gold.xml.2024-12-16.xml")).unwrap();
    let wire = xml().sheet(text.as_bytes());
    assert_eq!(xml().sheet(text.replace('\'', "\"").as_bytes()), wire);
    assert_eq!(
        xml().sheet(text.replace("lẻ", "le\u{309}").replace("Nhẫn", "Nha\u{302}\u{303}n").as_bytes()),
        wire
    );
}

#[test]
fn doji_xml_key_goes_into_the_query() {
    let asked = xml().secret("doji_api_key", "a&b").requests();
    assert_eq!(asked.first().unwrap().url.as_str(), "http://giavang.doji.vn/api/giavang/?api_key=a%26b");
}

fn vangtoday() -> crate::support::Case {
    case("doji.gold", "vangtoday")
}

#[test]
fn vangtoday_rows_of_doji_are_per_luong_and_other_houses_and_dollars_are_left_out() {
    let sheet = vangtoday().sheet(&fixture("doji/gold.vangtoday.2026-08-24.json"));
    assert_eq!(keys(&sheet), ["sjc-bar.hcm"]);
    let Quote::Gold(bar) = row(&sheet, "sjc-bar.hcm") else { panic!() };
    assert_eq!(
        (bar.unit, bar.buy, bar.sell),
        (WeightUnit::Luong, Some(dec!(146500000)), Some(dec!(149500000)))
    );
    assert_eq!((bar.code.as_deref(), bar.name.as_deref()), (Some("DOHCML"), Some("DOJI HCM")));
}

#[test]
fn vangtoday_catalogue_time_is_the_as_of() {
    let sheet = vangtoday().sheet(&fixture("doji/gold.vangtoday.2026-08-24.json"));
    assert_eq!(sheet.as_of, AsOf::At("2026-08-24T11:00:05+07:00".parse().unwrap()));
    assert_eq!(vangtoday().error(&fixture("doji/gold.vangtoday-times.2026-08-24.json")).code(), "conflict");
}

#[test]
fn vangtoday_success_false_and_other_shapes_fail_loudly() {
    let false_ = vangtoday().error(&fixture("doji/gold.vangtoday-false.2026-08-24.json"));
    assert_eq!(false_.to_string(), "the source says that it has no data: Service temporarily unavailable");
    for name in ["doji/gold.vangtoday-flat.2026-08-24.json", "doji/gold.vangtoday-old.2026-08-24.json"] {
        assert_eq!(vangtoday().error(&fixture(name)).code(), "schema_drift", "{name}");
    }
}

#[test]
fn vangtoday_rows_in_another_currency_are_refused_and_zero_is_not_sold() {
    let sheet = vangtoday().sheet(&fixture("doji/gold.vangtoday-dollar.2026-08-24.json"));
    assert_eq!(keys(&sheet), ["ring-9999"]);
    assert_eq!(gold(&sheet, "ring-9999"), (Some(dec!(146500000)), None));
    assert!(refused(&sheet).first().unwrap().contains("USD"));
}

#[test]
fn doji_and_its_stand_in_write_one_where_they_do_not_sell() {
    let ring = "<Row Name='Nhẫn Tròn 9999 Hưng Thịnh Vượng' Key='x' Sell='1' Buy='8,360' />";
    let document = format!("<GoldList><JewelryList>{ring}</JewelryList></GoldList>");
    assert_eq!(gold(&xml().sheet(document.as_bytes()), "ring-9999"), (Some(dec!(8360000)), None));
    let catalogue = r#"{"success":true,"date":"2026-08-24","prices":{
        "DOHNL":{"name":"DOJI HN","buy":146500000,"sell":149500000,"currency":"VND"},
        "DOJINHTV":{"name":"nhẫn","buy":1,"sell":1,"currency":"VND"}}}"#;
    let sheet = vangtoday().sheet(catalogue.as_bytes());
    assert_eq!(keys(&sheet), ["sjc-bar.hanoi"]);
    assert_eq!(sheet.as_of, AsOf::On("2026-08-24".parse().unwrap()), "a day without a time is a day");
}

#[test]
fn an_attribute_that_occurs_twice_is_no_xml_and_no_missing_price() {
    let row = "<Row Name='DOJI HN lẻ' Sell='152,300' Buy='149,100' Buy='139,100' />";
    let error = xml().error(format!("<GoldList><DGPlist>{row}</DGPlist></GoldList>").as_bytes());
    assert!(error.to_string().contains("\"Buy\" twice"), "{error}");
}
