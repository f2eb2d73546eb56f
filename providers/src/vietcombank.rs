//! Vietcombank, the reference bank: its JSON by day and its XML.

mod json;
mod xml;

use jiff::civil::Weekday;

use crate::{Feed, Institution, Kind, Past, Source};

pub(crate) const VIETCOMBANK: Institution =
    Institution { id: "vietcombank", name: "Vietcombank", label: "Vietcombank", feeds: &[FX] };

const FX: Feed = Feed {
    id: "vietcombank.fx",
    kind: Kind::Fx,
    page: "https://www.vietcombank.com.vn/vi-VN/KHCN/Cong-cu-Tien-ich/Ty-gia",
    schedule: "*/10 8-17 * * Mon-Fri",
    stale_after: "15m",
    expire_after: "72h",
    timeout: "20s",
    max_jump: "3%",
    required: &["USD"],
    sources: &[
        Source {
            id: "json",
            url: "https://www.vietcombank.com.vn/api/exchangerates",
            secret: None,
            via: None,
            whole: true,
            min_interval: None,
            requests: json::requests,
            // On every one of 389 days, Saturdays, Sundays and holidays had the board of the day before.
            past: Some(Past {
                request: json::past,
                rests: &[Weekday::Saturday, Weekday::Sunday],
                rests_on_holidays: true,
                says_none: true,
            }),
            parse: json::parse,
        },
        Source {
            id: "xml",
            url: "https://portal.vietcombank.com.vn/Usercontrols/TVPortal.TyGia/pXML.aspx",
            secret: None,
            via: None,
            whole: true,
            min_interval: Some(300),
            requests: xml::requests,
            past: None,
            parse: xml::parse,
        },
    ],
};
