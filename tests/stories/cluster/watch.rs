//! `fuseline watch`: a run is followed through the files that it writes into the cache.

use super::{arguments, notes, signal, start, sweep, wait_until};

#[test]
fn a_run_is_followed_to_its_end_and_a_killed_one_until_it_is_gone() {
    let lab = sweep();
    let arguments = arguments(&lab, &["--set", "points=3", "--set", "seconds=1", "-j", "8"]);
    let mut run = start(&lab, lab.command(&arguments), "output");
    wait_until("some have begun", || !notes(&lab).is_empty());
    let watch = lab.run(["watch", "latest", "--format", "json"]);
    watch.success();
    let events = watch.stdout();
    let events: Vec<serde_json::Value> =
        events.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    assert_eq!(events.first().map(|event| event["event"].clone()), Some("run_started".into()));
    let finished = events.iter().filter(|event| event["event"] == "finished").count();
    assert_eq!(finished, 4, "{events:?}");
    assert!(run.wait().expect("it ends").success());
    let again = lab.run(["watch", "latest"]);
    again.success();
    assert!(again.stdout().contains(": ok, in"), "{}", again.stdout());

    let lab = sweep();
    let arguments = super::arguments(&lab, &["--set", "points=2", "--set", "seconds=60"]);
    let mut run = start(&lab, lab.command(&arguments), "output");
    wait_until("some have begun", || !notes(&lab).is_empty());
    signal(&run, "KILL");
    run.wait().expect("it was killed");
    let watch = lab.run(["watch", "latest"]);
    watch.exits(1);
    assert!(watch.stderr().contains("is gone"), "{}", watch.stderr());
}
