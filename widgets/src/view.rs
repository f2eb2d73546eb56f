//! The model as text, section by section: what the templates print without deciding anything.
//!
//! One shape serves all three tables, because a state must change words and never the number of lines.

use jiff::{Timestamp, civil::Date};
use rust_decimal::Decimal;

use crate::{
    format,
    i18n::{Words, words},
    model::{DepositRow, DepositTable, Figure, Foot, FootState, FxTable, GoldTable, Panel, Status, When},
    options::Lang,
};

/// From this many columns of figures the columns are of equal width and state marks lose their words.
const MANY: usize = 3;
/// From this many columns a narrow table scrolls sideways in a region of its own.
const SCROLLS: usize = 5;

/// A title, a table, a foot.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    /// Time of the figures, for those who listen: part of the table's name.
    pub(crate) as_of: Option<Moment>,
    pub(crate) corner: Corner,
    /// Column heads, each in the parts between which it may break.
    pub(crate) heads: Vec<Vec<String>>,
    pub(crate) rows: Vec<Row>,
    pub(crate) foot: Vec<Line>,
    /// Empty lines kept under the foot for sources that may join it, so that a stand-in never moves the page.
    pub(crate) spare_lines: usize,
}

impl Section {
    pub(crate) fn many(&self) -> bool {
        self.heads.len() >= MANY
    }

    pub(crate) fn crowded(&self) -> bool {
        self.heads.len() > MANY
    }

    pub(crate) fn scrolls(&self) -> bool {
        self.heads.len() >= SCROLLS
    }

    /// Heads of exchange rates end where whole numbers end, not where fractions do.
    pub(crate) fn hangs(&self) -> bool {
        matches!(self.corner, Corner::Currency)
    }
}

/// What the first column's head says.
pub(crate) enum Corner {
    Nothing,
    Currency,
    Term,
}

pub(crate) struct Row {
    pub(crate) label: Label,
    pub(crate) cells: Vec<Cell>,
}

pub(crate) enum Label {
    /// Mua, Bán.
    Side(&'static str),
    /// USD.
    Code(String),
    /// 12.
    Months(u16),
    /// Không kỳ hạn.
    Demand,
}

/// One figure, or the dash in its place.
pub(crate) struct Cell {
    pub(crate) kind: Kind,
    pub(crate) shown: Option<Shown>,
    /// Beside a dash, for those who listen.
    pub(crate) why: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Large, with a line for its change.
    Gold,
    /// The fraction hangs right of the column.
    Fx,
    Deposit,
}

pub(crate) struct Shown {
    pub(crate) whole: String,
    pub(crate) fraction: Option<String>,
    pub(crate) old: bool,
    pub(crate) held: bool,
    pub(crate) change: Option<Change>,
    pub(crate) borrowed: Option<(char, String)>,
}

pub(crate) struct Change {
    pub(crate) direction: Direction,
    pub(crate) text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
    Unchanged,
}

/// A time as text and for machines.
#[derive(Clone)]
pub(crate) struct Moment {
    pub(crate) text: String,
    pub(crate) machine: String,
}

impl Moment {
    fn instant(at: Timestamp, lang: Lang) -> Self {
        Self { text: format::instant(at, lang), machine: format::rfc3339(at) }
    }

    fn date(day: Date, lang: Lang) -> Self {
        Self { text: format::date(day, lang), machine: day.to_string() }
    }
}

/// One line of a foot.
pub(crate) struct Line {
    pub(crate) icon: Icon,
    pub(crate) mark: Option<char>,
    pub(crate) source: Source,
    pub(crate) via: Option<Source>,
    /// The state in words; empty while there is nothing to say.
    pub(crate) state: &'static str,
    /// What a held line names: `USD`.
    pub(crate) what: Option<String>,
    pub(crate) before: &'static str,
    pub(crate) time: Option<Moment>,
    pub(crate) after: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Icon {
    None,
    Clock,
    Dash,
    Dashed,
    Bars,
}

/// A name, and its page where the address is one that a link may carry.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) href: Option<String>,
}

impl Source {
    fn new(name: &str, url: &str) -> Self {
        Self { name: name.to_owned(), href: link(url) }
    }
}

/// Only web addresses become links: a `javascript:` address in a configuration must not run in a reader's browser.
pub(crate) fn link(url: &str) -> Option<String> {
    let lower = url.to_ascii_lowercase();
    let web = lower.starts_with("https://") || lower.starts_with("http://");
    (web && !url.contains(|c: char| c.is_whitespace() || c.is_control())).then(|| url.to_owned())
}

/// The sections that have something to show, in the panel's order.
pub(crate) fn sections(panel: &Panel, lang: Lang) -> Vec<Section> {
    let words = words(lang);
    [gold(&panel.gold, words, lang), fx(&panel.fx, words, lang), deposits(&panel.deposits, words, lang)]
        .into_iter()
        .flatten()
        .collect()
}

fn gold(table: &GoldTable, words: &'static Words, lang: Lang) -> Option<Section> {
    if table.houses.is_empty() {
        return None;
    }
    let row = |label, figures: &[Figure]| Row {
        label: Label::Side(label),
        cells: figures.iter().map(|figure| cell(figure, Kind::Gold, words, lang)).collect(),
    };
    Some(Section {
        title: words.gold,
        unit: words.gold_unit,
        as_of: as_of(&table.foot, lang),
        corner: Corner::Nothing,
        heads: table.houses.iter().map(|house| parts(house)).collect(),
        rows: vec![row(words.buy, &table.buy), row(words.sell, &table.sell)],
        foot: foot(&table.foot, words, lang),
        spare_lines: 0,
    })
}

fn fx(table: &FxTable, words: &'static Words, lang: Lang) -> Option<Section> {
    if table.rows.is_empty() {
        return None;
    }
    let rows = table.rows.iter().map(|row| Row {
        label: Label::Code(row.code.clone()),
        cells: [&row.buy, &row.sell].map(|figure| cell(figure, Kind::Fx, words, lang)).into(),
    });
    Some(Section {
        title: words.fx,
        unit: words.fx_unit,
        as_of: as_of(&table.foot, lang),
        corner: Corner::Currency,
        heads: [words.buy, words.sell].map(|head| vec![head.to_owned()]).into(),
        rows: rows.collect(),
        foot: foot(&table.foot, words, lang),
        spare_lines: 0,
    })
}

fn deposits(table: &DepositTable, words: &'static Words, lang: Lang) -> Option<Section> {
    if table.rows.is_empty() || table.banks.is_empty() {
        return None;
    }
    let row = |row: &DepositRow| Row {
        label: if row.months == 0 { Label::Demand } else { Label::Months(row.months) },
        cells: row.rates.iter().map(|rate| cell(rate, Kind::Deposit, words, lang)).collect(),
    };
    Some(Section {
        title: words.deposits,
        unit: words.deposit_unit,
        as_of: as_of(&table.foot, lang),
        corner: Corner::Term,
        heads: table.banks.iter().map(|bank| parts(bank)).collect(),
        rows: table.rows.iter().map(row).collect(),
        foot: foot(&table.foot, words, lang),
        // Terms that a bank keeps off its own page come through one stand-in: a line more on some days.
        spare_lines: (table.banks.len() + 1).saturating_sub(table.foot.len()),
    })
}

/// `TienPhongBank` as `Tien`, `Phong`, `Bank` and `Vietcombank` as `Vietcom`, `bank`: a long name may break where
/// its words meet.
fn parts(name: &str) -> Vec<String> {
    let (front, bank) = match name.strip_suffix("bank") {
        Some(front) if front.ends_with(char::is_lowercase) => (front, Some("bank")),
        _ => (name, None),
    };
    let mut parts = vec![String::new()];
    let mut after_lower = false;
    for letter in front.chars() {
        if after_lower && letter.is_uppercase() {
            parts.push(String::new());
        }
        after_lower = letter.is_lowercase();
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts.extend(bank.map(str::to_owned));
    parts
}

fn cell(figure: &Figure, kind: Kind, words: &'static Words, lang: Lang) -> Cell {
    let withheld = matches!(figure.status, Status::Expired | Status::Unavailable);
    let why = if withheld { words.no_figure } else { words.not_quoted };
    let shown = figure.value.filter(|_| !withheld).map(|value| {
        let (whole, fraction) = match kind {
            Kind::Fx => format::exchange_rate(value, lang),
            Kind::Gold | Kind::Deposit => (format::number(value, 2, lang), None),
        };
        let current = figure.status == Status::Fresh && !figure.held;
        Shown {
            whole,
            fraction,
            old: figure.status == Status::Stale,
            held: figure.held,
            change: figure.change.filter(|_| current).map(|value| change(value, lang)),
            borrowed: figure.borrowed.clone(),
        }
    });
    Cell { kind, shown, why }
}

/// The direction is that of the text: a change that rounds to nothing has none.
fn change(value: Decimal, lang: Lang) -> Change {
    let text = format::change(value, 2, lang);
    let direction = match text.chars().next() {
        Some('+') => Direction::Up,
        Some('-') => Direction::Down,
        _ => Direction::Unchanged,
    };
    Change { direction, text }
}

/// The first time in a foot that is a time of figures: not that of a candidate, not that of a loss.
fn as_of(foot: &[Foot], lang: Lang) -> Option<Moment> {
    foot.iter().find_map(|line| match line.state {
        FootState::Fresh(when) | FootState::Stale(when) => Some(match when {
            When::At(at) | When::ReadAt(at) => Moment::instant(at, lang),
            When::On(day) | When::InForceFrom(day) => Moment::date(day, lang),
        }),
        FootState::Recorded(at) => Some(Moment::instant(at, lang)),
        FootState::Expired(_) | FootState::Unavailable | FootState::Held { .. } => None,
    })
}

fn foot(foot: &[Foot], words: &'static Words, lang: Lang) -> Vec<Line> {
    foot.iter().map(|foot| line(foot, words, lang)).collect()
}

fn line(foot: &Foot, words: &'static Words, lang: Lang) -> Line {
    let mut line = Line {
        icon: Icon::None,
        mark: foot.mark,
        source: Source::new(&foot.name, &foot.url),
        via: foot.via.as_ref().map(|(name, url)| Source::new(name, url)),
        state: "",
        what: None,
        before: "",
        time: None,
        after: "",
    };
    match &foot.state {
        FootState::Fresh(when) => {
            (line.before, line.time) = match *when {
                When::At(at) => (words.at, Some(Moment::instant(at, lang))),
                When::On(day) => (words.on, Some(Moment::date(day, lang))),
                When::InForceFrom(day) => (words.in_force, Some(Moment::date(day, lang))),
                When::ReadAt(at) => (words.read_at, Some(Moment::instant(at, lang))),
            };
        }
        FootState::Stale(when) => {
            line.icon = Icon::Clock;
            line.state = words.stale;
            (line.before, line.time) = match *when {
                When::At(at) | When::ReadAt(at) => (
                    words.stale_from,
                    Some(Moment { text: format::short_instant(at, lang), machine: format::rfc3339(at) }),
                ),
                When::On(day) => (
                    words.stale_from,
                    Some(Moment { text: format::day_and_month(day, lang), machine: day.to_string() }),
                ),
                // A rate may have been in force for years: here the year matters.
                When::InForceFrom(day) => (words.stale_in_force, Some(Moment::date(day, lang))),
            };
        }
        FootState::Expired(at) => {
            let day = format::date_of(*at);
            line.icon = Icon::Dash;
            line.state = words.expired;
            line.before = words.expired_since;
            line.time =
                Some(Moment { text: format::day_and_month(day, lang), machine: format::rfc3339(*at) });
        }
        FootState::Unavailable => {
            line.icon = Icon::Dashed;
            line.state = words.unavailable;
        }
        FootState::Held { what, since } => {
            line.icon = Icon::Bars;
            line.state = if what.is_some() { words.under_review } else { words.held };
            line.what.clone_from(what);
            line.before = " (";
            line.time = Some(Moment { text: format::clock(*since), machine: format::rfc3339(*since) });
            line.after = ")";
        }
        FootState::Recorded(at) => {
            line.before = words.recorded_at;
            // Beside two names a whole date does not fit into 276 px; the band above says that it is a sample.
            line.time = Some(if line.via.is_some() {
                Moment { text: format::short_instant(*at, lang), machine: format::rfc3339(*at) }
            } else {
                Moment::instant(*at, lang)
            });
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_become_links() {
        for good in ["https://bidv.com.vn/vn/ty-gia?a=1&b=\"", "http://tpb.vn/", "HTTPS://X.VN"] {
            assert_eq!(link(good).as_deref(), Some(good));
        }
        for bad in
            ["", "javascript:alert(1)", " https://x.vn", "https://x.vn/\na", "data:text/html,x", "//x.vn"]
        {
            assert_eq!(link(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_name_breaks_only_where_its_words_meet() {
        assert_eq!(parts("TienPhongBank"), ["Tien", "Phong", "Bank"]);
        assert_eq!(parts("Vietcombank"), ["Vietcom", "bank"]);
        assert_eq!(parts("VietinBank"), ["Vietin", "Bank"]);
        assert_eq!(parts("DOJI"), ["DOJI"]);
        assert_eq!(parts("BIDV"), ["BIDV"]);
        assert_eq!(parts("Phú Quý"), ["Phú Quý"]);
        assert_eq!(parts(""), [""]);
    }
}
