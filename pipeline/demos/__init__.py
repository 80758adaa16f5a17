"""The demos of `firebeam demo`, and the emulators that they run on."""
