// What starts the language server; knows nothing of the editor, so that it can be tested without one.

export interface Settings {
  command: string;
  cache: string | null;
  set: Record<string, unknown>;
  params: string | null;
  pluginPath: string[];
}

/** The command and its arguments. */
export function serverCommand(settings: Pick<Settings, "command">): { command: string; args: string[] } {
  return { command: settings.command, args: ["lsp"] };
}

/** What the server is told of the workflows beyond their texts; what is not set is left out. */
export function serverSettings(settings: Settings): Record<string, unknown> {
  const { cache, set, params, pluginPath } = settings;
  return {
    ...(cache ? { cache } : {}),
    ...(params ? { params } : {}),
    set,
    pluginPath,
  };
}

/** The arguments of a command line on a workflow, with the values of params that are set. */
export function workflowArguments(settings: Settings, subcommand: string, workflow: string): string[] {
  const args = [subcommand, workflow];
  for (const [name, value] of Object.entries(settings.set)) {
    args.push("--set", `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  }
  if (settings.params) {
    args.push("--params", settings.params);
  }
  for (const folder of settings.pluginPath) {
    args.push("--plugin-path", folder);
  }
  if (settings.cache) {
    args.push("--cache", settings.cache);
  }
  return args;
}
