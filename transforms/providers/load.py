"""A provider's description read from YAML. Pure: files are read by whoever calls. The shipped ones show the language.

    name: acme
    base_url: https://api.acme.example
    auth: {header: Authorization, value: "Bearer {secret}", secret: "env:ACME_API_KEY"}
    create: {request: POST /jobs, body: {items: "{requests}"}, id: job_id}
    get: GET /jobs/{id}
    batch:
      id: job_id
      state: status
      states: {ready: [done], failed: [failed]}
      results: "[job_id]"
    results: GET /jobs/{result}/rows
    limits: {max_requests: 10000, max_bytes: 100000000, max_running: 10}

Guarantee: a description that loads can be used; everything else is a SpecError with file, line, key and what would be
right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from transforms.errors import UsageError
from transforms.providers.description import (
    FORMATS,
    Auth,
    BatchFields,
    Create,
    Errors,
    FileKey,
    Limits,
    Listing,
    ProviderDescription,
    Requests,
    Results,
    Upload,
)
from transforms.providers.hosts import base_url_problem
from transforms.providers.load_chat import read_chat
from transforms.providers.reader import Reader, expression, optional
from transforms.providers.remote import State
from transforms.providers.templates import names_in
from transforms.providers.variables import BASE_URL
from transforms.records.paths import compile_expression
from transforms.records.yaml_nodes import YamlNode, parse_yaml
from transforms.secrets import parse_secret

KIND = "provider description"

_TOP_KEYS = (
    "name", "description", "base_url", "variables", "auth", "headers", "requests", "limits", "upload", "create", "list",
    "get", "batch", "file_key", "results", "cancel", "errors", "chat",
)  # fmt: skip
_REQUIRED_TOP_KEYS = ("name", "base_url", "auth", "limits", "get", "batch", "results")
_BATCH_FIELDS = (
    "key", "input_file", "created_at", "requests", "answered", "failed", "input_tokens", "output_tokens", "error_code",
    "error_text", "results",
)  # fmt: skip
_STATES = {state.value: state for state in (State.READY, State.PARTIAL, State.FAILED)}
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
_MAX_COUNT = 10**12
# Names that a request fills in; no variable can be called so.
_OWN_NAMES = ("secret", "id", "key", "file", "requests", "result", "page", "offset", "size", BASE_URL)
# As most providers say it.
_ERROR_CODE = "error.code || error.type || error.status || code || type"
_ERROR_TEXT = "error.message || message || error || detail"


def load_description(text: str, file: str) -> ProviderDescription:
    """Reads a description.

    Args:
      text: YAML.
      file: its path, for messages.

    Raises:
      SpecError: it cannot be used; says where and why.
    """
    top = parse_yaml(text, file, KIND).mapping(_TOP_KEYS, _REQUIRED_TOP_KEYS)
    variables = _variables(top.get("variables"))
    reader = Reader(variables)
    name = _matching(top["name"], _NAME, "small letters, digits, _ and -, beginning with a letter, at most 64")
    get = top["get"].mapping(("request", "batch"), ["request"]) if top["get"].is_mapping else {"request": top["get"]}
    file_key = top["file_key"].mapping(("request", "key"), ("request", "key")) if "file_key" in top else None
    can_find = {"key", "created_at"}.intersection(top["batch"].items()) or file_key
    if "create" in top and not can_find:
        top["batch"].fail("needs key or created_at (or file_key beside it), to find a batch whose create got no answer")
    return ProviderDescription(
        name=name,
        description=" ".join(top["description"].text().split()) if "description" in top else "",
        base_url=_base_url(top["base_url"], reader),
        variables=variables,
        auth=_auth(top["auth"]),
        headers=_headers(top["headers"], reader) if "headers" in top else {},
        requests=_requests(top["requests"]) if "requests" in top else Requests(),
        limits=_limits(top["limits"]),
        upload=_upload(top["upload"], reader) if "upload" in top else None,
        create=_create(top["create"], reader, has_file="upload" in top) if "create" in top else None,
        listing=_listing(top["list"], reader) if "list" in top else None,
        one=reader.call(get["request"], "id"),
        one_at=expression(get["batch"]) if "batch" in get else None,
        batch=_batch(top["batch"]),
        file_key=FileKey(reader.call(file_key["request"], "file"), expression(file_key["key"])) if file_key else None,
        results=_results(top["results"], reader),
        cancel=reader.call(top["cancel"], "id") if "cancel" in top else None,
        errors=_errors(top.get("errors")),
        chat=read_chat(top["chat"], reader) if "chat" in top else None,
    )


def _variables(node: YamlNode | None) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, child in node.items().items() if node is not None else ():
        if not _VARIABLE.fullmatch(name):
            child.fail(f"{name!r} is not a name; use small letters, digits and _, at most 64")
        if name in _OWN_NAMES:
            child.fail(f"{name} is a name of Firebeam's own; choose another")
        default = child.plain()
        if default is not None and not isinstance(default, str):
            child.fail("must be text, or nothing if it must be set; put it in quotes")
        found[name] = default
    for name, default in found.items():
        for inner in names_in(default):
            if node is not None and (inner not in found or names_in(found[inner]) or inner == name):
                node.items()[name].fail(f"{{{inner}}} must be another variable, whose value names none")
    return found


def _base_url(node: YamlNode, reader: Reader) -> str:
    url = reader.text(node)
    problem = base_url_problem(re.sub(r"\{\w+\}", "x", url))
    if problem:
        node.fail(problem)
    return url


def _auth(node: YamlNode) -> Auth:
    if not node.is_mapping:
        node.choice(("google",))
        return Auth("Authorization", "Bearer {secret}", "")
    found = node.mapping(("header", "value", "secret"), ("header", "secret"))
    value = found["value"].text() if "value" in found else "{secret}"
    if names_in(value) != ["secret"]:
        found["value"].fail("must hold {secret} and no other name")
    try:
        source = parse_secret(found["secret"].text(), "secret").source
    except UsageError as error:
        found["secret"].fail(str(error))
    return Auth(_header(found["header"], found["header"].text()), value, source)


def _headers(node: YamlNode, reader: Reader, *own: str) -> dict[str, str]:
    return {_header(child, name): reader.text(child, *own) for name, child in node.items().items()}


def _header(node: YamlNode, name: str) -> str:
    if not _HEADER.fullmatch(name):
        node.fail(f"{name!r} is not a header's name; use letters, digits and -")
    return name


def _requests(node: YamlNode) -> Requests:
    found = node.mapping(("key", "format"))
    key = found["key"].plain() if "key" in found else "custom_id"
    if key is not None and not (isinstance(key, str) and key.strip()):
        found["key"].fail("must be the name of a field, or nothing if lines have no names")
    return Requests(key, found["format"].choice(FORMATS) if "format" in found else Requests().format)


def _limits(node: YamlNode) -> Limits:
    names = ("max_requests", "max_bytes", "max_running")
    found = node.mapping(names, names)
    return Limits(*(found[name].integer(1, _MAX_COUNT) for name in names))


def _upload(node: YamlNode, reader: Reader) -> Upload:
    found = node.mapping(("multipart", "resumable", "copy_to", "fields", "file_field", "file", "check", "ready"))
    ways = [name for name in ("multipart", "resumable", "copy_to") if name in found]
    if len(ways) != 1:
        node.fail("needs exactly one of multipart, resumable and copy_to")
    if ways == ["copy_to"]:
        for name in found.keys() - {"copy_to"}:
            found[name].fail("has no meaning with copy_to")
        return Upload(copy_to=reader.text(found["copy_to"], "key"))
    if "file" not in found:
        node.fail("'file' is missing here: where in the answer the file's id is; add it")
    if "check" in found and "ready" not in found:
        node.fail("'ready' is missing here: what is true of the answer to check once the file may be used; add it")
    fields = reader.plain(found["fields"], "key") if "fields" in found else {}
    if not isinstance(fields, dict):
        found["fields"].fail("must be a map")
    return Upload(
        multipart=reader.call(found["multipart"]) if "multipart" in found else None,
        resumable=reader.call(found["resumable"]) if "resumable" in found else None,
        fields=fields,
        file_field=found["file_field"].text() if "file_field" in found else "file",
        file=expression(found["file"]),
        check=reader.call(found["check"], "file") if "check" in found else None,
        ready=optional(found, "ready"),
    )


def _create(node: YamlNode, reader: Reader, *, has_file: bool) -> Create:
    found = node.mapping(("request", "body", "id"), ("request", "body", "id"))
    own = ("file" if has_file else "requests", "key")
    call = reader.call(found["request"], "key")
    if call.method != "POST":
        found["request"].fail("must be a POST, which is never repeated on the way")
    return Create(call, reader.plain(found["body"], *own), expression(found["id"]))


def _listing(node: YamlNode, reader: Reader) -> Listing:
    keys = ("request", "items", "next", "more", "page_size", "first_page", "newest_first")
    found = node.mapping(keys, ("request", "items"))
    call = reader.call(found["request"], "page", "offset")
    page_size = found["page_size"].integer(1, 100_000) if "page_size" in found else 0
    if not page_size and {"page", "offset"}.intersection(names_in(call.path)):
        node.fail("'page_size' is missing here: a page with fewer is the last one; add it")
    return Listing(
        call,
        expression(found["items"]),
        {name: expression(child) for name, child in found["next"].items().items()} if "next" in found else {},
        optional(found, "more"),
        page_size,
        found["first_page"].integer(0, 1) if "first_page" in found else 0,
        found["newest_first"].boolean() if "newest_first" in found else False,
    )


def _batch(node: YamlNode) -> BatchFields:
    found = node.mapping(("id", "state", "states", *_BATCH_FIELDS), ("id", "state", "states"))
    states: dict[str, State] = {}
    for name, child in found["states"].mapping(tuple(_STATES)).items():
        for entry in child.one_or_more():
            word = entry.text()
            if word in states:
                entry.fail(f"{word!r} already means {states[word].value}; remove one")
            states[word] = _STATES[name]
    if State.READY not in states.values():
        found["states"].fail("'ready' is missing here; add it")
    others = {name: expression(found[name]) for name in _BATCH_FIELDS if name in found}
    return BatchFields(expression(found["id"]), expression(found["state"]), states, **others)


def _results(node: YamlNode, reader: Reader) -> Results:
    own = ("result", "id", "page", "offset", "size")
    keys = ("request", "headers", "page_size", "pages", "pending", "empty", "names")
    found = node.mapping(keys) if node.is_mapping else {"request": node}
    call = reader.call(found["request"], *own) if "request" in found else None
    page_size = found["page_size"].integer(1, 10_000_000) if "page_size" in found else 0
    if call and not page_size and {"page", "offset", "size"}.intersection(names_in(call.path)):
        node.fail("'page_size' is missing here; add it")
    pages = found["pages"].mapping(("request", "number"), ("request", "number")) if "pages" in found else None
    return Results(
        call,
        _headers(found["headers"], reader) if "headers" in found else {},
        page_size,
        reader.call(pages["request"], "result", "id", "size") if pages else None,
        expression(pages["number"]) if pages else None,
        optional(found, "pending"),
        found["empty"].text() if "empty" in found else "",
        found["names"].text() if "names" in found else Results().names,
    )


def _errors(node: YamlNode | None) -> Errors:
    found = node.mapping(("code", "text", "no_credit", "queue_full")) if node is not None else {}
    return Errors(
        optional(found, "code") or compile_expression(_ERROR_CODE),
        optional(found, "text") or compile_expression(_ERROR_TEXT),
        _texts(found, "no_credit"),
        _texts(found, "queue_full"),
    )


def _texts(found: Mapping[str, YamlNode], name: str) -> tuple[str, ...]:
    return tuple(entry.text() for entry in found[name].one_or_more()) if name in found else ()


def _matching(node: YamlNode, pattern: re.Pattern[str], meaning: str) -> str:
    text = node.text()
    if not pattern.fullmatch(text):
        node.fail(f"must consist of {meaning}")
    return text


def parse_variables(texts: Sequence[str]) -> dict[str, str]:
    """Values of variables, as they are given on a command line.

    >>> parse_variables(["dataset_id=gd_1", "base_url=http://127.0.0.1:8080"])
    {'dataset_id': 'gd_1', 'base_url': 'http://127.0.0.1:8080'}

    Raises:
      UsageError: it names nothing, or a variable twice, or is an address that cannot be used.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals):
            raise UsageError(f"--provider_var must be like dataset_id=VALUE, got {text!r}")
        if name in found:
            raise UsageError(f"--provider_var sets {name} twice; remove one")
        if name == BASE_URL and (problem := base_url_problem(value)):
            raise UsageError(f"--provider_var=base_url {problem}")
        found[name] = value
    return found
