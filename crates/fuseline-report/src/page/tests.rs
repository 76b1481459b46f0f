use sha2::{Digest, Sha256};

use super::*;
use crate::fixture;
use crate::supplements::Repeated;

/// The page as XML; what an XML parser refuses, some HTML parser may read differently.
fn parse(page: &str) -> roxmltree::Document<'_> {
    let options =
        roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
    roxmltree::Document::parse_with_options(page, options).unwrap()
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .map(|chunk| {
            let number = (0..3).fold(0, |n, i| n << 8 | usize::from(*chunk.get(i).unwrap_or(&0)));
            (0..4)
                .map(|i| {
                    if i > chunk.len() {
                        '='
                    } else {
                        char::from(SIGNS[number >> (18 - 6 * i) & 63])
                    }
                })
                .collect::<String>()
        })
        .collect()
}

#[test]
fn the_policy_admits_the_script_of_the_page() {
    assert_eq!(base64(&Sha256::digest(SCRIPT)), SCRIPT_DIGEST);
}

#[test]
fn every_report_is_well_formed_and_its_ids_are_unique_and_found() {
    for (name, data) in fixture::gallery() {
        let page = html(&data);
        let page = parse(&page);
        let mut ids = std::collections::BTreeSet::new();
        for node in page.descendants() {
            if let Some(id) = node.attribute("id") {
                assert!(ids.insert(id), "{name}: {id} twice");
            }
        }
        for node in page.descendants() {
            let named = ["aria-labelledby", "for"].iter().filter_map(|a| node.attribute(*a));
            for id in named.flat_map(str::split_whitespace) {
                assert!(ids.contains(id), "{name}: no {id}");
            }
            if let Some(id) = node.attribute("href").and_then(|href| href.strip_prefix('#')) {
                assert!(ids.contains(id), "{name}: a link to {id} leads nowhere");
            }
        }
    }
}

#[test]
fn nothing_of_the_network_is_asked_for() {
    for (name, data) in fixture::gallery() {
        let page = html(&data);
        for node in parse(&page).descendants().filter(|node| node.is_element()) {
            let tag = node.tag_name().name();
            assert!(
                !["img", "link", "iframe", "object", "image", "use", "base", "form"].contains(&tag),
                "{name}: {tag}"
            );
            for attribute in node.attributes() {
                let (key, value) = (attribute.name(), attribute.value());
                assert!(!key.starts_with("on") && key != "src" && key != "style", "{name}: {key}");
                assert!(key != "href" || value.starts_with('#'), "{name}: {value}");
            }
        }
        assert!(!page.contains("url("), "{name}");
        assert!(!page.contains("@import"), "{name}");
    }
}

#[test]
fn names_cannot_become_markup() {
    let page = html(&fixture::awkward());
    let page = parse(&page);
    let scripts: Vec<_> = page.descendants().filter(|n| n.has_tag_name("script")).collect();
    assert_eq!(scripts.len(), 1);
    assert_eq!(scripts[0].text(), Some(SCRIPT));
    assert!(
        !page
            .descendants()
            .any(|n| n.has_tag_name("b") && n.text().is_some_and(|t| t.contains("alert")))
    );
    let heading = page.descendants().find(|n| n.has_tag_name("h1")).and_then(|n| n.text()).unwrap();
    assert_eq!(heading, "</script><script>alert('1')</script>\u{fffd}&amp;\"<b>");
}

#[test]
fn every_figure_is_there_named_and_not_empty() {
    let page = html(&fixture::stressid());
    let page = parse(&page);
    let mut shapes_of = std::collections::BTreeMap::new();
    for figure in page.descendants().filter(|node| node.has_tag_name("svg")) {
        assert_eq!(figure.attribute("role"), Some("img"));
        let child =
            |tag| figure.children().find(|node| node.has_tag_name(tag)).and_then(|n| n.text());
        let title = child("title").unwrap();
        assert!(child("desc").is_some_and(|text| text.len() > 10), "{title}");
        let shapes = figure.descendants().filter(|node| {
            ["rect", "circle", "line", "polyline", "polygon", "path"]
                .contains(&node.tag_name().name())
        });
        shapes_of.insert(title.to_owned(), shapes.count());
    }
    let least = |title: &str, shapes: usize| {
        let found = shapes_of.iter().find(|(known, _)| known.starts_with(title));
        assert!(found.is_some_and(|(_, count)| *count >= shapes), "{title}: {found:?}");
    };
    least("Permutation gap of every finding", 30 * 2);
    least("Null distribution: lr · margin", 8);
    least("Headroom against permutation gap", 25);
    least("Headroom against gain", 25);
    least("Alignment of quality", 6 * 3);
    least("Reliability curves: margin", 3 * 9);
    least("Permutation gap by fold", 12 * 5);
    least("Stages of the workflow", 10);
    // Those of one value are told in a line of text.
    let data = fixture::stressid();
    let moved =
        |of: &&crate::NullDistribution| of.broken.iter().any(|b| (b - of.clean).abs() > 1e-12);
    let panels = data.nulls.iter().filter(moved).count();
    assert!((1..30).contains(&panels), "{panels}");
    assert_eq!(shapes_of.keys().filter(|title| title.starts_with("Null")).count(), panels);
}

#[test]
fn axes_of_numbers_get_a_dose_response_and_two_of_them_a_heat_map() {
    let titles = |data: &ReportData| -> Vec<String> {
        let page = html(data);
        parse(&page)
            .descendants()
            .filter(|node| node.has_tag_name("h2"))
            .filter_map(|node| node.text().map(str::to_owned))
            .collect()
    };
    let dose = titles(&fixture::dose());
    assert!(dose.contains(&"Dose and response".to_owned()));
    assert!(!dose.contains(&"Two interventions at once".to_owned()));
    assert!(titles(&fixture::interventions()).contains(&"Two interventions at once".to_owned()));
    assert!(!titles(&fixture::stressid()).contains(&"Dose and response".to_owned()));
}

#[test]
fn a_heat_map_has_the_values_of_its_axes_whole() {
    let mut data = fixture::interventions();
    for (axis, value) in data.findings.iter_mut().flat_map(|row| &mut row.point) {
        *value = match (axis.as_str(), value.as_str()) {
            ("outage", "0.1") => "0.125",
            ("degradation", "0.5") => "0.002",
            (_, other) => other,
        }
        .to_owned();
    }
    let page = html(&data);
    let (_, maps) = page.split_once("Two interventions at once</h2>").expect("a map");
    for value in [">0.125</text>", ">0.002</text>", ">0.4</text>"] {
        assert!(maps.contains(value), "{value}");
    }
}

#[test]
fn the_table_has_every_finding_with_values_to_sort_by() {
    let data = fixture::stressid();
    let page = html(&data);
    let page = parse(&page);
    let table = page.descendants().find(|n| n.attribute("id") == Some("findings-table")).unwrap();
    let rows: Vec<_> =
        table.descendants().filter(|n| n.attribute("data-control").is_some()).collect();
    assert_eq!(rows.len(), 30);
    let heads: Vec<_> = table
        .descendants()
        .filter(|n| n.attribute("scope") == Some("col"))
        .map(|n| n.text().unwrap().to_owned())
        .collect();
    let gap = heads.iter().position(|head| head == "gap (pp)").unwrap();
    for (row, finding) in rows.iter().zip(&data.findings) {
        let cells: Vec<_> = row.children().filter(|n| n.is_element()).collect();
        assert_eq!(cells.len(), heads.len());
        let value: f64 = cells[gap].attribute("data-value").unwrap().parse().unwrap();
        assert_eq!(Some(value), finding.gap);
    }
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    assert_eq!(html(&fixture::stressid()), html(&fixture::stressid()));
}

#[test]
fn report_data_survives_json() {
    let mut data = fixture::stressid();
    // Binary fractions: a JSON reader may be off by the last bit of others.
    data.findings.truncate(1);
    data.findings[0] = crate::FindingRow {
        point: data.findings[0].point.clone(),
        control: Control::Positive,
        gap: Some(0.125),
        alignment: vec![("audio".to_owned(), Some(0.75)), ("video".to_owned(), None)],
        ..crate::FindingRow::default()
    };
    (data.nulls, data.reliability, data.spreads) = (Vec::new(), Vec::new(), Vec::new());
    let text = serde_json::to_string(&data).unwrap();
    assert_eq!(serde_json::from_str::<ReportData>(&text).unwrap(), data);
}

#[test]
fn figures_are_files_of_their_own_without_a_page() {
    for (name, data) in fixture::gallery() {
        let mut names = std::collections::BTreeSet::new();
        for figure in crate::figures(&data) {
            let svg = figure.svg();
            let parsed = roxmltree::Document::parse(&svg).unwrap();
            assert_eq!(
                parsed.root_element().tag_name().namespace(),
                Some("http://www.w3.org/2000/svg")
            );
            assert!(!svg.contains("var("), "{name}/{}", figure.name);
            assert!(names.insert(figure.name.clone()), "{name}/{} twice", figure.name);
        }
    }
}

#[test]
fn no_figure_holds_a_coordinate_that_is_no_number() {
    for (name, data) in fixture::gallery() {
        let page = html(&data);
        for figure in parse(&page).descendants().filter(|node| node.has_tag_name("svg")) {
            for node in figure.descendants() {
                for attribute in node.attributes() {
                    let drawn = [
                        "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "points",
                        "d",
                    ];
                    let value = attribute.value();
                    if drawn.contains(&attribute.name()) {
                        assert!(
                            !value.contains("NaN") && !value.contains("inf"),
                            "{name}: {value}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn of_models_that_were_trained_elsewhere_nothing_says_that_they_were_fitted() {
    for (frozen, loaded) in [(true, false), (false, true)] {
        let mut data = fixture::stressid();
        (data.settings.frozen, data.settings.loaded) = (frozen, loaded);
        for text in [html(&data), crate::markdown(&data), crate::latex(&data)] {
            for word in ["refitted", "was fitted", "were fitted"] {
                assert!(!text.contains(word), "{frozen} {loaded}: {word}");
            }
        }
    }
}

#[test]
fn captions_and_lists_say_nothing_of_what_is_not_there() {
    let all = html(&fixture::stressid());
    assert!(all.contains("Triangles are positive controls, squares negative ones. The band is"));
    let mut data = fixture::stressid();
    data.settings.equivalence_margin = None;
    data.findings.retain(|row| row.control == Control::Native);
    data.provenance.models.clear();
    let page = html(&data);
    assert!(page.contains("A filled mark is significant.</p>"));
    assert!(!page.contains("Triangles are") && !page.contains("frozen model"));
}

#[test]
fn accuracies_that_are_means_over_labels_are_called_so_on_the_first_screen() {
    let mut data = fixture::stressid();
    assert!(!html(&data).contains("mean over the labels"));
    data.settings.labels = vec!["happy".to_owned(), "tired".to_owned()];
    for text in [html(&data), crate::markdown(&data)] {
        assert!(text.contains("Every accuracy is the mean over the labels happy and tired."));
    }
}

#[test]
fn names_take_another_line_behind_an_underscore() {
    let page = html(&fixture::stressid());
    assert!(page.contains("<th scope=\"col\">weighted_<wbr/>mean</th>"));
    assert!(page.contains("<th scope=\"row\">in_<wbr/>distribution"));
}

#[test]
fn repetitions_are_folded_away_and_summed_up() {
    let mut data = fixture::stressid();
    data.supplements = fixture::supplements("lr");
    let folded = "<summary>Native conditions: verdict and permutation gap in other repetitions";
    let spread = "Over 3 repetitions of the study the mean gap is +5.0\u{a0}pp; its interval, \
                  which knows that repetitions share their examples and is not adjusted for the \
                  number of conditions, leaves out 0 in 0 of 1 condition.";
    assert!(!html(&data).contains(folded));
    for row in &mut data.findings {
        let repeats = row.value_of("quality") == Some("in_distribution");
        row.not_counted = repeats.then(|| match row.value_of("rule") {
            Some("mean") => "the rule does not read quality".to_owned(),
            _ => "a repetition: split 1".to_owned(),
        });
    }
    let page = html(&data);
    let (sight, rest) = page.split_once(folded).expect("repetitions are folded");
    assert!(!sight.contains("<th scope=\"row\">in_<wbr/>distribution"));
    assert!(rest.contains("<th scope=\"row\">in_<wbr/>distribution"));
    assert!(page.contains(spread) && crate::markdown(&data).contains(spread));
    data.supplements.repeats[0].low = Some(0.01);
    assert!(html(&data).contains("leaves out 0 in 1 of 1 condition"));
    let fewer = data.supplements.repeats[0].clone();
    data.supplements.repeats.push(Repeated { repetitions: 2, ..fewer });
    assert!(html(&data).contains("Over up to 3 repetitions"));
}
