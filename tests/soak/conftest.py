"""Fixtures that the soak tests share with those on the emulators."""

from tests.emulator.conftest import desk as desk
