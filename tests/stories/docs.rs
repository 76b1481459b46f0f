//! The documentation: it is all in the command, and its links lead somewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fuseline_tests::{Lab, root};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// The Markdown files of the project that people read.
fn pages() -> Vec<PathBuf> {
    let named = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "bench/README.md"];
    let mut pages: Vec<_> = named.iter().map(|name| root().join(name)).collect();
    for folder in ["docs", "docs/design"] {
        for entry in fs::read_dir(root().join(folder)).expect("it can be listed") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|ending| ending == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The links of a page, and the anchors of its headings.
fn links_and_anchors(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut links, mut anchors) = (Vec::new(), Vec::new());
    let mut seen = BTreeMap::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    *heading += &part;
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let count: &mut usize = seen.entry(anchor.clone()).or_default();
                anchors.push(match *count {
                    0 => anchor,
                    more => format!("{anchor}-{more}"),
                });
                *count += 1;
            }
            _ => {}
        }
    }
    (links, anchors)
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in pages() {
        let (links, own) = links_and_anchors(&read(&page));
        let folder = page.parent().expect("a page lies in a folder");
        let shown = page.strip_prefix(root()).expect("a page of the project").display();
        for link in links.iter().filter(|link| !link.contains("://")) {
            followed += 1;
            let (path, wanted) = link.split_once('#').unwrap_or((link, ""));
            let target = folder.join(path);
            if !path.is_empty() && !target.exists() {
                broken.push(format!("{shown}: there is no {path}"));
                continue;
            }
            let anchors = match path {
                "" => own.clone(),
                _ if path.ends_with(".md") => links_and_anchors(&read(&target)).1,
                _ => continue,
            };
            if !wanted.is_empty() && !anchors.iter().any(|anchor| anchor == wanted) {
                broken.push(format!("{shown}: {path} has no heading #{wanted}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(followed > 80, "{followed} links");
}

#[test]
fn the_command_has_every_page_with_it() {
    let lab = Lab::new();
    let listed = lab.run(["docs"]).success().stdout();
    let docs = root().join("docs");
    for page in pages().iter().filter(|page| page.starts_with(&docs)) {
        let topic = page.strip_prefix(&docs).expect("a page of docs").with_extension("");
        let topic = topic.to_str().expect("UTF-8");
        assert!(listed.lines().any(|line| line.split(' ').next() == Some(topic)), "{topic}");
        let printed = lab.run(["docs", topic]).success().stdout();
        assert!(printed == read(page), "{topic} is not the page of the tree: build again");
    }
    let same = lab.run(["docs", "docs/language.md"]).success().stdout();
    assert_eq!(same, lab.run(["docs", "Language"]).success().stdout());
    let wrong = lab.run(["docs", "langauge"]);
    wrong.exits(2);
    assert!(wrong.stderr().contains("did you mean `language`?"), "{}", wrong.stderr());
}

#[test]
fn functions_are_explained_beside_codes_and_nested_options_beside_others() {
    let lab = Lab::new();
    let listed = lab.run(["explain"]).success().stdout();
    assert!(listed.contains("\nstem(path)\n    The name of a file without"), "{listed}");
    let stem = lab.run(["explain", "stem"]).success().stdout();
    assert!(stem.starts_with("stem(path)\n\nThe name of a file"), "{stem}");
    let wrong = lab.run(["explain", "sortd"]);
    wrong.exits(2);
    assert!(wrong.stderr().contains("did you mean sorted?"), "{}", wrong.stderr());
    let command = lab.run(["stages", "command"]).success().stdout();
    for line in
        ["      NAME:", "          role: fit | apply | neutral", "          rows_of: string"]
    {
        assert!(command.lines().any(|found| found.starts_with(line)), "{line}: {command}");
    }
    let cohort = lab.run(["stages", "cohort.define"]).success().stdout();
    assert!(cohort.contains("\n      pattern: string"), "{cohort}");
}
