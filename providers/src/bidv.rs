//! BIDV: exchange rates and deposit rates, from the servlets behind the bank's own pages.

mod deposit;
mod fx;

use jiff::civil::Weekday;

use crate::{Feed, Institution, Kind, Past, Source};

pub(crate) const BIDV: Institution =
    Institution { id: "bidv", name: "BIDV", label: "BIDV", feeds: &[FX, DEPOSIT] };

const FX: Feed = Feed {
    id: "bidv.fx",
    kind: Kind::Fx,
    page: "https://bidv.com.vn/vn/ty-gia-ngoai-te",
    schedule: "*/10 8-17 * * Mon-Fri",
    stale_after: "15m",
    expire_after: "72h",
    timeout: "20s",
    max_jump: "3%",
    required: &["USD"],
    sources: &[Source {
        id: "board",
        url: "https://bidv.com.vn/ServicesBIDV/ExchangeDetailSearchTimeServlet",
        secret: None,
        via: None,
        whole: true,
        min_interval: None,
        requests: fx::requests,
        // A Sunday asked for by its date has no board; what a Saturday has is not known.
        past: Some(Past {
            request: fx::past,
            rests: &[Weekday::Sunday],
            rests_on_holidays: false,
            says_none: true,
        }),
        parse: fx::parse,
    }],
};

const DEPOSIT: Feed = Feed {
    id: "bidv.deposit",
    kind: Kind::Deposit,
    page: "https://bidv.com.vn/vn/tra-cuu-lai-suat",
    schedule: "0 6,12 * * *",
    stale_after: "12h",
    expire_after: "14d",
    timeout: "20s",
    max_jump: "1.5",
    required: &["P12M"],
    sources: &[Source {
        id: "rates",
        url: "https://bidv.com.vn/ServicesBIDV/InterestDetailServlet",
        secret: None,
        via: None,
        whole: true,
        min_interval: None,
        requests: deposit::requests,
        past: None,
        parse: deposit::parse,
    }],
};
