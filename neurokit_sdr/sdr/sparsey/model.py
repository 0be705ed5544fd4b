"""Sparsey: codes chosen by familiarity, stored and retrieved in one trial and fixed time."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, NamedTuple, Self

import numpy as np
import xarray as xr

from neurokit_sdr.core import results
from neurokit_sdr.core.errors import ConvergenceWarning, ParameterError, SchemaError
from neurokit_sdr.core.estimator import Estimator, Interval, OneOrSeveral, Options
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.schema import describe
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.sdr._checks import one_whole
from neurokit_sdr.sdr._frames import Frames, flatten, frame_coords
from neurokit_sdr.sdr.sparsey import equations as core

#: Letters of the types of signals, in the order of the bits of a version.
SIGNALS = "UHD"

#: Names of the types of synapses in ``result_``.
_TYPES = ("bottom_up", "horizontal", "top_down")

_LIKE_RESULT = "a Dataset laid out like result_ of a fitted Sparsey"

#: Frames between two updates of the progress bar, and so between two chances for Ctrl-C.
_CHUNK = 256

#: Times that a pattern drawn from the memory is recognised and completed again.
_DREAM_STEPS = 10


class _Model(NamedTuple):
    """What a run needs: the wiring, the rule, the memory and the frames it has learnt."""

    wiring: core.Wiring
    rule: core.Rule
    memory: core.Memory
    clock: int


class Sparsey(Estimator):
    r"""Sparsey: a memory whose codes overlap as their inputs do, written in one trial.

    A *mac* is a field of Q competitive modules of K binary units; a code is one winner in each
    module. Each frame, the normalised sums of the active bottom-up (U), horizontal (H) and top-down
    (D) signals give each unit i its evidence, the best of each module the mac's familiarity G, and
    G how much the evidence counts:

    .. math::

       U_i = \frac{\sum_j x_j w_{ji}}{\sum_j x_j}, \qquad
       V_i = U_i^{\lambda_U} H_i^{\lambda_H} D_i^{\lambda_D}, \qquad
       G = \frac1Q \sum_q \max_{i \in q} V_i, \qquad
       \rho_i = \frac{\mu(V_i; \eta(G))}{\sum_{k \in q} \mu(V_k; \eta(G))}

    One winner of each module is drawn by :math:`\rho`, and every synapse from an active input to a
    winner is set, once: :math:`w_{ji} \leftarrow 1`. A familiar input (G near 1) finds its code
    again; a novel one gets a random code; what lies between gets one that overlaps as much as it
    is similar. H signals come from the mac's own code in the frame before, D signals from the codes
    of the macs above it in the frame before.

    Parameters
    ----------
    n_modules
        Competitive modules Q of each mac.
    n_units
        Units K of each module.
    sigmoid
        :math:`\eta(G)` and :math:`\mu(V)`, by source: ``"sparseycore"`` (its inflection c moves up
        from 0.5 with each new height of the mean V in a mac, to 0.9 at most; a full mac may have
        stopped before, see ``inflection``), ``"sparsey_alt"``, ``"rinkus_2010"`` or
        ``"sparseypy"``; see the notes.
    signals
        ``"U"`` (patterns), ``"UH"`` (sequences) or ``"UHD"`` (sequences, with signals from the
        level above).
    n_macs
        Number of macs, or of those in each level from the bottom. The macs of a level lie evenly
        along the cells; where cells have coordinates ``x(cell)`` and ``y(cell)``, on a grid over
        them (then give square numbers).
    receptive_field
        Width of a mac's window on the level below, in distances between macs: 1 cuts the level
        below into parts, 2 lets neighbours overlap by half.
    exponent
        :math:`\lambda_U`. 1 lets codes overlap over the whole range of similarities; the more is
        stored, and the more inputs overlap by chance, the higher it must be (Sparsey_Alt uses 10).
    horizontal_exponent
        :math:`\lambda_H`.
    top_down_exponent
        :math:`\lambda_D`.
    initial_exponent
        :math:`\lambda_U` of a sequence's first frame, which has no other evidence.
    activation_min
        Smallest share of active features in its window with which a mac is active: of cells, and
        in higher levels of macs.
    activation_max
        Largest share.
    cutoff_min
        Normalised signals below are 0.
    cutoff_max
        Normalised signals above are 1.
    selection
        How winners are chosen when learning: ``"draw"`` or ``"argmax"`` (largest V, ties at
        random).
    recognition
        How winners are chosen otherwise: ``"argmax"`` (of equals, the first) or ``"draw"``.
    persistence
        Frames that a code stays active, for all levels or one for each.
    learning
        ``"permanent"``: a synapse once set stays. ``"ageing"``: it weakens (127, 120, 50, 0
        of 127) at 1/2, 3/4 and 1 of its lifetime unless set again; set again while fresh it ages
        half as fast, and the time after never.
    lifetime
        Frames after which an ageing synapse is gone.
    freezing
        Share of a unit's synapses of one type that are set beyond which they learn no more; those
        that are ageing become permanent.
    back_off
        Thresholds of G with three, two and one type of signal, or None. In recognition, G is
        computed from all types that there are, then from fewer, until it clears the threshold; of
        several versions with as many types the largest G counts. If none does, all types are used.
        Horizontal signals alone may clear it: then the memory goes on with what it expects.

    Hyper-parameters that are set after a fit count from the next fit on: the stored synapses mean
    nothing under others.

    Attributes
    ----------
    result_ : xarray.Dataset
        ``bottom_up_weight(bottom_up_afferent, module, module_unit)`` (0 or 1; 0 to 127 with
        ageing), ``bottom_up_source(bottom_up_afferent)`` (a position among the cells and, behind
        them, the units of mac 0, 1, ...), ``bottom_up_mac(bottom_up_afferent)``, and the same for
        ``horizontal`` and ``top_down`` synapses (``horizontal_weight(horizontal_afferent, module,
        module_unit)``, ``horizontal_source(horizontal_afferent)``,
        ``horizontal_mac(horizontal_afferent)``); with ageing also ``..._stamp`` and
        ``..._stiffness``, with freezing ``..._frozen(mac, module, module_unit)``;
        ``inflection(mac)`` and ``highest_mean_v(mac)`` of SparseyCore's sigmoid;
        ``saturation(mac)``, the share of bottom-up synapses that are set;
        ``label_weight(label_value, mac, module, module_unit)`` where items had labels;
        and of the last call's frames ``learned_winner(frame, mac, module)`` (-1 where the mac was
        not active) and ``learned_familiarity(frame, mac)``.

    Notes
    -----
    Sources: Rinkus 1996, 2010 (doi:10.3389/fnana.2010.00017), 2014
    (doi:10.3389/fncom.2014.00160), and Rinkus and Leveille 2017 (arXiv:1710.07829). With
    :math:`[x]_+ = \max(0, x)`, the sigmoids are

    ============== ========================================= =======================================
    sigmoid        :math:`\eta(G)`                           :math:`\mu(V)`
    ============== ========================================= =======================================
    sparseycore    :math:`1 + 100 K ([G-.1]_+/.9)^2`         :math:`\max(1, \eta/(1+e^{-4(V-c)}))`
    sparsey_alt    the same                                  :math:`1 + (\eta-1)/(1 +
                                                             (.1 e^{-4(V-1)})^8)`
    rinkus_2010    :math:`10^4 G^7`                          :math:`1 + \eta/(1+e^{-(26V-13)})`
    sparseypy      :math:`2.5 [G-.2]_+/.8`                   :math:`10^{-6} + \eta/(1+e^{-(28V-5)})`
    ============== ========================================= =======================================

    With sparseypy's sigmoid codes hardly tell near inputs from equal ones: with 60 items of 20 of
    300 cells and an exponent of 2, half of the winners are those learnt from half of the shared
    cells on (0.52), and 0.54 with all, so that the rank correlation of the two overlaps is 0.86 to
    0.98 (six draws), where those of the others are above 0.9.

    Where this differs from SparseyCore: every afferent reaches every unit of its mac (there a unit
    has no horizontal synapses in its own module); of equal V in recognition the first unit wins
    (there a random one), so that what is recognised does not depend on what is beside it;
    input is recalled through the bottom-up synapses, which setting once makes the mirror image of
    the top-down ones to the input; the discount of ambiguous codes is left out. The time of a frame
    and the size of ``result_`` do not depend on what was stored.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import neurokit_sdr as nks
    >>> active = np.random.default_rng(0).random((20, 200)) < 0.1
    >>> items = xr.Dataset({"pattern": (("item", "cell"), active)}, {"cell": np.arange(200)})
    >>> memory = nks.sdr.Sparsey(n_modules=20, n_units=20).fit(items, rng=0, progress=False)
    >>> cues = items.copy(deep=True)
    >>> cues["pattern"][:, :100] = False
    >>> bool((memory.recall(cues)["pattern"] == items["pattern"]).all())
    True
    """

    _allowed: ClassVar[dict[str, Interval | Options | OneOrSeveral]] = {
        "n_modules": Interval(int, 1),
        "n_units": Interval(int, 2, 32767),
        "sigmoid": Options(*core.SIGMOIDS),
        "signals": Options("U", "UH", "UHD"),
        "n_macs": OneOrSeveral(Interval(int, 1)),
        "receptive_field": Interval(float, 1),
        "exponent": Interval(float, 0, open_low=True),
        "horizontal_exponent": Interval(float, 0, open_low=True),
        "top_down_exponent": Interval(float, 0, open_low=True),
        "initial_exponent": Interval(float, 0, open_low=True),
        "activation_min": Interval(float, 0, 1),
        "activation_max": Interval(float, 0, 1),
        "cutoff_min": Interval(float, 0, 1),
        "cutoff_max": Interval(float, 0, 1),
        "selection": Options("draw", "argmax"),
        "recognition": Options("argmax", "draw"),
        "persistence": OneOrSeveral(Interval(int, 1)),
        "learning": Options("permanent", "ageing"),
        "lifetime": Interval(int, 4),
        "freezing": Interval(float, 0, 1),
        "back_off": OneOrSeveral(Interval(float, 0, 1), none=True),
    }

    def __init__(
        self,
        *,
        n_modules: int = 24,
        n_units: int = 32,
        sigmoid: str = "rinkus_2010",
        signals: str = "U",
        n_macs: int | Sequence[int] = 1,
        receptive_field: float = 1.0,
        exponent: float = 1.0,
        horizontal_exponent: float = 1.0,
        top_down_exponent: float = 1.0,
        initial_exponent: float = 1.0,
        activation_min: float = 0.0,
        activation_max: float = 1.0,
        cutoff_min: float = 0.0,
        cutoff_max: float = 1.0,
        selection: str = "draw",
        recognition: str = "argmax",
        persistence: int | Sequence[int] = 1,
        learning: str = "permanent",
        lifetime: int = 4000,
        freezing: float = 1.0,
        back_off: float | Sequence[float] | None = None,
    ) -> None:
        self.n_modules = n_modules
        self.n_units = n_units
        self.sigmoid = sigmoid
        self.signals = signals
        self.n_macs = n_macs
        self.receptive_field = receptive_field
        self.exponent = exponent
        self.horizontal_exponent = horizontal_exponent
        self.top_down_exponent = top_down_exponent
        self.initial_exponent = initial_exponent
        self.activation_min = activation_min
        self.activation_max = activation_max
        self.cutoff_min = cutoff_min
        self.cutoff_max = cutoff_max
        self.selection = selection
        self.recognition = recognition
        self.persistence = persistence
        self.learning = learning
        self.lifetime = lifetime
        self.freezing = freezing
        self.back_off = back_off

    def fit(self, data: xr.Dataset, *, rng: RNG = None, progress: bool = True) -> Self:
        """Store every frame, each in one trial, in an empty memory.

        Parameters
        ----------
        data
            ``pattern(item, cell)``, each item on its own; ``pattern(time, cell)``, one sequence; or
            ``pattern(item, time, cell)``, sequences, with ``item_length(item)`` where they differ.
            Optionally ``label(item)``, which :meth:`predict` then tells of other items.
        rng
            Seed or generator.
        progress
            Whether to show a bar.

        Returns
        -------
        Sparsey
            This model, with ``result_``.

        Raises
        ------
        SchemaError
            If the data break the schema, or no cell is ever active.
        ParameterError
            If a hyper-parameter is out of range or does not fit the data.

        Warns
        -----
        ConvergenceWarning
            If Ctrl-C ended it; the frames so far are stored.
        """
        self._check_params()
        frames = flatten(data)
        _refuse_silence(frames)
        wiring, rule = self._wiring(data), self._rule()
        empty = _Model(wiring, rule, core.empty_memory(wiring, rule), 0)
        return self._store(data, frames, empty, resolve_seed(rng), progress, None)

    def partial_fit(self, data: xr.Dataset, *, rng: RNG = None, progress: bool = False) -> Self:
        """Store more, beside what is stored.

        Several calls store what one with all items would; with ``pattern(time, cell)`` each call
        begins a sequence.

        Parameters
        ----------
        data
            As for :meth:`fit`, with the same cells.
        rng
            Seed or generator of the first call; later ones go on with it.
        progress
            Whether to show a bar.

        Returns
        -------
        Sparsey
            This model, with a new ``result_``.

        Raises
        ------
        SchemaError, ParameterError
            As :meth:`fit`; also if hyper-parameters changed since the first call.
        """
        if not hasattr(self, "result_"):
            return self.fit(data, rng=rng, progress=progress)
        self._check_params()
        if self._as_fitted() is not self:
            raise ParameterError(
                "Expected the hyper-parameters of the first fit, got others: call fit to begin "
                "again with these."
            )
        frames = self._frames(data)
        _refuse_silence(frames)
        model = self._model()
        model = model._replace(memory=core.copy_memory(model.memory))
        seed = int(self.result_.attrs["seed"])
        return self._store(data, frames, model, seed, progress, self.result_)

    def predict(self, data: xr.Dataset) -> xr.Dataset:
        """Recognise patterns: the code they activate, and how familiar they are.

        Parameters
        ----------
        data
            As for :meth:`fit`, with the same cells.

        Returns
        -------
        xarray.Dataset
            ``winner([item,] [time,] mac, module)``, the position of each winner (-1 in a mac that
            is not active); ``familiarity([item,] [time,] mac)``, G (NaN there), and
            ``signals([item,] [time,] mac)``, the types that it was computed from. Where items were
            stored with labels also ``label_support(item, label_value)``, the share of the winners
            that learnt each label, and ``label(item)``, the first with the most.

        Raises
        ------
        NotFittedError, SchemaError
        """
        fitted = self._as_fitted()
        result, frames = fitted.result_, fitted._frames(data)
        codes = fitted._recognise(frames)
        names = np.array(
            ["".join(s for k, s in enumerate(SIGNALS) if v >> k & 1) for v in range(8)]
        )
        found = xr.Dataset(
            {
                "winner": ((*frames.dims, "mac", "module"), frames.spread(codes.winner, -1)),
                "familiarity": (
                    (*frames.dims, "mac"), frames.spread(codes.familiarity, np.nan), {"units": "1"}
                ),
                "signals": ((*frames.dims, "mac"), frames.spread(names[codes.version], "")),
            },
            coords=frame_coords(data) | {"level": result["level"]},
        )  # fmt: skip
        if "label_weight" in result and "item" in frames.dims:
            share = _label_support(result["label_weight"].values, codes.winner, frames)
            values = result["label_value"].values
            found["label_support"] = (("item", "label_value"), share, {"units": "1"})
            found = found.assign_coords(label_value=result["label_value"].variable)
            found["label"] = ("item", values[share.argmax(axis=1)])
        return found

    def score(self, data: xr.Dataset) -> float:
        """Mean familiarity G over the frames and macs that are active; 0 where none is.

        Parameters
        ----------
        data
            As for :meth:`predict`.

        Returns
        -------
        float
            From 0 (all novel) to 1 (all known).

        Raises
        ------
        NotFittedError, SchemaError
        """
        fitted = self._as_fitted()
        familiarity = fitted._recognise(fitted._frames(data)).familiarity
        active = np.isfinite(familiarity)
        return float(familiarity[active].mean()) if active.any() else 0.0

    def recall(self, data: xr.Dataset, *, n_frames: int = 0) -> xr.Dataset:
        """Complete patterns, and go on with the sequences that they begin.

        The cells that all winners learnt are active; if these are fewer than in any stored
        pattern, so are the next best up to that number.

        Parameters
        ----------
        data
            Cues: parts of patterns, or the first frames of sequences, laid out as for :meth:`fit`.
        n_frames
            Frames to go on without input after each cue; needs horizontal signals.

        Returns
        -------
        xarray.Dataset
            ``pattern`` with the dimensions of the cues, and ``time`` if ``n_frames`` is given: the
            frames of the cue, completed, then those that follow; and
            ``familiarity(..., mac)``. The cells carry the ids of the fit.

        Raises
        ------
        NotFittedError, SchemaError
        ParameterError
            If the model has no horizontal signals to go on by.
        """
        fitted = self._as_fitted()
        result = fitted.result_
        n_frames = one_whole("n_frames", n_frames)
        if n_frames and "H" not in fitted.signals:
            raise ParameterError(
                f"Expected signals='UH' or 'UHD' to recall sequences, got {fitted.signals!r}: fit "
                f"with one of them, or leave n_frames at 0 to complete patterns."
            )
        frames = fitted._frames(data)
        driven = np.ones(len(frames.pattern), bool)
        if n_frames:
            frames, driven = _prolonged(frames, n_frames)
        codes = fitted._recognise(frames, driven)
        pattern = fitted._completed(codes.winner)
        coords = {
            k: v for k, v in frame_coords(data).items() if not n_frames or v.dims == ("item",)
        }
        found = xr.Dataset(
            {
                "pattern": ((*frames.dims, "cell"), frames.spread(pattern, False)),
                "familiarity": (
                    (*frames.dims, "mac"), frames.spread(codes.familiarity, np.nan), {"units": "1"}
                ),
            },
            coords=coords | {k: result[k] for k in ("cell", "level", "x", "y") if k in result},
        )  # fmt: skip
        if "item_length" in data.variables:
            found["item_length"] = data["item_length"] + n_frames
        return found

    def similarity(self, data: xr.Dataset, other: xr.Dataset | None = None) -> xr.DataArray:
        """Share of modules in which two patterns have the same winner.

        Parameters
        ----------
        data
            As for :meth:`predict`; frames of sequences lie behind one another.
        other
            What to compare with; None compares the patterns with each other.

        Returns
        -------
        xarray.DataArray
            ``similarity(pattern, other_pattern)``, over the macs that are active in either; NaN
            where none is.

        Raises
        ------
        NotFittedError, SchemaError
        """
        fitted = self._as_fitted()
        first = fitted._recognise(fitted._frames(data)).winner
        second = first if other is None else fitted._recognise(fitted._frames(other)).winner
        rows = []
        for code in first:
            either = (code[:, :1] >= 0) | (second[:, :, :1] >= 0)
            same = ((second == code) & either).sum(axis=(1, 2))
            number = either.sum(axis=(1, 2)) * code.shape[1]
            rows.append(np.where(number > 0, same / np.maximum(number, 1), np.nan))
        return xr.DataArray(
            np.stack(rows), dims=("pattern", "other_pattern"), name="similarity",
            attrs={"units": "1"},
        )  # fmt: skip

    def simulate(self, n_frames: int, *, rng: RNG = None) -> xr.Dataset:
        """Draw from the memory: what comes up when nothing is put in.

        A unit of each lowest mac that has learnt is picked, part of what it learnt is shown, and
        recognised and completed ten times. With horizontal signals that is the first frame, and
        the rest follow from it; where they stop, another begins.

        Parameters
        ----------
        n_frames
            How many frames.
        rng
            Seed or generator.

        Returns
        -------
        xarray.Dataset
            ``pattern(item, cell)``, or with horizontal signals ``pattern(time, cell)``, and the
            truth: ``winner(..., mac, module)`` and ``familiarity(..., mac)``.

        Raises
        ------
        NotFittedError, ParameterError
        """
        fitted = self._as_fitted()
        result = fitted.result_
        n_frames = one_whole("n_frames", n_frames, low=1)
        seed = resolve_seed(rng)
        generator = stream(seed, "simulate")
        sequences = "H" in fitted.signals
        parts: list[tuple[np.ndarray, core.Codes]] = []
        left = n_frames
        while left > 0:
            first = fitted._dreamt(1 if sequences else n_frames, generator)
            frames = _as_items(first)
            driven = np.ones(len(first), bool)
            if sequences and left > 1:
                frames, driven = _prolonged(frames, left - 1)
            codes = fitted._recognise(frames, driven)
            pattern = fitted._completed(codes.winner)
            goes_on = np.append(pattern[1:].any(axis=1) | (not sequences), False)
            size = int(np.argmin(goes_on)) + 1
            parts.append((pattern[:size], core.Codes(*(array[:size] for array in codes))))
            left -= size
        dim = "time" if sequences else "item"
        codes = core.Codes(*(np.concatenate(a) for a in zip(*(c for _, c in parts), strict=True)))
        return xr.Dataset(
            {
                "pattern": ((dim, "cell"), np.concatenate([pattern for pattern, _ in parts])),
                "winner": ((dim, "mac", "module"), codes.winner),
                "familiarity": ((dim, "mac"), codes.familiarity, {"units": "1"}),
            },
            coords={k: result[k] for k in ("cell", "level", "x", "y") if k in result},
            attrs={"seed": seed},
        )

    @classmethod
    def from_parameters(cls, parameters: xr.Dataset) -> Self:
        """Make a model of a known memory.

        Parameters
        ----------
        parameters
            Laid out like ``result_``, with the hyper-parameters as JSON in
            ``attrs["parameters"]``.

        Raises
        ------
        SchemaError
            If a variable or attribute that recognition or further learning needs is missing, or
            its shape or sources are not those of the hyper-parameters.
        ParameterError
            If a hyper-parameter is out of range.
        """
        if not isinstance(parameters, xr.Dataset) or "parameters" not in parameters.attrs:
            raise SchemaError(
                f"Expected {_LIKE_RESULT}, with attrs['parameters'], got {describe(parameters)}."
            )
        try:
            model = cls(**json.loads(parameters.attrs["parameters"]))
        except (TypeError, ValueError) as error:
            raise SchemaError(
                f"Expected attrs['parameters'] as the hyper-parameters of Sparsey, got "
                f"{parameters.attrs['parameters']!r} ({error})."
            ) from error
        model._check_params()
        model._check_layout(parameters)
        model.result_ = results.stamp(
            parameters,
            estimator=cls,
            parameters=model.get_params(),
            seed=int(parameters.attrs.get("seed", 0)),
            status=str(parameters.attrs.get("status", results.KNOWN)),
            fingerprint=str(
                parameters.attrs.get("input_fingerprint", results.fingerprint(parameters))
            ),
        )
        return model

    # -- what the calls share

    def _as_fitted(self) -> Self:
        """This model, or where hyper-parameters were changed since the fit, one with those of it.

        The synapses mean nothing under another rule or in another field.
        """
        known = json.loads(self._check_fitted().attrs["parameters"])
        if known == json.loads(results.encode(self.get_params())):
            return self
        fitted = type(self)(**known)
        fitted.result_ = self.result_
        return fitted

    def _levels(self) -> list[int]:
        return [self.n_macs] if isinstance(self.n_macs, int | np.integer) else list(self.n_macs)

    def _rule(self) -> core.Rule:
        levels = self._levels()
        stay = self.persistence
        persistence = [stay] * len(levels) if isinstance(stay, int | np.integer) else list(stay)
        if len(persistence) != len(levels):
            raise ParameterError(
                f"Expected persistence as one number, or one for each of {len(levels)} levels, got "
                f"{stay!r}."
            )
        for low, high in (("activation_min", "activation_max"), ("cutoff_min", "cutoff_max")):
            if getattr(self, low) > getattr(self, high):
                raise ParameterError(
                    f"Expected {low} <= {high}, got {getattr(self, low)} and {getattr(self, high)}."
                )
        given = self.back_off
        thresholds = np.zeros(0) if given is None else np.atleast_1d(np.array(given, float))
        if thresholds.size not in (0, 1, 3):
            raise ParameterError(
                f"Expected back_off as one threshold, or three (of three, two and one type of "
                f"signal), got {given!r}."
            )
        return core.Rule(
            int(self.n_modules),
            int(self.n_units),
            core.SIGMOIDS.index(self.sigmoid),
            np.array(
                [
                    self.exponent,
                    self.horizontal_exponent,
                    self.top_down_exponent,
                    self.initial_exponent,
                ],
                float,
            ),
            np.array([self.activation_min, self.activation_max], float),
            np.array([self.cutoff_min, self.cutoff_max], float),
            np.repeat(np.array(persistence, np.int64), levels),
            int(self.lifetime) if self.learning == "ageing" else 0,
            float(self.freezing),
            np.full(3, thresholds[0]) if thresholds.size == 1 else thresholds,
        )

    def _wiring(self, data: xr.Dataset) -> core.Wiring:
        position = _positions(data)
        levels = self._levels()
        square = [round(n**0.5) ** 2 == n for n in levels]
        if position.shape[1] == 2 and not all(square):
            raise ParameterError(
                f"Expected n_macs as square numbers, for cells with x and y, got {self.n_macs!r}: "
                f"or drop x and y to have macs along the cells."
            )
        size = int(self.n_modules) * int(self.n_units)
        wiring = core.make_wiring(position, levels, float(self.receptive_field), self.signals, size)
        if (np.diff(wiring.bottom_up.start) == 0).any():
            raise ParameterError(
                f"Expected macs that each have something in their window, got n_macs="
                f"{self.n_macs!r} for {len(position)} cells: use fewer macs, or a larger "
                f"receptive_field."
            )
        return wiring

    def _check_layout(self, result: xr.Dataset) -> None:
        """Raise unless a Dataset has all that a memory of these hyper-parameters is made of."""
        missing = [k for k in ("cell", "level") if k not in result.coords]
        if missing:
            raise SchemaError(f"Expected {_LIKE_RESULT}, got none of {', '.join(missing)}.")
        wiring, rule = self._wiring(result), self._rule()
        n_macs, fold = len(wiring.level), (rule.n_modules, rule.n_units)
        units = ("module", "module_unit")
        expected: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = dict.fromkeys(
            ("level", "inflection", "highest_mean_v"), (("mac",), (n_macs,))
        )
        fixed = {"level": wiring.level}
        for name, letter, afferents in zip(_TYPES, SIGNALS, wiring[2:], strict=True):
            if letter not in self.signals:
                continue
            number = len(afferents.source)
            afferent = (f"{name}_afferent",)
            stored = ("weight", "stamp", "stiffness") if rule.lifetime else ("weight",)
            expected |= {f"{name}_{k}": ((*afferent, *units), (number, *fold)) for k in stored}
            expected |= {f"{name}_{k}": (afferent, (number,)) for k in ("source", "mac")}
            if rule.freezing < 1:
                expected[f"{name}_frozen"] = (("mac", *units), (n_macs, *fold))
            fixed[f"{name}_source"] = afferents.source
            fixed[f"{name}_mac"] = np.repeat(np.arange(n_macs), np.diff(afferents.start))
        if "label_weight" in result:
            size = result.sizes.get("label_value", 0)
            expected["label_value"] = (("label_value",), (size,))
            expected["label_weight"] = (("label_value", "mac", *units), (size, n_macs, *fold))
        for name, (dims, shape) in expected.items():
            if name not in result.variables:
                raise SchemaError(f"Expected {_LIKE_RESULT}, got no {name}.")
            if result[name].dims != dims or result[name].shape != shape:
                raise SchemaError(
                    f"Expected {name} with dimensions {dims} of sizes {shape}, as the "
                    f"hyper-parameters say, got {result[name].dims} of sizes {result[name].shape}: "
                    f"give the whole result_ of a fit."
                )
            numbers = name == "label_value" or result[name].dtype.kind in "biuf"
            if not numbers or (result[name].dtype.kind == "f" and result[name].isnull().any()):
                raise SchemaError(
                    f"Expected {name} as numbers, none missing, got {result[name].dtype}."
                )
            if name in fixed and not np.array_equal(result[name], fixed[name]):
                raise SchemaError(
                    f"Expected {name} as the cells and the hyper-parameters determine it, got "
                    f"other values: give the result_ of a fit, its afferents in their order."
                )
            if name.endswith("_weight"):
                low, high = result[name].values.min(initial=0), result[name].values.max(initial=0)
                if low < 0 or high > 127:
                    raise SchemaError(f"Expected {name} from 0 to 127, got {low} to {high}.")
        for name in ("frames_learned", "fewest_active"):
            value = result.attrs.get(name)
            if not isinstance(value, int | np.integer) or value < 0:
                raise SchemaError(
                    f"Expected attrs[{name!r}] as a whole number >= 0, got {value!r}: copy the "
                    f"attributes of the result_ of a fit."
                )

    def _model(self) -> _Model:
        result = self._check_fitted()
        wiring, rule = self._wiring(result), self._rule()
        up, across, down = (_unlabel(result, name, rule) for name in _TYPES)
        state = result["inflection"].values, result["highest_mean_v"].values
        memory = core.Memory(up, across, down, *state)
        return _Model(wiring, rule, memory, int(result.attrs["frames_learned"]))

    def _frames(self, data: xr.Dataset) -> Frames:
        frames = flatten(data)
        cells = self._check_fitted()["cell"].values
        if not np.array_equal(data["cell"].values, cells):
            raise SchemaError(
                f"Expected the {cells.size} cells of the fit in their order, got "
                f"{data.sizes['cell']} others: select them with data.sel(cell=result_['cell'])."
            )
        return frames

    def _store(
        self,
        data: xr.Dataset,
        frames: Frames,
        model: _Model,
        seed: int,
        progress: bool,
        before: xr.Dataset | None,
    ) -> Self:
        n_macs, n_frames = len(model.wiring.level), len(frames.pattern)
        generator = stream(seed, "codes")
        generator.bit_generator.advance(model.clock * n_macs * self.n_modules)  # type: ignore[attr-defined]
        state = core.no_activity(model.wiring, model.rule)
        driven = np.ones(n_frames, bool)
        parts, done = [], 0
        with progress_bar(n_frames, "Sparsey", progress) as bar, _until_interrupted():
            while done < n_frames:
                part = slice(done, min(done + _CHUNK, n_frames))
                uniform = generator.random((part.stop - done, n_macs, self.n_modules))
                parts.append(
                    core.run(
                        model.wiring, model.rule, model.memory, frames.pattern[part],
                        frames.starts[part], driven[part], uniform, clock=model.clock + done,
                        learn=True, draw=self.selection == "draw", state=state,
                    )
                )  # fmt: skip
                bar.update(part.stop - done)
                done = part.stop
        none = core.Codes(
            np.zeros((0, n_macs, self.n_modules), np.int16), np.zeros((0, n_macs)), np.zeros(0)
        )
        winner = np.concatenate([codes.winner for codes in parts or [none]])
        clock = model.clock + done
        result = _label(data, model._replace(clock=clock), self)
        result["learned_winner"] = (("frame", "mac", "module"), winner)
        result["learned_familiarity"] = (
            ("frame", "mac"),
            np.concatenate([codes.familiarity for codes in parts or [none]]),
            {"units": "1"},
        )
        result = _learn_labels(data, frames, winner, result, before)
        active = frames.pattern[:done].sum(axis=1)
        fewest = [int(active[active > 0].min())] if active.any() else []
        fingerprint = results.fingerprint(data)
        if before is not None:
            fewest.append(int(before.attrs["fewest_active"]))
            fingerprint = f"{before.attrs['input_fingerprint']} {fingerprint}"[-4000:]
        result.attrs |= {"frames_learned": clock, "fewest_active": min(fewest, default=0)}
        status = f"stored {clock} frames"
        if done < n_frames:
            status = f"interrupted: stored {done} of {n_frames} frames"
            warnings.warn(f"Sparsey: {status}", ConvergenceWarning, stacklevel=3)
        self.result_ = results.stamp(
            result,
            estimator=type(self),
            parameters=self.get_params(),
            seed=seed,
            status=status,
            fingerprint=fingerprint,
        )
        return self

    def _recognise(self, frames: Frames, driven: np.ndarray | None = None) -> core.Codes:
        model = self._model()
        shape = (len(frames.pattern), len(model.wiring.level), self.n_modules)
        draw = self.recognition == "draw"
        seed = int(self.result_.attrs["seed"])
        return core.run(
            model.wiring, model.rule, model.memory, frames.pattern, frames.starts,
            np.ones(shape[0], bool) if driven is None else driven,
            stream(seed, "recognition").random(shape) if draw else np.zeros(shape),
            clock=model.clock, learn=False, draw=draw,
        )  # fmt: skip

    def _completed(self, winner: np.ndarray) -> np.ndarray:
        """The cells that the winners learnt, shape (frame, cell)."""
        model = self._model()
        share = core.support(model.wiring, model.rule, model.memory, winner)
        fewest = min(max(int(self.result_.attrs["fewest_active"]), 1), share.shape[1])
        enough = np.partition(share, -fewest, axis=1)[:, -fewest]
        return (share >= np.minimum(enough, 1.0 - 1e-9)[:, None]) & (share > 0)

    def _dreamt(self, number: int, generator: np.random.Generator) -> np.ndarray:
        """Patterns drawn from the memory, shape (frame, cell)."""
        wiring, _, memory, _ = self._model()
        fewest = int(self.result_.attrs["fewest_active"])
        pattern = np.zeros((number, wiring.n_cells), np.uint8)
        for mac in np.flatnonzero(wiring.level == 0):
            rows = slice(*wiring.bottom_up.start[mac : mac + 2])
            learnt = memory.bottom_up.weight[rows] > 0
            used = np.flatnonzero(learnt.any(axis=0))
            source = wiring.bottom_up.source[rows]
            for t in range(number if used.size else 0):
                cells = source[learnt[:, generator.choice(used)]]
                pattern[t, generator.permutation(cells)[: max(fewest, 1)]] = 1
        for _ in range(_DREAM_STEPS):
            pattern = self._completed(self._recognise(_as_items(pattern)).winner).astype(np.uint8)
        return pattern


def _positions(data: xr.Dataset) -> np.ndarray:
    """Of each cell, by rank within the unit interval or square, shape (cell, dimension)."""
    # x and y of anything else, as of an animal in time, say nothing of where cells lie.
    if all(axis in data.coords and data[axis].dims == ("cell",) for axis in ("x", "y")):
        ranks = [np.unique(data[axis].values, return_inverse=True)[1] for axis in ("x", "y")]
    else:
        ranks = [np.arange(data.sizes["cell"])]
    return np.stack([(rank + 0.5) / (rank.max() + 1) for rank in ranks], axis=1)


def _refuse_silence(frames: Frames) -> None:
    if not frames.pattern.any():
        raise SchemaError(
            "Expected patterns with active cells to store, got none that is active: lower the "
            "threshold they were encoded with."
        )


def _as_items(pattern: np.ndarray) -> Frames:
    number = len(pattern)
    return Frames(pattern, np.ones(number, bool), ("item",), (number,), np.arange(number))


def _prolonged(frames: Frames, more: int) -> tuple[Frames, np.ndarray]:
    """Every episode with frames without input behind it, and which frames have input."""
    ends = np.append(np.flatnonzero(frames.starts)[1:], len(frames.pattern))
    gap = np.repeat(ends, more)
    pattern = np.insert(frames.pattern, gap, 0, axis=0)
    driven = np.insert(np.ones(len(frames.pattern), bool), gap, False)
    starts = np.insert(frames.starts, gap, False)
    if frames.dims == ("time",):
        shape: tuple[int, ...] = (len(pattern),)
        place = np.arange(len(pattern))
        return Frames(pattern, starts, frames.dims, shape, place), driven
    length = frames.shape[1] if len(frames.shape) == 2 else 1
    first = np.flatnonzero(starts)
    within = np.arange(len(pattern)) - np.repeat(first, np.diff(np.append(first, len(pattern))))
    item = np.repeat(frames.item[frames.starts], np.diff(np.append(first, len(pattern))))
    shape = (frames.shape[0], length + more)
    return Frames(pattern, starts, ("item", "time"), shape, item * shape[1] + within), driven


@contextmanager
def _until_interrupted() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        return


def _label(data: xr.Dataset, model: _Model, estimator: Sparsey) -> xr.Dataset:
    """The memory as a Dataset."""
    wiring, rule, memory, clock = model
    fold = (rule.n_modules, rule.n_units)
    units = ("module", "module_unit")
    result = xr.Dataset(
        coords={
            k: data[k] for k in ("cell", "x", "y") if k in data.coords and data[k].dims == ("cell",)
        }
        | {"level": ("mac", wiring.level)}
    )
    for name, letter, afferents, synapses in zip(
        _TYPES, SIGNALS, wiring[2:], memory[:3], strict=True
    ):
        if letter not in estimator.signals:
            continue
        dims = (f"{name}_afferent", *units)
        shape = (len(afferents.source), *fold)
        weight = synapses.weight
        if rule.lifetime:
            weight = core.effective_weights(synapses, clock, rule.lifetime)
            result[f"{name}_stamp"] = (dims, synapses.stamp.reshape(shape), {"units": "1"})
            result[f"{name}_stiffness"] = (dims, synapses.stiffness.reshape(shape))
        if rule.freezing < 1:
            frozen = synapses.frozen.reshape(len(wiring.level), *fold)
            result[f"{name}_frozen"] = (("mac", *units), frozen)
        mac = np.repeat(np.arange(len(wiring.level)), np.diff(afferents.start))
        result[f"{name}_weight"] = (dims, weight.reshape(shape), {"units": "1"})
        result[f"{name}_source"] = (dims[:1], afferents.source)
        result[f"{name}_mac"] = (dims[:1], mac)
    set_share = (result["bottom_up_weight"].values > 0).mean(axis=(1, 2))
    start = wiring.bottom_up.start
    result["saturation"] = (
        "mac", np.add.reduceat(set_share, start[:-1]) / np.diff(start), {"units": "1"}
    )  # fmt: skip
    result["inflection"] = ("mac", memory.inflection, {"units": "1"})
    result["highest_mean_v"] = ("mac", memory.highest_mean_v, {"units": "1"})
    return result


def _unlabel(result: xr.Dataset, name: str, rule: core.Rule) -> core.Synapses:
    size = rule.n_modules * rule.n_units
    n_macs = result.sizes["mac"]

    def values(what: str, shape: tuple[int, int], dtype: type) -> np.ndarray:
        if f"{name}_{what}" not in result:
            return np.zeros(shape, dtype)
        return np.ascontiguousarray(result[f"{name}_{what}"].values.reshape(shape).astype(dtype))

    rows = result.sizes.get(f"{name}_afferent", 0)
    ageing = (rows, size) if rule.lifetime else (0, 0)
    return core.Synapses(
        values("weight", (rows, size), np.uint8),
        values("stamp", ageing, np.int32),
        values("stiffness", ageing, np.uint8),
        values("frozen", (n_macs, size), np.uint8),
    )


def _learn_labels(
    data: xr.Dataset,
    frames: Frames,
    winner: np.ndarray,
    result: xr.Dataset,
    before: xr.Dataset | None,
) -> xr.Dataset:
    """Set the synapses from winners to the labels of their items."""
    known = None if before is None or "label_weight" not in before else before
    if "label" not in data.variables:
        return result if known is None else result.assign(label_weight=known["label_weight"])
    label = np.asarray(data["label"].values)
    label = label.astype(str) if label.dtype.kind in "OUT" else label
    values = np.unique(label)
    if known is not None:
        old = known["label_value"].values
        if (old.dtype.kind == "U") != (values.dtype.kind == "U"):
            raise SchemaError(
                f"Expected labels of one kind, got {values.dtype} after {old.dtype}: convert them "
                f"with .astype."
            )
        values = np.unique(np.concatenate([old, values]))
    shape = (values.size, *(result.sizes[d] for d in ("mac", "module", "module_unit")))
    weight = np.zeros(shape, np.uint8)
    if known is not None:
        weight[np.searchsorted(values, known["label_value"].values)] = known["label_weight"].values
    index = np.searchsorted(values, label)[frames.item[: len(winner)]]
    frame, mac, module = np.nonzero(winner >= 0)
    weight[index[frame], mac, module, winner[frame, mac, module]] = 1
    dims = ("label_value", "mac", "module", "module_unit")
    return result.assign(label_weight=(dims, weight)).assign_coords(label_value=values)


def _label_support(weight: np.ndarray, winner: np.ndarray, frames: Frames) -> np.ndarray:
    """Share of the winners of each item that learnt each label, shape (item, label)."""
    total = np.zeros((frames.shape[0], len(weight)))
    number = np.zeros(frames.shape[0])
    for mac in range(winner.shape[1]):
        active = winner[:, mac, 0] >= 0
        item = frames.item[active]
        for module in range(winner.shape[2]):
            np.add.at(total, item, weight[:, mac, module, winner[active, mac, module]].T)
        np.add.at(number, item, winner.shape[2])
    return total / np.maximum(number, 1)[:, None]
