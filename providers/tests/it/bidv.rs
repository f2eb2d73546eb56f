//! BIDV's quirks: `sources/fx.md` §1 and `sources/deposit.md` §1.

use providers::{AsOf, Channel, Method, Quote};
use rust_decimal::dec;

use crate::support::{Case, case, fixture, fx, keys, rate, refused, row};

fn board() -> Case {
    case("bidv.fx", "board")
}

#[test]
fn bidv_is_asked_for_the_list_of_the_day_and_then_for_its_newest_board() {
    let asked = board().requests();
    let list = asked.first().unwrap();
    assert_eq!((list.step, list.method), ("boards", Method::Post));
    assert_eq!(list.url.as_str(), "https://bidv.com.vn/ServicesBIDV/ExchangeDetailSearchTimeServlet");
    assert_eq!(list.form, "date=30%2F09%2F2026");
    let newest = asked.get(1).unwrap();
    assert_eq!((newest.step, newest.form.as_str()), ("newest", "date=&time="));
    assert_eq!(newest.url.as_str(), "https://bidv.com.vn/ServicesBIDV/ExchangeDetailServlet");
}

#[test]
fn bidv_ordinals_are_compared_as_numbers_whether_number_or_text() {
    let next = board().step("boards").follow(&fixture("bidv/fx.boards.2024-12-10.json"));
    assert_eq!((next.step, next.method), ("board", Method::Post));
    assert_eq!(next.form, "date=30%2F09%2F2026&time=r10");
    assert_eq!(next.url.as_str(), "https://bidv.com.vn/ServicesBIDV/ExchangeDetailServlet");
}

#[test]
fn bidv_empty_list_leads_to_the_call_without_parameters() {
    for name in ["bidv/fx.boards-empty.2024-12-08.json", "bidv/fx.boards-none.2024-12-08.json"] {
        let next = board().step("boards").follow(&fixture(name));
        assert_eq!((next.step, next.form.as_str()), ("newest", "date=&time="), "{name}");
    }
}

#[test]
fn bidv_steps_stay_under_the_operators_base() {
    let under = |base: &str| {
        let case = board().base(base);
        let asked = case.requests();
        let next = case.step("boards").follow(&fixture("bidv/fx.boards.2024-12-10.json"));
        [asked.first().unwrap().url.to_string(), next.url.to_string()]
    };
    assert_eq!(
        under("http://127.0.0.1:1/bidv/"),
        [
            "http://127.0.0.1:1/bidv/ExchangeDetailSearchTimeServlet",
            "http://127.0.0.1:1/bidv/ExchangeDetailServlet"
        ]
    );
    assert_eq!(
        under("http://127.0.0.1:1/bidv/list?x=1"),
        ["http://127.0.0.1:1/bidv/list?x=1", "http://127.0.0.1:1/bidv/ExchangeDetailServlet?x=1"]
    );
}

#[test]
fn bidv_saved_list_is_not_a_board() {
    let error = board().error(&fixture("bidv/fx.boards.2024-12-10.json"));
    assert_eq!(error.code(), "not_expected_content");
    assert!(error.to_string().contains("a list of 4 boards of one day, not a board"), "{error}");
}

#[test]
fn bidv_figures_have_commas_for_thousands_and_a_point_for_decimals() {
    let sheet = board().sheet(&fixture("bidv/fx.board.2024-12-10.json"));
    assert_eq!(fx(&sheet, "USD"), [Some(dec!(25170)), Some(dec!(25170)), Some(dec!(25470))]);
    assert_eq!(fx(&sheet, "JPY"), [Some(dec!(163.2)), Some(dec!(163.46)), Some(dec!(171.06))]);
    assert_eq!(fx(&sheet, "MYR"), [Some(dec!(5353.44)), None, Some(dec!(6025.36))]);
    assert_eq!(fx(&sheet, "LAK"), [None, Some(dec!(0.88)), Some(dec!(1.22))]);
}

#[test]
fn bidv_small_notes_are_not_usd() {
    let sheet = board().sheet(&fixture("bidv/fx.board.2024-12-10.json"));
    assert_eq!(fx(&sheet, "USD.1-2-5"), [Some(dec!(24163)), None, None]);
    assert_eq!(fx(&sheet, "USD.10-20"), [Some(dec!(24163)), None, None]);
    assert_eq!(sheet.quotes.iter().filter(|quote| quote.key() == "USD").count(), 1);
}

#[test]
fn bidv_xau_row_is_gold_and_never_a_currency() {
    let sheet = board().sheet(&fixture("bidv/fx.board.2024-12-10.json"));
    assert!(!keys(&sheet).iter().any(|key| key.contains("XAU")));
    assert!(sheet.quotes.iter().all(|quote| matches!(quote, Quote::Fx(fx) if fx.sell != Some(dec!(85600)))));
}

#[test]
fn bidv_rows_of_dashes_are_no_quotes() {
    let sheet = board().sheet(&fixture("bidv/fx.board.2024-12-10.json"));
    assert!(!keys(&sheet).contains(&"RUB".to_owned()));
    assert_eq!(sheet.quotes.len(), 23);
    assert_eq!(refused(&sheet), [""; 0]);
}

#[test]
fn bidv_day_that_comes_back_is_the_as_of_with_the_hour_where_there_is_one() {
    let sheet = board().step("board").sheet(&fixture("bidv/fx.board.2024-12-10.json"));
    assert_eq!(sheet.as_of, AsOf::At("2024-12-10T08:30:00+07:00".parse().unwrap()));
    let sheet = board().sheet(&fixture("bidv/fx.board-quirks.2024-12-10.json"));
    assert_eq!(sheet.as_of, AsOf::On("2024-12-09".parse().unwrap()));
    assert_eq!(board().error(&fixture("bidv/fx.board-bad-day.2024-12-10.json")).code(), "schema_drift");
}

#[test]
fn bidv_codes_lose_their_blanks_and_two_selling_prices_are_kept_apart() {
    let sheet = board().sheet(&fixture("bidv/fx.board-quirks.2024-12-10.json"));
    assert_eq!(keys(&sheet), ["USD", "USD.5-10-20", "KRW"]);
    let Quote::Fx(usd) = row(&sheet, "USD") else { panic!() };
    assert_eq!((usd.sell, usd.sell_cash), (Some(dec!(25470)), Some(dec!(25480))));
    assert_eq!(usd.name.as_deref(), Some("Dollar Mỹ"));
}

#[test]
fn bidv_figures_written_the_vietnamese_way_are_refused_and_not_guessed() {
    let sheet = board().sheet(&fixture("bidv/fx.board-quirks.2024-12-10.json"));
    let refused = refused(&sheet);
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused[0].contains("JPY") && refused[0].contains("163,46"), "{refused:?}");
    assert!(refused[1].contains("EUR") && refused[1].contains("26.348"), "{refused:?}");
    assert!(refused[2].contains("GBP") && refused[2].contains("-31,951"), "{refused:?}");
}

#[test]
fn bidv_two_rows_that_differ_are_a_contradiction() {
    let error = board().error(&fixture("bidv/fx.board-conflict.2024-12-10.json"));
    assert_eq!(error.code(), "conflict");
    assert!(error.to_string().contains("USD"), "{error}");
}

#[test]
fn bidv_status_other_than_one_and_renamed_columns_are_failures() {
    assert_eq!(board().error(&fixture("bidv/fx.board-none.2024-12-08.json")).code(), "no_data");
    assert_eq!(
        board().step("newest").error(&fixture("bidv/fx.boards-empty.2024-12-08.json")).code(),
        "no_data"
    );
    assert_eq!(board().error(&fixture("bidv/fx.board-renamed.2024-12-10.json")).code(), "schema_drift");
}

#[test]
fn bidv_page_is_a_shell_without_figures() {
    let error = board().error(&fixture("bidv/fx.page-shell.2026-05-01.html"));
    assert_eq!(error.code(), "not_expected_content");
    assert!(error.to_string().contains("a shell with placeholders"), "{error}");
}

fn rates() -> Case {
    case("bidv.deposit", "rates")
}

#[test]
fn bidv_deposit_is_posted_and_then_got() {
    let methods: Vec<_> =
        rates().requests().iter().map(|request| (request.method, request.form.clone())).collect();
    assert_eq!(methods, [(Method::Post, String::new()), (Method::Get, String::new())]);
}

#[test]
fn bidv_deposit_regions_that_agree_are_one_quote() {
    let sheet = rates().sheet(&fixture("bidv/deposit.rates.2026-04-13.json"));
    assert_eq!(
        keys(&sheet),
        [
            "counter.demand",
            "counter.P1M",
            "counter.P2M",
            "counter.P3M",
            "counter.P5M",
            "counter.P6M",
            "counter.P9M",
            "counter.P12M",
            "counter.P13M",
            "counter.P15M",
            "counter.P18M",
            "counter.P24M",
            "counter.P36M"
        ]
    );
    assert_eq!((rate(&sheet, "counter.demand"), rate(&sheet, "counter.P36M")), (dec!(0.1), dec!(6)));
    let Quote::Deposit(year) = row(&sheet, "counter.P12M") else { panic!() };
    assert_eq!((year.channel, &year.place), (Some(Channel::Counter), &None));
}

#[test]
fn bidv_deposit_effective_date_is_day_first_and_the_as_of() {
    let sheet = rates().sheet(&fixture("bidv/deposit.rates.2026-04-13.json"));
    let day = "2026-04-13".parse().unwrap();
    assert_eq!(sheet.as_of, AsOf::On(day));
    assert!(
        sheet.quotes.iter().all(|quote| matches!(quote, Quote::Deposit(d) if d.effective_from == Some(day)))
    );
    assert_eq!(rates().error(&fixture("bidv/deposit.month-first.2026-04-13.json")).code(), "schema_drift");
}

#[test]
fn bidv_deposit_regions_that_differ_are_two_quotes_and_empty_is_absent() {
    let sheet = rates().sheet(&fixture("bidv/deposit.regions-differ.2026-04-15.json"));
    let keys = keys(&sheet);
    assert_eq!((rate(&sheet, "counter.P6M.hanoi"), rate(&sheet, "counter.P6M.hcm")), (dec!(3.5), dec!(3.6)));
    for only_hanoi in ["P5M", "P2M", "P9M", "P15M", "P18M", "P36M"] {
        assert!(keys.contains(&format!("counter.{only_hanoi}.hanoi")), "{only_hanoi}");
        assert!(!keys.contains(&format!("counter.{only_hanoi}.hcm")), "{only_hanoi}");
        assert!(!keys.contains(&format!("counter.{only_hanoi}")), "{only_hanoi}");
    }
    assert_eq!(sheet.as_of, AsOf::On("2026-04-15".parse().unwrap()));
    let since = |key: &str| match row(&sheet, key) {
        Quote::Deposit(deposit) => deposit.effective_from.unwrap().to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (since("counter.P6M.hanoi").as_str(), since("counter.P6M.hcm").as_str()),
        ("2026-04-13", "2026-04-15")
    );
    assert_eq!(since("counter.P12M"), "2026-04-15");
    assert_eq!(refused(&sheet).len(), 3, "{:?}", refused(&sheet));
}

#[test]
fn bidv_deposit_full_period_means_demand() {
    let text = String::from_utf8(fixture("bidv/deposit.rates.2026-04-13.json")).unwrap();
    let english = text.replace(r#""title_vi":"Không kỳ hạn","#, "");
    assert_ne!(english, text);
    assert_eq!(rate(&rates().sheet(english.as_bytes()), "counter.demand"), dec!(0.1));
}

#[test]
fn bidv_deposit_enable_flags_filter_nothing_and_the_regions_come_in_any_order() {
    let text = String::from_utf8(fixture("bidv/deposit.rates.2026-04-13.json")).unwrap();
    assert!(text.contains(r#"{"enable":"0","currency":"VND"}"#) && text.starts_with("{\"hcm\""));
    let swapped =
        text.replace("\"hcm\":", "\"x\":").replace("\"hanoi\":", "\"hcm\":").replace("\"x\":", "\"hanoi\":");
    assert_eq!(rates().sheet(swapped.as_bytes()), rates().sheet(text.as_bytes()));
}

#[test]
fn bidv_deposit_wants_both_regions_status_one_and_no_contradiction() {
    assert_eq!(rates().error(&fixture("bidv/deposit.one-region.2026-04-13.json")).code(), "schema_drift");
    assert_eq!(rates().error(&fixture("bidv/deposit.conflict.2026-04-13.json")).code(), "conflict");
    let status = rates().error(&fixture("bidv/deposit.status-0.2026-04-13.json"));
    assert_eq!(
        status.to_string(),
        "the source says that it has no data: its status is 0 and not 1; its note says: Hệ thống đang bảo trì"
    );
}
