//! DOJI, a gold house: its board, its old XML, and the same prices as vang.today repeats them.

mod board;
mod vangtoday;
mod xml;

use std::borrow::Cow;

use crate::{
    Feed, Institution, Kind, Source, Via,
    quote::{Gold, Quote, WeightUnit},
    sheet,
};
use rust_decimal::Decimal;

pub(crate) const DOJI: Institution = Institution { id: "doji", name: "DOJI", label: "Doji", feeds: &[GOLD] };

const GOLD: Feed = Feed {
    id: "doji.gold",
    kind: Kind::Gold,
    page: "https://banggia.doji.vn/gold-price",
    schedule: "*/10 8-18 * * Mon-Sat",
    stale_after: "15m",
    expire_after: "72h",
    timeout: "20s",
    max_jump: "5%",
    required: &["sjc-bar"],
    sources: &[
        Source {
            id: "board",
            url: "https://banggia.doji.vn/api/TablePrice/GetTablePrice",
            secret: Some(board::KEY),
            via: None,
            whole: true,
            min_interval: None,
            requests: board::requests,
            past: None,
            parse: board::parse,
        },
        Source {
            id: "xml",
            // The source has no https.
            url: "http://giavang.doji.vn/api/giavang/",
            secret: Some(xml::KEY),
            via: None,
            whole: true,
            min_interval: None,
            requests: xml::requests,
            past: None,
            parse: xml::parse,
        },
        Source {
            id: "vangtoday",
            url: "https://www.vang.today/api/prices",
            secret: None,
            via: Some(Via { name: "vang.today", url: "https://www.vang.today/" }),
            whole: true,
            min_interval: None,
            requests: vangtoday::requests,
            past: None,
            parse: vangtoday::parse,
        },
    ],
};

/// A row in đồng; `None` when neither side is quoted.
fn gold(
    product: &'static str,
    place: Option<&'static str>,
    code: Option<String>,
    name: Option<&str>,
    unit: WeightUnit,
    (buy, sell): (Option<Decimal>, Option<Decimal>),
) -> Option<Quote> {
    (buy.is_some() || sell.is_some()).then(|| {
        Quote::Gold(Gold {
            product: Cow::Borrowed(product),
            place: place.map(Cow::Borrowed),
            code,
            name: sheet::named(name),
            unit,
            currency: Cow::Borrowed("VND"),
            buy,
            sell,
        })
    })
}

/// Thousands of đồng as đồng; `None` beyond what a decimal holds.
fn thousands(price: Decimal) -> Option<Decimal> {
    price.checked_mul(Decimal::ONE_THOUSAND).map(|dong| dong.normalize())
}
