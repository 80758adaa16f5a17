"""A scripted Firestore in memory, for tests of this connector and of pipelines that use it.

    from transforms.testing import ScriptedFirestore, status

    with ScriptedFirestore({"users/ada": {"name": "Ada"}}) as server:
        server.script("BatchWrite", [status("UNAVAILABLE")])
        …                                           # the code under test, with target=server.target
    assert server.documents["greetings/ada"].fields == {"hello": "Ada"}
    assert len(server.requests("BatchWrite")) == 2

docs/testing.md says which effects there are, and what of the service is and is not imitated. Plain Python, no Beam.
"""

from transforms.firestore.client import RpcError
from transforms.testing.listen import Listen
from transforms.testing.order import name_key, order_key
from transforms.testing.script import Effect, Script, always, answer, applied_then, cut_after, delay, status
from transforms.testing.server import PROJECT, Received, ScriptedFirestore
from transforms.testing.writes import written_name

__all__ = [
    "PROJECT",
    "Effect",
    "Listen",
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
