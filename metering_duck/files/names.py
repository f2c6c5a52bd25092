"""Names: what the name of a file says that it holds, and whether it is one that events are read from.

Below a folder, files that are no data, such as README.md or _SUCCESS, are passed over; data that cannot be read is not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from metering_duck.errors import SourceError, first_few
from metering_duck.files.kinds import SUFFIX_OF

# The suffixes of compressions that are read.
COMPRESSED = tuple(SUFFIX_OF.values())
# Suffix → the compression or archive that is not read.
PACKED = {
    **dict.fromkeys((".bz2", ".bz"), "bzip2"),
    **dict.fromkeys((".xz", ".lzma"), "xz"),
    **dict.fromkeys((".gzip", ".bgz", ".bgzf"), "gzip, but not named .gz"),
    **dict.fromkeys((".zstd", ".zs"), "zstd, but not named .zst"),
    **dict.fromkeys((".snappy", ".sz"), "snappy"),
    **dict.fromkeys((".lzo", ".lzo_deflate"), "lzo"),
    **dict.fromkeys((".deflate", ".zz", ".zlib"), "deflate"),
    ".lz4": "lz4",
    ".br": "brotli",
    ".z": "compress",
    ".zip": "zip",
    ".7z": "7z",
    ".rar": "RAR",
    ".tar": "tar",
    ".tgz": "tar",
    ".gpg": "encrypted",
    ".pgp": "encrypted",
    ".age": "encrypted",
}
# Suffix → the format of data that is not read.
FOREIGN = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "a workbook"),
    ".avro": "Avro",
    ".orc": "ORC",
}
# The suffixes of files that say something of the file beside them.
CHECKSUMS = (".crc", ".md5", ".sha1", ".sha256", ".sha512", ".sig", ".asc", ".sum", ".etag", ".meta")
# The suffixes of files that somebody is still writing.
UNFINISHED = (".partial", ".part", ".tmp", ".inprogress")
# The names of parts that have no suffix.
PART = re.compile(r"part-[\w-]+|\d{6}_\d+(_copy_\d+)?")


def suffix_of(name: str) -> str:
    """The suffix that says a file's format, in lower case: the last, or the last before a suffix of compression."""
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in COMPRESSED else path.suffix


def is_hidden(below: str) -> bool:
    """Whether a path, as it is below a folder, has a part that begins with a dot or an underscore."""
    return any(part.startswith((".", "_")) for part in below.split("/"))


def events_below(folder: str, paths: Sequence[str], known: Collection[str], *, names_only: bool = False) -> list[str]:
    """The files with one of the `known` suffixes; `paths` are as they are below the folder, hidden ones are left out.

    With `names_only` nobody looks at the bytes of the others: a name that a writer of parts or copies gives is data.

    Raises: SourceError for files that hold data which is not read: they would be missed without a word (R35).
    """
    seen = [path for path in paths if not is_hidden(path)]
    missed = [f"{path} ({why})" for path in sorted(seen) if (why := why_not_read(path, known))]
    if names_only:
        missed += [f"{path} (no suffix that says what it is)" for path in sorted(seen) if _is_like_data(path, known)]
    if missed:
        raise SourceError(
            f"{folder}: found data that cannot be read, {first_few(missed)}; expected Parquet, NDJSON, JSON, CSV or "
            f"Arrow, as it is or compressed with gzip or zstd. hint: decompress it, or name the files that count, "
            f"e.g. '{folder.rstrip('/')}/*{_example(seen, known)}'"
        )
    return [path for path in seen if suffix_of(path) in known]


def _is_like_data(name: str, known: Collection[str]) -> bool:
    """Whether a name of no known suffix is that of a part, as Hive and Spark write them, or of a copy of a file."""
    base = name.rpartition("/")[2].lower()
    if suffix_of(base) in known or why_not_read(name, known) or PurePosixPath(base).suffix in (*CHECKSUMS, *UNFINISHED):
        return False
    return bool(PART.fullmatch(base)) or any(suffix in known for suffix in PurePosixPath(base.rstrip("~")).suffixes)


def why_not_read(name: str, known: Collection[str]) -> str:
    """What a file of data is that cannot be read, by its name; "" where it can, and where it is no data."""
    if suffix_of(name) in known:
        return ""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    packed = []
    while suffixes and (suffixes[-1] in PACKED or suffixes[-1] in COMPRESSED):
        packed.append(suffixes.pop())
    if not suffixes:
        return ""
    if suffixes[-1] in FOREIGN:
        return FOREIGN[suffixes[-1]]
    if suffixes[-1] not in known:
        return ""
    return next((PACKED[suffix] for suffix in packed if suffix in PACKED), "compressed twice")


def _example(names: Sequence[str], known: Collection[str]) -> str:
    """The last suffixes of a file that can be read, of all such files the first."""
    name = min((name for name in names if suffix_of(name) in known), default=".csv").rpartition("/")[2].lower()
    suffix = suffix_of(name)
    return name[name.rindex(suffix) :]
