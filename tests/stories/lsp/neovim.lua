-- Attaches the server to a buffer with the lines of docs/editors.md, and prints what the editor shows, as JSON on one line.
local wait = function(what, holds)
  if not vim.wait(20000, holds, 20) then
    print("no " .. what)
    vim.cmd("cquit 1")
  end
end
vim.cmd("edit " .. vim.env.WORKFLOW)
local shown = function() return #vim.diagnostic.get(0) > 0 end
wait("diagnostics", shown)
local first = vim.diagnostic.get(0)[1]
-- The name under the cursor is completed, and a fix is offered.
local ask = function(method, params)
  local answers = vim.lsp.buf_request_sync(0, method, params, 20000)
  for _, answer in pairs(answers or {}) do
    return answer.result
  end
end
local document = { uri = vim.uri_from_bufnr(0) }
local actions = ask("textDocument/codeAction", {
  textDocument = document,
  range = { start = { line = first.lnum, character = first.col }, ["end"] = { line = first.lnum, character = first.col } },
  context = { diagnostics = { first.user_data.lsp and vim.tbl_extend("force", {
    range = { start = { line = first.lnum, character = first.col }, ["end"] = { line = first.end_lnum, character = first.end_col } },
    message = first.message, source = first.source, code = first.code,
  }, first.user_data.lsp) or nil } },
})
vim.lsp.util.apply_workspace_edit(actions[1].edit, "utf-16")
wait("mended text", function() return not shown() end)
local hover = ask("textDocument/hover", { textDocument = document, position = { line = first.lnum, character = first.col } })
io.stdout:write(vim.json.encode({
  code = first.code or vim.NIL,
  message = first.message,
  title = actions[1].title,
  hover = hover.contents.value,
}) .. "\n")
vim.cmd("qall!")
