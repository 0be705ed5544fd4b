"""Sparsey: codes chosen by familiarity, stored and retrieved in one trial and fixed time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from neurokit_sdr.core import results
from neurokit_sdr.core.arguments import Interval, OneOrSeveral, Options, check_whole
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.estimator import Estimator, Tags
from neurokit_sdr.core.schema import describe
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.sdr.frames import (
    Frames,
    flatten,
    prolonged,
    refuse_silence,
)
from neurokit_sdr.sdr.sparsey import labels
from neurokit_sdr.sdr.sparsey.equations import Codes, similarity
from neurokit_sdr.sdr.sparsey.macs import Wiring, make_wiring
from neurokit_sdr.sdr.sparsey.memory import Stored, copy_memory, empty_memory
from neurokit_sdr.sdr.sparsey.recall import complete, dream, recognise
from neurokit_sdr.sdr.sparsey.rule import SIGMOIDS, make_rule
from neurokit_sdr.sdr.sparsey.storing import store


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

    tags = Tags(kind="patterns", features="cell", trials="item")
    _allowed: ClassVar[dict[str, Interval | Options | OneOrSeveral]] = {
        "n_modules": Interval(int, 1),
        "n_units": Interval(int, 2, 32767),
        "sigmoid": Options(*SIGMOIDS),
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
        refuse_silence(frames)
        wiring, rule = self._wiring(data), make_rule(self.get_params())
        empty = Stored(wiring, rule, empty_memory(wiring, rule), 0)
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
        refuse_silence(frames)
        before = self._stored()
        stored = before._replace(memory=copy_memory(before.memory))
        seed = int(self.result_.attrs["seed"])
        return self._store(data, frames, stored, seed, progress, self.result_)

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
        frames = self._frames(data)
        return labels.label_codes(data, frames, self._recognise(frames), self.result_)

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
        familiarity = self._recognise(self._frames(data)).familiarity
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
        self._check_fitted()
        n_frames = check_whole("n_frames", n_frames)
        if n_frames and "H" not in self.signals:
            raise ParameterError(
                f"Expected signals='UH' or 'UHD' to recall sequences, got {self.signals!r}: fit "
                f"with one of them, or leave n_frames at 0 to complete patterns."
            )
        frames = self._frames(data)
        driven = np.ones(len(frames.pattern), bool)
        if n_frames:
            frames, driven = prolonged(frames, n_frames)
        codes = self._recognise(frames, driven)
        pattern = complete(self._stored(), codes.winner, self._fewest())
        return labels.label_recalled(data, frames, codes, pattern, self.result_, n_frames)

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
        first = self._recognise(self._frames(data)).winner
        second = first if other is None else self._recognise(self._frames(other)).winner
        return xr.DataArray(
            similarity(first, second), dims=("pattern", "other_pattern"), name="similarity",
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
        result = self._check_fitted()
        n_frames = check_whole("n_frames", n_frames, 1)
        seed = resolve_seed(rng)
        dim = "time" if "H" in self.signals else "item"
        pattern, codes = dream(
            self._stored(), self._fewest(), n_frames, stream(seed, "simulate"),
            sequences=dim == "time", **self._choice(),
        )  # fmt: skip
        return xr.Dataset(
            {
                "pattern": ((dim, "cell"), pattern),
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
                f"Expected {labels.LIKE_RESULT}, with attrs['parameters'], got "
                f"{describe(parameters)}."
            )
        try:
            model = cls(**json.loads(parameters.attrs["parameters"]))
        except (TypeError, ValueError) as error:
            raise SchemaError(
                f"Expected attrs['parameters'] as the hyper-parameters of Sparsey, got "
                f"{parameters.attrs['parameters']!r} ({error})."
            ) from error
        model._check_params()
        missing = [k for k in ("cell", "level") if k not in parameters.coords]
        if missing:
            raise SchemaError(f"Expected {labels.LIKE_RESULT}, got none of {', '.join(missing)}.")
        wiring, rule = model._wiring(parameters), make_rule(model.get_params())
        labels.check_layout(parameters, wiring, rule, model.signals)
        return cls._known(parameters, **model.get_params())

    # -- what the calls share

    def _wiring(self, data: xr.Dataset) -> Wiring:
        size = int(self.n_modules) * int(self.n_units)
        position = labels.cell_positions(data)
        return make_wiring(position, self.n_macs, float(self.receptive_field), self.signals, size)

    def _stored(self) -> Stored:
        result = self._check_fitted()
        rule = make_rule(self.get_params())
        memory = labels.unlabel_memory(result, rule)
        return Stored(self._wiring(result), rule, memory, int(result.attrs["frames_learned"]))

    def _frames(self, data: xr.Dataset) -> Frames:
        cells = self._check_fitted()["cell"].values
        frames = flatten(data)
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
        stored: Stored,
        seed: int,
        progress: bool,
        before: xr.Dataset | None,
    ) -> Self:
        generator = stream(seed, "codes")
        drawn = stored.clock * len(stored.wiring.level) * self.n_modules
        generator.bit_generator.advance(drawn)  # type: ignore[attr-defined]
        codes = store(stored, frames, generator, draw=self.selection == "draw", progress=progress)
        done, n_frames = len(codes.winner), len(frames.pattern)
        clock = stored.clock + done
        stored = stored._replace(clock=clock)
        result = labels.label_stored(data, frames, codes, stored, self.signals, before)
        fingerprint = results.fingerprint(data)
        if before is not None:
            fingerprint = f"{before.attrs['input_fingerprint']} {fingerprint}"[-4000:]
        status = f"stored {clock} frames"
        if done < n_frames:
            status = f"interrupted: stored {done} of {n_frames} frames"
        return self._finish(
            result, seed=seed, status=status, fingerprint=fingerprint, ended_well=done == n_frames
        )

    def _recognise(self, frames: Frames, driven: np.ndarray | None = None) -> Codes:
        return recognise(self._stored(), frames, driven, **self._choice())

    def _choice(self) -> dict[str, Any]:
        """How winners are chosen in recognition."""
        return {"draw": self.recognition == "draw", "seed": int(self.result_.attrs["seed"])}

    def _fewest(self) -> int:
        return int(self.result_.attrs["fewest_active"])
