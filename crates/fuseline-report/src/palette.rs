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
    ("c0", "#00619c", "#56a8e0"),
    ("c1", "#d55e00", "#f08a3c"),
    ("c2", "#00845f", "#2fbf94"),
    ("c3", "#a8558a", "#dd93c0"),
    ("c4", "#735400", "#e6b422"),
    ("c5", "#3a97d8", "#8fd0f5"),
    ("c6", "#3c4248", "#c8cdd3"),
];

/// Number of values of an axis that have a colour of their own.
const SERIES: usize = 7;

/// Styles that figures have in a page and in files of their own.
pub const FIGURE_STYLE: &str = include_str!("assets/figure.css");

/// True if so many values of an axis have a colour each.
pub fn has_series(values: usize) -> bool {
    values <= SERIES
}

/// The class of an axis value; beyond the palette all share one, and only words tell them apart.
pub fn series(index: usize, values: usize) -> String {
    if has_series(values) { format!("c{index}") } else { "c6".to_owned() }
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

    /// Matrices of Machado, Oliveira and Fernandes (2009) for complete loss of one kind of cone,
    /// over linear RGB: protanopia, deuteranopia, tritanopia.
    const LOSSES: [(&str, [[f64; 3]; 3]); 3] = [
        (
            "protanopia",
            [
                [0.152286, 1.052583, -0.204868],
                [0.114503, 0.786281, 0.099216],
                [-0.003882, -0.048116, 1.051998],
            ],
        ),
        (
            "deuteranopia",
            [
                [0.367322, 0.860646, -0.227968],
                [0.280085, 0.672501, 0.047413],
                [-0.011820, 0.042940, 0.968881],
            ],
        ),
        (
            "tritanopia",
            [
                [1.255528, -0.076749, -0.178779],
                [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.303900],
            ],
        ),
    ];

    /// The colour as linear RGB.
    fn linear(colour: &str) -> [f64; 3] {
        [1, 3, 5].map(|start| {
            let byte = u8::from_str_radix(&colour[start..start + 2], 16).unwrap();
            let share = f64::from(byte) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { libm::pow((share + 0.055) / 1.055, 2.4) }
        })
    }

    fn times(matrix: &[[f64; 3]; 3], [a, b, c]: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row[0] * a + row[1] * b + row[2] * c)
    }

    /// CIE L*a*b* (D65) of linear RGB.
    fn lab(rgb: [f64; 3]) -> [f64; 3] {
        let xyz = times(
            &[
                [0.412_456_4, 0.357_576_1, 0.180_437_5],
                [0.212_672_9, 0.715_152_2, 0.072_175_0],
                [0.019_333_9, 0.119_192, 0.950_304_1],
            ],
            rgb.map(|channel| channel.clamp(0.0, 1.0)),
        );
        let white = [0.950_47, 1.0, 1.088_83];
        let f = |place: usize| {
            let share = xyz[place] / white[place];
            if share > 216.0 / 24389.0 {
                libm::cbrt(share)
            } else {
                (24389.0 / 27.0 * share + 16.0) / 116.0
            }
        };
        [116.0 * f(1) - 16.0, 500.0 * (f(0) - f(1)), 200.0 * (f(1) - f(2))]
    }

    /// Distance of two colours, CIE 1976.
    fn distance(one: [f64; 3], other: [f64; 3]) -> f64 {
        let squares = one.iter().zip(other).map(|(a, b)| (a - b) * (a - b));
        squares.sum::<f64>().sqrt()
    }

    /// Colours of an axis stay apart by 10 in L*a*b*, four times what is just seen in small marks,
    /// for those who lack one kind of cone. Shapes and words say the same besides.
    #[test]
    fn colours_of_an_axis_stay_apart_without_one_kind_of_cone() {
        let none = ("no loss", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
        for (loss, matrix) in std::iter::once(none).chain(LOSSES) {
            for one in 0..SERIES {
                for other in 0..one {
                    let (a, b) = (pair(&series(one, SERIES)), pair(&series(other, SERIES)));
                    for (scheme, a, b) in [("light", a.0, b.0), ("dark", a.1, b.1)] {
                        let seen = |colour| lab(times(&matrix, linear(colour)));
                        let apart = distance(seen(a), seen(b));
                        assert!(apart >= 10.0, "c{one} and c{other}, {scheme}, {loss}: {apart:.1}");
                    }
                }
            }
        }
    }

    /// A row of three matrices leaves grey as it is.
    #[test]
    fn the_simulation_of_a_loss_leaves_grey_alone() {
        for (loss, matrix) in LOSSES {
            for row in matrix {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{loss}");
            }
        }
    }

    #[test]
    fn files_of_figures_need_no_css_variables() {
        assert!(!light_figure_style().contains("var("));
    }
}
