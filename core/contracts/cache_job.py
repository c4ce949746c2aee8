"""The job that looks after the raw copy of a dataset: cache."""

from __future__ import annotations

from dataclasses import dataclass

from .config import Config, setting

CACHE_ACTIONS = ("show", "make", "delete")


@dataclass(frozen=True)
class CacheJob(Config):
    """Show, make or delete the copy of a dataset that trainings read in place of the compressed file. It lies beside
    the dataset, in a folder with the ending .cache, and can be made again at any time.
    """

    dataset: str = setting(label="Dataset", help="Prepared dataset (.nc).")
    action: str = setting(
        "show",
        label="Do",
        help="'show' tells what is there and its size; 'make' copies all maps in time; 'delete' frees the disc.",
        choices=CACHE_ACTIONS,
    )
