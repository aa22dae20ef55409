"""``hrdis restore`` on many: one picture after the other, going on after failures and kills."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from hrdis.checkpoints import load_prior, weights_sha256
from hrdis.ending import raise_if_asked
from hrdis.files import read_json
from hrdis.images import SUFFIXES, Errand, check_distinct, into_folder, records
from hrdis.messages import reason
from hrdis.restoration import plugin
from hrdis.restoration.inputs import of_files
from hrdis.restoration.outputs import check_files, names, record_of

from .before_after import check_index, write_index
from .parsing import REFUSALS, BadInput, about_file, checking, fail
from .progress import say
from .restore import INVALID, Asked, prepared, run

#: Options that decide nothing about a result.
FREE = ("image", "others", "output", "overwrite")


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
        if args.output.suffix.lower() in SUFFIXES:
            raise ValueError(
                f"-o {args.output} names a picture. For several pictures, and for a folder, a "
                "folder for the results is expected: -o restored"
            )
        todo = into_folder([args.image, *args.others], args.output)
        check_distinct(todo, lambda errand: names(errand.output, args.samples))
        for errand in todo:
            check_files(
                errand.output, args.samples, [errand.source], overwrite=args.overwrite, mask=False
            )
        check_index(args.output, overwrite=args.overwrite)
        model = weights_sha256(args.prior)
    load = cache(load_prior)
    failed = there = 0
    for number, errand in enumerate(todo, 1):
        place = f"[{number}/{len(todo)}] "
        try:
            one = replace(asked, args=options_of(args, errand))
            wished = wished_of(one, model)
            if is_finished(errand.output, wished):
                there += 1
                say(f"{place}{errand.source}: finished before, {errand.output}")
                continue
            job = replace(prepared(one, load, tell=lambda line: None), asked=wished)
            found = run(job, f"{place}{errand.source.name}")
            if not found.kept:
                raise RuntimeError(INVALID)
            found.save(errand.output, overwrite=one.args.overwrite)
        except Exception as error:
            raise_if_asked(error)
            if not isinstance(error, (BadInput, *REFUSALS)) and not args.operator:
                raise
            failed += 1
            own = args.operator and not isinstance(error, BadInput)
            said = plugin.explain(args.operator, error) if own else reason(error)
            fail("restore", f"{place}{about_file(errand.source, said)}", 1)
            continue
        say(f"{place}{errand.source}: {found.seconds:.1f} s. Wrote {errand.output}")
    title = f"hrdis restore: {args.task or args.operator}"
    index = write_index(args.output, title, todo, record_of)
    say(f"{len(todo) - failed - there} done, {there} finished before, {failed} failed. {index}")
    return 1 if failed else 0


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
