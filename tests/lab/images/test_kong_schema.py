"""The stand-in of Kong refuses the declarative files that Kong 3.9.3 refuses, and takes ours."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from lab.images.standins.common import Request
from lab.images.standins.kong import credential, upstream_headers
from lab.images.standins.kong_config import ConfigError, Route, load
from lab.images.standins.kong_schema import problems
from render.kong import kong_config

ORIGINS = ["https://chat.example.com", "http://localhost:3000"]
KEYS = {"langgraph": "a", "litellm": "b", "whisper": "c", "ocr": "d"}
OURS: dict[str, Any] = yaml.safe_load(
    kong_config(owner_key="o", upstream_keys=KEYS, redis_password="r", cors_origins=ORIGINS, voices={"nova": "af_nova"})
)


def plugin(config: dict[str, Any], name: str) -> dict[str, Any]:
    """A plugin's settings, of those for everything or of the first service."""
    for found in [*config["plugins"], *config["services"][0]["plugins"]]:
        if found["name"] == name:
            return found["config"]  # type: ignore[no-any-return]
    raise KeyError(name)


def test_ours_is_taken() -> None:
    assert problems(OURS) == []


def _unknown_field(c: dict[str, Any]) -> None:
    plugin(c, "rate-limiting")["minutes"] = 1


def _lower_limit(c: dict[str, Any]) -> None:
    plugin(c, "rate-limiting").update(hour=1)


def _no_limit(c: dict[str, Any]) -> None:
    del plugin(c, "rate-limiting")["minute"]


def _cluster(c: dict[str, Any]) -> None:
    plugin(c, "rate-limiting")["policy"] = "cluster"


def _no_host(c: dict[str, Any]) -> None:
    del plugin(c, "rate-limiting")["redis"]["host"]


def _text_for_a_number(c: dict[str, Any]) -> None:
    plugin(c, "request-size-limiting")["allowed_payload_size"] = "64"


def _both_lists(c: dict[str, Any]) -> None:
    plugin(c, "acl")["deny"] = ["others"]


def _no_colon(c: dict[str, Any]) -> None:
    plugin(c, "request-transformer")["add"] = {"headers": ["Authorization"]}


def _plugin_of_the_paid_edition(c: dict[str, Any]) -> None:
    c["plugins"].append({"name": "openid-connect"})


def _generator(c: dict[str, Any]) -> None:
    plugin(c, "correlation-id")["generator"] = "uuid4"


def _format(c: dict[str, Any]) -> None:
    c["_format_version"] = "3.1"


def _relative_path(c: dict[str, Any]) -> None:
    c["services"][0]["routes"][0]["paths"] = ["v1"]


def _bad_regex(c: dict[str, Any]) -> None:
    c["services"][0]["routes"][0]["paths"] = ["~/v1("]


def _no_time(c: dict[str, Any]) -> None:
    c["services"][0]["read_timeout"] = 0


def _same_name(c: dict[str, Any]) -> None:
    c["services"][1]["name"] = c["services"][0]["name"]


def _same_key(c: dict[str, Any]) -> None:
    c["consumers"].append({"username": "other", "keyauth_credentials": [{"key": "o"}]})


def _group_without_name(c: dict[str, Any]) -> None:
    c["consumers"][0]["acls"] = [{}]


def _method_of_browsers(c: dict[str, Any]) -> None:
    plugin(c, "cors")["methods"] = ["GET", "PURGE"]


def _bad_origin(c: dict[str, Any]) -> None:
    plugin(c, "cors")["origins"] = ["https://(chat"]


def _not_lua(c: dict[str, Any]) -> None:
    plugin(c, "post-function")["header_filter"] = ["return function("]


def _no_phase(c: dict[str, Any]) -> None:
    plugin(c, "post-function").clear()


def _other_phase(c: dict[str, Any]) -> None:
    plugin(c, "post-function")["response"] = ["return function() end"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_unknown_field, "plugins[4].config.minutes: unknown field"),
        (_lower_limit, "The limit for hour(1.0) cannot be lower than the limit for minute(120.0)"),
        (_no_limit, "at least one of these fields must be non-empty: 'config.second'"),
        (_cluster, "config.policy: expected one of: local, redis"),
        (_no_host, "config.redis.host: required field missing"),
        (_text_for_a_number, "config.allowed_payload_size: expected int, got str"),
        (_both_lists, "exactly one of these fields must be non-empty: 'config.allow', 'config.deny'"),
        (_no_colon, "config.add.headers[1]: invalid value: Authorization"),
        (_plugin_of_the_paid_edition, "plugin 'openid-connect' not enabled"),
        (_generator, "config.generator: expected one of: uuid, uuid#counter, tracker"),
        (_format, "_format_version: expected one of: 1.1, 2.1, 3.0"),
        (_relative_path, "paths[1]: should start with: / (fixed path) or ~/ (regex path)"),
        (_bad_regex, "invalid regex: '/v1('"),
        (_no_time, "services[1].read_timeout: value should be between 1 and"),
        (_same_name, "uniqueness violation: 'services' entity with name set to 'agents'"),
        (_same_key, "uniqueness violation: 'keyauth_credentials' entity with key set to '...'"),
        (_method_of_browsers, "config.methods[2]: expected one of: GET, HEAD, PUT"),
        (_bad_origin, "'https://(chat' is not a valid regex"),
        (_not_lua, "error parsing pre-function: "),
        (_no_phase, "at least one of these fields must be non-empty: 'config.certificate'"),
        (_other_phase, "config.response: unknown field"),
        (_group_without_name, "consumers[1].acls[1].group: required field missing"),
    ],
)
def test_what_kong_refuses_is_refused(change: Callable[[dict[str, Any]], None], said: str) -> None:
    config = copy.deepcopy(OURS)
    change(config)
    assert [problem for problem in problems(config) if said in problem]
    with pytest.raises(ConfigError):
        load(yaml.safe_dump(config))


def test_only_the_header_that_the_key_came_in_is_hidden() -> None:
    auth = {"key_names": ["apikey", "authorization"], "hide_credentials": True, "key_in_query": False}
    request = Request("GET", "/v1", {}, {"apikey": "o", "authorization": "Bearer o", "x-other": "1"}, b"")
    assert credential(auth, request) == ("apikey", "o")

    def sent(plugins: dict[str, Any]) -> dict[str, str]:
        route = Route("agents", "/v1", False, "http://agents:8080", 1, plugins)
        return upstream_headers(route, request, "id", "owner")

    assert sent({"key-auth": auth})["authorization"] == "Bearer o"
    transform = {"remove": {"headers": ["apikey", "authorization"]}, "add": {"headers": ["Authorization:Bearer mine"]}}
    assert sent({"key-auth": auth, "request-transformer": transform})["authorization"] == "Bearer mine"
