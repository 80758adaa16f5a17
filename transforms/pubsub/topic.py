"""Which Pub/Sub topic a job means, and how its workers reach it. Plain data: making one calls nothing.

PubSubTopic.parse("projects/acme/topics/changes", services)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transforms.breaker import CircuitBreaker, breaker_of
from transforms.errors import JobError, UsageError
from transforms.services import APPLICATION_DEFAULT, SIGN_IN, Services

_HOST = "pubsub.googleapis.com:443"
_NAME = re.compile(r"projects/(?P<project>[^/]+)/topics/(?P<topic>[^/]+)")
# https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
_TOPIC_ID = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~%+-]{2,254}")


@dataclass(frozen=True, slots=True)
class PubSubTopic:
    """A topic, and where the service is that holds it. Picklable: workers lack the launcher's environment.

    Attributes:
      project: that it is in.
      topic: its id.
      emulator_host: `host:port` of an emulator; None for Google Cloud.
      credentials: called by every client, in the worker, never for an emulator; returns what google.auth calls
        credentials. Picklable.
      max_outage_s: how long the service may not answer any request of a process before the job stops, in seconds.
    """

    project: str
    topic: str
    emulator_host: str | None = None
    credentials: Callable[[], Any] = APPLICATION_DEFAULT
    max_outage_s: float = 300.0

    @classmethod
    def parse(cls, text: str, project: str, services: Services, max_outage_s: float = 300.0) -> PubSubTopic:
        """The topic that a flag names, in full or by its id alone.

        Args:
          project: of a topic that is named by its id.

        >>> PubSubTopic.parse("changes", "acme", Services()).name
        'projects/acme/topics/changes'

        Raises:
          UsageError: it cannot be one.
        """
        match = _NAME.fullmatch(text)
        topic = match["topic"] if match else text
        if not _TOPIC_ID.fullmatch(topic):
            raise UsageError(
                f"a Pub/Sub topic is named projects/PROJECT/topics/TOPIC, or TOPIC, of at least three letters, digits "
                f"and ._~%+-, beginning with a letter and not with goog; got {text!r}"
            )
        project = match["project"] if match else project
        return cls(project, topic, services.pubsub_emulator, services.credentials, max_outage_s)

    @property
    def name(self) -> str:
        """The resource name: projects/P/topics/T."""
        return f"projects/{self.project}/topics/{self.topic}"

    @property
    def address(self) -> str:
        """Where requests go."""
        return self.emulator_host or _HOST

    @property
    def breaker(self) -> CircuitBreaker:
        """Tells an outage from failed requests, for all of this process together."""
        where = ", ".join(filter(None, (self.project, self.emulator_host)))
        return breaker_of(f"Pub/Sub ({where})", self.max_outage_s)

    def job_error(self, code: str, message: str) -> JobError:
        """The error that stops a job, with what to do about it."""
        advice = {
            "NOT_FOUND": f"Create it: gcloud pubsub topics create {self.topic} --project={self.project}",
            "PERMISSION_DENIED": f"Grant the job's account roles/pubsub.publisher on {self.name}.",
            "UNAUTHENTICATED": SIGN_IN,
        }
        return JobError(
            f"Pub/Sub refused {self.name} with {code}: {message}. {advice.get(code, 'Check the topic.')}".strip()
        )
