// The command that the extension starts speaks the protocol; the graph that it gives can be drawn.
// FUSELINE names the command; without it, the one of a debug build is taken.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import * as path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { readFile } from "node:fs/promises";
import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from "vscode-jsonrpc/node";

import { columns, Graph, page } from "../src/graph";
import { serverCommand, serverSettings, Settings, workflowArguments } from "../src/server";

const root = path.resolve(__dirname, "../../..");
const settings: Settings = {
  command: process.env.FUSELINE ?? path.join(root, "target/debug/fuseline"),
  cache: null,
  set: { examples: 120 },
  params: null,
  pluginPath: [],
};

test("the server starts, checks a workflow and gives its graph", { timeout: 60_000 }, async (context) => {
  const { command, args } = serverCommand(settings);
  const server = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], cwd: root });
  // Whatever fails below, nothing goes on.
  context.after(() => server.kill());
  const connection = createMessageConnection(new StreamMessageReader(server.stdout), new StreamMessageWriter(server.stdin));
  const published = new Promise<{ uri: string; diagnostics: unknown[] }>((resolve) => {
    connection.onNotification("textDocument/publishDiagnostics", resolve);
  });
  connection.listen();
  const initialized = await connection.sendRequest<{ capabilities: Record<string, unknown>; serverInfo: { name: string } }>("initialize", {
    processId: process.pid,
    rootUri: pathToFileURL(root).toString(),
    capabilities: {},
    initializationOptions: serverSettings(settings),
  });
  assert.equal(initialized.serverInfo.name, "fuseline");
  assert.ok(initialized.capabilities.completionProvider);
  await connection.sendNotification("initialized", {});
  const file = path.join(root, "workflows/quickstart.yaml");
  const uri = pathToFileURL(file).toString();
  const text = await readFile(file, "utf8");
  await connection.sendNotification("textDocument/didOpen", { textDocument: { uri, languageId: "yaml", version: 1, text } });
  assert.deepEqual((await published).diagnostics, []);

  const graph = await connection.sendRequest<Graph>("fuseline/graph", { textDocument: { uri } });
  const column = columns(graph);
  assert.equal(column.get("cohort"), 0);
  assert.ok((column.get("fusion") ?? 0) > (column.get("quality") ?? 0));
  const drawn = page(graph, "expert", "nonce");
  assert.match(drawn, /class="node [a-z-]+ marked" data-stage="expert"/);
  assert.equal(drawn.split('class="edge').length - 1, graph.edges.length);

  const cached = { ...graph.nodes[0], actions: "1 action, cached", cached: 1, count: 1 };
  assert.match(page({ nodes: [cached], edges: [] }, undefined, "nonce"), />1 action, cached</);

  await connection.sendRequest("shutdown");
  await connection.sendNotification("exit");
  const code = await new Promise((resolve) => server.on("exit", resolve));
  assert.equal(code, 0);
  connection.dispose();
});

test("what is set goes to the command line too", () => {
  const own = { ...settings, params: "p.yaml", set: { data: "/d", folds: 5 } };
  assert.deepEqual(workflowArguments(own, "run", "w.yaml"), [
    "run", "w.yaml", "--set", "data=/d", "--set", "folds=5", "--params", "p.yaml",
  ]);
});

test("stages that wait for each other are drawn all the same", () => {
  const node = (name: string) => ({
    name, uses: null, over: [], actions: null, cached: null, count: null, uri: "",
    range: { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } },
  });
  const graph = { nodes: [node("a"), node("b<")], edges: [{ from: "a", to: "b<", port: "x" }, { from: "b<", to: "a", port: "y" }] };
  assert.match(page(graph, undefined, "n"), /b&#60;/);
});
