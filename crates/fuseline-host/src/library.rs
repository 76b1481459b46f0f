//! Plugins on the plugin path.

use std::collections::BTreeMap;
use std::env::consts::DLL_SUFFIX;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use fuseline_abi as abi;
use fuseline_artifact::Digest;
use object::ReadCache;

use crate::conditions::{Conditions, Sourced};
use crate::descriptor::Descriptor;
use crate::error::HostError;
use crate::image::{Image, Source};
use crate::interpreter::Interpreter;
use crate::isolation::Isolation;
use crate::lock::Lock;
use crate::native::Native;
use crate::rule::Rule;
use crate::schema::closest;
use crate::script::{self, Head};
use crate::tag_file::{self, Found};
use crate::worker::{MemoryLimit, WorkerBackend, WorkerLimits, WorkerProgram, WorkerSettings};

/// First bytes of a library of Linux.
const ELF: &[u8; 4] = b"\x7fELF";

/// A file that says it is a fusion rule for this machine. None of its code has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFile {
    /// Absolute path.
    pub path: PathBuf,
    /// The rule's id, from the tag.
    pub id: String,
    /// The ABI it is built for; for a script, the worker protocol it speaks.
    pub abi: (u16, u16),
    /// Kind of file.
    pub form: PluginForm,
    /// Digest of the file's bytes.
    pub digest: Digest,
}

/// Kind of file that a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginForm {
    /// A shared library that follows the C ABI.
    Library,
    /// A script that speaks the worker protocol.
    Script,
}

impl PluginFile {
    /// Reads the tag of a file. Nothing of it runs.
    pub fn read(path: &Path) -> Result<Self, HostError> {
        let refused = |reason: &str| HostError::NotAPlugin {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let looked = Looked::at(path.to_owned());
        looked.found?.ok_or_else(|| refused("it has no tag fuseline_fusion_tag"))
    }

    /// Plugin in these bytes of a file; none for a sound library that has no tag.
    fn probe(path: PathBuf, bytes: &[u8], digest: Digest) -> Result<Option<Self>, HostError> {
        match script::read(bytes) {
            Head::Rule { id, protocol } => {
                let (abi, form) = ((protocol, 0), PluginForm::Script);
                return Ok(Some(Self { path, id, abi, form, digest }));
            }
            Head::Broken(reason) => return Err(HostError::NotAPlugin { path, reason }),
            // A script, or a module of one, that is no rule.
            Head::Nothing if !is_library(&path) && !bytes.starts_with(ELF) => {
                return Ok(None);
            }
            Head::Nothing => {}
        }
        match tag_file::read(bytes) {
            Found::Rule { id, abi } if abi.0 == abi::ABI_MAJOR => {
                Ok(Some(Self { path, id, abi, form: PluginForm::Library, digest }))
            }
            Found::Rule { abi, .. } => Err(HostError::OtherAbi { path, found: abi }),
            Found::Untagged => Ok(None),
            Found::Broken(reason) => Err(HostError::NotAPlugin { path, reason }),
        }
    }

    /// The files that belong to the rule, by their names in its folder: itself, and what a script
    /// imports or names beside it.
    pub fn parts(&self) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
        let bytes = std::fs::read(&self.path)?;
        let beside = match self.form {
            PluginForm::Script => script::modules(&self.path, &bytes)?,
            PluginForm::Library => Vec::new(),
        };
        let own = PathBuf::from(self.path.file_name().unwrap_or_default());
        Ok(std::iter::once((own, bytes)).chain(beside).collect())
    }

    /// The last part of the id, by which workflows name the rule.
    pub fn short_name(&self) -> &str {
        short_name(&self.id)
    }
}

/// The last part of a rule's id, by which workflows name the rule.
pub fn short_name(id: &str) -> &str {
    id.rsplit('.').next().unwrap_or(id)
}

/// Plugins on the plugin path, read once.
#[derive(Clone, Debug)]
pub struct PluginLibrary {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    search: Vec<PathBuf>,
    /// Files by the ids that they must have: no other file of such an id counts.
    named: Vec<(String, PathBuf)>,
    workers: OnceLock<WorkerSettings>,
    lock: OnceLock<Lock>,
    found: OnceLock<Vec<Candidate>>,
    named_found: OnceLock<Vec<Looked>>,
    loaded: Mutex<BTreeMap<LoadedKey, Rule>>,
    described: Mutex<BTreeMap<Digest, Descriptor>>,
    /// True if a rule has been loaded that was not described before.
    has_learnt: AtomicBool,
}

/// A rule that was loaded: file, digest, isolation and conditions.
type LoadedKey = (PathBuf, Digest, Isolation, Conditions);

/// A file that was looked at, and what it is: a rule, nothing, or what should be a rule and is not.
#[derive(Debug)]
struct Looked {
    path: PathBuf,
    digest: Option<Digest>,
    found: Result<Option<PluginFile>, HostError>,
}

impl Looked {
    fn rule(&self) -> Option<&PluginFile> {
        self.found.as_ref().ok()?.as_ref()
    }

    fn at(path: PathBuf) -> Self {
        match std::path::absolute(&path).and_then(|whole| Source::read(&whole)) {
            Ok(Source { path: whole, bytes, modules }) => {
                let source = Source { path: whole.clone(), bytes, modules };
                let digest = source.digest();
                let found = PluginFile::probe(whole, &source.bytes, digest);
                Self { path, digest: Some(digest), found }
            }
            Err(error) => {
                let reason = error.to_string();
                let found = Err(HostError::Unreadable { path: path.clone(), reason });
                Self { path, digest: None, found }
            }
        }
    }
}

/// A file on the path that may be a rule. Its tag is read alone, and the whole of it when it is
/// asked for: libraries have megabytes, and most of them are not used.
#[derive(Debug)]
struct Candidate {
    path: PathBuf,
    /// Id of the tag; none of a file that is no rule or cannot be one here.
    id: Option<String>,
    whole: OnceLock<Looked>,
}

impl Candidate {
    fn at(path: PathBuf) -> Self {
        match Self::tag(&path) {
            Some(id) => Self { path, id: Some(id), whole: OnceLock::new() },
            None => {
                let looked = Looked::at(path.clone());
                let id = looked.rule().map(|file| file.id.clone());
                Self { path, id, whole: looked.into() }
            }
        }
    }

    /// Id that the tag of a library states, where it is one for this machine.
    fn tag(path: &Path) -> Option<String> {
        let mut file = File::open(path).ok()?;
        let mut start = [0; ELF.len()];
        file.read_exact(&mut start).ok()?;
        if start != *ELF {
            return None;
        }
        match tag_file::read(&ReadCache::new(file)) {
            Found::Rule { id, abi } if abi.0 == abi::ABI_MAJOR => Some(id),
            _ => None,
        }
    }

    fn whole(&self) -> &Looked {
        self.whole.get_or_init(|| Looked::at(self.path.clone()))
    }

    /// Digest of the file whose tag was read; `digest` gives that of a file which was not read
    /// whole. None where it has become another.
    fn digest(&self, digest: impl FnOnce(&Path) -> Option<Digest>) -> Option<Digest> {
        if let Some(looked) = self.whole.get() {
            return looked.digest;
        }
        let digest = digest(&self.path)?;
        (Self::tag(&self.path) == self.id).then_some(digest)
    }
}

impl PluginLibrary {
    /// The rules in these folders, which are read when they are first needed; a folder that does
    /// not exist is skipped.
    pub fn new(search: Vec<PathBuf>) -> Self {
        Self::with_named_files(search, Vec::new())
    }

    /// The same with files by the ids that they must have, wherever they lie: a rule of such an id
    /// is that file, whatever else on the path calls itself so.
    pub fn with_named_files(search: Vec<PathBuf>, named: Vec<(String, PathBuf)>) -> Self {
        let shared = Shared {
            search,
            named,
            workers: OnceLock::new(),
            lock: OnceLock::new(),
            found: OnceLock::new(),
            named_found: OnceLock::new(),
            loaded: Mutex::default(),
            described: Mutex::default(),
            has_learnt: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// With workers that are started so, and may use so much. By default this program itself is
    /// started, which must call [`crate::worker::run_if_asked`]. Nothing changes once a worker has
    /// been started.
    pub fn with_workers(self, program: WorkerProgram, limits: WorkerLimits) -> Self {
        self.with_worker_settings(WorkerSettings { limits, ..WorkerSettings::new(program) })
    }

    /// With these settings of workers; see [`PluginLibrary::with_workers`].
    pub fn with_worker_settings(self, settings: WorkerSettings) -> Self {
        let _ = self.shared.workers.set(settings);
        self
    }

    /// The program that starts as a worker; none where nobody has said it.
    pub fn worker_program(&self) -> Option<&WorkerProgram> {
        self.shared.workers.get().map(|settings| &settings.program)
    }

    /// The bound on the memory of a program of a stage, where the stage, its workflow or the
    /// settings state one.
    pub fn stated_memory_limit(&self, conditions: &Conditions) -> Option<MemoryLimit> {
        let settings = self.shared.workers.get();
        let limits = settings.map_or_else(WorkerLimits::default, |of| of.limits.clone());
        limits.with(&conditions.limits).stated_memory_limit()
    }

    /// The interpreter that is stated for Python: by the workflow, else by the settings.
    pub fn stated_python<'c>(&'c self, conditions: &'c Conditions) -> Option<&'c Sourced<PathBuf>> {
        let of_settings = || self.shared.workers.get().and_then(|of| of.python.as_ref());
        conditions.python.as_ref().or_else(of_settings)
    }

    /// The interpreter that would run a rule, of a script in Python.
    pub fn interpreter(
        &self,
        file: &PluginFile,
        conditions: &Conditions,
    ) -> Result<Option<Interpreter>, HostError> {
        if file.form == PluginForm::Library {
            return Ok(None);
        }
        let bytes = std::fs::read(&file.path).map_err(|error| HostError::Unreadable {
            path: file.path.clone(),
            reason: error.to_string(),
        })?;
        let shebang = script::shebang(&bytes);
        let python = shebang.map(|shebang| shebang.python(self.stated_python(conditions)));
        Ok(python.transpose()?.flatten())
    }

    /// With a lock: a rule whose file has another digest than the lock says is not given by
    /// [`PluginLibrary::find`] and not loaded. The first lock counts.
    pub fn with_lock(self, lock: Lock) -> Self {
        let _ = self.shared.lock.set(lock);
        self
    }

    fn admitted(&self, file: &PluginFile) -> Result<PluginFile, HostError> {
        self.shared.lock.get().map_or(Ok(()), |lock| lock.admits(file))?;
        Ok(file.clone())
    }

    /// The folders, in order.
    pub fn search(&self) -> &[PathBuf] {
        &self.shared.search
    }

    /// Every rule, and every file that should be one and is not, folder by folder, by file name. No
    /// code of theirs runs.
    pub fn list(&self) -> Vec<Result<PluginFile, HostError>> {
        let named = self.named_files().map(|(id, looked)| self.named_file(id, looked));
        let looked = self.candidates().iter().map(Candidate::whole);
        let found = looked.filter_map(|looked| looked.found.clone().transpose());
        let counts = |of: &Result<PluginFile, HostError>| {
            !of.as_ref().is_ok_and(|file| self.is_named(&file.id))
        };
        named.chain(found.filter(counts)).collect()
    }

    /// The files that are named by their ids, in their order.
    fn named_files(&self) -> impl Iterator<Item = (&String, &Looked)> {
        let found = self.shared.named_found.get_or_init(|| {
            self.shared.named.iter().map(|(_, path)| Looked::at(path.clone())).collect()
        });
        self.shared.named.iter().map(|(id, _)| id).zip(found)
    }

    /// True if a file is named for this id.
    fn is_named(&self, id: &str) -> bool {
        self.shared.named.iter().any(|(named, _)| named == id)
    }

    /// A file that is named by its id; an error when it is no rule, or another one.
    fn named_file(&self, id: &str, looked: &Looked) -> Result<PluginFile, HostError> {
        match looked.found.clone()? {
            Some(file) if file.id == id => self.admitted(&file),
            Some(file) => Err(HostError::OtherId {
                path: looked.path.clone(),
                expected: id.to_owned(),
                found: file.id,
            }),
            None => Err(HostError::NotAPlugin {
                path: looked.path.clone(),
                reason: "it has no tag".to_owned(),
            }),
        }
    }

    /// The files that are named by their ids, with the digests of those that can be read; `None`
    /// when no rule was needed yet.
    pub fn named_digests(&self) -> Option<Vec<(PathBuf, Option<Digest>)>> {
        let found = self.shared.named_found.get()?.iter();
        Some(found.map(|looked| (looked.path.clone(), looked.digest)).collect())
    }

    fn candidates(&self) -> &[Candidate] {
        self.shared.found.get_or_init(|| {
            Self::files_on_path(&self.shared.search).into_iter().map(Candidate::at).collect()
        })
    }

    /// The files that may be rules, as the path was searched; `None` when no rule was needed yet.
    pub fn searched(&self) -> Option<impl Iterator<Item = &Path>> {
        Some(self.shared.found.get()?.iter().map(|file| file.path.as_path()))
    }

    /// The same with the digests of their contents when the path was searched, where they can be
    /// told. `digest`: digest of a file that was not needed whole.
    pub fn searched_digests(
        &self,
        digest: impl Fn(&Path) -> Option<Digest>,
    ) -> Option<Vec<(PathBuf, Option<Digest>)>> {
        let found = self.shared.found.get()?.iter();
        Some(found.map(|file| (file.path.clone(), file.digest(&digest))).collect())
    }

    /// The files in these folders that may be rules, and files that stand for themselves: folder by
    /// folder, by file name. Nothing of them is read.
    pub fn files_on_path(search: &[PathBuf]) -> Vec<PathBuf> {
        let mut paths = Vec::<PathBuf>::new();
        for folder in search {
            if folder.is_file() {
                if !paths.iter().any(|known| same_file(known, folder)) {
                    paths.push(folder.clone());
                }
                continue;
            }
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            let mut here: Vec<_> = entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| may_be_rule(path))
                .collect();
            here.sort();
            // The same folder may be on the path twice, by other names.
            here.retain(|path| !paths.iter().any(|known| same_file(known, path)));
            paths.append(&mut here);
        }
        paths
    }

    /// Ids of the rules that can be used, and their paths. Libraries are not read but for their
    /// tags.
    pub fn ids(&self) -> impl Iterator<Item = (&str, &Path)> {
        let named = self.named_files().filter_map(|(id, looked)| {
            let file = looked.rule().filter(|file| file.id == *id)?;
            Some((file.id.as_str(), looked.path.as_path()))
        });
        let found = self.candidates().iter();
        let found = found.filter_map(|file| Some((file.id.as_deref()?, file.path.as_path())));
        named.chain(found.filter(|(id, _)| !self.is_named(id)))
    }

    /// The rules that can be used and whose ids are wanted: of an id that a file is named for, that
    /// file alone.
    fn rules(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<&PluginFile> {
        let named = self.named_files().filter_map(|(id, looked)| {
            looked.rule().filter(|file| file.id == *id && is_wanted(id))
        });
        let is_found = |id: &str| is_wanted(id) && !self.is_named(id);
        let found = self.candidates().iter();
        let found = found.filter(|file| file.id.as_deref().is_some_and(is_found));
        // A file may have become another one since its tag was read.
        let found = found.filter_map(|file| file.whole().rule()).filter(|file| is_found(&file.id));
        named.chain(found).collect()
    }

    /// The rule in a file on the path or named by its id. `path`: absolute.
    pub fn find_by_path(&self, path: &Path) -> Option<&PluginFile> {
        let is_meant = |own: &Path| std::path::absolute(own).is_ok_and(|own| own == path);
        let named = self.named_files().map(|(_, looked)| looked);
        let named = named.filter(|looked| is_meant(&looked.path));
        let found = self.candidates().iter().filter(|file| is_meant(&file.path));
        named.chain(found.map(Candidate::whole)).find_map(Looked::rule)
    }

    /// The rule with this id, or with this last part of its id.
    ///
    /// A short name that two ids share is ambiguous, and so is an id that two different files give
    /// themselves.
    pub fn find(&self, rule: &str) -> Result<PluginFile, HostError> {
        let is_short_name = |id: &str| short_name(id) == rule;
        let mut named = self.named_files();
        if let Some((id, looked)) = named.find(|(id, _)| *id == rule || is_short_name(id)) {
            return self.named_file(id, looked);
        }
        let by_id = self.rules(|id| id == rule);
        let found = if by_id.is_empty() { self.rules(is_short_name) } else { by_id };
        let mut named = found.into_iter();
        let Some(first) = named.next() else { return Err(self.unknown(rule)) };
        // Copies of one file are one rule.
        match named.find(|file| file.id != first.id || file.digest != first.digest) {
            None => self.admitted(first),
            Some(other) => Err(HostError::AmbiguousRule {
                rule: rule.to_owned(),
                first: first.path.clone(),
                second: other.path.clone(),
            }),
        }
    }

    /// An error when two files on the path call themselves by one id and are not copies of each
    /// other.
    pub fn ensure_distinct(&self) -> Result<(), HostError> {
        let mut counts = BTreeMap::<&str, usize>::new();
        for (id, _) in self.ids() {
            *counts.entry(id).or_default() += 1;
        }
        for (shared, _) in counts.into_iter().filter(|(_, count)| *count > 1) {
            let files = self.rules(|id| id == shared);
            let mut pairs = files.iter().zip(files.iter().skip(1));
            if let Some((first, second)) = pairs.find(|(one, other)| one.digest != other.digest) {
                return Err(HostError::AmbiguousRule {
                    rule: shared.to_owned(),
                    first: first.path.clone(),
                    second: second.path.clone(),
                });
            }
        }
        Ok(())
    }

    fn unknown(&self, rule: &str) -> HostError {
        if rule.contains('/') || [".py", ".so"].iter().any(|ending| rule.ends_with(ending)) {
            return HostError::RuleByFile { rule: rule.to_owned() };
        }
        let mut known: Vec<_> = self.ids().map(|(id, _)| short_name(id).to_owned()).collect();
        known.sort();
        known.dedup();
        let suggestion =
            closest(short_name(rule), known.iter().map(String::as_str)).map(str::to_owned);
        let searched = self.shared.search.clone();
        HostError::UnknownRule { rule: rule.to_owned(), known, suggestion, searched }
    }

    /// The file that holds the rule with this id and has this digest, wherever on the path it is.
    pub fn find_by_digest(&self, id: &str, digest: &Digest) -> Result<PluginFile, HostError> {
        let mut others = None;
        for file in self.rules(|own| own == id) {
            if file.digest == *digest {
                return Ok(file.clone());
            }
            others.get_or_insert(file);
        }
        Err(match others {
            None => self.unknown(id),
            Some(file) => HostError::DigestChanged {
                path: file.path.clone(),
                expected: *digest,
                found: file.digest,
            },
        })
    }

    fn load_in_worker(
        &self,
        file: &PluginFile,
        image: Arc<Image>,
        conditions: &Conditions,
    ) -> Result<Rule, HostError> {
        let refused = |reason: String| HostError::Load { path: file.path.clone(), reason };
        let mut settings = match self.shared.workers.get() {
            Some(settings) => settings.clone(),
            None => {
                let this = WorkerProgram::this().map_err(|error| refused(error.to_string()))?;
                WorkerSettings::new(this)
            }
        };
        settings.limits = settings.limits.with(&conditions.limits);
        settings.passed.clone_from(&conditions.passed);
        if let Some(sandbox) = conditions.sandbox {
            settings.limits.sandbox = sandbox;
        }
        let backend = WorkerBackend::start(image.clone(), settings).map_err(|failure| {
            HostError::Worker { id: file.id.clone(), operation: "load", failure }
        })?;
        Rule::new(file.clone(), image, Arc::new(backend))
    }

    /// Takes descriptors of files by their digests, from when they were loaded:
    /// [`PluginLibrary::descriptor`] need not load them again.
    pub fn recall(&self, descriptors: BTreeMap<Digest, Descriptor>) {
        lock(&self.shared.described).extend(descriptors);
    }

    /// Descriptors of files by their digests, recalled or loaded since, when some of them have not
    /// been recalled.
    pub fn learnt(&self) -> Option<BTreeMap<Digest, Descriptor>> {
        let has_learnt = self.shared.has_learnt.swap(false, Ordering::Relaxed);
        has_learnt.then(|| lock(&self.shared.described).clone())
    }

    /// Descriptor of a rule. None of its code runs when its digest is known.
    pub fn descriptor(
        &self,
        file: &PluginFile,
        isolation: Isolation,
        conditions: &Conditions,
    ) -> Result<Descriptor, HostError> {
        self.loadable(file, isolation)?;
        if let Some(known) = lock(&self.shared.described).get(&file.digest) {
            return Ok(known.clone());
        }
        Ok(self.load_under(file, isolation, conditions)?.descriptor().clone())
    }

    fn loadable(&self, file: &PluginFile, isolation: Isolation) -> Result<(), HostError> {
        if isolation == Isolation::InProcess && file.form == PluginForm::Script {
            return Err(HostError::Load {
                path: file.path.clone(),
                reason: "a script cannot run in this process, only in a worker".to_owned(),
            });
        }
        self.admitted(file).map(drop)
    }

    /// Loads a rule under the conditions of the settings: see [`PluginLibrary::load_under`].
    pub fn load(&self, file: &PluginFile, isolation: Isolation) -> Result<Rule, HostError> {
        self.load_under(file, isolation, &Conditions::default())
    }

    /// Loads a rule, once under the same conditions; it is never unloaded. The file's digest is
    /// checked again before any of its code runs.
    pub fn load_under(
        &self,
        file: &PluginFile,
        isolation: Isolation,
        conditions: &Conditions,
    ) -> Result<Rule, HostError> {
        self.loadable(file, isolation)?;
        conditions.ensure_layers(file, isolation)?;
        // Lines about other rules, and about programs that run no rule, make no difference.
        let sandbox = match conditions.sandboxes.is_empty() {
            true => conditions.sandbox,
            false => Some(conditions.sandbox_of(&file.id)),
        };
        let conditions = Conditions {
            sandbox,
            limits: conditions.limits.clone(),
            python: conditions.python.clone(),
            passed: conditions.passed.clone(),
            ..Conditions::default()
        };
        let key = (file.path.clone(), file.digest, isolation, conditions.clone());
        let mut loaded = lock(&self.shared.loaded);
        if let Some(rule) = loaded.get(&key) {
            return Ok(rule.clone());
        }
        let unreadable = |error: std::io::Error| HostError::Unreadable {
            path: file.path.clone(),
            reason: error.to_string(),
        };
        // The bytes hashed here are the bytes that run, whatever becomes of the file.
        let source = Source::read(&file.path).map_err(unreadable)?;
        let found = source.digest();
        if found != file.digest {
            return Err(HostError::DigestChanged {
                path: file.path.clone(),
                expected: file.digest,
                found,
            });
        }
        let image = Arc::new(Image::new(&source, found, self.stated_python(&conditions))?);
        let rule = match isolation {
            Isolation::InProcess => {
                let native =
                    Native::load(&image.library_path().map_err(unreadable)?).map_err(|error| {
                        match error {
                            HostError::Load { reason, .. } => {
                                HostError::Load { path: file.path.clone(), reason }
                            }
                            other => other,
                        }
                    })?;
                Rule::new(file.clone(), image, Arc::new(native))?
            }
            Isolation::Worker => self.load_in_worker(file, image, &conditions)?,
        };
        loaded.insert(key, rule.clone());
        let before = lock(&self.shared.described).insert(file.digest, rule.descriptor().clone());
        if before.is_none() {
            self.shared.has_learnt.store(true, Ordering::Relaxed);
        }
        Ok(rule)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Libraries, and scripts in the languages in which one would write a rule.
fn may_be_rule(path: &Path) -> bool {
    let script =
        ["py", "R", "jl"].iter().any(|known| path.extension().is_some_and(|own| own == *known));
    (script || is_library(path)) && path.is_file()
}

fn is_library(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == DLL_SUFFIX.trim_start_matches('.'))
}

fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}
