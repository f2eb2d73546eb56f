//! Panels in every state, with the figures of the visual reference. Shared by the example and the tests.

use jiff::{Timestamp, civil::date};
use rust_decimal::{Decimal, dec};
use widgets::model::{
    DepositRow, DepositTable, Figure, Foot, FootState, FxRow, FxTable, GoldTable, Panel, Status, When,
};

/// The states a board can be in, by the names of the pages that show them.
pub(crate) const STATES: [&str; 7] =
    ["fresh", "stale", "expired", "unavailable", "held", "recorded", "borrowed"];

/// An instant in Vietnam.
fn at(month: i8, day: i8, hour: i8, minute: i8) -> Timestamp {
    let local = date(2026, month, day).at(hour, minute, 0, 0);
    jiff::tz::offset(7).to_timestamp(local).unwrap_or_default()
}

fn figure(value: Decimal) -> Figure {
    Figure { value: Some(value), status: Status::Fresh, change: None, held: false, borrowed: None }
}

fn gold(value: Decimal, change: Decimal) -> Figure {
    Figure { change: Some(change), ..figure(value) }
}

fn foot(name: &str, url: &str, state: FootState) -> Foot {
    Foot { mark: None, name: name.to_owned(), url: url.to_owned(), via: None, state }
}

/// Everything current.
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
    Panel {
        recorded: false,
        home: "https://banggia.example/".to_owned(),
        gold: GoldTable {
            houses: vec!["Doji".to_owned(), "TienPhongBank".to_owned()],
            buy: vec![gold(dec!(139.5), dec!(0.5)), gold(dec!(139.2), dec!(0))],
            sell: vec![gold(dec!(142.5), dec!(0.5)), gold(dec!(142.3), dec!(-0.2))],
            foot: vec![
                foot("DOJI", "https://giavang.doji.vn/", FootState::Fresh(When::ReadAt(at(9, 30, 10, 5)))),
                foot("TienPhongBank", "https://tpb.vn/", FootState::Fresh(When::On(date(2026, 9, 30)))),
            ],
        },
        fx: FxTable {
            rows: rates
                .map(|(code, buy, sell)| FxRow {
                    code: code.to_owned(),
                    buy: figure(buy),
                    sell: figure(sell),
                })
                .into(),
            foot: vec![foot(
                "BIDV",
                "https://bidv.com.vn/vn/ty-gia-ngoai-te",
                FootState::Fresh(When::At(at(9, 30, 10, 0))),
            )],
        },
        deposits: DepositTable {
            banks: vec!["BIDV".to_owned(), "OCB".to_owned()],
            rows: terms
                .map(|(months, bidv, ocb)| DepositRow { months, rates: vec![figure(bidv), figure(ocb)] })
                .into(),
            foot: vec![
                foot(
                    "BIDV",
                    "https://bidv.com.vn/vn/tra-cuu-lai-suat",
                    FootState::Fresh(When::InForceFrom(date(2026, 4, 13))),
                ),
                foot(
                    "OCB",
                    "https://ocb.com.vn/vi/cong-cu/lai-suat",
                    FootState::Fresh(When::ReadAt(at(9, 30, 6, 0))),
                ),
            ],
        },
    }
}

/// Figures of one house (by its column), of the exchange table and of one bank.
fn touch(panel: &mut Panel, house: usize, bank: usize, change: impl Fn(&mut Figure)) {
    let gold = panel.gold.buy.get_mut(house).into_iter().chain(panel.gold.sell.get_mut(house));
    let fx = panel.fx.rows.iter_mut().flat_map(|row| [&mut row.buy, &mut row.sell]);
    let deposits = panel.deposits.rows.iter_mut().filter_map(|row| row.rates.get_mut(bank));
    gold.chain(fx).chain(deposits).for_each(change);
}

fn set_foot(feet: &mut [Foot], index: usize, state: FootState) {
    if let Some(foot) = feet.get_mut(index) {
        foot.state = state;
    }
}

/// The panel in one of [`STATES`]; an unknown name is the fresh one.
pub(crate) fn panel(state: &str) -> Panel {
    let mut panel = fresh();
    match state {
        "stale" => {
            touch(&mut panel, 0, 1, |figure| figure.status = Status::Stale);
            set_foot(&mut panel.gold.foot, 0, FootState::Stale(When::ReadAt(at(9, 30, 7, 5))));
            set_foot(&mut panel.fx.foot, 0, FootState::Stale(When::At(at(9, 30, 7, 0))));
            set_foot(&mut panel.deposits.foot, 1, FootState::Stale(When::ReadAt(at(9, 28, 6, 0))));
        }
        "expired" => {
            touch(&mut panel, 1, 1, |figure| figure.status = Status::Expired);
            set_foot(&mut panel.gold.foot, 1, FootState::Expired(at(9, 27, 10, 5)));
            set_foot(&mut panel.fx.foot, 0, FootState::Expired(at(9, 27, 16, 0)));
            set_foot(&mut panel.deposits.foot, 1, FootState::Expired(at(9, 27, 6, 0)));
        }
        "unavailable" => {
            touch(&mut panel, 1, 1, |figure| {
                *figure = Figure { value: None, status: Status::Unavailable, change: None, ..figure.clone() };
            });
            set_foot(&mut panel.gold.foot, 1, FootState::Unavailable);
            set_foot(&mut panel.fx.foot, 0, FootState::Unavailable);
            set_foot(&mut panel.deposits.foot, 1, FootState::Unavailable);
        }
        "held" => {
            for figure in panel.gold.buy.iter_mut().chain(&mut panel.gold.sell).step_by(2) {
                figure.held = true;
            }
            if let Some(usd) = panel.fx.rows.first_mut() {
                usd.sell.held = true;
            }
            let since = at(9, 30, 9, 12);
            set_foot(&mut panel.gold.foot, 0, FootState::Held { what: None, since });
            let what = Some("USD".to_owned());
            set_foot(&mut panel.fx.foot, 0, FootState::Held { what, since: at(9, 30, 9, 10) });
        }
        "recorded" => {
            panel.recorded = true;
            let feet = panel.gold.foot.iter_mut().chain(&mut panel.fx.foot).chain(&mut panel.deposits.foot);
            feet.for_each(|foot| foot.state = FootState::Recorded(at(8, 31, 20, 56)));
        }
        "borrowed" => borrow_from_cafef(&mut panel),
        _ => {}
    }
    panel
}

/// OCB tells only 1, 6 and 12 months: the other terms come through CafeF. BIDV quotes no 9 months here.
fn borrow_from_cafef(panel: &mut Panel) {
    for row in &mut panel.deposits.rows {
        if let ([_, ocb], false) = (row.rates.as_mut_slice(), matches!(row.months, 1 | 6 | 12)) {
            ocb.borrowed = Some(('a', "CafeF".to_owned()));
        }
        if let ([bidv, _], 9) = (row.rates.as_mut_slice(), row.months) {
            bidv.value = None;
        }
    }
    panel.deposits.foot.push(Foot {
        mark: Some('a'),
        via: Some(("CafeF".to_owned(), "https://cafef.vn/".to_owned())),
        ..foot("OCB", "https://ocb.com.vn/vi/cong-cu/lai-suat", FootState::Fresh(When::On(date(2026, 9, 29))))
    });
    if let Some(doji) = panel.gold.foot.first_mut() {
        doji.via = Some(("vang.today".to_owned(), "https://www.vang.today/".to_owned()));
    }
}

/// Any number of houses and banks, all current.
pub(crate) fn columns(count: usize) -> Panel {
    let mut panel = fresh();
    let names = ["Doji", "TienPhongBank", "PNJ", "SJC", "Phú Quý", "Bảo Tín Minh Châu"];
    let banks = ["BIDV", "OCB", "Vietcombank", "TienPhongBank", "Agribank", "VietinBank"];
    panel.gold.houses = names.iter().take(count).map(|&name| name.to_owned()).collect();
    panel.deposits.banks = banks.iter().take(count).map(|&name| name.to_owned()).collect();
    let widen = |figures: &mut Vec<Figure>| *figures = figures.iter().cycle().take(count).cloned().collect();
    let feet = |names: &[String]| {
        let state = FootState::Fresh(When::On(date(2026, 9, 30)));
        names.iter().map(|name| foot(name, "https://bank.example/", state.clone())).collect()
    };
    panel.gold.foot = feet(&panel.gold.houses);
    panel.deposits.foot = feet(&panel.deposits.banks);
    widen(&mut panel.gold.buy);
    widen(&mut panel.gold.sell);
    panel.deposits.rows.iter_mut().for_each(|row| widen(&mut row.rates));
    panel
}
