r"""Calcium imaging: readers, plain arrays, neuropil, baselines and regions of interest."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import FileFormatError, ParameterError, SchemaError
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io import baselines, imaging
from neurokit_sdr.io.formats.caiman import read as caiman
from neurokit_sdr.io.formats.inscopix import read as inscopix
from neurokit_sdr.io.formats.minian import read as minian
from neurokit_sdr.io.formats.suite2p import read as suite2p
from neurokit_sdr.io.lazy import chunked, path_of
from neurokit_sdr.io.registry import Reader


class _Format(NamedTuple):
    name: str
    can_read: Callable[[Path], bool]
    read: Callable[..., xr.DataTree]
    keeps: str
    needs: str = ""


_FORMATS = (
    _Format(
        "suite2p",
        suite2p.is_suite2p,
        suite2p.read_suite2p,
        "F, Fneu, spks (lazy), iscell, redcell, stat (pixels and statistics), ops, every plane",
    ),
    _Format(
        "CaImAn",
        caiman.is_caiman,
        caiman.read_caiman,
        "C, YrA, S, F_dff (lazy), footprints, accepted components, quality, parameters",
    ),
    _Format(
        "minian",
        minian.is_minian,
        minian.read_minian,
        "YrA, C, S and footprints A (lazy), unit and frame labels, other variables",
        "zarr",
    ),
    _Format(
        "Inscopix CSV",
        inscopix.is_inscopix,
        inscopix.read_inscopix,
        "cell traces, accepted, rejected or undecided, cell properties, real frame times",
    ),
)


def read_calcium(
    path: str | os.PathLike[str],
    *,
    sampling_rate: float | None = None,
    chunks: Any = None,
) -> xr.DataTree:
    """Read a recording of calcium imaging, whatever its format.

    The format is found by content: suite2p folders, CaImAn HDF5, minian Zarr stores, Inscopix CSV,
    NWB. Files are not trusted: nothing in them is executed, no link out of them is followed.

    Parameters
    ----------
    path
        A file, or a folder where the format is one.
    sampling_rate
        Frames per second of each plane, where the file does not know it or is wrong.
    chunks
        As for :meth:`xarray.Dataset.chunk`, such as ``{"time": 10_000}``: traces as dask arrays.
        None leaves them in the file until they are used.

    Returns
    -------
    xarray.DataTree
        ``/calcium``: what the file has of ``fluorescence``, ``neuropil``, ``dff``, ``denoised``
        and ``deconvolved``, all (time, unit); ``time`` in seconds; everything known per unit as
        coordinates on ``unit``, such as ``is_cell``, ``cell_probability``, ``roi_y`` and ``roi_x``
        (pixel). ``attrs["sampling_rate"]`` in Hz where frames were taken evenly. ``/rois``: the
        pixels of each unit (:func:`roi_masks` draws them). Several planes: ``/calcium/NAME`` and
        ``/rois/NAME`` of each. Settings and pictures lie in a group that is named like the
        program that wrote them.

        Where nothing says how fast frames were taken, ``time`` counts frames from 0 and its
        ``units`` are ``"frame"``.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, damaged, unsafe, of an unknown format or without calcium.
    ParameterError
        If ``sampling_rate`` is no number above 0, or ``chunks`` are no sizes of dimensions that are
        there.
    MissingDependencyError
        If the format, or ``chunks``, needs a package that is not installed.

    Warns
    -----
    DataWarning
        Where the sampling rate is not known, and once naming everything that is not kept.

    Notes
    -----
    Planes are scanned one after the other; no format but NWB says how much later each plane was
    seen, so that every plane's clock starts at 0.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np, neurokit_sdr as nks
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "suite2p"
    >>> made = nks.io.from_fluorescence(np.ones((100, 3)), sampling_rate=30.0)
    >>> nks.io.write_suite2p(made, folder)
    >>> session = nks.io.read_calcium(folder)
    >>> dict(session["/calcium/fluorescence"].sizes)
    {'time': 100, 'unit': 3}
    """
    rate = imaging.check_rate(sampling_rate)
    path = path_of(path)
    if not path.exists():
        raise FileFormatError(f"Expected a recording at {path}, found nothing: check the path.")
    for one in _FORMATS:
        if one.can_read(path):
            return chunked(one.read(path, rate), chunks)
    from neurokit_sdr.io.formats.nwb.read import is_nwb, read_nwb

    if is_nwb(path):
        session = read_nwb(path)
        if "calcium" not in session.children:
            raise FileFormatError(
                f"Expected calcium in {path}, found {[g for g in session.groups if g != '/']}: "
                f"read it with nks.io.read."
            )
        if rate is not None:
            raise ParameterError(
                f"Expected no sampling_rate for {path}: NWB gives each series its own times."
            )
        return chunked(session, chunks)
    raise FileFormatError(_unknown(path))


def _unknown(path: Path) -> str:
    names = ", ".join(f.name for f in _FORMATS)
    if path.is_dir():
        found = f"a folder with {sorted(p.name for p in path.iterdir())[:10]}"
    else:
        from neurokit_sdr.core.files import check_file

        check_file(path)
        found = "a file of another kind"
    return (
        f"Expected calcium imaging at {path} ({names} or NWB), found {found}: give the folder or "
        f"file that the program wrote, or put the traces into nks.io.from_fluorescence."
    )


def from_fluorescence(
    fluorescence: Any,
    *,
    sampling_rate: float | None = None,
    time: Any = None,
    unit: Any = None,
) -> xr.Dataset:
    """Calcium from an array that a lab has in MATLAB, CSV or memory.

    Parameters
    ----------
    fluorescence
        Numbers of shape (time, unit). What MATLAB holds as (unit, time) is turned with ``.T``.
    sampling_rate
        Frames per second, where they were taken evenly from 0 s on; or
    time
        the time of each frame in seconds, of shape (time,), rising.
    unit
        One id per unit, all text or all whole numbers; None counts from 0.

    Returns
    -------
    xarray.Dataset
        ``fluorescence(time, unit)`` as it came, whole numbers as float64. Add what else you have
        with ``.assign(neuropil=(("time", "unit"), array))`` and what you know per unit with
        ``.assign_coords(is_cell=("unit", [...]))``.

    Raises
    ------
    SchemaError
        If the array is not (time, unit), its clock or its ids are not as said above.
    ParameterError
        If not exactly one of ``sampling_rate`` and ``time`` is given.

    Examples
    --------
    >>> import numpy as np, neurokit_sdr as nks
    >>> calcium = nks.io.from_fluorescence(np.ones((60, 2)), sampling_rate=30.0, unit=["a", "b"])
    >>> calcium.sel(time=slice(0.5, 1.0)).sizes["time"]
    16
    """
    if (sampling_rate is None) == (time is None):
        raise ParameterError(
            "Expected exactly one of sampling_rate (frames per second) and time (seconds of each "
            f"frame), got {'both' if time is not None else 'neither'}."
        )
    try:
        values = np.asarray(fluorescence)
        if values.dtype.kind == "c":
            raise TypeError("complex numbers, of which .real or abs is light")
        values = values if values.dtype.kind == "f" else values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"Expected fluorescence as numbers, got {error}.") from error
    if values.ndim != 2:
        raise SchemaError(
            f"Expected fluorescence of shape (time, unit), got {values.shape}: one unit is "
            f"array[:, None]."
        )
    if time is not None:
        try:
            time = np.asarray(time, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise SchemaError(f"Expected time as seconds of each frame, got {error}.") from error
    if time is not None and np.shape(time) != values.shape[:1]:
        turned = ": turn the array with .T" if np.shape(time) == values.shape[1:] else ""
        raise SchemaError(
            f"Expected one time for each of the {values.shape[0]} frames of an array (time, unit), "
            f"got shape {np.shape(time)}{turned}."
        )
    ids = _ids(unit, values.shape[1])
    rate = imaging.check_rate(sampling_rate)
    clock: Any = imaging.clock(values.shape[0], rate)
    if time is not None:
        clock = time
    return imaging.calcium_dataset(
        {"fluorescence": imaging.trace("fluorescence", values)},
        ids,
        clock,
        {},
        {} if rate is None else {"sampling_rate": rate},
        "the array",
        SchemaError,
    )


def _ids(unit: Any, number: int) -> np.ndarray:
    ids = np.arange(number) if unit is None else np.asarray(unit)
    if ids.dtype.kind == "O" and all(isinstance(i, str) for i in ids):
        ids = ids.astype(np.str_)
    if ids.shape != (number,) or ids.dtype.kind not in "iuU":
        raise SchemaError(
            f"Expected {number} unit ids, one per column, all text or all whole numbers, got "
            f"{ids.dtype} of shape {ids.shape}: an array (unit, time) is turned with .T."
        )
    return ids


def _on_calcium(data: xr.Dataset | xr.DataTree, change: Callable[[xr.Dataset], xr.Dataset]) -> Any:
    """Apply a change to a Dataset of calcium, or to every plane of a session."""
    if not isinstance(data, xr.DataTree):
        return change(schema.check(data, "calcium"))
    groups = {n.path: n.to_dataset(inherit=False) for n in data.subtree}
    planes = [
        path
        for path, group in groups.items()
        if path.split("/")[1] == "calcium" and group.data_vars
    ]
    if not planes:
        schema.select(data, "calcium")  # raises, and says what to do
    for path in planes:
        groups[path] = change(schema.check(groups[path], "calcium"))
    return xr.DataTree.from_dict(groups, name=data.name)


def subtract_neuropil(
    data: xr.Dataset | xr.DataTree, coefficient: float = 0.7
) -> xr.Dataset | xr.DataTree:
    r"""Take the light of the surrounding neuropil out of the fluorescence.

    .. math:: F_c(t) = F(t) - \alpha F_\mathrm{neu}(t)

    Parameters
    ----------
    data
        ``fluorescence`` and ``neuropil``, both (time, unit), or a session with ``/calcium``.
    coefficient
        :math:`\alpha`, from 0 to 1; 0.7 is suite2p's and that of Chen et al.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
        The same with :math:`F_c` as ``fluorescence``, whose ``attrs["neuropil_subtracted"]`` is
        the coefficient. ``neuropil`` stays, so that nothing is lost.

    Raises
    ------
    SchemaError
        If there is no neuropil, or it was subtracted already.
    ParameterError
        If the coefficient is not between 0 and 1.

    References
    ----------
    Chen et al., Nature 499 (2013), doi:10.1038/nature12354.
    Pachitariu et al., bioRxiv 061507 (2017), doi:10.1101/061507.

    Examples
    --------
    >>> import numpy as np, neurokit_sdr as nks
    >>> calcium = nks.io.from_fluorescence(np.full((3, 1), 10.0), sampling_rate=1.0)
    >>> calcium = calcium.assign(neuropil=calcium["fluorescence"] * 0.5)
    >>> nks.io.subtract_neuropil(calcium)["fluorescence"].values.ravel()
    array([6.5, 6.5, 6.5])
    """
    real = isinstance(coefficient, numbers.Real) and not isinstance(coefficient, bool)
    if not real or not 0 <= coefficient <= 1:
        raise ParameterError(f"Expected a coefficient between 0 and 1, got {coefficient!r}.")

    def change(calcium: xr.Dataset) -> xr.Dataset:
        if not {"fluorescence", "neuropil"} <= set(calcium.variables):
            raise SchemaError(
                f"Expected fluorescence and neuropil, got {schema.describe(calcium)}: without "
                f"neuropil there is nothing to subtract."
            )
        light = calcium["fluorescence"]
        if "neuropil_subtracted" in light.attrs:
            raise SchemaError(
                f"Expected fluorescence with its neuropil, got one from which "
                f"{light.attrs['neuropil_subtracted']} of it was subtracted already."
            )
        share = light.dtype.type(coefficient)  # keeps float32 at float32
        clear = light.variable - share * calcium["neuropil"].variable
        clear.attrs = light.attrs | {"neuropil_subtracted": float(coefficient)}
        return calcium.assign(fluorescence=clear)

    return _on_calcium(data, change)


def dff(
    data: xr.Dataset | xr.DataTree,
    baseline: str = "maximin",
    *,
    window: float | None = None,
    smoothing: float | None = None,
    percentile: float | None = None,
) -> xr.Dataset | xr.DataTree:
    r"""Change of fluorescence over its baseline.

    .. math:: \Delta F / F (t) = \frac{F(t) - F_0(t)}{F_0(t)}

    =====================  ======================================================  ==============
    ``baseline``           :math:`F_0(t)`                                          paper
    =====================  ======================================================  ==============
    ``"maximin"``          running maximum of the running minimum of :math:`F`     Pachitariu et
                           smoothed by a Gaussian of sd ``smoothing`` (10 frames   al. 2017
                           if None), both over ``window`` (60 s) around t          (suite2p)
    ``"running_minimum"``  minimum over the ``window`` (3 s) before t of the mean  Jia et al. 2011
                           of :math:`F` over ``smoothing`` (0.75 s) around t
    ``"running_quantile"`` ``percentile`` (8) of :math:`F` over ``window``         Giovannucci et
                           (500 frames if None) around t                           al. 2019
                                                                                   (CaImAn)
    ``"constant"``         ``percentile`` (10) of :math:`F` over all frames
    =====================  ======================================================  ==============

    Parameters
    ----------
    data
        ``fluorescence(time, unit)``, or a session with ``/calcium``; first
        :func:`subtract_neuropil` where that is wanted.
    baseline
        One of the above.
    window, smoothing
        In seconds. They are turned into frames by the median time between frames.
    percentile
        From 0 to 100.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
        The same with ``dff(time, unit)``; its attributes say how it was made. NaN where the
        baseline is not above 0.

    Raises
    ------
    SchemaError
        If there is no fluorescence, ``dff`` is there already, values are NaN, or a window needs
        seconds and ``time`` counts frames.
    ParameterError
        If the baseline is unknown, or a parameter out of range, longer than twice the recording
        where that changes the baseline, or not one of this baseline.

    Warns
    -----
    DataWarning
        Naming the units whose baseline is not above 0 at some time, which is what subtracted
        neuropil or background can do.

    Notes
    -----
    At the ends windows are cut (running minimum) or mirrored (the others). Differences from the
    papers: Jia et al. filter the result once more against noise; suite2p itself subtracts its
    baseline and does not divide; CaImAn takes the baseline of the trace with its background, and
    its window in steps. Percentiles over a window are ranks, not interpolated. Dask arrays are
    worked on unit by unit when they are computed, and what this function raises of their values, or
    warns of, comes then.

    References
    ----------
    Jia, Rochefort, Chen and Konnerth, Nature Protocols 6 (2011), doi:10.1038/nprot.2010.169.
    Pachitariu et al., bioRxiv 061507 (2017), doi:10.1101/061507.
    Giovannucci et al., eLife 8:e38173 (2019), doi:10.7554/eLife.38173.

    Examples
    --------
    >>> import numpy as np, neurokit_sdr as nks
    >>> light = np.array([[2.0], [2.0], [3.0], [2.0]])
    >>> calcium = nks.io.from_fluorescence(light, sampling_rate=30.0)
    >>> nks.io.dff(calcium, "constant")["dff"].values.ravel()
    array([0. , 0. , 0.5, 0. ])
    """
    options = {"window": window, "smoothing": smoothing, "percentile": percentile}
    return _on_calcium(data, partial(baselines.add_dff, baseline=baseline, options=options))


def roi_masks(session: xr.DataTree | xr.Dataset) -> xr.DataArray:
    """Regions of interest as pictures.

    Parameters
    ----------
    session
        A session with ``/rois``, or that Dataset. Of several planes give one:
        ``session["/rois/plane0"].to_dataset()``.

    Returns
    -------
    xarray.DataArray
        ``mask(unit, y, x)``: each pixel's weight in its unit's trace (1 where the file knows no
        weights), 0 outside. Drawn, or read, unit by unit when used: ``roi_masks(session)[3]``
        needs the memory of one picture.

    Raises
    ------
    SchemaError
        If there are no regions of interest.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> session = nks.io.read("suite2p")  # doctest: +SKIP
    >>> nks.io.roi_masks(session)[3].plot()  # doctest: +SKIP
    """
    rois = schema.select(session, "rois")
    if "mask" in rois.variables:
        return rois["mask"]
    size = [int(rois[f"pixel_{a}"].max()) + 1 if rois.sizes["pixel"] else 0 for a in "yx"]
    height = int(rois.attrs.get("height", size[0]))
    width = int(rois.attrs.get("width", size[1]))
    if size[0] > height or size[1] > width:
        raise SchemaError(
            f"Expected pixels inside the picture of {height} x {width}, got them up to "
            f"{size[0]} x {size[1]}."
        )
    columns = [rois[name].values for name in ("pixel_unit", "pixel_y", "pixel_x")]
    weight = np.ones(rois.sizes["pixel"], np.float32)
    if "pixel_weight" in rois.variables:
        weight = rois["pixel_weight"].values
    shape = (rois.sizes["unit"], height, width)
    extra = {}
    if "pixel_z" in rois.variables:
        columns.append(rois["pixel_z"].values)
        depth = int(rois["pixel_z"].max()) + 1 if rois.sizes["pixel"] else 0
        shape = (*shape, int(rois.attrs.get("depth", depth)))  # type: ignore[assignment]
        extra = {"z": np.arange(shape[-1])}
    order = np.argsort(columns[0], kind="stable")
    read = partial(_draw, [c[order] for c in columns], weight[order], shape)
    dims = ("unit", "y", "x", "z")[: len(shape)]
    mask = lazy_variable(dims, read, shape, weight.dtype, {"units": "1", "long_name": "ROI mask"})
    coords = {
        "y": ("y", np.arange(height), {"units": "pixel"}),
        "x": ("x", np.arange(width), {"units": "pixel"}),
        **{k: (k, v, {"units": "pixel"}) for k, v in extra.items()},
    }
    return xr.DataArray(mask, {"unit": rois["unit"], **coords}, name="mask")


def _draw(
    columns: list[np.ndarray], weight: np.ndarray, shape: tuple[int, ...], key: tuple[Any, ...]
) -> np.ndarray:
    """Pictures of some units from pixels in the order of units."""
    one = not isinstance(key[0], slice)
    wanted = [key[0]] if one else list(range(*key[0].indices(shape[0])))
    masks = np.zeros((len(wanted), *shape[1:]), weight.dtype)
    for k, unit in enumerate(wanted):
        first, stop = np.searchsorted(columns[0], [unit, unit + 1])
        place = tuple(c[first:stop] for c in columns[1:])
        np.add.at(masks[k], place, weight[first:stop])
    return masks[(0 if one else slice(None), *key[1:])]


def write_suite2p(data: xr.Dataset | xr.DataTree, folder: str | os.PathLike[str]) -> None:
    """Write calcium as a suite2p folder, so that reading gives it back.

    Parameters
    ----------
    data
        A Dataset of calcium with ``fluorescence``, or a session: of it ``/calcium``, ``/rois`` and
        ``/suite2p`` are written, each plane into a folder of its own.
    folder
        Where ``plane0``, ``plane1``, ... appear, all at once when they are whole. A folder that is
        there is replaced only if it holds nothing but planes of suite2p.

    Raises
    ------
    SchemaError
        If the calcium breaks the schema or has no fluorescence.
    ParameterError
        If the folder holds something else.

    Warns
    -----
    DataWarning
        Naming variables that suite2p has no file for, such as ``dff``.

    Notes
    -----
    ``stat.npy`` and ``ops.npy`` hold what suite2p's own window asks for; what is not known there
    is empty, and is not read back as data. Ids, frame times and attributes travel in ``ops.npy``
    as text. Units are written in order, the pixels of one together.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import neurokit_sdr as nks
    >>> spikes = nks.io.from_spike_times({"a": [0.5, 0.6], "b": []}, t_stop=2.0)
    >>> seen = nks.snn.observe.calcium(spikes, rng=0)
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "suite2p"
    >>> nks.io.write_suite2p(seen, folder)
    >>> back = nks.io.read_calcium(folder)
    >>> back["/calcium"].to_dataset().identical(seen["/calcium"].to_dataset())
    True
    """
    from neurokit_sdr.io.formats.suite2p.write import write_suite2p as write

    write(data, path_of(folder))


def _reader(one: _Format) -> Reader:
    def read(path: Path, *, chunks: Any = None) -> xr.DataTree:
        return chunked(one.read(Path(path), None), chunks)

    return Reader(one.name, ("calcium", "rois"), one.keeps, one.can_read, read, one.needs)


READERS = tuple(map(_reader, _FORMATS))
