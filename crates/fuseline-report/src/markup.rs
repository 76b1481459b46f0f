//! Elements of HTML and SVG, escaped by construction.
//!
//! The output is well-formed XML that an HTML parser reads the same way, so tests can parse
//! whole pages.

use fuseline_artifact::is_unseen;

/// Elements that HTML never closes.
const VOID: [&str; 5] = ["br", "input", "link", "meta", "wbr"];
/// Elements after which a line may end without adding a visible space.
const BLOCK: [&str; 22] = [
    "body", "details", "div", "dl", "figure", "g", "h1", "h2", "h3", "head", "header", "li",
    "main", "meta", "nav", "ol", "p", "section", "svg", "table", "tr", "ul",
];

/// One element with its attributes and content.
#[derive(Debug, Clone)]
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    content: Vec<Content>,
}

#[derive(Debug, Clone)]
enum Content {
    Element(Element),
    Text(String),
    /// Style sheets and scripts of this crate: static, so no user's text can get here.
    Raw(&'static str),
}

/// Starts an element.
pub fn element(name: &'static str) -> Element {
    Element { name, attributes: Vec::new(), content: Vec::new() }
}

impl Element {
    /// Sets an attribute.
    pub fn attr(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Sets the class.
    pub fn class(self, class: impl Into<String>) -> Self {
        self.attr("class", class)
    }

    /// Sets an attribute to a number with at most two decimals.
    pub fn num(self, name: &'static str, value: f64) -> Self {
        self.attr(name, number(value))
    }

    /// Appends text.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.content.push(Content::Text(text.into()));
        self
    }

    /// Appends a name, which may take another line behind each of its underscores.
    pub fn name_text(mut self, name: &str) -> Self {
        let mut parts = name.split_inclusive('_').peekable();
        while let Some(part) = parts.next() {
            self = self.text(part);
            if parts.peek().is_some() {
                self = self.child(element("wbr"));
            }
        }
        self
    }

    /// Appends a style sheet or script.
    pub fn raw(mut self, text: &'static str) -> Self {
        self.content.push(Content::Raw(text));
        self
    }

    /// Appends an element.
    pub fn child(mut self, child: Element) -> Self {
        self.content.push(Content::Element(child));
        self
    }

    /// Appends elements.
    pub fn children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.content.extend(children.into_iter().map(Content::Element));
        self
    }

    /// Removes an attribute.
    pub fn remove(&mut self, name: &str) {
        self.attributes.retain(|(known, _)| *known != name);
    }

    /// Gives it another name.
    pub fn rename(&mut self, name: &'static str) {
        self.name = name;
    }

    /// Changes the element and all that are in it, the innermost first.
    #[must_use]
    pub fn map(mut self, change: &dyn Fn(Self) -> Self) -> Self {
        let content = std::mem::take(&mut self.content).into_iter().map(|content| match content {
            Content::Element(element) => Content::Element(element.map(change)),
            other => other,
        });
        self.content = content.collect();
        change(self)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The elements directly in it.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.content.iter().filter_map(|content| match content {
            Content::Element(element) => Some(element),
            Content::Text(_) | Content::Raw(_) => None,
        })
    }

    /// The text directly in it.
    pub fn own_text(&self) -> String {
        let text = self.content.iter().filter_map(|content| match content {
            Content::Text(text) => Some(text.as_str()),
            Content::Element(_) | Content::Raw(_) => None,
        });
        text.collect()
    }

    /// Writes the element.
    pub fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(self.name);
        for (name, value) in &self.attributes {
            out.push(' ');
            out.push_str(name);
            out.push_str("=\"");
            escape(value, out);
            out.push('"');
        }
        if VOID.contains(&self.name) {
            out.push_str("/>");
        } else {
            out.push('>');
            for content in &self.content {
                match content {
                    Content::Element(element) => element.write(out),
                    Content::Text(text) => escape(text, out),
                    Content::Raw(text) => out.push_str(text),
                }
            }
            out.push_str("</");
            out.push_str(self.name);
            out.push('>');
        }
        if BLOCK.contains(&self.name) {
            out.push('\n');
        }
    }
}

/// Writes text so that neither HTML nor XML sees markup in it; characters that XML forbids are
/// replaced, as are those that would turn the direction of what follows.
fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' => out.push(character),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            unseen if is_unseen(unseen) => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
}

/// A coordinate with at most two decimals; what is not finite becomes 0, so that a drawing never
/// breaks.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_cannot_become_markup() {
        let mut out = String::new();
        element("p").attr("title", "\"><script>").text("<b>&'\u{0}\u{85}\u{202e}").write(&mut out);
        assert_eq!(
            out,
            "<p title=\"&quot;&gt;&lt;script&gt;\">&lt;b&gt;&amp;&#39;\u{fffd}\u{fffd}\u{fffd}</p>\n"
        );
    }

    #[test]
    fn coordinates_are_short_and_never_break_a_drawing() {
        let written = [1.0, 1.005, -0.001, 12.5, f64::NAN, f64::INFINITY].map(number);
        assert_eq!(written, ["1", "1", "0", "12.5", "0", "0"]);
    }
}
