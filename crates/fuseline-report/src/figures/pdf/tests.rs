use std::process::{Command, Stdio};

use super::*;
use crate::fixture;
use crate::markup::{Element, element};

/// Runs a program on a file of PDF; none where it is not installed.
fn asked(program: &str, arguments: &[&str], pdf: &[u8], name: &str) -> Option<String> {
    let path = std::env::temp_dir().join(format!("fuseline-{}-{name}.pdf", std::process::id()));
    std::fs::write(&path, pdf).unwrap();
    let ran =
        Command::new(program).args(arguments).arg(&path).arg("-").stdin(Stdio::null()).output();
    std::fs::remove_file(&path).unwrap();
    let Ok(ran) = ran else {
        eprintln!("skipped: {program} is not installed");
        return None;
    };
    // Faults of a file are said there; the exit code is 0 all the same.
    assert!(
        ran.status.success() && ran.stderr.is_empty(),
        "{name}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
    Some(String::from_utf8_lossy(&ran.stdout).into_owned())
}

#[test]
fn every_text_of_every_figure_is_found_in_its_pdf() {
    for (name, data) in fixture::gallery() {
        for figure in crate::figures(&data) {
            let name = format!("{name}-{}", figure.name);
            let Some(text) = asked("pdftotext", &["-raw"], &figure.pdf(), &name) else { return };
            let found: String = text.split_whitespace().collect();
            let mut waiting: Vec<&Element> = figure.shapes.iter().collect();
            while let Some(shape) = waiting.pop() {
                waiting.extend(shape.elements());
                let own = shape.own_text();
                // Characters outside of the font are a matter of the next test but one;
                // bidirectional text is put in order.
                if shape.name() == "text"
                    && own.chars().all(|letter| {
                        !letter.is_control() && letter < '\u{400}' || "−·–…".contains(letter)
                    })
                {
                    let own: String = own.split_whitespace().collect();
                    assert!(found.contains(&own), "{name}: {own} is not in {found}");
                }
            }
        }
    }
}

#[test]
fn every_font_is_embedded_and_cut_to_what_is_used() {
    let data = fixture::stressid();
    for figure in crate::figures(&data) {
        let path = std::env::temp_dir().join(format!(
            "fuseline-fonts-{}-{}.pdf",
            std::process::id(),
            figure.name
        ));
        let pdf = figure.pdf();
        assert!(pdf.len() < 80_000, "{}: {} bytes", figure.name, pdf.len());
        std::fs::write(&path, pdf).unwrap();
        let ran = Command::new("pdffonts").arg(&path).output();
        std::fs::remove_file(&path).unwrap();
        let Ok(ran) = ran else {
            eprintln!("skipped: pdffonts is not installed");
            return;
        };
        assert!(ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
        let table = String::from_utf8_lossy(&ran.stdout).into_owned();
        let fonts: Vec<&str> = table.lines().skip(2).collect();
        assert!(!fonts.is_empty(), "{}", figure.name);
        for font in fonts {
            // Embedded, a subset, with a way back to letters.
            assert!(font.contains("CID TrueType") && font.contains("yes yes yes"), "{font}");
        }
    }
}

#[test]
fn the_same_figure_gives_the_same_bytes() {
    let figures = || crate::figures(&fixture::stressid());
    for (one, other) in figures().iter().zip(figures()) {
        assert_eq!(one.pdf(), other.pdf());
    }
}

#[test]
fn a_letter_that_the_font_lacks_becomes_the_sign_for_that() {
    let mut font = Font::new(false);
    let (lacking, _) = font.set("情");
    assert_eq!(font.set("\u{fffd}").0, lacking);
    for sign in "▲△◇▼?≈=–✓✗○!±−·…αβγЖß".chars() {
        assert_ne!(font.set(&sign.to_string()).0, lacking, "{sign}");
        assert_ne!(Font::new(true).set(&format!("情{sign}")).0[2..], [0, 1], "bold {sign}");
    }
}

#[test]
fn colours_lines_and_places_arrive() {
    let figure = Figure {
        name: "one".to_owned(),
        title: "One".to_owned(),
        description: String::new(),
        width: 40.0,
        height: 20.0,
        shapes: vec![
            element("rect")
                .class("bar")
                .num("x", 4.0)
                .num("y", 2.0)
                .num("width", 8.0)
                .num("height", 10.0),
        ],
    };
    let mut page = Page {
        content: Content::new(),
        fonts: [Font::new(false), Font::new(true)],
        opacities: BTreeSet::new(),
    };
    paint(&figure, &mut page);
    let drawn = String::from_utf8(page.content.finish().to_vec()).unwrap();
    assert_eq!(drawn, "/A50 gs\n0 0.38039216 0.6117647 rg\n4 2 8 10 re\nf");
    let pdf = figure.pdf();
    assert!(pdf.starts_with(b"%PDF-1.4"));
    let text = String::from_utf8_lossy(&pdf);
    assert!(text.contains("/MediaBox [0 0 30 15]") && !text.contains("/F0"), "{text}");
}
