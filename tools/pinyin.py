"""Writes profiles/pinyin.json: how 汉字 are read, for searches of Chinese names by pinyin.

Run by `make tables`; needs the library pypinyin (MIT), whose data this is a cut of: one reading a character, no tones.
"""

import argparse
from pathlib import Path

import orjson

BLOCKS = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF))


def readings() -> dict[str, str]:
    """Syllable -> all characters that are read so, in code point order."""
    from pypinyin import Style, pinyin

    found: dict[str, list[str]] = {}
    for first, last in BLOCKS:
        for point in range(first, last + 1):
            syllable = pinyin(chr(point), style=Style.NORMAL, errors="ignore", v_to_u=False)
            if syllable and syllable[0][0].isascii() and syllable[0][0].isalpha():
                found.setdefault(syllable[0][0], []).append(chr(point))
    return {syllable: "".join(found[syllable]) for syllable in sorted(found)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("profiles/pinyin.json"))
    content = orjson.dumps(readings(), option=orjson.OPT_APPEND_NEWLINE)
    parser.parse_args().out.write_bytes(content.replace(b'","', b'",\n"'))


if __name__ == "__main__":
    main()
