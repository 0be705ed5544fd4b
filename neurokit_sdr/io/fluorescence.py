"""What is computed from fluorescence: neuropil, change over a baseline, pictures of regions."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io import baselines


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
