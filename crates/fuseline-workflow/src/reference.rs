//! References to outputs: `stage`, `stage.port`, `stage.port[axis=point|point, axis=point]`.

use std::ops::Range;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expression::{Mistake, has_expression};
use crate::files::{Files, Place};
use crate::names;
use crate::yaml::{Node, content_place};

/// A reference as written.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub stage: String,
    pub stage_place: Place,
    pub port: Option<(String, Place)>,
    pub selections: Vec<Selection>,
    pub place: Place,
}

/// Points of one axis.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub axis: String,
    pub axis_place: Place,
    pub labels: Vec<(String, Place)>,
}

impl Reference {
    /// The output as written, without selections.
    pub fn output(&self) -> String {
        match &self.port {
            Some((port, _)) => format!("{}.{port}", self.stage),
            None => self.stage.clone(),
        }
    }
}

/// Reads a reference; reports its mistakes.
pub(crate) fn read(node: &Node, files: &Files, found: &mut Vec<Diagnostic>) -> Option<Reference> {
    let text = node.text("a reference", found)?;
    if has_expression(text) {
        let message = "an expression has no meaning in a reference";
        found.push(Diagnostic::error(codes::EXPRESSION_PLACE, &node.place, message).hint(
            "pick points with `[axis=point]`; axes join by their names otherwise".to_owned(),
        ));
        return None;
    }
    match (Reader { text, at: 0, node, files }).reference() {
        Ok(reference) => Some(reference),
        Err(mistake) => {
            found.push(mistake.diagnostic(node, files));
            None
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    node: &'a Node,
    files: &'a Files,
}

impl Reader<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        content_place(self.node, span, self.files)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, symbol: char) -> bool {
        let taken = self.rest().starts_with(symbol);
        self.at += if taken { symbol.len_utf8() } else { 0 };
        taken
    }

    /// As [`Reader::unexpected`], where another symbol was likely meant.
    fn instead(&self, wanted: &str, written: &str, meant: &str) -> Mistake {
        let mut mistake = self.unexpected(wanted);
        if !self.rest().starts_with(written) {
            return mistake;
        }
        mistake.span.end = self.at + written.len();
        mistake.message = format!("expected {wanted}, found `{written}`");
        mistake.hint(format!("write `{meant}`")).meant(written, meant.to_owned())
    }

    fn unexpected(&self, wanted: &str) -> Mistake {
        let next = self.rest().chars().next();
        let found = next.map_or("the end".to_owned(), |next| format!("`{}`", next.escape_debug()));
        let span = self.at..self.at + next.map_or(0, char::len_utf8);
        Mistake::new(codes::REFERENCE_SYNTAX, &span, format!("expected {wanted}, found {found}"))
            .hint("a reference reads `stage`, `stage.port` or `stage.port[axis=point]`".to_owned())
    }

    fn name(&mut self, what: &str) -> Result<(String, Range<usize>), Mistake> {
        let end = self
            .rest()
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .unwrap_or(self.rest().len());
        let name = &self.rest()[..end];
        if !names::is_name(name) {
            return Err(self.unexpected(what));
        }
        let found = (name.to_owned(), self.at..self.at + end);
        self.at += end;
        Ok(found)
    }

    fn reference(mut self) -> Result<Reference, Mistake> {
        self.spaces();
        let (stage, span) = self.name("the name of a stage")?;
        let stage_place = self.place(span);
        let port = match self.take('.') {
            true => {
                let (port, span) = self.name("the name of an output")?;
                Some((port, self.place(span)))
            }
            false => None,
        };
        self.spaces();
        let mut selections: Vec<Selection> = Vec::new();
        if self.take('[') {
            loop {
                let selection = self.selection()?;
                if selections.iter().any(|other| other.axis == selection.axis) {
                    return Err(Mistake::new(
                        codes::REFERENCE_SYNTAX,
                        &(self.at..self.at),
                        format!("the axis `{}` is selected twice", selection.axis),
                    )
                    .hint("several points of one axis are written `[axis=a|b]`".to_owned()));
                }
                selections.push(selection);
                if self.take(']') {
                    break;
                }
                if !self.take(',') {
                    return Err(self.unexpected("`|`, `,` or `]`"));
                }
            }
        }
        self.spaces();
        if self.at < self.text.len() {
            return Err(self.instead("the end of the reference", ":", "."));
        }
        let place = self.node.place.clone();
        Ok(Reference { stage, stage_place, port, selections, place })
    }

    fn selection(&mut self) -> Result<Selection, Mistake> {
        self.spaces();
        let (axis, span) = self.name("the name of an axis")?;
        let axis_place = self.place(span);
        self.spaces();
        if self.rest().starts_with("==") {
            return Err(self.instead("one `=`", "==", "="));
        }
        if !self.take('=') {
            return Err(self.instead("`=`", ":", "="));
        }
        let mut labels = Vec::new();
        loop {
            labels.push(self.label()?);
            if !self.take('|') {
                return Ok(Selection { axis, axis_place, labels });
            }
        }
    }

    /// A label, in quotes when it has brackets, commas or bars.
    fn label(&mut self) -> Result<(String, Place), Mistake> {
        self.spaces();
        let start = self.at;
        let quote = self.rest().chars().next().filter(|c| matches!(c, '"' | '\''));
        let (label, span) = match quote {
            Some(quote) => {
                let body = &self.rest()[1..];
                let end = body.find(quote).ok_or_else(|| self.unexpected("a closed quotation"))?;
                let label = body[..end].to_owned();
                self.at += end + 2;
                (label, start..self.at)
            }
            None => {
                let rest = self.rest();
                let end = rest.find(['|', ',', ']', '[', '=']).unwrap_or(rest.len());
                let label = rest[..end].trim_end().to_owned();
                let span = start..start + label.len();
                self.at += end;
                (label, span)
            }
        };
        if label.is_empty() {
            self.at = start;
            return Err(self.unexpected("the label of a point"));
        }
        self.spaces();
        Ok((label, self.place(span)))
    }
}
