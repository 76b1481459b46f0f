// A thin client: starts `fuseline lsp`, and gives its lenses their commands. All that is known of workflows is the server's.

import { randomBytes } from "node:crypto";
import * as path from "node:path";
import * as vscode from "vscode";
import { LanguageClient, LanguageClientOptions, ServerOptions } from "vscode-languageclient/node";

import { Graph, page } from "./graph";
import { serverCommand, serverSettings, Settings, workflowArguments } from "./server";

let client: LanguageClient | undefined;
let panel: vscode.WebviewPanel | undefined;
let shown: { graph: Graph; uri: vscode.Uri } | undefined;

function settings(): Settings {
  const read = vscode.workspace.getConfiguration("fuseline");
  return {
    command: read.get("command", "fuseline"),
    cache: read.get("cache", null),
    set: read.get("set", {}),
    params: read.get("params", null),
    pluginPath: read.get("pluginPath", []),
  };
}

async function start(): Promise<void> {
  const own = settings();
  const server: ServerOptions = serverCommand(own);
  const options: LanguageClientOptions = {
    documentSelector: [{ language: "yaml" }],
    initializationOptions: serverSettings(own),
  };
  client = new LanguageClient("fuseline", "fuseline", server, options);
  try {
    await client.start();
  } catch (reason) {
    client = undefined;
    const choice = await vscode.window.showErrorMessage(
      `fuseline cannot be started as "${own.command}": ${reason}. The setting fuseline.command says where it is.`,
      "Open settings",
    );
    if (choice) {
      await vscode.commands.executeCommand("workbench.action.openSettings", "fuseline.command");
    }
  }
}

async function stop(): Promise<void> {
  await client?.stop();
  client = undefined;
}

function folder(): string | undefined {
  return vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
}

/** The workflow that a lens names, or the one in the editor. */
function workflowOf(given: unknown): string | undefined {
  return typeof given === "string" ? given : vscode.window.activeTextEditor?.document.uri.fsPath;
}

/** Runs a command line in a terminal, where it can be watched and stopped. */
async function runInTerminal(name: string, args: string[]): Promise<void> {
  await vscode.workspace.saveAll(false);
  const task = new vscode.Task(
    { type: "fuseline", name },
    vscode.TaskScope.Workspace,
    name,
    "fuseline",
    new vscode.ProcessExecution(settings().command, args, { cwd: folder() }),
  );
  task.presentationOptions = { reveal: vscode.TaskRevealKind.Always, clear: true };
  await vscode.tasks.executeTask(task);
}

async function plan(given?: unknown): Promise<void> {
  const workflow = workflowOf(given);
  if (workflow) {
    await runInTerminal("plan", workflowArguments(settings(), "plan", workflow));
  }
}

async function run(given?: unknown, stage?: unknown): Promise<void> {
  const workflow = workflowOf(given);
  if (workflow) {
    const only = typeof stage === "string" ? ["--only", stage] : [];
    await runInTerminal("run", [...workflowArguments(settings(), "run", workflow), ...only]);
  }
}

async function show(given?: unknown, stage?: unknown): Promise<void> {
  const workflow = workflowOf(given);
  const named = typeof stage === "string" ? stage : await vscode.window.showInputBox({ prompt: "stage.port[axis=point]" });
  if (workflow && named) {
    await runInTerminal("show", [...workflowArguments(settings(), "show", workflow), named]);
  }
}

async function open(given?: unknown, file?: unknown): Promise<void> {
  if (typeof file !== "string") {
    return;
  }
  const results = vscode.workspace.getConfiguration("fuseline").get("results", "results");
  const report = vscode.Uri.file(path.resolve(folder() ?? path.dirname(String(given)), results, file));
  try {
    await vscode.workspace.fs.stat(report);
  } catch {
    await vscode.window.showInformationMessage(`There is no ${report.fsPath} yet: run the workflow first.`);
    return;
  }
  await vscode.env.openExternal(report);
}

/** The stage at the cursor of an editor. */
function currentStage(editor: vscode.TextEditor | undefined): string | undefined {
  if (!editor || !shown) {
    return undefined;
  }
  const { line } = editor.selection.active;
  const uri = editor.document.uri.toString();
  const holds = shown.graph.nodes.find(
    ({ uri: own, range }) => vscode.Uri.parse(own).toString() === uri && range.start.line <= line && line <= range.end.line,
  );
  return holds?.name;
}

function draw(): void {
  if (panel && shown) {
    const editor = vscode.window.visibleTextEditors.find(({ document }) => document.languageId === "yaml");
    panel.webview.html = page(shown.graph, currentStage(editor), randomBytes(16).toString("hex"));
  }
}

async function refresh(uri: vscode.Uri): Promise<void> {
  const graph = await client?.sendRequest<Graph | null>("fuseline/graph", { textDocument: { uri: uri.toString() } });
  if (graph) {
    shown = { graph, uri };
    draw();
  }
}

async function graph(given?: unknown): Promise<void> {
  const workflow = workflowOf(given);
  if (!workflow) {
    return;
  }
  panel ??= vscode.window.createWebviewPanel("fuseline.graph", "Graph", vscode.ViewColumn.Beside, { enableScripts: true });
  panel.onDidDispose(() => {
    panel = undefined;
    shown = undefined;
  });
  panel.webview.onDidReceiveMessage(async ({ stage }: { stage?: string }) => {
    const node = shown?.graph.nodes.find(({ name }) => name === stage);
    if (node) {
      const { start } = node.range;
      const at = new vscode.Position(start.line, start.character);
      await vscode.window.showTextDocument(vscode.Uri.parse(node.uri), {
        viewColumn: vscode.ViewColumn.One,
        selection: new vscode.Range(at, at),
      });
    }
  });
  await refresh(vscode.Uri.file(workflow));
}

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const commands: [string, (...given: unknown[]) => Promise<void>][] = [
    ["plan", plan],
    ["run", run],
    ["show", show],
    ["open", open],
    ["graph", graph],
    ["restart", async () => { await stop(); await start(); }],
  ];
  for (const [name, handler] of commands) {
    context.subscriptions.push(vscode.commands.registerCommand(`fuseline.${name}`, handler));
  }
  let waiting: NodeJS.Timeout | undefined;
  const again = (): void => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { if (shown) { void refresh(shown.uri); } }, 300);
  };
  context.subscriptions.push(
    vscode.window.onDidChangeTextEditorSelection(draw),
    vscode.workspace.onDidChangeTextDocument(again),
    vscode.tasks.onDidEndTask(again),
    vscode.workspace.onDidChangeConfiguration(async (changed) => {
      if (changed.affectsConfiguration("fuseline")) {
        await stop();
        await start();
      }
    }),
  );
  await start();
}

export async function deactivate(): Promise<void> {
  await stop();
}
