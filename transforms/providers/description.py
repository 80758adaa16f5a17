"""A provider, as a file of YAML describes it: requests to send, and where in the answers things are. Plain data.

    file ─load─▶ ProviderDescription ─with_variables─▶ the same, without names of variables ─▶ HttpBatchApi
                 picklable                             picklable: it goes to the worker

Texts hold `{names}`, see `templates`. Where things are is said in JMESPath, compiled once; names with dots between
them, as most are, are looked up without it, in a tenth of the time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.errors import UsageError
from transforms.providers.chat import OWN_NAMES, Chat
from transforms.providers.hosts import server_url_problem
from transforms.providers.remote import State
from transforms.providers.templates import fill, fill_url, filled
from transforms.providers.variables import BASE_URL, Values
from transforms.records.paths import AnyPath

JSON_LINES = "jsonl"
JSON_ARRAY = "json_array"
FORMATS = (JSON_LINES, JSON_ARRAY)


@dataclass(frozen=True)
class Call:
    """A request: `GET /batches/{id}`, with a query where it has one."""

    method: str
    path: str

    def with_variables(self, values: Mapping[str, str]) -> Call:
        """The same with the values of a user's variables, quoted."""
        return Call(self.method, fill_url(self.path, values))


@dataclass(frozen=True)
class Auth:
    """How requests say who sends them.

    Attributes:
      header: its name.
      value: of the header, with `{secret}`.
      secret: where the secret is unless a flag says otherwise, such as `env:OPENAI_API_KEY`; empty for Google's
        credentials.
    """

    header: str
    value: str
    secret: str

    @property
    def is_google(self) -> bool:
        """Whether the requests are made as an account of Google Cloud."""
        return not self.secret


@dataclass(frozen=True)
class Requests:
    """The files of requests.

    Attributes:
      key: the field of a line that names it; None: lines have no names.
      format: of what the provider gets, one of FORMATS: the lines as they are, or an array of them.
    """

    key: str | None = "custom_id"
    format: str = JSON_LINES


@dataclass(frozen=True)
class Limits:
    """Of one batch, and of a user's batches.

    Attributes:
      max_requests, max_bytes: of a batch.
      max_running: batches that may run at once, unless a flag says otherwise.
    """

    max_requests: int
    max_bytes: int
    max_running: int


@dataclass(frozen=True)
class Upload:
    """How a file of requests reaches the provider before a batch is created of it. One of three ways.

    Attributes:
      multipart: a form, with the file as its last field.
      resumable: Google's protocol: the first request names the file, its answer has the address for the content.
      copy_to: a place in Cloud Storage.
      fields: of the form, or of the first request's body.
      file_field: name of the form's field that holds the file.
      file: where in the answer the file's id is; it is `{file}` in later requests. Of a copy its place is.
      check: asks whether the file may be used; None: it may at once.
      ready: what is true of an answer, to the upload or to `check`, as soon as it may.
    """

    multipart: Call | None = None
    resumable: Call | None = None
    copy_to: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    file_field: str = "file"
    file: AnyPath | None = None
    check: Call | None = None
    ready: AnyPath | None = None


@dataclass(frozen=True)
class Create:
    """How a batch is created.

    Attributes:
      body: plain JSON with `{file}` and `{key}`, or with "{requests}" where an array of the lines belongs.
      id: where in the answer the batch's id is.
    """

    call: Call
    body: Any
    id: AnyPath


@dataclass(frozen=True)
class Listing:
    """How all batches are listed.

    Attributes:
      call: may have `{page}` or `{offset}` in its query.
      items: where the batches are in an answer.
      next: parameters of the next page's query, and where in the answer their values are.
      more: what is true of an answer if there is a next page; without it, whether `next` has values.
      page_size: how many a full page has, for `{page}` and `{offset}`: a page with fewer is the last one.
      first_page: number of the first page.
      newest_first: whether the batches created last come first.
    """

    call: Call
    items: AnyPath
    next: Mapping[str, AnyPath] = field(default_factory=dict)
    more: AnyPath | None = None
    page_size: int = 0
    first_page: int = 0
    newest_first: bool = False


@dataclass(frozen=True)
class BatchFields:
    """Where in a provider's own description of a batch things are.

    Attributes:
      states: what a word of `state` means; all others mean that it is running.
      input_file: the file that it was made of, see `FileKey`.
      others: as in `RemoteBatch`.
    """

    id: AnyPath
    state: AnyPath
    states: Mapping[str, State]
    key: AnyPath | None = None
    input_file: AnyPath | None = None
    created_at: AnyPath | None = None
    requests: AnyPath | None = None
    answered: AnyPath | None = None
    failed: AnyPath | None = None
    input_tokens: AnyPath | None = None
    output_tokens: AnyPath | None = None
    error_code: AnyPath | None = None
    error_text: AnyPath | None = None
    results: AnyPath | None = None


@dataclass(frozen=True)
class FileKey:
    """Where the key is that a batch was created with, if it is kept with its file only.

    Attributes:
      call: asks for the file `{file}`.
      key: where in the answer the name is that begins with the key.
    """

    call: Call
    key: AnyPath


@dataclass(frozen=True)
class Results:
    """How the results of a batch are fetched.

    Attributes:
      call: fetches the result `{result}`, in pages of `{size}` if it has `{page}` or `{offset}`; None: results are
        addresses.
      headers: of that request, beside the provider's.
      page_size: lines of a page.
      pages, n_pages: asks how many pages there are, and where in the answer that is; without it, a page with fewer
        lines is the last one.
      pending: what is true of a single short line that is no result but says "not yet"; status 202 always says so.
      empty: a text of the provider's that says there are no results.
      names: pattern of the files in a folder of results.
    """

    call: Call | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    page_size: int = 0
    pages: Call | None = None
    n_pages: AnyPath | None = None
    pending: AnyPath | None = None
    empty: str = ""
    names: str = "*.jsonl"


@dataclass(frozen=True)
class Errors:
    """Where in a refusal its code and text are, and what some of them mean.

    Attributes:
      no_credit: codes, or parts of texts, of a refusal for want of money.
      queue_full: the same of one that too many batches wait.
    """

    code: AnyPath
    text: AnyPath
    no_credit: tuple[str, ...] = ()
    queue_full: tuple[str, ...] = ()

    def means_no_credit(self, code: str, text: str) -> bool:
        """Whether nothing can succeed before somebody pays."""
        return _is_among(self.no_credit, code, text)

    def means_queue_full(self, code: str, text: str) -> bool:
        """Whether the same batch may be created once others are over; said of a refusal, or of a batch that failed."""
        return _is_among(self.queue_full, code, text)


@dataclass(frozen=True)
class ProviderDescription:
    """A provider.

    Attributes:
      variables: names that texts may hold beside those of a request, with defaults; None: must be set.
      create, upload: None for a provider whose batches can only be taken.
      listing: None where there is no list: batches are asked for one by one.
      one: the request for one batch `{id}`.
      one_at: where in its answer the batch is.
      chat: None for a provider that answers in batches only.
    """

    name: str
    base_url: str
    auth: Auth
    one: Call
    one_at: AnyPath | None
    batch: BatchFields
    results: Results
    limits: Limits
    errors: Errors
    requests: Requests = Requests()
    description: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str | None] = field(default_factory=dict)
    upload: Upload | None = None
    create: Create | None = None
    listing: Listing | None = None
    file_key: FileKey | None = None
    cancel: Call | None = None
    chat: Chat | None = None

    def for_chat(self, given: Mapping[str, str], *, url: str = "") -> ProviderDescription:
        """The description with the variables of its chat filled in; nothing else of it can be used.

        Args:
          given: by name; `base_url` takes the place of the provider's own.
          url: of another server that speaks the same API. The description's own key is not sent there.

        Raises:
          UsageError: it has no chat, the address cannot be used, or a variable is missing or unknown; names it.
        """
        if self.chat is None:
            raise UsageError(f"{self.name} has no chat: section; choose another provider, or add one")
        if url and (problem := server_url_problem(url)):
            raise UsageError(f"--analyse_url {problem}")
        values = Values(self.name, self.variables, {**(self.chat.elsewhere if url else {}), **given}, OWN_NAMES)
        base_url = url or given.get(BASE_URL) or self.base_url
        values.check(base_url, dict(self.headers), self.chat.path, self.chat.body)
        return dataclasses.replace(
            self,
            base_url=fill_url(base_url, values.filled).rstrip("/"),
            headers=filled(dict(self.headers), values.filled),
            variables={},
            chat=self.chat.with_variables(values.filled, has_key=not url),
        )

    def with_variables(self, given: Mapping[str, str], *, creates: bool) -> ProviderDescription:
        """The description with its variables filled in.

        Args:
          given: by name; `base_url` takes the place of the provider's own.
          creates: whether batches will be created. Else variables that only a create or the list needs may be missing;
            without its variables the list is not used.

        Raises:
          UsageError: a variable is missing, or unknown; names it.
        """
        known = Values(self.name, self.variables, given)
        values = known.filled

        def call(each: Call | None) -> Call | None:
            return each.with_variables(values) if each is not None else None

        base_url = given.get(BASE_URL) or self.base_url
        known.check(base_url, dict(self.headers), self.one.path)
        upload, create, listed = self.upload, self.create, self.listing
        if creates:
            known.check(*_texts(upload), *_texts(create), *_texts(listed))
        elif any(map(known.missing_in, _texts(listed))):
            listed = None
        return dataclasses.replace(
            self,
            base_url=fill_url(base_url, values).rstrip("/"),
            headers=filled(dict(self.headers), values),
            variables={},
            upload=upload
            and dataclasses.replace(
                upload,
                multipart=call(upload.multipart),
                resumable=call(upload.resumable),
                copy_to=fill(upload.copy_to, values),
                fields=filled(dict(upload.fields), values),
                check=call(upload.check),
            ),
            create=create
            and dataclasses.replace(create, call=create.call.with_variables(values), body=filled(create.body, values)),
            listing=listed and dataclasses.replace(listed, call=listed.call.with_variables(values)),
            one=self.one.with_variables(values),
            file_key=self.file_key
            and dataclasses.replace(self.file_key, call=self.file_key.call.with_variables(values)),
            results=dataclasses.replace(self.results, call=call(self.results.call), pages=call(self.results.pages)),
            cancel=call(self.cancel),
        )


def _texts(part: Upload | Create | Listing | None) -> list[Any]:
    """All that may hold names of variables."""
    if isinstance(part, Upload):
        calls = [each.path for each in (part.multipart, part.resumable, part.check) if each]
        return [*calls, part.copy_to, dict(part.fields)]
    if isinstance(part, Create):
        return [part.call.path, part.body]
    return [part.call.path] if part else []


def _is_among(known: tuple[str, ...], code: str, text: str) -> bool:
    return any(each == code or (" " in each and each.lower() in text.lower()) for each in known)
