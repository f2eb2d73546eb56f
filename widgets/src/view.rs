//! The model as text, section by section: what templates and pictures print without deciding anything.
//!
//! One shape serves all tables, because a state must change words and never the number of lines.

use jiff::{Timestamp, civil::Date};
use rust_decimal::Decimal;

use crate::{
    chart::{self as course, Frame, Plot},
    format,
    i18n::{self, Words, words},
    model::{
        Channel, Chart, Content, DepositRow, DepositTable, Figure, Foot, FootState, FxList, FxListRow,
        FxTable, GoldColumn, GoldList, GoldRow, GoldTable, GoldUnit, Kind, Period, Product, Status, Tape,
        TapeItem, TapeWhat, Term, When, Widget,
    },
    options::{Lang, Look},
    reduce,
    spark::{self, Spark},
};

/// From this many columns of figures the columns are of equal width and state marks lose their words.
const MANY: usize = 3;
/// From this many columns a narrow table scrolls sideways in a region of its own.
const SCROLLS: usize = 5;

/// A widget as text.
pub(crate) struct View {
    pub(crate) kind: Kind,
    /// On top: that the figures are recorded ones, or of another moment.
    pub(crate) band: Option<String>,
    /// The board's own address, where the widget names it.
    pub(crate) home: Option<String>,
    /// Whether its name links there.
    pub(crate) linked: bool,
    pub(crate) sections: Vec<Section>,
    pub(crate) tape: Option<TapeView>,
    pub(crate) chart: Option<ChartView>,
}

impl View {
    /// Whether the tape is asked to move.
    pub(crate) fn moves(&self) -> bool {
        self.tape.as_ref().is_some_and(|tape| tape.motion)
    }
}

/// A title, a table, a foot.
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) unit: String,
    /// Time of the figures, for those who listen: part of the table's name.
    pub(crate) as_of: Option<Moment>,
    pub(crate) corner: Corner,
    pub(crate) heads: Vec<Head>,
    pub(crate) groups: Vec<Group>,
    pub(crate) layout: Layout,
    /// What the marks in the table mean: the first line of the foot.
    pub(crate) note: Option<Note>,
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
        self.layout == Layout::Matrix && self.heads.len() >= SCROLLS
    }

    /// Without the columns that tell of changes; those under a price are hidden by the style.
    fn without_changes(&mut self) {
        self.heads.retain(|head| head.level != Level::Wide);
        let rows = self.groups.iter_mut().flat_map(|group| &mut group.rows);
        rows.for_each(|row| row.cells.retain(|cell| matches!(cell, Cell::Figure(_))));
    }

    /// Columns with the first one.
    pub(crate) fn columns(&self) -> usize {
        self.heads.len() + 1
    }
}

/// How the columns share the width.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A column a house or bank; on one grid with the tables beside it.
    Matrix,
    /// Three prices of a currency.
    Rates,
    /// As wide as the figures.
    Products,
}

/// What the first column's head says.
pub(crate) enum Corner {
    Nothing,
    Currency,
    Term,
    Product,
}

/// From which width of the widget on something is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Always,
    /// 340 px
    Middle,
    /// 560 px
    Wide,
}

impl Level {
    /// Class of a cell of this level.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Always => "",
            Self::Middle => "bgia-p2",
            Self::Wide => "bgia-p3",
        }
    }
}

/// A column's head.
pub(crate) struct Head {
    /// The parts between which it may break.
    pub(crate) parts: Vec<String>,
    /// A second line.
    pub(crate) second: Option<String>,
    pub(crate) level: Level,
    /// It ends where whole numbers end, not where fractions do.
    pub(crate) hangs: bool,
}

impl Head {
    fn name(name: &str) -> Self {
        Self { parts: parts(name), second: None, level: Level::Always, hangs: false }
    }

    fn word(word: &str) -> Self {
        Self { parts: vec![word.to_owned()], ..Self::name("") }
    }

    /// The classes of its cell.
    pub(crate) fn class(&self) -> &'static str {
        match (self.level, self.hangs) {
            (Level::Always, false) => "",
            (Level::Always, true) => "bgia-w",
            (Level::Middle, false) => "bgia-p2",
            (Level::Middle, true) => "bgia-p2 bgia-w",
            (Level::Wide, false) => "bgia-p3",
            (Level::Wide, true) => "bgia-p3 bgia-w",
        }
    }
}

/// Rows under one house, or all of them.
pub(crate) struct Group {
    pub(crate) house: Option<String>,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) label: Label,
    pub(crate) cells: Vec<Cell>,
}

pub(crate) enum Label {
    /// Mua, Bán.
    Side(&'static str),
    /// USD, and what it is called.
    Code(String, Option<&'static str>),
    /// 12.
    Months(u16),
    /// Không kỳ hạn, 7 ngày.
    Words(String),
    /// A product and the place of its price.
    Product(String, Option<&'static str>),
}

impl Label {
    /// In one line, for pictures.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Side(side) => (*side).to_owned(),
            Self::Code(text, _) | Self::Words(text) | Self::Product(text, None) => text.clone(),
            Self::Months(months) => months.to_string(),
            Self::Product(text, Some(place)) => format!("{text}, {place}"),
        }
    }
}

pub(crate) enum Cell {
    /// A price or a rate, or the dash in its place.
    Figure(FigureCell),
    /// The change beside it.
    Change(ChangeCell),
    /// Its course.
    Spark(Option<Spark>),
}

/// One figure, or the dash in its place.
pub(crate) struct FigureCell {
    pub(crate) style: Style,
    pub(crate) level: Level,
    pub(crate) shown: Option<Shown>,
    /// Beside a dash, for those who listen.
    pub(crate) why: &'static str,
    /// The line of the foot that tells of it.
    pub(crate) foot: usize,
}

/// A change in a column of its own.
pub(crate) struct ChangeCell {
    pub(crate) change: Option<Change>,
    pub(crate) held: bool,
    pub(crate) foot: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Large, with a line for its change.
    Lead,
    /// Bold; a line for the change of the row below it where there is no column for that.
    Bold {
        /// Whether this is the row's price that changes are told of.
        main: bool,
    },
    /// The fraction hangs right of the column.
    Rate,
    /// A rate of interest.
    Percent,
}

pub(crate) struct Shown {
    pub(crate) whole: String,
    pub(crate) fraction: Option<String>,
    pub(crate) old: bool,
    pub(crate) held: bool,
    pub(crate) change: Option<Change>,
    pub(crate) borrowed: Option<(char, String)>,
    /// The highest of its row.
    pub(crate) best: bool,
}

#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) direction: Direction,
    pub(crate) whole: String,
    pub(crate) fraction: Option<String>,
    /// In a column whose fractions hang.
    pub(crate) hangs: bool,
}

impl Change {
    /// Whole and fraction.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.whole, self.fraction.as_deref().unwrap_or_default())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
    Unchanged,
}

impl Direction {
    /// Class of what has moved so.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Up => "bgia-chg bgia-up",
            Self::Down => "bgia-chg bgia-down",
            Self::Unchanged => "bgia-chg",
        }
    }

    /// For the eye; words tell those who listen.
    pub(crate) const fn arrow(self) -> &'static str {
        match self {
            Self::Up => "▲",
            Self::Down => "▼",
            Self::Unchanged => "",
        }
    }

    /// In words.
    pub(crate) const fn word(self, words: &Words) -> &'static str {
        match self {
            Self::Up => words.up,
            Self::Down => words.down,
            Self::Unchanged => words.unchanged,
        }
    }
}

/// The first line of a foot: what the marks mean.
pub(crate) struct Note {
    /// A word that looks as the mark does.
    pub(crate) mark: Option<&'static str>,
    pub(crate) text: String,
}

/// Prices in one line.
pub(crate) struct TapeView {
    pub(crate) items: Vec<TapeText>,
    pub(crate) foot: Vec<Line>,
    pub(crate) motion: bool,
}

impl TapeView {
    /// Once, and once more for the eye alone where the tape runs in a circle.
    pub(crate) fn copies(&self) -> &'static [bool] {
        if self.motion { &[false, true] } else { &[false] }
    }
}

/// One price of the tape.
pub(crate) struct TapeText {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    /// Each with what it is (`mua`, `bán`), where there are two.
    pub(crate) prices: Vec<(&'static str, Option<String>)>,
    /// Beside a dash, for those who listen.
    pub(crate) why: &'static str,
    pub(crate) old: bool,
    pub(crate) held: bool,
    pub(crate) change: Option<Change>,
    pub(crate) house: String,
    pub(crate) foot: usize,
}

/// The course of one price.
pub(crate) struct ChartView {
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) as_of: Option<Moment>,
    /// The newest prices, each with what it is.
    pub(crate) now: Vec<(&'static str, FigureCell)>,
    /// In units of which a page's box has [`PLOT`].
    pub(crate) plot: Option<Plot>,
    /// Where there is nothing to draw.
    pub(crate) empty: &'static str,
    /// All of it in words.
    pub(crate) summary: String,
    pub(crate) choices: Vec<ChoiceView>,
    /// What a line of the table is of.
    pub(crate) head: &'static str,
    /// Newest first.
    pub(crate) rows: Vec<PeriodRow>,
    pub(crate) foot: Vec<Line>,
}

impl ChartView {
    /// How wide the labels of the price axis are: a class, since styles in the markup are forbidden.
    pub(crate) fn axis(&self) -> &'static str {
        let labels = self.plot.iter().flat_map(|plot| &plot.up);
        match labels.map(|tick| tick.text.chars().count()).max().unwrap_or_default() {
            ..=3 => "bgia-plot",
            4..=5 => "bgia-plot bgia-y5",
            6..=7 => "bgia-plot bgia-y7",
            _ => "bgia-plot bgia-y9",
        }
    }
}

/// A range that may be chosen.
pub(crate) struct ChoiceView {
    pub(crate) text: &'static str,
    pub(crate) href: String,
    pub(crate) chosen: bool,
}

/// One line of the table under a chart.
pub(crate) struct PeriodRow {
    pub(crate) day: Moment,
    /// First, lowest, highest, last.
    pub(crate) prices: [String; 4],
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

    fn short_instant(at: Timestamp, lang: Lang) -> Self {
        Self { text: format::short_instant(at, lang), machine: format::rfc3339(at) }
    }

    fn day(day: Date, lang: Lang) -> Self {
        Self { text: format::day_and_month(day, lang), machine: day.to_string() }
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
    /// Seconds since 1970 from which a copy has to call these figures old, and from which it has to withhold them.
    pub(crate) until: Option<(i64, i64)>,
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

/// The widget as text.
pub(crate) fn view(widget: &Widget, look: &Look) -> View {
    let lang = look.lang;
    let words = words(lang);
    let (mut sections, mut tape, mut chart, mut home) = (Vec::new(), None, None, None);
    match &widget.content {
        Content::Panel(panel) => {
            let tables = [
                gold(&panel.gold, words, lang),
                fx(&panel.fx, words, lang),
                deposits(&panel.deposits, words.deposits, words, lang, false),
            ];
            sections.extend(tables.into_iter().flatten());
            home = link(&widget.home);
        }
        Content::Gold(list) => sections.extend(gold_list(list, words, lang)),
        Content::Fx(lists) => {
            sections.extend(lists.iter().filter_map(|list| fx_list(list, lists.len() > 1, words, lang)));
        }
        Content::Deposits(table) => {
            sections.extend(deposits(table, words.deposits_alone, words, lang, true));
        }
        Content::Ticker(content) => tape = Some(self::tape(content, look.motion, words, lang)),
        Content::Chart(content) => chart = Some(self::chart(content, look, PLOT, words)),
    }
    if look.compact {
        sections.iter_mut().for_each(Section::without_changes);
        tape.iter_mut().flat_map(|tape| &mut tape.items).for_each(|item| item.change = None);
    }
    if look.accent.is_some() {
        let notes = sections.iter_mut().filter_map(|section| section.note.as_mut());
        notes.filter(|note| note.mark.is_some()).for_each(|note| note.mark = Some(words.best_mark_plain));
    }
    if widget.at.is_some() {
        // They are of a moment, and stay so in every cache.
        let feet = sections.iter_mut().flat_map(|section| &mut section.foot);
        feet.chain(tape.iter_mut().flat_map(|tape| &mut tape.foot)).for_each(|line| line.until = None);
    }
    View {
        kind: widget.content.kind(),
        band: band(widget, words, lang),
        home,
        linked: look.link,
        sections,
        tape,
        chart,
    }
}

/// What has to be said before any figure.
fn band(widget: &Widget, words: &Words, lang: Lang) -> Option<String> {
    match widget.at {
        Some(at) => {
            let of = if widget.recorded { words.sample_of } else { words.figures_of };
            Some(format!("{of}{}", format::instant(at, lang)))
        }
        None => widget.recorded.then(|| words.recorded_band.to_owned()),
    }
}

/// The box that a page's lines are drawn in; it is stretched over whatever room there is.
const PLOT: Frame = Frame { width: 600, height: 260, apart: 90 };

/// A chart as text and paths in a frame.
pub(crate) fn chart(chart: &Chart, look: &Look, frame: Frame, words: &'static Words) -> ChartView {
    let lang = look.lang;
    let figure = |value| course::figure(&chart.subject, value, lang);
    let cell = |side: &Figure| {
        let beside = side.value.unwrap_or_default();
        let change = |value| {
            let whole = course::change(&chart.subject, value, beside, lang);
            Change { direction: direction(&whole), whole, fraction: None, hangs: false }
        };
        let mut cell =
            figure_cell(side, Style::Lead, Level::Always, words, |value| (figure(value), None), change);
        if let Some(shown) = cell.shown.as_mut().filter(|_| look.compact) {
            shown.change = None;
        }
        cell
    };
    let mut now: Vec<(&'static str, FigureCell)> =
        chart.buy.iter().map(|buy| (words.buy, cell(buy))).collect();
    let selling = if now.is_empty() { words.chart.rate } else { words.sell };
    now.push((selling, cell(&chart.sell)));
    let days = (chart.to.as_second() - chart.from.as_second()) / 86_400;
    let row = |period: &Period| PeriodRow {
        day: if days > 300 { Moment::date(period.from, lang) } else { Moment::day(period.from, lang) },
        prices: [period.first, period.low, period.high, period.last].map(figure),
    };
    let choices = chart.choices.iter().filter(|_| look.link && !look.compact);
    ChartView {
        title: course::title(&chart.subject, words, lang),
        unit: course::unit(&chart.subject, words),
        as_of: as_of(&chart.foot, lang),
        now,
        plot: course::plot(chart, frame, words, lang),
        empty: course::empty(chart, words),
        summary: course::summary(chart, words, lang),
        choices: choices
            .map(|choice| ChoiceView {
                text: words.chart.range[choice.range as usize],
                href: choice.href.clone(),
                chosen: choice.chosen,
            })
            .collect(),
        head: if reduce::is_daily(days) { words.chart.day } else { words.chart.from },
        rows: chart.periods.iter().rev().map(row).collect(),
        foot: foot(&chart.foot, words, lang, false),
    }
}

fn gold(table: &GoldTable, words: &'static Words, lang: Lang) -> Option<Section> {
    if table.houses.is_empty() {
        return None;
    }
    let row = |label, figures: &[Figure]| Row {
        label: Label::Side(label),
        cells: figures.iter().map(|figure| lead(figure, table.unit, words, lang)).collect(),
    };
    let head = |column: &GoldColumn| Head {
        second: column.product.as_ref().map(|product| {
            let name = i18n::product(&product.id, lang);
            let place = product.place.as_deref().map(|place| i18n::place(place, lang));
            place.map_or(name.clone(), |place| format!("{name}, {place}"))
        }),
        ..Head::name(&column.house)
    };
    Some(Section {
        title: words.gold.to_owned(),
        unit: words.gold_unit(table.unit).to_owned(),
        as_of: as_of(&table.foot, lang),
        corner: Corner::Nothing,
        heads: table.houses.iter().map(head).collect(),
        groups: vec![Group {
            house: None,
            rows: vec![row(words.buy, &table.buy), row(words.sell, &table.sell)],
        }],
        layout: Layout::Matrix,
        note: None,
        foot: foot(&table.foot, words, lang, false),
        spare_lines: 0,
    })
}

fn gold_list(list: &GoldList, words: &'static Words, lang: Lang) -> Option<Section> {
    if list.houses.iter().all(|house| house.products.is_empty()) {
        return None;
    }
    let wide = |parts: &str| Head { level: Level::Wide, ..Head::word(parts) };
    let group = |house: &crate::model::GoldHouse| Group {
        house: Some(house.name.clone()),
        rows: house.products.iter().map(|row| gold_row(row, list.unit, words, lang)).collect(),
    };
    Some(Section {
        title: words.gold_alone.to_owned(),
        unit: words.gold_unit(list.unit).to_owned(),
        as_of: as_of(&list.foot, lang),
        corner: Corner::Product,
        heads: vec![
            Head::word(words.buy),
            Head::word(words.sell),
            wide(words.change),
            wide(words.thirty_days),
        ],
        groups: list.houses.iter().filter(|house| !house.products.is_empty()).map(group).collect(),
        layout: Layout::Products,
        note: None,
        foot: foot(&list.foot, words, lang, false),
        spare_lines: 0,
    })
}

fn gold_row(row: &GoldRow, unit: GoldUnit, words: &'static Words, lang: Lang) -> Row {
    // Changes are told of the selling price, of the buying price where nothing is sold.
    let sold = row.sell.value.is_some() || row.buy.value.is_none();
    let main = if sold { &row.sell } else { &row.buy };
    let figure = |figure: &Figure, main: bool| {
        Cell::Figure(figure_cell(
            figure,
            Style::Bold { main },
            Level::Always,
            words,
            |value| (format::number(value, unit.places(), lang), None),
            |value| change(value, unit.places(), lang),
        ))
    };
    let current = main.status == Status::Fresh && !main.held;
    Row {
        label: Label::Product(
            i18n::product(&row.product.id, lang),
            row.product.place.as_deref().map(|place| i18n::place(place, lang)),
        ),
        cells: vec![
            figure(&row.buy, !sold),
            figure(&row.sell, sold),
            Cell::Change(ChangeCell {
                change: main.change.filter(|_| current).map(|value| change(value, unit.places(), lang)),
                held: main.held,
                foot: main.foot,
            }),
            Cell::Spark(spark::spark(&row.trend)),
        ],
    }
}

fn lead(figure: &Figure, unit: GoldUnit, words: &'static Words, lang: Lang) -> Cell {
    Cell::Figure(figure_cell(
        figure,
        Style::Lead,
        Level::Always,
        words,
        |value| (format::number(value, unit.places(), lang), None),
        |value| change(value, unit.places(), lang),
    ))
}

fn rate(figure: &Figure, level: Level, words: &'static Words, lang: Lang) -> Cell {
    let text = |value| format::exchange_rate(value, lang);
    Cell::Figure(figure_cell(figure, Style::Rate, level, words, text, |value| change(value, 2, lang)))
}

fn fx(table: &FxTable, words: &'static Words, lang: Lang) -> Option<Section> {
    if table.rows.is_empty() {
        return None;
    }
    let rows = table.rows.iter().map(|row| Row {
        label: Label::Code(row.code.clone(), None),
        cells: [&row.buy, &row.sell].map(|figure| rate(figure, Level::Always, words, lang)).into(),
    });
    Some(Section {
        title: words.fx.to_owned(),
        unit: words.fx_unit.to_owned(),
        as_of: as_of(&table.foot, lang),
        corner: Corner::Currency,
        heads: [words.buy, words.sell].map(|head| Head { hangs: true, ..Head::word(head) }).into(),
        groups: vec![Group { house: None, rows: rows.collect() }],
        layout: Layout::Matrix,
        note: None,
        foot: foot(&table.foot, words, lang, false),
        spare_lines: 0,
    })
}

fn fx_list(list: &FxList, named: bool, words: &'static Words, lang: Lang) -> Option<Section> {
    if list.rows.is_empty() {
        return None;
    }
    let row = |row: &FxListRow| {
        let current = row.sell.status == Status::Fresh && !row.sell.held;
        let whole = row.sell.value.is_some_and(format::is_whole);
        Row {
            label: Label::Code(row.code.clone(), i18n::currency(&row.code, lang)),
            cells: vec![
                rate(&row.buy_cash, Level::Always, words, lang),
                rate(&row.buy_transfer, Level::Middle, words, lang),
                rate(&row.sell, Level::Always, words, lang),
                Cell::Change(ChangeCell {
                    change: row.sell.change.filter(|_| current).map(|value| rate_change(value, whole, lang)),
                    held: row.sell.held,
                    foot: row.sell.foot,
                }),
            ],
        }
    };
    let head = |word: &str, second: Option<&str>, level| Head {
        second: second.map(str::to_owned),
        level,
        hangs: true,
        ..Head::word(word)
    };
    Some(Section {
        // Beside the unit there is room for one of both.
        title: if named { list.bank.clone() } else { words.fx.to_owned() },
        unit: words.fx_unit.to_owned(),
        as_of: as_of(&list.foot, lang),
        corner: Corner::Currency,
        heads: vec![
            head(words.buy, Some(words.cash), Level::Always),
            head(words.buy, Some(words.transfer), Level::Middle),
            head(words.sell, None, Level::Always),
            head(words.change, None, Level::Wide),
        ],
        groups: vec![Group { house: None, rows: list.rows.iter().map(row).collect() }],
        layout: Layout::Rates,
        note: None,
        foot: foot(&list.foot, words, lang, false),
        spare_lines: 0,
    })
}

fn deposits(
    table: &DepositTable,
    title: &'static str,
    words: &'static Words,
    lang: Lang,
    compared: bool,
) -> Option<Section> {
    if table.rows.is_empty() || table.banks.is_empty() {
        return None;
    }
    // No claim that is not sure: the best rate is marked only when every bank's rates are current.
    let doubtful = || {
        table.banks.iter().enumerate().find_map(|(bank, name)| {
            let rates = table.rows.iter().filter_map(|row| row.rates.get(bank));
            let worst = rates.map(|rate| rate.status as u8).max().unwrap_or_default();
            (worst > Status::Fresh as u8).then_some((name, worst > Status::Stale as u8))
        })
    };
    let doubtful = if compared && table.banks.len() > 1 { Some(doubtful()) } else { None };
    let marks = doubtful.is_some_and(|doubtful| doubtful.is_none());
    let row = |row: &DepositRow| {
        let values = || row.rates.iter().filter_map(|rate| rate.value);
        let best = values().max().filter(|_| marks && values().count() > 1);
        let cell = |rate: &Figure| {
            let text = |value| (format::number(value, 2, lang), None);
            let mut cell =
                figure_cell(rate, Style::Percent, Level::Always, words, text, |value| change(value, 2, lang));
            if let Some(shown) = &mut cell.shown {
                shown.best = best.is_some() && rate.value == best;
            }
            Cell::Figure(cell)
        };
        Row {
            label: match row.term {
                Term::Demand => Label::Words(words.demand.to_owned()),
                Term::Days(days) => Label::Words(format!("{days} {}", words.days)),
                Term::Months(months) => Label::Months(months),
            },
            cells: row.rates.iter().map(cell).collect(),
        }
    };
    let place = match table.channel {
        Some(Channel::Counter) => words.counter,
        Some(Channel::Online) => words.online,
        None => "",
    };
    let note = compared.then(|| match doubtful {
        Some(None) => Note { mark: Some(words.best_mark), text: format!("{}{place}", words.best_meaning) },
        Some(Some((name, lost))) => {
            let why = if lost { words.not_compared_lost } else { words.not_compared_old };
            Note { mark: None, text: format!("{}{name}{why}{place}", words.not_compared) }
        }
        None => Note { mark: None, text: place.trim().to_owned() },
    });
    Some(Section {
        title: title.to_owned(),
        unit: words.deposit_unit.to_owned(),
        as_of: as_of(&table.foot, lang),
        corner: Corner::Term,
        heads: table.banks.iter().map(|bank| Head::name(bank)).collect(),
        groups: vec![Group { house: None, rows: table.rows.iter().map(row).collect() }],
        layout: Layout::Matrix,
        note,
        foot: foot(&table.foot, words, lang, false),
        // Terms that a bank keeps off its own page come through one stand-in: a line more on some days.
        spare_lines: (table.banks.len() + 1).saturating_sub(table.foot.len()),
    })
}

fn tape(tape: &Tape, motion: bool, words: &'static Words, lang: Lang) -> TapeView {
    let item = |item: &TapeItem| {
        let (name, unit, places) = match &item.what {
            TapeWhat::Gold(product, unit) => {
                (product_on_tape(product, lang), words.gold_unit(*unit), Some(unit.places()))
            }
            TapeWhat::Currency(code) => (code.clone(), words.dong, None),
            TapeWhat::Deposit(term) => (
                match term {
                    Term::Demand => words.demand.to_owned(),
                    Term::Days(days) => format!("{days} {}", words.days),
                    Term::Months(months) => format!("{months} {}", words.months),
                },
                words.deposit_unit,
                Some(2),
            ),
        };
        let text = |figure: &Figure| {
            let value = figure.value.filter(|_| !is_withheld(figure))?;
            Some(match places {
                Some(places) => format::number(value, places, lang),
                None => {
                    let (whole, fraction) = format::exchange_rate(value, lang);
                    whole + &fraction.unwrap_or_default()
                }
            })
        };
        let prices = match &item.buy {
            Some(buy) => vec![(words.buying, text(buy)), (words.selling, text(&item.sell))],
            None => vec![("", text(&item.sell))],
        };
        // Nothing at all is one dash.
        let prices = if prices.iter().all(|(_, price)| price.is_none()) { vec![("", None)] } else { prices };
        let current = item.sell.status == Status::Fresh && !item.sell.held;
        let whole = item.sell.value.is_some_and(format::is_whole);
        TapeText {
            name,
            unit,
            prices,
            why: why(&item.sell, words),
            old: item.sell.status == Status::Stale,
            held: item.sell.held,
            change: item.sell.change.filter(|_| current).map(|value| match places {
                Some(places) => change(value, places, lang),
                None => rate_change(value, whole, lang),
            }),
            house: item.house.clone(),
            foot: item.sell.foot,
        }
    };
    TapeView {
        items: tape.items.iter().map(item).collect(),
        foot: foot(&tape.foot, words, lang, true),
        motion,
    }
}

/// `Vàng SJC`: there is no room for more.
fn product_on_tape(product: &Product, lang: Lang) -> String {
    let name = i18n::product_on_tape(&product.id, lang);
    match &product.place {
        Some(place) => format!("{name}, {}", i18n::place(place, lang)),
        None => name,
    }
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

/// Whether the figure stays away although there may be one.
fn is_withheld(figure: &Figure) -> bool {
    matches!(figure.status, Status::Expired | Status::Unavailable)
}

fn why(figure: &Figure, words: &'static Words) -> &'static str {
    if is_withheld(figure) { words.no_figure } else { words.not_quoted }
}

fn figure_cell(
    figure: &Figure,
    style: Style,
    level: Level,
    words: &'static Words,
    text: impl Fn(Decimal) -> (String, Option<String>),
    change: impl Fn(Decimal) -> Change,
) -> FigureCell {
    let shown = figure.value.filter(|_| !is_withheld(figure)).map(|value| {
        let (whole, fraction) = text(value);
        let current = figure.status == Status::Fresh && !figure.held;
        Shown {
            whole,
            fraction,
            old: figure.status == Status::Stale,
            held: figure.held,
            change: figure.change.filter(|_| current).map(change),
            borrowed: figure.borrowed.clone(),
            best: false,
        }
    });
    FigureCell { style, level, shown, why: why(figure, words), foot: figure.foot }
}

/// The direction is that of the text: a change that rounds to nothing has none.
fn direction(text: &str) -> Direction {
    match text.chars().next() {
        Some('+') => Direction::Up,
        Some('-') => Direction::Down,
        _ => Direction::Unchanged,
    }
}

fn change(value: Decimal, places: u32, lang: Lang) -> Change {
    let whole = format::change(value, places, lang);
    Change { direction: direction(&whole), whole, fraction: None, hangs: false }
}

/// As the rate itself is written: whole đồng, or with a fraction that hangs.
fn rate_change(value: Decimal, whole: bool, lang: Lang) -> Change {
    let text = format::change(value, if whole { 0 } else { 2 }, lang);
    let direction = direction(&text);
    match text.rsplit_once([',', '.']).filter(|_| !whole) {
        Some((before, after)) => {
            let mark = if lang == Lang::Vi { ',' } else { '.' };
            Change {
                direction,
                whole: before.to_owned(),
                fraction: Some(format!("{mark}{after}")),
                hangs: true,
            }
        }
        None => Change { direction, whole: text, fraction: None, hangs: true },
    }
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

/// `short`: where a line has no room for the year.
fn foot(foot: &[Foot], words: &'static Words, lang: Lang, short: bool) -> Vec<Line> {
    foot.iter().map(|foot| line(foot, words, lang, short)).collect()
}

fn line(foot: &Foot, words: &'static Words, lang: Lang, short: bool) -> Line {
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
        until: foot.until.map(|(fresh, expires)| (fresh.as_second(), expires.as_second())),
    };
    match &foot.state {
        FootState::Fresh(when) => {
            let instant =
                |at| if short { Moment::short_instant(at, lang) } else { Moment::instant(at, lang) };
            let date = |day| if short { Moment::day(day, lang) } else { Moment::date(day, lang) };
            (line.before, line.time) = match *when {
                When::At(at) => (words.at, Some(instant(at))),
                When::On(day) => (words.on, Some(date(day))),
                // A rate may have been in force for years: here the year matters.
                When::InForceFrom(day) => (words.in_force, Some(Moment::date(day, lang))),
                When::ReadAt(at) => (words.read_at, Some(instant(at))),
            };
        }
        FootState::Stale(when) => {
            line.icon = Icon::Clock;
            line.state = words.stale;
            (line.before, line.time) = match *when {
                When::At(at) | When::ReadAt(at) => (words.stale_from, Some(Moment::short_instant(at, lang))),
                When::On(day) => (words.stale_from, Some(Moment::day(day, lang))),
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
            line.time = Some(if short || line.via.is_some() {
                Moment::short_instant(*at, lang)
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
