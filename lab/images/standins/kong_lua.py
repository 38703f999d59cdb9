"""Runs the functions of Kong's serverless plugins in Debian's LuaJIT, in a sandbox as Kong's.

Read from `kong/plugins/pre-function/_handler.lua`, `kong/tools/kong-lua-sandbox.lua` and
`kong/pdk/{request,response}.lua` of 3.9.3: what a function may use, in which phases, and that `get_raw_body` gives
nothing before the last piece. Of Kong's PDK there is what `_HARNESS` lists; anything else is nil, and an error for the
function that calls it.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PHASES: Final = ("certificate", "rewrite", "access", "header_filter", "body_filter", "log")
ANSWER: Final = ("header_filter", "body_filter")
RUN: Final = ("access", *ANSWER)
"""The phases that the stand-in has."""
BUFFER: Final = 8192
"""`client_body_buffer_size`: what is larger lies in a file."""

# A line of Lua source comes in, lines of "word hex hex" go out, the last of them "done".
_HARNESS: Final = r"""
local lines, out = io.lines, io.write
local function hex(s) return (tostring(s):gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end
local now  -- the request at hand
local function phase(name, ...)
  for _, allowed in ipairs({ ... }) do
    if now.phase == allowed then return end
  end
  error("function '" .. name .. "' cannot be called in " .. now.phase .. " phase", 3)
end
local function header(name, value)
  if type(name) ~= "string" then error("invalid header name: " .. tostring(name), 3) end
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
    error("invalid header value for '" .. name .. "': got " .. kind .. ", expected array of string, string, number " ..
      "or boolean", 3)
  end
end
local kong = { ctx = {}, request = {}, response = {}, service = { request = {} } }
setmetatable(kong.ctx, { __index = function(_, name) if name == "plugin" then return now.plugin end end })
function kong.request.get_path() return now.path end
function kong.request.get_method() return now.method end
function kong.request.get_header(name) return now.headers[name:lower()] end
function kong.request.get_raw_body(most)
  phase("kong.request.get_raw_body", "access")
  if #now.sent <= now.buffer or most == 0 or (most and #now.sent <= most) then return now.sent end
  return nil, "request body did not fit into client body buffer"
end
function kong.service.request.set_raw_body(body)
  phase("kong.service.request.set_raw_body", "access")
  if type(body) ~= "string" then error("body must be a string", 2) end
  out("body ", hex(body), "\n")
end
function kong.response.get_status()
  phase("kong.response.get_status", "header_filter", "body_filter")
  return now.status
end
function kong.response.get_source()
  phase("kong.response.get_source", "header_filter", "body_filter")
  return now.source
end
function kong.response.set_header(name, value)
  phase("kong.response.set_header", "header_filter")
  header(name, value)
  out("set ", hex(name), " ", hex(value), "\n")
end
function kong.response.clear_header(name)
  phase("kong.response.clear_header", "header_filter")
  header(name, "")
  out("clear ", hex(name), "\n")
end
function kong.response.get_raw_body()
  phase("kong.response.get_raw_body", "body_filter")
  return now.body  -- nil but for the last piece
end
function kong.response.set_raw_body(body)
  phase("kong.response.set_raw_body", "body_filter")
  if type(body) ~= "string" then error("body must be a string", 2) end
  out("body ", hex(body == "" and "\n" or body), "\n")
end
local allowed = {}
for name in ([[
_VERSION assert error ipairs next pairs pcall select tonumber tostring type unpack xpcall
coroutine.create coroutine.resume coroutine.running coroutine.status coroutine.wrap coroutine.yield
math.abs math.acos math.asin math.atan math.atan2 math.ceil math.cos math.cosh math.deg math.exp math.fmod math.floor
math.frexp math.huge math.ldexp math.log math.log10 math.max math.min math.modf math.pi math.pow math.rad math.random
math.sin math.sinh math.sqrt math.tan math.tanh os.clock os.date os.difftime os.time
string.byte string.char string.find string.format string.gmatch string.gsub string.len string.lower string.match
string.rep string.reverse string.sub string.upper table.concat table.insert table.maxn table.remove table.sort
]]):gmatch("%S+") do
  local module, member = name:match("^(%w+)%.(%w+)$")
  if module then
    allowed[module] = allowed[module] or {}
    allowed[module][member] = _G[module][member]
  else
    allowed[name] = _G[name]
  end
end
local function environment()
  local env = { kong = kong, ngx = {} }
  env._G = env
  env.require = function(m) error(("require '%s' not allowed within sandbox"):format(m)) end
  return setmetatable(env, { __index = allowed })
end
local functions, contexts = {}, {}
local function run(asked)
  if asked.load then
    local f, wrong = loadstring(asked.load)
    if not f then error(wrong, 0) end
    functions[asked.name] = setfenv(f, environment())
    return
  end
  now = asked
  contexts[asked.id] = contexts[asked.id] or {}
  now.plugin = contexts[asked.id]
  local f = functions[asked.name]
  local result = f()
  if type(result) == "function" then
    functions[asked.name] = result
    result()
  end
  if asked.last then contexts[asked.id] = nil end
end
for line in lines() do
  local ok, wrong = pcall(function() run(loadstring("return " .. line)()) end)
  if not ok then out("error ", hex(wrong), "\n") end
  out("done\n")
  io.stdout:flush()
end
"""


class LuaError(Exception):
    """Lua does not take the code, or the code failed."""


@dataclass
class Response:
    """What the functions see of an answer, and change in it."""

    path: str
    method: str
    status: int
    source: str
    """`exit`: Kong's own; `error`: of a connection to the service; `service`: the service's."""
    request_headers: Mapping[str, str]
    given: dict[str, str] = field(default_factory=dict)
    """Headers, in small letters."""
    cleared: set[str] = field(default_factory=set)
    body: bytes | None = None
    """In place of the one that was there."""


class Functions:
    """One interpreter with all functions of a file, by plugin and phase."""

    def __init__(self) -> None:
        lua = shutil.which("luajit")
        if lua is None:
            raise LuaError("there is no luajit, which runs the functions of serverless plugins")
        self._process = subprocess.Popen([lua, "-e", _HARNESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.close = weakref.finalize(self, _end, self._process)
        """Ends the interpreter."""
        self._lock = threading.Lock()
        self._asked = 0

    def load(self, name: str, code: str) -> None:
        """Compile a function; raises LuaError where Lua does not take it."""
        for word, *rest in self._ask(f"{{ name = {_string(name)}, load = {_string(code)} }}"):
            if word == "error":
                raise LuaError(rest[0].decode())

    def request(self, codes: list[str], path: str, body: bytes) -> bytes:
        """Run functions of the phase `access`, which may change the body that the service gets."""
        for code in codes:
            asked = (
                f"{{ name = {_string(code)}, phase = 'access', id = 0, last = true, path = {_string(path)}, "
                f"buffer = {BUFFER}, sent = {_string(body)} }}"
            )
            for word, *rest in self._ask(asked):
                if word == "error":
                    raise LuaError(rest[0].decode())
                body = rest[0]
        return body

    def run(self, names: Mapping[str, list[str]], response: Response) -> None:
        """Run the functions of both phases on an answer: `header_filter`, then `body_filter` with its last piece."""
        with self._lock:
            self._asked += 1
            number = self._asked
        headers = ", ".join(f"[{_string(k.lower())}] = {_string(v)}" for k, v in response.request_headers.items())
        steps = [(phase, name) for phase in ANSWER for name in names.get(phase, [])]
        for step, (phase, name) in enumerate(steps, 1):
            body = ', body = ""' if phase == "body_filter" else ""
            last = ", last = true" if step == len(steps) else ""
            asked = (
                f"{{ name = {_string(name)}, phase = {_string(phase)}, id = {number}, status = {response.status}, "
                f"path = {_string(response.path)}, method = {_string(response.method)}, "
                f"source = {_string(response.source)}, headers = {{ {headers} }}{body}{last} }}"
            )
            for word, *rest in self._ask(asked):
                self._apply(word, rest, response)

    @staticmethod
    def _apply(word: str, rest: list[bytes], response: Response) -> None:
        if word == "error":
            raise LuaError(rest[0].decode())
        if word == "set":
            response.given[rest[0].decode().lower()] = rest[1].decode()
        elif word == "clear":
            response.cleared.add(rest[0].decode().lower())
        else:
            response.body = rest[0]

    def _ask(self, asked: str) -> list[tuple[str, *tuple[bytes, ...]]]:
        pipes = self._process.stdin, self._process.stdout
        if pipes[0] is None or pipes[1] is None:
            raise LuaError("the interpreter has no pipes")
        found: list[tuple[str, *tuple[bytes, ...]]] = []
        with self._lock:
            pipes[0].write(asked.encode() + b"\n")
            pipes[0].flush()
            while (line := pipes[1].readline()) != b"done\n":
                if not line:
                    raise LuaError("the interpreter has ended")
                word, *rest = line.decode().split()
                found.append((word, *(bytes.fromhex(part) for part in rest)))
        return found


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _string(value: str | bytes) -> str:
    """A literal of Lua on one line."""
    return '"' + "".join(f"\\{byte:03d}" for byte in (value.encode() if isinstance(value, str) else value)) + '"'
