# SPDX-License-Identifier: Apache-2.0
"""The exact widths of characters in DejaVu Sans, for texts of diagrams.

DejaVu Sans is the default on many Linux desktops, and wider than the fonts of other systems: a text that fits its box
in DejaVu Sans fits there too. The numbers are the advance widths of the tables `cmap` and `hmtx` of DejaVuSans.ttf and
DejaVuSans-Bold.ttf 2.37, in 2048ths of the font's size, from the space to the tilde.
"""

from __future__ import annotations

from typing import Final

_UNITS: Final = 2048
_BOOK: Final = """
    651 821 942 1716 1303 1946 1597 563 799 799 1024 1716 651 739 651 690 1303 1303 1303 1303 1303 1303 1303 1303
    1303 1303 690 690 1716 1716 1716 1087 2048 1401 1405 1430 1577 1294 1178 1587 1540 604 604 1343 1141 1767 1532
    1612 1235 1612 1423 1300 1251 1499 1401 2025 1403 1251 1403 799 690 799 1716 1024 1024 1255 1300 1126 1300 1260
    721 1300 1298 569 569 1186 569 1995 1298 1253 1300 1300 842 1067 803 1298 1212 1675 1212 1212 1075 1303 690 1303
    1716
"""
_BOLD: Final = """
    713 934 1067 1716 1425 2052 1786 627 936 936 1071 1716 778 850 778 748 1425 1425 1425 1425 1425 1425 1425 1425
    1425 1425 819 819 1716 1716 1716 1188 2048 1585 1561 1503 1700 1399 1399 1681 1714 762 762 1587 1305 2038 1714
    1741 1501 1741 1577 1475 1397 1663 1585 2259 1579 1483 1485 936 748 936 1716 1024 1024 1382 1466 1214 1466 1389
    891 1466 1458 702 702 1362 702 2134 1458 1407 1466 1466 1010 1219 979 1458 1335 1892 1321 1335 1192 1458 748
    1458 1716
"""
_MORE: Final = {"\N{RIGHT SINGLE QUOTATION MARK}": (651, 778), "\N{RIGHTWARDS ARROW}": (1716, 1716)}
"""Characters that are not ASCII: the width in DejaVuSans, and in DejaVuSans-Bold."""

_ASCII: Final = (tuple(map(int, _BOOK.split())), tuple(map(int, _BOLD.split())))


def width(text: str, size: float, *, bold: bool) -> float:
    """Return the width of a text in pixels. KeyError for a character that the table does not have."""
    return sum(_advance(character, bold=bold) for character in text) * size / _UNITS


def _advance(character: str, *, bold: bool) -> int:
    if " " <= character <= "~":
        return _ASCII[bold][ord(character) - ord(" ")]
    return _MORE[character][bold]
