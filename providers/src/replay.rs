//! One coherent pair of days of all six feeds, in the wire form of their sources, for looking at the program
//! without a network. Written by this project after real answers: see `fixtures/README.md`.

/// One recorded answer.
#[derive(Debug, Clone, Copy)]
pub struct Recording {
    /// `doji.gold`
    pub feed: &'static str,
    /// Source in the feed: `vangtoday`
    pub source: &'static str,
    /// When it was recorded, Vietnamese wall time: `2026-09-30T1005`
    pub at: &'static str,
    /// Which step of the source, where it has several.
    pub step: Option<&'static str>,
    /// The body.
    pub bytes: &'static [u8],
    /// `Last-Modified` as a day, where the source has its date there.
    pub last_modified: Option<&'static str>,
}

/// A recording and its file `fixtures/replay/<provider>/<kind>.<source>.<instant>[.<step>].<ext>`.
macro_rules! recording {
    ($feed:literal, $source:literal, $at:literal, $step:expr, $file:literal) => {
        Recording {
            feed: $feed,
            source: $source,
            at: $at,
            step: $step,
            bytes: include_bytes!(concat!("../fixtures/replay/", $file)),
            last_modified: None,
        }
    };
}

/// Every recording, by feed and instant.
pub const RECORDINGS: &[Recording] = &[
    recording!("doji.gold", "vangtoday", "2026-09-29T1530", None, "doji/gold.vangtoday.2026-09-29T1530.json"),
    recording!("doji.gold", "vangtoday", "2026-09-30T1005", None, "doji/gold.vangtoday.2026-09-30T1005.json"),
    recording!("tpbank.gold", "chart", "2026-09-29T1530", None, "tpbank/gold.chart.2026-09-29T1530.json"),
    recording!("tpbank.gold", "chart", "2026-09-30T1005", None, "tpbank/gold.chart.2026-09-30T1005.json"),
    recording!(
        "bidv.fx",
        "board",
        "2026-09-29T1530",
        Some("boards"),
        "bidv/fx.board.2026-09-29T1530.boards.json"
    ),
    recording!(
        "bidv.fx",
        "board",
        "2026-09-29T1530",
        Some("board"),
        "bidv/fx.board.2026-09-29T1530.board.json"
    ),
    recording!(
        "bidv.fx",
        "board",
        "2026-09-30T1005",
        Some("boards"),
        "bidv/fx.board.2026-09-30T1005.boards.json"
    ),
    recording!(
        "bidv.fx",
        "board",
        "2026-09-30T1005",
        Some("board"),
        "bidv/fx.board.2026-09-30T1005.board.json"
    ),
    recording!("vietcombank.fx", "json", "2026-09-29T1530", None, "vietcombank/fx.json.2026-09-29T1530.json"),
    recording!("vietcombank.fx", "json", "2026-09-30T1005", None, "vietcombank/fx.json.2026-09-30T1005.json"),
    recording!("bidv.deposit", "rates", "2026-09-29T1530", None, "bidv/deposit.rates.2026-09-29T1530.json"),
    recording!("bidv.deposit", "rates", "2026-09-30T1005", None, "bidv/deposit.rates.2026-09-30T1005.json"),
    recording!("ocb.deposit", "widget", "2026-09-29T1530", None, "ocb/deposit.widget.2026-09-29T1530.html"),
    recording!("ocb.deposit", "widget", "2026-09-30T1005", None, "ocb/deposit.widget.2026-09-30T1005.html"),
    recording!("ocb.deposit", "table", "2026-09-29T1530", None, "ocb/deposit.table.2026-09-29T1530.html"),
    recording!("ocb.deposit", "table", "2026-09-30T1005", None, "ocb/deposit.table.2026-09-30T1005.html"),
    Recording {
        last_modified: Some("2026-09-29"),
        ..recording!(
            "ocb.deposit",
            "cafef",
            "2026-09-29T1530",
            None,
            "ocb/deposit.cafef.2026-09-29T1530.json"
        )
    },
    Recording {
        last_modified: Some("2026-09-29"),
        ..recording!(
            "ocb.deposit",
            "cafef",
            "2026-09-30T1005",
            None,
            "ocb/deposit.cafef.2026-09-30T1005.json"
        )
    },
];
