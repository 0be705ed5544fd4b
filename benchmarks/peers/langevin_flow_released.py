"""The released code of Langevin flows: time of a training step, and what its own recipe learns.

    python langevin_flow_released.py speed REPORT.json --hidden 64 --bins 100 --batch 64
    python langevin_flow_released.py quality REPORT.json PROBLEM.npz ANSWERS.npz --seconds 600
    python langevin_flow_released.py equality REPORT.json NUMBERS.npz --hidden 16 --batch 5

The code itself (MIT) is no package: it is imported from a checkout, in the folder named by
``LANGEVIN_FLOW_SOURCE`` or in ``benchmarks/.environments/LangevinFlow_CCN``. The model, the loss
and the training step are the checkout's, untouched. What the checkout takes from PyTorch Lightning
(a base class that remembers the arguments, ``log`` and ``current_epoch``) is replaced by a stand-in
below, because version 1.6, which it asks for, does not run beside today's PyTorch. For the same
reason the optimizer is made here, with the arguments of ``configure_optimizers``: its scheduler
has an argument that PyTorch dropped. The loop around the step (epochs, ramp of the weight decay,
validation, plateau) is what Lightning's trainer would do.

``PROBLEM.npz``: ``train_in(trial, time, unit)``, ``train_out`` (inputs first, then the held-out
units, then more bins if there are bins to forecast) and ``test_in``. A share of the training
trials is set apart for the schedule. As in the release's ``make_submission``, log rates are
averaged over 50 samples; it means to load the best weights and keeps the last, so both are given.

``NUMBERS.npz`` holds what another implementation needs to be compared: weights (``weight/NAME``),
counts read and predicted, the noise that was drawn, log rates, divergence, loss of the training
step without dropout, and its gradient (``gradient/NAME``).
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import resource
import subprocess
import sys
import time
import types
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

SOURCE = Path(
    os.environ.get(
        "LANGEVIN_FLOW_SOURCE",
        Path(__file__).resolve().parents[1] / ".environments" / "LangevinFlow_CCN",
    )
)
#: Samples that rates are averaged over, as in the release, and those for features of all trials.
SAMPLES, FEW = 50, 10


class _LightningModule(torch.nn.Module):
    """What the released model takes from its base class."""

    current_epoch = 0

    def save_hyperparameters(self) -> None:
        frame = inspect.currentframe()
        values = frame.f_back.f_locals  # type: ignore[union-attr]
        self.hparams = types.SimpleNamespace(
            **{k: v for k, v in values.items() if isinstance(v, (int, float))}
        )

    def log(self, *arguments: Any) -> None:
        """Lightning would write it to a board."""


def released() -> Any:
    """The module ``models`` of the checkout."""
    if not (SOURCE / "nlb_lightning" / "models.py").exists():
        raise SystemExit(f"no checkout of the released code in {SOURCE}")
    stand_in = types.ModuleType("pytorch_lightning")
    stand_in.LightningModule = _LightningModule  # type: ignore[attr-defined]
    sys.modules["pytorch_lightning"] = stand_in
    sys.path.insert(0, str(SOURCE))
    from nlb_lightning import models  # type: ignore[import-not-found]

    return models


def make(arguments: argparse.Namespace, n_in: int, n_out: int, n_forward: int) -> Any:
    """A model with the settings of the release's training scripts."""
    torch.manual_seed(arguments.seed)
    model = released().LangevinAutoencoder(
        input_size=n_in,
        hidden_size=arguments.hidden,
        output_size=n_out,
        fwd_steps=n_forward,
        learning_rate=arguments.learning_rate,
        weight_decay=arguments.weight_decay,
        dropout=0.05,
        gamma=0.55,
        cd_rate=arguments.keep,
    )
    optimizer = torch.optim.Adam(
        model.parameters(), lr=arguments.learning_rate, weight_decay=arguments.weight_decay
    )
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="min", factor=0.95, patience=10, threshold=0.0, min_lr=1e-5
    )
    return model, optimizer, plateau


def step(model: Any, optimizer: torch.optim.Optimizer, batch: tuple[torch.Tensor, ...]) -> float:
    """One training step as Lightning runs it: loss, backward, hook, Adam."""
    optimizer.zero_grad()
    loss = model.training_step(batch, 0)
    loss.backward()
    model.on_before_optimizer_step(optimizer, 0)
    optimizer.step()
    return loss.item()


def silence(model: Any) -> Any:
    """Give the decoder zeros for z and v, the first two thirds of what it reads."""
    hidden = model.encoder.hidden_size

    def zeros(_: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        latents = inputs[0]
        return (
            torch.cat(
                [torch.zeros_like(latents[..., : 2 * hidden]), latents[..., 2 * hidden :]], -1
            ),
        )

    return model.decoder.register_forward_pre_hook(zeros)


def peak_megabytes() -> float:
    """Largest resident size so far."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1e6 if sys.platform == "darwin" else 1e3)


def speed(arguments: argparse.Namespace) -> dict[str, Any]:
    """Process CPU seconds of training steps on Poisson counts."""
    rng = np.random.default_rng(arguments.seed)
    shape = (arguments.batch, arguments.bins, arguments.units_out)
    out = torch.from_numpy(rng.poisson(0.2, shape).astype(np.float32))
    batch = (out[..., : arguments.units_in].clone(), out, out)
    model, optimizer, _ = make(arguments, arguments.units_in, arguments.units_out, 0)
    model.train()
    before = peak_megabytes()
    forward, whole = [], []
    for number in range(arguments.warm_up + arguments.steps):
        begun = time.process_time()
        step(model, optimizer, batch)
        ended = time.process_time()
        model.forward(batch[0])
        if number >= arguments.warm_up:
            whole.append(ended - begun)
            forward.append(time.process_time() - ended)
    return {
        "step_seconds": whole,
        "forward_seconds": forward,
        "weights": sum(p.numel() for p in model.parameters()),
        "peak_megabytes": peak_megabytes(),
        "megabytes_before": before,
    }


def validation_loss(model: Any, pairs: tuple[torch.Tensor, torch.Tensor], batch: int) -> float:
    """Mean of the release's validation step over batches."""
    model.eval()
    total = 0.0
    for begin in range(0, len(pairs[0]), batch):
        part = tuple(x[begin : begin + batch] for x in pairs)
        total += model.validation_step((*part, part[0]), 0).mean().item() * len(part[0])
    model.train()
    return total / len(pairs[0])


def answer(
    model: Any, inputs: torch.Tensor, batch: int, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rates (log rates averaged over samples) and latents z, v, h (averaged) of every trial."""
    model.eval()
    rates, latents = [], []
    for part in inputs.split(batch):
        log_rate, latent = torch.zeros(()), torch.zeros(())
        for _ in range(samples):
            # The force is a gradient, so that the forward pass cannot run without one.
            a, b, _ = model.forward(part)
            log_rate, latent = log_rate + a.detach() / samples, latent + b.detach() / samples
        rates.append(log_rate.exp().numpy())
        latents.append(latent.numpy())
    return np.concatenate(rates), np.concatenate(latents)


def quality(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train for a number of CPU seconds and write rates and latents."""
    begun = time.process_time()
    with np.load(arguments.problem) as content:
        given = {name: torch.from_numpy(content[name].astype(np.float32)) for name in content}
    train_in, train_out, test_in = (given[n] for n in ("train_in", "train_out", "test_in"))
    n_forward = train_out.shape[1] - train_in.shape[1]
    model, optimizer, plateau = make(arguments, train_in.shape[2], train_out.shape[2], n_forward)
    if arguments.latents == "none":
        silence(model)
    generator = torch.Generator().manual_seed(arguments.seed)
    order = torch.randperm(len(train_in), generator=generator)
    apart = round(arguments.validation * len(order))
    held, used = order[:apart], order[apart:]
    history, best, best_state = [], np.inf, None
    model.train()
    while time.process_time() - begun < arguments.seconds and (
        model.current_epoch < arguments.epochs
    ):
        shuffled = used[torch.randperm(len(used), generator=generator)]
        losses = [
            step(model, optimizer, (train_in[part], train_out[part], train_in[part]))
            for part in shuffled.split(arguments.batch)
        ]
        loss = validation_loss(model, (train_in[held], train_out[held]), arguments.batch)
        plateau.step(loss)
        history.append(
            {
                "loss": float(np.mean(losses)),
                "validation_loss": loss,
                "learning_rate": optimizer.param_groups[0]["lr"],
                "cpu_seconds": time.process_time() - begun,
            }
        )
        if loss < best:
            best = loss
            best_state = {k: v.clone() for k, v in model.state_dict().items()}
        model.current_epoch += 1
        if model.current_epoch % 10 == 0:
            print(model.current_epoch, history[-1], flush=True)
    trained = time.process_time() - begun
    answers: dict[str, np.ndarray] = {}
    last_state = {k: v.clone() for k, v in model.state_dict().items()}
    # Without z and v nothing is drawn.
    samples = SAMPLES if arguments.latents == "full" else 1
    for name, state in (("last", last_state), ("best", best_state or last_state)):
        model.load_state_dict(state)
        answers[f"test_rates_{name}"], _ = answer(model, test_in, arguments.batch, samples)
        if arguments.latents == "full":
            hook = silence(model)
            answers[f"test_rates_{name}_without_latents"], _ = answer(
                model, test_in, arguments.batch, 1
            )
            hook.remove()
    for name, inputs in (("train", train_in), ("test", test_in)):
        _, answers[f"{name}_latents_best"] = answer(model, inputs, arguments.batch, FEW)
    np.savez(arguments.answers, **answers)
    return {
        "history": history,
        "epochs": model.current_epoch,
        "cpu_seconds": trained,
        "cpu_seconds_with_answers": time.process_time() - begun,
        "weights": sum(p.numel() for p in model.parameters()),
        "peak_megabytes": peak_megabytes(),
    }


def equality(arguments: argparse.Namespace) -> dict[str, Any]:
    """One training step without any dropout, with everything that goes in and comes out."""
    rng = np.random.default_rng(arguments.seed)
    shape = (arguments.batch, arguments.bins + arguments.forward, arguments.units_out)
    out = torch.from_numpy(rng.poisson(0.5, shape).astype(np.float32))
    read = out[:, : arguments.bins, : arguments.units_in].clone()
    # With all counts kept none has a gradient: the step gives the loss, its parts the gradient.
    arguments.keep = 1.0
    model, _, _ = make(arguments, arguments.units_in, arguments.units_out, arguments.forward)
    with torch.no_grad():
        # At zero, where it begins, its normalisation has a gradient of 10^14.
        model.potential.conv_z.normal_()
    model.eval()
    model.current_epoch = arguments.epoch
    drawn: list[torch.Tensor] = []
    said: list[tuple[torch.Tensor, ...]] = []
    draw, forward = torch.randn_like, model.forward

    def recorded(like: torch.Tensor) -> torch.Tensor:
        drawn.append(draw(like))
        return drawn[-1]

    def heard(*given: Any, **options: Any) -> tuple[torch.Tensor, ...]:
        said.append(forward(*given, **options))
        return said[-1]

    torch.randn_like, model.forward = recorded, heard
    try:
        loss = model.training_step((read, out, read), 0)
    finally:
        torch.randn_like = draw
    log_rate, _, divergence = said[0]
    kl_weight = 0.1 * min(arguments.epoch / model.switch_epoch_kl, 1.0)
    nll = torch.nn.functional.poisson_nll_loss(log_rate, out)
    (nll + kl_weight * divergence).backward()
    arrays = {f"weight/{name}": value.numpy() for name, value in model.state_dict().items()}
    for name, weight in model.named_parameters():
        arrays[f"gradient/{name}"] = weight.grad.numpy()
    np.savez(
        arguments.numbers,
        read=read.numpy(),
        counts=out.numpy(),
        noise=torch.stack(drawn).numpy(),
        log_rate=log_rate.detach().numpy(),
        divergence=divergence.detach().numpy(),
        loss=loss.detach().numpy(),
        kl_weight=kl_weight,
        damping=model.gamma,
        **arrays,
    )
    return {"loss": loss.item()}


def main() -> None:
    """Run one part and write its report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(required=True)
    for run in (speed, quality, equality):
        one = parts.add_parser(run.__name__)
        one.set_defaults(run=run)
        one.add_argument("report", type=Path)
        if run is quality:
            one.add_argument("problem", type=Path)
            one.add_argument("answers", type=Path)
            one.add_argument("--seconds", type=float, default=600, help="CPU seconds of training")
            one.add_argument("--epochs", type=int, default=2000)
            one.add_argument("--validation", type=float, default=0.1, help="share of the trials")
            one.add_argument("--latents", choices=["full", "none"], default="full")
        else:
            one.add_argument("--bins", type=int, default=100)
            one.add_argument("--units-in", type=int, default=60)
            one.add_argument("--units-out", type=int, default=60)
        if run is equality:
            one.add_argument("numbers", type=Path)
            one.add_argument("--forward", type=int, default=4, help="bins ahead")
            one.add_argument("--epoch", type=int, default=250, help="the KL weight rises with it")
        if run is speed:
            one.add_argument("--steps", type=int, default=15)
            one.add_argument("--warm-up", type=int, default=3)
        one.add_argument("--hidden", type=int, default=64)
        one.add_argument("--batch", type=int, default=64)
        one.add_argument("--learning-rate", type=float, default=3e-3)
        one.add_argument("--weight-decay", type=float, default=2e-5)
        one.add_argument("--keep", type=float, default=0.5, help="coordinated dropout keeps this")
        one.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    commit = subprocess.run(
        ["git", "-C", str(SOURCE), "rev-parse", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    report = arguments.run(arguments) | {
        "settings": {k: str(v) for k, v in vars(arguments).items() if k != "run"},
        "commit": commit,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy")},
        },
    }
    arguments.report.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
