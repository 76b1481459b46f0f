//! The pages as a client sees them: access, content, and messages while a run goes on.

use std::fs::{File, create_dir_all};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::site::{Answer, Site, action_lines, first_line, manifest};
use fuseline_artifact::{Cohort, Typed as _};
use fuseline_cache::{ActionRecord, OutputRecord};
use fuseline_engine::ManifestStage;
use fuseline_workflow::{IndexVec, StageIndex};

const RUN: &str = "1800000000000000001-7";

#[test]
fn who_has_no_token_or_calls_by_another_name_gets_nothing() {
    let site = Site::new();
    site.end(&manifest(RUN, 3));
    let (host, cookie) = (site.host().to_owned(), site.cookie());
    let port = host.split_once(':').unwrap().1;
    let refused = |request: String, status: u16| {
        let answer = site.ask(&request);
        assert_eq!(answer.status(), status, "{request}: {}", answer.0);
        answer.lacks("study").lacks(RUN).lacks(site.token());
    };
    refused(format!("GET / HTTP/1.1\r\nHost: {host}"), 403);
    refused(format!("GET /?token=0 HTTP/1.1\r\nHost: {host}"), 403);
    refused(format!("GET /assets/ui.js HTTP/1.1\r\nHost: {host}"), 403);
    refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\nCookie: fuseline-{port}=0"), 403);
    // A page of another site may have its name lead here, and the browser's cookie with it.
    for name in ["evil.example", "127.0.0.1", "127.0.0.1:1", "", "localhost.evil.example"] {
        refused(format!("GET / HTTP/1.1\r\nHost: {name}\r\nCookie: {cookie}"), 403);
        refused(format!("GET /?token={} HTTP/1.1\r\nHost: {name}", site.token()), 403);
    }
    let two = format!("GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\nCookie: {cookie}");
    refused(two, 403);
    let absolute = format!("GET http://evil.example/ HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}");
    refused(absolute, 403);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        refused(format!("{method} / HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}"), 405);
    }
    for name in [host.clone(), format!("localhost:{port}"), format!("[::1]:{port}")] {
        let head = format!("HEAD / HTTP/1.1\r\nHost: {name}\r\nCookie: {cookie}");
        assert_eq!(site.ask(&head).status(), 200, "{name}");
    }
}

#[test]
fn the_address_that_is_printed_lets_in_and_leaves_its_token_behind() {
    let site = Site::new();
    let answer =
        site.ask(&format!("GET /?token={} HTTP/1.1\r\nHost: {}", site.token(), site.host()));
    let cookie = answer.header("set-cookie").unwrap();
    assert_eq!(cookie, format!("{}; Path=/; HttpOnly; SameSite=Strict", site.cookie()));
    answer.has("content=\"0;url=/\"").lacks(site.token());
    // A page deeper in, and one that would be another site's.
    for (asked, wanted) in [
        ("/compare?run=1&token=T&run=2", "/compare?run=1&amp;run=2"),
        ("//elsewhere/?token=T", "/elsewhere/"),
        (r"/\elsewhere/?token=T", "/elsewhere/"),
    ] {
        let asked = asked.replace("=T", &format!("={}", site.token()));
        let answer = site.ask(&format!("GET {asked} HTTP/1.1\r\nHost: {}", site.host()));
        answer.has(&format!("content=\"0;url={wanted}\"")).lacks(site.token());
    }
    let page = site.get("/");
    page.has("0 runs in the cache").lacks(site.token());
    assert!(page.header("set-cookie").is_none());
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}

#[test]
fn no_address_leads_out_of_what_the_cache_lists() {
    let site = Site::new();
    site.end(&manifest(RUN, 3));
    std::fs::write(site.folder.path().join("secret"), "beside the cache").unwrap();
    std::fs::write(site.cache.folder().join("manifest.json"), "above the runs").unwrap();
    let run = format!("/runs/{RUN}");
    for path in [
        "/runs/..".to_owned(),
        "/runs/.".to_owned(),
        "/runs/%2e%2e".to_owned(),
        "/runs/..%2f..%2fsecret".to_owned(),
        "/runs/../../secret".to_owned(),
        "/runs/%00".to_owned(),
        "/runs/1800000000000000001".to_owned(),
        "/runs//".to_owned(),
        "/assets/../../secret".to_owned(),
        "/assets/..%2f..%2fsecret".to_owned(),
        format!("{run}/actions/..%2f..%2f..%2fsecret"),
        format!("{run}/actions/3"),
        format!("{run}/actions/-1"),
        format!("{run}/actions/99999999999999999999999"),
        format!("{run}/actions/0/outputs/1"),
        format!("{run}/actions/0/outputs/%2e%2e%2f"),
        format!("{run}/actions/0/outputs/1/raw"),
        format!("{run}/stages/1"),
        format!("{run}/started/0"),
        format!("{run}/stages/0?page=2"),
        format!("{run}/stages/0?state=%3Cb%3E"),
        "/?page=0".to_owned(),
        "/compare?run=..&run=.".to_owned(),
    ] {
        let answer = site.get(&path);
        // An action that a run has started is told of by its manifest once it has ended.
        let expected = if path.contains("started") { [200, 200] } else { [404, 400] };
        assert!(expected.contains(&answer.status()), "{path}: {}", answer.0);
        answer.lacks("beside the cache").lacks("above the runs");
    }
}

#[test]
fn pages_tell_of_a_run_what_its_manifest_says() {
    let site = Site::new();
    let mut run = manifest(RUN, 250);
    run.actions[7].state = "failed".to_owned();
    run.actions[7].error = Some("the program ended with exit code 3:\nno such column".to_owned());
    run.status = "failed".to_owned();
    site.end(&run);
    site.get("/").has("1 run in the cache").has("study").has(">failed</span>");
    let page = site.whole(&format!("/runs/{RUN}"));
    page.has("Failed: 1 action")
        .has("no such column")
        .has("250 actions: 125 executed, 124 cached, 1 failed");
    let failures = page.body().find("Failed: 1 action").unwrap();
    assert!(failures < page.body().find("Stages").unwrap(), "failures come first");
    let stage = format!("/runs/{RUN}/stages/0");
    site.get(&stage).has("fold=99]").lacks("fold=100]").has("Page 1 of 3").has(">Next</a>");
    site.get(&format!("{stage}?page=3")).has("fold=249]").lacks("fold=199]").lacks(">Next</a>");
    site.get(&format!("{stage}?state=failed")).has("fold=7]").lacks("fold=8]");
    let action = site.whole(&format!("/runs/{RUN}/actions/7"));
    action.has("no such column").has("fusion[rule=lr,quality=margin,fold=7]");
    action.lacks("It said nothing");
    site.whole(&format!("/runs/{RUN}/actions/8")).has("with.permutations 1000 -&gt; 2000");
    site.whole(&format!("/runs/{RUN}/actions/9")).has("its key has a record in the cache");
    site.whole("/cache").has("What it holds").has("it would remove nothing");
    site.get("/cache").has(&site.cache.folder().display().to_string());
    site.get(&format!("/runs/{RUN}/actions/8/outputs/0")).has("no longer in the cache");
}

#[test]
fn results_of_many_points_say_how_many_more_there_are_and_where() {
    let site = Site::new();
    let mut run = manifest(RUN, 30);
    run.stages[StageIndex(0)].outputs[0].1 = "findings".to_owned();
    site.end(&run);
    let page = site.whole(&format!("/runs/{RUN}"));
    page.has(&format!("/runs/{RUN}/actions/3/outputs/0")).lacks("actions/4/outputs");
    page.has(&format!("<a href=\"/runs/{RUN}/stages/0\">findings: 26 more of fusion</a>"));
}

#[test]
fn what_many_failed_actions_said_alike_stands_there_once() {
    let site = Site::new();
    let mut run = manifest(RUN, 4);
    for (number, error) in [(0, "no memory"), (1, "no memory"), (2, "no file"), (3, "no memory")] {
        run.actions[number].state = "failed".to_owned();
        run.actions[number].error = Some(error.to_owned());
    }
    site.end(&run);
    let page = site.whole(&format!("/runs/{RUN}"));
    assert_eq!(page.body().matches("<pre>no memory</pre>").count(), 2);
    assert_eq!(page.body().matches("</a>: the same").count(), 1);
}

#[test]
fn texts_of_data_are_shown_and_never_done() {
    const HOSTILE: &str = "\"'><script>alert(1)</script>&\u{202e}\u{1b}[2J";
    let site = Site::new();
    let cohort = Cohort {
        example_id: [HOSTILE, "b"].into_iter().collect(),
        group: ["g", HOSTILE].into_iter().collect(),
        label: vec![0, 1],
        classes: vec![HOSTILE.to_owned(), "stress".to_owned()],
    };
    let bytes = cohort.into_artifact().unwrap().encode().unwrap();
    let table = site.cache.put_object(&bytes).unwrap();
    let page = format!("<h1>A report</h1><script>{HOSTILE}</script>");
    let document = site.cache.put_object(page.as_bytes()).unwrap();
    let mut run = manifest(RUN, 1);
    run.workflow = "a name <script>alert(1)<script>".to_owned();
    run.params.insert(HOSTILE.to_owned(), HOSTILE.into());
    run.plugins.push((HOSTILE.to_owned(), table));
    run.undelivered = Some(HOSTILE.to_owned());
    run.stages = IndexVec::from(vec![ManifestStage {
        name: HOSTILE.to_owned(),
        outputs: vec![("main".to_owned(), "cohort".into()), (HOSTILE.into(), "report".into())],
    }]);
    let action = &mut run.actions[0];
    action.action = format!("{HOSTILE}[{HOSTILE}=1]");
    action.state = "failed".to_owned();
    action.reason = Some(HOSTILE.to_owned());
    action.error = Some(HOSTILE.to_owned());
    action.outputs = vec![table, document];
    let record = ActionRecord {
        outputs: vec![OutputRecord {
            port: HOSTILE.to_owned(),
            kind: "report".to_owned(),
            digest: document,
            size: page.len() as u64,
            media_type: Some("text/html".to_owned()),
        }],
        ..ActionRecord::default()
    };
    site.cache.put_action(&action.key.unwrap(), &record).unwrap();
    let said = serde_json::json!({"action": action.action, "level": "warn", "message": HOSTILE});
    site.end(&run);
    site.cache.write_run_file(RUN, "actions.log", &[format!("{said}\n").as_bytes()]).unwrap();
    let output = format!("/runs/{RUN}/actions/0/outputs");
    for path in [
        "/".to_owned(),
        format!("/runs/{RUN}"),
        format!("/runs/{RUN}/stages/0"),
        format!("/runs/{RUN}/failed"),
        format!("/runs/{RUN}/actions/0"),
        format!("{output}/0"),
        format!("{output}/1"),
    ] {
        let answer = site.whole(&path);
        assert_eq!(answer.status(), 200, "{path}");
        answer
            .has("&lt;script&gt;alert(1)")
            .lacks("<script>alert")
            .lacks("\u{202e}")
            .lacks("\u{1b}");
    }
    site.get(&format!("{output}/1")).has("sandbox=\"allow-scripts\"");
    let raw = site.get(&format!("{output}/1/raw"));
    raw.has("<h1>A report</h1>");
    let policy = raw.header("content-security-policy").unwrap();
    // No script but the one of fuseline's reports, no origin, no network, and in a page of fuseline
    // alone.
    assert!(policy.starts_with("sandbox allow-scripts; default-src 'none';"), "{policy}");
    assert!(policy.contains("script-src 'sha256-") && !policy.contains("same-origin"), "{policy}");
    let raw = site.get(&format!("{output}/0/raw"));
    assert_eq!(raw.header("content-type"), Some("application/octet-stream"));
}

#[test]
fn a_damaged_artifact_is_named_and_left_where_it_is() {
    let site = Site::new();
    let digest = site.cache.put_object(b"PAR1 and no more").unwrap();
    let other = site.cache.put_object(b"another").unwrap();
    let mut run = manifest(RUN, 2);
    run.actions[0].outputs = vec![digest];
    run.actions[1].outputs = vec![other];
    site.end(&run);
    let hex = other.to_string();
    let file = site.cache.folder().join("objects").join(&hex[..2]).join(&hex[2..]);
    std::fs::write(&file, b"changed").unwrap();
    let page = |action: u8| site.whole(&format!("/runs/{RUN}/actions/{action}/outputs/0"));
    page(0).has("the table cannot be read");
    page(1).has("its bytes are not those of its digest");
    assert_eq!(std::fs::read(&file).unwrap(), b"changed");
}

#[test]
fn a_run_is_watched_until_it_ends() {
    let site = Site::new();
    // Held by this process: the run is alive.
    let folder = site.cache.new_run(RUN).unwrap();
    let mut log = File::create(folder.join("events.jsonl")).unwrap();
    log.write_all(first_line(RUN, 4).as_bytes()).unwrap();
    log.write_all(action_lines(0, 0).as_bytes()).unwrap();
    // A line that is not whole yet counts when it is.
    let next = action_lines(1, 300);
    log.write_all(&next.as_bytes()[..40]).unwrap();
    let page = site.whole(&format!("/runs/{RUN}"));
    page.has(">running</span>").has("1 of 4 actions").has("data-events=");
    let seen =
        page.body().split_once("events?from=").unwrap().1.split('"').next().unwrap().to_owned();
    site.get("/").has(">running</span>").has("study");

    let mut tabs = [0; 2].map(|_| listen(&site, &format!("/runs/{RUN}/events?from={seen}")));
    log.write_all(&next.as_bytes()[40..]).unwrap();
    let failed = serde_json::json!({"milliseconds": 900, "event": "started", "action": "fusion[x=<b>]",
        "stage": "fusion", "reason": "never executed"});
    writeln!(log, "{failed}").unwrap();
    tabs.iter_mut().for_each(|tab| assert_eq!(next_event(tab), "change"));
    let page = site.whole(&format!("/runs/{RUN}"));
    page.has("2 of 4 actions").has("In flight: 1 action").has("fusion[x=&lt;b&gt;]");
    site.get(&format!("/runs/{RUN}/started/2")).has("never executed").has(">running</span>");

    let failed = serde_json::json!({"milliseconds": 990, "event": "failed", "action": "fusion[x=<b>]",
        "stage": "fusion", "message": "it broke\nhere"});
    writeln!(log, "{failed}").unwrap();
    tabs.iter_mut().for_each(|tab| assert_eq!(next_event(tab), "change"));
    site.whole(&format!("/runs/{RUN}")).has("Failed: 1 action").has("it broke\nhere");
    site.get(&format!("/runs/{RUN}/failed")).has("it broke");
    site.get(&format!("/runs/{RUN}/started/2")).has("it broke").has(">failed</span>");

    site.end(&manifest(RUN, 4));
    tabs.iter_mut().for_each(|tab| assert_eq!(next_event(tab), "end"));
    site.whole(&format!("/runs/{RUN}")).has("2 executed, 2 cached").lacks("data-events");
    site.get(&format!("/runs/{RUN}/started/2")).has("The run has ended");
}

#[test]
fn a_log_of_another_version_and_a_killed_run_are_said_in_words() {
    let site = Site::new();
    let write = |run: &str, text: String| {
        let folder = site.cache.runs_folder().join(run);
        create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("events.jsonl"), text).unwrap();
    };
    let (old, new, killed) =
        ("1800000000000000001-1", "1800000000000000002-1", "1800000000000000003-1");
    let current = first_line(old, 4);
    write(old, current.replace("\"format\":1,", ""));
    write(new, current.replace("\"format\":1,", "\"format\":9,"));
    write(killed, first_line(killed, 4) + &action_lines(0, 10) + "{\"torn");
    site.whole(&format!("/runs/{old}")).has("the event log has form 0; this fuseline reads form 1");
    site.whole(&format!("/runs/{new}")).has("the event log has form 9; this fuseline reads form 1");
    let page = site.whole(&format!("/runs/{killed}"));
    page.has(">killed</span>")
        .has("1 of 4 actions")
        .has("ended without a manifest")
        .lacks("data-events");
    site.end(&manifest(killed, 4));
    std::fs::write(site.cache.runs_folder().join(killed).join("manifest.json"), "{\"format\":2")
        .unwrap();
    site.get("/").has(">damaged</span>");
}

#[test]
fn runs_are_compared_side_by_side() {
    let site = Site::new();
    let runs = ["1800000000000000001-1", "1800000000000000002-1", "1800000000000000003-1"];
    for (number, run) in runs.iter().enumerate() {
        let mut manifest = manifest(run, 4);
        manifest.params.insert("folds".to_owned(), number.into());
        if number == 2 {
            manifest.actions.pop();
            manifest.actions[0].outputs.clear();
        }
        site.end(&manifest);
    }
    let page = site.whole(&format!("/compare?run={}&run={}&run={}", runs[2], runs[0], runs[1]));
    page.has("params.folds").has("From run 1 to run 2").has("4 actions the same, 0 changed");
    page.has("2 actions the same, 1 changed, 1 only before")
        .has("only one of the runs finished it");
    page.has("Runs without findings: 1, 2, 3.").has("nothing to compare gap by gap");
    site.get(&format!("/compare?run={}", runs[0])).has("Tick two to 8 runs");
}

/// A connection to a stream of events.
fn listen(site: &Site, path: &str) -> BufReader<TcpStream> {
    let mut socket = TcpStream::connect(site.host()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (host, cookie) = (site.host(), site.cookie());
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n").unwrap();
    BufReader::new(socket)
}

/// The name of the next event.
fn next_event(stream: &mut BufReader<TcpStream>) -> String {
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream has ended");
        if let Some(name) = line.strip_prefix("event: ") {
            return name.trim().to_owned();
        }
    }
}

#[test]
fn two_servers_do_not_take_each_others_port() {
    let site = Site::new();
    let port = site.host().split_once(':').unwrap().1.parse().unwrap();
    let cache = fuseline_cache::Cache::open(site.cache.folder()).unwrap();
    let error = fuseline_ui::Server::bind(cache, port).err().unwrap();
    assert!(error.to_string().contains(&format!("cannot listen at port {port}")), "{error}");
    let Answer(page) = site.get("/nowhere");
    assert!(page.contains("404"), "{page}");
}
