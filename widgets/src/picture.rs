//! Widgets as pictures, for newsletters, feeds, print and previews: what a view says, laid out here as SVG and drawn as
//! PNG in this process with the fonts beside it. It fetches nothing, reads no font of the system and decides no word.
//!
//! Places across are in tenths of a pixel, because words end where they end; places down are in pixels, because lines
//! are. No floating point: what is measured comes in units of the font.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::{self, Write as _},
    iter,
    str::FromStr,
    sync::{Arc, LazyLock},
};

use harfrust::{FontRef, ShapeOptions, ShaperData, UnicodeBuffer};
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{self, fontdb},
};

use crate::{
    i18n::{self, Words},
    model::{Kind, Widget},
    options::{Look, Theme, UnknownValue},
    view::{
        self, Cell, Change, Corner, Direction, FigureCell, Head, Icon, Label, Layout, Level, Line, Note, Row,
        Section, Shown, Style, TapeText, TapeView, View,
    },
};

/// A widget as a drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// CSS pixels.
    pub width: u32,
    /// CSS pixels.
    pub height: u32,
    /// A whole document: attributes only, no style, script or reference, so that it may stand in any page as it is.
    pub svg: String,
}

/// How many pixels of the device make one CSS pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scale {
    /// As large as the drawing says.
    #[default]
    One,
    /// For dense screens and print.
    Two,
}

impl Scale {
    /// Values of the parameter `scale`.
    pub const ALLOWED: &'static [&'static str] = &["1", "2"];

    /// The parameter's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Two => "2",
        }
    }

    /// Device pixels per CSS pixel.
    #[must_use]
    pub const fn pixels(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    fn transform(self) -> Transform {
        match self {
            Self::One => Transform::identity(),
            Self::Two => Transform::from_scale(2.0, 2.0),
        }
    }
}

impl FromStr for Scale {
    type Err = UnknownValue;

    fn from_str(value: &str) -> Result<Self, UnknownValue> {
        match value {
            "1" => Ok(Self::One),
            "2" => Ok(Self::Two),
            _ => Err(UnknownValue { parameter: "scale", value: value.to_owned(), allowed: Self::ALLOWED }),
        }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A picture could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The drawing is not SVG.
    #[error("the drawing could not be read")]
    Svg(#[from] usvg::Error),
    /// No pixels, or more than fit into memory.
    #[error("{width} × {height} pixels cannot be drawn")]
    Size {
        /// Of the device.
        width: u32,
        /// Of the device.
        height: u32,
    },
    /// The pixels could not be written.
    #[error("the picture could not be written as PNG")]
    Png(#[from] png::EncodingError),
}

// Drawing.

/// A widget as a drawing: 300 pixels wide, the tape 680, as high as its content. A matrix with more columns than fit is
/// wider. Automatic and transparent themes are drawn in dark ink: a picture cannot know what is around it.
#[must_use]
pub fn picture(widget: &Widget, look: &Look) -> Picture {
    let view = view::view(widget, look);
    let words = i18n::words(look.lang);
    let side = if look.is_transparent() { 0 } else { SIDE };
    let narrowest = tenths(if view.kind == Kind::Ticker { TAPE_WIDTH } else { WIDTH } - 2 * side);
    let needed =
        view.sections.iter().map(|section| Grid::narrowest(section, look, words)).max().unwrap_or_default();
    let inner = narrowest.max(tenths(pixels_up(needed)));
    let mut drawing = Drawing {
        out: String::new(),
        ink: Ink::of(look),
        words,
        look,
        left: tenths(side),
        right: tenths(side) + inner,
        y: 0,
    };
    let width = inner / TENTHS + 2 * side;
    drawing.widget(&view, width);
    let (width, height) = (positive(width), positive(drawing.y));
    let mut svg = String::with_capacity(drawing.out.len() + 1024);
    let _ = write!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" lang="{lang}" xml:lang="{lang}" font-family="{FAMILIES}" font-size="14" font-variant="lining-nums tabular-nums" fill="{ink}"><title>{title}</title>"#,
        lang = look.lang,
        ink = drawing.ink.ink,
        title = Escaped(&title(&view, look, words)),
    );
    if !look.is_transparent() {
        let _ = write!(svg, r#"<path fill="{}" d="M0 0h{width}v{height}h-{width}z"/>"#, drawing.ink.paper);
    }
    svg.push_str(&drawing.out);
    svg.push_str("</svg>");
    Picture { width, height, svg }
}

/// What the picture is called: its subject and the first time in it, and that it is a sample where it is one.
fn title(view: &View, look: &Look, words: &Words) -> String {
    let mut title = i18n::heading(view.kind, look.lang).to_owned();
    let of_section = view.sections.iter().find_map(|section| section.as_of.as_ref());
    let mut of_tape = view.tape.iter().flat_map(|tape| &tape.foot);
    // A line with an icon tells another time than that of its figures, except the clock.
    let of_tape = of_tape
        .find(|line| matches!(line.icon, Icon::None | Icon::Clock))
        .and_then(|line| line.time.as_ref());
    if let Some(time) = of_section.or(of_tape) {
        title.push_str(", ");
        title.push_str(&time.text);
    }
    if view.recorded {
        title.push_str(". ");
        title.push_str(words.recorded_band);
    }
    title
}

/// Of the widget, in pixels.
const WIDTH: i32 = 300;
const TAPE_WIDTH: i32 = 680;
/// The paper's padding.
const SIDE: i32 = 12;
const TOP: i32 = 8;
const TENTHS: i32 = 10;
/// Between columns, in tenths.
const GAP: i32 = 120;
/// The same where there are many, unless the picture grows with them.
const SMALL_GAP: i32 = 70;
/// Up to this many columns heads give way before the picture grows.
const FITS: usize = 6;
/// An icon and the room behind it, in tenths.
const ICON: i32 = 150;
/// An arrow and the room behind it, in tenths.
const ARROW: i32 = 100;
/// Between a foot's columns, and how narrow they may be, in tenths.
const FOOT_GAP: i32 = 240;
const FOOT_COLUMN: i32 = 2760;
/// Between two prices of the tape, where there is room and where there is not, in tenths.
const TAPE_GAP: i32 = 330;
const SMALL_TAPE_GAP: i32 = 170;

/// The fonts that pages ask for too; `png` knows Noto Sans only.
const FAMILIES: &str = "-apple-system, 'Segoe UI', Roboto, 'Noto Sans', system-ui, sans-serif";

const fn tenths(pixels: i32) -> i32 {
    pixels * TENTHS
}

/// Whole pixels that hold so many tenths.
const fn pixels_up(tenths: i32) -> i32 {
    (tenths + TENTHS - 1) / TENTHS
}

/// A picture of nothing still is one.
fn positive(pixels: i32) -> u32 {
    u32::try_from(pixels).unwrap_or_default().max(1)
}

fn count(things: usize) -> i32 {
    i32::try_from(things).unwrap_or(i32::MAX)
}

/// The colours of `assets/base.css`, which a picture cannot take from the page around it.
struct Ink {
    paper: &'static str,
    ink: &'static str,
    muted: &'static str,
    line: &'static str,
    up: &'static str,
    down: &'static str,
    accent: String,
}

impl Ink {
    fn of(look: &Look) -> Self {
        let own = look.accent.map(|accent| format!("#{accent}"));
        match look.theme {
            Theme::Light | Theme::Auto | Theme::Transparent => Self {
                paper: "#fff",
                ink: "#1b1a17",
                muted: "#5a564e",
                line: "#dcd7cc",
                up: "#0a6847",
                down: "#b3261e",
                accent: own.unwrap_or_else(|| "#a87400".to_owned()),
            },
            Theme::Dark => Self {
                paper: "#171613",
                ink: "#f1eee6",
                muted: "#b5afa2",
                line: "#3b3831",
                up: "#62c995",
                down: "#ff8f85",
                accent: own.unwrap_or_else(|| "#d4a32f".to_owned()),
            },
        }
    }

    const fn change(&self, direction: Direction) -> &'static str {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
            Direction::Unchanged => self.muted,
        }
    }
}

/// How words are set: weight and size in pixels.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Type {
    weight: Weight,
    size: i32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Regular,
    SemiBold,
    Bold,
}

impl Weight {
    const fn number(self) -> u16 {
        match self {
            Self::Regular => 400,
            Self::SemiBold => 600,
            Self::Bold => 700,
        }
    }

    const fn font(self) -> &'static [u8] {
        match self {
            Self::Regular => include_bytes!("../assets/fonts/NotoSans-Regular.ttf"),
            Self::SemiBold => include_bytes!("../assets/fonts/NotoSans-SemiBold.ttf"),
            Self::Bold => include_bytes!("../assets/fonts/NotoSans-Bold.ttf"),
        }
    }

    /// What a text in this weight is measured with; a font that cannot be read measures nothing, and a test reads them.
    fn measure(self) -> Option<&'static Measure> {
        static REGULAR: LazyLock<Option<Measure>> = LazyLock::new(|| Measure::new(Weight::Regular));
        static SEMI_BOLD: LazyLock<Option<Measure>> = LazyLock::new(|| Measure::new(Weight::SemiBold));
        static BOLD: LazyLock<Option<Measure>> = LazyLock::new(|| Measure::new(Weight::Bold));
        match self {
            Self::Regular => REGULAR.as_ref(),
            Self::SemiBold => SEMI_BOLD.as_ref(),
            Self::Bold => BOLD.as_ref(),
        }
    }
}

/// The shaper that `png` draws with, so that what is measured is what is drawn, pairs of letters included.
struct Measure {
    font: FontRef<'static>,
    shapes: ShaperData,
}

impl Measure {
    fn new(weight: Weight) -> Option<Self> {
        let font = FontRef::new(weight.font()).ok()?;
        let shapes = ShaperData::new(&font);
        Some(Self { font, shapes })
    }

    /// In thousandths of the size, as the fonts count.
    fn units(&self, text: &str) -> i32 {
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(text);
        buffer.guess_segment_properties();
        let shaped = self.shapes.shaper(&self.font).build().shape(buffer, ShapeOptions::new());
        shaped.glyph_positions().iter().map(|glyph| glyph.x_advance).sum()
    }
}

const TITLE: Type = Type { weight: Weight::Bold, size: 16 };
const LEAD: Type = Type { weight: Weight::SemiBold, size: 18 };
const FIGURE: Type = Type { weight: Weight::Regular, size: 14 };
const STRONG: Type = Type { weight: Weight::SemiBold, size: 14 };
const QUIET: Type = Type { weight: Weight::Regular, size: 12 };
const STATE: Type = Type { weight: Weight::SemiBold, size: 12 };
/// A letter beside a borrowed figure, and before its foot line.
const MARK: Type = Type { weight: Weight::Regular, size: 11 };
const SMALL_MARK: Type = Type { weight: Weight::Regular, size: 9 };

impl Type {
    /// Width of a text in tenths, rounded up.
    fn width(self, text: &str) -> i32 {
        let units = self.weight.measure().map(|measure| measure.units(text)).unwrap_or_default();
        (units.saturating_mul(self.size) + 99) / 100
    }

    const fn regular(self) -> Self {
        Self { weight: Weight::Regular, ..self }
    }

    /// A text that fits, cut short where it does not.
    fn shortened(self, text: &str, room: i32) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let room = room - self.width("…");
        let mut short = String::new();
        for letter in text.chars() {
            short.push(letter);
            if self.width(&short) > room {
                short.pop();
                break;
            }
        }
        short.truncate(short.trim_end().len());
        short.push('…');
        short
    }

    /// Parts as lines, broken between parts and, where one alone is too wide, into pieces that are about as long.
    fn lines<'a>(self, parts: impl IntoIterator<Item = &'a str>, room: i32) -> Vec<String> {
        let mut lines = vec![String::new()];
        for piece in parts.into_iter().flat_map(|part| self.pieces(part, room)) {
            let Some(line) = lines.last_mut() else { continue };
            if line.is_empty() || self.width(format!("{line}{piece}").trim_end()) <= room {
                line.push_str(&piece);
            } else {
                lines.push(piece);
            }
        }
        lines
    }

    fn pieces(self, part: &str, room: i32) -> Vec<String> {
        let letters: Vec<char> = part.chars().collect();
        let cut = |pieces: usize| -> Vec<String> {
            letters
                .chunks(letters.len().div_ceil(pieces).max(1))
                .map(|piece| piece.iter().collect())
                .collect()
        };
        let fits = |pieces: &Vec<String>| pieces.iter().all(|piece| self.width(piece.trim_end()) <= room);
        (1..letters.len()).map(cut).find(fits).unwrap_or_else(|| cut(letters.len().max(1)))
    }
}

/// Where a text is held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Start,
    End,
}

/// A stretch of text in one type and colour.
struct Span {
    text: String,
    font: Type,
    colour: &'static str,
}

/// How a table shares its width, in tenths.
struct Grid {
    first: i32,
    columns: Vec<i32>,
    gap: i32,
}

impl Grid {
    /// Heads and cells of the columns that a narrow widget shows.
    fn heads(section: &Section) -> Vec<&Head> {
        section.heads.iter().filter(|head| head.level == Level::Always).collect()
    }

    fn figures(row: &Row) -> impl Iterator<Item = &FigureCell> {
        row.cells.iter().filter_map(|cell| match cell {
            Cell::Figure(figure) if figure.level == Level::Always => Some(figure),
            Cell::Figure(_) | Cell::Change(_) | Cell::Spark(_) => None,
        })
    }

    fn rows(section: &Section) -> impl Iterator<Item = &Row> {
        section.groups.iter().flat_map(|group| &group.rows)
    }

    fn gap(section: &Section) -> i32 {
        let heads = section.heads.len();
        if section.layout == Layout::Matrix && section.crowded() && heads <= FITS { SMALL_GAP } else { GAP }
    }

    /// What the figures of each column need, its gap included.
    fn needs(section: &Section, look: &Look, words: &Words) -> Vec<i32> {
        let mut needs = vec![0; Self::heads(section).len()];
        for row in Self::rows(section) {
            for (need, figure) in needs.iter_mut().zip(Self::figures(row)) {
                *need = (*need).max(figure_width(figure, section, look, words));
            }
        }
        needs.iter().map(|need| need + Self::gap(section)).collect()
    }

    /// What the heads need where they break between their parts only.
    fn with_heads(section: &Section, needs: &[i32]) -> Vec<i32> {
        let widest = |head: &Head| {
            let parts = head.parts.iter().map(String::as_str).chain(head.second);
            let hang = if head.hangs { hang() } else { 0 };
            parts.map(|part| widest_word(part, QUIET)).max().unwrap_or_default() + hang + Self::gap(section)
        };
        Self::heads(section).into_iter().zip(needs).map(|(head, need)| widest(head).max(*need)).collect()
    }

    /// What labels need where they break between words only.
    fn label(section: &Section, words: &Words) -> i32 {
        let label = |row: &Row| match &row.label {
            Label::Product(name, place) => {
                let place = place.map(|place| QUIET.width(place)).unwrap_or_default();
                widest_word(name, FIGURE).max(place)
            }
            Label::Words(text) => widest_word(text, FIGURE),
            Label::Code(code, _) => STRONG.width(code),
            Label::Side(_) | Label::Months(_) => FIGURE.width(&row.label.text()),
        };
        let head =
            corner(&section.corner, words).iter().map(|word| QUIET.width(word)).max().unwrap_or_default();
        Self::rows(section).map(label).max().unwrap_or_default().max(head)
    }

    /// The narrowest table in which every figure stands whole.
    fn narrowest(section: &Section, look: &Look, words: &Words) -> i32 {
        let mut needs = Self::needs(section, look, words);
        if needs.len() > FITS {
            needs = Self::with_heads(section, &needs);
        }
        Self::label(section, words) + needs.iter().sum::<i32>()
    }

    fn of(section: &Section, inner: i32, look: &Look, words: &Words) -> Self {
        let gap = Self::gap(section);
        let figures = Self::needs(section, look, words);
        let needs = Self::with_heads(section, &figures);
        let many = count(needs.len()).max(1);
        let label = Self::label(section, words);
        // Prices stand close to each other; what is left is the product's.
        if section.layout == Layout::Products && needs.iter().sum::<i32>() + label <= inner {
            return Self { first: inner - needs.iter().sum::<i32>(), columns: needs, gap };
        }
        let (first, columns) = if section.layout == Layout::Matrix && many < 3 {
            let last = if many == 1 { inner * 69 / 100 } else { inner * 38 / 100 };
            let mut columns = vec![inner * 31 / 100; needs.len()];
            if let Some(column) = columns.last_mut() {
                *column = last;
            }
            (inner - columns.iter().sum::<i32>(), columns)
        } else {
            let first = label.max(inner * 16 / 100);
            let column = (inner - first) / many;
            (inner - column * many, vec![column; needs.len()])
        };
        if first >= label && columns.iter().zip(&needs).all(|(column, need)| column >= need) {
            return Self { first, columns, gap };
        }
        // Where equal columns are too narrow, each has what it needs and its share of the rest.
        let needs = if label + needs.iter().sum::<i32>() <= inner { needs } else { figures };
        let share = (inner - label - needs.iter().sum::<i32>()).max(0) / many;
        let columns: Vec<i32> = needs.iter().map(|need| need + share).collect();
        Self { first: inner - columns.iter().sum::<i32>(), columns, gap }
    }

    /// Where each column ends, counted from the left edge of the table.
    fn ends(&self) -> impl Iterator<Item = i32> {
        self.columns.iter().scan(self.first, |end, column| {
            *end += column;
            Some(*end)
        })
    }
}

fn widest_word(text: &str, font: Type) -> i32 {
    text.split_whitespace().map(|word| font.width(word)).max().unwrap_or_default()
}

/// The head of the first column, in the parts between which it may break.
fn corner(corner: &Corner, words: &Words) -> Vec<&'static str> {
    match corner {
        Corner::Nothing => Vec::new(),
        Corner::Currency => vec![words.currency],
        Corner::Product => vec![words.product_head],
        Corner::Term => vec![words.term.0, words.term.1],
    }
}

/// What the fraction of a rate takes at the right of its column.
fn hang() -> i32 {
    QUIET.width(",00")
}

fn change_width(change: &Change) -> i32 {
    let arrow = if change.direction == Direction::Unchanged { 0 } else { ARROW };
    arrow + QUIET.width(&change.text())
}

/// How the whole number of a figure is set.
fn figure_type(cell: &FigureCell, section: &Section, look: &Look) -> Type {
    let font = match cell.style {
        Style::Lead if section.crowded() || look.compact => STRONG,
        Style::Lead => LEAD,
        Style::Bold { .. } => STRONG,
        Style::Percent if cell.shown.as_ref().is_some_and(|shown| shown.best) => STRONG,
        Style::Rate | Style::Percent => FIGURE,
    };
    if cell.shown.as_ref().is_none_or(|shown| shown.old) { font.regular() } else { font }
}

/// What stands in the second line of a price, where there is one.
enum Below<'a> {
    Nothing,
    Change(&'a Change),
    /// Under review, in words or, where columns are narrow, as a sign.
    Held,
    HeldIcon,
}

fn below<'a>(cell: &'a FigureCell, section: &Section, look: &Look) -> Below<'a> {
    let Some(shown) = cell.shown.as_ref().filter(|_| !look.compact) else { return Below::Nothing };
    match cell.style {
        Style::Rate | Style::Percent | Style::Bold { main: false } => Below::Nothing,
        Style::Lead if shown.held && section.many() => Below::HeldIcon,
        Style::Lead | Style::Bold { main: true } if shown.held => Below::Held,
        Style::Lead | Style::Bold { main: true } => {
            shown.change.as_ref().map_or(Below::Nothing, Below::Change)
        }
    }
}

fn figure_width(cell: &FigureCell, section: &Section, look: &Look, words: &Words) -> i32 {
    let Some(shown) = &cell.shown else { return FIGURE.width("–") };
    let font = figure_type(cell, section, look);
    let fraction = if cell.style == Style::Rate { hang() } else { 0 };
    let mark = if shown.borrowed.is_some() { MARK.width("a") + TENTHS } else { 0 };
    let figure = mark + font.width(&shown.whole) + fraction;
    let below = match below(cell, section, look) {
        Below::Nothing => 0,
        Below::Change(change) => change_width(change),
        Below::Held => QUIET.width(words.under_review),
        Below::HeldIcon => tenths(12),
    };
    figure.max(below)
}

/// What is drawn so far, and where the next line begins.
struct Drawing<'a> {
    out: String,
    ink: Ink,
    words: &'static Words,
    look: &'a Look,
    left: i32,
    right: i32,
    y: i32,
}

impl Drawing<'_> {
    fn widget(&mut self, view: &View, width: i32) {
        if view.recorded {
            self.rectangle(0, self.y, tenths(width), 30, self.ink.ink);
            let text = STRONG.shortened(self.words.recorded_band, tenths(width - 2 * SIDE));
            self.text(tenths(SIDE), self.y + 20, Anchor::Start, STRONG, self.ink.paper, &text);
            self.y += 30 + TOP;
        } else if !self.look.is_transparent() {
            self.y += TOP;
        }
        if let Some(tape) = &view.tape {
            self.tape(tape);
        }
        for (at, section) in view.sections.iter().enumerate() {
            self.section(section, at == 0 || view.kind != Kind::Panel);
        }
        if view.home.is_some() && !view.sections.is_empty() {
            self.rule(1, self.ink.ink);
            self.text(self.left, self.y + 6 + 13, Anchor::Start, QUIET, self.ink.muted, self.words.product);
            let (right, words) = (self.right, self.words);
            self.text(right, self.y + 6 + 13, Anchor::End, QUIET, self.ink.muted, words.reference_only);
            self.y += 6 + 18 + 8;
        }
    }

    // Signs.

    fn text(&mut self, x: i32, y: i32, anchor: Anchor, font: Type, colour: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        let _ = write!(self.out, r#"<text x="{}" y="{y}""#, Tenths(x));
        if anchor == Anchor::End {
            self.out.push_str(r#" text-anchor="end""#);
        }
        self.set(font, FIGURE, colour, self.ink.ink);
        let _ = write!(self.out, ">{}</text>", Escaped(text));
    }

    /// The attributes that differ from what holds around.
    fn set(&mut self, font: Type, around: Type, colour: &str, around_colour: &str) {
        if font.size != around.size {
            let _ = write!(self.out, r#" font-size="{}""#, font.size);
        }
        if font.weight != around.weight {
            let _ = write!(self.out, r#" font-weight="{}""#, font.weight.number());
        }
        if colour != around_colour {
            let _ = write!(self.out, r#" fill="{colour}""#);
        }
    }

    /// Spans in one text, so that they follow each other in whatever font the reader has; gives back where they end.
    fn spans(&mut self, x: i32, y: i32, spans: &[Span]) -> i32 {
        let Some(first) = spans.first() else { return x };
        let _ = write!(self.out, r#"<text x="{}" y="{y}""#, Tenths(x));
        self.set(first.font, FIGURE, first.colour, self.ink.ink);
        self.out.push('>');
        let mut end = x;
        for span in spans {
            end += span.font.width(&span.text);
            if span.font == first.font && span.colour == first.colour {
                let _ = write!(self.out, "{}", Escaped(&span.text));
                continue;
            }
            self.out.push_str("<tspan");
            self.set(span.font, first.font, span.colour, first.colour);
            let _ = write!(self.out, ">{}</tspan>", Escaped(&span.text));
        }
        self.out.push_str("</text>");
        end
    }

    fn rectangle(&mut self, x: i32, y: i32, width: i32, height: i32, colour: &str) {
        let (x, width) = (Tenths(x), Tenths(width));
        let _ = write!(self.out, r#"<path fill="{colour}" d="M{x} {y}h{width}v{height}h-{width}z"/>"#);
    }

    /// A line over the whole width; what follows is under it.
    fn rule(&mut self, height: i32, colour: &'static str) {
        self.rectangle(self.left, self.y, self.right - self.left, height, colour);
        self.y += height;
    }

    /// Six by five and a half, its foot a little over the baseline.
    fn arrow(&mut self, x: i32, baseline: i32, direction: Direction) {
        let (x, colour) = (Tenths(x), self.ink.change(direction));
        let _ = match direction {
            Direction::Up => {
                write!(self.out, r#"<path fill="{colour}" d="M{x} {}h6l-3-5.5z"/>"#, baseline - 2)
            }
            Direction::Down => {
                write!(self.out, r#"<path fill="{colour}" d="M{x} {}.5h6l-3 5.5z"/>"#, baseline - 8)
            }
            Direction::Unchanged => Ok(()),
        };
    }

    /// Twelve by twelve, as in `templates/foot.html`.
    fn icon(&mut self, x: i32, baseline: i32, icon: Icon) {
        let (dashes, path) = match icon {
            Icon::None => return,
            Icon::Clock => ("", r#"<path d="M6 3v3.2l2 1.3"/>"#),
            Icon::Dash => ("", r#"<path d="M3.5 6h5"/>"#),
            Icon::Dashed => (r#" stroke-dasharray="2 1.9""#, ""),
            Icon::Bars => ("", r#"<path d="M4.6 4v4M7.4 4v4"/>"#),
        };
        let _ = write!(
            self.out,
            r#"<g fill="none" stroke="{}" stroke-width="1.5" transform="translate({} {})"><circle cx="6" cy="6" r="5"{dashes}/>{path}</g>"#,
            self.ink.ink,
            Tenths(x),
            baseline - 10,
        );
    }

    // Tables.

    fn section(&mut self, section: &Section, first: bool) {
        self.opening(first);
        self.caption(section);
        let grid = Grid::of(section, self.right - self.left, self.look, self.words);
        self.heads(section, &grid);
        for group in &section.groups {
            if let Some(house) = &group.house {
                self.rule(1, self.ink.line);
                let house = STRONG.shortened(house, self.right - self.left);
                self.text(self.left, self.y + 8 + 15, Anchor::Start, STRONG, self.ink.ink, &house);
                self.y += 8 + 20 + 3;
            }
            for row in &group.rows {
                self.row(row, section, &grid);
            }
        }
        self.rule(1, self.ink.line);
        self.y += 4;
        if let Some(note) = &section.note {
            self.note(note);
        }
        for line in &section.foot {
            self.foot_line(self.left, self.right - self.left, line);
            self.y += 24;
        }
        self.y += 8;
    }

    /// The ink rule, with the gold tab on the first.
    fn opening(&mut self, first: bool) {
        let top = self.y;
        self.rule(if first { 2 } else { 1 }, self.ink.ink);
        if first {
            let accent = self.ink.accent.clone();
            self.rectangle(self.left, top, tenths(28), 4, &accent);
        }
    }

    fn caption(&mut self, section: &Section) {
        self.y += 8;
        let unit = format!("{} · {}", section.unit, self.words.reference);
        let room = self.right - self.left;
        let title = if self.look.title { TITLE.width(&section.title) } else { 0 };
        if self.look.title {
            let title = TITLE.shortened(&section.title, room);
            self.text(self.left, self.y + 16, Anchor::Start, TITLE, self.ink.ink, &title);
        }
        if !self.look.title {
            self.text(self.left, self.y + 16, Anchor::Start, QUIET, self.ink.muted, &unit);
        } else if title + tenths(4) + QUIET.width(&unit) <= room {
            self.text(self.right, self.y + 16, Anchor::End, QUIET, self.ink.muted, &unit);
        } else {
            self.y += 20;
            self.text(self.left, self.y + 15, Anchor::Start, QUIET, self.ink.muted, &unit);
        }
        self.y += 22 + 2;
    }

    fn heads(&mut self, section: &Section, grid: &Grid) {
        let parts = corner(&section.corner, self.words);
        let whole = parts.join(" ");
        // Two columns leave the first one room beyond its own.
        let first = if parts.len() < 2
            || (grid.columns.len() < 3 && section.layout == Layout::Matrix)
            || QUIET.width(&whole) <= grid.first
        {
            vec![whole]
        } else {
            parts.into_iter().map(str::to_owned).collect()
        };
        let heads: Vec<(i32, Vec<String>)> = Grid::heads(section)
            .into_iter()
            .zip(grid.ends().zip(&grid.columns))
            .map(|(head, (end, column))| {
                let hang = if head.hangs { hang() } else { 0 };
                let parts = head.parts.iter().flat_map(|part| part.split_inclusive(' '));
                let mut lines = QUIET.lines(parts, column - grid.gap - hang);
                lines.extend(head.second.map(str::to_owned));
                (self.left + end - hang, lines)
            })
            .collect();
        let lines = heads.iter().map(|(_, lines)| lines.len()).chain([first.len()]).max().unwrap_or_default();
        let bottom = self.y + 18 * count(lines);
        for (anchor, x, lines) in iter::once((Anchor::Start, self.left, &first))
            .chain(heads.iter().map(|(x, lines)| (Anchor::End, *x, lines)))
        {
            let mut baseline = bottom - 18 * count(lines.len()) + 13;
            for text in lines {
                let text = text.trim_end();
                self.text(x, baseline, anchor, QUIET, self.ink.muted, text);
                baseline += 18;
            }
        }
        self.y = bottom + 2;
    }

    fn row(&mut self, row: &Row, section: &Section, grid: &Grid) {
        self.rule(1, self.ink.line);
        let lead = Grid::figures(row).any(|cell| figure_type(cell, section, self.look).size == LEAD.size);
        let baseline = self.y + 3 + if lead { 17 } else { 15 };
        let two_lines = !self.look.compact
            && Grid::figures(row).any(|cell| matches!(cell.style, Style::Lead | Style::Bold { .. }));
        let figures = if lead { 22 } else { 20 } + if two_lines { 16 } else { 0 };
        let label = self.label(&row.label, baseline, grid.first);
        for (cell, end) in Grid::figures(row).zip(grid.ends()) {
            self.figure(cell, section, self.left + end, baseline);
        }
        self.y += 3 + label.max(figures) + 3;
    }

    /// The first cell of a row; gives back its height.
    fn label(&mut self, label: &Label, baseline: i32, room: i32) -> i32 {
        let ink = self.ink.ink;
        match label {
            Label::Product(text, _) | Label::Words(text) => {
                let lines = FIGURE.lines(text.split_inclusive(' '), room);
                let mut y = baseline;
                for line in &lines {
                    self.text(self.left, y, Anchor::Start, FIGURE, ink, line.trim_end());
                    y += 20;
                }
                let place = if let Label::Product(_, Some(place)) = label { *place } else { "" };
                self.text(self.left, y - 3, Anchor::Start, QUIET, self.ink.muted, place);
                20 * count(lines.len()) + if place.is_empty() { 0 } else { 16 }
            }
            Label::Months(_) => {
                // Of one figure or two: ones stand under ones.
                let text = label.text();
                let end = self.left + FIGURE.width("00").max(FIGURE.width(&text));
                self.text(end, baseline, Anchor::End, FIGURE, ink, &text);
                20
            }
            Label::Code(..) => {
                self.text(self.left, baseline, Anchor::Start, STRONG, ink, &label.text());
                20
            }
            Label::Side(_) => {
                self.text(self.left, baseline, Anchor::Start, FIGURE, ink, &label.text());
                20
            }
        }
    }

    fn figure(&mut self, cell: &FigureCell, section: &Section, right: i32, baseline: i32) {
        let muted = self.ink.muted;
        let font = figure_type(cell, section, self.look);
        let end = if cell.style == Style::Rate { right - hang() } else { right };
        let Some(shown) = &cell.shown else {
            self.text(end, baseline, Anchor::End, font, muted, "–");
            return;
        };
        let colour = if shown.old { muted } else { self.ink.ink };
        self.text(end, baseline, Anchor::End, font, colour, &shown.whole);
        if let Some(fraction) = &shown.fraction {
            self.text(end, baseline, Anchor::Start, QUIET, muted, fraction);
        }
        let width = font.width(&shown.whole);
        if shown.best {
            let accent = self.ink.accent.clone();
            self.rectangle(end - width, baseline + 3, width, 2, &accent);
        }
        self.mark(shown, end - width, baseline, colour);
        // Twelve pixels into a line of sixteen, under what a line of twenty has left.
        let baseline = baseline + 5 + 12;
        match below(cell, section, self.look) {
            Below::Nothing => {}
            Below::Change(change) => self.change(change, right, baseline),
            Below::Held => self.text(right, baseline, Anchor::End, QUIET, muted, self.words.under_review),
            Below::HeldIcon => self.icon(right - tenths(12), baseline, Icon::Bars),
        }
    }

    /// The letter of a borrowed figure, before it.
    fn mark(&mut self, shown: &Shown, right: i32, baseline: i32, colour: &'static str) {
        if let Some((mark, _)) = shown.borrowed {
            self.text(right - TENTHS, baseline - 4, Anchor::End, MARK, colour, &mark.to_string());
        }
    }

    /// Arrow, sign, figure.
    fn change(&mut self, change: &Change, right: i32, baseline: i32) {
        let colour = self.ink.change(change.direction);
        self.text(right, baseline, Anchor::End, QUIET, colour, &change.text());
        self.arrow(right - change_width(change), baseline, change.direction);
    }

    // Feet.

    /// What the marks mean; in as many lines as it takes.
    fn note(&mut self, note: &Note) {
        if note.text.is_empty() && note.mark.is_none() {
            return;
        }
        let muted = self.ink.muted;
        let (mut x, mut spans) = (self.left, Vec::new());
        if let Some(mark) = note.mark {
            let (width, accent) = (STATE.width(mark), self.ink.accent.clone());
            self.rectangle(x, self.y + 3 + 13 + 3, width, 2, &accent);
            spans.push(Span { text: mark.to_owned(), font: STATE, colour: self.ink.ink });
            x += width;
        }
        for word in note.text.split_inclusive(' ') {
            let width = QUIET.width(word);
            if x > self.left && x + QUIET.width(word.trim_end()) > self.right {
                self.spans(self.left, self.y + 3 + 13, &spans);
                spans.clear();
                self.y += 18;
                x = self.left;
            }
            x += width;
            match spans.last_mut().filter(|span: &&mut Span| span.font == QUIET) {
                Some(span) => span.text.push_str(word),
                None => spans.push(Span { text: word.to_owned(), font: QUIET, colour: muted }),
            }
        }
        self.spans(self.left, self.y + 3 + 13, &spans);
        self.y += 24;
    }

    /// One source: whose figures, through whom, in which state, from when. Only names may be cut short.
    fn foot_line(&mut self, x: i32, room: i32, line: &Line) {
        let (ink, muted) = (self.ink.ink, self.ink.muted);
        let baseline = self.y + 3 + 13;
        let mut spans = Vec::new();
        let quiet = |text: String| Span { text, font: QUIET, colour: muted };
        let mut state = Vec::new();
        if !line.state.is_empty() {
            let what = line.what.as_ref().map(|what| format!("{what} ")).unwrap_or_default();
            state.push(Span { text: format!("{what}{}", line.state), font: STATE, colour: ink });
        }
        let time = line.time.as_ref().map(|time| time.text.as_str()).unwrap_or_default();
        state.push(quiet(format!("{}{time}{}", line.before, line.after)));

        let mut room =
            room - state.iter().map(|span| span.font.width(&span.text)).sum::<i32>() - QUIET.width(" · ");
        let mut start = x;
        if line.icon != Icon::None {
            self.icon(x, baseline, line.icon);
            start += ICON;
            room -= ICON;
        }
        if let Some(mark) = line.mark {
            let mark = mark.to_string();
            self.text(start, baseline - 4, Anchor::Start, SMALL_MARK, muted, &mark);
            let width = SMALL_MARK.width(&mark) + tenths(3);
            start += width;
            room -= width;
        }
        let via =
            line.via.as_ref().map(|via| format!(" {} {}", self.words.via, via.name)).unwrap_or_default();
        let name = QUIET.shortened(&line.source.name, room - QUIET.width(&via));
        spans.push(quiet(format!("{} · ", QUIET.shortened(&format!("{name}{via}"), room))));
        spans.extend(state);
        self.spans(start, baseline, &spans);
    }

    // The tape.

    fn tape(&mut self, tape: &TapeView) {
        self.opening(true);
        self.y += 12;
        let lines = self.tape_lines(tape);
        for (at, line) in lines.into_iter().enumerate() {
            self.y += if at == 0 { 0 } else { 20 + 8 };
            let prices: i32 = line.iter().map(|(_, width)| width).sum();
            let between = count(line.len()) - 1;
            let gap = if between > 0 { (self.right - self.left - prices) / between } else { 0 };
            let gap = gap.min(TAPE_GAP);
            let mut x = self.left;
            for (at, (pieces, width)) in line.into_iter().enumerate() {
                if at > 0 {
                    self.rectangle(x + gap / 2, self.y + 3, TENTHS, 14, self.ink.line);
                    x += gap;
                }
                self.price(x, pieces);
                x += width;
            }
        }
        self.y += 20 + 10;

        self.rule(1, self.ink.line);
        self.y += 4;
        let columns = ((self.right - self.left + FOOT_GAP) / (FOOT_COLUMN + FOOT_GAP)).max(1);
        let column = (self.right - self.left - FOOT_GAP * (columns - 1)) / columns;
        let mut place = 0;
        for line in tape.foot.iter().map(Some).chain([None]) {
            let x = self.left + place * (column + FOOT_GAP);
            match line {
                Some(line) => self.foot_line(x, column, line),
                None => {
                    let sentence = self.words.reference_sentence;
                    self.text(x, self.y + 3 + 13, Anchor::Start, QUIET, self.ink.muted, sentence);
                }
            }
            place += 1;
            if place == columns {
                place = 0;
                self.y += 24;
            }
        }
        if place > 0 {
            self.y += 24;
        }
        self.y += 8;
    }

    /// As many prices in a line as fit, each with its width.
    fn tape_lines(&self, tape: &TapeView) -> Vec<Vec<(Vec<Piece>, i32)>> {
        let mut lines: Vec<Vec<_>> = vec![Vec::new()];
        let mut room = self.right - self.left;
        for item in &tape.items {
            let pieces = self.pieces(item);
            let width: i32 = pieces.iter().map(Piece::width).sum();
            if let Some(line) = lines.last_mut().filter(|line| line.is_empty() || width <= room) {
                room -= width + SMALL_TAPE_GAP;
                line.push((pieces, width));
            } else {
                room = self.right - self.left - width - SMALL_TAPE_GAP;
                lines.push(vec![(pieces, width)]);
            }
        }
        lines
    }

    /// One price of the tape; its house is cut short where it alone is wider than the tape.
    fn pieces(&self, item: &TapeText) -> Vec<Piece> {
        let (ink, muted) = (self.ink.ink, self.ink.muted);
        let quiet = |text: String| Piece::Text(Span { text, font: QUIET, colour: muted });
        let mut pieces = vec![
            Piece::Text(Span { text: format!("{} ", item.name), font: STRONG, colour: ink }),
            quiet(format!("{} ", item.unit)),
        ];
        for (side, price) in &item.prices {
            if !side.is_empty() {
                pieces.push(quiet(format!("{side} ")));
            }
            let colour = if item.old || price.is_none() { muted } else { ink };
            let text = format!("{} ", price.as_deref().unwrap_or("–"));
            pieces.push(Piece::Text(Span { text, font: FIGURE, colour }));
        }
        if item.held {
            pieces.push(quiet(format!("{} ", self.words.under_review)));
        } else if let Some(change) = &item.change {
            pieces.push(Piece::Arrow(change.direction));
            let colour = self.ink.change(change.direction);
            pieces.push(Piece::Text(Span { text: format!("{} ", change.text()), font: QUIET, colour }));
        }
        let room = self.right - self.left - pieces.iter().map(Piece::width).sum::<i32>();
        pieces.push(quiet(QUIET.shortened(&item.house, room)));
        pieces
    }

    fn price(&mut self, x: i32, pieces: Vec<Piece>) {
        let (mut x, baseline) = (x, self.y + 15);
        let mut spans = Vec::new();
        for piece in pieces {
            let width = piece.width();
            match piece {
                Piece::Text(span) => spans.push(span),
                Piece::Arrow(direction) => {
                    x = self.spans(x, baseline, &spans);
                    spans.clear();
                    self.arrow(x, baseline, direction);
                    x += width;
                }
            }
        }
        self.spans(x, baseline, &spans);
    }
}

/// What a price of the tape is made of.
enum Piece {
    Text(Span),
    Arrow(Direction),
}

impl Piece {
    fn width(&self) -> i32 {
        match self {
            Self::Text(span) => span.font.width(&span.text),
            Self::Arrow(Direction::Unchanged) => 0,
            Self::Arrow(Direction::Up | Direction::Down) => ARROW,
        }
    }
}

/// Tenths of a pixel as SVG writes pixels.
struct Tenths(i32);

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, tenths) = (self.0 / TENTHS, (self.0 % TENTHS).abs());
        let sign = if self.0 < 0 && whole == 0 { "-" } else { "" };
        match tenths {
            0 => write!(f, "{whole}"),
            tenths => write!(f, "{sign}{whole}.{tenths}"),
        }
    }
}

/// Text in XML. Characters that XML has no way to write become blanks, since one of them in a name would cost the
/// picture; so do those that turn the direction of what follows, since a time must not be read backwards.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\u{fffe}' | '\u{ffff}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    f.write_char(' ')?;
                }
                control if control.is_control() => f.write_char(' ')?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

// Pixels.

/// The fonts beside this file and nothing else, so that a picture is the same on every machine.
static OPTIONS: LazyLock<usvg::Options<'static>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    for weight in [Weight::Regular, Weight::SemiBold, Weight::Bold] {
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(weight.font())));
    }
    fonts.set_sans_serif_family(FONT);
    fonts.set_serif_family(FONT);
    fonts.set_monospace_family(FONT);
    usvg::Options {
        font_family: FONT.to_owned(),
        fontdb: Arc::new(fonts),
        // A drawing may name no picture; if one did, it would not be looked for.
        image_href_resolver: usvg::ImageHrefResolver {
            resolve_data: Box::new(|_, _, _| None),
            resolve_string: Box::new(|_, _| None),
        },
        ..usvg::Options::default()
    }
});

const FONT: &str = "Noto Sans";

/// A drawing as PNG with a palette: the same bytes for the same drawing.
///
/// # Errors
/// When the drawing is not one of [`picture`], or too large for the memory.
pub fn png(picture: &Picture, scale: Scale) -> Result<Vec<u8>, PictureError> {
    let tree = usvg::Tree::from_str(&picture.svg, &OPTIONS)?;
    let width = picture.width.saturating_mul(scale.pixels());
    let height = picture.height.saturating_mul(scale.pixels());
    let mut pixels = Pixmap::new(width, height).ok_or(PictureError::Size { width, height })?;
    resvg::render(&tree, scale.transform(), &mut pixels.as_mut());
    let pixels: Vec<Colour> = pixels
        .pixels()
        .iter()
        .map(|pixel| {
            let colour = pixel.demultiply();
            [colour.red(), colour.green(), colour.blue(), colour.alpha()]
        })
        .collect();
    let Indexed { palette, pixels } = indexed(&pixels);

    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(
        palette.iter().flat_map(|[red, green, blue, _]| [*red, *green, *blue]).collect::<Vec<u8>>(),
    );
    if palette.iter().any(|[.., alpha]| *alpha < u8::MAX) {
        encoder.set_trns(palette.iter().map(|[.., alpha]| *alpha).collect::<Vec<u8>>());
    }
    // Neighbours in a palette are no neighbours in colour: filters only cost.
    encoder.set_filter(png::Filter::NoFilter);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(file)
}

/// Red, green, blue, alpha.
type Colour = [u8; 4];

struct Indexed {
    palette: Vec<Colour>,
    pixels: Vec<u8>,
}

/// At most 256 colours. Where there are more, those that differ least become one: colours that are equal in their first
/// seven bits, six, and so on, until few enough are left; the most frequent of them stands for all. So the colours of
/// the theme stay exact, and a small green arrow never turns grey because grey is more frequent.
fn indexed(pixels: &[Colour]) -> Indexed {
    // Most of a picture is paper: looked up by the run and not by the pixel.
    let runs = || pixels.chunk_by(|one, next| one == next);
    let mut frequency: HashMap<Colour, usize> = HashMap::new();
    for run in runs() {
        *frequency.entry(run[0]).or_default() += run.len();
    }
    let mut colours: Vec<(Colour, usize)> = frequency.into_iter().collect();
    // Most frequent first; ties in the order of colours, so that the file is always the same.
    colours.sort_by(|(one, often), (other, seldom)| seldom.cmp(often).then(one.cmp(other)));

    let mut palette = Vec::new();
    let mut places: HashMap<Colour, u8> = HashMap::new();
    for bits in 0..u8::BITS {
        palette.clear();
        places.clear();
        let mut merged: HashMap<Colour, u8> = HashMap::new();
        let fits = colours.iter().all(|(colour, _)| {
            let place = match merged.entry(colour.map(|part| part >> bits)) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    let Ok(place) = u8::try_from(palette.len()) else { return false };
                    palette.push(*colour);
                    *entry.insert(place)
                }
            };
            places.insert(*colour, place);
            true
        });
        if fits {
            break;
        }
    }
    let place = |run: &[Colour]| places.get(&run[0]).copied().unwrap_or_default();
    let pixels = runs().flat_map(|run| iter::repeat_n(place(run), run.len())).collect();
    Indexed { palette, pixels }
}
