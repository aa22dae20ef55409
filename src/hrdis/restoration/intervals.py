"""Intervals around the mean of several samples, where their width was calibrated."""

from typing import TYPE_CHECKING

from ..presets import Interval, interval_for

if TYPE_CHECKING:
    from .job import Job


def interval_of(job: "Job", samples: int) -> tuple[Interval | None, str]:
    """Return the interval of a restoration with so many samples, and say in a sentence why it is
    known or not.

    It is known for what was tried on photographs, which is the solver auto at normal effort, for
    some tasks and levels of noise.

    Args:
        job: the restoration.
        samples: number of samples that are finite.
    """
    task = job.options.known_task()
    presets = job.prior.presets
    calibration = None if presets is None else presets.calibration
    none = "The map shows how far the samples differ, which is no error bar: "
    if calibration is None:
        return None, f"{none}the prior {job.options.prior!r} has no calibration."
    if job.inputs.hashes.get("prior", calibration.weights) != calibration.weights:
        return (
            None,
            f"{none}the calibration of the prior {job.options.prior!r} is of other weights.",
        )
    if task is None:
        return None, f"{none}operators of your own are not calibrated."
    chosen = job.choice is not None and job.choice.effort == "normal"
    if not chosen or job.choice is None or job.choice.settings != job.solver:
        return None, f"{none}only the solver auto at normal effort is calibrated."
    families, noise = task.presets, job.options.noise
    interval = interval_for(calibration, families, noise, job.solver.name, samples)
    if interval is None:
        levels = []
        for row in calibration.rows:
            if families[0] in row.families and row.solver == job.solver.name:
                levels.append(f"{255 * row.noise:g}")
        what = f"{job.options.task} with {job.solver.name}"
        if not levels:
            return None, f"{none}{what} is not calibrated."
        return None, f"{none}{what} is calibrated for noise of {', '.join(levels)} grey levels."
    return interval, (
        f"{interval.level:.0%} of the colour values of {calibration.photographs} lay within the "
        "half width that the map shows."
    )
