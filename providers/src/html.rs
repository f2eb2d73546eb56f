//! HTML, as far as prices need it: tables found by their headings, and the kinds of page that come instead of an
//! answer. One pass over the tags, linear whatever the page holds: a tree builder is quadratic in nesting, in
//! formatting elements and in attributes, and a table's grid needs no tree.

use std::{iter, mem};

use html5gum::{
    Span, State, Tokenizer,
    emitters::callback::{CallbackEmitter, CallbackEvent},
};

use crate::{
    error::ParseError,
    json::{self, clip},
    text,
};

/// Deepest nesting of tables that is read.
const MAX_DEPTH: usize = 512;
/// Most cells of all tables of one page, spans counted out.
const MAX_CELLS: usize = 100_000;
/// Widest row, and the longest span.
const MAX_SPAN: usize = 64;
/// Longest text of a cell that can matter.
const MAX_CELL: usize = 400;

/// A table as a grid: spanned cells are repeated in every place that they cover.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Vec<String>>,
}

/// All complete tables, in the order in which they begin. The text of a table inside a cell is not the cell's.
pub(crate) fn tables(page: &str) -> Result<Vec<Table>, ParseError> {
    let mut done: Vec<(usize, Table)> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut begun = 0;
    let mut cells = 0;
    for token in tokens(page) {
        match token {
            Token::Start(Start { name, .. }) if name == "table" => {
                if open.len() == MAX_DEPTH {
                    return Err(ParseError::TooDeep(MAX_DEPTH));
                }
                open.push(Open { begun, ..Open::default() });
                begun += 1;
            }
            Token::End(name) if name == "table" => {
                if let Some(mut last) = open.pop() {
                    last.end_row(&mut cells);
                    done.push((last.begun, last.table));
                }
            }
            token => {
                if let Some(last) = open.last_mut() {
                    last.take(token, &mut cells);
                }
            }
        }
        if cells > MAX_CELLS {
            return Err(ParseError::Schema(format!("the page has more than {MAX_CELLS} table cells")));
        }
    }
    done.sort_by_key(|(begun, _)| *begun);
    Ok(done.into_iter().map(|(_, table)| table).collect())
}

#[derive(Debug, Default)]
struct Open {
    begun: usize,
    table: Table,
    row: Option<Vec<String>>,
    cell: Option<Cell>,
    /// Cells that reach into the rows below, by column: rows left and text.
    reaching: Vec<Option<(usize, String)>>,
}

#[derive(Debug)]
struct Cell {
    text: String,
    columns: usize,
    rows: usize,
}

impl Open {
    fn take(&mut self, token: Token, cells: &mut usize) {
        match token {
            Token::Text(text) => {
                if let Some(cell) = &mut self.cell {
                    push(&mut cell.text, &text, MAX_CELL);
                }
            }
            Token::Start(Start { name, columns, rows, .. }) => match name.as_str() {
                "td" | "th" => {
                    self.end_cell();
                    if self.row.is_none() {
                        self.begin_row();
                    }
                    self.cell = Some(Cell {
                        text: String::new(),
                        columns: columns.unwrap_or(1),
                        rows: rows.unwrap_or(1),
                    });
                }
                "tr" => {
                    self.end_row(cells);
                    self.begin_row();
                }
                "thead" | "tbody" | "tfoot" => self.end_group(cells),
                "br" | "p" | "div" | "li" => {
                    if let Some(cell) = &mut self.cell {
                        cell.text.push(' ');
                    }
                }
                _ => {}
            },
            Token::End(name) => match name.as_str() {
                "td" | "th" => self.end_cell(),
                "tr" => self.end_row(cells),
                "thead" | "tbody" | "tfoot" => self.end_group(cells),
                _ => {}
            },
        }
    }

    /// No cell reaches from one group of rows into the next.
    fn end_group(&mut self, cells: &mut usize) {
        self.end_row(cells);
        self.reaching.clear();
    }

    fn begin_row(&mut self) {
        self.row = Some(Vec::new());
    }

    fn end_cell(&mut self) {
        let Some(cell) = self.cell.take() else { return };
        let Some(row) = &mut self.row else { return };
        let text = text::name(&cell.text);
        fill_reached(row, &self.reaching);
        for _ in 0..cell.columns {
            let column = row.len();
            if column == MAX_SPAN {
                return;
            }
            if cell.rows > 1 {
                if self.reaching.len() <= column {
                    self.reaching.resize(column + 1, None);
                }
                if let Some(place) = self.reaching.get_mut(column) {
                    *place = Some((cell.rows, text.clone()));
                }
            }
            row.push(text.clone());
        }
    }

    fn end_row(&mut self, cells: &mut usize) {
        self.end_cell();
        let Some(mut row) = self.row.take() else { return };
        fill_reached(&mut row, &self.reaching);
        for place in &mut self.reaching {
            *place = place.take().map(|(left, text)| (left - 1, text)).filter(|(left, _)| *left > 0);
        }
        *cells += row.len();
        if !row.is_empty() {
            self.table.rows.push(row);
        }
    }
}

/// Puts the cells of rows above that reach into this one at their place.
fn fill_reached(row: &mut Vec<String>, reaching: &[Option<(usize, String)>]) {
    while let Some(Some((_, text))) = reaching.get(row.len()) {
        row.push(text.clone());
    }
}

/// Appends text until there is enough of it.
fn push(target: &mut String, text: &str, most: usize) {
    if target.len() < most {
        target.extend(text.chars().take(most));
    }
}

#[derive(Debug)]
enum Token {
    /// References are undone.
    Text(String),
    Start(Start),
    /// In lower case.
    End(String),
}

#[derive(Debug, Default)]
struct Start {
    /// In lower case.
    name: String,
    /// Where its `<` is.
    at: usize,
    columns: Option<usize>,
    rows: Option<usize>,
}

/// Tags and text; comments, declarations and what scripts and styles hold are left out.
fn tokens(page: &str) -> impl Iterator<Item = Token> {
    let owned = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut start = Start::default();
    let mut attribute = Vec::new();
    // The library's own tokens would keep every attribute and every error of a hostile page.
    let emitter = CallbackEmitter::new(move |event: CallbackEvent<'_>, span: Span<usize>| {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                start = Start { name: owned(name), at: span.start, ..Start::default() };
            }
            CallbackEvent::AttributeName { name } => name.clone_into(&mut attribute),
            CallbackEvent::AttributeValue { value } => match attribute.as_slice() {
                b"colspan" => start.columns = start.columns.or_else(|| spanned(value)),
                b"rowspan" => start.rows = start.rows.or_else(|| spanned(value)),
                _ => {}
            },
            CallbackEvent::CloseStartTag { .. } => return Some(Token::Start(mem::take(&mut start))),
            CallbackEvent::EndTag { name } => return Some(Token::End(owned(name))),
            CallbackEvent::String { value } => return Some(Token::Text(owned(value))),
            CallbackEvent::Comment { .. } | CallbackEvent::Doctype { .. } | CallbackEvent::Error(_) => {}
        }
        None
    });
    let mut tokenizer = Tokenizer::new_with_emitter(page, emitter);
    let mut hidden = false;
    iter::from_fn(move || {
        loop {
            let Ok(token) = tokenizer.next()?;
            match &token {
                // Not `naively_switch_states`: it takes the inside of `noscript` for text, where challenges and
                // tables can be, and has no `noframes`.
                Token::Start(start) => {
                    let state = match start.name.as_str() {
                        "title" | "textarea" => State::RcData,
                        "script" => State::ScriptData,
                        "style" | "iframe" | "noembed" | "noframes" | "xmp" => State::RawText,
                        _ => State::Data,
                    };
                    hidden = matches!(state, State::ScriptData | State::RawText);
                    tokenizer.set_state(state);
                }
                Token::End(_) => hidden = false,
                Token::Text(_) if hidden => continue,
                Token::Text(_) => {}
            }
            return Some(token);
        }
    })
}

/// `colspan`, `rowspan`: nothing unless it is a number, at most [`MAX_SPAN`].
fn spanned(value: &[u8]) -> Option<usize> {
    let number: usize = str::from_utf8(value).ok()?.trim().parse().ok()?;
    Some(number.clamp(1, MAX_SPAN))
}

/// What came instead of the expected kind of document.
pub(crate) fn unexpected(text: &str, expected: &'static str) -> ParseError {
    let start = text.trim_start();
    let found = match start.as_bytes().first() {
        Some(b'<') => return unexpected_page(text, expected),
        Some(b'{' | b'[') => match serde_json::from_str(start.trim_end()) {
            Ok(raw) => format!("JSON: {}", json::describe(raw)),
            Err(error) => format!("JSON that does not end or is damaged ({error})"),
        },
        _ => format!("text that begins \"{}\"", text::name(&clip(start, 60))),
    };
    ParseError::NotExpectedContent { expected, found }
}

/// The same, for what begins like a page: a firewall's page, a "not found" page, another page, another XML.
pub(crate) fn unexpected_page(page: &str, expected: &'static str) -> ParseError {
    let view = View::new(page);
    if let Some(wall) = view.wall() {
        return ParseError::Blocked(wall);
    }
    if view.not_found() {
        return ParseError::SoftNotFound(view.titled());
    }
    ParseError::NotExpectedContent { expected, found: view.titled() }
}

/// A page as its reader sees it: title, headings, text.
struct View<'a> {
    page: &'a str,
    root: String,
    title: String,
    headings: String,
    /// Lower case, the first few kilobytes.
    text: String,
    /// Cells that hold figures can be a page of another form; a "not found" page has none.
    has_tables: bool,
}

impl<'a> View<'a> {
    /// Enough for every known challenge page and for the top of any other.
    const MOST: usize = 16 << 10;

    fn new(page: &'a str) -> Self {
        let mut view = View {
            page,
            root: String::new(),
            title: String::new(),
            headings: String::new(),
            text: String::new(),
            has_tables: false,
        };
        let mut within = String::new();
        for token in tokens(page) {
            match token {
                Token::Start(Start { name, at, .. }) => {
                    if view.root.is_empty() {
                        // As it is written: XML tells upper from lower case.
                        view.root = clip(page.get(at + 1..at + 1 + name.len()).unwrap_or(&name), 40);
                    }
                    view.has_tables |= matches!(name.as_str(), "td" | "th");
                    if matches!(name.as_str(), "title" | "h1" | "h2") {
                        within = name;
                    }
                    view.text.push(' ');
                }
                Token::End(name) => {
                    if name == within {
                        within.clear();
                    }
                }
                Token::Text(text) => {
                    if within == "title" {
                        if view.title.is_empty() {
                            push(&mut view.title, &text, 200);
                        }
                        continue;
                    }
                    if !within.is_empty() {
                        push(&mut view.headings, &text, 1000);
                        view.headings.push(' ');
                    }
                    push(&mut view.text, &text, Self::MOST);
                }
            }
            if view.text.len() >= Self::MOST {
                break;
            }
        }
        view.title = text::name(&clip(&view.title, 120));
        view.headings = text::label(&view.headings);
        view.text = text::label(&view.text);
        view
    }

    /// `an HTML page titled "502 Bad Gateway"`
    fn titled(&self) -> String {
        let page = self.page.trim_start();
        let html = page.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("<!doctype"))
            || matches!(
                self.root.to_ascii_lowercase().as_str(),
                "html"
                    | "head"
                    | "body"
                    | "title"
                    | "meta"
                    | "script"
                    | "div"
                    | "section"
                    | "center"
                    | "table"
                    | "p"
                    | "h1"
                    | "h2"
            );
        if !html {
            return if self.root.is_empty() {
                "markup without any element".to_owned()
            } else {
                format!("XML with the root \"{}\"", text::name(&self.root))
            };
        }
        let shell = if self.page.contains("{{") && self.page.contains("}}") {
            ", a shell with placeholders instead of figures"
        } else {
            ""
        };
        if self.title.is_empty() {
            let start = clip(&self.text, 60);
            if start.is_empty() {
                format!("an HTML page without a title or text{shell}")
            } else {
                format!("an HTML page without a title that begins \"{start}\"{shell}")
            }
        } else {
            format!("an HTML page titled \"{}\"{shell}", self.title)
        }
    }

    /// Which firewall or challenge it is.
    fn wall(&self) -> Option<String> {
        let title = self.title.to_lowercase();
        let by_title = [
            ("request rejected", "F5"),
            ("just a moment", "Cloudflare"),
            ("attention required! | cloudflare", "Cloudflare"),
            ("access denied", "Akamai or the like"),
            ("captcha", "a captcha"),
            ("are you a robot", "a captcha"),
            ("are you human", "a captcha"),
            ("ddos-guard", "DDoS-Guard"),
            ("sucuri website firewall", "Sucuri"),
            ("pardon our interruption", "Imperva"),
        ];
        let by_text = [
            ("the requested url was rejected", "F5"),
            ("incapsula incident", "Incapsula"),
            ("verify you are human", "a captcha"),
            ("verifying you are human", "Cloudflare"),
            ("checking your browser before", "a browser check"),
            ("nhập mã captcha", "a captcha"),
            ("enable javascript and cookies to continue", "Cloudflare"),
        ];
        let by_source = [
            ("_Incapsula_Resource", "Incapsula"),
            ("challenges.cloudflare.com", "Cloudflare"),
            ("/cdn-cgi/challenge-platform", "Cloudflare"),
            ("cf-mitigated", "Cloudflare"),
            ("_cf_chl_opt", "Cloudflare"),
            ("captcha-delivery.com", "DataDome"),
            ("awswaf", "AWS WAF"),
            ("AwsWafIntegration", "AWS WAF"),
            ("class=\"g-recaptcha", "a captcha"),
            ("class=\"h-captcha", "a captcha"),
            ("loopback script", "a script that reloads the page"),
            ("_afrLoop", "a script that reloads the page"),
        ];
        let found = |text: &str, marks: &[(&str, &'static str)]| {
            marks.iter().find(|(mark, _)| text.contains(mark)).map(|(_, wall)| *wall)
        };
        let wall = found(&title, &by_title).or_else(|| found(&self.text, &by_text)).or_else(|| {
            // A real page may load a captcha for its forms: only short texts are challenges.
            (self.text.len() < 1500).then(|| found(self.page, &by_source)).flatten()
        });
        let wall = wall.or_else(|| {
            let reloads = ["location.reload", "location.replace", "location.href", "window.location"];
            (self.text.len() < 300
                && self.page.contains("document.cookie")
                && reloads.iter().any(|mark| self.page.contains(mark)))
            .then_some("a script that sets a cookie and reloads the page")
        })?;
        Some(if self.title.is_empty() {
            format!("an HTML page of {wall}")
        } else {
            format!("an HTML page of {wall}, titled \"{}\"", self.title)
        })
    }

    /// Whether it says that what was asked for does not exist.
    fn not_found(&self) -> bool {
        const MARKS: &[&str] =
            &["404", "not found", "không tìm thấy", "không tồn tại", "doesn't exist", "does not exist"];
        let says = |text: &str, marks: &[&str]| marks.iter().any(|mark| text.contains(mark));
        let title = text::label(&self.title);
        says(&title, MARKS)
            || says(&self.headings, MARKS)
            || (!self.has_tables
                && (self.text.split(' ').take(400).any(|word| word == "404")
                    || says(
                        &self.text,
                        &[
                            "không tìm thấy trang",
                            "trang không tồn tại",
                            "trang bạn tìm",
                            "page not found",
                            "không tồn tại",
                        ],
                    )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(page: &str) -> Vec<Vec<Vec<String>>> {
        tables(page).unwrap().into_iter().map(|table| table.rows).collect()
    }

    #[test]
    fn tables_are_read_whatever_is_around_them() {
        let page = "<!-- <table><tr><td>no</td></tr></table> --><script>var t = '<table><tr><td>no';</script>\
            <style>td > a { }</style><TABLE class='x > y' data-a=\"<td>\"><TR><TH scope=col>K&#7923;&nbsp;h&#x1EA1;n\
            <TD>  a<br>b &amp; &unknown; <b>4</b>.75</TABLE>";
        assert_eq!(grid(page), [[["Kỳ hạn", "a b & &unknown; 4.75"]]]);
    }

    #[test]
    fn what_scripts_and_styles_hold_is_no_text_and_what_noscript_holds_is_markup() {
        let page = "<table><td>a<script>1</b></script>b<STYLE>2</STYLE >c<iframe>3</iframe>d<noscript><b>e</b>\
            <textarea>f<td></textarea></noscript><td colspan=x rowspan=0>&aacute;&euro;&#x20ab;</table><script>4";
        assert_eq!(grid(page), [[["abcdef<td>", "á€₫"]]]);
        let view =
            View::new("<title>a</title><script><!--<script>1</script></script>b<noscript><i>c</i><style>d");
        assert_eq!((view.title.as_str(), view.text.as_str()), ("a", "b c"));
    }

    #[test]
    fn rows_and_cells_need_no_end_tags_and_groups_none_of_their_own() {
        let page = "<table><thead><tr><th>a<th>b<tbody><tr><td>1<td>2<tr><td>3<td>4</table>";
        assert_eq!(grid(page), [[["a", "b"], ["1", "2"], ["3", "4"]]]);
        assert_eq!(grid("<table><td>1<td>2</table>"), [[["1", "2"]]]);
    }

    #[test]
    fn spanned_cells_stand_in_every_place_that_they_cover() {
        let page = "<table><tr><td rowspan=2>a<td colspan='2'>b<tr><td>c<td>d<tr><td>e<td>f<td>g</table>";
        assert_eq!(grid(page), [[["a", "b", "b"], ["a", "c", "d"], ["e", "f", "g"]]]);
        let reaching = "<table><thead><tr><td rowspan=9>a<td>b</thead><tbody><tr><td>c<td>d</table>";
        assert_eq!(grid(reaching), [[["a", "b"], ["c", "d"]]]);
        assert_eq!(
            grid("<table><tr><td colspan=99999>a</table>").first().unwrap().first().unwrap().len(),
            MAX_SPAN
        );
    }

    #[test]
    fn a_table_inside_a_cell_is_a_table_of_its_own() {
        let page = "<table><tr><td>a<table><tr><td>inner</table>b<td>c</table>";
        assert_eq!(grid(page), [vec![vec!["ab", "c"]], vec![vec!["inner"]]]);
    }

    #[test]
    fn a_table_that_does_not_end_is_none() {
        assert!(grid("<table><tr><td>a").is_empty());
        assert!(grid("<table><tr><td>a</td></tr></tabl").is_empty());
    }

    #[test]
    fn f17_tables_nested_too_deeply_are_refused() {
        assert_eq!(
            tables(&"<table><tr><td>".repeat(513)).map(|tables| tables.len()),
            Err(ParseError::TooDeep(512))
        );
        assert_eq!(grid(&"<table><tr><td></table>".repeat(600)).len(), 600);
    }

    #[test]
    fn pages_are_told_by_their_title_and_other_markup_by_its_root() {
        let found = |page: &str| unexpected(page, "JSON").to_string();
        assert_eq!(
            found("<html><title> 502\n Bad &amp; Gateway</title>"),
            "expected JSON, found an HTML page titled \"502 Bad & Gateway\""
        );
        assert_eq!(
            found("<?xml version='1.0'?><Error/>"),
            "expected JSON, found XML with the root \"Error\""
        );
        assert_eq!(found("<!-- Giá\r\n\r\n -->\r\n<GoldList\r\n/>"), found("<GoldList>"));
        assert_eq!(
            found("<!DOCTYPE html><div id=root></div>"),
            "expected JSON, found an HTML page without a title or text"
        );
        assert_eq!(found("error code: 1015"), "expected JSON, found text that begins \"error code: 1015\"");
        assert_eq!(found("{\"a\":1}"), "expected JSON, found JSON: an object with the keys a");
    }
}
