//! The 16 questions of the NeurIPS paper checklist, by the names that its style file gives them.

use super::facts::Facts;
use super::{Item, Items};

pub fn items(of: &Facts<'_>) -> Vec<Item> {
    let mut items = Items::default();

    items.section("Claims and limitations");
    let left = "whether abstract and introduction claim no more";
    items.add("1", "Claims", of.answer(), left);
    items.add("2", "Limitations", of.cautions(), "limitations of the work");
    items.authors("3", "Theory assumptions and proofs");

    items.section("Experiments");
    let repeats = of.reproduction().into_iter().chain(of.seeds()).chain(of.code());
    let left = "what a reader needs besides this run";
    items.add("4", "Experimental result reproducibility", repeats, left);
    let open = of.reproduction().into_iter().take(1).chain(of.input_files());
    let left = "links to data and code, access to them, and what is not released";
    items.add("5", "Open access to data and code", open, left);
    let settings = of.split().into_iter().chain(of.models()).chain(of.hyperparameters());
    let left = "how hyperparameters were chosen, and the type of optimiser";
    items.add("6", "Experimental setting/details", settings, left);
    let significance = of.tests().into_iter().chain(of.intervals());
    let left = "sources of variability that the intervals do not hold";
    items.add("7", "Experiment statistical significance", significance, left);
    let left = "the total of the project, with runs that are not in the paper";
    items.add("8", "Experiments compute resources", of.compute(), left);

    items.section("Ethics and impact");
    items.authors("9", "Code of ethics");
    items.authors("10", "Broader impacts");
    items.authors("11", "Safeguards");

    items.section("Assets and people");
    let assets = of.input_files().into_iter().chain(of.code());
    let left = "creators, licences and terms of use of data, code and models";
    items.add("12", "Licenses for existing assets", assets, left);
    items.authors("13", "New assets");
    items.authors("14", "Crowdsourcing and research with human subjects");
    items.authors(
        "15",
        "Institutional review board (IRB) approvals or equivalent for research with human subjects",
    );
    items.authors("16", "Declaration of LLM usage");
    items.all
}
