//! The items of REFORMS: 32 in eight modules.

use super::facts::Facts;
use super::{Item, Items};

pub fn items(of: &Facts<'_>) -> Vec<Item> {
    let mut items = Items::default();

    items.section("1. Study goals");
    items.authors("1a", "Population or distribution that the claim is about");
    items.authors("1b", "Reason for this population or distribution");
    items.authors("1c", "Reason for using machine learning");

    items.section("2. Computational reproducibility");
    let link = "a link or DOI that identifies the data";
    items.add("2a", "Dataset, with a link or DOI", of.input_files(), link);
    let link = "a link or DOI that identifies this version of the code and of the workflow";
    items.add("2b", "Code, with a link or DOI of its version", of.code(), link);
    items.add("2c", "Computing infrastructure", of.compute(), "machines of steps before this run");
    let readme = of.reproduction().into_iter().take(1);
    let left = "the README itself; that of `fuseline report --ro-crate DIR` is a beginning";
    items.add("2d", "README with instructions", readme, left);
    items.add("2e", "Reproduction script for all results", of.reproduction(), "");

    items.section("3. Data quality");
    let left = "sources of training and evaluation data, when they were collected, and how labels \
                came about";
    items.add("3a", "Sources of the data and of ground truth", None, left);
    items.authors("3b", "Sampling frame");
    items.authors("3c", "Usefulness of the dataset for the modelling task");
    let left = "the definition of the outcome";
    items.add("3d", "Outcome variable, with descriptive statistics", of.classes(), left);
    let sizes = of.sample().into_iter().chain(of.classes());
    items.add("3e", "Sample size and frequencies of the outcome", sizes, "");
    let left = "the share of missing values in each class";
    items.add("3f", "Missing data, by class", of.missing(), left);
    items.authors("3g", "Representativeness for the population of 1a");

    items.section("4. Data preprocessing");
    let left = "examples that were left out before the workflow read the data, and why";
    items.add("4a", "Excluded samples and reasons", of.cautions(), left);
    let left = "what was impossible or corrupt before the workflow read the data";
    items.add("4b", "Impossible or corrupt samples", of.missing(), left);
    let left = "transformations before the workflow read the data";
    let steps = of.preparation().into_iter().chain(of.missing());
    items.add("4c", "Transformations from the raw data on", steps, left);

    items.section("5. Modelling");
    let models = of.models().into_iter().chain(of.hyperparameters());
    items.add(
        "5a",
        "Models that were trained",
        models,
        "architecture and training of other models",
    );
    items.authors("5b", "Reasons for the types of models");
    items.add(
        "5c",
        "Evaluation method: train-test splits or cross-validation folds",
        of.split(),
        "",
    );
    let left = "how the reported models were selected, if they were";
    items.add("5d", "Selection of the reported models", of.conditions(), left);
    let left = "how values other than defaults were chosen";
    items.add("5e", "Tuning of hyperparameters", of.hyperparameters(), left);
    let left = "why these are the right ones";
    items.add("5f", "Baselines", of.baselines(), left);

    items.section("6. Data leakage");
    let guard = of.leakage().into_iter().chain(of.split());
    let left = "steps before the workflow read the data";
    items.add("6a", "Preprocessing and modelling use training data alone", guard, left);
    let groups = of.sample().into_iter().chain(of.split().into_iter().take(1));
    let left = "duplicates, and dependence other than by group";
    items.add("6b", "Dependences and duplicates between training and test data", groups, left);
    let left = "why each feature is legitimate for the task";
    items.add("6c", "Legitimacy of the features", of.label_readers(), left);

    items.section("7. Metrics and uncertainty");
    let left = "why these metrics suit the task";
    items.add("7a", "Metrics", of.metrics(), left);
    items.add("7b", "Uncertainty and how it is computed", of.intervals(), "");
    let left = "why these tests, and whether their assumptions hold for the data";
    items.add("7c", "Statistical tests and their assumptions", of.tests(), left);

    items.section("8. Generalisability and limitations");
    items.authors("8a", "External validity");
    items.authors("8b", "Contexts in which the findings are not expected to hold");
    items.all
}
