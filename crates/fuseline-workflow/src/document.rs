//! The sections of a workflow file and of the files that it includes, before anything in them is
//! understood.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::codes;
use crate::diagnostic::{Diagnostic, Fix};
use crate::expression::has_expression;
use crate::files::{FileId, Files, Place};
use crate::index::{AxisIndex, IndexVec};
use crate::limits::Limits;
use crate::names::{self, NameMap};
use crate::stage::has_key;
use crate::yaml::{self, Data, Entry, Node};

/// A named definition, with the folder of its file.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub name: String,
    pub name_place: Place,
    pub value: Node,
    /// The folder that relative paths in it are relative to.
    pub folder: PathBuf,
    /// True if it comes from an included file: such pieces may stay unused.
    pub included: bool,
}

/// All sections. A missing or misshapen one has been reported, and is empty here.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub name: Option<Node>,
    pub description: Option<Node>,
    pub seed: Option<Node>,
    pub params: Vec<Definition>,
    pub axes: IndexVec<AxisIndex, Definition>,
    pub stages: Vec<Definition>,
    /// `None` when there is no such section.
    pub outputs: Option<Vec<Entry>>,
    /// Folders and files that are searched for plugins, each with the folder of its file.
    pub plugins: Vec<(Node, PathBuf)>,
    /// Files of rules by the ids that they must have, each with the folder of its file.
    pub rule_files: Vec<(Entry, PathBuf)>,
    pub isolation: Option<Node>,
    pub sandbox: Option<Node>,
    pub limits: Option<Node>,
    /// The interpreter of Python programs, with the folder of its file.
    pub python: Option<(Node, PathBuf)>,
    pub env: Option<Node>,
    /// The sections, of those that define names, that are no mappings, in any file.
    pub misshapen: Vec<&'static str>,
}

/// Reads a file by its path.
pub(crate) type Loader<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// The version of the language.
pub const LANGUAGE_VERSION: u64 = 1;

pub(crate) const ROOT_KEYS: [&str; 15] = [
    "fuseline",
    "name",
    "description",
    "seed",
    "include",
    "params",
    "axes",
    "stages",
    "outputs",
    "plugins",
    "isolation",
    "sandbox",
    "limits",
    "python",
    "env",
];
/// The sections whose entries are defined by name, in any file.
const SECTIONS: [&str; 3] = ["params", "axes", "stages"];
const INCLUDED_KEYS: [&str; 7] =
    ["fuseline", "name", "description", "include", "params", "axes", "stages"];

/// Reads the sections of a workflow file and of everything that it includes.
pub(crate) struct Reader<'a> {
    pub files: &'a mut Files,
    pub limits: &'a Limits,
    pub loader: Loader<'a>,
    pub found: &'a mut Vec<Diagnostic>,
    document: Document,
    /// Of each section, the place of every name in its list.
    defined: [NameMap<String, usize>; SECTIONS.len()],
    /// The files that are being read, from the workflow inwards, then those that were read.
    open: Vec<PathBuf>,
    done: Vec<PathBuf>,
}

impl<'a> Reader<'a> {
    pub fn new(
        files: &'a mut Files,
        limits: &'a Limits,
        loader: Loader<'a>,
        found: &'a mut Vec<Diagnostic>,
    ) -> Self {
        let (open, done) = (Vec::new(), Vec::new());
        let (document, defined) = Default::default();
        Self { files, limits, loader, found, document, defined, open, done }
    }

    /// Reads the workflow; `path` is absolute. `None` when its sections cannot be read.
    pub fn read(mut self, file: FileId, path: &Path) -> Option<Document> {
        self.file(file, path, false)?;
        Some(self.document)
    }

    fn file(&mut self, file: FileId, path: &Path, included: bool) -> Option<()> {
        let before = self.found.len();
        let mut root = yaml::parse(file, self.files, self.limits, self.found)?;
        let misplaced = section_within_another(&root, self.files);
        if let Some(mistake) = misplaced.or_else(|| stages_within_another(&root, self.files)) {
            // Its entries were taken for entries of the other, and may be there twice.
            self.found.truncate(before);
            self.found.push(mistake);
            return None;
        }
        let sections = take_sections(&mut root);
        let what = if included { "an included file" } else { "a workflow" };
        let entries = root.mapping(what, self.found)?;
        let known = if included { &INCLUDED_KEYS[..] } else { &ROOT_KEYS[..] };
        let mut meaningful = known.to_vec();
        for entry in
            entries.iter().filter(|entry| included && ROOT_KEYS.contains(&entry.key.as_str()))
        {
            if !known.contains(&entry.key.as_str()) {
                meaningful.push(&entry.key);
                let message = format!("`{}` has no meaning in an included file", entry.key);
                self.found
                    .push(Diagnostic::error(codes::UNKNOWN_KEY, &entry.key_place, message).hint(
                        format!("an included file has {}", names::list(&INCLUDED_KEYS[3..])),
                    ));
            }
        }
        unknown_keys(entries, what, &meaningful, self.found);
        let get = |key: &str| entries.iter().find(|entry| entry.key == key);
        self.version(get("fuseline"), &root, included);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        self.open.push(path.to_owned());
        let whole = match get("include") {
            Some(entry) => self.include(&entry.value, &folder),
            None => !is_misspelt("include", entries, known),
        };
        if !whole {
            // What was not read may define any name.
            self.document.misshapen.extend(SECTIONS);
        }
        self.open.pop();
        self.done.push(path.to_owned());
        for (section, definitions) in sections.into_iter().enumerate() {
            let name = SECTIONS[section];
            let is_lost = match get(name) {
                Some(entry) => {
                    !entry.value.is_null()
                        && entry.value.mapping(&format!("`{name}`"), self.found).is_none()
                }
                None => is_misspelt(name, entries, known),
            };
            if is_lost {
                self.document.misshapen.push(name);
            }
            for entry in definitions {
                self.define(section, entry, &folder, included);
            }
        }
        if included {
            // They say what the piece is, and mean nothing for the workflow.
            for key in ["name", "description"] {
                if let Some(entry) = get(key) {
                    entry.value.text(&format!("`{key}`"), self.found);
                }
            }
            return Some(());
        }
        let start = root.place.span.start;
        let start = Place::new(file, start..start);
        let first = get("fuseline").map_or(&start, |entry| &entry.key_place);
        if get("name").is_none() && !is_misspelt("name", entries, known) {
            let place = first;
            self.found.push(
                missing_key("a workflow", "name", place)
                    .hint("`name: my_experiment` names the folder of its results".to_owned()),
            );
        }
        match get("stages") {
            Some(entry) if self.document.stages.is_empty() => self.found.push(Diagnostic::error(
                codes::MISSING_KEY,
                &entry.key_place,
                "there is no stage",
            )),
            Some(_) => {}
            None => {
                self.document.misshapen.push("stages");
                if !is_misspelt("stages", entries, known) {
                    self.found.push(missing_key("a workflow", "stages", first));
                }
            }
        }
        let value = |key: &str| get(key).map(|entry| entry.value.clone());
        self.document.name = value("name");
        self.document.description = value("description");
        self.document.seed = value("seed");
        self.document.isolation = value("isolation");
        self.document.sandbox = value("sandbox");
        self.document.limits = value("limits");
        self.document.env = value("env");
        self.document.python = value("python").map(|node| (node, folder.clone()));
        if let Some(outputs) = get("outputs").filter(|entry| !entry.value.is_null()) {
            let entries = outputs.value.mapping("`outputs`", self.found);
            self.document.outputs = entries.map(<[Entry]>::to_vec);
        }
        if let Some(plugins) = get("plugins").filter(|entry| !entry.value.is_null()) {
            self.plugins(&plugins.value, &folder);
        }
        Some(())
    }

    /// Reads `plugins`: a list of paths, among which may be mappings of ids to files, or one such
    /// mapping.
    fn plugins(&mut self, value: &Node, folder: &Path) {
        let items = match &value.data {
            Data::Mapping(_) => std::slice::from_ref(value),
            _ => value.sequence("`plugins`", self.found).unwrap_or_default(),
        };
        for item in items {
            match &item.data {
                Data::Mapping(entries) => {
                    let files = entries.iter().map(|entry| (entry.clone(), folder.to_owned()));
                    self.document.rule_files.extend(files);
                }
                _ => self.document.plugins.push((item.clone(), folder.to_owned())),
            }
        }
    }

    fn version(&mut self, entry: Option<&Entry>, root: &Node, included: bool) {
        let Some(entry) = entry else {
            let start = root.place.span.start;
            let place = Place::new(root.place.file, start..start);
            if !included {
                let message = "the version of the language is missing";
                self.found.push(
                    Diagnostic::error(codes::VERSION, &place, message)
                        .hint("start the file with `fuseline: 1`".to_owned()),
                );
            }
            return;
        };
        let text = entry.value.scalar().map(|scalar| scalar.text.as_str());
        if text == Some("1") {
            return;
        }
        let (message, hint) = match text.and_then(|text| text.parse::<f64>().ok()) {
            Some(version) if version > LANGUAGE_VERSION as f64 => (
                format!("this program knows version 1 of the language, not {version}"),
                "a newer fuseline is needed",
            ),
            _ => (
                format!("the version must be 1, not {}", entry.value.describe()),
                "write `fuseline: 1`",
            ),
        };
        self.found.push(
            Diagnostic::error(codes::VERSION, &entry.value.place, message).hint(hint.to_owned()),
        );
    }

    /// Reads files; false if one of them could not be read.
    fn include(&mut self, value: &Node, folder: &Path) -> bool {
        let Some(items) = value.sequence("`include`", self.found) else { return false };
        let mut whole = true;
        for item in items {
            let Some(text) = item.text("an included file", self.found) else {
                whole = false;
                continue;
            };
            if has_expression(text) {
                let message = "an included file cannot depend on an expression";
                self.found.push(Diagnostic::error(codes::EXPRESSION_PLACE, &item.place, message));
                whole = false;
                continue;
            }
            let path = absolute(folder, Path::new(text));
            let refuse = |message: String| Diagnostic::error(codes::INCLUDE, &item.place, message);
            if self.open.contains(&path) {
                let message = format!("{text} includes itself, directly or by way of others");
                self.found.push(refuse(message));
            } else if self.done.contains(&path) {
                // Two pieces may share a third one.
            } else if self.open.len() + self.done.len() >= self.limits.max_files {
                let message = format!("more than {} files are included", self.limits.max_files);
                self.found.push(Diagnostic::error(codes::LIMIT, &item.place, message));
            } else {
                match (self.loader)(&path) {
                    Ok(text) if !is_part_of_workflow(&text) => {
                        // Not a line of it is shown: it may be anything that this user can read.
                        let message = format!("{} is no part of a workflow", path.display());
                        let hint = format!(
                            "such a file has {} at the beginning of a line",
                            names::list(&INCLUDED_KEYS)
                        );
                        self.found.push(refuse(message).hint(hint));
                        whole = false;
                    }
                    Ok(text) => {
                        let file = self.files.add(path.clone(), text);
                        whole &= self.file(file, &path, true).is_some();
                    }
                    Err(error) => {
                        let message = format!("cannot read {}: {error}", path.display());
                        let hint =
                            "name a file; paths are relative to the file that includes".to_owned();
                        self.found.push(refuse(message).hint(hint));
                        whole = false;
                    }
                }
            }
        }
        whole
    }

    fn define(&mut self, section: usize, entry: Entry, folder: &Path, included: bool) {
        let (list, what, valid): (_, _, fn(&str) -> bool) = match section {
            0 => (&mut self.document.params, "param", names::is_identifier),
            1 => (&mut self.document.axes.raw, "axis", names::is_identifier),
            _ => (&mut self.document.stages, "stage", names::is_name),
        };
        let article = if section == 1 { "an" } else { "a" };
        let reserved = section == 1 && RESERVED.contains(&entry.key.as_str());
        if !valid(&entry.key) || reserved {
            let shown = names::short(&entry.key);
            let message = match reserved {
                true => format!("`{shown}` has a meaning in expressions and cannot name an axis"),
                false if shown.is_empty() => format!("an empty text cannot name {article} {what}"),
                false => format!("`{shown}` cannot name {article} {what}"),
            };
            let hint = match section {
                0 | 1 => "start with a letter; go on with letters, digits and `_`",
                _ => "start with a letter; go on with letters, digits, `_` and `-`",
            };
            self.found.push(
                Diagnostic::error(codes::BAD_NAME, &entry.key_place, message).hint(hint.to_owned()),
            );
        }
        let known = self.defined[section].get(&entry.key);
        if let Some(first) = known.and_then(|&at| list.get(at)) {
            let message = format!("the {what} `{}` is defined twice", entry.key);
            let path = self.files.path(first.name_place.file).display();
            let said = format!("first defined here, in {path}");
            self.found.push(
                Diagnostic::error(codes::DUPLICATE_NAME, &entry.key_place, message)
                    .related(&first.name_place, said),
            );
            return;
        }
        self.defined[section].insert(entry.key.clone(), list.len());
        list.push(Definition {
            name: entry.key,
            name_place: entry.key_place,
            value: entry.value,
            folder: folder.to_owned(),
            included,
        });
    }
}

/// True if any line begins with one of the keys of an included file, in YAML or JSON.
fn is_part_of_workflow(text: &str) -> bool {
    let is_key = |word: &str| {
        let word = word.trim_matches(['"', '\'']);
        INCLUDED_KEYS.contains(&word) || ROOT_KEYS.contains(&word)
    };
    let is_blank = |line: &str| line.is_empty() || line.starts_with('#');
    text.trim().is_empty()
        || text.lines().all(|line| is_blank(line.trim()))
        || text.lines().any(|line| {
            let line = line.trim_start_matches(['{', ' ', '\u{feff}']);
            let key = line.split_once(':');
            key.is_some_and(|(word, rest)| {
                let ends = rest.is_empty() || rest.starts_with([' ', '\t', '[', '{']);
                is_key(word.trim()) && ends
            })
        })
}

/// The diagnostic for a section that the workflow lacks and that another one holds, since it is
/// indented.
fn section_within_another(root: &Node, files: &Files) -> Option<Diagnostic> {
    let Data::Mapping(sections) = &root.data else { return None };
    let is_there = |name: &str| sections.iter().any(|section| section.key == name);
    let (outer, inner) = sections.iter().find_map(|outer| {
        let Data::Mapping(entries) = &outer.value.data else { return None };
        let is_known = [&SECTIONS[..], &["outputs"]].concat().contains(&outer.key.as_str());
        let mut inner = entries.iter().filter(|inner| {
            let name = inner.key.as_str();
            ["axes", "stages", "outputs"].contains(&name) && !is_there(name)
        });
        Some((&outer.key, inner.next().filter(|_| is_known)?))
    })?;
    let (name, place) = (&inner.key, &inner.key_place);
    let message = format!("`{name}` is indented, and so is an entry of `{outer}`");
    let before = files.text(place.file).get(..place.span.start)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let is_first = before[start..].trim().is_empty();
    let fix = is_first.then(|| {
        let blanks = Place::new(place.file, start..place.span.start);
        Fix::new(format!("begin the line with `{name}`"), blanks, "")
    });
    Some(
        Diagnostic::error(codes::UNKNOWN_KEY, place, message)
            .hint(format!("a section begins its line: write `{name}:` without blanks before it"))
            .fix(fix),
    )
}

/// The diagnostic for stages that stand in another section, since the line `stages:` is missing.
fn stages_within_another(root: &Node, files: &Files) -> Option<Diagnostic> {
    let Data::Mapping(sections) = &root.data else { return None };
    if has_key(root, "stages") || is_misspelt("stages", sections, &ROOT_KEYS) {
        return None;
    }
    let (outer, first) = sections.iter().find_map(|outer| {
        let Data::Mapping(entries) = &outer.value.data else { return None };
        let is_section = SECTIONS.contains(&outer.key.as_str());
        let stage = entries.iter().find(|entry| has_key(&entry.value, "uses"))?;
        is_section.then_some((&outer.key, stage))
    })?;
    let place = &first.key_place;
    let before = &files.text(place.file)[..place.span.start];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let fix = before[start..].trim().is_empty().then(|| {
        let above = Place::new(place.file, start..start);
        Fix::new("write `stages:` above it", above, "stages:\n")
    });
    let message = format!("`{}` is a stage, and an entry of `{outer}`", first.key);
    Some(
        Diagnostic::error(codes::MISSING_KEY, place, message)
            .hint("write the line `stages:` above it".to_owned())
            .fix(fix),
    )
}

/// Takes the entries of the sections out of the tree; only empty mappings are left there.
fn take_sections(root: &mut Node) -> [Vec<Entry>; SECTIONS.len()] {
    SECTIONS.map(|section| match &mut root.data {
        Data::Mapping(entries) => entries
            .iter_mut()
            .filter(|entry| entry.key == section)
            .find_map(|entry| match &mut entry.value.data {
                Data::Mapping(definitions) => Some(std::mem::take(definitions)),
                _ => None,
            })
            .unwrap_or_default(),
        _ => Vec::new(),
    })
}

/// Words that mean something else in an expression.
const RESERVED: [&str; 13] = [
    "params", "and", "or", "not", "in", "if", "else", "true", "false", "null", "True", "False",
    "None",
];

/// Keys of one mapping that are reported; more than that is not a slip.
pub(crate) const MAX_UNKNOWN: usize = 20;

/// Reports the keys that have no meaning in their place.
pub(crate) fn unknown_keys(
    entries: &[Entry],
    what: &str,
    known: &[&str],
    found: &mut Vec<Diagnostic>,
) {
    let unknown: Vec<_> =
        entries.iter().filter(|entry| !known.contains(&entry.key.as_str())).collect();
    for entry in unknown.iter().take(MAX_UNKNOWN) {
        let message = format!("{what} has no key `{}`", names::short(&entry.key));
        found.push(Diagnostic::error(codes::UNKNOWN_KEY, &entry.key_place, message).suggest(
            &entry.key,
            "key",
            known.iter().copied(),
        ));
    }
    if let Some(next) = unknown.get(MAX_UNKNOWN) {
        let message = format!("and {} more such keys", unknown.len() - MAX_UNKNOWN);
        found.push(Diagnostic::error(codes::UNKNOWN_KEY, &next.key_place, message));
    }
}

/// True if a missing key is likely another one, misspelt, which is reported already.
pub(crate) fn is_misspelt(key: &str, entries: &[Entry], known: &[&str]) -> bool {
    let unknown = entries.iter().filter(|entry| !known.contains(&entry.key.as_str()));
    unknown
        .take(MAX_UNKNOWN)
        .any(|entry| names::suggest(&entry.key, known.iter().copied()) == Some(key))
}

/// The diagnostic for a key that is not there.
pub(crate) fn missing_key(what: &str, key: &str, place: &Place) -> Diagnostic {
    Diagnostic::error(codes::MISSING_KEY, place, format!("{what} needs the key `{key}`"))
}

/// A path made absolute from a folder, without asking the file system: `..` takes the last folder
/// away.
pub fn absolute(folder: &Path, path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for component in folder.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if matches!(whole.components().next_back(), Some(Component::Normal(_))) {
                    whole.pop();
                } else if !whole.has_root() {
                    whole.push("..");
                }
            }
            other => whole.push(other),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_by_their_words_alone() {
        let join = |folder: &str, path: &str| {
            absolute(Path::new(folder), Path::new(path)).to_string_lossy().into_owned()
        };
        assert_eq!(join("/a/b", "c.csv"), "/a/b/c.csv");
        assert_eq!(join("/a/b", "../c.csv"), "/a/c.csv");
        assert_eq!(join("/a/b", "/c/./d"), "/c/d");
        assert_eq!(join("/a", "../../c"), "/c");
        assert_eq!(join("a", "../../c"), "../c");
    }
}
