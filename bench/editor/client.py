"""A client of the Language Server Protocol over standard input and output, as far as the scripts here need one."""

import json
import pathlib
import queue
import subprocess
import threading


class Server:
    """A language server that was started, and the documents that it holds."""

    def __init__(self, command, options=None, configuration=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.configuration = configuration or {}
        self.number = 0
        self.version = 0
        self.answers = {}
        self.diagnostics = queue.Queue()
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        capabilities = {
            "textDocument": {"publishDiagnostics": {}, "completion": {"completionItem": {"snippetSupport": True}}},
            "workspace": {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}},
        }
        self.request("initialize", {"processId": None, "rootUri": None, "capabilities": capabilities, "initializationOptions": options or {}})
        self.notify("initialized", {})
        if configuration:
            self.notify("workspace/didChangeConfiguration", {"settings": configuration})

    def _send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def _read(self):
        while True:
            length = None
            while (line := self.process.stdout.readline().strip()):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if length is None:
                return
            message = json.loads(self.process.stdout.read(length))
            if message.get("method") == "textDocument/publishDiagnostics":
                self.diagnostics.put(message["params"])
            elif "method" in message and "id" in message:
                self._send({"id": message["id"], "result": self._asked(message)})
            elif "id" in message:
                with self.changed:
                    self.answers[message["id"]] = message
                    self.changed.notify_all()

    def _asked(self, message):
        if message["method"] != "workspace/configuration":
            return None
        sections = [item.get("section") or "" for item in message["params"]["items"]]
        return [self.configuration.get(section, {}) for section in sections]

    def request(self, method, params, seconds=60):
        self.number += 1
        number = self.number
        self._send({"id": number, "method": method, "params": params})
        with self.changed:
            if not self.changed.wait_for(lambda: number in self.answers, seconds):
                raise TimeoutError(method)
            return self.answers.pop(number).get("result")

    def notify(self, method, params):
        self._send({"method": method, "params": params})

    def open(self, path, text):
        """Opens a text and gives its diagnostics: the last that come before half a second of silence."""
        uri = pathlib.Path(path).as_uri()
        self.version += 1
        document = {"uri": uri, "languageId": "yaml", "version": self.version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})
        found, wait = [], 20
        while True:
            try:
                published = self.diagnostics.get(timeout=wait)
            except queue.Empty:
                return found
            if published["uri"] == uri:
                found, wait = published["diagnostics"], 0.5

    def complete(self, path, line, character):
        uri = pathlib.Path(path).as_uri()
        position = {"line": line, "character": character}
        answer = self.request("textDocument/completion", {"textDocument": {"uri": uri}, "position": position})
        items = answer.get("items", []) if isinstance(answer, dict) else answer or []
        return [item["label"] for item in items]

    def close(self, path):
        self.notify("textDocument/didClose", {"textDocument": {"uri": pathlib.Path(path).as_uri()}})

    def end(self):
        self.process.kill()


def both(arguments):
    """Our server, and yaml-language-server with our schema for every file, as `arguments` names them."""
    schema = {pathlib.Path(arguments.schema).resolve().as_uri(): ["*.yaml"]}
    yaml = {"validate": True, "completion": True, "schemas": schema, "schemaStore": {"enable": False}}
    ours = Server([arguments.fuseline, "lsp"])
    theirs = Server([*arguments.yaml_language_server.split(), "--stdio"], configuration={"yaml": yaml})
    return ours, theirs
