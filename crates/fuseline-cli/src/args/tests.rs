use clap::{Command, CommandFactory as _};

use super::*;

/// A command and all below it, with their full names.
fn all(name: &str, command: &Command) -> Vec<(String, Command)> {
    let below = command.get_subcommands().filter(|below| below.get_name() != "help");
    let below = below.flat_map(|below| all(&format!("{name} {}", below.get_name()), below));
    std::iter::once((name.to_owned(), command.clone())).chain(below).collect()
}

fn commands() -> Vec<(String, Command)> {
    let mut command = Args::command().term_width(100);
    command.build();
    all("fuseline", &command)
}

#[test]
fn the_arguments_do_not_contradict_each_other() {
    Args::command().debug_assert();
}

#[test]
fn the_help_of_every_command_is_what_it_was() {
    let mut text = String::new();
    for (name, mut command) in commands() {
        text += &format!("===== {name}\n{}\n", command.render_long_help());
    }
    let lines = text.lines().map(|line| format!("{}\n", line.trim_end()));
    insta::assert_snapshot!("help", lines.collect::<String>());
}

#[test]
fn the_help_of_every_command_that_does_something_has_an_example_of_it() {
    for (name, mut command) in commands() {
        if command.has_subcommands() && name != "fuseline" {
            continue;
        }
        let help = command.render_long_help().to_string();
        let (_, examples) = help.split_once("Examples:").unwrap_or_else(|| panic!("{name}: none"));
        assert!(examples.contains(&name), "{name} does not appear in its own examples:\n{help}");
    }
}

#[test]
fn what_the_examples_say_is_understood() {
    let mut read = 0;
    for (name, mut command) in commands() {
        let help = command.render_long_help().to_string();
        let Some((_, examples)) = help.split_once("Examples:\n") else { continue };
        for line in examples.lines().map(str::trim).filter(|line| line.starts_with("fuseline ")) {
            // An explanation stands behind two spaces or more, a shell's part behind its sign.
            let command = line.split("  ").next().unwrap_or(line);
            let command = command.split(['|', '>']).next().unwrap_or(command);
            let words = match line.split_once('\'') {
                Some((before, rest)) if rest.contains('\'') && !before.contains('|') => {
                    let (quoted, after) = rest.split_once('\'').unwrap();
                    let after = after.split(['|', '>']).next().unwrap_or_default();
                    let words = before.split_whitespace().chain([quoted]);
                    words.chain(after.split_whitespace()).map(str::to_owned).collect::<Vec<_>>()
                }
                _ => command.split_whitespace().map(str::to_owned).collect(),
            };
            let words: Vec<String> = words
                .into_iter()
                .map(|word| if word.ends_with("...") { "0".repeat(64) } else { word })
                .collect();
            if let Err(error) = Args::try_parse_from(&words) {
                panic!("{name}: {line}: {error}");
            }
            read += 1;
        }
    }
    assert!(read > 20, "{read} examples were read");
}
