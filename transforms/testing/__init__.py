"""A scripted Firestore in memory, for tests of this connector and of pipelines that use it.

    from transforms.testing import ScriptedFirestore, status

    def test_ada_is_greeted_although_the_service_is_busy():
        with ScriptedFirestore({"users/ada": {"name": "Ada"}}) as server:
            server.script("BatchWrite", [status("UNAVAILABLE")])
            with beam.Pipeline() as pipeline:
                users = pipeline | ReadFromFirestore("users", target=server.target)
                users | beam.Map(greeting) | WriteToFirestore(target=server.target)
        assert server.documents["greetings/ada"].fields == {"text": "Hello Ada"}

docs/testing.md says which effects there are, and what of the service is and is not imitated. Plain Python, no Beam.
"""

from transforms.firestore.client import RpcError
from transforms.testing.order import name_key, order_key
from transforms.testing.script import Effect, Script, always, answer, applied_then, cut_after, delay, status
from transforms.testing.server import PROJECT, Received, ScriptedFirestore
from transforms.testing.writes import written_name

__all__ = [
    "PROJECT",
    "Effect",
    "Received",
    "RpcError",
    "Script",
    "ScriptedFirestore",
    "always",
    "answer",
    "applied_then",
    "cut_after",
    "delay",
    "name_key",
    "order_key",
    "status",
    "written_name",
]
