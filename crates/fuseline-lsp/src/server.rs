//! Message loop with a client.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crossbeam_channel::select;
use fuseline::{Kinds, OpenContext};
use fuseline_workflow::Workflow;
use fuseline_workflow::schema::workflow_schema;
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types as lsp;
use lsp_types::notification::Notification as _;
use lsp_types::request::Request as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;

use crate::checks::{Job, Looked, Outcome, StageCounts, Worker, check, look};
use crate::diagnostics::Found;
use crate::documents::Documents;
use crate::position::Encoding;
use crate::project::{Occurrence, Project, RuleName};
use crate::settings::Settings;
use crate::source::Source;
use crate::{actions, completion, hints, hover, navigation, outline, uri};

/// Why the connection ended abnormally.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The client does not keep to the protocol.
    #[error("the client does not keep to the protocol: {0}")]
    Protocol(String),
    /// The client went away without saying so.
    #[error("the client went away")]
    Gone,
    /// A thread cannot be started, or the streams cannot be closed.
    #[error("a thread of the server failed: {0}")]
    Thread(#[source] std::io::Error),
}

/// Context of handling a message: everything about one file of a workflow.
pub(crate) struct View<'a> {
    pub project: Project,
    /// The file, as an index into the project's.
    pub file: usize,
    pub kinds: &'a Kinds,
    /// The JSON Schema of workflows.
    pub schema: &'a Value,
    pub encoding: Encoding,
}

impl View<'_> {
    pub fn source(&self) -> &Source {
        &self.project.files[self.file]
    }

    /// Every place where something is named, file by file.
    pub fn occurrences(&self) -> Vec<Occurrence> {
        self.project.occurrences(self.kinds.catalogue())
    }

    /// The name at a byte of the file.
    pub fn symbol_at(&self, offset: usize) -> Option<Occurrence> {
        self.project.symbol_at(self.kinds.catalogue(), self.file, offset)
    }

    pub fn range(&self, span: &std::ops::Range<usize>) -> lsp::Range {
        self.source().range(span, self.encoding)
    }
}

/// Serves a client over standard input and output until it exits.
pub fn serve_stdio() -> Result<(), ServerError> {
    let (connection, threads) = Connection::stdio();
    let served = serve(&connection);
    // The threads end when the channels do.
    drop(connection);
    match served {
        Ok(()) => threads.join().map_err(ServerError::Thread),
        // A client that went away leaves a thread that waits for it.
        Err(error) => Err(error),
    }
}

/// Serves a client until it exits.
pub fn serve(connection: &Connection) -> Result<(), ServerError> {
    let protocol = |error: lsp_server::ProtocolError| ServerError::Protocol(error.to_string());
    let (id, params) = connection.initialize_start().map_err(protocol)?;
    let params: lsp::InitializeParams = serde_json::from_value(params)
        .map_err(|error| ServerError::Protocol(format!("initialize: {error}")))?;
    let encoding = Encoding::negotiate(&params.capabilities);
    let result = json!({
        "capabilities": capabilities(encoding),
        "serverInfo": { "name": "fuseline", "version": env!("CARGO_PKG_VERSION") },
    });
    connection.initialize_finish(id, result).map_err(protocol)?;
    let mut server = Server::new(connection, params, encoding)?;
    server.start();
    server.run()
}

fn capabilities(encoding: Encoding) -> lsp::ServerCapabilities {
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    lsp::ServerCapabilities {
        position_encoding: Some(encoding.kind()),
        text_document_sync: Some(lsp::TextDocumentSyncCapability::Options(
            lsp::TextDocumentSyncOptions {
                open_close: Some(true),
                change: Some(lsp::TextDocumentSyncKind::INCREMENTAL),
                save: Some(lsp::TextDocumentSyncSaveOptions::Supported(true)),
                ..lsp::TextDocumentSyncOptions::default()
            },
        )),
        completion_provider: Some(lsp::CompletionOptions {
            trigger_characters: words(&[" ", ".", ":", "[", "{", ",", "=", "|", "\"", "\n"]),
            ..lsp::CompletionOptions::default()
        }),
        hover_provider: Some(lsp::HoverProviderCapability::Simple(true)),
        definition_provider: Some(lsp::OneOf::Left(true)),
        references_provider: Some(lsp::OneOf::Left(true)),
        document_highlight_provider: Some(lsp::OneOf::Left(true)),
        rename_provider: Some(lsp::OneOf::Right(lsp::RenameOptions {
            prepare_provider: Some(true),
            work_done_progress_options: lsp::WorkDoneProgressOptions::default(),
        })),
        document_symbol_provider: Some(lsp::OneOf::Left(true)),
        folding_range_provider: Some(lsp::FoldingRangeProviderCapability::Simple(true)),
        inlay_hint_provider: Some(lsp::OneOf::Left(true)),
        code_lens_provider: Some(lsp::CodeLensOptions { resolve_provider: Some(false) }),
        code_action_provider: Some(lsp::CodeActionProviderCapability::Options(
            lsp::CodeActionOptions {
                code_action_kinds: Some(vec![lsp::CodeActionKind::QUICKFIX]),
                ..lsp::CodeActionOptions::default()
            },
        )),
        workspace: Some(lsp::WorkspaceServerCapabilities {
            workspace_folders: Some(lsp::WorkspaceFoldersServerCapabilities {
                supported: Some(true),
                change_notifications: Some(lsp::OneOf::Left(true)),
            }),
            file_operations: None,
        }),
        ..lsp::ServerCapabilities::default()
    }
}

/// State of a workflow from its checks.
#[derive(Default)]
struct RootState {
    /// The revision that was asked for last.
    wanted: u64,
    /// The newest outcome.
    outcome: Option<Outcome>,
    /// The workflow of the newest outcome that has one.
    checked: Option<Arc<Workflow>>,
    rules: Option<Arc<[RuleName]>>,
    /// Actions in the cache, and the revision that the counts are of.
    looked: Option<(u64, Vec<StageCounts>)>,
}

/// Capabilities of the client.
struct ClientAbilities {
    refresh_hints: bool,
    refresh_lenses: bool,
    watch_files: bool,
    snippets: bool,
}

struct Server<'c> {
    connection: &'c Connection,
    encoding: Encoding,
    abilities: ClientAbilities,
    settings: Settings,
    folders: Vec<PathBuf>,
    documents: Documents,
    roots: BTreeMap<PathBuf, RootState>,
    /// Files whose published diagnostics the client shows.
    published: BTreeSet<PathBuf>,
    revision: u64,
    requests_sent: i32,
    context: Arc<OpenContext>,
    kinds: Arc<Kinds>,
    schema: OnceLock<Value>,
    checks: Worker<Outcome>,
    looks: Worker<Looked>,
    /// Requests that the client no longer waits for.
    cancelled: BTreeSet<RequestId>,
    is_shut_down: bool,
}

impl<'c> Server<'c> {
    fn new(
        connection: &'c Connection,
        params: lsp::InitializeParams,
        encoding: Encoding,
    ) -> Result<Self, ServerError> {
        let context = Arc::new(OpenContext::default());
        let options = params.initialization_options.clone().unwrap_or_default();
        let settings = Settings::read(&options);
        let workspace = params.capabilities.workspace.as_ref();
        let completion = params.capabilities.text_document.as_ref();
        let completion = completion.and_then(|all| all.completion.as_ref());
        let abilities = ClientAbilities {
            refresh_hints: workspace
                .and_then(|all| all.inlay_hint.as_ref()?.refresh_support)
                .unwrap_or(false),
            refresh_lenses: workspace
                .and_then(|all| all.code_lens.as_ref()?.refresh_support)
                .unwrap_or(false),
            watch_files: workspace
                .and_then(|all| all.did_change_watched_files?.dynamic_registration)
                .unwrap_or(false),
            snippets: completion
                .and_then(|all| all.completion_item.as_ref()?.snippet_support)
                .unwrap_or(false),
        };
        let folders = params.workspace_folders.iter().flatten();
        let mut folders: Vec<_> = folders.filter_map(|folder| uri::to_path(&folder.uri)).collect();
        #[expect(deprecated, reason = "clients without workspace folders give their only one so")]
        if folders.is_empty() {
            folders.extend(params.root_uri.as_ref().and_then(uri::to_path));
        }
        let for_checks = Arc::clone(&context);
        let for_looks = Arc::clone(&context);
        let server = Self {
            connection,
            encoding,
            abilities,
            settings: settings.clone().unwrap_or_default(),
            folders,
            documents: Documents::default(),
            roots: BTreeMap::new(),
            published: BTreeSet::new(),
            revision: 0,
            requests_sent: 0,
            kinds: context.kinds(),
            context,
            schema: OnceLock::new(),
            checks: Worker::start("checks", move |job| check(job, &for_checks))
                .map_err(ServerError::Thread)?,
            looks: Worker::start("looks", move |job| look(job, &for_looks))
                .map_err(ServerError::Thread)?,
            cancelled: BTreeSet::new(),
            is_shut_down: false,
        };
        if let Err(reason) = settings {
            server.log(lsp::MessageType::WARNING, format!("initializationOptions: {reason}"));
        }
        Ok(server)
    }

    /// Prepares the server before the first message.
    fn start(&mut self) {
        if self.abilities.watch_files {
            let watcher = lsp::FileSystemWatcher {
                glob_pattern: lsp::GlobPattern::String("**/*.{yaml,yml}".to_owned()),
                kind: None,
            };
            let options = lsp::DidChangeWatchedFilesRegistrationOptions { watchers: vec![watcher] };
            let registration = lsp::Registration {
                id: "files".to_owned(),
                method: lsp::notification::DidChangeWatchedFiles::METHOD.to_owned(),
                register_options: serde_json::to_value(options).ok(),
            };
            self.ask::<lsp::request::RegisterCapability>(lsp::RegistrationParams {
                registrations: vec![registration],
            });
        }
        let folders = self.folders.clone();
        self.documents.search(&folders);
    }

    fn run(&mut self) -> Result<(), ServerError> {
        let mut pending = VecDeque::new();
        loop {
            let (checks, looks) = (self.checks.results.clone(), self.looks.results.clone());
            select! {
                recv(self.connection.receiver) -> message => match message {
                    Ok(message) => pending.push_back(message),
                    Err(_) if self.is_shut_down => return Ok(()),
                    Err(_) => return Err(ServerError::Gone),
                },
                recv(checks) -> outcome => {
                    if let Ok(outcome) = outcome {
                        self.take_outcome(outcome);
                    }
                }
                recv(looks) -> looked => {
                    if let Ok(looked) = looked {
                        self.take_looked(looked);
                    }
                }
            }
            // Messages that came in the meantime may take back some of it.
            pending.extend(self.connection.receiver.try_iter());
            for message in &pending {
                if let Message::Notification(found) = message
                    && found.method == lsp::notification::Cancel::METHOD
                    && let Ok(id) = serde_json::from_value(found.params["id"].clone())
                {
                    self.cancelled.insert(id);
                }
            }
            while let Some(message) = pending.pop_front() {
                match message {
                    Message::Request(request) => self.request(request),
                    Message::Notification(found)
                        if found.method == lsp::notification::Exit::METHOD =>
                    {
                        return match self.is_shut_down {
                            true => Ok(()),
                            false => Err(ServerError::Protocol("exit without shutdown".to_owned())),
                        };
                    }
                    Message::Notification(found) => self.notification(found),
                    Message::Response(_) => {}
                }
            }
            self.cancelled.clear();
        }
    }

    fn send(&self, message: impl Into<Message>) {
        // A client that is gone ends the loop when it is next listened to.
        let _ = self.connection.sender.send(message.into());
    }

    fn notify<N: lsp::notification::Notification>(&self, params: N::Params) {
        self.send(Notification::new(N::METHOD.to_owned(), params));
    }

    fn ask<R: lsp::request::Request>(&mut self, params: R::Params) {
        self.requests_sent += 1;
        let id = RequestId::from(self.requests_sent);
        self.send(Request::new(id, R::METHOD.to_owned(), params));
    }

    fn log(&self, typ: lsp::MessageType, message: String) {
        self.notify::<lsp::notification::LogMessage>(lsp::LogMessageParams { typ, message });
    }

    /// Answers a request; a failure is answered as an error.
    fn request(&mut self, request: Request) {
        let id = request.id.clone();
        let failed =
            |code: ErrorCode, message: String| Response::new_err(id.clone(), code as i32, message);
        if self.cancelled.contains(&id) {
            let message = "the client took it back".to_owned();
            return self.send(failed(ErrorCode::RequestCanceled, message));
        }
        if self.is_shut_down {
            let message = "the server is shut down".to_owned();
            return self.send(failed(ErrorCode::InvalidRequest, message));
        }
        let method = request.method.clone();
        let answer = catch_unwind(AssertUnwindSafe(|| self.answer(request)));
        self.send(match answer {
            Ok(Ok(result)) => Response::new_ok(id, result),
            Ok(Err((code, message))) => failed(code, message),
            Err(_) => {
                self.log(lsp::MessageType::ERROR, format!("{method} failed; please report it"));
                failed(ErrorCode::InternalError, format!("{method} failed"))
            }
        });
    }

    fn answer(&mut self, request: Request) -> Result<Value, (ErrorCode, String)> {
        use lsp::request as ask;
        let Request { method, params, .. } = request;
        match method.as_str() {
            ask::Shutdown::METHOD => {
                self.is_shut_down = true;
                Ok(Value::Null)
            }
            ask::Completion::METHOD => {
                let params: lsp::CompletionParams = read(params)?;
                let snippets = self.abilities.snippets;
                let items = self.at(&params.text_document_position, |view, offset| {
                    completion::complete(view, offset, snippets)
                });
                // Names are few, and what they are worth changes with every letter.
                answer(&lsp::CompletionList {
                    is_incomplete: false,
                    items: items.unwrap_or_default(),
                })
            }
            ask::HoverRequest::METHOD => {
                let params: lsp::HoverParams = read(params)?;
                let found = self.at(&params.text_document_position_params, hover::hover);
                answer(&found.flatten())
            }
            ask::GotoDefinition::METHOD => {
                let params: lsp::GotoDefinitionParams = read(params)?;
                let found = self.at(&params.text_document_position_params, navigation::definition);
                answer(&found.flatten())
            }
            ask::References::METHOD => {
                let params: lsp::ReferenceParams = read(params)?;
                let with_definition = params.context.include_declaration;
                let found = self.at_in_all(&params.text_document_position, |view, offset| {
                    navigation::references(view, offset, with_definition)
                });
                answer(&found)
            }
            ask::DocumentHighlightRequest::METHOD => {
                let params: lsp::DocumentHighlightParams = read(params)?;
                let found = self.at(&params.text_document_position_params, navigation::highlights);
                answer(&found.unwrap_or_default())
            }
            ask::PrepareRenameRequest::METHOD => {
                let params: lsp::TextDocumentPositionParams = read(params)?;
                let found = self.at(&params, navigation::prepare_rename);
                answer(&found.flatten())
            }
            ask::Rename::METHOD => {
                let params: lsp::RenameParams = read(params)?;
                let position = params.text_document_position.clone();
                let failed = |message| (ErrorCode::RequestFailed, message);
                let views = self.views(&position.text_document.uri);
                let renaming = navigation::rename(&views, position.position, &params.new_name)
                    .map_err(failed)?;
                let path = self.path(&position.text_document.uri);
                match self.new_mistake(&path, &renaming.texts) {
                    Some(mistake) => {
                        Err(failed(format!("renamed so, the workflow has a mistake: {mistake}")))
                    }
                    None => answer(&renaming.edit),
                }
            }
            ask::DocumentSymbolRequest::METHOD => {
                let params: lsp::DocumentSymbolParams = read(params)?;
                let view = self.view(&params.text_document.uri);
                answer(&view.map(|view| outline::symbols(&view)).unwrap_or_default())
            }
            ask::FoldingRangeRequest::METHOD => {
                let params: lsp::FoldingRangeParams = read(params)?;
                let view = self.view(&params.text_document.uri);
                answer(&view.map(|view| outline::folding(&view)).unwrap_or_default())
            }
            ask::InlayHintRequest::METHOD => {
                let params: lsp::InlayHintParams = read(params)?;
                let counts = self.counts(&params.text_document.uri);
                let view = self.view(&params.text_document.uri);
                let found = view.map(|view| hints::inlay_hints(&view, params.range, &counts));
                answer(&found.unwrap_or_default())
            }
            ask::CodeLensRequest::METHOD => {
                let params: lsp::CodeLensParams = read(params)?;
                let counts = self.counts(&params.text_document.uri);
                let root = self.root_of(&params.text_document.uri);
                let view = self.view(&params.text_document.uri);
                let found = view.zip(root);
                let found = found.map(|(view, root)| hints::code_lenses(&view, &root, &counts));
                answer(&found.unwrap_or_default())
            }
            ask::CodeActionRequest::METHOD => {
                let params: lsp::CodeActionParams = read(params)?;
                answer(&actions::actions(&params))
            }
            GRAPH => {
                let params: lsp::TextDocumentIdentifier = read(params["textDocument"].clone())?;
                let counts = self.counts(&params.uri);
                let view = self.view(&params.uri);
                answer(&view.map(|view| hints::graph(&view, &counts)))
            }
            _ => Err((ErrorCode::MethodNotFound, format!("there is no {method}"))),
        }
    }

    fn notification(&mut self, found: Notification) {
        let method = found.method.clone();
        let handled = catch_unwind(AssertUnwindSafe(|| self.notified(found)));
        match handled {
            Ok(Ok(())) => {}
            Ok(Err((_, message))) => {
                self.log(lsp::MessageType::WARNING, format!("{method}: {message}"));
            }
            Err(_) => {
                self.log(lsp::MessageType::ERROR, format!("{method} failed; please report it"));
            }
        }
    }

    fn notified(&mut self, found: Notification) -> Result<(), (ErrorCode, String)> {
        use lsp::notification as told;
        let Notification { method, params } = found;
        match method.as_str() {
            told::DidOpenTextDocument::METHOD => {
                let params: lsp::DidOpenTextDocumentParams = read(params)?;
                let path = self.path(&params.text_document.uri);
                self.documents.open(path.clone(), params.text_document);
                self.changed(&path, true);
            }
            told::DidChangeTextDocument::METHOD => {
                let params: lsp::DidChangeTextDocumentParams = read(params)?;
                let path = self.path(&params.text_document.uri);
                let version = params.text_document.version;
                self.documents.change(&path, version, params.content_changes, self.encoding);
                self.changed(&path, false);
            }
            told::DidSaveTextDocument::METHOD => {
                let params: lsp::DidSaveTextDocumentParams = read(params)?;
                let path = self.path(&params.text_document.uri);
                self.documents.note(&path);
                self.changed(&path, true);
            }
            told::DidCloseTextDocument::METHOD => {
                let params: lsp::DidCloseTextDocumentParams = read(params)?;
                let path = self.path(&params.text_document.uri);
                self.documents.close(&path);
                self.recheck_all();
            }
            told::DidChangeWatchedFiles::METHOD => {
                let params: lsp::DidChangeWatchedFilesParams = read(params)?;
                for event in params.changes {
                    let path = self.path(&event.uri);
                    self.documents.note(&path);
                }
                self.recheck_all();
            }
            told::DidChangeConfiguration::METHOD => {
                let params: lsp::DidChangeConfigurationParams = read(params)?;
                self.settings = Settings::read(&params.settings)
                    .map_err(|reason| (ErrorCode::InvalidParams, reason))?;
                self.recheck_all();
            }
            told::DidChangeWorkspaceFolders::METHOD => {
                let params: lsp::DidChangeWorkspaceFoldersParams = read(params)?;
                let removed: Vec<_> =
                    params.event.removed.iter().filter_map(|old| uri::to_path(&old.uri)).collect();
                self.folders.retain(|folder| !removed.contains(folder));
                self.folders
                    .extend(params.event.added.iter().filter_map(|new| uri::to_path(&new.uri)));
                let folders = self.folders.clone();
                self.documents.search(&folders);
                self.recheck_all();
            }
            // Cancellations are seen to before; the others want nothing.
            _ => {}
        }
        Ok(())
    }

    /// The path of an address; what has none gets one in the first folder.
    fn path(&self, uri: &lsp::Uri) -> PathBuf {
        uri::to_path(uri).unwrap_or_else(|| first(&self.folders).join(uri::last_name(uri)))
    }

    /// Checks the workflows that a file belongs to. `is_settled`: the text is as on disk, so that
    /// the cache is looked up too.
    fn changed(&mut self, path: &Path, is_settled: bool) {
        self.revision += 1;
        let is_workflow = self.documents.get(path).is_some_and(|document| document.is_workflow);
        let roots = self.documents.roots_of(path);
        // A file that no workflow includes, and that is none, is other YAML.
        let is_part = roots.iter().any(|root| root != path);
        if is_workflow || is_part {
            for root in roots {
                self.check(root, is_settled);
            }
        }
        self.forget_unneeded();
    }

    /// Checks every workflow to which an open file belongs.
    fn recheck_all(&mut self) {
        let paths: Vec<_> = self.documents.iter().map(|(path, _)| path.clone()).collect();
        for path in paths {
            self.changed(&path, true);
        }
        self.forget_unneeded();
    }

    fn check(&mut self, root: PathBuf, is_settled: bool) {
        self.roots.entry(root.clone()).or_default().wanted = self.revision;
        let job = self.job(root, &[]);
        if is_settled {
            self.looks.request(job.clone());
        }
        self.checks.request(job);
    }

    /// A workflow to check, with further texts in the place of those that are open.
    fn job(&self, root: PathBuf, texts: &[(PathBuf, Arc<str>)]) -> Job {
        let folder = first(&self.folders);
        let texts = self.documents.texts().chain(texts.iter().cloned());
        let study = self.settings.study(&root, &folder, texts);
        let cache = self.settings.cache(&root, &folder);
        Job { root, revision: self.revision, study, encoding: self.encoding, cache }
    }

    /// The first mistake that the workflows of a file would have with other texts, and have not now.
    fn new_mistake(&mut self, path: &Path, texts: &[(PathBuf, Arc<str>)]) -> Option<String> {
        self.documents.roots_of(path).into_iter().find_map(|root| {
            let before = check(self.job(root.clone(), &[]), &self.context);
            let after = check(self.job(root, texts), &self.context);
            after.found.iter().find_map(|new| {
                let code = &new.diagnostic.code;
                let count = |all: &[Found]| {
                    all.iter().filter(|found| found.diagnostic.code == *code).count()
                };
                let is_new = count(&after.found) > count(&before.found);
                is_new.then(|| new.diagnostic.message.clone())
            })
        })
    }

    /// Drops what is known of workflows to which no open file belongs.
    fn forget_unneeded(&mut self) {
        let open: Vec<_> = self
            .documents
            .iter()
            .map(|(path, document)| (path.clone(), document.is_workflow))
            .collect();
        let mut needed = BTreeSet::new();
        for (path, is_workflow) in open {
            let roots = self.documents.roots_of(&path);
            needed.extend(roots.into_iter().filter(|root| is_workflow || *root != path));
        }
        let known = self.roots.len();
        self.roots.retain(|root, _| needed.contains(root));
        if self.roots.len() != known {
            self.publish_all();
        }
    }

    fn take_outcome(&mut self, outcome: Outcome) {
        if let Some(failure) = &outcome.failure {
            self.log(lsp::MessageType::ERROR, failure.clone());
        }
        let Some(state) = self.roots.get_mut(&outcome.root) else { return };
        if let Some(workflow) = &outcome.workflow {
            state.checked = Some(Arc::clone(workflow));
        }
        state.rules = Some(Arc::clone(&outcome.rules));
        // The texts have changed since: its places are wrong, and a newer check is on its way.
        if outcome.revision < state.wanted {
            return;
        }
        let had = state.outcome.replace(outcome);
        let mut files: BTreeSet<PathBuf> =
            had.into_iter().flat_map(|outcome| outcome.files).collect();
        files.extend(state.outcome.iter().flat_map(|outcome| outcome.files.iter().cloned()));
        for file in files {
            self.publish(&file);
        }
        self.refresh();
    }

    fn take_looked(&mut self, looked: Looked) {
        let Some(state) = self.roots.get_mut(&looked.root) else { return };
        state.looked = looked.stages.map(|stages| (looked.revision, stages));
        self.refresh();
    }

    /// Tells the client to request hints and lenses again.
    fn refresh(&mut self) {
        if self.abilities.refresh_hints {
            self.ask::<lsp::request::InlayHintRefreshRequest>(());
        }
        if self.abilities.refresh_lenses {
            self.ask::<lsp::request::CodeLensRefresh>(());
        }
    }

    fn publish_all(&mut self) {
        let mut files = self.published.clone();
        let outcomes = self.roots.values().filter_map(|state| state.outcome.as_ref());
        files.extend(outcomes.flat_map(|outcome| outcome.files.iter().cloned()));
        for file in files {
            self.publish(&file);
        }
    }

    /// Publishes the diagnostics of all workflows for a file; a file that includes nothing else may
    /// belong to several.
    fn publish(&mut self, file: &Path) {
        let outcomes = self.roots.values().filter_map(|state| state.outcome.as_ref());
        let mut diagnostics: Vec<lsp::Diagnostic> = Vec::new();
        for found in outcomes.flat_map(|outcome| &outcome.found) {
            if found.file == file && !diagnostics.contains(&found.diagnostic) {
                diagnostics.push(found.diagnostic.clone());
            }
        }
        let document = self.documents.get(file);
        let version = document.map(|document| document.version);
        let uri = match document {
            Some(document) => Some(document.uri.clone()),
            None => uri::from_path(file),
        };
        let Some(uri) = uri else { return };
        let is_known = match diagnostics.is_empty() {
            true => !self.published.remove(file),
            false => !self.published.insert(file.to_owned()),
        };
        // An open file without diagnostics, before and now, is still published: the client learns
        // that it was checked.
        if diagnostics.is_empty() && is_known && document.is_none() {
            return;
        }
        let params = lsp::PublishDiagnosticsParams { uri, diagnostics, version };
        self.notify::<lsp::notification::PublishDiagnostics>(params);
    }

    fn root_of(&mut self, uri: &lsp::Uri) -> Option<PathBuf> {
        let path = self.path(uri);
        self.documents.roots_of(&path).into_iter().next()
    }

    /// Number of actions of each stage, and of those in the cache, as far as that is
    /// known of these texts.
    fn counts(&mut self, uri: &lsp::Uri) -> Vec<StageCounts> {
        let state = self.root_of(uri).and_then(|root| self.roots.get(&root));
        let looked = state.and_then(|state| {
            let (revision, counts) = state.looked.as_ref()?;
            (*revision == state.wanted).then(|| counts.clone())
        });
        looked.unwrap_or_default()
    }

    fn view(&mut self, uri: &lsp::Uri) -> Option<View<'_>> {
        self.views(uri).into_iter().next()
    }

    /// A file as a part of each workflow that it belongs to.
    fn views(&mut self, uri: &lsp::Uri) -> Vec<View<'_>> {
        let path = self.path(uri);
        let Some(document) = self.documents.get(&path) else { return Vec::new() };
        let is_empty = document.source.text.trim().is_empty();
        let may_be = document.is_workflow || is_empty;
        let roots = self.documents.roots_of(&path);
        // Other YAML files are not workflows.
        if !may_be && roots.iter().all(|root| *root == path) {
            return Vec::new();
        }
        let files: Vec<_> = roots.iter().map(|root| self.documents.with_included(root)).collect();
        let (kinds, encoding) = (&*self.kinds, self.encoding);
        let schema = self.schema.get_or_init(|| workflow_schema(kinds.catalogue()));
        let views = roots.iter().zip(files).filter_map(|(root, files)| {
            let file = files.iter().position(|file| file.path == path)?;
            let state = self.roots.get(root);
            let project = Project {
                files,
                checked: state.and_then(|state| state.checked.clone()),
                rules: state.and_then(|state| state.rules.clone()).unwrap_or_else(|| Arc::from([])),
            };
            Some(View { project, file, kinds, schema, encoding })
        });
        views.collect()
    }

    /// Queries a position in a file.
    fn at<T>(
        &mut self,
        position: &lsp::TextDocumentPositionParams,
        ask: impl FnOnce(&View<'_>, usize) -> T,
    ) -> Option<T> {
        let view = self.view(&position.text_document.uri)?;
        let offset = view.source().offset(position.position, view.encoding);
        Some(ask(&view, offset))
    }

    /// Queries a position in a file, in every workflow that the file belongs to; each answer once.
    fn at_in_all<T: PartialEq>(
        &mut self,
        position: &lsp::TextDocumentPositionParams,
        ask: impl Fn(&View<'_>, usize) -> Vec<T>,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for view in self.views(&position.text_document.uri) {
            let offset = view.source().offset(position.position, view.encoding);
            for found in ask(&view, offset) {
                if !all.contains(&found) {
                    all.push(found);
                }
            }
        }
        all
    }
}

/// The request for the graph of stages, an extension of the protocol.
const GRAPH: &str = "fuseline/graph";

/// The first folder of the workspace, or the working directory.
fn first(folders: &[PathBuf]) -> PathBuf {
    folders.first().cloned().or_else(|| std::env::current_dir().ok()).unwrap_or_default()
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, (ErrorCode, String)> {
    serde_json::from_value(params).map_err(|error| (ErrorCode::InvalidParams, error.to_string()))
}

fn answer(result: &impl Serialize) -> Result<Value, (ErrorCode, String)> {
    serde_json::to_value(result).map_err(|error| (ErrorCode::InternalError, error.to_string()))
}
