//! The pages in a real browser, where Chromium is installed: nothing is asked of others, nothing is
//! complained of.

use std::fs::File;
use std::io::Write;

use crate::site::{Site, action_lines, first_line, manifest};
use fuseline_artifact::{Finding, Findings, Typed as _};
use fuseline_cache::{ActionRecord, OutputRecord};
use fuseline_report::ReportData;
use fuseline_tests::axe::{axe, violations};
use fuseline_tests::devtools::{Browser, Page};
use fuseline_tests::{Need, skip};
use fuseline_workflow::StageIndex;
use serde_json::Value;

const RUN: &str = "1800000000000000001-7";

fn text(page: &mut Page<'_>, script: &str) -> String {
    match page.evaluate(script) {
        Value::String(text) => text,
        other => panic!("{script}: {other}"),
    }
}

fn origin(site: &Site) -> String {
    format!("http://{}", site.host())
}

#[test]
fn every_page_is_quiet_fits_a_phone_and_can_be_used_by_the_keyboard() {
    let Some(mut browser) = Browser::start() else {
        return skip(Need::Browser, "chromium is not installed");
    };
    let script = axe();
    let site = Site::new();
    let other = "1800000000000000002-7";
    for (run, gap) in [(RUN, 0.02), (other, 0.05)] {
        let mut manifest = manifest(run, 120);
        manifest.stages[StageIndex(0)].outputs[0].1 = "findings".to_owned();
        let row = Finding { gap, point: vec!["lr".to_owned()], ..Finding::default() };
        let findings = Findings {
            axes: vec!["rule".to_owned()],
            modalities: Vec::new(),
            settings: Vec::new(),
            group_counts: None,
            rows: vec![row],
        };
        let bytes = findings.into_artifact().unwrap().encode().unwrap();
        manifest.actions[0].outputs = vec![site.cache.put_object(&bytes).unwrap()];
        manifest.actions[3].state = "failed".to_owned();
        manifest.actions[3].error = Some("it broke".to_owned());
        manifest.params.insert("folds".to_owned(), run.into());
        site.end(&manifest);
    }
    let mut page = browser.open_address(&site.address);
    // The page that sets the cookie leads on by itself.
    page.wait_for_loads(2);
    assert_eq!(text(&mut page, "document.querySelector('h1').textContent"), "Runs");
    assert_eq!(text(&mut page, "location.search + document.cookie"), "");
    let paths = [
        "/".to_owned(),
        format!("/runs/{RUN}"),
        format!("/runs/{RUN}/stages/0"),
        format!("/runs/{RUN}/actions/3"),
        format!("/runs/{RUN}/actions/0/outputs/0"),
        format!("/runs/{RUN}/actions/1/outputs/0"),
        format!("/runs/{RUN}/failed"),
        format!("/compare?run={RUN}&run={other}"),
        "/cache".to_owned(),
        "/nowhere".to_owned(),
    ];
    for path in &paths {
        page.go(&format!("{}{path}", origin(&site)));
        let waits = "String(document.querySelector('[data-again]') !== null)";
        while text(&mut page, waits) == "true" {
            page.settle();
        }
        if path.starts_with("/compare") {
            assert_eq!(text(&mut page, "document.querySelector('svg .halo').textContent"), "lr");
        }
        let faults = text(
            &mut page,
            "Array.from(document.querySelectorAll('a,button,input,[role=region]')).filter(e => {
               const name = (e.getAttribute('aria-label') || e.textContent || '').trim();
               return name === '' || e.tabIndex < 0;
             }).map(e => e.outerHTML.slice(0, 120)).concat(
             Array.from(document.querySelectorAll('table')).filter(t => !t.caption || !t.tHead ||
               Array.from(t.querySelectorAll('th')).some(h => !h.scope)).map(t => \
               t.outerHTML.slice(0, 120)),
             document.querySelectorAll('h1').length === 1 ? [] : ['headings'],
             document.querySelector('main') && document.documentElement.lang ? [] : ['landmarks']
             ).join('\\n')",
        );
        assert_eq!(faults, "", "{path}");
        if let Some(script) = &script {
            assert_eq!(violations(&mut page, script), "", "{path}");
            page.prefer_dark();
            assert_eq!(violations(&mut page, script), "", "{path} in the dark");
            page.prefer_light();
        }
        page.resize(390, 844);
        let widths =
            "String(document.documentElement.scrollWidth <= document.documentElement.clientWidth)";
        assert_eq!(text(&mut page, widths), "true", "{path} is wider than a phone");
        page.resize(1280, 1000);
    }
    let complaints: Vec<String> =
        page.complaints().into_iter().filter(|of| !of.contains("404")).collect();
    assert_eq!(complaints, Vec::<String>::new());
    let foreign: Vec<String> =
        page.requests().into_iter().filter(|request| !request.contains(&origin(&site))).collect();
    assert_eq!(foreign, Vec::<String>::new());
}

#[test]
fn a_report_out_of_the_cache_runs_its_script_and_nothing_else() {
    let Some(mut browser) = Browser::start() else {
        return skip(Need::Browser, "chromium is not installed");
    };
    let site = Site::new();
    let rows = || (0..9).map(|_| fuseline_report::FindingRow::default());
    let data = ReportData { findings: rows().collect(), ..ReportData::default() };
    let html = fuseline_report::html(&data);
    let digest = site.cache.put_object(html.as_bytes()).unwrap();
    let mut run = manifest(RUN, 1);
    run.stages[StageIndex(0)].outputs[0].1 = "report".to_owned();
    run.actions[0].outputs = vec![digest];
    let output = OutputRecord {
        port: "main".to_owned(),
        kind: "report".to_owned(),
        digest,
        size: html.len() as u64,
        media_type: Some("text/html".to_owned()),
    };
    let record = ActionRecord { outputs: vec![output], ..ActionRecord::default() };
    site.cache.put_action(&run.actions[0].key.unwrap(), &record).unwrap();
    site.end(&run);
    let mut page = browser.open_address(&site.address);
    page.wait_for_loads(2);
    let address = format!("{}/runs/{RUN}/actions/0/outputs/0", origin(&site));
    page.go(&address);
    page.go(&format!("{address}/raw"));
    let count = text(&mut page, "document.getElementById('filter-count').textContent");
    assert_eq!(count, "9 of 9 rows");
    assert_eq!(page.complaints(), Vec::<String>::new());
    page.evaluate("document.body.appendChild(document.createElement('script')).text = 'done = 1'");
    assert_eq!(text(&mut page, "typeof done"), "undefined");
    let refused = page.complaints();
    assert!(refused.iter().all(|said| said.contains("script-src")), "{refused:?}");
}

#[test]
fn the_page_of_a_run_goes_on_with_it_and_the_dark_scheme_repaints_it() {
    let Some(mut browser) = Browser::start() else {
        return skip(Need::Browser, "chromium is not installed");
    };
    let site = Site::new();
    let folder = site.cache.new_run(RUN).unwrap();
    let mut log = File::create(folder.join("events.jsonl")).unwrap();
    log.write_all(first_line(RUN, 4).as_bytes()).unwrap();
    let mut page = browser.open_address(&site.address);
    page.wait_for_loads(2);
    page.go(&format!("{}/runs/{RUN}", origin(&site)));
    let shows = |page: &mut Page<'_>, words: &str| {
        for _ in 0..100 {
            if text(page, "document.getElementById('live').textContent").contains(words) {
                return;
            }
            page.settle();
        }
        panic!("the page never shows {words}");
    };
    shows(&mut page, "0 of 4 actions");
    // The focus stays where it was when the page is renewed.
    page.evaluate("document.querySelector('#live table a').focus()");
    log.write_all(action_lines(0, 10).as_bytes()).unwrap();
    shows(&mut page, "1 of 4 actions");
    assert_eq!(text(&mut page, "document.activeElement.textContent"), "fusion");
    site.end(&manifest(RUN, 4));
    shows(&mut page, "2 executed, 2 cached");
    assert_eq!(
        text(&mut page, "document.getElementById('news').textContent"),
        "The run has ended."
    );
    assert_eq!(page.complaints(), Vec::<String>::new());
    let ground = "getComputedStyle(document.documentElement).backgroundColor";
    let light = text(&mut page, ground);
    page.prefer_dark();
    assert_ne!(text(&mut page, ground), light);
}
