//! Every widget in every state, with the figures of the visual reference. Shared by the example and the tests.

use jiff::{Timestamp, civil::date};
use rust_decimal::{Decimal, dec};
use widgets::model::{
    Channel, Chart, Choice, Content, DepositRow, DepositTable, Figure, Foot, FootState, FxList, FxListRow,
    FxRow, FxTable, GoldColumn, GoldHouse, GoldList, GoldRow, GoldTable, GoldUnit, Kind, Panel, Point,
    Product, Range, Status, Stretch, Subject, Tape, TapeItem, TapeWhat, Term, When, Widget,
};
use widgets::reduce::periods;

/// The states a board can be in, by the names of the pages that show them.
pub(crate) const STATES: [&str; 7] =
    ["fresh", "stale", "expired", "unavailable", "held", "recorded", "borrowed"];

/// An instant in Vietnam.
fn at(month: i8, day: i8, hour: i8, minute: i8) -> Timestamp {
    let local = date(2026, month, day).at(hour, minute, 0, 0);
    jiff::tz::offset(7).to_timestamp(local).unwrap_or_default()
}

fn figure(value: Decimal, foot: usize) -> Figure {
    Figure { value: Some(value), status: Status::Fresh, change: None, held: false, borrowed: None, foot }
}

fn moved(value: Decimal, change: Decimal, foot: usize) -> Figure {
    Figure { change: Some(change), ..figure(value, foot) }
}

fn none(foot: usize) -> Figure {
    Figure { value: None, ..figure(Decimal::ZERO, foot) }
}

fn foot(name: &str, url: &str, state: FootState) -> Foot {
    Foot { mark: None, name: name.to_owned(), url: url.to_owned(), via: None, state, until: None }
}

fn column(house: &str) -> GoldColumn {
    GoldColumn { house: house.to_owned(), product: None }
}

fn doji() -> Foot {
    foot("DOJI", "https://giavang.doji.vn/", FootState::Fresh(When::ReadAt(at(9, 30, 10, 5))))
}

fn tpbank() -> Foot {
    foot("TienPhongBank", "https://tpb.vn/", FootState::Fresh(When::On(date(2026, 9, 30))))
}

fn bidv_deposits() -> Foot {
    foot(
        "BIDV",
        "https://bidv.com.vn/vn/tra-cuu-lai-suat",
        FootState::Fresh(When::InForceFrom(date(2026, 4, 13))),
    )
}

fn ocb() -> Foot {
    foot("OCB", "https://ocb.com.vn/vi/cong-cu/lai-suat", FootState::Fresh(When::ReadAt(at(9, 30, 6, 0))))
}

fn vietcombank() -> Foot {
    foot(
        "Vietcombank",
        "https://www.vietcombank.com.vn/vi-VN/KHCN/Cong-cu-Tien-ich/Ty-gia",
        FootState::Fresh(When::At(at(9, 30, 10, 0))),
    )
}

/// The panel, everything current.
pub(crate) fn fresh() -> Panel {
    let rates = [
        ("USD", dec!(25880), dec!(26260)),
        ("EUR", dec!(29915), dec!(31178)),
        ("GBP", dec!(34310), dec!(35420)),
        ("JPY", dec!(157.6), dec!(168.4)),
        ("AUD", dec!(18312), dec!(19020)),
        ("CNY", dec!(3762), dec!(3884)),
        ("KRW", dec!(16.35), dec!(19.12)),
        ("SGD", dec!(20040), dec!(20861)),
        ("THB", dec!(745.2), dec!(838.6)),
    ];
    let bidv =
        foot("BIDV", "https://bidv.com.vn/vn/ty-gia-ngoai-te", FootState::Fresh(When::At(at(9, 30, 10, 0))));
    Panel {
        gold: GoldTable {
            unit: GoldUnit::Luong,
            houses: vec![column("Doji"), column("TienPhongBank")],
            buy: vec![moved(dec!(139.5), dec!(0.5), 0), moved(dec!(139.2), dec!(0), 1)],
            sell: vec![moved(dec!(142.5), dec!(0.5), 0), moved(dec!(142.3), dec!(-0.2), 1)],
            foot: vec![doji(), tpbank()],
        },
        fx: FxTable {
            rows: rates
                .map(|(code, buy, sell)| FxRow {
                    code: code.to_owned(),
                    buy: figure(buy, 0),
                    sell: figure(sell, 0),
                })
                .into(),
            foot: vec![bidv],
        },
        deposits: deposits(),
    }
}

fn deposits() -> DepositTable {
    let terms = [
        (1, dec!(2.1), dec!(4.75)),
        (3, dec!(2.4), dec!(4.75)),
        (6, dec!(3.5), dec!(6.4)),
        (9, dec!(3.5), dec!(6.4)),
        (12, dec!(5.9), dec!(6.7)),
        (18, dec!(5.9), dec!(6.6)),
        (24, dec!(6), dec!(6.8)),
        (36, dec!(6), dec!(7)),
    ];
    DepositTable {
        banks: vec!["BIDV".to_owned(), "OCB".to_owned()],
        channel: Some(Channel::Counter),
        rows: terms
            .map(|(months, bidv, ocb)| DepositRow {
                term: Term::Months(months),
                rates: vec![figure(bidv, 0), figure(ocb, 1)],
            })
            .into(),
        foot: vec![bidv_deposits(), ocb()],
    }
}

/// Thirty days of steps.
fn trend(last: Decimal) -> Vec<(Timestamp, Decimal)> {
    let steps = [30, 31, 28, 26, 27, 24, 22, 18, 20, 14, 12, 9, 11, 7, 8, 5, 2, 3, 0, 1];
    let day = jiff::SignedDuration::from_hours(36);
    (0_i32..)
        .zip(steps)
        .map(|(step, above)| (at(9, 1, 9, 0) + day * step, last + Decimal::new(above, 1)))
        .collect()
}

fn gold() -> GoldList {
    let row = |id: &str, buy, sell: Figure| GoldRow {
        product: Product { id: id.to_owned(), place: None },
        buy,
        trend: trend(sell.value.unwrap_or(dec!(98))),
        sell,
    };
    GoldList {
        unit: GoldUnit::Luong,
        houses: vec![
            GoldHouse {
                name: "DOJI".to_owned(),
                products: vec![
                    row("sjc-bar", moved(dec!(139.5), dec!(0.5), 0), moved(dec!(142.5), dec!(0.5), 0)),
                    row("ring-9999", moved(dec!(138.9), dec!(0.4), 0), moved(dec!(142.9), dec!(0.4), 0)),
                    row("jewelry-9999", moved(dec!(138.4), dec!(-0.1), 0), moved(dec!(142.4), dec!(-0.1), 0)),
                    row("raw-18k", moved(dec!(98.1), dec!(0), 0), none(0)),
                ],
            },
            GoldHouse {
                name: "TienPhongBank".to_owned(),
                products: vec![row("bar", moved(dec!(139.2), dec!(0), 1), moved(dec!(142.3), dec!(-0.2), 1))],
            },
        ],
        foot: vec![doji(), tpbank()],
    }
}

fn fx() -> FxList {
    let rates = [
        ("USD", Some(dec!(25850)), dec!(25880), dec!(26260), dec!(-15)),
        ("EUR", Some(dec!(29880)), dec!(30182), dec!(31456), dec!(42)),
        ("GBP", Some(dec!(34288)), dec!(34634), dec!(35744), dec!(-28)),
        ("JPY", Some(dec!(157.55)), dec!(159.14), dec!(168.55), dec!(0.35)),
        ("AUD", Some(dec!(18270)), dec!(18455), dec!(19061), dec!(66)),
        ("CNY", Some(dec!(3741)), dec!(3779), dec!(3900), dec!(0)),
        ("KRW", Some(dec!(16.12)), dec!(17.91), dec!(19.43), dec!(-0.06)),
        ("SGD", Some(dec!(19970)), dec!(20172), dec!(20875), dec!(12)),
        ("THB", Some(dec!(737.11)), dec!(819.01), dec!(853.77), dec!(1.2)),
        ("DKK", None, dec!(4040), dec!(4195), dec!(5)),
    ];
    FxList {
        bank: "Vietcombank".to_owned(),
        rows: rates
            .map(|(code, cash, transfer, sell, change)| FxListRow {
                code: code.to_owned(),
                buy_cash: cash.map_or_else(|| none(0), |cash| figure(cash, 0)),
                buy_transfer: figure(transfer, 0),
                sell: moved(sell, change, 0),
            })
            .into(),
        foot: vec![vietcombank()],
    }
}

fn tape() -> Tape {
    let currency = |code: &str, buy, sell, change| TapeItem {
        what: TapeWhat::Currency(code.to_owned()),
        buy: Some(figure(buy, 1)),
        sell: moved(sell, change, 1),
        house: "Vietcombank".to_owned(),
    };
    let sjc = Product { id: "sjc-bar".to_owned(), place: None };
    Tape {
        items: vec![
            TapeItem {
                what: TapeWhat::Gold(sjc, GoldUnit::Luong),
                buy: Some(moved(dec!(139.5), dec!(0.5), 0)),
                sell: moved(dec!(142.5), dec!(0.5), 0),
                house: "DOJI".to_owned(),
            },
            currency("USD", dec!(25850), dec!(26260), dec!(-15)),
            currency("EUR", dec!(29880), dec!(31456), dec!(42)),
            currency("JPY", dec!(157.55), dec!(168.55), dec!(0.35)),
            TapeItem {
                what: TapeWhat::Deposit(Term::Months(12)),
                buy: None,
                sell: figure(dec!(6.7), 2),
                house: "OCB".to_owned(),
            },
        ],
        foot: vec![doji(), vietcombank(), ocb()],
    }
}

/// A widget around some content.
pub(crate) fn around(content: Content) -> Widget {
    Widget { recorded: false, at: None, home: "https://banggia.example/".to_owned(), content }
}

/// The panel in one of [`STATES`].
#[allow(dead_code, reason = "of the tests; the example writes widgets")]
pub(crate) fn panel(state: &str) -> Panel {
    match widget(Kind::Panel, state).content {
        Content::Panel(panel) => panel,
        _ => fresh(),
    }
}

/// A table's figures and its foot.
type Table<'a> = (Vec<&'a mut Figure>, &'a mut Vec<Foot>);

fn tables(content: &mut Content) -> Vec<Table<'_>> {
    fn gold(table: &mut GoldTable) -> Table<'_> {
        (table.buy.iter_mut().chain(&mut table.sell).collect(), &mut table.foot)
    }
    fn fx(table: &mut FxTable) -> Table<'_> {
        (table.rows.iter_mut().flat_map(|row| [&mut row.buy, &mut row.sell]).collect(), &mut table.foot)
    }
    fn deposits(table: &mut DepositTable) -> Table<'_> {
        (table.rows.iter_mut().flat_map(|row| &mut row.rates).collect(), &mut table.foot)
    }
    match content {
        Content::Panel(panel) => {
            vec![gold(&mut panel.gold), fx(&mut panel.fx), deposits(&mut panel.deposits)]
        }
        Content::Gold(list) => {
            let rows = list.houses.iter_mut().flat_map(|house| &mut house.products);
            vec![(rows.flat_map(|row| [&mut row.buy, &mut row.sell]).collect(), &mut list.foot)]
        }
        Content::Fx(lists) => lists
            .iter_mut()
            .map(|list| {
                let rows = list.rows.iter_mut();
                let figures = rows.flat_map(|row| [&mut row.buy_cash, &mut row.buy_transfer, &mut row.sell]);
                (figures.collect(), &mut list.foot)
            })
            .collect(),
        Content::Deposits(table) => vec![deposits(table)],
        Content::Chart(chart) => {
            vec![(chart.buy.iter_mut().chain([&mut chart.sell]).collect(), &mut chart.foot)]
        }
        Content::Ticker(tape) => {
            let items = tape.items.iter_mut();
            vec![(
                items.flat_map(|item| item.buy.iter_mut().chain([&mut item.sell])).collect(),
                &mut tape.foot,
            )]
        }
    }
}

/// Courses that a chart may have to draw, by name.
#[allow(dead_code, reason = "not of every test")]
pub(crate) const COURSES: [&str; 7] = ["month", "gap", "jump", "point", "none", "rates", "deposit"];

/// What was asked for by each change, from 31 August on: day, hour, selling price.
const MONTH: [(i8, i8, i64); 25] = [
    (1, 9, 14_360),
    (1, 14, 14_390),
    (2, 9, 14_520),
    (3, 9, 14_910),
    (3, 15, 14_880),
    (4, 9, 14_790),
    (5, 9, 14_820),
    (7, 9, 14_750),
    (8, 9, 14_700),
    (9, 10, 14_610),
    (10, 9, 14_640),
    (11, 9, 14_560),
    (12, 9, 14_510),
    (14, 9, 14_470),
    (15, 9, 14_420),
    (16, 9, 14_450),
    (18, 9, 14_380),
    (19, 9, 14_340),
    (21, 9, 14_310),
    (22, 9, 14_420),
    (24, 9, 14_330),
    (25, 9, 14_290),
    (26, 9, 14_260),
    (28, 9, 14_200),
    (30, 9, 14_250),
];

/// A chart with one of [`COURSES`].
pub(crate) fn course(name: &str) -> Chart {
    let (from, to) = (at(8, 31, 10, 5), at(9, 30, 10, 5));
    let point = |at, sell| Point { at, buy: Some(sell - dec!(3)), sell: Some(sell) };
    let mut points = vec![point(from, dec!(143.2))];
    points.extend(MONTH.iter().map(|(day, hour, sell)| point(at(9, *day, *hour, 0), Decimal::new(*sell, 2))));
    let gold = Product { id: "sjc-bar".to_owned(), place: None };
    let mut chart = Chart {
        subject: Subject::Gold(gold, GoldUnit::Luong),
        house: "DOJI".to_owned(),
        from,
        to,
        course: Vec::new(),
        buy: Some(moved(dec!(139.50), dec!(0.50), 0)),
        sell: moved(dec!(142.50), dec!(0.50), 0),
        periods: Vec::new(),
        unread: false,
        choices: Range::ALL
            .map(|range| Choice {
                range,
                href: format!("?range={}", range.as_str()),
                chosen: range == Range::Month,
            })
            .into(),
        foot: vec![doji()],
    };
    match name {
        "gap" => {
            let back = points.split_off(12);
            chart.course = vec![
                Stretch { points: points.split_off(2), until: at(9, 10, 9, 0) },
                Stretch { points: back.into_iter().skip(4).collect(), until: to },
            ];
        }
        "jump" => {
            for point in points.iter_mut().skip(14) {
                point.buy = point.buy.map(|price| price - dec!(31));
                point.sell = point.sell.map(|price| price - dec!(31));
            }
            chart.buy = Some(moved(dec!(108.50), dec!(-31.20), 0));
            chart.sell = moved(dec!(111.50), dec!(-31.20), 0);
            chart.course = vec![Stretch { points, until: to }];
        }
        "point" => {
            let only = at(9, 30, 9, 0);
            chart.course = vec![Stretch { points: vec![point(only, dec!(142.5))], until: only }];
            chart.buy = Some(figure(dec!(139.50), 0));
            chart.sell = figure(dec!(142.50), 0);
        }
        "none" => {}
        "rates" => {
            for point in &mut points {
                point.sell = point.sell.map(|price| price * dec!(182.3));
                point.buy = point.sell.map(|price| price - dec!(60));
            }
            chart.subject = Subject::Currency("USD".to_owned(), None);
            "Vietcombank".clone_into(&mut chart.house);
            chart.buy = Some(moved(dec!(25918), dec!(-12), 0));
            chart.sell = moved(dec!(25978), dec!(-12), 0);
            chart.foot = vec![vietcombank()];
            chart.course = vec![Stretch { points, until: to }];
        }
        "deposit" => {
            let rate = |at, rate| Point { at, buy: None, sell: Some(rate) };
            let points = vec![rate(from, dec!(5.9)), rate(at(9, 11, 6, 0), dec!(5.7))];
            chart.subject = Subject::Deposit(Term::Months(12), Some(Channel::Counter));
            "BIDV".clone_into(&mut chart.house);
            chart.buy = None;
            chart.sell = moved(dec!(5.7), dec!(-0.2), 0);
            chart.foot = vec![bidv_deposits()];
            chart.course = vec![Stretch { points, until: to }];
        }
        _ => chart.course = vec![Stretch { points, until: to }],
    }
    chart.periods = periods(&chart.course, (from, to));
    chart
}

/// A widget in one of [`STATES`]; an unknown name is the fresh one. Where a table has several sources, one of them is
/// in the state.
pub(crate) fn widget(kind: Kind, state: &str) -> Widget {
    let mut widget = around(match kind {
        Kind::Panel => Content::Panel(fresh()),
        Kind::Gold => Content::Gold(gold()),
        Kind::Fx => Content::Fx(vec![fx()]),
        Kind::Deposits => Content::Deposits(deposits()),
        Kind::Ticker => Content::Ticker(tape()),
        Kind::Chart if state == "unavailable" => Content::Chart(Box::new(course("none"))),
        Kind::Chart => Content::Chart(Box::new(course("month"))),
    });
    widget.recorded = state == "recorded";
    let deposits = |place: usize| kind == Kind::Deposits || (kind == Kind::Panel && place == 2);
    for (place, (figures, feet)) in tables(&mut widget.content).into_iter().enumerate() {
        let touched = match state {
            _ if deposits(place) => feet.len() - 1,
            "expired" | "unavailable" => feet.len() - 1,
            _ => 0,
        };
        let touch = |change: &dyn Fn(&mut Figure), state: FootState| {
            figures.into_iter().filter(|figure| figure.foot == touched).for_each(change);
            if let Some(foot) = feet.get_mut(touched) {
                foot.state = state;
            }
        };
        match state {
            "stale" => {
                let read =
                    if deposits(place) { When::ReadAt(at(9, 28, 6, 0)) } else { stale_time(kind, place) };
                touch(&|figure| figure.status = Status::Stale, FootState::Stale(read));
            }
            "expired" => {
                touch(&|figure| figure.status = Status::Expired, FootState::Expired(at(9, 27, 10, 5)));
            }
            "unavailable" => touch(
                &|figure| {
                    *figure =
                        Figure { value: None, status: Status::Unavailable, change: None, ..figure.clone() };
                },
                FootState::Unavailable,
            ),
            "held" if !deposits(place) => {
                let rates = kind == Kind::Fx || (kind == Kind::Panel && place == 1);
                let what = rates.then(|| "USD".to_owned());
                let held = FootState::Held { what, since: at(9, 30, 9, 12) };
                touch(&|figure| figure.held = !rates || figure.value == Some(dec!(26260)), held);
            }
            "recorded" => {
                for foot in feet.iter_mut() {
                    foot.state = FootState::Recorded(at(8, 31, 20, 56));
                }
            }
            _ => {}
        }
    }
    if state == "borrowed" {
        match &mut widget.content {
            Content::Panel(panel) => {
                borrow_from_cafef(&mut panel.deposits);
                borrow_gold(&mut panel.gold.foot);
            }
            Content::Deposits(table) => borrow_from_cafef(table),
            Content::Gold(list) => borrow_gold(&mut list.foot),
            Content::Ticker(tape) => borrow_gold(&mut tape.foot),
            Content::Chart(chart) => borrow_gold(&mut chart.foot),
            Content::Fx(_) => {}
        }
    }
    widget
}

fn stale_time(kind: Kind, place: usize) -> When {
    if kind == Kind::Fx || place == 1 { When::At(at(9, 30, 7, 0)) } else { When::ReadAt(at(9, 30, 7, 5)) }
}

fn borrow_gold(feet: &mut [Foot]) {
    if let Some(doji) = feet.first_mut() {
        doji.via = Some(("vang.today".to_owned(), "https://www.vang.today/".to_owned()));
    }
}

/// OCB tells only 1, 6 and 12 months: the other terms come through CafeF. BIDV quotes no 9 months here.
fn borrow_from_cafef(table: &mut DepositTable) {
    for row in &mut table.rows {
        let own = matches!(row.term, Term::Months(1 | 6 | 12));
        if let ([_, ocb], false) = (row.rates.as_mut_slice(), own) {
            ocb.borrowed = Some(('a', "CafeF".to_owned()));
            ocb.foot = 2;
        }
        if let ([bidv, _], Term::Months(9)) = (row.rates.as_mut_slice(), row.term) {
            bidv.value = None;
        }
    }
    table.foot.push(Foot {
        mark: Some('a'),
        via: Some(("CafeF".to_owned(), "https://cafef.vn/".to_owned())),
        state: FootState::Fresh(When::On(date(2026, 9, 29))),
        ..ocb()
    });
}

/// Any number of houses and banks, all current.
pub(crate) fn columns(count: usize) -> Panel {
    let mut panel = fresh();
    let names = ["Doji", "TienPhongBank", "PNJ", "SJC", "Phú Quý", "Bảo Tín Minh Châu"];
    let banks = ["BIDV", "OCB", "Vietcombank", "TienPhongBank", "Agribank", "VietinBank"];
    panel.gold.houses = names.iter().take(count).map(|&name| column(name)).collect();
    panel.deposits.banks = banks.iter().take(count).map(|&name| name.to_owned()).collect();
    let widen = |figures: &mut Vec<Figure>| {
        let wide = figures.iter().cycle().take(count).cloned().enumerate();
        *figures = wide.map(|(foot, figure)| Figure { foot, ..figure }).collect();
    };
    let feet = |names: &[String]| {
        let state = FootState::Fresh(When::On(date(2026, 9, 30)));
        names.iter().map(|name| foot(name, "https://bank.example/", state.clone())).collect()
    };
    let houses: Vec<String> = panel.gold.houses.iter().map(|column| column.house.clone()).collect();
    panel.gold.foot = feet(&houses);
    panel.deposits.foot = feet(&panel.deposits.banks);
    widen(&mut panel.gold.buy);
    widen(&mut panel.gold.sell);
    panel.deposits.rows.iter_mut().for_each(|row| widen(&mut row.rates));
    panel
}
