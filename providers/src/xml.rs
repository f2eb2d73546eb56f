//! XML whose figures are all in attributes: rows with their list, and the text of a few elements. Entities of a
//! document's own are never expanded, document types are passed over, and a document must end.

use std::collections::HashMap;

use quick_xml::{Reader, events::Event};

use crate::{error::ParseError, html, json::clip, text};

/// Deepest nesting; real documents have three levels.
const MAX_DEPTH: usize = 64;

/// `<Row Name='…' Sell='…' />` inside a list.
#[derive(Debug)]
pub(crate) struct Element {
    /// Element name.
    pub(crate) name: String,
    /// Name of the element around it.
    pub(crate) parent: String,
    attributes: HashMap<String, String>,
    /// Text directly inside.
    pub(crate) text: String,
}

impl Element {
    /// An attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }
}

/// All elements below the root, which must be the one named.
pub(crate) fn elements(
    document: &str,
    root: &'static str,
    expected: &'static str,
) -> Result<Vec<Element>, ParseError> {
    if !document.trim_start().starts_with('<') {
        return Err(html::unexpected(document, expected));
    }
    let mut reader = Reader::from_str(document);
    let mut open: Vec<usize> = Vec::new();
    let mut elements: Vec<Element> = Vec::new();
    let mut ended = false;
    loop {
        let event = match reader.read_event() {
            Ok(event) => event,
            // Until the root is known it may be a page.
            Err(_) if elements.is_empty() => return Err(html::unexpected_page(document, expected)),
            Err(error) => return Err(ParseError::Schema(format!("XML that is damaged ({})", told(&error)))),
        };
        match event {
            Event::Start(ref tag) | Event::Empty(ref tag) => {
                let name = tag.name();
                let name: &str = name.as_ref();
                if elements.is_empty() && name != root {
                    return Err(html::unexpected_page(document, expected));
                }
                if ended || open.len() == MAX_DEPTH {
                    return Err(if ended {
                        ParseError::Schema(format!("a second root \"{}\"", text::name(&clip(name, 40))))
                    } else {
                        ParseError::TooDeep(MAX_DEPTH)
                    });
                }
                let parent = open.last().and_then(|at| elements.get(*at)).map(|parent| parent.name.clone());
                let mut attributes = HashMap::new();
                // Our own check: that of the reader is quadratic in the number of attributes.
                for attribute in tag.attributes().with_checks(false) {
                    let attribute = attribute.map_err(|error| {
                        ParseError::Schema(format!("XML with a damaged attribute ({})", told(&error)))
                    })?;
                    let key: &str = attribute.key.as_ref();
                    // A source that does not escape may write `&` for itself; an unknown entity stays as it is.
                    let value = attribute.value.as_ref();
                    let value = quick_xml::escape::unescape(value)
                        .map_or_else(|_| value.to_owned(), std::borrow::Cow::into_owned);
                    if attributes.insert(key.to_owned(), value).is_some() {
                        return Err(ParseError::Schema(format!(
                            "XML in which an element has the attribute \"{}\" twice",
                            text::name(&clip(key, 40))
                        )));
                    }
                }
                let element = Element {
                    name: name.to_owned(),
                    parent: parent.unwrap_or_default(),
                    attributes,
                    text: String::new(),
                };
                elements.push(element);
                if matches!(event, Event::Start(_)) {
                    open.push(elements.len() - 1);
                } else if open.is_empty() {
                    ended = true;
                }
            }
            Event::End(_) => {
                open.pop();
                ended |= open.is_empty();
            }
            Event::Text(text) => {
                if let Some(element) = open.last().and_then(|at| elements.get_mut(*at)) {
                    element.text.push_str(text.as_ref());
                }
            }
            Event::CData(text) => {
                if let Some(element) = open.last().and_then(|at| elements.get_mut(*at)) {
                    element.text.push_str(text.as_ref());
                }
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::GeneralRef(_) => {}
        }
    }
    if elements.is_empty() {
        return Err(html::unexpected_page(document, expected));
    }
    if !ended {
        return Err(ParseError::Schema(format!("XML that does not end: no </{root}>")));
    }
    Ok(elements)
}

/// The reader's objection, which repeats what the document says.
fn told(error: &impl ToString) -> String {
    text::name(&clip(&error.to_string(), 200))
}

/// Attributes that a board cannot do without: each must occur in at least one row.
pub(crate) fn require_attributes(rows: &[&Element], names: &[&str]) -> Result<(), ParseError> {
    for name in names {
        if !rows.iter().any(|row| row.attribute(name).is_some()) {
            return Err(ParseError::Schema(format!("no row has the attribute \"{name}\"")));
        }
    }
    Ok(())
}
