"""File names that say what they hold, such as `{well}_s{field}_w{channel}.tif`."""

import re
from pathlib import PurePosixPath

#: What a placeholder of this name matches; any other matches as little as possible between two slashes.
KINDS = {
    "well": r"[A-Za-z]{1,2}\d{1,2}",
    "row": r"[A-Za-z]{1,2}|\d{1,2}",
    "column": r"\d{1,2}",
    "field": r"\d+",
    "channel": r"\d+|[^/_.{}]+",
    "z": r"\d+",
    "time": r"\d+",
}
#: Placeholders whose files belong together as one image, and the axis that each becomes.
AXES = {"time": "t", "channel": "c", "z": "z"}
_PART = re.compile(r"\{(\w+)(?::(\d+))?\}|(\*)")


class NamePattern:
    """A path with placeholders: `{name}`, `{name:2}` for exactly two characters, and `*` for anything.

    `*` stands for no slash and for no thumbnail, which some microscopes put beside their images.

    Parameters
    ----------
    text : str
        The pattern, with slashes between folders.

    Attributes
    ----------
    names : tuple of str
        Of the placeholders, in their order.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        names: list[str] = []
        expression, end = "", 0
        for part in _PART.finditer(text):
            name, width, star = part.groups()
            expression += re.escape(text[end : part.start()])
            end = part.end()
            if star:
                expression += r"(?:(?!thumb)[^/])*"
            elif name in names:
                expression += f"(?P={name})"
            else:
                names.append(name)
                kind = rf"[^/_.]{{{width}}}" if width else KINDS.get(name, r"[^/]+?")
                expression += f"(?P<{name}>{kind})"
        self.names = tuple(names)
        self._expression = re.compile(expression + re.escape(text[end:]), re.IGNORECASE)

    @property
    def depth(self) -> int:
        """Number of folders and names that the pattern speaks of."""
        return len(PurePosixPath(self.text).parts)

    def match(self, path: str) -> dict[str, str] | None:
        """Return what the placeholders stand for in a whole path, None where it does not match."""
        found = self._expression.fullmatch(path)
        return found and found.groupdict()

    def filled(self, values: dict[str, str]) -> str:
        """Return the pattern with some of its placeholders filled in."""
        return _PART.sub(lambda part: values.get(part[1], part[0]) if part[1] else part[0], self.text)


def in_number_order(values: set[str]) -> list[str]:
    """Sort texts, numbers by their size."""
    return sorted(
        values, key=lambda value: (not value.isdigit(), int(value) if value.isdigit() else 0, value)
    )
