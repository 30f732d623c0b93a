"""What expunge removes is not in the files of the embedded store any more."""

from pathlib import Path

import pytest

from server.keys import Removal
from server.store.opening import open_store
from tests.contract.author import Author


def inside(folder: Path, text: bytes) -> list[str]:
    return [path.name for path in folder.iterdir() if text in path.read_bytes()]


@pytest.mark.parametrize("sizes", [(10, 10, 10), (3000, 10, 3000), (60_000, 10, 60_000), (20_000, 500, 3000)])
async def test_removed_bytes_are_overwritten_in_the_file(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    store = await open_store(f"sqlite://{tmp_path}/store")
    author = Author(store)
    for round, size in enumerate(sizes):
        await author.commit(author.write("Patient", "1", rest=b',"x":"%b"' % (b"SECRET " * (size // 7 + 1))))
        for number in range(30):
            rest = b',"x":"%b"' % (b"f" * (10, 500, 3000)[(number + round) % 3])
            await author.commit(author.write("Basic", f"{number}", rest=rest))
    assert inside(tmp_path / "store", b"SECRET ")
    await store.expunge([Removal("Patient", "1", (1, 2, 3))], [author.deletion("Patient", "1")])
    await store.close()
    assert inside(tmp_path / "store", b"SECRET ") == []
