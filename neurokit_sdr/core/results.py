"""Fitted results on disk: stamped, self-describing netCDF, and the registry that opens them.

A saved result is ``result_`` and nothing else: hyper-parameters travel as one JSON string in its
attributes. Nothing is pickled. The class is looked up by its name and the package that defines it,
among the entry points of the group ``neurokit_sdr.estimators`` and the estimators that were
imported; a class of the same name elsewhere takes over nothing.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr._version import __version__
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import FileFormatError, NotFittedError
from neurokit_sdr.core.files import atomic_path, check_hdf5

ENTRY_POINTS = "neurokit_sdr.estimators"

#: ``attrs["status"]`` of a fit that met its tolerance.
CONVERGED = "converged"

#: ``attrs["status"]`` of a model that was not fitted.
KNOWN = "known parameters"

_registry: dict[tuple[str, str], type] = {}


def register(estimator: type) -> None:
    """Make a class known to :func:`load_result` by its name and package."""
    _registry[_package(estimator.__module__), estimator.__name__] = estimator


def _package(module: str) -> str:
    """The package a module belongs to: where in it a class lives is nobody's contract."""
    return module.partition(".")[0]


def stamp(
    result: xr.Dataset,
    *,
    estimator: type,
    parameters: dict[str, Any],
    seed: int,
    status: str,
    fingerprint: str,
) -> xr.Dataset:
    """Return the result with what is needed to know where it came from, and to repeat it."""
    stamped = result.assign_attrs(
        result.attrs
        | {
            "estimator": estimator.__name__,
            "estimator_package": _package(estimator.__module__),
            "neurokit_sdr_version": __version__,
            "schema_version": schema.SCHEMA_VERSION,
            "parameters": encode(parameters),
            "seed": seed,
            "status": status,
            "input_fingerprint": fingerprint,
        }
    )
    schema.check_attrs(stamped)
    return stamped


def encode(value: Any) -> str:
    """JSON text of plain values; NumPy scalars and arrays become Python's."""
    return json.dumps(value, sort_keys=True, default=lambda v: v.tolist())


def outcome(converged: bool, interrupted: bool, max_iter: int) -> str:
    """Say in words how a fit ended, and what to do if not well."""
    if interrupted:
        return "interrupted: the result is the best so far; fit again, or go on from a checkpoint"
    if converged:
        return CONVERGED
    return f"max_iter reached ({max_iter}): raise max_iter or tol"


def fingerprint(data: xr.Dataset) -> str:
    """SHA-256 over the variables, dimensions and coordinates of a Dataset.

    Two Datasets with the same content have the same fingerprint, whatever their attributes.
    """
    digest = hashlib.sha256()
    for name in sorted(map(str, data.variables)):
        array = data[name]
        values = np.ascontiguousarray(array.values)
        if values.dtype.kind in "OTU":
            values = np.asarray(values, dtype="U")
        digest.update(f"{name}{array.dims}{values.shape}{values.dtype.str}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def save_result(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted model to one netCDF file, atomically.

    Parameters
    ----------
    model
        A fitted estimator.
    path
        Where; the file is replaced only once the new one is whole.

    Raises
    ------
    NotFittedError
        If the model has no result.
    """
    if not hasattr(model, "result_"):
        raise NotFittedError(f"Expected a fitted model to save, got {model!r}: call fit first.")
    with atomic_path(path) as temporary:
        model.result_.to_netcdf(temporary, engine="h5netcdf")


def load_result(path: str | os.PathLike[str]) -> Any:
    """Open a file written by :func:`save_result` as the fitted model that it was.

    Parameters
    ----------
    path
        The netCDF file.

    Returns
    -------
    Estimator
        With its hyper-parameters and ``result_``; predicts exactly as before.

    Raises
    ------
    FileFormatError
        If the file is damaged, not a result, newer than this package, or of an unknown estimator.
    """
    path = check_hdf5(path)
    try:
        with xr.open_dataset(path, engine="h5netcdf", phony_dims="access") as opened:
            result = opened.load()
    except Exception as error:  # damage surfaces as any kind, by where it sits
        raise FileFormatError(f"{path} is HDF5 but not a saved result ({error}).") from error
    if "estimator" not in result.attrs or "parameters" not in result.attrs:
        raise FileFormatError(
            f"Expected {path} to be written by nks.save_result, found no estimator named in it: "
            f"open it with xarray.open_dataset."
        )
    result.attrs = {k: _plain(v) for k, v in result.attrs.items()}
    version = result.attrs.get("schema_version")
    if not isinstance(version, int):
        raise FileFormatError(
            f"Expected {path} to say which schema it follows, got {version!r}: it was changed "
            f"after it was saved, or is damaged."
        )
    if version > schema.SCHEMA_VERSION:
        raise FileFormatError(
            f"{path} follows schema {version}, this package knows {schema.SCHEMA_VERSION}: upgrade "
            f"neurokit-sdr to at least {result.attrs['neurokit_sdr_version']}."
        )
    package = result.attrs.get("estimator_package")
    estimator = _find_estimator(str(result.attrs["estimator"]), package)
    try:
        model = estimator(**json.loads(result.attrs["parameters"]))
    except (ValueError, TypeError) as error:
        raise FileFormatError(
            f"Expected the hyper-parameters of {estimator.__name__} in {path}, got "
            f"{result.attrs['parameters']!r} ({error}): it was written by another version, or is "
            f"damaged."
        ) from error
    model.result_ = result
    return model


def _plain(value: Any) -> Any:
    """The Python value that a netCDF attribute was written from."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def _find_estimator(name: str, package: str | None) -> Any:
    """The class of a name; files of the first form name no package, and mean an installed one."""
    points = [p for p in importlib.metadata.entry_points(group=ENTRY_POINTS) if p.name == name]
    points.sort(key=lambda point: _package(point.value) != _package(__name__))
    for point in points:
        if package is None or _package(point.value.partition(":")[0]) == package:
            return point.load()
    for (home, registered), estimator in _registry.items():
        if registered == name and (package is None or home == package):
            return estimator
    installed = {p.name for p in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    known = sorted(installed | {registered for _, registered in _registry})
    of = "" if package is None else f" of {package}"
    guess = "" if name in known else schema.did_you_mean(name, known)
    raise FileFormatError(
        f"The file holds a fitted {name!r}{of}, which is not installed here; known are {known}."
        f"{guess} Upgrade neurokit-sdr or import the package that "
        f"defines it; in a notebook, run the cell that does."
    )
