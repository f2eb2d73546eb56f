//! A view as SVG, from top to bottom.

use std::{
    fmt::{self, Write as _},
    iter,
};

use super::{
    ARROW, FOOT_COLUMN, FOOT_GAP, ICON, Ink, SIDE, SMALL_TAPE_GAP, TAPE_GAP, TENTHS, TOP, count,
    font::{FIGURE, LEAD, MARK, QUIET, SMALL_MARK, STATE, STRONG, TITLE, Type},
    grid::{Below, Grid, below, change_width, corner, figure_type, hang},
    tenths,
};
use crate::{
    i18n::Words,
    model::Kind,
    options::Look,
    view::{
        Change, Direction, FigureCell, Icon, Label, Layout, Line, Note, Row, Section, Shown, Style, TapeText,
        TapeView, View,
    },
};

/// Where a text is held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    End,
}

/// A stretch of text in one type and colour.
pub(super) struct Span {
    pub(super) text: String,
    pub(super) font: Type,
    pub(super) colour: &'static str,
}

/// What is drawn so far, and where the next line begins.
pub(super) struct Drawing<'a> {
    pub(super) out: String,
    pub(super) ink: Ink,
    pub(super) words: &'static Words,
    pub(super) look: &'a Look,
    pub(super) left: i32,
    pub(super) right: i32,
    pub(super) y: i32,
}

impl Drawing<'_> {
    pub(super) fn widget(&mut self, view: &View, width: i32) {
        if let Some(band) = &view.band {
            self.rectangle(0, self.y, tenths(width), 30, self.ink.ink);
            let text = STRONG.shortened(band, tenths(width - 2 * SIDE));
            self.text(tenths(SIDE), self.y + 20, Anchor::Start, STRONG, self.ink.paper, &text);
            self.y += 30 + TOP;
        } else if !self.look.is_transparent() {
            self.y += TOP;
        }
        if let Some(tape) = &view.tape {
            self.tape(tape);
        }
        if let Some(chart) = &view.chart {
            self.chart(chart);
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

    pub(super) fn text(
        &mut self,
        x: i32,
        y: i32,
        anchor: Anchor,
        font: Type,
        colour: &'static str,
        text: &str,
    ) {
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
    pub(super) fn set(&mut self, font: Type, around: Type, colour: &str, around_colour: &str) {
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
    pub(super) fn spans(&mut self, x: i32, y: i32, spans: &[Span]) -> i32 {
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

    pub(super) fn rectangle(&mut self, x: i32, y: i32, width: i32, height: i32, colour: &str) {
        let (x, width) = (Tenths(x), Tenths(width));
        let _ = write!(self.out, r#"<path fill="{colour}" d="M{x} {y}h{width}v{height}h-{width}z"/>"#);
    }

    /// A line over the whole width; what follows is under it.
    pub(super) fn rule(&mut self, height: i32, colour: &'static str) {
        self.rectangle(self.left, self.y, self.right - self.left, height, colour);
        self.y += height;
    }

    /// Six by five and a half, its foot a little over the baseline.
    pub(super) fn arrow(&mut self, x: i32, baseline: i32, direction: Direction) {
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
    pub(super) fn icon(&mut self, x: i32, baseline: i32, icon: Icon) {
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

    pub(super) fn section(&mut self, section: &Section, first: bool) {
        self.opening(first);
        self.caption(&section.title, &section.unit);
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
    pub(super) fn opening(&mut self, first: bool) {
        let top = self.y;
        self.rule(if first { 2 } else { 1 }, self.ink.ink);
        if first {
            let accent = self.ink.accent.clone();
            self.rectangle(self.left, top, tenths(28), 4, &accent);
        }
    }

    pub(super) fn caption(&mut self, title: &str, unit: &str) {
        self.y += 8;
        let unit = format!("{unit} · {}", self.words.reference);
        let room = self.right - self.left;
        let wide = if self.look.title { TITLE.width(title) } else { 0 };
        if self.look.title {
            let title = TITLE.shortened(title, room);
            self.text(self.left, self.y + 16, Anchor::Start, TITLE, self.ink.ink, &title);
        }
        if !self.look.title {
            self.text(self.left, self.y + 16, Anchor::Start, QUIET, self.ink.muted, &unit);
        } else if wide + tenths(4) + QUIET.width(&unit) <= room {
            self.text(self.right, self.y + 16, Anchor::End, QUIET, self.ink.muted, &unit);
        } else {
            self.y += 20;
            self.text(self.left, self.y + 15, Anchor::Start, QUIET, self.ink.muted, &unit);
        }
        self.y += 22 + 2;
    }

    pub(super) fn heads(&mut self, section: &Section, grid: &Grid) {
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
                lines.extend(head.second.clone());
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

    pub(super) fn row(&mut self, row: &Row, section: &Section, grid: &Grid) {
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
    pub(super) fn label(&mut self, label: &Label, baseline: i32, room: i32) -> i32 {
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

    pub(super) fn figure(&mut self, cell: &FigureCell, section: &Section, right: i32, baseline: i32) {
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
    pub(super) fn mark(&mut self, shown: &Shown, right: i32, baseline: i32, colour: &'static str) {
        if let Some((mark, _)) = shown.borrowed {
            self.text(right - TENTHS, baseline - 4, Anchor::End, MARK, colour, &mark.to_string());
        }
    }

    /// Arrow, sign, figure.
    pub(super) fn change(&mut self, change: &Change, right: i32, baseline: i32) {
        let colour = self.ink.change(change.direction);
        self.text(right, baseline, Anchor::End, QUIET, colour, &change.text());
        self.arrow(right - change_width(change), baseline, change.direction);
    }

    // Feet.

    /// What the marks mean; in as many lines as it takes.
    pub(super) fn note(&mut self, note: &Note) {
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
    pub(super) fn foot_line(&mut self, x: i32, room: i32, line: &Line) {
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

    pub(super) fn tape(&mut self, tape: &TapeView) {
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
    pub(super) fn tape_lines(&self, tape: &TapeView) -> Vec<Vec<(Vec<Piece>, i32)>> {
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
    pub(super) fn pieces(&self, item: &TapeText) -> Vec<Piece> {
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

    pub(super) fn price(&mut self, x: i32, pieces: Vec<Piece>) {
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
pub(super) enum Piece {
    Text(Span),
    Arrow(Direction),
}

impl Piece {
    pub(super) fn width(&self) -> i32 {
        match self {
            Self::Text(span) => span.font.width(&span.text),
            Self::Arrow(Direction::Unchanged) => 0,
            Self::Arrow(Direction::Up | Direction::Down) => ARROW,
        }
    }
}

/// Tenths of a pixel as SVG writes pixels.
pub(super) struct Tenths(pub(super) i32);

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
pub(super) struct Escaped<'a>(pub(super) &'a str);

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
