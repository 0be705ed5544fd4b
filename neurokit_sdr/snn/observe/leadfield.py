"""Potentials and fields of point sources, as functions of arrays."""

from __future__ import annotations

import numpy as np

#: mu_0 / 4 pi in T m / A: what SI fixed until 2019, and to nine digits what is measured since.
MAGNETIC_CONSTANT = 1e-7


def monopole_potential(contact: np.ndarray, source: np.ndarray, conductivity: float) -> np.ndarray:
    r"""Potential of a current source of 1 A in an infinite homogeneous conductor.

    .. math:: \phi(r) = \frac{1}{4\pi\sigma\, |r - r_0|}

    Parameters
    ----------
    contact, source
        Metres, shapes (channel, 3) and (source, 3).
    conductivity
        In S/m.

    Returns
    -------
    numpy.ndarray, shape ``(channel, source)``
        V per A.
    """
    distance = np.linalg.norm(contact[:, None] - source, axis=2)
    return 1.0 / (4 * np.pi * conductivity * distance)


def dipole_potential(
    contact: np.ndarray, source: np.ndarray, direction: np.ndarray, conductivity: float
) -> np.ndarray:
    r"""Potential of a current dipole of 1 A m in an infinite homogeneous conductor.

    .. math:: \phi(r) = \frac{q \cdot (r - r_0)}{4\pi\sigma\, |r - r_0|^3}

    Parameters
    ----------
    contact, source, direction
        Shapes (channel, 3), (source, 3) and (source, 3); positions in metres, directions of
        length 1.
    conductivity
        In S/m.

    Returns
    -------
    numpy.ndarray, shape ``(channel, source)``
        V per A m.
    """
    away = contact[:, None] - source
    distance = np.linalg.norm(away, axis=2)
    return (away * direction).sum(axis=2) / (4 * np.pi * conductivity * distance**3)


def sphere_field(sensor: np.ndarray, source: np.ndarray, direction: np.ndarray) -> np.ndarray:
    r"""Magnetic field outside a spherical conductor of a current dipole of 1 A m inside it.

    Sarvas (1987), with the sphere's centre as origin, :math:`a = r - r_0`:

    .. math::

       B(r) = \frac{\mu_0}{4\pi F^2} \big(F\, q \times r_0 - (q \times r_0 \cdot r) \nabla F\big),
       \quad F = |a| (|r| |a| + |r|^2 - r_0 \cdot r),

       \nabla F = \Big(\frac{|a|^2}{|r|} + \frac{a \cdot r}{|a|} + 2|a| + 2|r|\Big) r
       - \Big(|a| + 2|r| + \frac{a \cdot r}{|a|}\Big) r_0 .

    The sphere's radius and its radial profile of conductivity do not matter.

    Parameters
    ----------
    sensor, source, direction
        Shapes (channel, 3), (source, 3) and (source, 3); positions in metres, directions of
        length 1.

    Returns
    -------
    numpy.ndarray, shape ``(channel, source, 3)``
        T per A m.
    """
    r, r0 = sensor[:, None], source[None]
    a = r - r0
    a_norm = np.linalg.norm(a, axis=2, keepdims=True)
    r_norm = np.linalg.norm(r, axis=2, keepdims=True)
    a_r = (a * r).sum(axis=2, keepdims=True)
    f = a_norm * (r_norm * a_norm + r_norm**2 - (r0 * r).sum(axis=2, keepdims=True))
    gradient = (a_norm**2 / r_norm + a_r / a_norm + 2 * a_norm + 2 * r_norm) * r - (
        a_norm + 2 * r_norm + a_r / a_norm
    ) * r0
    turn = np.cross(direction, source)[None]
    return MAGNETIC_CONSTANT * (f * turn - (turn * r).sum(axis=2, keepdims=True) * gradient) / f**2
