"""Fixtures that the soak tests share with those on the emulators."""

from tests.emulator.conftest import desk as desk
from tests.emulator.conftest import target as target
