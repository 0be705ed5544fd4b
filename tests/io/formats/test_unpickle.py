"""suite2p's object arrays: plain values as pickle gives them, and nothing executed."""

from __future__ import annotations

import os
import pickle
import pickletools
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from calcium_files import roi, suite2p_plane

import neurokit_sdr as nks
from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.io.formats.suite2p import unpickle


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_object_arrays_equal_what_pickle_says(tmp_path, protocol):
    wanted = [
        roi((1, 2), (3, 4), text="é", flag=True, big=2**70, none=None, small=-5, f=1.5),
        {
            "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
            "swapped": np.arange(3, dtype=">i2"),
            "words": np.array(["a", "bb"]),
            "bytes": np.array([b"a"]),
            "objects": np.array([None, "x", [1]], dtype=object),
            "empty": np.zeros((0, 3)),
            "nothing": np.array([], dtype=object),
            "scalar": np.float32(2),
            "word": np.str_("w"),
            "when": datetime(2020, 1, 2, 3, 4, 5, 6, UTC),
            "long": "x" * 300,
            "raw": b"y" * 300,
            "set": {1, 2},
            "many": list(range(3000)),
        },
    ]
    array = np.empty(2, dtype=object)
    array[:] = wanted
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    head = path.read_bytes()
    with path.open("rb") as stream:
        np.lib.format.read_magic(stream)
        np.lib.format.read_array_header_1_0(stream)
        head = head[: stream.tell()]
    path.write_bytes(head + pickle.dumps(array, protocol=protocol))
    found = unpickle.load_object_array(path)
    assert found.shape == (2,)
    for one, other in zip(found, wanted, strict=True):
        assert list(one) == list(other)
        for key, value in other.items():
            assert type(one[key]) is type(value), key
            if isinstance(value, np.ndarray):
                assert one[key].shape == value.shape
                assert one[key].dtype.kind == value.dtype.kind
                assert one[key].tolist() == value.tolist()
            else:
                assert one[key] == value


def save_program(path: Path, program: bytes, shape: str = "()") -> None:
    header = f"{{'descr': '|O', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    with path.open("ab") as stream:
        stream.write(program)


class Evil:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def harmful(marker: Path) -> dict[str, bytes]:
    """Pickles that would make a file, or do other harm, were they opened."""
    import importlib
    import operator

    command = f"touch {marker}"
    calls = {
        "system": (os.system, (command,)),
        "subprocess": (subprocess.check_call, (["touch", str(marker)],)),
        "eval": (eval, (f"open({str(marker)!r}, 'w')",)),
        "exec": (exec, (f"open({str(marker)!r}, 'w')",)),
        "open": (open, (str(marker), "w")),
        "getattr": (getattr, ("x", "join")),
        "import": (importlib.import_module, ("this",)),
        "attrgetter": (operator.attrgetter("system"), ("os",)),
        "numpy.load": (np.load, (str(marker),)),
        "numpy.fromfile": (np.fromfile, (str(marker),)),
        "numpy.memmap": (np.memmap, (str(marker), "u1", "w+", 0, 8)),
        "numpy.save": (np.save, (str(marker), 1)),
    }
    programs = {name: pickle.dumps({"fs": Evil(*call)}) for name, call in calls.items()}
    inside = np.array([np.array([Evil(os.system, (command,))], dtype=object), 1], dtype=object)
    programs["nested object arrays"] = pickle.dumps(inside)
    programs["f2py"] = b"cnumpy.f2py.diagnose\nrun_command\n(S'" + command.encode() + b"'\ntR."
    programs["testing"] = b"cnumpy.testing._private.utils\nrunstring\n(S'1'\n}tR."
    programs["ndarray itself"] = b"\x80\x04cnumpy\nndarray\nM\xff\xff\x85R."
    programs["build on a name"] = b"\x80\x04cnumpy\ndtype\n}\x8c\x04typeq\x00K\x01sb."
    programs["stack global"] = (
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c"
        + bytes([len(command)])
        + command.encode()
        + b"\x85R."
    )
    programs["instance"] = b"(S'touch x'\nios\nsystem\n."
    programs["new object"] = b"\x80\x04cnumpy\nndarray\nK\x05\x85\x81."
    programs["extension"] = b"\x80\x02\x82\x01."
    programs["persistent"] = b"\x80\x02Pid\n."
    return programs


@pytest.mark.parametrize("name", ["ops.npy", "stat.npy"])
def test_pickles_with_more_than_data_execute_nothing(tmp_path, name):
    marker = tmp_path / "executed"
    for what, program in harmful(marker).items():
        folder = suite2p_plane(tmp_path / what / "plane0")
        save_program(folder / name, program)
        with pytest.raises(FileFormatError, match=r"more than data: it .*nothing in it was exec"):
            nks.io.read_calcium(folder)
        assert not marker.exists(), what
    with pytest.raises(FileFormatError, match=r"names posix\.system|names nt\.system"):
        nks.io.read_calcium(tmp_path / "system" / "plane0")


def bombs() -> dict[str, bytes]:
    """Pickles of a few bytes that claim more memory, or time, than there is."""
    int8 = b"cnumpy\ndtype\n\x8c\x02u1\x89\x88\x87R"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    huge = b"\x8a\x06" + (10**13).to_bytes(6, "little")
    shared = b"]" + b"".join(
        b"q" + bytes([k]) + b"]h" + bytes([k]) + b"ah" + bytes([k]) + b"a" for k in range(60)
    )
    keys = b"K\x01" + b"q\x00h\x00h\x00\x86" * 60
    return {
        "array": b"\x80\x04" + array + b"(K\x01" + huge + b"\x85" + int8 + b"\x89C\x00tb.",
        "negative": b"\x80\x04" + array + b"(K\x01J\xff\xff\xff\xff\x85" + int8 + b"\x89C\x00tb.",
        "empty text": b"\x80\x04"
        + array
        + b"(K\x01"
        + huge
        + b"\x85cnumpy\ndtype\n\x8c\x02U0\x89\x88\x87R\x89C\x00tb.",
        "objects": b"\x80\x04"
        + array
        + b"(K\x01"
        + huge
        + b"\x85cnumpy\ndtype\n\x8c\x02O8\x89\x88\x87R\x89]tb.",
        "bytes": b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x.",
        "bytearray": b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"x.",
        "memo": b"\x80\x02]r\xff\xff\xff\xff.",
        "long": b"\x80\x02\x8b\xff\xff\xff\x7f1.",
        "shared": b"\x80\x02" + shared + b".",
        "keys": b"\x80\x02}" + keys + b"K\x01s.",
        "deep": b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
        "marks": b"\x80\x02" + b"(" * 300_000 + b".",
        "itself": b"\x80\x02]q\x00h\x00a.",
        "nothing": b"",
        "underflow": b"\x80\x02a.",
        "cut off": pickle.dumps({"a": np.arange(100)})[:-30],
        "fields": pickle.dumps(np.zeros(2, dtype=[("a", "O")])),
        "subclass": pickle.dumps(np.ma.array([1])),
        "dates": pickle.dumps(np.array(["2020-01-01"], dtype="M8[D]")),
    }


def test_pickles_that_claim_more_than_they_hold(tmp_path):
    import tracemalloc

    folder = suite2p_plane(tmp_path / "plane0")
    for what, program in bombs().items():
        save_program(folder / "ops.npy", program)
        tracemalloc.start()
        with pytest.raises(FileFormatError, match=r"ops\.npy"):
            nks.io.read_calcium(folder)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 50e6, what


def test_one_array_named_by_many_regions_is_refused(tmp_path):
    folder = suite2p_plane(tmp_path / "plane0")
    shared = np.zeros(10_000, dtype=np.int8)
    one = {"ypix": shared, "xpix": shared}
    stat = np.empty(3, dtype=object)
    stat[:] = [one | {f"a{k}": shared for k in range(30)}] * 3
    np.save(folder / "stat.npy", stat, allow_pickle=True)
    with pytest.raises(FileFormatError, match="once each"):
        nks.io.read_calcium(folder)


def test_pickletools_agrees_that_the_harmful_programs_are_pickles(tmp_path):
    programs = harmful(tmp_path / "x")
    for name in ("system", "f2py", "stack global", "ndarray itself"):
        assert [op.name for op, _, _ in pickletools.genops(programs[name])][-1] == "STOP"
