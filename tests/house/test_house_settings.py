"""docs/settings.md shows the settings table as it is in the code, and every setting does something."""

import ast
from pathlib import Path

from server.settings import SETTINGS, Setting

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"


def row(setting: Setting) -> str:
    default = str(setting.default).lower() if isinstance(setting.default, bool) else setting.default  # 1 is no true
    shown = f"`{default}`" if default != "" else ""
    return f"| `TIERCARE_{setting.name.upper()}` | {shown} | {setting.help} |"


def test_the_page_shows_the_table_of_the_code() -> None:
    expected = ["| variable | default | what it does |", "|---|---|---|", *map(row, SETTINGS)]
    shown = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    assert shown == expected, "docs/settings.md must hold this table:\n" + "\n".join(expected)


def test_every_setting_is_read_by_the_wiring_or_the_command() -> None:
    read = {
        node.attr
        for file in ("wiring.py", "cli.py")
        for node in ast.walk(ast.parse((ROOT / "server" / file).read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "settings"
    }
    assert read == {setting.name for setting in SETTINGS}


def test_every_limit_has_a_setting_of_its_name() -> None:
    from server.interaction.limits import Limits

    limits = {name: getattr(Limits(), name) for name in Limits.__dataclass_fields__}
    assert limits.items() <= {setting.name: setting.default for setting in SETTINGS}.items()
