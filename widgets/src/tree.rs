//! The markup of a fragment as a JSON tree, for a script that may make nodes but not parse HTML.

use html5gum::{Token, Tokenizer};
use serde_json::{Map, Value};

/// Elements that have no end tag and no children.
const VOID: &[&[u8]] = &[b"br", b"wbr", b"input", b"img"];

/// `["div", {"class": "bgia"}, child, …]`, a text as a string. Markup of our own templates: one root, all elements
/// closed.
pub(crate) fn of(html: &str) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut open: Vec<Vec<Value>> = vec![Vec::new()];
    let close = |open: &mut Vec<Vec<Value>>| {
        if open.len() > 1
            && let Some(element) = open.pop()
            && let Some(parent) = open.last_mut()
        {
            parent.push(Value::Array(element));
        }
    };
    for Ok(token) in Tokenizer::new(html) {
        match token {
            Token::StartTag(tag) => {
                let attributes: Map<String, Value> =
                    tag.attributes.iter().map(|(name, value)| (text(name), text(value).into())).collect();
                // Names of SVG attributes have capitals, which a tokenizer of HTML takes away.
                let cased = |name: String| match name.as_str() {
                    "viewbox" => "viewBox".to_owned(),
                    "preserveaspectratio" => "preserveAspectRatio".to_owned(),
                    _ => name,
                };
                let attributes = attributes.into_iter().map(|(name, value)| (cased(name), value));
                open.push(vec![text(&tag.name).into(), Value::Object(attributes.collect())]);
                if tag.self_closing || VOID.contains(&&**tag.name) {
                    close(&mut open);
                }
            }
            Token::EndTag(_) => close(&mut open),
            Token::String(string) => {
                let string = text(&string);
                // Line ends between tags are the template's own.
                let blank = string.contains('\n') && string.trim().is_empty();
                if let Some(parent) = open.last_mut().filter(|_| !blank) {
                    parent.push(string.into());
                }
            }
            _ => {}
        }
    }
    while open.len() > 1 {
        close(&mut open);
    }
    open.pop().and_then(|mut roots| roots.pop()).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_a_tree_and_loses_nothing_but_line_ends_between_tags() {
        assert_eq!(
            of("<div class=\"a &amp; b\" hidden>\n<p>x &lt; y<br>z</p>\n<svg viewBox=\"0 0 1 1\"><path d=\"M0 0\"/></svg> <b>t</b></div>").to_string(),
            r#"["div",{"class":"a & b","hidden":""},["p",{},"x < y",["br",{}],"z"],["svg",{"viewBox":"0 0 1 1"},["path",{"d":"M0 0"}]]," ",["b",{},"t"]]"#
        );
        assert_eq!(of(""), Value::Null);
    }
}
