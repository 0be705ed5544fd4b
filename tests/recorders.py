"""Small files in recorders' own formats, laid out byte by byte as their makers describe them.

Independent of the package: what they hold is known here, so that readers can be held to it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

EDF_GLOBAL = (8, 80, 80, 8, 8, 8, 44, 8, 8, 4)
EDF_CHANNEL = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)


def edf(
    path: Path,
    signals: Sequence[dict[str, Any]],
    *,
    duration: str = "1",
    reserved: str = "",
    onsets: Sequence[float] | None = None,
    notes: Sequence[tuple[int, bytes]] = (),
    bdf: bool = False,
    records: int | None = None,
    **fields: str,
) -> Path:
    """EDF or BDF.

    ``signals`` have ``label`` and ``values`` of shape (record, sample), integers, and may have any
    other field of the header. With ``onsets`` of the records an annotation signal is added; notes
    are (record, the bytes of a list).
    """
    width = 3 if bdf else 2
    rows = []
    for s in signals:
        low, high = (-(2 ** (8 * width - 1)), 2 ** (8 * width - 1) - 1)
        rows.append(
            [
                s["label"],
                s.get("transducer", ""),
                s.get("unit", "uV"),
                s.get("physical_minimum", str(low)[:8]),
                s.get("physical_maximum", str(high)[:8]),
                s.get("digital_minimum", str(low)),
                s.get("digital_maximum", str(high)),
                s.get("prefilter", ""),
                str(np.shape(s["values"])[1]),
                "",
            ]
        )
    number = len(signals[0]["values"]) if signals else len(onsets or ())
    lists: list[bytes] = []
    if onsets is not None:
        lists = [f"{o:+g}".encode() + b"\x14\x14\0" for o in onsets]
        for record, text in notes:
            lists[record] += text
        size = -(-max(map(len, lists)) // width)
        lists = [part.ljust(size * width, b"\0") for part in lists]
        name = "BDF Annotations" if bdf else "EDF Annotations"
        rows.append([name, "", "", "-1", "1", "-32768", "32767", "", str(size), ""])
    head = [
        "0",
        fields.get("patient", "X X X X"),
        fields.get("recording", "Startdate X X X X"),
        fields.get("date", "02.03.04"),
        fields.get("time", "05.06.07"),
        str(256 * (len(rows) + 1)),
        reserved,
        str(number if records is None else records),
        duration,
        str(len(rows)),
    ]
    data = b"".join(t.encode("latin-1").ljust(w) for t, w in zip(head, EDF_GLOBAL, strict=True))
    if bdf:
        data = b"\xffBIOSEMI" + data[8:]
    for k, w in enumerate(EDF_CHANNEL):
        data += b"".join(row[k].encode("latin-1").ljust(w) for row in rows)
    for record in range(number):
        for s in signals:
            values = np.asarray(s["values"][record], dtype="<i4")
            data += values.view(np.uint8).reshape(-1, 4)[:, :width].tobytes()
        data += lists[record] if lists else b""
    path.write_bytes(data)
    return path


def brainvision(
    folder: Path,
    values: np.ndarray,
    *,
    binary: str = "INT_16",
    order: str = "MULTIPLEXED",
    channels: Sequence[str] = (),
    markers: Sequence[str] = (),
    data_file: str = "rec.eeg",
    more: str = "",
    interval: str = "2000",
) -> Path:
    """BrainVision files of stored numbers (time, channel); channels are lines of the header."""
    dtype = {"INT_16": "<i2", "INT_32": "<i4", "IEEE_FLOAT_32": "<f4", "UINT_16": "<u2"}[binary]
    stored = values if order == "MULTIPLEXED" else values.T
    (folder / "rec.eeg").write_bytes(np.ascontiguousarray(stored).astype(dtype).tobytes())
    lines = channels or [f"LA{k + 1},,0.5,µV" for k in range(values.shape[1])]
    listed = "\n".join(f"Ch{k + 1}={line}" for k, line in enumerate(lines))
    (folder / "rec.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nDataFile=rec.eeg\n"
        "[Marker Infos]\n" + "\n".join(f"Mk{k + 1}={m}" for k, m in enumerate(markers)),
        encoding="utf-8",
    )
    header = folder / "rec.vhdr"
    header.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n; a comment\n[Common Infos]\n"
        f"Codepage=UTF-8\nDataFile={data_file}\nMarkerFile=rec.vmrk\nDataFormat=BINARY\n"
        f"DataOrientation={order}\nNumberOfChannels={len(lines)}\nSamplingInterval={interval}\n"
        f"[Binary Infos]\nBinaryFormat={binary}\n[Channel Infos]\n{listed}\n{more}",
        encoding="utf-8",
    )
    return header


def persyst(
    folder: Path,
    values: np.ndarray,
    *,
    names: Sequence[str] = ("LA1-Ref", "LA2-Ref"),
    times: Sequence[str] = ("0=36000.0",),
    comments: Sequence[str] = (),
    data_file: str = r"C:\patients\rec.dat",
) -> Path:
    """Persyst layout and 16-bit samples (time, channel), 0.25 uV a step, 200 Hz."""
    (folder / "rec.dat").write_bytes(values.astype("<i2").tobytes())
    listed = "\n".join(f"{name}={k + 1}" for k, name in enumerate(names))
    layout = folder / "rec.lay"
    layout.write_text(
        f"[FileInfo]\nFile={data_file}\nFileType=Interleaved\nSamplingRate=200\n"
        f"HeaderLength=0\nCalibration=0.25\nWaveformCount={len(names)}\nDataType=0\n"
        f"[ChannelMap]\n{listed}\n[SampleTimes]\n" + "\n".join(times) + "\n"
        "[Patient]\nFirst=\nSex=F\nBirthDate=01/02/1980\nHand=R\nID=p7\nTestDate=03/02/2004\nTestTime=10:00:00\n"
        "Physician=Dr Ä\n[Comments]\n" + "\n".join(comments) + "\n",
        encoding="utf-8",
    )
    return layout


def blackrock(path: Path, blocks: Sequence[tuple[int, np.ndarray]]) -> Path:
    """Blackrock file of specification 2.2, 1000 Hz, 0.25 uV a step.

    ``blocks`` are (time stamp in ticks of 30 kHz, samples of shape (time, channel)).
    """
    number = blocks[0][1].shape[1]
    extended = b"".join(
        struct.pack(
            "<2sH16sBBhhhh16sIIHIIH",
            *(b"CC", k + 1, f"LA{k + 1}".encode(), 1, k + 1, -32764, 32764, -8191, 8191, b"uV"),
            *(300, 1, 1, 250_000, 4, 1),
        )
        for k in range(number)
    )
    size = 314 + len(extended)
    head = struct.pack(
        "<8sBBI16s256sII8HI",
        *(b"NEURALCD", 2, 2, size, b"1 kS/s", b"comment", 30, 30_000),
        *(2020, 1, 4, 2, 10, 11, 12, 500, number),
    )
    body = b"".join(
        struct.pack("<BII", 1, stamp, len(values)) + values.astype("<i2").tobytes()
        for stamp, values in blocks
    )
    path.write_bytes(head + extended + body)
    return path


def micromed(
    path: Path,
    values: np.ndarray,
    *,
    notes: Sequence[tuple[int, str]] = (),
    segments: Sequence[tuple[int, int]] = (),
) -> Path:
    """Micromed file of type 4: unsigned 16-bit samples (time, channel), 256 Hz, 1 uV a step.

    ``segments`` are (start in samples of the whole, first sample kept).
    """
    number = values.shape[1]
    zones = [
        ("ORDER", 2 * number),
        ("LABCOD", 128 * number),
        ("NOTE", 44 * max(len(notes), 1)),
        *((name, 8) for name in ("FLAGS",)),
        ("TRONCA", 8 * (len(segments) + 1)),
        *((name, 8) for name in ("IMPED_B", "IMPED_E", "MONTAGE", "COMPRESS", "AVERAGE")),
        *((name, 8) for name in ("HISTORY", "DVIDEO")),
        *((name, 12) for name in ("EVENT A", "EVENT B")),
        ("TRIGGER", 6),
    ]
    place, directory, body = 640, b"", {}
    for name, size in zones:
        directory += struct.pack("<8sII", name.ljust(8).encode(), place, size)
        body[name] = (place, bytearray(size))
        place += size
    body["ORDER"][1][:] = np.arange(number, dtype="<u2").tobytes()
    for k in range(number):
        entry = struct.pack(
            "<BB6s6siiiiihq",
            *(1, 1, f"LA{k + 1}".encode(), b"G2", 0, 65535, 32768, -32768, 32768, 0, 0),
        )
        entry += struct.pack("<H", 1)
        body["LABCOD"][1][128 * k : 128 * k + len(entry)] = entry
    for k, (sample, text) in enumerate(notes):
        body["NOTE"][1][44 * k : 44 * k + 44] = struct.pack("<I40s", sample, text.encode())
    for k, (start, first) in enumerate(segments):
        body["TRONCA"][1][8 * k : 8 * k + 8] = struct.pack("<II", start, first)
    head = bytearray(place)
    head[0:19] = b"* MICROMED  Brain-Q"
    head[64:86] = b"SURNAME".ljust(22)
    head[86:106] = b"NAME".ljust(20)
    head[128:134] = bytes([2, 3, 104, 10, 11, 12])
    struct.pack_into("<IHHHH", head, 138, place, number, 2 * number, 256, 2)
    head[175] = 4
    head[176 : 176 + len(directory)] = directory
    for start, part in body.values():
        head[start : start + len(part)] = part
    path.write_bytes(bytes(head) + values.astype("<u2").tobytes())
    return path


def nihon(folder: Path, values: np.ndarray) -> Path:
    """Nihon Kohden EEG-1100A: 16-bit samples (time, channel), 500 Hz, with its companions."""
    device = b"EEG-1100A V01.00"
    samples, number = values.shape
    path = folder / "rec.EEG"
    control, block = 0x400, 0x1800
    head = bytearray(block)
    head[:16] = device
    head[0x81:0x91] = device
    head[0x91] = 1
    struct.pack_into("<I", head, 0x92, control)
    head[control + 17] = 1
    struct.pack_into("<I", head, control + 18, block)
    head[0x17FE] = 1
    data = bytearray(0x27 + 10 * number)
    struct.pack_into("<H", data, 0x1A, 500 | 0xC000)
    struct.pack_into("<I", data, 0x1C, samples // 50)
    data[0x26] = number
    for k in range(number):
        data[0x27 + 10 * k] = k
    marks = np.zeros((samples, 1), dtype="<u2")
    stored = np.hstack([(values.astype(np.int64) + 32768).astype("<u2"), marks])
    path.write_bytes(bytes(head) + bytes(data) + stored.tobytes())
    lines = "\n".join(f"{k:04d}=LA{k + 1}" for k in range(number))
    (folder / "rec.21E").write_text(f"[ELECTRODE]\n{lines}\n")
    patient = bytearray(0x60)
    patient[:16] = device
    patient[0x40:0x4E] = b"20040302101112"
    (folder / "rec.PNT").write_bytes(bytes(patient))
    log = bytearray(0x500)
    log[:16] = device
    log[0x91] = 1
    struct.pack_into("<I", log, 0x92, 0x400)
    log[0x401:0x411] = device
    log[0x412] = 1
    log[0x414 : 0x414 + 45] = b"REC START".ljust(20, b"\0") + b"000000".ljust(25, b"\0")
    (folder / "rec.LOG").write_bytes(bytes(log))
    return path


def mef3(folder: Path, values: np.ndarray, names: Sequence[str] = ("LA1", "LA2")) -> Path:
    """MEF3 session written by pymef: 1000 Hz, 0.5 uV a step."""
    from pymef.mef_session import MefSession

    path = folder / "rec.mefd"
    session = MefSession(str(path), "", False, True)
    start = 1_577_836_800_000_000
    text = ("channel_description", "session_description", "reference_description")
    zero = (
        *("acquisition_channel_number", "start_sample", "number_of_blocks", "block_interval"),
        *("maximum_block_bytes", "maximum_block_samples", "maximum_difference_bytes"),
        *("number_of_discontinuities", "maximum_contiguous_blocks", "number_of_samples"),
        *("maximum_contiguous_block_bytes", "maximum_contiguous_samples"),
    )
    number = [
        "notch_filter_frequency_setting",
        "low_frequency_filter_setting",
        "AC_line_frequency",
        "high_frequency_filter_setting",
        "maximum_native_sample_value",
        "minimum_native_sample_value",
    ]
    about = {
        **dict.fromkeys(text, b"x"),
        **dict.fromkeys(zero, 0),
        **dict.fromkeys(number, 0.0),
        "recording_duration": len(values) * 1000,
        "sampling_frequency": 1000.0,
        "units_conversion_factor": 0.5,
        "units_description": b"uV",
    }
    subject = {
        **dict.fromkeys(
            ("recording_time_offset", "DST_start_time", "DST_end_time", "GMT_offset"), 0
        ),
        **dict.fromkeys(("subject_name_1", "subject_name_2", "recording_location"), b"x"),
        "subject_ID": b"p7",
    }
    for k, name in enumerate(names):
        session.write_mef_ts_segment_metadata(
            name, 0, "", "", start, start + len(values) * 1000, dict(about), dict(subject)
        )
        column = np.ascontiguousarray(values[:, k]).astype(np.int32)
        session.write_mef_ts_segment_data(name, 0, "", "", 1000, column)
    session.close()
    return path
