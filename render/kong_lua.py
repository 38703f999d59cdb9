"""Functions in Lua for Kong's `pre-function` and `post-function`, which its sandbox runs.

Kong OSS has one template for all its errors (`error_template_json`), in which neither the type nor the sentence can
depend on the status, and none for the shapes of two APIs; its plugin for that (`exit-transformer`) is not free.
"""

from collections.abc import Mapping
from typing import Final

from render.client_errors import ANTHROPIC_HEADER, ANTHROPIC_PATHS, FROM_KONG, ClientError, text


def _string(value: str) -> str:
    level = "=" * 4
    if f"]{level}]" in value:
        raise ValueError(f"{value!r} ends a long string of Lua")
    return f"[{level}[{value}]{level}]"


def _bodies(name: str, bodies: Mapping[int, str]) -> str:
    rows = "".join(f"  [{status}] = {_string(body)},\n" for status, body in sorted(bodies.items()))
    return f"local {name} = {{\n{rows}}}\n"


def error_header_filter(errors: Mapping[int, ClientError] = FROM_KONG) -> str:
    """Choose the body for an error of Kong's own: its plugins', its router's, and nginx's about an upstream.

    What a service behind answered is left alone. The other phase, `ERROR_BODY_FILTER`, sends the body.
    """
    paths = ", ".join(f'"{path}"' for path in ANTHROPIC_PATHS)
    return (
        _bodies("openai", {status: text(error.openai()) for status, error in errors.items()})
        + _bodies("anthropic", {status: text(error.anthropic()) for status, error in errors.items()})
        + f"""\
local paths = {{ {paths} }}
return function()
  local status = kong.response.get_status()
  if status < 400 or kong.response.get_source() == "service" then
    return
  end
  local bodies = openai
  if kong.request.get_header("{ANTHROPIC_HEADER}") then
    bodies = anthropic
  end
  local path = kong.request.get_path()
  for _, start in ipairs(paths) do
    if path == start or path:sub(1, #start + 1) == start .. "/" then
      bodies = anthropic
    end
  end
  local body = bodies[status] or bodies[status < 500 and 400 or 500]
  kong.ctx.plugin.body = body
  kong.response.set_header("Content-Type", "application/json")
  kong.response.set_header("Content-Length", #body)
end
"""
    )


ERROR_BODY_FILTER: Final = """\
return function()
  local body = kong.ctx.plugin.body
  if body and kong.response.get_raw_body() then
    kong.response.set_raw_body(body)
  end
end
"""

_CORS_HEADERS: Final = (
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Headers",
    "Access-Control-Allow-Methods",
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
)


def no_cors_of_services() -> str:
    """Remove what a service behind allows browsers: LiteLLM allows every origin, whatever the settings say.

    Before Kong's own `cors` plugin, which then adds what the settings allow; its answer to a preflight request has
    that already.
    """
    names = ", ".join(f'"{name}"' for name in _CORS_HEADERS)
    return f"""\
local names = {{ {names} }}
return function()
  if kong.response.get_source() ~= "service" then
    return
  end
  for _, name in ipairs(names) do
    kong.response.clear_header(name)
  end
end
"""


_SPEECH_BYTES: Final = 1 << 20
"""A text to say is shorter."""


def voices(ours: Mapping[str, str]) -> str:
    """Replace OpenAI's names of voices in a request for speech.

    In the JSON's text, since the sandbox has no JSON: a quotation mark inside of one of its strings is escaped, so what
    matches is a name and its value.
    """
    rows = "".join(f'  ["{name}"] = "{voice}",\n' for name, voice in sorted(ours.items()))
    return f"""\
local voices = {{
{rows}}}
return function()
  if not kong.request.get_path():find("/v1/audio/speech$") then
    return
  end
  local body = kong.request.get_raw_body({_SPEECH_BYTES})
  if not body then
    return
  end
  local replaced = body:gsub('("voice"%s*:%s*)"([%w_]+)"', function(start, name)
    return voices[name] and start .. '"' .. voices[name] .. '"'
  end)
  if replaced ~= body then
    kong.service.request.set_raw_body(replaced)
  end
end
"""
