//! Vietcombank's quirks: `sources/fx.md` §3 and §4.

use providers::{AsOf, Quote};
use rust_decimal::dec;

use crate::support::{Case, case, fixture, fx, keys, refused, row};

fn json() -> Case {
    case("vietcombank.fx", "json")
}

#[test]
fn vietcombank_json_strings_keep_their_digits() {
    let sheet = json().sheet(&fixture("vietcombank/fx.json.2025-12-09.json"));
    assert_eq!(sheet.quotes.len(), 20);
    let [cash, transfer, sell] = fx(&sheet, "USD").map(|side| side.unwrap().to_string());
    assert_eq!((cash.as_str(), transfer.as_str(), sell.as_str()), ("26142.00", "26172.00", "26412.00"));
    assert_eq!(fx(&sheet, "KWD"), [None, Some(dec!(85315.61)), Some(dec!(89450.41))]);
}

#[test]
fn vietcombank_json_date_is_an_echo_and_no_as_of() {
    let text = String::from_utf8(fixture("vietcombank/fx.json.2025-12-09.json")).unwrap();
    let sheet = json().sheet(text.as_bytes());
    assert_eq!(sheet.as_of, AsOf::At("2025-12-09T08:16:30+07:00".parse().unwrap()));
    let echo = text.replace("2025-12-09T00:00:00", "2025-12-13T00:00:00");
    assert_eq!(json().sheet(echo.as_bytes()), sheet);
}

#[test]
fn vietcombank_json_eleven_at_night_and_times_to_come_are_no_as_of() {
    let evening = fixture("vietcombank/fx.json-evening.2026-08-20.json");
    assert_eq!(json().sheet(&evening).as_of, AsOf::Unstated);
    assert_eq!(json().at("2026-08-20T10:00:00+07:00").sheet(&evening).as_of, AsOf::Unstated);
    let live = fixture("vietcombank/fx.json.2025-12-09.json");
    assert_eq!(json().at("2025-12-09T08:16:29+07:00").sheet(&live).as_of, AsOf::Unstated);
    assert!(matches!(json().at("2025-12-09T08:16:30+07:00").sheet(&live).as_of, AsOf::At(_)));
}

#[test]
fn vietcombank_json_time_that_does_not_exist_is_refused_and_a_missing_one_is_unstated() {
    let text = String::from_utf8(fixture("vietcombank/fx.json.2025-12-09.json")).unwrap();
    let with = |time: &str| text.replace("\"2025-12-09T08:16:30+07:00\"", time);
    assert_eq!(json().error(with("\"2025-02-30T08:16:30+07:00\"").as_bytes()).code(), "schema_drift");
    for unstated in ["null", "\"\"", "\"0001-01-01T00:00:00\""] {
        assert_eq!(json().sheet(with(unstated).as_bytes()).as_of, AsOf::Unstated, "{unstated}");
    }
}

#[test]
fn vietcombank_json_zero_dash_and_empty_mean_not_quoted_and_commas_are_refused() {
    let sheet = json().sheet(&fixture("vietcombank/fx.json-unquoted.2026-09-30.json"));
    assert_eq!(keys(&sheet), ["USD", "DKK"]);
    assert_eq!(fx(&sheet, "DKK"), [None, None, Some(dec!(4194.71))]);
    assert_eq!(refused(&sheet).len(), 1);
    assert!(refused(&sheet).first().unwrap().contains("EUR"));
}

#[test]
fn vietcombank_names_are_text_and_never_keys() {
    let sheet = json().sheet(&fixture("vietcombank/fx.json-unquoted.2026-09-30.json"));
    let Quote::Fx(krone) = row(&sheet, "DKK") else { panic!() };
    assert_eq!(krone.name.as_deref(), Some("US DOLLAR OF ANOTHER NAME"));
}

#[test]
fn vietcombank_json_count_must_be_that_of_its_rows_and_only_the_wrapped_form_is_read() {
    assert_eq!(json().error(&fixture("vietcombank/fx.json-count.2026-09-30.json")).code(), "schema_drift");
    assert_eq!(
        json().error(&fixture("vietcombank/fx.json-old-form.2026-09-30.json")).code(),
        "not_expected_content"
    );
    assert_eq!(json().error(&fixture("vietcombank/fx.json-no-day.2026-09-30.json")).code(), "no_data");
}

#[test]
fn vietcombank_json_is_asked_for_the_day_in_vietnam() {
    let asked = json().at("2026-09-30T18:30:00Z").requests();
    assert_eq!(
        asked.first().unwrap().url.as_str(),
        "https://www.vietcombank.com.vn/api/exchangerates?date=2026-10-01"
    );
}

fn xml() -> Case {
    case("vietcombank.fx", "xml")
}

#[test]
fn vietcombank_xml_dates_are_month_first() {
    let sheet = xml().sheet(&fixture("vietcombank/fx.xml.2026-09-02.xml"));
    assert_eq!(sheet.as_of, AsOf::At("2026-09-02T17:38:54+07:00".parse().unwrap()));
    assert_eq!(xml().error(&fixture("vietcombank/fx.xml-bad-day.2026-09-02.xml")).code(), "schema_drift");
}

#[test]
fn vietcombank_xml_has_a_comment_before_its_root_and_padded_names() {
    let sheet = xml().sheet(&fixture("vietcombank/fx.xml.2026-09-02.xml"));
    let Quote::Fx(usd) = row(&sheet, "USD") else { panic!() };
    assert_eq!(usd.name.as_deref(), Some("US DOLLAR"));
    assert_eq!(usd.sell.unwrap().to_string(), "26260.00");
}

#[test]
fn vietcombank_xml_dash_empty_and_zero_mean_not_quoted() {
    let sheet = xml().sheet(&fixture("vietcombank/fx.xml.2026-09-02.xml"));
    assert_eq!(keys(&sheet), ["AUD", "DKK", "JPY", "KWD", "SGD", "USD"]);
    assert_eq!(fx(&sheet, "KWD"), [None, None, Some(dec!(88000.00))]);
    assert_eq!(fx(&sheet, "DKK"), [None, Some(dec!(4040.22)), Some(dec!(4194.71))]);
    let old = xml().sheet(&fixture("vietcombank/fx.xml-2013.2013-05-17.xml"));
    assert_eq!(fx(&old, "DKK"), [None, Some(dec!(3582.82)), Some(dec!(3658))]);
}

#[test]
fn vietcombank_xml_without_a_list_is_another_document() {
    let error = xml().error(&fixture("vietcombank/fx.xml-other-root.2026-09-02.xml"));
    assert_eq!(error.code(), "not_expected_content");
    assert!(error.to_string().contains("XML with the root \"Error\""), "{error}");
}

#[test]
fn f08_vietcombank_xml_that_does_not_end_is_refused() {
    let whole = fixture("vietcombank/fx.xml.2026-09-02.xml");
    for end in [whole.len() - 1, whole.len() - 14, whole.len() - 200] {
        assert_eq!(xml().error(whole.get(..end).unwrap()).code(), "schema_drift", "{end}");
    }
}
