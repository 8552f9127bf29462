"""What a built package says of itself: README.md as an index can show it, and the addresses.

An index shows the page away from the repository, where relative links and pictures lead nowhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")
_FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def index_readme(text: str, repository: str) -> str:
    """README.md with absolute links; without a repository with their words alone.

    Args:
        text: README.md.
        repository: the address at which the repository can be read, or nothing.

    >>> index_readme("[a](docs/a.md) ![b](b.svg)", "https://host/gundog")
    '[a](https://host/gundog/blob/HEAD/docs/a.md) ![b](https://host/gundog/raw/HEAD/b.svg)'
    >>> index_readme("[a](docs/a.md) ![b](b.svg) [c](https://c.example)", "")
    'a  [c](https://c.example)'
    """

    def absolute(match: re.Match[str]) -> str:
        picture, words, target = match.groups()
        if not repository:
            return "" if picture else words
        kind = "raw" if picture else "blob"
        return f"{picture}[{words}]({repository.rstrip('/')}/{kind}/HEAD/{target})"

    parts = _FENCE.split(text)
    return "".join(part if part.startswith("```") else _LINK.sub(absolute, part) for part in parts)


def addresses(repository: str) -> dict[str, str]:
    """The addresses that an index lists; none without a repository."""
    if not repository:
        return {}
    base = repository.rstrip("/")
    return {
        "Repository": base,
        "Documentation": f"{base}/tree/HEAD/docs",
        "Changes": f"{base}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{base}/issues",
    }


class Description(MetadataHookInterface):
    """Fills in the fields that pyproject.toml calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        repository = str(self.config.get("repository", ""))
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": index_readme(text, repository),
        }
        metadata["urls"] = addresses(repository)
