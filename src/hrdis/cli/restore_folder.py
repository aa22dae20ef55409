"""``hrdis restore`` on many: one picture after the other, going on after failures and kills."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from hrdis.checkpoints import load_prior, weights_sha256
from hrdis.ending import raise_if_asked
from hrdis.files import read_json
from hrdis.images import SUFFIXES, Errand, check_distinct, into_folder, records
from hrdis.messages import reason
from hrdis.priors import Prior
from hrdis.restoration import plugin
from hrdis.restoration.inputs import of_files
from hrdis.restoration.outputs import check_files, names, record_of

from .before_after import check_index, write_index
from .parsing import REFUSALS, BadInput, about_file, checking
from .progress import say
from .restore import INVALID, Asked, prepared, read, run
from .workers import Ended, work_off

#: Options that decide nothing about a result.
FREE = ("image", "others", "output", "overwrite", "where")


def restore_folder(asked: Asked) -> int:
    """Restore several pictures, or all in a folder, and say one thing of each.

    Args:
        asked: the options, whose output is a folder.

    Returns:
        the exit status.

    Raises:
        BadInput: before any work, for a result that would replace a file of somebody else.
    """
    args = asked.args
    with checking():
        args.where.on_cluster()
        todo = into_folder([args.image, *args.others], args.output)
        check_distinct(todo, lambda errand: names(errand.output, args.samples))
        for errand in todo:
            check_files(
                errand.output, args.samples, [errand.source], overwrite=args.overwrite, mask=False
            )
        check_index(args.output, overwrite=args.overwrite)
        model = weights_sha256(args.prior)
    work = RestoreOne(tuple(map(str, asked.argv)), tuple(todo), model)
    failed = work_off("restore", work, todo, args.where)
    title = f"hrdis restore: {args.task or args.operator}"
    say(f"Before and after: {write_index(args.output, title, todo, record_of)}")
    return 1 if failed else 0


@dataclass(frozen=True)
class RestoreOne:
    """The work on the pictures of a folder, by their numbers, as `work_off` takes it.

    Args:
        argv: the words of the command.
        todo: the pictures.
        model: the content of the weights, which decides with the options whether a result is there.
    """

    argv: tuple[str, ...]
    todo: tuple[Errand, ...]
    model: str

    @cached_property
    def asked(self) -> Asked:
        return read(self.argv)

    @cached_property
    def load(self) -> Callable[..., Prior]:
        return cache(load_prior)

    def __call__(self, k: int) -> Ended:
        errand, asked = self.todo[k], self.asked
        try:
            one = replace(asked, args=options_of(asked.args, errand))
            wished = wished_of(one, self.model)
            if is_finished(errand.output, wished):
                return Ended("there", f"{errand.source}: finished before, {errand.output}")
            job = replace(prepared(one, self.load, tell=lambda line: None), asked=wished)
            found = run(job, errand.source.name)
            if not found.kept:
                raise RuntimeError(INVALID)
            found.save(errand.output, overwrite=one.args.overwrite)
        except Exception as error:
            raise_if_asked(error)
            operator = asked.args.operator
            if not isinstance(error, (BadInput, *REFUSALS)) and not operator:
                raise
            own = operator and not isinstance(error, BadInput)
            said = plugin.explain(operator, error) if own else reason(error)
            return Ended("failed", about_file(errand.source, said))
        return Ended("done", f"{errand.source}: {found.seconds:.1f} s. Wrote {errand.output}")


def options_of(args: Any, errand: Errand) -> Any:
    """Return the options of one picture of several.

    Raises:
        ValueError: if the folder of masks has none for it.
    """
    mask = args.mask
    if mask is not None and mask.is_dir():
        beside = mask / errand.output.relative_to(args.output)
        masks = [beside.with_suffix(suffix) for suffix in (*SUFFIXES, ".npy")]
        there = [path for path in masks if path.is_file()]
        if not there:
            raise ValueError(
                f"The folder of masks has none for it. {masks[0]} is expected, or another kind of "
                "picture."
            )
        mask = there[0]
    return replace(args, image=errand.source, others=(), output=errand.output, mask=mask)


def wished_of(asked: Asked, model: str) -> Mapping[str, Any]:
    """Return what decides the result of one picture, as JSON has it: options, files, the model."""
    values = {name: value for name, value in asdict(asked.args).items() if name not in FREE}
    values |= {"auto": asked.auto, "files": of_files(asked.args).hashes, "model": model}
    found: Mapping[str, Any] = json.loads(json.dumps(values, default=str))
    return found


def is_finished(output: Path, wished: Mapping[str, Any]) -> bool:
    """Return True if an earlier run finished a picture with these options and this content."""
    path = record_of(output)
    try:
        record = read_json(path)
    except ValueError:
        return False
    if records.UNFINISHED in record or record.get("asked") != wished:
        return False
    files = records.files_of_record(path) or []
    return bool(files) and all((output.parent / name).is_file() for name in files)
