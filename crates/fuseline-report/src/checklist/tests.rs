use std::collections::BTreeSet;

use super::*;
use crate::data::{FileUsed, ReportData, RunUsed};
use crate::fixture;

fn data() -> ReportData {
    let mut data = fixture::stressid();
    data.provenance.run = Some(RunUsed {
        id: "17".to_owned(),
        started: "2026-06-24 10:00:00Z".to_owned(),
        seconds: 151.0,
        cpu_seconds: Some(240.0),
        actions: 442,
        executed: 400,
        peak_memory: Some(2_400_000_000),
        machine: "linux on x86_64, 2 processors, 16.0 GB of memory".to_owned(),
    });
    data.provenance.files = vec![FileUsed {
        role: "input".to_owned(),
        name: "labels_50%.csv".to_owned(),
        digest: "0123456789abcdef".repeat(4),
        size: Some(12_345),
        stages: vec!["cohort".to_owned()],
    }];
    data.classes = vec![("rest".to_owned(), 53), ("stress".to_owned(), 317)];
    data
}

/// The items as their sources count them: 32, 16, and 27 with parts.
#[test]
fn every_item_is_there_once_and_in_order() {
    for (checklist, items, numbers) in
        [(Checklist::Reforms, 32, 8), (Checklist::Neurips, 16, 16), (Checklist::TripodAi, 52, 27)]
    {
        let all = checklist.items(&data());
        let seen: BTreeSet<&str> = all.iter().map(|item| item.number).collect();
        assert_eq!((all.len(), seen.len()), (items, items), "{checklist:?}");
        let digits = |number: &str| number.trim_end_matches(char::is_alphabetic).parse::<u32>();
        let order: Vec<u32> = all.iter().map(|item| digits(item.number).unwrap()).collect();
        assert!(order.is_sorted(), "{checklist:?}");
        let whole: BTreeSet<u32> = order.into_iter().collect();
        assert_eq!(whole, (1..=numbers).collect(), "{checklist:?}");
    }
}

#[test]
fn what_was_recorded_is_said_with_its_place_and_the_rest_is_left_open() {
    let text = checklist_markdown(&data(), Checklist::Reforms);
    for said in [
        "**2a** Dataset, with a link or DOI (recorded in part)",
        "- 1 file was read: labels\\_50%.csv (12.3\u{a0}kB, 0123456789ab).",
        "- Classes of the outcome in the cohort: rest: 53 (14.3 %), stress: 317 (85.7 %).",
        "linux on x86\\_64, 2 processors, 16.0 GB of memory",
        "took 2.5 minutes; 400 of its 442 actions were executed, in 4.0 minutes of processor time",
        "**8a** External validity\n\n- [ ] To be filled in by the authors\n",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    let nothing = checklist_markdown(&ReportData::default(), Checklist::Reforms);
    for not_so in ["was read", "Classes of the outcome", "coordinated", "Decisions are compared"] {
        assert!(!nothing.contains(not_so), "{not_so}");
    }
}

#[test]
fn neurips_answers_are_left_to_the_authors() {
    let text = checklist_latex(&data(), Checklist::Neurips);
    assert_eq!(text.matches("Answer: \\answerTODO{}").count(), 16);
    assert_eq!(text.matches("\\answerYes").count(), 0);
}

#[test]
fn names_of_the_data_stay_text() {
    let awkward = fixture::awkward();
    for checklist in [Checklist::Reforms, Checklist::Neurips, Checklist::TripodAi] {
        let text = checklist_markdown(&awkward, checklist);
        assert!(!text.contains("<script>") && text.contains("\\<script\\>"), "{text}");
        let latex = checklist_latex(&awkward, checklist);
        let begun = latex.matches("\\begin{").count();
        assert_eq!(begun, latex.matches("\\end{").count());
        let open = latex.replace("\\{", "").replace("\\}", "");
        assert_eq!(open.matches('{').count(), open.matches('}').count(), "{latex}");
    }
}
