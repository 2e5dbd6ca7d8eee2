#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

// lua sets its handler for an interrupt at the start of each -e, and an
// interrupt resets it. So each -e of the command line serves statements until
// an interrupt.
//
// The handler raises an error in the main thread of lua, wherever that is. So
// statements are executed there, and all else is a coroutine, `server`.
//
// The text is one for all versions from 5.1 on, and for LuaJIT.
const absl::string_view kLuaProgram = R"lua(
local globals, load, pcall, xpcall, select = _G, loadstring or load, pcall, xpcall, select
local print, rawget, rawset, tonumber, tostring, type = print, rawget, rawset, tonumber, tostring, type
local getmetatable, traceback = debug.getmetatable, debug.traceback
local resume, yield, exit, open = coroutine.resume, coroutine.yield, os.exit, io.open
local concat, unpack = table.concat, table.unpack or unpack
local find, gsub, match = string.find, string.gsub, string.match
local stdout, stderr = io.stdout, io.stderr
local statements, completions = open('/dev/fd/8', 'rb'), open('/dev/fd/9', 'wb')
local close, flush, read, write = stdout.close, stdout.flush, stdout.read, stdout.write
local has_handler, chunk, message  -- No message: success.
arg = {[0] = 'lua', unpack(arg or {})}

-- Where stdin is not a file, questions are written before their answer is read:
-- a read of a stream without full buffering flushes the lines of stdout.
if not io.stdin:seek() then
  io.stdin:setvbuf('line')
  stdout:setvbuf('line')
end

-- Awaits the next -e if an interrupt has reset the handler.
local function set_handler()
  chunk = nil
  local file = open('/proc/self/status')
  local caught = match(read(file, '*a'), 'SigCgt:%s*%x*(%x)')
  close(file)
  has_handler = tonumber(caught, 16) % 4 >= 2  -- Bit 1: SIGINT.
  if not has_handler then yield() end
end

-- The next byte. A read of several would lose those before an interrupt.
local function next_byte()
  while true do
    local byte, failure = read(statements, 1)
    if byte then return byte end
    if not failure then exit(0, true) end
    set_handler()
  end
end

local function compile(source)
  chunk = load('return ' .. gsub(source, '^=', ''), '=stdin', 't')
  if not chunk then chunk, message = load(source, '=stdin', 't') end
end

local server = coroutine.create(function()
  local answer = '0 done 0'
  while true do
    pcall(flush, stdout)
    write(completions, answer, '\n')
    flush(completions)
    local header, source = '', {}
    repeat header = header .. next_byte() until find(header, '\n')
    local id, length = match(header, '(%d+) (%d+)')
    for i = 1, tonumber(length) do source[i] = next_byte() end
    compile(concat(source))
    if chunk then
      message = 'interrupted!'
      yield()
    end
    if not chunk and find(message, "<eof>'?$") then
      answer = id .. ' incomplete'
    else
      answer = id .. (message and ' done 1' or ' done 0')
      if message then write(stderr, message, '\n') end
    end
    if message or length == '0' then set_handler() end
  end
end)

-- As lua describes an error at its prompt.
local function describe(failure)
  local text = failure
  if type(text) ~= 'string' and type(text) ~= 'number' then
    local convert = (getmetatable(failure) or {}).__tostring
    text = convert and convert(failure)
    if type(text) == 'string' then return text end
    text = '(error object is a ' .. type(failure) .. ' value)'
  end
  -- Without the frames of this program.
  return (gsub(traceback(tostring(text), 2), '\n\t%[C%]: in [^\n]*\n\t%(command line%):.*$', '\n\t[C]: in ?'))
end

local function pack(...)
  return {n = select('#', ...), ...}
end

local function execute()
  local results = pack(xpcall(chunk, describe))
  if not results[1] then
    message = results[2]
    return
  end
  if results.n > 1 then
    local show = rawget(globals, 'print')
    if type(show) ~= 'function' then show = print end
    local shown, failure = pcall(show, unpack(results, 2, results.n))
    if not shown then
      message = "error calling 'print' (" .. tostring(failure) .. ')'
      return
    end
  end
  message = nil
end

local function serve_once()
  if not resume(server) then exit(1) end
  if chunk then execute() end
end

-- The name is there from one -e to the next, and not for statements.
local hidden
local function serve()
  rawset(globals, 'asyncproc', hidden)
  has_handler = true
  repeat pcall(serve_once) until not has_handler
  hidden = rawget(globals, 'asyncproc')
  rawset(globals, 'asyncproc', serve)
end
asyncproc = serve
)lua";

}  // namespace asyncproc::internal
