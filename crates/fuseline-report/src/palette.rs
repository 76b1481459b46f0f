//! Colours, light and dark, in one place.
//!
//! Values of an axis take the colours of Okabe and Ito (2008), darkened or lightened until they
//! stand out against the page; no information is given by colour alone.

/// A name that style sheets use as `var(--name)`, with its light and its dark colour.
const COLOURS: [(&str, &str, &str); 24] = [
    ("page", "#ffffff", "#14171c"),
    ("raised", "#f5f6f8", "#1d2229"),
    ("ink", "#1a1d21", "#e8eaed"),
    ("muted", "#565d66", "#a5adb8"),
    ("line", "#d5d9de", "#39414c"),
    ("link", "#0b5cad", "#7cb8f2"),
    ("band", "#dfe5ec", "#2c3540"),
    ("yes", "#0a5f94", "#6db9ec"),
    ("yes-wash", "#e0eff9", "#12303f"),
    ("caution", "#8a5200", "#f0b04c"),
    ("caution-wash", "#fdf0d9", "#3a2b10"),
    ("bad", "#a93c00", "#ff9160"),
    ("bad-wash", "#fce8dd", "#3f2114"),
    ("good", "#00694d", "#4cc9a0"),
    ("good-wash", "#dcf3ec", "#10352a"),
    ("open", "#565d66", "#a5adb8"),
    ("open-wash", "#eceef1", "#272d35"),
    ("c0", "#0072b2", "#56a8e0"),
    ("c1", "#d55e00", "#f08a3c"),
    ("c2", "#00845f", "#2fbf94"),
    ("c3", "#a8558a", "#dd93c0"),
    ("c4", "#a07800", "#e6b422"),
    ("c5", "#2f8fc4", "#8fd0f5"),
    ("c6", "#3c4248", "#c8cdd3"),
];

/// Number of values of an axis that have a colour of their own.
const SERIES: usize = 7;

/// Styles that figures have in a page and in files of their own.
pub const FIGURE_STYLE: &str = include_str!("assets/figure.css");

/// The class of an axis value; beyond the palette all share one, and only words tell them apart.
pub fn series(index: usize, values: usize) -> String {
    if values <= SERIES { format!("c{index}") } else { "c6".to_owned() }
}

/// The custom properties of the page in both schemes.
pub fn page_colours() -> String {
    let list = |pick: fn(&(&str, &str, &str)) -> String| {
        COLOURS.iter().map(pick).collect::<Vec<_>>().join(";")
    };
    let light = list(|(name, light, _)| format!("--{name}:{light}"));
    let dark = list(|(name, _, dark)| format!("--{name}:{dark}"));
    format!(
        ":root{{color-scheme:light dark;{light}}}\n@media screen and \
         (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    )
}

/// The figure styles with the light colours written out.
pub fn light_figure_style() -> String {
    COLOURS.iter().fold(FIGURE_STYLE.to_owned(), |style, (name, light, _)| {
        style.replace(&format!("var(--{name})"), light)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2.2).
    fn luminance(colour: &str) -> f64 {
        let channel = |start: usize| {
            let byte = u8::from_str_radix(&colour[start..start + 2], 16).unwrap();
            let share = f64::from(byte) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { libm::pow((share + 0.055) / 1.055, 2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    fn pair(name: &str) -> (&'static str, &'static str) {
        let (_, light, dark) = COLOURS.iter().find(|(known, ..)| *known == name).unwrap();
        (light, dark)
    }

    #[test]
    fn text_stands_out_by_4_5_to_1_on_every_ground_it_is_set_on() {
        let sets = [
            (
                "ink",
                vec![
                    "page",
                    "raised",
                    "band",
                    "yes-wash",
                    "caution-wash",
                    "bad-wash",
                    "good-wash",
                    "open-wash",
                ],
            ),
            ("muted", vec!["page", "raised", "open-wash"]),
            ("link", vec!["page", "raised"]),
            ("yes", vec!["page", "yes-wash"]),
            ("caution", vec!["page", "caution-wash"]),
            ("bad", vec!["page", "bad-wash"]),
            ("good", vec!["page", "good-wash"]),
            ("open", vec!["page", "open-wash"]),
        ];
        for (text, grounds) in sets {
            for ground in grounds {
                let ((light, dark), (light_ground, dark_ground)) = (pair(text), pair(ground));
                for (one, other) in [(light, light_ground), (dark, dark_ground)] {
                    let ratio = contrast(one, other);
                    assert!(ratio >= 4.5, "{text} {one} on {ground} {other}: {ratio:.2}");
                }
            }
        }
    }

    #[test]
    fn marks_stand_out_by_3_to_1() {
        for index in 0..SERIES {
            let (light, dark) = pair(&series(index, SERIES));
            assert!(contrast(light, pair("page").0) >= 3.0, "c{index} light");
            assert!(contrast(dark, pair("page").1) >= 3.0, "c{index} dark");
        }
    }

    #[test]
    fn files_of_figures_need_no_css_variables() {
        assert!(!light_figure_style().contains("var("));
    }
}
