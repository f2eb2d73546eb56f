use providers::{AsOf, Fx, Gold, Term, WeightUnit};
use rust_decimal::dec;

use super::*;

fn limits() -> config::Judge {
    config::assemble(None, &[], &config::Overrides::default()).unwrap().judge
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn gold(product: &'static str, buy: Option<Decimal>, sell: Option<Decimal>) -> Quote {
    Quote::Gold(Gold {
        product: product.into(),
        place: None,
        code: None,
        name: None,
        unit: WeightUnit::Chi,
        currency: "VND".into(),
        buy,
        sell,
    })
}

fn fx(code: &'static str, cash: Option<Decimal>, transfer: Option<Decimal>, sell: Option<Decimal>) -> Quote {
    Quote::Fx(Fx {
        currency: code.into(),
        variant: None,
        name: None,
        per: 1,
        buy_cash: cash,
        buy_transfer: transfer,
        sell,
        sell_cash: None,
    })
}

fn deposit(months: u16, rate: Decimal) -> Quote {
    Quote::Deposit(providers::Deposit {
        term: Term::Months(months),
        channel: None,
        customer: providers::Customer::Personal,
        payout: None,
        place: None,
        currency: "VND".into(),
        min_amount: None,
        rate_percent: rate,
        effective_from: None,
    })
}

fn run(
    feed: &str,
    quotes: Vec<Quote>,
    as_of: AsOf,
    last_keys: &[&str],
) -> (Verdict, Vec<String>, Vec<String>) {
    let sheet = Sheet { as_of, quotes, refused: Vec::new() };
    let last_keys: Vec<String> = last_keys.iter().map(|key| (*key).to_owned()).collect();
    let limits = limits();
    let feed = providers::feed(feed).unwrap().1;
    let first = Case::first(feed, &sheet, &limits, dec!(3), at("2026-09-30T10:00:00+07:00"));
    let judgement = judge(&Case { last: &last_keys, ..first });
    (
        judgement.verdict,
        judgement.accepted.iter().map(Quote::key).collect(),
        judgement.reasons.iter().map(|reason| reason.code.to_string()).collect(),
    )
}

const USD: fn() -> Quote = || fx("USD", Some(dec!(25850)), Some(dec!(25880)), Some(dec!(26260)));

#[test]
fn a_sound_board_is_accepted_whole() {
    let (verdict, kept, reasons) =
        run("bidv.fx", vec![USD(), fx("CNY", None, Some(dec!(3464)), Some(dec!(3561)))], AsOf::Unstated, &[]);
    assert_eq!((verdict, kept.len(), reasons.len()), (Verdict::Accept, 2, 0));
}

#[test]
fn figures_outside_their_band_refuse_the_answer() {
    let bar = |buy, sell| gold("sjc-bar", Some(buy), Some(sell));
    for quote in [
        bar(dec!(2_999_999), dec!(3_000_000)),
        bar(dec!(14_000_000), dec!(140_000_000)),
        bar(dec!(30_000_001), dec!(30_000_002)),
    ] {
        assert_eq!(run("doji.gold", vec![quote], AsOf::Unstated, &[]).0, Verdict::Reject);
    }
    for rate in [dec!(258800), dec!(2588), dec!(14999.99)] {
        assert_eq!(
            run("bidv.fx", vec![fx("USD", None, Some(rate), None)], AsOf::Unstated, &[]).0,
            Verdict::Reject
        );
    }
    // JPY per 100 instead of per 1
    assert_eq!(
        run(
            "bidv.fx",
            vec![USD(), fx("JPY", None, Some(dec!(15914)), Some(dec!(16855)))],
            AsOf::Unstated,
            &[]
        )
        .2,
        ["out_of_band", "out_of_band"]
    );
    assert_eq!(run("bidv.deposit", vec![deposit(12, dec!(55))], AsOf::Unstated, &[]).0, Verdict::Reject);
}

#[test]
fn the_reference_bank_narrows_the_band_of_other_currencies() {
    let sheet = Sheet {
        as_of: AsOf::Unstated,
        quotes: vec![USD(), fx("EUR", None, Some(dec!(60000)), None)],
        refused: Vec::new(),
    };
    let verdict = |reference: &dyn Fn(&str) -> Option<Decimal>| {
        let feed = providers::feed("bidv.fx").unwrap().1;
        let limits = limits();
        let first = Case::first(feed, &sheet, &limits, dec!(3), at("2026-09-30T10:00:00+07:00"));
        judge(&Case { reference, ..first }).verdict
    };
    assert_eq!(verdict(&|_| None), Verdict::Accept);
    assert_eq!(verdict(&|_| Some(dec!(19000))), Verdict::Reject);
}

#[test]
fn fractions_and_slipped_digits_are_not_taken_for_percent() {
    for rates in [[dec!(0.021), dec!(0.059)], [dec!(0.21), dec!(0.59)], [dec!(2.1), dec!(0.059)]] {
        let board = vec![deposit(1, rates[0]), deposit(12, rates[1])];
        assert_eq!(run("bidv.deposit", board, AsOf::Unstated, &[]).0, Verdict::Reject, "{rates:?}");
    }
    // The lowest that a state bank ever quoted.
    let board = vec![deposit(1, dec!(1.6)), deposit(12, dec!(4.6))];
    assert_eq!(run("bidv.deposit", board, AsOf::Unstated, &[]).0, Verdict::Accept);
}

#[test]
fn an_answer_of_which_a_third_cannot_be_read_is_refused() {
    let sheet = Sheet {
        as_of: AsOf::Unstated,
        quotes: vec![deposit(6, dec!(3.5)), deposit(12, dec!(5.9))],
        refused: vec![Reason::new("unreadable", "row 1 Tháng")],
    };
    let feed = providers::feed("bidv.deposit").unwrap().1;
    let now = at("2026-09-30T10:00:00+07:00");
    let judgement = judge(&Case::first(feed, &sheet, &limits(), dec!(1.5), now));
    assert_eq!(judgement.verdict, Verdict::Reject);
    assert_eq!(judgement.reasons.last().unwrap().code, "incomplete");
}

#[test]
fn buying_above_selling_or_cash_above_transfer_refuses_the_answer() {
    assert_eq!(
        run(
            "doji.gold",
            vec![gold("sjc-bar", Some(dec!(14760000)), Some(dec!(14460000)))],
            AsOf::Unstated,
            &[]
        )
        .2,
        ["order"]
    );
    assert_eq!(
        run(
            "bidv.fx",
            vec![fx("USD", Some(dec!(25890)), Some(dec!(25880)), Some(dec!(26260)))],
            AsOf::Unstated,
            &[]
        )
        .2,
        ["order"]
    );
    assert_eq!(
        run("bidv.fx", vec![fx("USD", None, Some(dec!(26300)), Some(dec!(26260)))], AsOf::Unstated, &[]).2,
        ["order"]
    );
}

#[test]
fn a_row_over_its_spread_is_refused_alone() {
    let (verdict, kept, reasons) = run(
        "bidv.fx",
        vec![USD(), fx("EUR", Some(dec!(20000)), None, Some(dec!(26100)))],
        AsOf::Unstated,
        &[],
    );
    assert_eq!(
        (verdict, kept, reasons),
        (Verdict::Accept, vec!["USD".to_owned()], vec!["spread".to_owned()])
    );
    // LAK is really quoted 39 % apart
    assert_eq!(
        run("bidv.fx", vec![USD(), fx("LAK", None, Some(dec!(0.88)), Some(dec!(1.22)))], AsOf::Unstated, &[])
            .1
            .len(),
        2
    );
    assert_eq!(
        run(
            "doji.gold",
            vec![gold("sjc-bar", Some(dec!(10000000)), Some(dec!(11000001)))],
            AsOf::Unstated,
            &[]
        )
        .2,
        ["spread", "incomplete"]
    );
}

#[test]
fn an_answer_without_its_required_row_or_with_half_of_the_last_board_is_refused() {
    assert_eq!(
        run("bidv.fx", vec![fx("EUR", None, Some(dec!(29915)), None)], AsOf::Unstated, &[]).2,
        ["incomplete"]
    );
    assert_eq!(run("bidv.fx", Vec::new(), AsOf::Unstated, &[]).2, ["incomplete"]);
    let last = ["USD", "EUR", "GBP", "JPY"];
    let two = vec![USD(), fx("EUR", None, Some(dec!(29915)), None)];
    assert_eq!(run("bidv.fx", two.clone(), AsOf::Unstated, &last).2, ["incomplete"]);
    let mut three = two;
    three.push(fx("GBP", None, Some(dec!(34310)), None));
    assert_eq!(run("bidv.fx", three, AsOf::Unstated, &last).0, Verdict::Accept);
}

#[test]
fn a_board_of_an_earlier_day_than_the_last_one_is_refused() {
    let feed = providers::feed("bidv.fx").unwrap().1;
    let verdict = |as_of| {
        let sheet = Sheet { as_of, quotes: vec![USD()], refused: Vec::new() };
        let last_day = Some("2026-09-30".parse().unwrap());
        let now = at("2026-09-30T10:00:00+07:00");
        let limits = limits();
        judge(&Case { last_day, ..Case::first(feed, &sheet, &limits, dec!(3), now) }).verdict
    };
    assert_eq!(verdict(AsOf::At(at("2026-09-30T00:10:00+07:00"))), Verdict::Accept);
    assert_eq!(verdict(AsOf::At(at("2026-09-29T23:50:00+07:00"))), Verdict::Reject);
    assert_eq!(verdict(AsOf::On("2026-09-29".parse().unwrap())), Verdict::Reject);
    assert_eq!(verdict(AsOf::Unstated), Verdict::Accept);
}

#[test]
fn a_date_more_than_a_day_ahead_refuses_the_answer_and_an_old_one_does_not() {
    for (as_of, wanted) in [
        (AsOf::At(at("2026-10-01T10:00:01+07:00")), Verdict::Reject),
        (AsOf::At(at("2026-09-30T10:00:30+07:00")), Verdict::Accept),
        (AsOf::On("2026-10-02".parse().unwrap()), Verdict::Reject),
        (AsOf::On("2026-10-01".parse().unwrap()), Verdict::Accept),
        (AsOf::On("2013-05-17".parse().unwrap()), Verdict::Accept),
    ] {
        assert_eq!(run("bidv.fx", vec![USD()], as_of, &[]).0, wanted, "{as_of:?}");
    }
}

/// The verdict on a second board after a first one, with the codes of the reasons.
fn after(
    feed: &str,
    first: &[Quote],
    second: Vec<Quote>,
    max_jump: Decimal,
) -> (Verdict, Vec<String>, Vec<String>) {
    let sheet = Sheet { as_of: AsOf::Unstated, quotes: second, refused: Vec::new() };
    let feed = providers::feed(feed).unwrap().1;
    let limits = limits();
    let known: BTreeMap<String, Quote> = first.iter().map(|quote| (quote.key(), quote.clone())).collect();
    let before = |quote: &Quote| Before {
        own: super::known(quote, |key| known.get(key)).cloned(),
        ..Before::default()
    };
    let case = Case::first(feed, &sheet, &limits, max_jump, at("2026-09-30T10:00:00+07:00"));
    let judgement = judge(&Case { before: &before, ..case });
    (
        judgement.verdict,
        judgement.held.iter().map(|held| held.quote.key()).collect(),
        judgement.reasons.iter().map(|reason| reason.code.to_string()).collect(),
    )
}

fn bar(sell: Decimal) -> Quote {
    gold("sjc-bar", Some(sell - dec!(300000)), Some(sell))
}

#[test]
fn a_step_up_to_the_limit_is_a_market_and_one_beyond_it_waits() {
    let first = [bar(dec!(14_250_000))];
    for (sell, verdict) in [
        (dec!(14_900_000), Verdict::Accept),
        (dec!(13_600_000), Verdict::Accept),
        (dec!(15_000_000), Verdict::Hold),
        (dec!(13_500_000), Verdict::Hold),
    ] {
        assert_eq!(after("doji.gold", &first, vec![bar(sell)], dec!(5)).0, verdict, "{sell}");
    }
    // Rates go by points, not by percent.
    let rates = |year| vec![deposit(1, dec!(2.1)), deposit(12, year)];
    assert_eq!(after("bidv.deposit", &rates(dec!(5.9)), rates(dec!(7.4)), dec!(1.5)).0, Verdict::Accept);
    assert_eq!(after("bidv.deposit", &rates(dec!(5.9)), rates(dec!(7.5)), dec!(1.5)).0, Verdict::Hold);
}

#[test]
fn a_row_that_waits_leaves_the_others_alone() {
    let first = [USD(), fx("CNY", None, Some(dec!(3464)), Some(dec!(3561)))];
    let second = vec![USD(), fx("CNY", None, Some(dec!(3700)), Some(dec!(3800)))];
    let (verdict, held, reasons) = after("bidv.fx", &first, second, dec!(3));
    assert_eq!(
        (verdict, held, reasons),
        (Verdict::Hold, vec!["CNY".into()], vec!["jump".into(), "jump".into()])
    );
}

#[test]
fn known_slips_wait_for_the_operator() {
    let first = [bar(dec!(14_250_000))];
    // An ounce's price for a lượng's, and back.
    for sell in [dec!(17_181_225), dec!(11_818_860)] {
        let (verdict, _, reasons) = after("doji.gold", &first, vec![bar(sell)], dec!(5));
        assert_eq!((verdict, reasons[0].as_str()), (Verdict::Hold, "unit_slip"), "{sell}");
    }
    // A small rate slips a digit without leaving any limit in points.
    let demand = |rate| {
        vec![
            Quote::Deposit(providers::Deposit {
                term: Term::Demand,
                ..match deposit(1, rate) {
                    Quote::Deposit(deposit) => deposit,
                    _ => unreachable!(),
                }
            }),
            deposit(12, dec!(5.9)),
        ]
    };
    let (verdict, _, reasons) = after("bidv.deposit", &demand(dec!(0.1)), demand(dec!(1)), dec!(1.5));
    assert_eq!((verdict, reasons[0].as_str()), (Verdict::Hold, "unit_slip"));
}

#[test]
fn rows_that_changed_places_or_slipped_by_one_wait_for_the_operator() {
    let ladder = |rates: [Decimal; 5]| -> Vec<Quote> {
        [1, 3, 6, 9, 12].into_iter().zip(rates).map(|(months, rate)| deposit(months, rate)).collect()
    };
    let first = ladder([dec!(2.1), dec!(2.4), dec!(3.5), dec!(3.6), dec!(4.7)]);
    let swapped = ladder([dec!(2.1), dec!(3.5), dec!(2.4), dec!(3.6), dec!(4.7)]);
    let (verdict, held, reasons) = after("bidv.deposit", &first, swapped, dec!(1.5));
    assert_eq!((verdict, held.len()), (Verdict::Hold, 2));
    assert_eq!(reasons, ["swapped_rows", "swapped_rows"]);
    let slipped = ladder([dec!(2.4), dec!(3.5), dec!(3.6), dec!(4.7), dec!(4.7)]);
    let (verdict, held, _) = after("bidv.deposit", &first, slipped, dec!(1.5));
    assert_eq!((verdict, held.len()), (Verdict::Hold, 4));
    // A bank that raises all its rates by the same has not.
    let raised = ladder([dec!(2.3), dec!(2.6), dec!(3.7), dec!(3.8), dec!(4.9)]);
    assert_eq!(after("bidv.deposit", &first, raised, dec!(1.5)).0, Verdict::Accept);
}

#[test]
fn purer_gold_is_not_cheaper() {
    let pair = |pure, less| {
        vec![bar(dec!(14_250_000)), gold("raw-9999", Some(pure), None), gold("raw-999", Some(less), None)]
    };
    assert_eq!(
        run("doji.gold", pair(dec!(13_000_000), dec!(12_900_000)), AsOf::Unstated, &[]).0,
        Verdict::Accept
    );
    assert_eq!(
        run("doji.gold", pair(dec!(12_900_000), dec!(12_900_000)), AsOf::Unstated, &[]).0,
        Verdict::Accept
    );
    assert_eq!(run("doji.gold", pair(dec!(12_900_000), dec!(13_000_000)), AsOf::Unstated, &[]).2, ["purity"]);
}

#[test]
fn one_region_that_waits_takes_the_other_with_it_where_they_were_one() {
    let placed = |place: &'static str, rate| match deposit(12, rate) {
        Quote::Deposit(deposit) => {
            Quote::Deposit(providers::Deposit { place: Some(place.into()), ..deposit })
        }
        other => other,
    };
    let second = vec![placed("hanoi", dec!(4.7)), placed("hcm", dec!(7.4))];
    let (verdict, held, reasons) = after("bidv.deposit", &[deposit(12, dec!(4.7))], second, dec!(1.5));
    assert_eq!((verdict, held.len()), (Verdict::Hold, 2));
    assert!(reasons.contains(&"region".to_owned()), "{reasons:?}");
}

#[test]
fn a_copy_is_told_by_buying_and_selling_price_whatever_the_cash_price_says() {
    let first = [USD(), fx("EUR", Some(dec!(29000)), Some(dec!(29300)), Some(dec!(30200)))];
    let pound = fx("GBP", Some(dec!(34300)), Some(dec!(34634)), Some(dec!(35743)));
    let copied = fx("EUR", Some(dec!(29000)), Some(dec!(34634)), Some(dec!(35743)));
    let (verdict, held, reasons) = after(
        "vietcombank.fx",
        &[first.as_slice(), std::slice::from_ref(&pound)].concat(),
        vec![USD(), pound, copied],
        dec!(3),
    );
    assert_eq!((verdict, held), (Verdict::Hold, vec!["EUR".to_owned()]));
    assert!(reasons.contains(&"copied_row".to_owned()), "{reasons:?}");
}

#[test]
fn a_side_that_was_not_quoted_for_a_while_is_remembered() {
    let whole = fx("USD", Some(dec!(25850)), Some(dec!(25880)), Some(dec!(26260)));
    let without = fx("USD", Some(dec!(25850)), Some(dec!(25880)), None);
    assert_eq!(hold::remembered(&without, Some(&whole)), whole);
    assert_eq!(hold::remembered(&whole, Some(&without)), whole);
}
