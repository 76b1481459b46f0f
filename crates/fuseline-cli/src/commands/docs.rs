//! `fuseline docs`: the pages of `docs/`, which the command carries with it.

use crate::exit::{Exit, Failure};
use crate::print;

/// Arguments of `docs`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline docs                                        the topics
  fuseline docs language                               the reference of the workflow language
  fuseline docs command | less")]
pub struct Args {
    /// The page, such as `language` or `artifacts`
    pub topic: Option<String>,
}

/// A page: its topic and its text.
type Page = (&'static str, &'static str);

/// The pages, sorted by topic. The build script lists the files.
const PAGES: &[Page] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let Some(topic) = &args.topic else {
        let width = PAGES.iter().map(|(topic, _)| topic.len()).max().unwrap_or(0);
        let lines = PAGES.iter().map(|(topic, text)| format!("{topic:width$}  {}\n", title(text)));
        print::result(lines.collect::<String>());
        return Ok(Exit::Done);
    };
    let name = topic.trim_start_matches("docs/").trim_end_matches(".md");
    match PAGES.iter().find(|(topic, _)| topic.eq_ignore_ascii_case(name)) {
        Some((_, text)) => print::result(text),
        None => {
            let topics = PAGES.iter().map(|(topic, _)| *topic);
            let failure = Failure::wrong(format!("there is no page {topic}"));
            let hint = fuseline::name_hint(name, "page", topics);
            return Err(failure.hint(hint.unwrap_or_default()));
        }
    }
    Ok(Exit::Done)
}

/// The first heading of a page.
fn title(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_a_title_and_a_topic_of_its_own() {
        assert!(PAGES.is_sorted_by(|(one, _), (other, _)| one < other));
        assert!(PAGES.iter().any(|(topic, _)| *topic == "language"));
        for (topic, text) in PAGES {
            assert!(!title(text).is_empty(), "{topic}");
        }
    }
}
