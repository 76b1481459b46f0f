//! The styles of `assets/figure.css`, worked out for one element, for drawing where there is no
//! CSS.
//!
//! Supports only the CSS that this file uses: selectors of one class or one element below
//! `.figure`.

use std::sync::LazyLock;

use crate::markup::Element;
use crate::palette;

/// Red, green and blue, from 0 to 1.
pub type Colour = [f32; 3];

/// Fill or stroke of a shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Paint {
    /// Nothing.
    None,
    /// The current colour of the element.
    Current,
    /// A colour.
    Colour(Colour),
}

/// Style of one element.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    colour: Colour,
    fill: Paint,
    stroke: Paint,
    /// Width of a stroke in pixels.
    pub stroke_width: f32,
    /// Lengths of dashes and spaces; empty: a whole line.
    pub dashes: Vec<f32>,
    /// From 0 to 1, multiplied by that of the enclosing elements.
    pub opacity: f32,
    /// Size of letters in pixels.
    pub font_size: f32,
    /// True if letters are bold.
    pub bold: bool,
    /// True if the stroke of letters lies below them.
    pub halo: bool,
    /// Share of a text's width that is left of its position.
    pub anchor: f32,
}

/// Style before the first rule applies.
impl Default for Style {
    fn default() -> Self {
        Self {
            colour: [0.0; 3],
            fill: Paint::Colour([0.0; 3]),
            stroke: Paint::None,
            stroke_width: 1.0,
            dashes: Vec::new(),
            opacity: 1.0,
            font_size: 12.0,
            bold: false,
            halo: false,
            anchor: 0.0,
        }
    }
}

impl Style {
    /// The style of an element inside another of this style.
    pub fn within(&self, element: &Element) -> Self {
        let mut style = self.clone();
        style.halo = false;
        for name in ["text-anchor", "opacity"] {
            if let Some(value) = element.get(name) {
                style.set(name, value);
            }
        }
        let classes = element.get("class").unwrap_or_default();
        // A class counts for more than an element, whichever is said later.
        for by_class in [false, true] {
            for rule in RULES.iter().filter(|rule| rule.by_class == by_class) {
                let applies = if by_class {
                    classes.split(' ').any(|class| class == rule.name)
                } else {
                    element.name() == rule.name
                };
                if applies {
                    for (name, value) in &rule.declarations {
                        style.set(name, value);
                    }
                }
            }
        }
        style
    }

    /// Fill colour of the element.
    pub fn fill(&self) -> Option<Colour> {
        self.resolved(self.fill)
    }

    /// Stroke colour of the element.
    pub fn stroke(&self) -> Option<Colour> {
        self.resolved(self.stroke)
    }

    fn resolved(&self, paint: Paint) -> Option<Colour> {
        match paint {
            Paint::None => None,
            Paint::Current => Some(self.colour),
            Paint::Colour(colour) => Some(colour),
        }
    }

    /// Applies one declaration; says whether it is understood.
    fn set(&mut self, property: &str, value: &str) -> bool {
        match property {
            "color" => self.colour = colour(value),
            "fill" => self.fill = paint(value),
            "stroke" => self.stroke = paint(value),
            "stroke-width" => self.stroke_width = length(value),
            "stroke-dasharray" => self.dashes = value.split(' ').map(length).collect(),
            // All opacities are of shapes without children that have one.
            "opacity" => self.opacity *= length(value),
            "font" | "font-size" => {
                self.font_size = length(value.split(' ').next().unwrap_or_default());
            }
            "font-weight" => self.bold = value == "600",
            "paint-order" => self.halo = value == "stroke",
            "text-anchor" => {
                self.anchor = match value {
                    "middle" => 0.5,
                    "end" => 1.0,
                    _ => 0.0,
                }
            }
            // Joins of halos are always round here, and the digits of the font equally wide.
            "stroke-linejoin" | "font-variant-numeric" => {}
            _ => return false,
        }
        true
    }
}

struct Rule {
    by_class: bool,
    name: &'static str,
    declarations: Vec<(&'static str, &'static str)>,
}

/// The rules in light colours.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let text: &'static str = Box::leak(palette::light_figure_style().into_boxed_str());
    let mut rules = Vec::new();
    for (selectors, body) in text.lines().filter_map(|line| line.split_once('{')) {
        let declarations: Vec<_> =
            body.trim_end_matches('}').split(';').filter_map(|text| text.split_once(':')).collect();
        for selector in selectors.split(',') {
            let last = selector.rsplit(' ').next().unwrap_or_default();
            let name = last.strip_prefix('.');
            rules.push(Rule {
                by_class: name.is_some(),
                name: name.unwrap_or(last),
                declarations: declarations.clone(),
            });
        }
    }
    rules
});

fn length(text: &str) -> f32 {
    text.trim_end_matches("px").parse().unwrap_or(0.0)
}

fn paint(text: &str) -> Paint {
    match text {
        "none" => Paint::None,
        "currentColor" => Paint::Current,
        other => Paint::Colour(colour(other)),
    }
}

fn colour(text: &str) -> Colour {
    let channel = |start: usize| {
        let digits = text.get(start..start + 2).unwrap_or_default();
        f32::from(u8::from_str_radix(digits, 16).unwrap_or(0)) / 255.0
    };
    [channel(1), channel(3), channel(5)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markup::element;

    #[test]
    fn every_declaration_of_the_style_sheet_is_understood() {
        let lines = palette::light_figure_style().lines().filter(|line| line.contains('{')).count();
        assert!(RULES.len() >= lines && lines > 30);
        for rule in RULES.iter() {
            assert!(!rule.name.contains([':', '>', '[', '.']), "{}", rule.name);
            for (name, value) in &rule.declarations {
                assert!(Style::default().set(name, value), "{name}: {value}");
                let of_colour = matches!(*name, "color" | "fill" | "stroke");
                let known = value.starts_with('#') || ["none", "currentColor"].contains(value);
                assert!(!of_colour || known, "{name}: {value}");
            }
        }
    }

    #[test]
    fn classes_outdo_elements_and_the_current_colour_is_inherited() {
        let group = Style::default().within(&element("g").class("mark yes"));
        let inner = group.within(&element("circle"));
        assert_eq!(inner.fill(), Some(colour("#0a5f94")));
        assert_eq!(inner.stroke_width, 1.5);
        let hollow = Style::default().within(&element("g").class("mark hollow yes"));
        assert_eq!(hollow.within(&element("circle")).fill(), Some([1.0; 3]));
        let line = Style::default().within(&element("line").class("zero"));
        assert_eq!((line.fill(), line.stroke()), (None, Some(colour("#565d66"))));
        let tick =
            Style::default().within(&element("text").class("tick").attr("text-anchor", "end"));
        assert_eq!((tick.font_size, tick.anchor), (11.0, 1.0));
    }
}
