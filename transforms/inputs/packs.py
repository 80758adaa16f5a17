"""Small files that share batches: each batch costs its requests, whether it has one record or 500.

    a.json  b.json  c.json … ──packed──▶ Pack ──read_pack──▶ Batch[Record] of several files
      own batches, as if each were alone:     a ─┐
                                              b ─┼─▶ one batch of at most batch_size records
                                              c ─┘

The batches of single files are joined as they are, none of them is cut, and each record knows the one it comes from:
its `Home`. Documents and dead letters name that. The ledger names the shared batch, by (fingerprint of the pack,
ordinal); the pack depends on nothing but paths, sizes, content and `batch_size`.

Few files are not worth it: they keep batches of their own.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from transforms.batch import Batch, Home, Record
from transforms.inputs.files import FINGERPRINT_DIGITS, InputFile, read_input
from transforms.inputs.options import ReadOptions
from transforms.inputs.slices import batches_of, slices_of

_SMALL_BYTES = 256 * 1024
# What a worker holds of a pack, and the smallest part of the input that one can read alone.
_PACK_BYTES = 4 * 1024 * 1024
_FEWEST_FILES = 8


@dataclass(frozen=True)
class Pack:
    """Files that one worker reads one after another; mostly a single one, which is not small."""

    files: tuple[InputFile, ...]

    @cached_property
    def fingerprint(self) -> str:
        """Short hex digest over the files."""
        digest = hashlib.sha256("\n".join(file.fingerprint for file in self.files).encode())
        return digest.hexdigest()[:FINGERPRINT_DIGITS]


def packed(files: Iterable[InputFile], batch_size: int) -> list[Pack]:
    """The files in their order, small ones together: up to `batch_size` of them, and 4 MiB.

    >>> small = [InputFile(f"{n}.json", 100, 0.0, f"{n}") for n in range(20)]
    >>> [len(pack.files) for pack in packed(small, batch_size=9)], len(packed(small[:7], batch_size=9))
    ([9, 9, 2], 7)
    """
    files = list(files)
    small = [file for file in files if file.size <= _SMALL_BYTES]
    if len(small) < _FEWEST_FILES:
        return [Pack((file,)) for file in files]
    packs = [Pack((file,)) for file in files if file.size > _SMALL_BYTES]
    held: list[InputFile] = []
    held_bytes = 0
    for file in small:
        if held and (len(held) >= batch_size or held_bytes + file.size > _PACK_BYTES):
            packs.append(Pack(tuple(held)))
            held, held_bytes = [], 0
        held.append(file)
        held_bytes += file.size
    return [*packs, Pack(tuple(held))]


def read_pack(
    pack: Pack,
    options: ReadOptions,
    is_complete: Callable[[str], bool] = lambda batch_id: False,
    is_to_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Batch[Record]]:
    """Reads the files of a pack; no more than one batch of them is in memory.

    Args:
      pack, options, is_complete, is_to_stop: as in `read_slice`.

    Raises:
      JobError: as `read_input`.
    """
    own_batches = (batch for file in pack.files for batch in _own_batches(file, options))
    for ordinal, group in enumerate(_joined(own_batches, options)):
        if is_to_stop():
            return
        batch_id = f"{pack.fingerprint}-00000-{ordinal:05d}"
        if not is_complete(batch_id):
            yield shared(batch_id, group)


def shared(batch_id: str, batches: Sequence[Batch[Record]]) -> Batch[Record]:
    """One batch of the records of several, which are just read."""
    homes = [Home(batch.source, batch.batch_id) for batch in batches]
    records, dead_letters = [], []
    for batch, home in zip(batches, homes, strict=True):
        records += [record._replace(home=home) for record in batch.entries]
        dead_letters += [replace(dead_letter, home=home) for dead_letter in batch.dead_letters]
    others = f" and {len(batches) - 1:,} more" if len(batches) > 1 else ""
    return Batch(
        batch_id,
        f"{batches[0].source}{others}",
        sum(batch.read for batch in batches),
        tuple(records),
        tuple(dead_letters),
        bytes_read=sum(batch.bytes_read for batch in batches),
        homes=tuple(homes),
    )


def _own_batches(file: InputFile, options: ReadOptions) -> Iterator[Batch[Record]]:
    """The batches that the file has alone. It is fetched once, because a request costs more than its bytes."""
    content = read_input(file)
    for piece in slices_of(file, io.BytesIO(content), options):
        yield from batches_of(piece, io.BytesIO(content), options)


def _joined(batches: Iterable[Batch[Record]], options: ReadOptions) -> Iterator[list[Batch[Record]]]:
    """Groups batches up to the size of one, none of them empty; a larger one stands alone."""
    group: list[Batch[Record]] = []
    read = n_bytes = 0
    for batch in batches:
        too_many = read + batch.read > options.batch_size or n_bytes + batch.bytes_read > options.max_batch_bytes
        if group and too_many:
            yield group
            group, read, n_bytes = [], 0, 0
        group.append(batch)
        read, n_bytes = read + batch.read, n_bytes + batch.bytes_read
    if group:
        yield group
