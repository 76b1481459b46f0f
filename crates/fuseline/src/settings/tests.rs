use std::time::Duration;

use super::*;

/// The mistakes in a file with this text: code, place and message.
fn mistakes(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SETTINGS_FILE);
    std::fs::write(&path, text).unwrap();
    let Err(Error::Settings(mistakes)) = read::read(&path, &settings_schema()) else {
        return Vec::new();
    };
    let Mistakes { diagnostics, files } = *mistakes;
    let line = |found: &fuseline_workflow::Diagnostic| {
        let place = files.line_column(&found.place);
        let hint = found.hint.as_deref().unwrap_or_default();
        format!("{}:{} {}: {} ({hint})", place.line, place.column, found.code, found.message)
    };
    diagnostics.iter().map(line).collect()
}

use crate::error::Mistakes;

#[test]
fn every_mistake_of_a_file_is_found_at_its_place() {
    let text = r#"
plugin_pth = ["rules"]

[cache]
path = 3
mode = "raed"
remote = "s3://key:secret@bucket"

[executor.slurm]
array_max = "many"
time = "2 hours"
[executor.resources."expert.*"]
memroy = "4 GB"
[limits]
memory = 64
"#;
    insta::assert_snapshot!(mistakes(text).join("\n"), @r#"
    2:1 fuseline::settings_key: `fuseline.toml` has no setting `plugin_pth` (did you mean `plugin_path`?)
    5:8 fuseline::settings_value: `cache.path` must be text, not the number 3 (quote it: "3")
    6:8 fuseline::settings_value: `cache.mode` cannot be `raed` (did you mean `read`?)
    10:13 fuseline::settings_value: `executor.slurm.array_max` must be a whole number, not the text "many" (`fuseline schema --settings` has the shape of every setting)
    11:8 fuseline::settings_value: `executor.slurm.time` must be a time such as 90s, 10min or 2h, not "2 hours" (`fuseline schema --settings` has the shape of every setting)
    13:1 fuseline::settings_key: `executor.resources.expert.*` has no setting `memroy` (did you mean `memory`?)
    15:10 fuseline::settings_value: `limits.memory` must be text, not the number 64 (write in quotes an amount such as 512 MiB or 4 GB)
    "#);
}

#[test]
fn quotes_are_advised_only_where_the_quoted_text_is_a_value() {
    let text = r#"
python = 3
[cache]
lease_beat = true
[executor]
poll = 30
[executor.slurm]
time = 1.5
[executor.resources."*"]
memory = 4
time = 10
[executor.command]
submit = 'a'
poll = 'b'
cancel = 'c'
task = 3
[limits]
memory = -1
"#;
    insta::assert_snapshot!(mistakes(text).join("\n"), @r#"
    2:10 fuseline::settings_value: `python` must be text, not the number 3 (quote it: "3")
    4:14 fuseline::settings_value: `cache.lease_beat` must be text, not `true` (write in quotes a time such as 90s, 10min or 2h)
    6:8 fuseline::settings_value: `executor.poll` must be text, not the number 30 (write in quotes a time such as 90s, 10min or 2h)
    8:8 fuseline::settings_value: `executor.slurm.time` must be text, not the number 1.5 (write in quotes a time such as 90s, 10min or 2h)
    10:10 fuseline::settings_value: `executor.resources.*.memory` must be text, not the number 4 (write in quotes an amount such as 512 MiB or 4 GB)
    11:8 fuseline::settings_value: `executor.resources.*.time` must be text, not the number 10 (write in quotes a time such as 90s, 10min or 2h)
    16:8 fuseline::settings_value: `executor.command.task` must be text, not the number 3 (`fuseline schema --settings` has the shape of every setting)
    18:10 fuseline::settings_value: `limits.memory` must be text, not the number -1 (write in quotes an amount such as 512 MiB or 4 GB)
    "#);
}

#[test]
fn what_no_schema_can_say_is_found_at_its_place_too() {
    let remote = "[cache]\nremote = \"s3://key:secret@bucket\"\n";
    insta::assert_snapshot!(mistakes(remote).join("\n"), @"2:10 fuseline::settings_value: \
        `cache.remote` must hold no user, password or query: credentials belong into the variables \
        of the store, such as AWS_ACCESS_KEY_ID (`fuseline schema --settings` has the shape of \
        every setting)");
    // The rest of what an address must be, too: else the first run finds it.
    insta::assert_snapshot!(mistakes("[cache]\nremote = \"ftp://host/lab\"\n").join("\n"), @"2:10 \
        fuseline::settings_value: `cache.remote` has the scheme ftp; a remote has s3, https, http, \
        gs, az or file, or is the path of a folder (`fuseline schema --settings` has the shape of \
        every setting)");
    let command =
        "[executor.command]\nsubmit = 'a'\npoll = 'b'\ncancel = 'c'\ntask = 'T'\nid = '('\n";
    insta::assert_snapshot!(mistakes(command).join("\n"), @"6:6 fuseline::settings_value: \
        `executor.command.id` is no regular expression: unclosed group (`fuseline schema \
        --settings` has the shape of every setting)");
    let incomplete = "[executor.command]\nsubmit = 'a'\n";
    assert_eq!(mistakes(incomplete).len(), 3, "{:?}", mistakes(incomplete));
    insta::assert_snapshot!(mistakes("[cache\npath = 1979-05-27\n").join("\n"), @"1:7 \
        fuseline::settings_syntax: unclosed table, expected `]` (mend this place first: what \
        follows it was not read)");
}

#[test]
fn resources_of_no_stage_kind_are_a_mistake_at_their_key() {
    let text = r#"
[executor.resources]
"*" = { cpu = 1 }
"expert.*" = { cpu = 1 }
"fusion.fit" = { cpu = 1 }
"fusion.fitt" = { cpu = 1 }
"exprt.*" = { cpu = 1 }
[executor.resources."no.kind"]
cpu = 1
"#;
    insta::assert_snapshot!(mistakes(text).join("\n"), @r#"
    6:1 fuseline::settings_key: `executor.resources` has `fusion.fitt`, which fits no stage kind (did you mean `fusion.fit`?)
    7:1 fuseline::settings_key: `executor.resources` has `exprt.*`, which fits no stage kind (did you mean `expert.*`?)
    8:21 fuseline::settings_key: `executor.resources` has `no.kind`, which fits no stage kind (write a kind of `fuseline stages`, a family such as `expert.*`, or `*`)
    "#);
}

#[test]
fn no_text_makes_the_reader_panic() {
    for text in [
        "\u{0}",
        "= =",
        "[[cache]]",
        "a.b.c = 1",
        "cache = 3",
        "x = nan",
        "x = 99999999999999999999",
    ] {
        assert!(!mistakes(text).is_empty(), "{text:?}");
    }
    assert_eq!(mistakes(""), Vec::<String>::new());
}

#[test]
fn values_are_written_as_they_are_read() {
    let time = |text: &str| Time::try_from(text.to_owned()).unwrap();
    for text in ["90s", "10min", "2h", "1.5s"] {
        assert_eq!(String::from(time(text)), text);
    }
    assert_eq!(Duration::from(time("1d")), Duration::from_secs(86_400));
    let amount = |text: &str| String::from(Amount::try_from(text.to_owned()).unwrap());
    assert_eq!(amount("4 GiB"), "4 GiB");
    assert_eq!(amount("1000 B"), "1000 B");
    let settings = Settings::default();
    let written = serde_json::to_value(&settings).unwrap();
    assert_eq!(serde_json::from_value::<Settings>(written).unwrap(), settings);
}

#[test]
fn the_most_special_resources_of_a_kind_win_one_by_one() {
    let settings: ExecutorSettings = serde_json::from_value(serde_json::json!({ "resources": {
        "*": { "memory": "1 GB", "time": "10min", "cpu": 1 },
        "fusion.*": { "memory": "2 GB", "time": "20min" },
        "fusion.fit": { "memory": "3 GB" },
    }}))
    .unwrap();
    let memory = |kind: &str| settings.resources_of(kind).memory.map(|memory| memory.bytes);
    assert_eq!(memory("load.csv"), Some(1_000_000_000));
    assert_eq!(memory("fusion.load"), Some(2_000_000_000));
    assert_eq!(memory("fusion.fit"), Some(3_000_000_000));
    let fit = settings.resources_of("fusion.fit");
    assert_eq!((fit.time.map(String::from).as_deref(), fit.cpu), (Some("20min"), Some(1.0)));
}
