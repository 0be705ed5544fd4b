"""Headers of ``.npy`` files, before anything believes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_file


def npy_header(path: Path) -> tuple[tuple[int, ...], np.dtype, bool, int]:
    """Shape, dtype, Fortran order, and where the values begin, of a ``.npy`` file."""
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran, dtype = read(stream)
            return shape, dtype, fortran, stream.tell()
    except (OSError, ValueError, KeyError, TypeError, SyntaxError, EOFError) as error:
        raise FileFormatError(
            f"Expected a whole .npy file at {path}, got one whose header cannot be read "
            f"({type(error).__name__}: {error}): copy or download it again."
        ) from error


def numbers_header(path: Path) -> tuple[tuple[int, ...], np.dtype, bool, int]:
    """Shape, dtype, Fortran order and offset of a ``.npy`` file of numbers that is whole."""
    check_file(path)
    shape, dtype, fortran, offset = npy_header(path)
    if dtype.kind not in "iufb" or any(n < 0 for n in shape):
        raise FileFormatError(
            f"Expected numbers in {path}, got an array of {dtype} and shape {shape}: it was not "
            f"read."
        )
    size = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
    if path.stat().st_size - offset < size:
        raise FileFormatError(
            f"Expected {size} bytes of values in {path}, as its header says, got "
            f"{path.stat().st_size - offset}: it is cut off; copy or download it again."
        )
    return shape, dtype, fortran, offset
