"""Adaptive whitening of a population by interneurons, on labelled arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.gain_control import whitening
from neurokit_sdr.core.arguments import as_numbers, check_number, check_whole
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream


class AdaptiveWhitening:
    r"""Responses kept white through changing inputs, by gains of interneurons.

    .. math:: y = (\alpha I + W\, \mathrm{diag}(g)\, W^T)^{-1} x, \quad z = W^T y, \quad
              \Delta g = \eta\,(z^2 - \|w\|^2)

    Interneuron k sees the projection of the responses on its weights :math:`w_k` (a column of the
    frame W) and raises its gain while that has more than unit variance. With
    :math:`K = N (N + 1) / 2` weights in general position gains exist that whiten every input
    exactly, in closed form

    .. math:: g = [(W^T W)^{\circ 2}]^{-1}\, \mathrm{diag}(W^T (C^{1/2} - \alpha I) W).

    With ``slow_rate`` the weights learn too,
    :math:`\Delta W = \eta_w (y n^T - W\,\mathrm{diag}(g)), n = g \circ z`: fast gains follow each
    context, slow weights the family of contexts, and fewer interneurons do.

    Parameters
    ----------
    frame
        W, (channel, interneuron), an array or DataArray; or the number of channels N, for
        N (N + 1) / 2 random unit vectors (in the plane three at 120 degrees).
    alpha
        Leak of the responses.
    clamp
        Whether gains stay at 0 or above.
    rng
        Seed of random vectors.

    Raises
    ------
    ParameterError
        If a shape or number is out of range, a covariance is not symmetric positive definite, or
        the responses do not settle, :math:`\alpha I + W\, \mathrm{diag}(g)\, W^T` not being
        positive definite: with gains that were given, or in a step of ``adapt`` whose rate is so
        large that the circuit runs away.

    Notes
    -----
    Gains: Duong, Lipshutz, Heeger, Chklovskii and Simoncelli 2023, "Adaptive whitening in neural
    populations with gain-modulating interneurons" (ICML, arXiv:2301.11955). Gains and weights:
    Duong, Simoncelli, Chklovskii and Lipshutz 2023, "Adaptive whitening with fast gain modulation
    and slow synaptic plasticity" (NeurIPS, arXiv:2308.13633). Two differences to the authors' code:
    ``alpha`` is respected online too (theirs is 1 there), and a gain's target is
    :math:`\|w_k\|^2` throughout (1 for unit vectors).

    It adapts by calls and fits no data: it is no ``Estimator``.

    Examples
    --------
    >>> import numpy as np
    >>> circuit = AdaptiveWhitening(2)
    >>> covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    >>> gain = circuit.optimal_gains(covariance)
    >>> circuit.response_covariance(covariance, gain).values.round(6) + 0
    array([[1., 0.],
           [0., 1.]])
    """

    def __init__(
        self, frame: Any, *, alpha: float = 1.0, clamp: bool = False, rng: RNG = None
    ) -> None:
        if isinstance(frame, int | np.integer) and not isinstance(frame, bool):
            n = check_whole("frame, a number of channels,", frame, 1)
            draw = stream(resolve_seed(rng), "frame")
            self.frame = (
                whitening.mercedes_frame()
                if n == 2
                else whitening.random_frame(n, n * (n + 1) // 2, draw)
            )
        else:
            self.frame = np.array(as_numbers("frame", frame), float)
        if self.frame.ndim != 2 or not self.frame.size or not np.isfinite(self.frame).all():
            raise ParameterError(
                f"Expected frame as finite numbers of shape (channel, interneuron), or a number of "
                f"channels, got shape {self.frame.shape}."
            )
        blind = np.flatnonzero(~self.frame.any(axis=0))
        if blind.size:
            raise ParameterError(
                f"Expected a frame in which every interneuron has a weight, got only zeros for "
                f"{blind[:5].tolist()} of {self.frame.shape[1]}: drop these columns."
            )
        self.alpha = check_number("alpha", alpha, 0, open_low=True)
        self.clamp = bool(clamp)

    def optimal_gains(self, covariance: Any) -> xr.DataArray:
        """The gains that whiten inputs of a covariance, ``(interneuron,)``; they may be negative.

        With fewer interneurons than N (N + 1) / 2 these are the nearest in the least squares of
        the circuit's matrix; where that is not positive definite, the circuit refuses them.
        """
        c = self._covariances(covariance, 2)
        gain = whitening.optimal_gains(self.frame, c, self.alpha)
        return xr.DataArray(gain, dims="interneuron", name="gain", attrs={"units": "1"})

    def respond(self, signal: xr.DataArray, gain: Any) -> xr.DataArray:
        """Responses to a signal with a dimension ``channel``, labelled like it."""
        if not isinstance(signal, xr.DataArray):
            raise ParameterError(
                f"Expected a signal as a DataArray with a dimension 'channel', got "
                f"{type(signal).__name__}: label it with xr.DataArray(values, dims=('time', "
                f"'channel'))."
            )
        as_numbers("signal", signal)
        if "channel" not in signal.dims or signal.sizes["channel"] != len(self.frame):
            raise ParameterError(
                f"Expected a signal with {len(self.frame)} along 'channel', got "
                f"{dict(signal.sizes)}."
            )
        m = whitening.transform(self.frame, self._gains(gain), self.alpha)
        rows = signal.transpose(..., "channel")
        return rows.copy(data=rows.values @ m).transpose(*signal.dims)

    def response_covariance(self, covariance: Any, gain: Any) -> xr.DataArray:
        """Covariance of the responses, ``(channel, other_channel)``."""
        m = whitening.transform(self.frame, self._gains(gain), self.alpha)
        c = m @ self._covariances(covariance, 2) @ m
        return xr.DataArray(c, dims=("channel", "other_channel"), name="covariance")

    def adapt(
        self,
        covariance: Any = None,
        samples: Any = None,
        *,
        rate: float,
        slow_rate: float = 0.0,
        gain: Any = None,
    ) -> xr.Dataset:
        """Let the circuit follow contexts, offline from covariances or online from samples.

        Parameters
        ----------
        covariance
            Of the input at each step, ``(step, channel, channel)``. With ``samples`` it is only
            used to tell the error.
        samples
            Inputs of each step, ``(step, sample, channel)``; the gains see their mean square.
        rate, slow_rate
            Step sizes of gains and weights; ``slow_rate=0`` keeps the weights.
        gain
            Where to start, ``(interneuron,)``; None is 1.

        Returns
        -------
        xarray.Dataset
            ``gain(step, interneuron)`` after each step, ``error(step)``, the operator norm of
            C_yy - I before it (NaN where the covariance is not known), and the last
            ``frame(channel, interneuron)``.
        """
        check_number("rate", rate, 0)
        check_number("slow_rate", slow_rate, 0)
        start = self._gains(np.ones(self.frame.shape[1]) if gain is None else gain)
        known = None if covariance is None else self._covariances(covariance, 3)
        with np.errstate(over="ignore", invalid="ignore"):
            if samples is None:
                if known is None:
                    raise ParameterError("Expected covariance or samples to adapt to, got neither.")
                found = whitening.adapt_offline(
                    self.frame, known, start, self.alpha, rate, self.clamp, slow_rate
                )
            else:
                x = np.asarray(as_numbers("samples", samples), float)
                if x.ndim != 3 or x.shape[2] != len(self.frame) or not np.isfinite(x).all():
                    raise ParameterError(
                        f"Expected samples as finite (step, sample, channel) with "
                        f"{len(self.frame)} channels, got shape {x.shape}."
                    )
                if not x.size:
                    raise ParameterError(
                        f"Expected at least one step of at least one sample, got shape {x.shape}."
                    )
                if known is not None and len(known) != len(x):
                    raise ParameterError(
                        f"Expected one covariance per step, got {len(known)} for {len(x)} steps."
                    )
                found = whitening.adapt_online(
                    self.frame, x, known, start, self.alpha, rate, self.clamp, slow_rate
                )
        return xr.Dataset(
            {
                "gain": (("step", "interneuron"), found.gain, {"units": "1"}),
                "error": (("step",), found.error, {"units": "1"}),
                "frame": (("channel", "interneuron"), found.frame, {"units": "1"}),
            }
        )

    def _gains(self, gain: Any) -> np.ndarray:
        g = np.asarray(as_numbers("gain", gain), float)
        if g.shape != (self.frame.shape[1],) or not np.isfinite(g).all():
            raise ParameterError(
                f"Expected {self.frame.shape[1]} finite gains, one per interneuron, got shape "
                f"{g.shape}."
            )
        smallest = whitening.smallest_leak(self.frame, g, self.alpha)
        if not smallest > 0:
            raise ParameterError(
                f"Expected gains with which the responses settle, alpha I + W diag(g) W' positive "
                f"definite, got an eigenvalue of {smallest:.3g}: give others, such as those "
                f"of optimal_gains."
            )
        return g

    def _covariances(self, covariance: Any, ndim: int) -> np.ndarray:
        c = np.asarray(as_numbers("covariance", covariance), float)
        n = len(self.frame)
        if c.ndim != ndim or c.shape[-2:] != (n, n):
            lead = "(step, channel, channel)" if ndim == 3 else "(channel, channel)"
            raise ParameterError(
                f"Expected covariance of shape {lead} with {n} channels, got {c.shape}."
            )
        if not len(c):
            raise ParameterError("Expected a covariance for at least one step, got none.")
        if not np.isfinite(c).all():
            raise ParameterError(
                f"Expected a finite covariance, got {int((~np.isfinite(c)).sum())} NaN or infinite "
                f"entries."
            )
        if not np.allclose(c, np.swapaxes(c, -1, -2), atol=1e-8 * np.abs(c).max()):
            raise ParameterError("Expected a symmetric covariance, got one that is not.")
        smallest = float(np.linalg.eigvalsh(c).min())
        if not smallest > 0:
            raise ParameterError(
                f"Expected a positive definite covariance, got an eigenvalue of {smallest:.3g}: "
                f"add a small multiple of the identity."
            )
        return c
