"""The limits of interactions, each with a name and a unit; values come from the settings table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    count_default: int = 20  # hits on a page when _count is not given
    count_max: int = 1000  # hits on a page at most
    codes_max: int = 1000  # codes that a value set or hierarchy may stand for in a search
    include_max: int = 1000  # resources that _include and _revinclude may add to a page
    include_depth: int = 8  # references away from a hit that :iterate may lead
    search_values_max: int = 400  # parameters of a search, and alternatives of their values, together
    bundle_entries_max: int = 5000  # entries of a batch or transaction
    write_attempts: int = 10  # tries of a write that meets others before it is a conflict
    everything_max: int = 10_000  # matches in one answer of $everything when _count is not given
    history_max: int = 1000  # versions on a history page at most, and looked at for a page of _at
    delete_max: int = 1000  # resources that one conditional delete may delete
    patch_max: int = 100_000  # operations of a patch, and values that a JSON Patch may put in
    meta_max: int = 10_000  # resources with profiles, tags or labels that one $meta may read
    expunge_max: int = 1000  # versions that one $expunge may remove
