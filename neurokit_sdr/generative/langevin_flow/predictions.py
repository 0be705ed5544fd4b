"""What a trained flow says of trials: on the path of the posterior's means, and in draws."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from neurokit_sdr.generative.gradient_model import chunks
from neurokit_sdr.generative.langevin_flow.labels import contents
from neurokit_sdr.generative.langevin_flow.network import draw_prior, make_trials, run
from neurokit_sdr.generative.rates.arrays import Arrays

#: Draws from the posterior behind a prediction and its band, which holds the central 95 %.
N_DRAWS, BAND = 32, (0.025, 0.975)


class Said(NamedTuple):
    """Expected counts, latents and factors, each (trial, bin, ...), units as in the network."""

    expected_count: np.ndarray
    latent: np.ndarray
    factor: np.ndarray


def on_mean_path(network: Any, batch: Mapping[str, np.ndarray], n_inputs: int) -> Said:
    """What the network says on the path of the posterior's means."""
    outputs = [run(network, make_trials(part, n_inputs), None) for part in _parts(batch)]
    n_trials = len(batch["counts"])
    log_rate, latent, factor = (
        np.concatenate([np.asarray(o, dtype=np.float64) for o in each])[:n_trials]
        for each in list(zip(*outputs, strict=True))[:3]
    )
    return Said(np.exp(log_rate), latent, factor)


def draws(
    network: Any, batch: Mapping[str, np.ndarray], n_inputs: int, n_draws: int, key: jax.Array
) -> Iterator[np.ndarray]:
    """Rates of draws from the posterior, (draw, trial, bin, unit), a part of the trials each.

    The draws of a trial depend on the key and on what may be read of the trial, not on its place or
    on other trials: alike trials have the same posterior, and the same draws stand for it.
    """
    words = _words(contents(batch, n_inputs), n_draws, key)
    for part in _parts({**batch, "words": words}):
        keys = jax.random.wrap_key_data(part.pop("words"), impl="threefry2x32")
        trials = make_trials(part, n_inputs)
        yield np.stack(
            [np.exp(run(network, trials, keys[:, draw]).log_rate) for draw in range(n_draws)]
        )


def _words(read: list[bytes], n_draws: int, key: jax.Array) -> np.ndarray:
    """The data of a random key for each draw of each trial, (trial, draw, 2)."""
    salt = np.asarray(jax.random.key_data(key)).tobytes()
    found = np.empty((len(read), n_draws, 2), dtype=np.uint32)
    for trial, content in enumerate(read):
        one = hashlib.sha256(salt + content).digest()
        for draw in range(n_draws):
            drawn = hashlib.sha256(one + draw.to_bytes(4, "little")).digest()
            found[trial, draw] = np.frombuffer(drawn, dtype="<u4", count=2)
    return found


def _parts(batch: Mapping[str, np.ndarray]) -> Iterator[dict[str, jax.Array]]:
    for part in chunks(batch):
        yield {name: jnp.asarray(values) for name, values in part.items()}


def mean_and_band(
    network: Any, batch: Mapping[str, np.ndarray], n_inputs: int, n_draws: int, key: jax.Array
) -> list[np.ndarray]:
    """Mean, and lower and upper end of the band of rates over draws, each (trial, bin, unit)."""
    parts = [
        (drawn.mean(axis=0), *np.quantile(drawn, BAND, axis=0))
        for drawn in draws(network, batch, n_inputs, n_draws, key)
    ]
    n_trials = len(batch["counts"])
    return [np.concatenate(each)[:n_trials] for each in zip(*parts, strict=True)]


def mean_path_is_better(
    network: Any, batch: Mapping[str, np.ndarray] | None, n_inputs: int, key: jax.Array
) -> bool:
    """Whether the path of the posterior's means predicts unseen counts better than the draws do.

    The mean over draws is the right prediction under a right posterior; under one that is too wide
    it blurs. Without validation trials, or counts in them that are not read, nothing is known.
    """
    if batch is None:
        return False
    n_trials, n_bins, n_units = batch["counts"].shape
    ahead = np.arange(n_bins) >= batch["n_window"][:, None]
    scored = (np.arange(n_units) >= n_inputs) | ahead[:, :, None]
    scored &= batch["observed"][:, :, None]
    if not scored.any():
        return False
    means = on_mean_path(network, batch, n_inputs).expected_count[scored]
    drawn = [d.mean(axis=0) for d in draws(network, batch, n_inputs, N_DRAWS, key)]
    blurred = np.concatenate(drawn)[:n_trials][scored]
    count = batch["counts"][scored]
    gain = count * np.log((means + 1e-9) / (blurred + 1e-9)) - (means - blurred)
    return bool(gain.sum() > 0)


def from_prior(
    network: Any, lengths: Sequence[int], n_covariates: int, key: jax.Array
) -> tuple[np.ndarray, np.ndarray]:
    """Expected counts (trial, bin, unit) and latents of trials drawn from the dynamics alone."""
    longest = max(lengths)
    inside = np.arange(longest) < np.array(lengths)[:, None]
    covariates = np.zeros((len(lengths), longest, n_covariates), dtype=np.float32)
    log_rate, latent = draw_prior(network, jnp.asarray(covariates), jnp.asarray(inside), key)
    with np.errstate(over="ignore"):  # refused by the caller
        expected = np.exp(np.asarray(log_rate, dtype=np.float64))
    return expected, np.array(latent, dtype=np.float64)


def hidden_in_turn(
    arrays: Arrays, part: np.ndarray, n_parts: int, predict: Callable[[Arrays], np.ndarray]
) -> np.ndarray:
    """Expected counts of each part of the counts where that part was hidden from the network."""
    expected = np.zeros(arrays.inputs.shape)
    for number in range(n_parts):
        hidden = part == number
        shown = np.where(hidden, 0, arrays.inputs * (n_parts / (n_parts - 1)))
        rates = predict(arrays._replace(inputs=shown))
        expected[hidden] = rates[:, : arrays.n_window][hidden]
    return expected
