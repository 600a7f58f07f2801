"""SHA-256 of what a run folder holds, so that no file is believed that is not as it was written.

torch checks no sums when it loads a checkpoint, and a digit that was altered in a table looks like
any other. Imports no torch.
"""

import hashlib
import io
import json
import os
import struct
from pathlib import Path

# The last record of a ZIP archive, and of that the length of the comment which ends the file.
END_OF_ARCHIVE, COMMENT_LENGTH = b"PK\x05\x06", struct.Struct("<H")
DIGEST = hashlib.sha256().digest_size * 2  # hexadecimal digits
CHUNK = 2**20  # bytes


def digest(data) -> str:
    """Hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def digest_of(path) -> str:
    """As `digest`, of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_digest(value) -> str:
    """As `digest`, of plain values as they come back from a JSON file."""
    return digest(json.dumps(value).encode())


def seal(archive: bytes) -> bytes:
    """A ZIP archive, such as torch.save writes, with the digest of all else as its comment.

    `unseal` verifies it; torch.load reads the file as it is.
    """
    end = archive.rindex(END_OF_ARCHIVE)
    if len(archive) != end + 22:
        raise ValueError("the archive has a comment already")
    archive = archive[:-2] + COMMENT_LENGTH.pack(DIGEST)
    return archive + digest(archive).encode()


def unseal(path) -> io.BytesIO:
    """The bytes of a sealed archive.

    Raises:
        ValueError: a byte is not as it was written.
    """
    data = Path(path).read_bytes()
    if digest(memoryview(data)[:-DIGEST]).encode() != data[-DIGEST:]:
        raise ValueError("not as it was written: its SHA-256 differs, or it has none")
    return io.BytesIO(data)


class Appended:
    """A file that one process extends, with the digest of its bytes.

    Attributes:
        size: bytes that were written.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.size, self._sha256 = 0, hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def append(self, data: bytes):
        """Adds bytes at the end.

        Raises:
            OSError: it cannot be written, or is not as long as this process left it.
        """
        with open(self.path, "r+b" if self.size else "xb") as file:
            if file.seek(0, os.SEEK_END) != self.size:
                raise OSError(None, "another process has changed it")
            file.write(data)
        self.size += len(data)
        self._sha256.update(data)

    def mark(self) -> tuple[int, str]:
        """(size, digest) of what was written, after it is on the disk."""
        if self.size:
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())
        return self.size, self.sha256

    def cut(self, size: int, sha256: str) -> bool:
        """Cuts the file back to a `mark`; False, and nothing is done, where it does not hold it."""
        found, left = hashlib.sha256(), size
        if size > 0 and self.path.is_file():
            with open(self.path, "rb") as file:
                while left and (data := file.read(min(left, CHUNK))):
                    found.update(data)
                    left -= len(data)
        if left or found.hexdigest() != sha256:
            return False
        self.size, self._sha256 = size, found
        if size:
            os.truncate(self.path, size)
        else:
            self.path.unlink(missing_ok=True)
        return True
