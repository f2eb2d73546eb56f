//! Where the columns of a table stand, and what has to give way where there are many.

use super::{
    ARROW, FITS, GAP, SMALL_GAP, TENTHS, count,
    font::{FIGURE, LEAD, MARK, QUIET, STRONG, Type},
    tenths,
};
use crate::{
    i18n::Words,
    options::Look,
    view::{Cell, Change, Corner, Direction, FigureCell, Head, Label, Layout, Level, Row, Section, Style},
};

/// How a table shares its width, in tenths.
pub(super) struct Grid {
    pub(super) first: i32,
    pub(super) columns: Vec<i32>,
    pub(super) gap: i32,
}

impl Grid {
    /// Heads and cells of the columns that a narrow widget shows.
    pub(super) fn heads(section: &Section) -> Vec<&Head> {
        section.heads.iter().filter(|head| head.level == Level::Always).collect()
    }

    pub(super) fn figures(row: &Row) -> impl Iterator<Item = &FigureCell> {
        row.cells.iter().filter_map(|cell| match cell {
            Cell::Figure(figure) if figure.level == Level::Always => Some(figure),
            Cell::Figure(_) | Cell::Change(_) | Cell::Spark(_) => None,
        })
    }

    pub(super) fn rows(section: &Section) -> impl Iterator<Item = &Row> {
        section.groups.iter().flat_map(|group| &group.rows)
    }

    pub(super) fn gap(section: &Section) -> i32 {
        let heads = section.heads.len();
        if section.layout == Layout::Matrix && section.crowded() && heads <= FITS { SMALL_GAP } else { GAP }
    }

    /// What the figures of each column need, its gap included.
    pub(super) fn needs(section: &Section, look: &Look, words: &Words) -> Vec<i32> {
        let mut needs = vec![0; Self::heads(section).len()];
        for row in Self::rows(section) {
            for (need, figure) in needs.iter_mut().zip(Self::figures(row)) {
                *need = (*need).max(figure_width(figure, section, look, words));
            }
        }
        needs.iter().map(|need| need + Self::gap(section)).collect()
    }

    /// What the heads need where they break between their parts only.
    pub(super) fn with_heads(section: &Section, needs: &[i32]) -> Vec<i32> {
        let widest = |head: &Head| {
            let parts = head.parts.iter().map(String::as_str).chain(head.second.as_deref());
            let hang = if head.hangs { hang() } else { 0 };
            parts.map(|part| widest_word(part, QUIET)).max().unwrap_or_default() + hang + Self::gap(section)
        };
        Self::heads(section).into_iter().zip(needs).map(|(head, need)| widest(head).max(*need)).collect()
    }

    /// What labels need where they break between words only.
    pub(super) fn label(section: &Section, words: &Words) -> i32 {
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
    pub(super) fn narrowest(section: &Section, look: &Look, words: &Words) -> i32 {
        let mut needs = Self::needs(section, look, words);
        if needs.len() > FITS {
            needs = Self::with_heads(section, &needs);
        }
        Self::label(section, words) + needs.iter().sum::<i32>()
    }

    pub(super) fn of(section: &Section, inner: i32, look: &Look, words: &Words) -> Self {
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
    pub(super) fn ends(&self) -> impl Iterator<Item = i32> {
        self.columns.iter().scan(self.first, |end, column| {
            *end += column;
            Some(*end)
        })
    }
}

pub(super) fn widest_word(text: &str, font: Type) -> i32 {
    text.split_whitespace().map(|word| font.width(word)).max().unwrap_or_default()
}

/// The head of the first column, in the parts between which it may break.
pub(super) fn corner(corner: &Corner, words: &Words) -> Vec<&'static str> {
    match corner {
        Corner::Nothing => Vec::new(),
        Corner::Currency => vec![words.currency],
        Corner::Product => vec![words.product_head],
        Corner::Term => vec![words.term.0, words.term.1],
    }
}

/// What the fraction of a rate takes at the right of its column.
pub(super) fn hang() -> i32 {
    QUIET.width(",00")
}

pub(super) fn change_width(change: &Change) -> i32 {
    let arrow = if change.direction == Direction::Unchanged { 0 } else { ARROW };
    arrow + QUIET.width(&change.text())
}

/// How the whole number of a figure is set.
pub(super) fn figure_type(cell: &FigureCell, section: &Section, look: &Look) -> Type {
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
pub(super) enum Below<'a> {
    Nothing,
    Change(&'a Change),
    /// Under review, in words or, where columns are narrow, as a sign.
    Held,
    HeldIcon,
}

pub(super) fn below<'a>(cell: &'a FigureCell, section: &Section, look: &Look) -> Below<'a> {
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

pub(super) fn figure_width(cell: &FigureCell, section: &Section, look: &Look, words: &Words) -> i32 {
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
