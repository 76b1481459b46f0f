//! A workflow for CSV files that are there: their columns decide what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use crate::exit::Failure;

/// The files, and the columns that the user names.
pub struct Wanted<'a> {
    pub files: &'a [PathBuf],
    pub label: &'a str,
    pub id: Option<&'a str>,
    pub group: Option<&'a str>,
    pub quality: Option<&'a str>,
}

/// Texts that stand for a missing value, in lower case: those that `load.csv` takes so.
const MISSING: [&str; 8] = ["", "na", "n/a", "nan", "null", "none", "<na>", "#n/a"];
/// More distinct numbers than this are no classes, and are cut at their median.
const MAX_CLASSES: usize = 10;
/// Most folds, and most folds within the training rows of one.
const MAX_FOLDS: usize = 5;
const MAX_INNER_FOLDS: usize = 4;

/// A file as a table of texts.
struct Sheet {
    path: PathBuf,
    modality: String,
    delimiter: char,
    names: Vec<String>,
    /// Those of the names that the file does not say.
    unnamed: BTreeSet<String>,
    /// The cells of each column.
    columns: Vec<Vec<String>>,
}

impl Sheet {
    fn shown(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    fn rows(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    fn column(&self, name: &str) -> Option<&[String]> {
        let place = self.names.iter().position(|known| known == name)?;
        Some(&self.columns[place])
    }

    /// The cells of a column that the user names.
    fn wanted(&self, name: &str) -> Result<&[String], Failure> {
        self.column(name).ok_or_else(|| {
            let failure = Failure::wrong(format!("{} has no column `{name}`", self.shown()));
            let names = self.names.iter().map(String::as_str);
            failure.hint(fuseline::name_hint(name, "column", names).unwrap_or_default())
        })
    }
}

fn is_missing(cell: &str) -> bool {
    MISSING.contains(&cell.trim().to_lowercase().as_str())
}

fn is_number(cell: &str) -> bool {
    cell.trim().parse::<f64>().is_ok()
}

/// True if a column has numbers and nothing else but missing values.
fn is_numeric(cells: &[String]) -> bool {
    let mut there = cells.iter().filter(|cell| !is_missing(cell)).peekable();
    there.peek().is_some() && there.all(|cell| is_number(cell))
}

/// The distinct values that are not missing, each with its count.
fn counts(cells: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for cell in cells.iter().map(|cell| cell.trim()).filter(|cell| !is_missing(cell)) {
        *counts.entry(cell).or_default() += 1;
    }
    counts
}

fn read(path: &Path, taken: &mut BTreeSet<String>) -> Result<Sheet, Failure> {
    let wrong = |problem: String| Failure::wrong(format!("{}: {problem}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        wrong("it is no text in UTF-8".to_owned()).hint(
            "`load.csv` and `load.parquet` read more than this command looks into: begin with \
             `fuseline init --template bring-csv`",
        )
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let first = text.lines().next().unwrap_or_default();
    let count = |delimiter: &char| first.matches(*delimiter).count();
    let delimiter = [',', ';', '\t'].into_iter().rev().max_by_key(count).unwrap_or(',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter as u8)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut names: Vec<String> = match reader.headers() {
        Ok(names) => names.iter().map(str::to_owned).collect(),
        Err(error) => return Err(wrong(error.to_string())),
    };
    if names.iter().all(|name| is_number(name)) {
        return Err(
            wrong("the first line names no columns".to_owned()).hint("add a line with their names")
        );
    }
    if let Some(name) = names.iter().find(|name| name.contains("${{")) {
        return Err(wrong(format!("the column `{name}` would be read as an expression"))
            .hint("give it another name"));
    }
    if let Some((at, name)) =
        names.iter().enumerate().find(|(at, name)| !name.is_empty() && names[..*at].contains(*name))
    {
        let first = names.iter().position(|other| other == name).unwrap_or_default();
        let problem = format!("columns {} and {} are both called {name}", first + 1, at + 1);
        return Err(wrong(problem).hint("give one of them another name"));
    }
    // Readers call a column without a name by its number.
    let mut unnamed = BTreeSet::new();
    for (at, name) in names.iter_mut().enumerate().filter(|(_, name)| name.is_empty()) {
        *name = format!("c{at}");
        unnamed.insert(name.clone());
    }
    let mut columns = vec![Vec::new(); names.len()];
    for record in reader.records() {
        let record = record.map_err(|error| wrong(error.to_string()))?;
        for (column, cell) in columns.iter_mut().zip(record.iter()) {
            column.push(cell.to_owned());
        }
    }
    if columns.first().is_none_or(Vec::is_empty) {
        return Err(wrong("it has no rows".to_owned()));
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let stem: String = stem.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    let numbered = (2..).map(|number| format!("{stem}_{number}"));
    let modality =
        std::iter::once(stem.clone()).chain(numbered).find(|name| taken.insert(name.clone()));
    let modality = modality.unwrap_or(stem);
    Ok(Sheet { path: path.to_owned(), modality, delimiter, names, unnamed, columns })
}

/// The column of ids: the one that is named, or the first that all files have, whose values differ
/// and are no measurements; one without a name only where no other is there, as it may say how the
/// rows of a file were numbered. `None` where the number of the row must do.
fn id_column(wanted: &Wanted<'_>, sheets: &[Sheet]) -> Result<Option<String>, Failure> {
    let is_key = |cells: &[String]| {
        let distinct: BTreeSet<&String> = cells.iter().collect();
        distinct.len() == cells.len() && cells.iter().all(|cell| !is_missing(cell))
    };
    if let Some(name) = wanted.id {
        for sheet in sheets {
            if !is_key(sheet.wanted(name)?) {
                return Err(Failure::wrong(format!(
                    "the values of `{name}` in {} do not tell its rows apart",
                    sheet.shown()
                ))
                .hint(
                    "an example is one row; where several rows are one, begin with `fuseline init \
                     --template bring-csv` and give `load.csv` the option `pool`",
                ));
            }
        }
        return Ok(Some(name.to_owned()));
    }
    let named = [Some(wanted.label), wanted.group, wanted.quality];
    let is_measurement =
        |cells: &[String]| cells.iter().any(|cell| is_number(cell) && cell.contains('.'));
    let (unnamed, with_names): (Vec<_>, Vec<_>) =
        sheets[0].names.iter().partition(|name| sheets[0].unnamed.contains(*name));
    let found = with_names.into_iter().chain(unnamed).find(|name| {
        !named.contains(&Some(name.as_str()))
            && sheets.iter().all(|sheet| {
                sheet.column(name).is_some_and(|cells| is_key(cells) && !is_measurement(cells))
            })
    });
    if found.is_none() && sheets.iter().any(|sheet| sheet.rows() != sheets[0].rows()) {
        return Err(Failure::wrong("no column tells the examples apart in all files")
            .hint("name it with --id COLUMN"));
    }
    Ok(found.cloned())
}

/// Content of the files, as far as the workflow depends on it.
struct Study<'a> {
    wanted: &'a Wanted<'a>,
    sheets: Vec<Sheet>,
    id: Option<String>,
    /// The file with the label.
    labelled: usize,
    /// The label is a number that is cut at its median.
    is_cut: bool,
    quality: Option<String>,
    folds: usize,
    inner_folds: usize,
    /// Of each file, the columns that are no features.
    left_out: Vec<Vec<String>>,
    told: String,
}

/// The workflow, in which NAME stands for its name, and what was found, for people.
pub fn workflow(wanted: &Wanted<'_>, folder: &Path) -> Result<(String, String), Failure> {
    let study = look(wanted)?;
    let text = study.text(folder)?;
    Ok((text, study.told))
}

fn look<'a>(wanted: &'a Wanted<'a>) -> Result<Study<'a>, Failure> {
    let mut taken = BTreeSet::new();
    let sheets: Vec<Sheet> =
        wanted.files.iter().map(|file| read(file, &mut taken)).collect::<Result<_, _>>()?;
    let label = wanted.label;
    let labelled = sheets.iter().position(|sheet| sheet.column(label).is_some());
    let Some(labelled) = labelled else {
        return Err(match sheets[0].wanted(label) {
            Err(failure) => failure,
            Ok(_) => Failure::wrong(format!("no file has a column `{label}`")),
        });
    };
    let sheet = &sheets[labelled];
    let labels = sheet.wanted(label)?;
    let classes = counts(labels);
    let is_cut = classes.len() > MAX_CLASSES && is_numeric(labels);
    if classes.len() < 2 || (classes.len() > MAX_CLASSES && !is_cut) {
        let values = match classes.len() {
            1 => "one value".to_owned(),
            different => format!("{different} different values"),
        };
        let problem = format!("the label `{label}` has {values}");
        return Err(Failure::wrong(problem).hint(
            "a label has two classes or more, and each of them many examples; is it this column?",
        ));
    }
    let groups = match wanted.group {
        Some(group) => counts(sheet.wanted(group)?).len(),
        None => sheet.rows(),
    };
    if groups < 2 {
        let problem = format!("there are {groups} groups: none is left to be tested");
        return Err(Failure::wrong(problem).hint("name another column with --group"));
    }
    let folds = groups.min(MAX_FOLDS);
    let inner_folds = (groups - groups.div_ceil(folds)).clamp(1, MAX_INNER_FOLDS);
    if inner_folds < 2 {
        return Err(Failure::wrong(format!("{groups} groups are too few to fit anything"))
            .hint("training rows are divided again: four groups are the least"));
    }
    let id = id_column(wanted, &sheets)?;
    let quality = match wanted.quality {
        Some(name) => {
            sheets.iter().try_for_each(|sheet| sheet.wanted(name).map(drop))?;
            Some(name.to_owned())
        }
        None => Some("quality".to_owned())
            .filter(|name| sheets.iter().all(|sheet| sheet.column(name).is_some_and(is_numeric))),
    };
    let mut study = Study {
        wanted,
        id,
        labelled,
        is_cut,
        quality,
        folds,
        inner_folds,
        left_out: Vec::new(),
        told: String::new(),
        sheets,
    };
    study.tell()?;
    Ok(study)
}

impl Study<'_> {
    /// Finds the features of each file, and says what was found.
    fn tell(&mut self) -> Result<(), Failure> {
        let named = [Some(self.wanted.label), self.wanted.group];
        let mut told = String::new();
        for sheet in &self.sheets {
            let (mut left_out, mut texts, mut features) = (Vec::new(), Vec::new(), 0);
            for (name, cells) in sheet.names.iter().zip(&sheet.columns) {
                if self.id.as_ref() == Some(name) || sheet.unnamed.contains(name) {
                    continue;
                }
                let is_named = named.contains(&Some(name.as_str()));
                if is_named || !is_numeric(cells) {
                    left_out.push(name.clone());
                    texts.extend((!is_named).then(|| name.clone()));
                } else if self.quality.as_ref() != Some(name) {
                    features += 1;
                }
            }
            if features == 0 {
                let problem =
                    format!("{} has no column of numbers that could be a feature", sheet.shown());
                let has_commas = |cells: &Vec<String>| {
                    let cells: Vec<_> = cells.iter().map(|cell| cell.replace(',', ".")).collect();
                    is_numeric(&cells)
                };
                let advice = match sheet.columns.iter().any(has_commas) {
                    true => {
                        "its numbers have decimal commas: begin with `fuseline init --template \
                             bring-csv` and give `load.csv` the option `decimal`"
                    }
                    false => "a feature is a column of numbers alone, or of numbers and gaps",
                };
                return Err(Failure::wrong(problem).hint(advice));
            }
            let id = self.id.as_ref().map_or("by their number".to_owned(), |id| format!("by {id}"));
            let rows = sheet.rows();
            let _ = write!(told, "{}: {rows} examples {id}, {features} features", sheet.shown());
            if let Some(quality) = &self.quality {
                let _ = write!(told, ", quality in {quality}");
            }
            if !texts.is_empty() {
                let _ = write!(told, "; no features: {}", texts.join(", "));
            }
            told.push('\n');
            self.left_out.push(left_out);
        }
        self.tell_of_join()?;
        let labels = counts(self.sheets[self.labelled].wanted(self.wanted.label)?);
        let of_each: Vec<_> =
            labels.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let label = self.wanted.label;
        told += &match self.is_cut {
            true => format!("label {label}: {} numbers, cut at their median\n", labels.len()),
            false => format!("label {label}: {}\n", of_each.join(", ")),
        };
        match self.wanted.group {
            Some(group) => {
                let groups = counts(self.sheets[self.labelled].wanted(group)?).len();
                let _ = writeln!(told, "group {group}: {groups}, never split");
            }
            None => {
                told += "every example is a group of its own: name the column of persons with \
                         --group where one has several\n"
            }
        }
        if let [_] = self.sheets.as_slice() {
            told += "one modality: nothing is fused until there is a second; give --from once for \
                     each\n";
        }
        self.told = told;
        Ok(())
    }

    /// An error when files share no example.
    fn tell_of_join(&self) -> Result<(), Failure> {
        let Some(id) = &self.id else { return Ok(()) };
        let first: BTreeSet<&String> = self.sheets[0].wanted(id)?.iter().collect();
        for sheet in &self.sheets[1..] {
            let cells = sheet.wanted(id)?;
            if !cells.iter().any(|cell| first.contains(cell)) {
                let (one, other) = (&self.sheets[0], sheet);
                return Err(Failure::wrong(format!(
                    "{} and {} share no value of `{id}`: `{}` there, `{}` here",
                    one.shown(),
                    other.shown(),
                    one.wanted(id)?[0],
                    cells[0]
                ))
                .hint("name another column with --id, or write ids in one way"));
            }
        }
        Ok(())
    }

    fn text(&self, folder: &Path) -> Result<String, Failure> {
        let Self { wanted, sheets, folds, inner_folds, .. } = self;
        let id = match &self.id {
            Some(id) => format!("{{ column: {} }}", yaml(id)),
            None => "{ row: true }".to_owned(),
        };
        let mut paths = Vec::new();
        for sheet in sheets {
            paths.push(yaml(&relative(&sheet.path, folder)?));
        }
        let is_same = |of: &dyn Fn(usize) -> String| (1..sheets.len()).all(|at| of(at) == of(0));
        let delimiter = |at: usize| sheets[at].delimiter.to_string();
        let left_out = |at: usize| self.left_out[at].join("|");
        let (one_delimiter, one_exclusion) = (is_same(&delimiter), is_same(&left_out));
        let mut modalities = String::new();
        for (at, (sheet, path)) in sheets.iter().zip(&paths).enumerate() {
            let mut fields = format!("file: {path}");
            if !one_delimiter {
                let _ = write!(fields, ", delimiter: {}", quoted(&delimiter(at)));
            }
            if !one_exclusion {
                let _ = write!(fields, ", no_feature: {}", quoted(&left_out(at)));
            }
            let _ = writeln!(modalities, "    {}: {{ {fields} }}", yaml(&sheet.modality));
        }
        let list = |names: &[String]| {
            format!("[{}]", names.iter().map(|name| yaml(name)).collect::<Vec<_>>().join(", "))
        };
        let mut load = format!("      path: ${{{{ modality.file }}}}\n      id: {id}\n");
        if !one_delimiter {
            load += "      delimiter: ${{ modality.delimiter }}\n";
        } else if sheets[0].delimiter != ',' {
            let _ = writeln!(load, "      delimiter: {}", quoted(&delimiter(0)));
        }
        if !one_exclusion {
            load += "      columns:\n        exclude: ${{ split(modality.no_feature, '|') if \
                     modality.no_feature != '' else [] }}\n";
        } else if !self.left_out[0].is_empty() {
            let _ = writeln!(load, "      columns: {{ exclude: {} }}", list(&self.left_out[0]));
        }
        let labelled = &sheets[self.labelled];
        let mut table = format!("{{ path: {}, id: {id}", paths[self.labelled]);
        if labelled.delimiter != ',' {
            let _ = write!(table, ", delimiter: {}", quoted(&labelled.delimiter.to_string()));
        }
        table += " }";
        let label = yaml(wanted.label);
        let label = match self.is_cut {
            true => {
                format!("{{ column: {label}, quantile: {{ at: [0.5], classes: [low, high] }} }}")
            }
            false => format!("{{ column: {label} }}"),
        };
        let group = wanted.group.map_or_else(String::new, |group| {
            let group = yaml(group);
            format!(
                "      group: {{ column: {group} }}            # never split between training and \
                 test\n"
            )
        });
        let (estimators, exclude, options) = match self.quality.as_deref() {
            None => (
                "[margin, in_distribution, constant, aligned, random]".to_owned(),
                String::new(),
                "",
            ),
            Some("quality") => (
                "[column, in_distribution, constant, aligned, random]".to_owned(),
                ", exclude: [quality]".to_owned(),
                "",
            ),
            Some(name) => (
                format!(
                    "\n    column: {{ column: {} }}\n    in_distribution: {{}}\n    \
                     constant: {{}}\n    aligned: {{}}\n    random: {{}}",
                    yaml(name)
                ),
                format!(", exclude: [{}]", yaml(name)),
                "\n    with: { column: \"${{ quality.column }}\" }   # for the member that has the \
                 option",
            ),
        };
        let estimators = match estimators.starts_with('\n') {
            true => estimators,
            false => format!(" {estimators}"),
        };
        let (folds, inner_folds) = (folds.to_string(), inner_folds.to_string());
        let mut text = String::new();
        for (place, piece) in TEMPLATE.split('@').enumerate() {
            text += match piece {
                piece if place % 2 == 0 => piece,
                "folds" => &folds,
                "inner_folds" => &inner_folds,
                "modalities" => &modalities,
                "estimators" => &estimators,
                "load" => &load,
                "table" => &table,
                "group" => &group,
                "label" => &label,
                "exclude" => &exclude,
                "options" => options,
                other => unreachable!("the template has no part {other}"),
            };
        }
        Ok(text)
    }
}

/// The workflow, with its parts between signs `@`.
const TEMPLATE: &str = include_str!("from.yaml");

/// A path relative to a folder, which need not be there yet.
fn relative(path: &Path, folder: &Path) -> Result<String, Failure> {
    let whole = |path: &Path| {
        let here = std::env::current_dir().map_err(|error| {
            Failure::wrong(format!("the working directory cannot be told: {error}"))
        })?;
        let path = here.join(path);
        let mut whole = PathBuf::new();
        for component in path.components() {
            match component {
                Component::CurDir => {}
                Component::ParentDir => _ = whole.pop(),
                other => whole.push(other),
            }
        }
        Ok::<_, Failure>(whole)
    };
    let (path, folder) = (whole(path)?, whole(folder)?);
    let shared = path.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    let relative: PathBuf = up.chain(path.components().skip(shared)).collect();
    match relative.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Failure::wrong(format!("{} is no path in UTF-8", path.display()))),
    }
}

/// A text as a YAML scalar that is read as text, within brackets too.
fn yaml(text: &str) -> String {
    let is_plain = (text.starts_with(|c: char| c.is_ascii_alphabetic()) || text.starts_with("../"))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str())
        && !is_number(text);
    if is_plain { text.to_owned() } else { quoted(text) }
}

/// A text in double quotes; JSON's are YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_texts_in_yaml_and_paths_lead_from_the_folder() {
        for (text, written) in [
            ("pitch", "pitch"),
            ("../data/a-1.csv", "../data/a-1.csv"),
            ("no", "\"no\""),
            ("1e3", "\"1e3\""),
            ("a, b", "\"a, b\""),
            (".inf", "\".inf\""),
            ("q: 1", "\"q: 1\""),
        ] {
            assert_eq!(yaml(text), written);
        }
        let lead = |path: &str, folder: &str| relative(Path::new(path), Path::new(folder)).unwrap();
        assert_eq!(lead("/a/b/c.csv", "/a/d"), "../b/c.csv");
        assert_eq!(lead("/a/b/c.csv", "/a/b"), "c.csv");
        assert_eq!(lead("./x/../c.csv", "study"), "../c.csv");
    }
}
