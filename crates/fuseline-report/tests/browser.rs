//! The report in a real browser, where Chromium is installed: its visible content, and that no
//! request leaves the file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod fixture;

use fuseline_report::Caution;
use fuseline_tests::axe::{axe, violations, violations_of_colours};
use fuseline_tests::devtools::{Browser, Page};
use fuseline_tests::{Need, skip};
use serde_json::Value;

fn skipped() {
    skip(Need::Browser, "chromium is not installed");
}

/// Opens every report of the gallery in turn; nothing happens where there is no browser.
fn in_browser(story: impl Fn(&str, &mut Page)) {
    let Some(mut browser) = Browser::start() else {
        return skipped();
    };
    for (name, data) in fixture::gallery() {
        let mut page = browser.open(&fuseline_report::html(&data));
        story(name, &mut page);
    }
}

/// Opens the StressID report alone.
fn on_stressid(story: impl Fn(&mut Page)) {
    match Browser::start() {
        Some(mut browser) => story(&mut browser.open(&fuseline_report::html(&fixture::stressid()))),
        None => skipped(),
    }
}

fn text(page: &mut Page, script: &str) -> String {
    match page.evaluate(script) {
        Value::String(text) => text,
        other => panic!("{script}: {other}"),
    }
}

fn number(page: &mut Page, script: &str) -> f64 {
    page.evaluate(script).as_f64().unwrap_or_else(|| panic!("{script} gave no number"))
}

#[test]
fn no_request_leaves_the_file_and_the_console_stays_empty() {
    in_browser(|name, page| {
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })");
        assert_eq!(page.complaints(), Vec::<String>::new(), "{name}");
        let requests = page.requests();
        assert_eq!(requests.len(), 1, "{name}: {requests:?}");
    });
}

#[test]
fn axe_finds_no_violation_in_light_and_dark() {
    let Some(script) = axe() else { return };
    in_browser(|name, page| {
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })");
        // Rows of a table are alike: what is wrong with one is wrong with the first ones.
        page.evaluate(
            "document.querySelectorAll('tbody').forEach(table => \
             Array.from(table.rows).slice(40).forEach(row => row.remove()))",
        );
        assert_eq!(violations(page, &script), "", "{name}");
        page.prefer_dark();
        assert_eq!(violations_of_colours(page, &script), "", "{name} in the dark");
    });
}

#[test]
fn axe_sees_what_is_wrong_with_a_page() {
    let Some(script) = axe() else { return };
    on_stressid(|page| {
        page.evaluate("document.documentElement.removeAttribute('lang')");
        assert!(violations(page, &script).contains("html-has-lang"));
        assert_eq!(violations_of_colours(page, &script), "");
        page.evaluate("document.querySelector('p').style = 'color: #eee; background: #fff'");
        assert!(violations_of_colours(page, &script).contains("color-contrast"));
    });
}

/// Faults of the figures in sight: empty ones, shapes outside the frame, texts on top of each
/// other.
const FIGURE_FAULTS: &str = "
(() => {
  const faults = [];
  for (const figure of document.querySelectorAll('svg')) {
    if (!figure.checkVisibility()) { continue; }
    const title = figure.querySelector('title').textContent;
    const frame = figure.getBoundingClientRect();
    if (frame.width < 50 || frame.height < 40) { faults.push(title + ' is empty'); continue; }
    for (const shape of figure.querySelectorAll('rect,circle,line,polyline,polygon,path,text')) {
      const box = shape.getBoundingClientRect();
      if (box.left < frame.left - 3 || box.right > frame.right + 3 || box.top < frame.top - 3 || \
      box.bottom > frame.bottom + 3) {
        faults.push(title + ' leaves its frame: ' + shape.outerHTML.slice(0, 160));
      }
    }
    const rules = Array.from(figure.querySelectorAll('line.zero,line.grid,line.band-edge'), line =>
      line.getBoundingClientRect()).filter(line => 1 > line.width);
    for (const text of figure.querySelectorAll('text')) {
      const box = text.getBoundingClientRect();
      if (rules.some(line => line.left > box.left + 1 && box.right - 1 > line.left &&
      line.bottom > box.top + 4 && box.bottom - 4 > line.top) && !text.matches('.halo')) {
        faults.push(title + ': a line strikes ' + text.textContent);
      }
    }
    const texts = Array.from(figure.querySelectorAll('text')).map(t => [t.textContent, \
    t.getBoundingClientRect()]);
    texts.sort((a, b) => a[1].top - b[1].top);
    texts.forEach(([one, a], index) => {
      for (let next = index + 1; next < texts.length; next++) {
        const [other, b] = texts[next];
        if (b.top > a.bottom - 4) { break; }
        if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1) {
          faults.push(title + ': ' + one + ' covers ' + other);
        }
      }
    });
  }
  return faults.slice(0, 500).join('\\n');
})()";

#[test]
fn every_figure_has_a_size_keeps_its_shapes_in_its_frame_and_its_texts_apart() {
    in_browser(|name, page| {
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })");
        assert_eq!(text(page, FIGURE_FAULTS), "", "{name}");
        page.resize(390, 844);
        assert_eq!(text(page, FIGURE_FAULTS), "", "{name} on a phone");
    });
}

#[test]
fn the_look_at_figures_sees_what_is_wrong_with_them() {
    on_stressid(|page| {
        let faults = |page: &mut Page, harm: &str| {
            page.evaluate(harm);
            text(page, FIGURE_FAULTS)
        };
        let style = "document.head.appendChild(document.createElement('style')).textContent = ";
        let large =
            faults(page, &format!("{style}'.figure text {{ font-size: 40px !important }}'"));
        assert!(large.contains("covers") && large.contains("leaves its frame"), "{large}");
        let struck = faults(
            page,
            "document.querySelectorAll('.halo').forEach(t => \
            t.classList.remove('halo'))",
        );
        assert!(struck.contains("a line strikes"), "{struck}");
        let empty = faults(page, &format!("{style}'.figure {{ height: 10px !important }}'"));
        assert!(empty.contains("is empty"), "{empty}");
    });
}

#[test]
fn nothing_but_marked_regions_is_wider_than_a_phone() {
    in_browser(|name, page| {
        page.resize(390, 844);
        let (wide, screen) = (
            number(page, "document.documentElement.scrollWidth"),
            number(page, "document.documentElement.clientWidth"),
        );
        assert!(wide <= screen, "{name}: {wide} > {screen}");
    });
}

#[test]
fn a_name_without_end_widens_no_page() {
    let Some(mut browser) = Browser::start() else { return skipped() };
    let mut data = fixture::stressid();
    let long = "x".repeat(900);
    data.asked.description = Some(long.clone());
    data.cautions.push(Caution { actions: vec![long.clone()], text: long.clone() });
    for row in &mut data.findings {
        for (_, label) in row.point.iter_mut().filter(|(_, label)| label == "margin") {
            label.clone_from(&long);
        }
    }
    for (width, open) in [(390, true), (390, false), (1280, true)] {
        let mut page = browser.open(&fuseline_report::html(&data));
        page.evaluate(&format!(
            "document.querySelectorAll('details').forEach(d => {{ d.open = {open}; }})"
        ));
        page.resize(width, 844);
        let wide = number(&mut page, "document.documentElement.scrollWidth");
        assert!(wide <= f64::from(width), "{wide} > {width}");
    }
}

#[test]
fn a_click_on_a_heading_sorts_and_the_second_turns_it_round() {
    on_stressid(|page| {
        let column = "Array.from(document.querySelectorAll('#findings-table thead th')).find(h => \
            h.textContent === 'gap (pp)')";
        let values = "Array.from(document.querySelectorAll('#findings-table tbody tr')).map(r => \
            Number(r.cells[4].dataset.value)).join()";
        let start = text(page, values);
        let parse =
            |text: String| -> Vec<f64> { text.split(',').map(|v| v.parse().unwrap()).collect() };
        page.evaluate(&format!("{column}.querySelector('button').click()"));
        let down = parse(text(page, values));
        assert!(down.is_sorted_by(|a, b| a >= b), "{down:?}");
        assert_eq!(text(page, &format!("{column}.getAttribute('aria-sort')")), "descending");
        page.evaluate(&format!("{column}.querySelector('button').click()"));
        let up = parse(text(page, values));
        assert!(up.is_sorted(), "{up:?}");
        page.evaluate(&format!("{column}.querySelector('button').click()"));
        assert_eq!(text(page, values), start);
    });
}

#[test]
fn filters_keep_the_rows_that_fit_and_say_how_many() {
    on_stressid(|page| {
        let shown = "Array.from(document.querySelectorAll('#findings-table tbody tr')).filter(r \
            => !r.hidden).map(r => r.id).join()";
        page.evaluate(
            "{ const f = document.getElementById('filter-text'); f.value = 'lr MARGIN'; \
             f.dispatchEvent(new Event('input')); }",
        );
        assert_eq!(text(page, shown), "finding-13");
        assert_eq!(
            text(page, "document.getElementById('filter-count').textContent"),
            "1 of 30 rows"
        );
        page.evaluate(
            "{ const f = document.getElementById('filter-text'); f.value = ''; \
                f.dispatchEvent(new Event('input'));
               const c = document.getElementById('filter-control'); c.value = 'positive'; \
               c.dispatchEvent(new Event('input')); }",
        );
        assert_eq!(
            text(page, "document.getElementById('filter-count').textContent"),
            "5 of 30 rows"
        );
        // A link from the grid to a hidden row shows it again.
        page.evaluate("document.querySelector('a[href=\"#finding-13\"]').click()");
        page.settle();
        assert_eq!(
            text(page, "document.getElementById('filter-count').textContent"),
            "30 of 30 rows"
        );
    });
}

#[test]
fn a_short_table_has_no_filters_and_a_row_alone_no_order() {
    let Some(mut browser) = Browser::start() else { return skipped() };
    let mut data = fixture::stressid();
    for (rows, filters, buttons) in [(30, "true", true), (5, "false", true), (1, "false", false)] {
        data.findings.truncate(rows);
        let mut page = browser.open(&fuseline_report::html(&data));
        let shown = "String(document.getElementById('filters').checkVisibility())";
        assert_eq!(text(&mut page, shown), filters, "{rows} rows");
        let order = number(&mut page, "document.querySelectorAll('#findings-table button').length");
        assert_eq!(order > 0.0, buttons, "{rows} rows");
    }
}

#[test]
fn on_paper_every_column_of_the_findings_fits_the_page_in_letters_that_can_be_read() {
    in_browser(|name, page| {
        let columns = "document.querySelectorAll('#findings-table thead th').length";
        let on_screen = number(page, columns);
        page.print();
        let tables = "Array.from(document.querySelectorAll('table.findings'))";
        let smallest = format!(
            "Math.min(99, ...{tables}.flatMap(t => Array.from(t.querySelectorAll('th,td'))).map(c \
             => parseFloat(getComputedStyle(c).fontSize)))"
        );
        // 7.5 pt.
        assert!(number(page, &smallest) >= 10.0, "{name}");
        let shown = "Array.from(document.querySelectorAll('#findings-table thead th, \
                     .on-paper thead th')).filter(c => c.checkVisibility()).map(c => c.textContent)";
        let shown = number(page, &format!("new Set({shown}).size"));
        assert_eq!(shown, on_screen, "{name}: columns");
        // Chromium would not repeat a heading on the next page that holds the box of a button.
        let boxes = "Array.from(document.querySelectorAll('thead button')).filter(b => \
            getComputedStyle(b).display !== 'contents').length";
        assert_eq!(number(page, boxes), 0.0, "{name}: boxes in headings");
        // A4 across, less its margins. Names may be as long as they like: the awkward report has
        // only those.
        let widest = number(page, &format!("Math.max(0, ...{tables}.map(t => t.offsetWidth))"));
        assert!(name == "awkward" || widest <= 277.0 / 25.4 * 96.0, "{name}: {widest} px");
    });
}

#[test]
fn on_paper_a_figure_that_can_be_read_on_one_page_is_on_one() {
    in_browser(|name, page| {
        page.print();
        let figures = "Array.from(document.querySelectorAll('svg.figure'))";
        let seen = format!("{figures}.filter(f => f.checkVisibility())");
        let fitting = "f => f.getAttribute('height') <= 2000";
        let highest = format!(
            "Math.max(0, ...{seen}.filter({fitting}).map(f => f.getBoundingClientRect().height))"
        );
        // A4, less margins, a heading and its caption.
        assert!(number(page, &highest) <= 240.0 / 25.4 * 96.0, "{name}");
    });
}

#[test]
fn the_dark_scheme_repaints_page_and_figures() {
    on_stressid(|page| {
        let colours = "getComputedStyle(document.documentElement).backgroundColor + \
            getComputedStyle(document.querySelector('svg text.heading')).fill";
        let light = text(page, colours);
        page.prefer_dark();
        let dark = text(page, colours);
        assert_eq!(
            (light.as_str(), dark.as_str()),
            ("rgb(255, 255, 255)rgb(26, 29, 33)", "rgb(20, 23, 28)rgb(232, 234, 237)")
        );
    });
}

#[test]
fn every_link_and_button_has_a_name_and_what_scrolls_is_in_reach_of_the_keyboard() {
    in_browser(|name, page| {
        let faults = text(
            page,
            "Array.from(document.querySelectorAll('a,button,input,select,[role=region]')).filter(e => {
               const name = (e.getAttribute('aria-label') || e.textContent || \
               e.closest('label')?.textContent || '').trim();
               return name === '' || e.tabIndex < 0;
             }).map(e => e.outerHTML.slice(0, 120)).join('\\n')",
        );
        assert_eq!(faults, "", "{name}");
    });
}
