//! OCB: the small widget of its front page, its full table when the page is there, and CafeF in its stead.

mod cafef;
mod page;

use std::borrow::Cow;

use rust_decimal::Decimal;

use crate::{
    Feed, Institution, Kind, Source, Via,
    quote::{Channel, Customer, Deposit, Quote, Term},
};

pub(crate) const OCB: Institution = Institution { id: "ocb", name: "OCB", label: "OCB", feeds: &[DEPOSIT] };

const DEPOSIT: Feed = Feed {
    id: "ocb.deposit",
    kind: Kind::Deposit,
    page: "https://ocb.com.vn/vi/cong-cu/lai-suat",
    schedule: "15 6,12 * * *",
    stale_after: "12h",
    expire_after: "14d",
    timeout: "90s",
    max_jump: "1.5",
    required: &["P12M"],
    sources: &[
        Source {
            id: "widget",
            url: "https://ocb.com.vn/vi/ca-nhan",
            secret: None,
            via: None,
            whole: false,
            min_interval: None,
            requests: page::requests,
            past: None,
            parse: page::parse_widget,
        },
        Source {
            id: "table",
            url: "https://www.ocb.com.vn/vi/cong-cu/lai-suat",
            secret: None,
            via: None,
            whole: true,
            min_interval: None,
            requests: page::requests,
            past: None,
            parse: page::parse_table,
        },
        Source {
            id: "cafef",
            url: "https://cafefnew.mediacdn.vn/Images/Uploaded/DuLieuDownload/Liveboard/all_banks_interest_rates.json",
            secret: None,
            via: Some(Via { name: "CafeF", url: "https://cafef.vn/" }),
            whole: true,
            min_interval: None,
            requests: cafef::requests,
            past: None,
            parse: cafef::parse,
        },
    ],
};

/// Neither the bank nor the stand-in states payout, smallest amount or effective day.
const fn deposit(term: Term, channel: Option<Channel>, rate_percent: Decimal) -> Quote {
    Quote::Deposit(Deposit {
        term,
        channel,
        customer: Customer::Personal,
        payout: None,
        place: None,
        currency: Cow::Borrowed("VND"),
        min_amount: None,
        rate_percent,
        effective_from: None,
    })
}
