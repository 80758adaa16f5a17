"""A migration that is followed by processes of their own, for tests that kill them."""

import subprocess
import sys
from pathlib import Path

from pipeline.__main__ import main
from pipeline.serve.followed import followed_pairs
from pipeline.specs import read_spec
from tests.stand_ins import comes_true
from tests.support.migrated import Migration
from transforms.dual.connect import open_dual_store
from transforms.dual.core import Settings
from transforms.ledger.migrations import migration_document, read_migration, read_pairs, save_migration
from transforms.migrate.phases import State
from transforms.migrate.states import saved_as
from transforms.retry import Retry

ROOT = Path(__file__).parents[2]


class Followed(Migration):
    """A migration that is followed by processes."""

    def start(self, *flags):
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline", *self.flags("--mode=follow", *flags)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def start_alive(self, *flags):
        """A process that has begun; one that was killed on this computer is known to be gone."""
        before = self.pair_heartbeat()
        process = self.start(*flags)
        assert comes_true(lambda: self.pair_heartbeat() not in (None, before), 60)
        return process

    def verify(self):
        return main(
            [
                "verify",
                f"--left={self.container.location}",
                "--right=firestore://student_attempts",
                "--migration=students",
                f"--project={self.target.project}",
                f"--dead_letters={self.folder / 'verify'}",
            ]
        )

    def status(self):
        """What `firebeam status` says of it to a program."""
        (found,) = [
            each.as_dict()
            for each in followed_pairs(self.target.connect(), Retry())[0]
            if each.id == "students/student_attempts"
        ]
        return found

    def set_phase(self, phase):
        document = migration_document(self.target.connect(), "students")
        before = read_migration(document)
        save_migration(document, saved_as(State(phase, None, 1.0, 3.0), before), before)

    def pair(self):
        (pair,) = read_pairs(migration_document(self.target.connect(), "students"))
        return pair

    def pair_heartbeat(self):
        pairs = read_pairs(migration_document(self.target.connect(), "students"))
        return pairs[0].heartbeat_at if pairs else None

    def application(self):
        settings = Settings(primary_timeout_s=5, secondary_timeout_s=2, skip_s=0.5, shadow_ratio=0)
        spec = read_spec("student_attempts")
        return open_dual_store(
            spec, self.container.location, "/student_id", "students", project=self.target.project, settings=settings
        )

    def are_equal(self):
        # Tombstones are not items.
        items = {item["id"] for item in self.container.items() if "_deleted" not in item}
        return {key: each for key, each in self.items().items() if key in items} == self.contents
