//! TPBank's quirks: `sources/gold.md` §2.

use providers::{AsOf, Quote, WeightUnit};
use rust_decimal::dec;

use crate::support::{Case, case, fixture, gold, row};

fn chart() -> Case {
    case("tpbank.gold", "chart")
}

#[test]
fn tpbank_dates_are_month_first_and_the_newest_row_is_the_price() {
    let sheet = chart().sheet(&fixture("tpbank/gold.chart.2024-05-24.json"));
    assert_eq!(gold(&sheet, "bar"), (Some(dec!(87500000)), Some(dec!(89300000))));
    assert_eq!(sheet.as_of, AsOf::On("2024-05-24".parse().unwrap()));
    let Quote::Gold(bar) = row(&sheet, "bar") else { panic!() };
    assert_eq!((bar.unit, &bar.name), (WeightUnit::Luong, &None));
}

#[test]
fn tpbank_newest_row_wins_whatever_the_order_and_the_third_of_june_is_not_the_sixth_of_march() {
    let sheet = chart().sheet(&fixture("tpbank/gold.chart-unordered.2024-06-03.json"));
    assert_eq!(gold(&sheet, "bar"), (Some(dec!(80980000)), Some(dec!(82980000))));
    assert_eq!(sheet.as_of, AsOf::On("2024-06-03".parse().unwrap()));
}

#[test]
fn tpbank_day_that_cannot_be_read_might_be_the_newest() {
    let error = chart().error(&fixture("tpbank/gold.chart-day-first.2024-06-03.json"));
    assert_eq!(error.code(), "schema_drift");
    assert!(error.to_string().contains("30/02/2024"), "{error}");
}

#[test]
fn tpbank_empty_chart_and_missing_token_are_no_data() {
    assert_eq!(chart().error(&fixture("tpbank/gold.chart-empty.2024-06-03.json")).code(), "no_data");
    let token = chart().error(&fixture("tpbank/gold.chart-token.2024-06-03.json"));
    assert_eq!(token.to_string(), "the source says that it has no data: Token is invalid");
}

#[test]
fn tpbank_two_prices_of_one_day_contradict_each_other() {
    let row = |buy: u32| format!(r#"{{"DATES":"06/03/2024","RATE_BUY":{buy},"RATE_SELL":89500000}}"#);
    let twice = |a, b| format!(r#"{{"item":[{},{}]}}"#, row(a), row(b));
    assert_eq!(chart().sheet(twice(87_400_000, 87_400_000).as_bytes()).quotes.len(), 1);
    assert_eq!(chart().error(twice(87_400_000, 87_500_000).as_bytes()).code(), "conflict");
}

#[test]
fn tpbank_is_asked_for_ten_days_up_to_today_in_vietnam() {
    let asked = chart().at("2026-09-30T18:30:00Z").requests();
    assert_eq!(
        asked.first().unwrap().url.as_str(),
        "https://tpb.vn/CMCWPCoreAPI/api/public-service/get-gold-info-chart?from_date=09%2F21%2F2026&to_date=10%2F01%2F2026"
    );
}
